//! The precision of matrix products: the seam at which other precisions and instructions come in.

use candle_core::DType;
use serde::{Deserialize, Serialize};

#[cfg(target_arch = "x86_64")]
use super::bf16;
#[cfg(target_arch = "x86_64")]
use super::matrix::check;
use super::matrix::{Matrix, Write, multiply};

/// What the operands of products are rounded to. Sums, weights, activations and everything else are f32 in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Not rounded.
    #[default]
    F32,
    /// Eight bits of mantissa, on processors that multiply them faster than f32 (Zen 4 does, up to twice as fast; it is found out once, by
    /// a short measurement). Not rounded elsewhere.
    Bf16,
}

impl Precision {
    /// Whether operands are rounded on this processor.
    pub fn rounds(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self == Precision::Bf16 && bf16::is_faster();
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// [`multiply`] with operands of this precision.
    pub(crate) fn multiply(self, out: &mut [f32], out_step: usize, a: Matrix, b: Matrix, write: Write) {
        #[cfg(target_arch = "x86_64")]
        if self.rounds() && a.rows > 0 && b.columns > 0 && a.columns > 0 {
            check(out, out_step, &a, &b);
            // SAFETY: operands are rounded only where the processor has the features.
            return unsafe { bf16::multiply(out, out_step, a, b, write) };
        }
        multiply(out, out_step, a, b, write);
    }

    /// The type of activations on a card, and of the operands of its products.
    pub fn real(self) -> DType {
        match self {
            Precision::F32 => DType::F32,
            Precision::Bf16 => DType::BF16,
        }
    }
}
