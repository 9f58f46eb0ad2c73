//! Rotary positions (Su et al., 2021) in the "rotate halves" form of Llama and Qwen: within a head, dimension `i`
//! turns together with dimension `i + d/2`.

use super::rotary::Rotary;
use super::simd::vectorised;

/// Cosines and sines of the positions that occur: the one table that the sampler and the learner read.
pub struct Rope {
    rotary: Rotary,
    cosines: Vec<f32>,
    sines: Vec<f32>,
}

impl Rope {
    /// Tables for positions `0..positions`.
    pub fn new(rotary: Rotary, positions: usize) -> Rope {
        let mut rope = Rope { rotary, cosines: Vec::new(), sines: Vec::new() };
        rope.grow(positions);
        rope
    }

    /// Makes the tables long enough for positions `0..positions`.
    pub fn grow(&mut self, positions: usize) {
        let Rotary { frequencies, attention_factor } = &self.rotary;
        // Angles are rounded to f32 before the cosine, as transformers does.
        let row = |position: usize| frequencies.iter().map(move |by| f64::from(position as f32 * by));
        for angle in (self.positions()..positions).flat_map(row) {
            self.cosines.push(angle.cos() as f32 * attention_factor);
            self.sines.push(angle.sin() as f32 * attention_factor);
        }
    }

    /// Cosines and sines at a position, `[head_dim / 2]` each.
    #[inline(always)]
    pub fn at(&self, position: usize) -> (&[f32], &[f32]) {
        let half = self.half();
        let span = position * half..(position + 1) * half;
        (&self.cosines[span.clone()], &self.sines[span])
    }

    fn half(&self) -> usize {
        self.rotary.frequencies.len()
    }

    /// How many positions the tables hold.
    pub fn positions(&self) -> usize {
        self.cosines.len() / self.half()
    }

    /// Turns one head at a position in place, multiplied by `scale`.
    #[inline(always)]
    pub(crate) fn turn_head(&self, position: usize, head: &mut [f32], scale: f32) {
        let (cosines, sines) = self.at(position);
        let (first, second) = head.split_at_mut(cosines.len());
        for (((a, b), cosine), sine) in first.iter_mut().zip(second).zip(cosines).zip(sines) {
            (*a, *b) = turned(*a, *b, *cosine, *sine, scale);
        }
    }

    /// Turns a head: row `i`, at position `first + i`, of `from` (a row every `from_step` values) goes to row `i` of
    /// `to` (a row every `to_step` values), multiplied by `scale`. `Direction::Back` is the inverse, for gradients.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn turn(
        &self,
        direction: Direction,
        first: usize,
        to: &mut [f32],
        to_step: usize,
        from: &[f32],
        from_step: usize,
        scale: f32,
    ) {
        let skipped = first * self.half();
        let sign = if direction == Direction::Back { -1.0 } else { 1.0 };
        let (cosines, sines) = (&self.cosines[skipped..], &self.sines[skipped..]);
        turn_rows(to, to_step, from, from_step, cosines, sines, self.half(), sign, scale);
    }
}

/// Which way heads are turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Forth,
    Back,
}

/// A pair of dimensions, turned and multiplied by `scale`.
#[inline(always)]
fn turned(a: f32, b: f32, cosine: f32, sine: f32, scale: f32) -> (f32, f32) {
    ((a * cosine - b * sine) * scale, (b * cosine + a * sine) * scale)
}

vectorised! {
    fn turn_rows(
        to: &mut [f32],
        to_step: usize,
        from: &[f32],
        from_step: usize,
        cosines: &[f32],
        sines: &[f32],
        half: usize,
        sign: f32,
        scale: f32,
    ) {
        let tables = cosines.chunks_exact(half).zip(sines.chunks_exact(half));
        for ((to, from), (cosines, sines)) in to.chunks_mut(to_step).zip(from.chunks(from_step)).zip(tables) {
            let ((a, b), (to_a, to_b)) = (from[..2 * half].split_at(half), to[..2 * half].split_at_mut(half));
            let pairs = a.iter().zip(b).zip(cosines.iter().zip(sines));
            for ((to_a, to_b), ((a, b), (cosine, sine))) in to_a.iter_mut().zip(to_b).zip(pairs) {
                (*to_a, *to_b) = turned(*a, *b, *cosine, sign * sine, scale);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::random;

    #[test]
    fn a_table_that_grew_is_one_that_was_made_as_long() {
        let mut grown = Rope::new(Rotary::new(6, 1e4, None), 0);
        [3, 2, 40].into_iter().for_each(|positions| grown.grow(positions));
        let whole = Rope::new(Rotary::new(6, 1e4, None), 40);
        assert_eq!((grown.positions(), &grown.cosines, &grown.sines), (40, &whole.cosines, &whole.sines));
        assert_eq!(grown.at(7).0, &whole.cosines[21..24]);
    }

    #[test]
    fn turning_back_undoes_turning_and_products_depend_on_the_distance_only() {
        for dim in [2, 6, 32] {
            let rope = Rope::new(Rotary::new(dim, 100.0, None), 9);
            // Rows with room to spare.
            let step = dim + 3;
            let row = random(step, 1);
            let rows = row.repeat(9);
            let (mut turned, mut back) = (vec![0.0; 9 * dim], vec![7.0; 9 * step]);
            rope.turn(Direction::Forth, 0, &mut turned, dim, &rows, step, 2.0);
            rope.turn(Direction::Back, 0, &mut back, step, &turned, dim, 0.5);
            for (back, row) in back.chunks(step).zip(rows.chunks(step)) {
                assert!(back[..dim].iter().zip(row).all(|(a, b)| (a - b).abs() < 1e-5));
                assert_eq!(back[dim..], [7.0; 3]);
            }
            let mut later = vec![0.0; 5 * dim];
            rope.turn(Direction::Forth, 4, &mut later, dim, &rows, step, 2.0);
            assert_eq!(later, turned[4 * dim..]);
            let product =
                |i: usize, j: usize| -> f32 { (0..dim).map(|c| turned[i * dim + c] * turned[j * dim + c]).sum() };
            assert!((product(2, 5) - product(4, 7)).abs() < 1e-4);
            assert!(dim == 2 || (product(2, 5) - product(2, 8)).abs() > 1e-3);
        }
    }
}
