//! The precision of matrix products: the seam at which other precisions and instructions come in.

use candle_core::DType;
use serde::{Deserialize, Serialize};

use super::bf16;
use super::matrix::{Matrix, Write, check, multiply};

/// What the operands of products are rounded to. Sums, weights, activations and everything else are f32 in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Not rounded.
    #[default]
    F32,
    /// Eight bits of mantissa: up to twice as fast where AVX512-BF16 is faster than f32 (Zen 4; it is not on every processor that has
    /// it, so the two are compared first), and no faster elsewhere.
    Bf16,
}

impl Precision {
    /// [`multiply`] with operands of this precision.
    pub(crate) fn multiply(self, out: &mut [f32], out_step: usize, a: Matrix, b: Matrix, write: Write) {
        if self == Precision::F32 || a.rows == 0 || b.columns == 0 || a.columns == 0 {
            return multiply(out, out_step, a, b, write);
        }
        check(out, out_step, &a, &b);
        bf16::multiply(out, out_step, a, b, write);
    }

    /// The type of activations on a card, and of the operands of its products.
    pub fn real(self) -> DType {
        match self {
            Precision::F32 => DType::F32,
            Precision::Bf16 => DType::BF16,
        }
    }
}
