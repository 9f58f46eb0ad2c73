//! Products of operands that are rounded to bf16 and summed in f32, on processors where AVX512-BF16 is faster than f32: it has twice
//! the rate of f32 on some, and half of it on others.
//!
//! Both operands are packed first. A panel holds 16 rows of the left matrix, or 16 columns of the right one, as
//! `[pair][lane]`: two values that follow each other along the inner dimension share 32 bits, and one instruction
//! multiplies a pair of each of 16 lanes. AMX reads its right operand in the same layout, so that
//! tiles of the output are all that would have to be written for it.

use std::arch::x86_64::*;
use std::cell::Cell;
use std::hint::black_box;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::matrix::{Matrix, Write};

/// Rows or columns of a panel: f32 in a register.
const LANES: usize = 16;
/// Rows of a tile of the output: half a panel.
const ROWS: usize = 8;
/// Panels of columns of a tile. Its sums take 24 of the 32 registers.
const PANELS: usize = 3;
/// Inner dimension, rows and columns that are packed at once: 128 KB of the left operand stay in the second-level
/// cache, at most 2 MB of the right one in the third.
const DEPTH: usize = 512;
const HEIGHT: usize = 128;
const WIDTH: usize = 2048;

thread_local! {
    /// Both operands packed, kept for the next product.
    static PACKED: Cell<[Vec<__m512i>; 2]> = const { Cell::new([Vec::new(), Vec::new()]) };
}

/// Whether the processor has the instructions.
fn is_here() -> bool {
    is_x86_feature_detected!("avx512bf16") && is_x86_feature_detected!("avx512bw")
}

/// Whether it has them, and is faster with them. The best of many short tries does not depend on what else is running, and a rate of
/// two (Zen 4) or a half (a Xeon) is far from where this changes. Tests use them wherever they are.
pub(super) fn is_faster() -> bool {
    static IS_FASTER: LazyLock<bool> = LazyLock::new(|| {
        if cfg!(test) {
            return is_here();
        }
        // SAFETY: the processor has been asked for these features (AVX-512F comes with each of them).
        is_here() && unsafe { rate_of_pairs() } > 1.2
    });
    *IS_FASTER
}

/// How many times as fast pairs of bf16 are multiplied and summed as values of f32.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn rate_of_pairs() -> f64 {
    const TRIES: usize = 50;
    const STEPS: usize = 200;
    /// Enough for as many instructions to be under way as a processor takes.
    const SUMS: usize = 16;
    let values = black_box(_mm512_set1_ps(1.0));
    let pairs = in_pairs(_mm512_castps_si512(values));
    let [mut of_pairs, mut of_values] = [Duration::MAX; 2];
    for _ in 0..TRIES {
        let mut sums = [values; SUMS];
        let begin = Instant::now();
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = _mm512_dpbf16_ps(*sum, pairs, pairs);
            }
        }
        black_box(sums);
        of_pairs = of_pairs.min(begin.elapsed());
        let mut sums = [values; SUMS];
        let begin = Instant::now();
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(values, values, *sum);
            }
        }
        black_box(sums);
        of_values = of_values.min(begin.elapsed());
    }
    2.0 * of_values.as_secs_f64() / of_pairs.as_secs_f64()
}

/// `out = a b` or `out += a b` for operands that are not empty, already checked by [`Precision`](super::product::Precision).
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn multiply(out: &mut [f32], out_step: usize, a: Matrix, b: Matrix, write: Write) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    let b = b.transposed();
    let [mut left, mut right] = PACKED.take();
    for column in (0..n).step_by(WIDTH) {
        let width = WIDTH.min(n - column);
        for start in (0..k).step_by(DEPTH) {
            let depth = DEPTH.min(k - start);
            let add = write == Write::Add || start > 0;
            pack(&mut right, b.part(column, width, start, depth));
            for row in (0..m).step_by(HEIGHT) {
                let height = HEIGHT.min(m - row);
                pack(&mut left, a.part(row, height, start, depth));
                let out = &mut out[row * out_step + column..];
                tiles(out, out_step, &left, &right, (height, width, depth), add);
            }
        }
    }
    PACKED.set([left, right]);
}

/// Registers of a panel: pairs of the inner dimension, in whole blocks.
fn panel_length(depth: usize) -> usize {
    depth.div_ceil(2 * LANES) * LANES
}

