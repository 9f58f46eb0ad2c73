//! The element-wise parts of a decoder, in plain loops that vectorise. Sums run over sixteen lanes and are folded in
//! one fixed order, so that a result depends on its own numbers only.

use crate::kernels::simd::{LANES, fold};

/// e^x to a few units in the last place, without branches. Below -87 it stays at e^-87, above 88 at e^88; NaN stays
/// NaN.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    /// Adding this rounds to a whole number, which then stands in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    // ln 2 in two parts: the first has few bits, so its product with a whole number is exact.
    let rest = x - whole * 0.693_359_4 + whole * 2.121_944_4e-4;
    let series = 1.0 / 720.0;
    let series = series * rest + 1.0 / 120.0;
    let series = series * rest + 1.0 / 24.0;
    let series = series * rest + 1.0 / 6.0;
    let series = series * rest + 0.5;
    let series = series * rest + 1.0;
    let series = series * rest + 1.0;
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    series * f32::from_bits(exponent)
}

/// Sum of `term(x)` over a slice of any length.
#[inline(always)]
pub(super) fn sum(values: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let (lines, rest) = values.as_chunks::<LANES>();
    for line in lines {
        for (lane, value) in lanes.iter_mut().zip(line) {
            *lane += term(*value);
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane += term(*value);
    }
    fold(lanes)
}

/// What [`rms_norm`] multiplies by: the inverse root of the mean square.
#[inline(always)]
fn inverse_rms(values: &[f32], epsilon: f32) -> f32 {
    1.0 / (sum(values, |x| x * x) / values.len() as f32 + epsilon).sqrt()
}

/// `output = x / rms(x) * weight`
#[inline(always)]
pub(super) fn rms_norm(input: &[f32], weight: &[f32], epsilon: f32, output: &mut [f32]) {
    let scale = inverse_rms(input, epsilon);
    for ((out, x), weight) in output.iter_mut().zip(input).zip(weight) {
        *out = x * scale * weight;
    }
}

/// The same in place, for the heads of Qwen3.
#[inline(always)]
pub(super) fn rms_norm_in_place(values: &mut [f32], weight: &[f32], epsilon: f32) {
    let scale = inverse_rms(values, epsilon);
    for (x, weight) in values.iter_mut().zip(weight) {
        *x = *x * scale * weight;
    }
}

/// `output = silu(gate) * up`, where `gate_up` holds one after the other.
#[inline(always)]
pub(super) fn swiglu(gate_up: &[f32], output: &mut [f32]) {
    let (gate, up) = gate_up.split_at(output.len());
    for ((out, gate), up) in output.iter_mut().zip(gate).zip(up) {
        *out = gate / (1.0 + exp(-gate)) * up;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_right_to_a_few_units_in_the_last_place() {
        let mut x = -87.0f32;
        while x < 88.0 {
            let (ours, truth) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((ours / truth - 1.0).abs() < 5e-7, "e^{x}: {ours} for {truth}");
            x += 0.0137;
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NAN).is_nan());
        assert!(exp(f32::NEG_INFINITY) < 2e-38);
    }

    #[test]
    fn sums_take_every_element_of_odd_lengths() {
        for len in 1..50usize {
            let values: Vec<f32> = (0..len).map(|i| (i * 7 % 13) as f32 - 20.0).collect();
            assert_eq!(sum(&values, |x| x), values.iter().sum::<f32>());
        }
    }
}
