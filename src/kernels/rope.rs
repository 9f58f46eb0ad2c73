//! Rotary positions (Su et al., 2021) in the "rotate halves" form of Llama and Qwen: within a head, dimension `i`
//! turns together with dimension `i + d/2` by `position * theta^(-2i/d)`.

use serde::{Deserialize, Serialize};

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
        Rope::with_frequencies(&frequencies(head_dim, theta, None), positions)
    }

    /// The same for heads that turn at these [`frequencies`].
    pub fn with_frequencies(frequencies: &[f64], positions: usize) -> Rope {
        // Angles are rounded to f32 before the cosine, as every other implementation does.
        let angle = |position: usize, frequency: &f64| f64::from(position as f32 * *frequency as f32);
        let angles = || (0..positions).flat_map(|position| frequencies.iter().map(move |f| angle(position, f)));
        Rope {
            half: frequencies.len(),
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
pub fn frequencies(head_dim: usize, theta: f64, scaling: Option<&RopeScaling>) -> Vec<f64> {
    let plain = (0..head_dim / 2).map(|i| theta.powf(-2.0 * i as f64 / head_dim as f64));
    plain.map(|frequency| scaling.map_or(frequency, |scaling| scaling.apply(frequency))).collect()
}

/// How a model's rotations were slowed down for sequences longer than those it was first trained on, in the words of
/// a Hugging Face `config.json`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rope_type", rename_all = "lowercase")]
pub enum RopeScaling {
    /// Every position is divided by `factor` (Chen et al., 2023).
    Linear { factor: f64 },
    /// Llama 3.1: dimensions that turn fewer than `low_freq_factor` times within the first context are slowed down by
    /// `factor`, those that turn more than `high_freq_factor` times are left alone, and between the two it changes
    /// smoothly.
    Llama3 { factor: f64, low_freq_factor: f64, high_freq_factor: f64, original_max_position_embeddings: usize },
}

impl RopeScaling {
    fn apply(&self, frequency: f64) -> f64 {
        match *self {
            RopeScaling::Linear { factor } => frequency / factor,
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } => {
                let turns = original_max_position_embeddings as f64 * frequency / std::f64::consts::TAU;
                let kept = ((turns - low_freq_factor) / (high_freq_factor - low_freq_factor)).clamp(0.0, 1.0);
                frequency * (kept + (1.0 - kept) / factor)
            }
        }
    }

    /// The key that has a value it cannot have, with that value.
    pub fn fault(&self) -> Option<(&'static str, f64)> {
        let positive = |key, value: f64| (!(value.is_finite() && value > 0.0)).then_some((key, value));
        match *self {
            RopeScaling::Linear { factor } => positive("factor", factor),
            RopeScaling::Llama3 { factor, low_freq_factor: low, high_freq_factor: high, .. } => {
                positive("factor", factor)
                    .or(positive("low_freq_factor", low))
                    .or((!(high.is_finite() && high > low)).then_some(("high_freq_factor", high)))
            }
        }
    }
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
    fn scaling_slows_down_what_turns_slowly() {
        let llama3 = RopeScaling::Llama3 {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 8192,
        };
        let (plain, scaled) = (frequencies(128, 5e5, None), frequencies(128, 5e5, Some(&llama3)));
        assert_eq!(plain[..20], scaled[..20]);
        assert!(plain[45..].iter().zip(&scaled[45..]).all(|(p, s)| p / 8.0 == *s));
        let between = (20..45).filter(|i| scaled[*i] < plain[*i] && scaled[*i] > plain[*i] / 8.0);
        assert!(between.count() > 3 && scaled.is_sorted_by(|a, b| a > b));
        let halves = frequencies(8, 1e4, Some(&RopeScaling::Linear { factor: 2.0 }));
        assert!(frequencies(8, 1e4, None).iter().zip(halves).all(|(p, h)| p / 2.0 == h));
        assert_eq!(RopeScaling::Linear { factor: 0.0 }.fault(), Some(("factor", 0.0)));
        assert_eq!(llama3.fault(), None);
    }

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
