//! One body, three machine codes: loops that the compiler vectorises for AVX-512, for AVX2 and for whatever the
//! target has, chosen when the program runs.
//!
//! Within one level the order of every sum is fixed, so a machine gives the same bits on every run; two machines
//! of different levels may differ in the last bits.

/// Instructions that loops are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Avx512,
    Avx2,
    /// Whatever the target has.
    Baseline,
}

impl Level {
    /// Whether this processor has them (detection is cached by the standard library).
    fn is_here(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq"),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(not(target_arch = "x86_64"))]
            Level::Avx512 | Level::Avx2 => false,
            Level::Baseline => true,
        }
    }

    /// Floats of a register: [`Lanes::LEN`] of the lanes that a function gets at this level.
    pub(crate) fn lanes(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => Avx512::LEN,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => Avx2::LEN,
            #[cfg(not(target_arch = "x86_64"))]
            Level::Avx512 | Level::Avx2 => Portable::LEN,
            Level::Baseline => Portable::LEN,
        }
    }

    /// The best of this processor.
    #[inline]
    pub(crate) fn best() -> Level {
        #[cfg(test)]
        if let Some(level) = tests::FORCED.get() {
            return level;
        }
        [Level::Avx512, Level::Avx2].into_iter().find(|level| level.is_here()).unwrap_or(Level::Baseline)
    }
}

/// Defines a function whose body is compiled once per [`Level`]. The body is ordinary Rust over slices: loops with
/// `mul_add`, which the compiler vectorises; or, in a function that is generic over its [`Lanes`], sums that have to stay
/// in registers. Everything that it calls per element has to be `#[inline(always)]`.
macro_rules! vectorised {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $crate::kernels::simd::vectorised! { $(#[$meta])* $vis fn $name<AnyLanes>($($arg: $ty),*) $(-> $ret)? $body }
    };
    ($(#[$meta:meta])* $vis:vis fn $name:ident<$lanes:ident>($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn body<$lanes: $crate::kernels::simd::Lanes>($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512dq,fma")]
                #[allow(clippy::too_many_arguments)]
                fn avx512($($arg: $ty),*) $(-> $ret)? { body::<$crate::kernels::simd::Avx512>($($arg),*) }
                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn avx2($($arg: $ty),*) $(-> $ret)? { body::<$crate::kernels::simd::Avx2>($($arg),*) }
                match $crate::kernels::simd::Level::best() {
                    // SAFETY: the processor was asked for exactly these features.
                    $crate::kernels::simd::Level::Avx512 => return unsafe { avx512($($arg),*) },
                    $crate::kernels::simd::Level::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::kernels::simd::Level::Baseline => {}
                }
            }
            #[allow(unreachable_code)]
            body::<$crate::kernels::simd::Portable>($($arg),*)
        }
    };
}
pub(crate) use vectorised;

/// A register of f32 lanes.
pub(crate) trait Lanes: Copy {
    /// How many lanes.
    const LEN: usize;
    /// Rows of a register block in a matrix product: with two columns of registers each, two for the operands, and one
    /// more, as many as stay in the register file.
    const ROWS: usize;

    /// The same value in every lane.
    ///
    /// # Safety
    /// Here and below: the processor has the instruction set (only [`vectorised`] chooses it).
    unsafe fn splat(value: f32) -> Self;

    /// # Safety
    /// `LEN` floats can be read from `from`.
    unsafe fn load(from: *const f32) -> Self;

    /// # Safety
    /// `LEN` floats can be written to `to`.
    unsafe fn store(self, to: *mut f32);

    /// # Safety
    /// See [`Lanes::splat`].
    unsafe fn add(self, other: Self) -> Self;

    /// `self * factor + addend`, rounded once where the set has fused multiply-add.
    ///
    /// # Safety
    /// See [`Lanes::splat`].
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self;
}

/// Four lanes in plain Rust: what is left on an old or foreign processor.
#[derive(Clone, Copy)]
pub(crate) struct Portable([f32; 4]);

impl Lanes for Portable {
    const LEN: usize = 4;
    const ROWS: usize = 4;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Portable([value; 4])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // Safety: the caller's promise.
        Portable(unsafe { from.cast::<[f32; 4]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // Safety: the caller's promise.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Portable(std::array::from_fn(|lane| self.0[lane] + other.0[lane]))
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
        Portable(std::array::from_fn(|lane| self.0[lane] * factor.0[lane] + addend.0[lane]))
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Lanes;

    /// The five operations of a set by the names of its intrinsics.
    macro_rules! lanes {
        ($name:ident, $register:ty, $len:literal, $rows:literal,
         $splat:ident, $load:ident, $store:ident, $add:ident, $mul_add:ident) => {
            #[derive(Clone, Copy)]
            pub(crate) struct $name($register);

            // Safety of every block: the promise of the trait's caller.
            impl Lanes for $name {
                const LEN: usize = $len;
                const ROWS: usize = $rows;

                #[inline(always)]
                unsafe fn splat(value: f32) -> Self {
                    $name(unsafe { $splat(value) })
                }

                #[inline(always)]
                unsafe fn load(from: *const f32) -> Self {
                    $name(unsafe { $load(from) })
                }

                #[inline(always)]
                unsafe fn store(self, to: *mut f32) {
                    unsafe { $store(to, self.0) }
                }

                #[inline(always)]
                unsafe fn add(self, other: Self) -> Self {
                    $name(unsafe { $add(self.0, other.0) })
                }

                #[inline(always)]
                unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
                    $name(unsafe { $mul_add(self.0, factor.0, addend.0) })
                }
            }
        };
    }

    lanes!(Avx512, __m512, 16, 12, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_add_ps, _mm512_fmadd_ps);
    lanes!(Avx2, __m256, 8, 6, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_add_ps, _mm256_fmadd_ps);
}

/// Has the processor read a cache line that is needed soon, into the cache behind the fastest. Wherever it is: what is not
/// there is not read.
#[inline(always)]
pub(crate) fn prefetch(line: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // Safety: every such processor has the instruction, which changes nothing that can be seen.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(line.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = line;
}

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
pub(crate) fn fold(mut lanes: [f32; LANES]) -> f32 {
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
pub(crate) mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        pub(super) static FORCED: Cell<Option<Level>> = const { Cell::new(None) };
    }

    /// What `work` gives under every level that this processor has.
    pub(crate) fn under_each_level<T>(mut work: impl FnMut() -> T) -> Vec<T> {
        let here = [Level::Avx512, Level::Avx2, Level::Baseline].into_iter().filter(|level| level.is_here());
        let each = |level| {
            FORCED.set(Some(level));
            let result = work();
            FORCED.set(None);
            result
        };
        here.map(each).collect()
    }

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