/// Packs the rows of a matrix, zeros beyond the last row and column.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn pack(to: &mut Vec<__m512i>, from: Matrix) {
    let length = panel_length(from.columns);
    to.resize(from.rows.div_ceil(LANES) * length, _mm512_setzero_si512());
    for (panel, to) in to.chunks_exact_mut(length).enumerate() {
        let row = panel * LANES;
        let rows = LANES.min(from.rows - row);
        for (block, to) in to.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            let column = block * 2 * LANES;
            let columns = (2 * LANES).min(from.columns - column);
            let part = from.part(row, rows, column, columns);
            if rows == LANES && columns == 2 * LANES && part.column_step == 1 {
                pack_rows(to, part);
            } else if rows == LANES && columns == 2 * LANES && part.row_step == 1 {
                pack_columns(to, part);
            } else {
                let mut whole = [0.0; LANES * 2 * LANES];
                for i in 0..rows {
                    for j in 0..columns {
                        whole[i * 2 * LANES + j] = part.values[i * part.row_step + j * part.column_step];
                    }
                }
                pack_rows(to, Matrix::new(&whole, LANES, 2 * LANES));
            }
        }
    }
}

/// 16 rows of 32 values that lie side by side: rounded, then transposed pair by pair.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn pack_rows(to: &mut [__m512i; LANES], from: Matrix) {
    for (lane, to) in to.iter_mut().enumerate() {
        let row = &from.values[lane * from.row_step..][..2 * LANES];
        // SAFETY: the slice holds two registers.
        let (low, high) = unsafe { (_mm512_loadu_ps(row.as_ptr()), _mm512_loadu_ps(row[LANES..].as_ptr())) };
        *to = in_bits(_mm512_cvtne2ps_pbh(high, low));
    }
    transpose(to);
}

/// The same where the 16 values of a column lie side by side: two columns make a register of pairs.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn pack_columns(to: &mut [__m512i; LANES], from: Matrix) {
    let interleave = _mm512_set_epi16(
        31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1,
        16, 0,
    );
    for (pair, to) in to.iter_mut().enumerate() {
        let column = |index: usize| &from.values[index * from.column_step..][..LANES];
        let (even, odd) = (column(2 * pair), column(2 * pair + 1));
        // SAFETY: each slice holds one register.
        let (even, odd) = unsafe { (_mm512_loadu_ps(even.as_ptr()), _mm512_loadu_ps(odd.as_ptr())) };
        *to = _mm512_permutexvar_epi16(interleave, in_bits(_mm512_cvtne2ps_pbh(odd, even)));
    }
}

/// Transposes 16 x 16 values of 32 bits: within quarters of registers, then the quarters.
#[target_feature(enable = "avx512f")]
fn transpose(rows: &mut [__m512i; LANES]) {
    let mut half = [_mm512_setzero_si512(); LANES];
    for i in 0..8 {
        half[2 * i] = _mm512_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
        half[2 * i + 1] = _mm512_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
    }
    for i in 0..4 {
        let (a, b, c, d) = (half[4 * i], half[4 * i + 1], half[4 * i + 2], half[4 * i + 3]);
        rows[4 * i] = _mm512_unpacklo_epi64(a, c);
        rows[4 * i + 1] = _mm512_unpackhi_epi64(a, c);
        rows[4 * i + 2] = _mm512_unpacklo_epi64(b, d);
        rows[4 * i + 3] = _mm512_unpackhi_epi64(b, d);
    }
    for i in 0..4 {
        half[i] = _mm512_shuffle_i32x4(rows[i], rows[i + 4], 0x88);
        half[i + 4] = _mm512_shuffle_i32x4(rows[i], rows[i + 4], 0xdd);
        half[i + 8] = _mm512_shuffle_i32x4(rows[i + 8], rows[i + 12], 0x88);
        half[i + 12] = _mm512_shuffle_i32x4(rows[i + 8], rows[i + 12], 0xdd);
    }
    for i in 0..8 {
        rows[i] = _mm512_shuffle_i32x4(half[i], half[i + 8], 0x88);
        rows[i + 8] = _mm512_shuffle_i32x4(half[i], half[i + 8], 0xdd);
    }
}

/// The product of packed operands of `(rows, columns, inner)` size, tile by tile.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn tiles(
    out: &mut [f32],
    out_step: usize,
    left: &[__m512i],
    right: &[__m512i],
    (m, n, k): (usize, usize, usize),
    add: bool,
) {
    let length = panel_length(k);
    for column in (0..n).step_by(PANELS * LANES) {
        let width = (n - column).min(PANELS * LANES);
        let right = &right[column / LANES * length..];
        for row in (0..m).step_by(ROWS) {
            let left = &left[row / LANES * length..][..length];
            let tile = Tile {
                left,
                lane: row % LANES,
                right,
                pairs: k.div_ceil(2),
                out: &mut out[row * out_step + column..],
                out_step,
                rows: ROWS.min(m - row),
                columns: width,
                add,
            };
            match width.div_ceil(LANES) {
                1 => tile.run::<1>(),
                2 => tile.run::<2>(),
                _ => tile.run::<PANELS>(),
            }
        }
    }
}

