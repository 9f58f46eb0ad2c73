//! Linear layers side by side, each a product of its own: into some columns of the output, or of its gradient.

use std::ops::Range;

use candle_core::{DType, Tensor};

use crate::Result;
use crate::kernels::cuda::{CudaDevice, CudaMatrix, as_type, elementwise};
use crate::kernels::graph::Value;
use crate::kernels::matrix::Write;
use crate::kernels::product::Precision;

/// See [`linear`](crate::kernels::linear()). The output has the type of `precision`; `x` any.
pub(super) fn linear(
    card: &CudaDevice,
    x: &Value,
    weights: &[&Value],
    biases: &[&Value],
    precision: Precision,
) -> Result<Value> {
    let (card, real) = (card.clone(), precision.real());
    let (n, k) = x.tensor().dims2()?;
    let input = as_type(x.tensor(), real)?;
    let (mut layers, mut m) = (Vec::with_capacity(weights.len()), 0);
    for weight in weights {
        let columns = m..m + weight.tensor().dim(0)?;
        m = columns.end;
        layers.push(CudaLayer { columns, weight: as_type(weight.tensor(), real)?, trained: !weight.is_constant() });
    }
    let y = card.empty((n, m), real)?;
    for CudaLayer { columns, weight, .. } in &layers {
        let out = CudaMatrix::view(&y)?.columns(columns.start, columns.len());
        card.multiply(&out, &CudaMatrix::view(&input)?, &CudaMatrix::view(weight)?.transposed(), 1.0, Write::Replace)?;
    }
    if !biases.is_empty() {
        let all: Vec<&Tensor> = biases.iter().map(|bias| bias.tensor()).collect();
        elementwise::add_bias(&card, &y, &Tensor::cat(&all, 0)?)?;
    }
    let inputs: Vec<&Value> = std::iter::once(&x).chain(weights).chain(biases).copied().collect();
    let wanted = (!x.is_constant()).then_some(x.tensor().dtype());
    let bias_trained = biases.iter().any(|bias| !bias.is_constant());
    let with_biases = !biases.is_empty();
    Ok(Value::computed(y, &inputs, move |gradient| {
        let dy = CudaMatrix::view(gradient)?;
        // Where none is wanted, anything does.
        let nothing = || gradient.clone();
        let mut shares = Vec::with_capacity(1 + 2 * layers.len());
        shares.push(match wanted {
            Some(dtype) => input_gradient(&card, &layers, &dy, [n, k], dtype)?,
            None => nothing(),
        });
        for CudaLayer { columns, trained, .. } in &layers {
            shares.push(if *trained {
                let dw = card.empty((columns.len(), k), DType::F32)?;
                let dy = dy.columns(columns.start, columns.len()).transposed();
                card.multiply(&CudaMatrix::view(&dw)?, &dy, &CudaMatrix::view(&input)?, 1.0, Write::Replace)?;
                dw
            } else {
                nothing()
            });
        }
        if with_biases {
            let sums = if bias_trained { Some(elementwise::column_sums(&card, gradient)?) } else { None };
            for CudaLayer { columns, .. } in &layers {
                shares.push(match &sums {
                    Some(sums) => sums.narrow(0, columns.start, columns.len())?,
                    None => nothing(),
                });
            }
        }
        Ok(shares)
    }))
}

struct CudaLayer {
    /// Of the output.
    columns: Range<usize>,
    /// `[outputs, inputs]`, in the type of the products.
    weight: Tensor,
    trained: bool,
}

fn input_gradient(
    card: &CudaDevice,
    layers: &[CudaLayer],
    dy: &CudaMatrix,
    size: [usize; 2],
    dtype: DType,
) -> Result<Tensor> {
    let dx = card.empty((size[0], size[1]), dtype)?;
    let mut write = Write::Replace;
    for CudaLayer { columns, weight, .. } in layers {
        let dy = dy.columns(columns.start, columns.len());
        card.multiply(&CudaMatrix::view(&dx)?, &dy, &CudaMatrix::view(weight)?, 1.0, write)?;
        write = Write::Add;
    }
    Ok(dx)
}
