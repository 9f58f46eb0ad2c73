//! One source, three instruction sets. A [`Kernel`] is written once over [`Lanes`] and compiled for AVX-512,
//! for AVX2 with FMA and for whatever the target has anyway; [`dispatch`] takes the best that the processor can do.
//!
//! Everything that a kernel calls must be `#[inline(always)]`: only then is it compiled with the instructions of
//! the set that was chosen. Plain loops in it are vectorised by the compiler; products that live in registers
//! are written with `Lanes`.

/// A register of f32 lanes.
pub(super) trait Lanes: Copy {
    /// How many lanes.
    const LEN: usize;
    /// Rows of a register block in a matrix product: with two columns of registers each, as many as stay in the
    /// register file.
    const ROWS: usize;

    /// The same value in every lane.
    ///
    /// # Safety
    /// Here and below: the processor has the instruction set (only [`dispatch`] chooses it).
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

/// A piece of arithmetic that is compiled for every instruction set.
pub(super) trait Kernel {
    type Output;

    /// Implementations are `#[inline(always)]`.
    fn run<L: Lanes>(self) -> Self::Output;
}

/// The instruction sets that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Set {
    Avx512,
    Avx2,
    Portable,
}

impl Set {
    /// Whether this processor has it.
    fn is_here(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => is_x86_feature_detected!("avx512f"),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(not(target_arch = "x86_64"))]
            Set::Avx512 | Set::Avx2 => false,
            Set::Portable => true,
        }
    }

    /// The best of this processor.
    fn best() -> Set {
        #[cfg(test)]
        if let Some(set) = tests::FORCED.get() {
            return set;
        }
        [Set::Avx512, Set::Avx2].into_iter().find(|set| set.is_here()).unwrap_or(Set::Portable)
    }
}

/// Runs a kernel with the best instruction set of this processor.
#[inline]
pub(super) fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    match Set::best() {
        // Safety: `best` names only what the processor has.
        #[cfg(target_arch = "x86_64")]
        Set::Avx512 => unsafe { x86::with_avx512(kernel) },
        #[cfg(target_arch = "x86_64")]
        Set::Avx2 => unsafe { x86::with_avx2(kernel) },
        _ => kernel.run::<Portable>(),
    }
}

/// Four lanes in plain Rust: what is left on an old or foreign processor.
#[derive(Clone, Copy)]
struct Portable([f32; 4]);

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
mod x86 {
    use std::arch::x86_64::*;

    use super::{Kernel, Lanes};

    #[target_feature(enable = "avx512f,avx2,fma")]
    pub(super) fn with_avx512<K: Kernel>(kernel: K) -> K::Output {
        kernel.run::<Avx512>()
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn with_avx2<K: Kernel>(kernel: K) -> K::Output {
        kernel.run::<Avx2>()
    }

    /// The five operations of a set by the names of its intrinsics.
    macro_rules! lanes {
        ($name:ident, $register:ty, $len:literal, $rows:literal,
         $splat:ident, $load:ident, $store:ident, $add:ident, $mul_add:ident) => {
            #[derive(Clone, Copy)]
            pub(super) struct $name($register);

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

    lanes!(Avx512, __m512, 16, 8, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_add_ps, _mm512_fmadd_ps);
    lanes!(Avx2, __m256, 8, 4, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_add_ps, _mm256_fmadd_ps);
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::Cell;

    use super::Set;

    thread_local! {
        pub(super) static FORCED: Cell<Option<Set>> = const { Cell::new(None) };
    }

    /// What `work` gives under every instruction set that this processor has.
    pub(crate) fn under_each_set<T>(mut work: impl FnMut() -> T) -> Vec<T> {
        let here = [Set::Avx512, Set::Avx2, Set::Portable].into_iter().filter(|set| set.is_here());
        let each = |set| {
            FORCED.set(Some(set));
            let result = work();
            FORCED.set(None);
            result
        };
        here.map(each).collect()
    }
}