/// One tile of the output, whose sums stay in registers.
struct Tile<'a> {
    left: &'a [__m512i],
    /// Which half of the left panel.
    lane: usize,
    right: &'a [__m512i],
    pairs: usize,
    out: &'a mut [f32],
    out_step: usize,
    rows: usize,
    columns: usize,
    add: bool,
}

impl Tile<'_> {
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn run<const P: usize>(self) {
        let length = self.left.len();
        assert!(self.pairs <= length && self.right.len() >= P * length && self.lane + ROWS <= LANES);
        assert!(self.rows <= ROWS && self.columns <= P * LANES && self.columns + LANES > P * LANES);
        assert!(self.out.len() >= (self.rows - 1) * self.out_step + self.columns);
        let mut sums = [[_mm512_setzero_ps(); P]; ROWS];
        let (left, right) = (self.left.as_ptr().cast::<i32>(), self.right.as_ptr());
        for pair in 0..self.pairs {
            // SAFETY: the first assert.
            unsafe {
                let right: [__m512bh; P] = std::array::from_fn(|panel| in_pairs(*right.add(panel * length + pair)));
                for (row, sums) in sums.iter_mut().enumerate() {
                    let left = in_pairs(_mm512_set1_epi32(*left.add(pair * LANES + self.lane + row)));
                    for (sum, right) in sums.iter_mut().zip(right) {
                        *sum = _mm512_dpbf16_ps(*sum, left, right);
                    }
                }
            }
        }
        for (row, sums) in sums.into_iter().enumerate().take(self.rows) {
            for (panel, mut sum) in sums.into_iter().enumerate() {
                let there = (self.columns - panel * LANES).min(LANES);
                let mask = (u32::MAX >> (32 - there)) as u16;
                // SAFETY: the last assert; what lies beyond the last column is masked.
                unsafe {
                    let place = self.out.as_mut_ptr().add(row * self.out_step + panel * LANES);
                    if self.add {
                        sum = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, place), sum);
                    }
                    _mm512_mask_storeu_ps(place, mask, sum);
                }
            }
        }
    }
}

/// Pairs of bf16 as plain bits, and back.
#[inline(always)]
fn in_bits(pairs: __m512bh) -> __m512i {
    // SAFETY: both are 512 bits without any invalid pattern.
    unsafe { std::mem::transmute(pairs) }
}

#[inline(always)]
fn in_pairs(bits: __m512i) -> __m512bh {
    // SAFETY: as above.
    unsafe { std::mem::transmute(bits) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::random;
    use half::bf16;

    /// Against sums in f64 over rounded operands.
    #[test]
    fn agrees_with_plain_loops_over_rounded_operands_for_shapes_that_are_multiples_of_nothing() {
        if !is_here() {
            return eprintln!("skipped: this processor has no AVX512-BF16");
        }
        let shapes = [(1, 1, 1), (3, 5, 7), (17, 1, 33), (8, 48, 64), (33, 67, 31), (130, 49, 1100), (2, 2063, 3)];
        for (m, n, k) in shapes {
            let (a, b) = (random(m * k, 1), random(k * n, 2));
            for (a_turned, b_turned) in [(false, false), (false, true), (true, false), (true, true)] {
                let left = if a_turned { Matrix::new(&a, k, m).transposed() } else { Matrix::new(&a, m, k) };
                let right = if b_turned { Matrix::new(&b, n, k).transposed() } else { Matrix::new(&b, k, n) };
                for write in [Write::Replace, Write::Add] {
                    let step = n + 3;
                    let mut out = vec![9.0; m * step];
                    // SAFETY: the processor has the features.
                    unsafe { multiply(&mut out, step, left, right, write) };
                    for (i, row) in out.chunks(step).enumerate() {
                        for (j, found) in row[..n].iter().enumerate() {
                            let value = |matrix: &Matrix, i: usize, j: usize| {
                                let value = matrix.values[i * matrix.row_step + j * matrix.column_step];
                                f64::from(bf16::from_f32(value))
                            };
                            let product = |l| value(&left, i, l) * value(&right, l, j);
                            let before = if write == Write::Add { 9.0 } else { 0.0 };
                            let truth = before + (0..k).map(product).sum::<f64>();
                            assert!((truth - f64::from(*found)).abs() < 1e-4, "{m} {n} {k}: {found}, {truth}");
                        }
                        assert_eq!(row[n..], [9.0; 3], "values between rows stay");
                    }
                }
            }
        }
    }
}
