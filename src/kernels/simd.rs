//! One body, three machine codes: loops that the compiler vectorises for AVX-512, for AVX2 and for whatever the
//! target has, chosen when the program runs.
//!
//! Within one level the order of every sum is fixed, so a machine gives the same bits on every run; two machines
//! of different levels may differ in the last bits.

/// Widest instructions that this processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Avx512,
    Avx2,
    Baseline,
}

/// The level of this machine (detection is cached by the standard library).
#[inline]
pub(crate) fn level() -> Level {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") {
            return Level::Avx512;
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return Level::Avx2;
        }
    }
    Level::Baseline
}

/// Defines a function whose body is compiled once per [`Level`]. The body is ordinary Rust over slices: loops with
/// `mul_add`, no intrinsics. Everything that it calls per element has to be `#[inline(always)]`.
macro_rules! vectorised {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn body($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512dq,fma")]
                #[allow(clippy::too_many_arguments)]
                fn avx512($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn avx2($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
                match $crate::kernels::simd::level() {
                    // SAFETY: the processor was asked for exactly these features.
                    $crate::kernels::simd::Level::Avx512 => return unsafe { avx512($($arg),*) },
                    $crate::kernels::simd::Level::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::kernels::simd::Level::Baseline => {}
                }
            }
            #[allow(unreachable_code)]
            body($($arg),*)
        }
    };
}
pub(crate) use vectorised;

/// Floats in the widest register: inner loops keep this many partial sums.
pub(crate) const LANES: usize = 16;

/// e^x to 3e-7 relative, without branches or calls, so that a loop over it vectorises. Arguments below -87
/// give about 1e-38 rather than 0, and NaN stays NaN.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Adding 1.5 * 2^23 leaves round(x / ln 2) in the low bits of the sum.
    const SHIFT: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x.mul_add(std::f32::consts::LOG2_E, SHIFT);
    let n = shifted - SHIFT;
    // ln 2 in two parts, so that n * ln 2 is exact.
    let r = n.mul_add(-0.693_359_4, x);
    let r = n.mul_add(2.121_944_4e-4, r);
    let mut p = 1.0 / 720.0;
    for c in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = r.mul_add(p, c);
    }
    f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// Sum of products. Partial sums in a fixed order, the same for every level's register width.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0f32; LANES];
    let (a_blocks, b_blocks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail: f32 = a_blocks.remainder().iter().zip(b_blocks.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a_blocks.zip(b_blocks) {
        for lane in 0..LANES {
            lanes[lane] = a[lane].mul_add(b[lane], lanes[lane]);
        }
    }
    fold(lanes) + tail
}

/// The largest value; negative infinity for an empty slice.
#[inline(always)]
pub(crate) fn max(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let blocks = values.chunks_exact(LANES);
    let tail = blocks.remainder().iter().fold(f32::NEG_INFINITY, |m, &v| if v > m { v } else { m });
    for block in blocks {
        for lane in 0..LANES {
            lanes[lane] = if block[lane] > lanes[lane] { block[lane] } else { lanes[lane] };
        }
    }
    lanes.iter().fold(tail, |m, &v| if v > m { v } else { m })
}

/// Replaces each value by exp(value - shift) and returns their sum.
#[inline(always)]
pub(crate) fn exp_shifted(values: &mut [f32], shift: f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let mut blocks = values.chunks_exact_mut(LANES);
    for block in &mut blocks {
        for lane in 0..LANES {
            block[lane] = exp(block[lane] - shift);
            lanes[lane] += block[lane];
        }
    }
    let mut tail = 0.0;
    for value in blocks.into_remainder() {
        *value = exp(*value - shift);
        tail += *value;
    }
    fold(lanes) + tail
}

/// Sums the lanes pairwise.
#[inline(always)]
fn fold(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_accurate_over_its_range_and_keeps_nan() {
        for step in -8700..=8800 {
            let x = step as f32 / 100.0;
            let truth = f64::from(x).exp();
            assert!((f64::from(exp(x)) - truth).abs() <= 3e-7 * truth, "{x}: {} against {truth}", exp(x));
        }
        assert!(exp(f32::NAN).is_nan());
        assert!(exp(-1e9) < 2e-38 && exp(1e9).is_finite());
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn reductions_agree_with_plain_loops_for_every_length() {
        for length in 0..70 {
            let a: Vec<f32> = (0..length).map(|i| ((i * 37 + 11) % 23) as f32 - 11.0).collect();
            let b: Vec<f32> = (0..length).map(|i| ((i * 53 + 5) % 19) as f32 - 9.0).collect();
            assert_eq!(dot(&a, &b), a.iter().zip(&b).map(|(a, b)| a * b).sum::<f32>());
            assert_eq!(max(&a), a.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            let mut shifted = a.clone();
            let sum = exp_shifted(&mut shifted, 1.5);
            let truth: f32 = a.iter().map(|a| (a - 1.5).exp()).sum();
            assert!((sum - truth).abs() <= 1e-5 * truth, "{sum} {truth}");
        }
    }

    vectorised! {
        fn scale(values: &mut [f32], by: f32) -> usize {
            for value in values.iter_mut() { *value *= by; }
            values.len()
        }
    }

    #[test]
    fn a_vectorised_function_takes_borrows_and_returns_values() {
        let mut values: Vec<f32> = (0..37).map(|i| i as f32).collect();
        assert_eq!(scale(&mut values, 2.0), 37);
        assert!(values.iter().enumerate().all(|(i, v)| *v == 2.0 * i as f32));
    }
}
