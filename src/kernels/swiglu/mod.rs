//! The gated unit of Llama-like feed-forward layers (Shazeer, 2020): `silu(gate) * up`.

mod cuda;

use super::cuda::CudaDevice;
use super::graph::Value;
use super::memory::{filled, read, tensor};
use super::simd::{exp, vectorised};
use crate::Result;

/// From `[n, 2 f]`, gate and up side by side, to `[n, f]`.
pub fn swiglu(gate_up: &Value) -> Result<Value> {
    if let Some(card) = CudaDevice::holding(gate_up.tensor()) {
        return cuda::swiglu(&card, gate_up);
    }
    let (n, width) = gate_up.tensor().dims2()?;
    let f = width / 2;
    let held = gate_up.tensor().clone();
    let values = {
        let gate_up = read(&held)?;
        filled(n * f, |y| forward(y, &gate_up, f))
    };
    Ok(Value::computed(tensor(values, (n, f))?, &[gate_up], move |gradient| {
        let (gate_up, gradient) = (read(&held)?, read(gradient)?);
        Ok(vec![tensor(filled(n * width, |dx| backward(dx, &gate_up, &gradient, f)), (n, width))?])
    }))
}

vectorised! {
    fn forward(y: &mut [f32], gate_up: &[f32], f: usize) {
        for (row, y) in gate_up.chunks_exact(2 * f).zip(y.chunks_exact_mut(f)) {
            let (gate, up) = row.split_at(f);
            for ((y, gate), up) in y.iter_mut().zip(gate).zip(up) {
                *y = gate / (1.0 + exp(-gate)) * up;
            }
        }
    }
}

vectorised! {
    fn backward(dx: &mut [f32], gate_up: &[f32], dy: &[f32], f: usize) {
        for ((row, dy), dx) in gate_up.chunks_exact(2 * f).zip(dy.chunks_exact(f)).zip(dx.chunks_exact_mut(2 * f)) {
            let (gate, up) = row.split_at(f);
            let (d_gate, d_up) = dx.split_at_mut(f);
            for i in 0..f {
                let sigmoid = 1.0 / (1.0 + exp(-gate[i]));
                let silu = gate[i] * sigmoid;
                d_up[i] = dy[i] * silu;
                d_gate[i] = dy[i] * up[i] * (silu.mul_add(-sigmoid, silu) + sigmoid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{check, random_tensor};

    #[test]
    fn agrees_with_candle_and_with_finite_differences() {
        for (n, f) in [(1, 1), (3, 5), (2, 16), (7, 19)] {
            check(
                &[random_tensor(&[n, 2 * f], 1)],
                |v| swiglu(v[0]),
                |t| t[0].narrow(1, 0, f)?.silu()?.mul(&t[0].narrow(1, f, f)?),
            );
        }
    }
}
