//! Rotary positions (Su et al., 2021) in the "rotate halves" form of Llama and Qwen: within a head, dimension `i`
//! turns together with dimension `i + d/2` by `position * theta^(-2i/d)`.

use super::simd::vectorised;

/// Cosines and sines for all positions that occur.
pub struct Rope {
    half: usize,
    cosines: Vec<f32>,
    sines: Vec<f32>,
}

impl Rope {
    /// Tables for positions `0..positions` of heads with `head_dim` (even) dimensions.
    pub fn new(head_dim: usize, theta: f64, positions: usize) -> Rope {
        let frequencies = frequencies(head_dim, theta);
        // Angles are rounded to f32 before the cosine, as every other implementation does.
        let angles = || (0..positions).flat_map(|p| frequencies.iter().map(move |f| f64::from(p as f32 * f)));
        Rope {
            half: head_dim / 2,
            cosines: angles().map(|angle| angle.cos() as f32).collect(),
            sines: angles().map(|angle| angle.sin() as f32).collect(),
        }
    }

    /// How many positions the tables hold.
    pub fn positions(&self) -> usize {
        self.cosines.len() / self.half
    }

    /// Turns a head: row `i`, at position `first + i`, of `from` (a row every `from_step` values) goes to row `i` of
    /// `to` (a row every `to_step` values), multiplied by `scale`.
    pub(crate) fn turn(
        &self,
        first: usize,
        to: &mut [f32],
        to_step: usize,
        from: &[f32],
        from_step: usize,
        scale: f32,
    ) {
        let skipped = first * self.half;
        turn(to, to_step, from, from_step, &self.cosines[skipped..], &self.sines[skipped..], self.half, scale);
    }

    /// The inverse turn, for gradients.
    pub(crate) fn turn_back(
        &self,
        first: usize,
        to: &mut [f32],
        to_step: usize,
        from: &[f32],
        from_step: usize,
        scale: f32,
    ) {
        let skipped = first * self.half;
        turn_back(to, to_step, from, from_step, &self.cosines[skipped..], &self.sines[skipped..], self.half, scale);
    }
}

/// Radians per position of each pair of dimensions.
pub fn frequencies(head_dim: usize, theta: f64) -> Vec<f32> {
    (0..head_dim / 2).map(|i| theta.powf(-2.0 * i as f64 / head_dim as f64) as f32).collect()
}

vectorised! {
    fn turn(
        to: &mut [f32],
        to_step: usize,
        from: &[f32],
        from_step: usize,
        cosines: &[f32],
        sines: &[f32],
        half: usize,
        scale: f32,
    ) {
        let tables = cosines.chunks_exact(half).zip(sines.chunks_exact(half));
        for ((to, from), (cosines, sines)) in to.chunks_mut(to_step).zip(from.chunks(from_step)).zip(tables) {
            let ((a, b), (to_a, to_b)) = (from[..2 * half].split_at(half), to[..2 * half].split_at_mut(half));
            let pairs = a.iter().zip(b).zip(cosines.iter().zip(sines));
            for ((to_a, to_b), ((a, b), (cosine, sine))) in to_a.iter_mut().zip(to_b).zip(pairs) {
                *to_a = (a * cosine - b * sine) * scale;
                *to_b = (b * cosine + a * sine) * scale;
            }
        }
    }
}

vectorised! {
    fn turn_back(
        to: &mut [f32],
        to_step: usize,
        from: &[f32],
        from_step: usize,
        cosines: &[f32],
        sines: &[f32],
        half: usize,
        scale: f32,
    ) {
        let tables = cosines.chunks_exact(half).zip(sines.chunks_exact(half));
        for ((to, from), (cosines, sines)) in to.chunks_mut(to_step).zip(from.chunks(from_step)).zip(tables) {
            let ((a, b), (to_a, to_b)) = (from[..2 * half].split_at(half), to[..2 * half].split_at_mut(half));
            let pairs = a.iter().zip(b).zip(cosines.iter().zip(sines));
            for ((to_a, to_b), ((a, b), (cosine, sine))) in to_a.iter_mut().zip(to_b).zip(pairs) {
                *to_a = (a * cosine + b * sine) * scale;
                *to_b = (b * cosine - a * sine) * scale;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::random;

    #[test]
    fn turning_back_undoes_turning_and_products_depend_on_the_distance_only() {
        for dim in [2, 6, 32] {
            let rope = Rope::new(dim, 100.0, 9);
            // Rows with room to spare.
            let step = dim + 3;
            let row = random(step, 1);
            let rows = row.repeat(9);
            let (mut turned, mut back) = (vec![0.0; 9 * dim], vec![7.0; 9 * step]);
            rope.turn(0, &mut turned, dim, &rows, step, 2.0);
            rope.turn_back(0, &mut back, step, &turned, dim, 0.5);
            for (back, row) in back.chunks(step).zip(rows.chunks(step)) {
                assert!(back[..dim].iter().zip(row).all(|(a, b)| (a - b).abs() < 1e-5));
                assert_eq!(back[dim..], [7.0; 3]);
            }
            let mut later = vec![0.0; 5 * dim];
            rope.turn(4, &mut later, dim, &rows, step, 2.0);
            assert_eq!(later, turned[4 * dim..]);
            let product =
                |i: usize, j: usize| -> f32 { (0..dim).map(|c| turned[i * dim + c] * turned[j * dim + c]).sum() };
            assert!((product(2, 5) - product(4, 7)).abs() < 1e-4);
            assert!(dim == 2 || (product(2, 5) - product(2, 8)).abs() > 1e-3);
        }
    }
}
