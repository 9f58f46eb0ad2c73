//! Root-mean-square normalisation, a warp for each stretch.

use candle_core::{DType, Tensor};

use crate::kernels::cuda::{Address, Argument, CudaDevice, Grid, address, as_type, elementwise};
use crate::kernels::graph::Value;
use crate::{Error, Result};

/// Stretches whose share in a weight's gradient one thread sums up.
const STRETCHES_PER_BLOCK: usize = 128;

/// See [`rms_norm_heads`](crate::kernels::rms_norm_heads()): one or two parts, whose stretches are of one length.
pub(super) fn rms_norm_heads(card: &CudaDevice, x: &Value, parts: &[(&Value, usize)], epsilon: f64) -> Result<Value> {
    let pass = CudaRmsNorm::new(card, x.tensor(), parts, epsilon as f32)?;
    let y = card.empty(x.tensor().shape(), x.tensor().dtype())?;
    pass.launch("rms_norm", &[address(&y)?, address(x.tensor())?])?;
    let inputs: Vec<&Value> = std::iter::once(x).chain(parts.iter().map(|(weight, _)| *weight)).collect();
    let trained: Vec<bool> = parts.iter().map(|(weight, _)| !weight.is_constant()).collect();
    let held = x.tensor().clone();
    Ok(Value::computed(y, &inputs, move |gradient| {
        let card = &pass.card;
        let dx = card.empty(held.shape(), held.dtype())?;
        let scales = card.empty((pass.n, pass.normed()), DType::F32)?;
        let [x, dy, scales_at] = [address(&held)?, address(gradient)?, address(&scales)?];
        pass.launch("rms_norm_backward", &[address(&dx)?, scales_at, x, dy])?;
        let mut shares = vec![dx];
        let mut first = 0;
        for (count, trained) in pass.counts.iter().zip(&trained) {
            shares.push(if *trained {
                pass.weight_gradient([x, dy, scales_at], held.dtype(), first, *count)?
            } else {
                gradient.clone()
            });
            first += count;
        }
        Ok(shares)
    }))
}

struct CudaRmsNorm {
    card: CudaDevice,
    real: DType,
    n: usize,
    width: usize,
    d: usize,
    /// In f32.
    weights: Vec<Tensor>,
    /// Stretches of each weight in a row.
    counts: Vec<usize>,
    epsilon: f32,
}

impl CudaRmsNorm {
    fn new(card: &CudaDevice, x: &Tensor, parts: &[(&Value, usize)], epsilon: f32) -> Result<CudaRmsNorm> {
        let (n, width) = x.dims2()?;
        let lengths: Vec<usize> = parts.iter().map(|(weight, _)| weight.tensor().elem_count()).collect();
        let [d, rest @ ..] = &lengths[..] else { return Err(unsupported(&lengths)) };
        if rest.len() > 1 || rest.iter().any(|length| length != d) {
            return Err(unsupported(&lengths));
        }
        let weights = parts.iter().map(|(weight, _)| as_type(weight.tensor(), DType::F32)).collect::<Result<_>>()?;
        let counts = parts.iter().map(|(_, count)| *count).collect();
        Ok(CudaRmsNorm { card: card.clone(), real: x.dtype(), n, width, d: *d, weights, counts, epsilon })
    }

    /// Stretches of a row.
    fn normed(&self) -> usize {
        self.counts.iter().sum()
    }

    fn launch(&self, kernel: &str, tensors: &[Address]) -> Result<()> {
        let mut arguments: Vec<Argument> = tensors.iter().map(|tensor| (*tensor).into()).collect();
        arguments.extend([self.n, self.width].map(Argument::from));
        for at in 0..2 {
            let weight = self.weights.get(at).map(address).transpose()?.unwrap_or(Address(0));
            arguments.push(weight.into());
            arguments.push(self.counts.get(at).copied().unwrap_or(0).into());
        }
        arguments.push(self.d.into());
        arguments.push(self.epsilon.into());
        let passing = usize::from(self.width > self.normed() * self.d);
        self.card.launch(self.real, kernel, Grid::warps(self.n * (self.normed() + passing), 4), &arguments)
    }

    fn weight_gradient(
        &self,
        [x, dy, scales]: [Address; 3],
        real: DType,
        first: usize,
        count: usize,
    ) -> Result<Tensor> {
        let blocks = (self.n * count).div_ceil(STRETCHES_PER_BLOCK).max(1);
        let out = self.card.empty((blocks, self.d), DType::F32)?;
        let sizes = [self.n, self.width, first, count, self.normed(), self.d, STRETCHES_PER_BLOCK];
        let mut arguments: Vec<Argument> = vec![address(&out)?.into(), x.into(), dy.into(), scales.into()];
        arguments.extend(sizes.map(Argument::from));
        let grid = Grid::new([self.d.div_ceil(128), blocks], 128);
        self.card.launch(real, "rms_norm_weight", grid, &arguments)?;
        elementwise::column_sums(&self.card, &out)
    }
}

fn unsupported(lengths: &[usize]) -> Error {
    let found = format!("weights of {lengths:?} columns side by side");
    Error::invalid("norm on the card", found, "it takes one or two of the same length")
}
