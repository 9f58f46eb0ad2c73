//! Directions of length 1.

use rand::Rng;
use rand_distr::StandardNormal;

use crate::random::Stream;

/// Independent normal values around 0.
pub(in crate::policy) fn normal(stream: &mut Stream, length: usize, deviation: f64) -> Vec<f32> {
    (0..length).map(|_| (stream.sample::<f64, _>(StandardNormal) * deviation) as f32).collect()
}

/// The embedding of a token, scaled to length 1.
pub(super) fn unit(embeddings: &[f32], token: u32, d: usize) -> Vec<f32> {
    let row = &embeddings[token as usize * d..(token as usize + 1) * d];
    let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
    row.iter().map(|value| value / length).collect()
}

/// Directions at right angles that span the same space (Gram-Schmidt).
pub(super) fn orthogonal(mut rows: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
    for at in 0..rows.len() {
        let (before, rest) = rows.split_at_mut(at);
        let row = &mut rest[0];
        for b in before.iter() {
            let along: f32 = b.iter().zip(row.iter()).map(|(a, b)| a * b).sum();
            row.iter_mut().zip(b).for_each(|(value, b)| *value -= along * b);
        }
        let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
        row.iter_mut().for_each(|value| *value /= length);
    }
    rows
}

/// `count` random directions of length 1 at right angles to each other, `[count, d]` (Gram-Schmidt).
pub(super) fn orthonormal(stream: &mut Stream, count: usize, d: usize) -> Vec<f32> {
    let mut rows: Vec<Vec<f64>> = Vec::with_capacity(count);
    while rows.len() < count {
        let mut row: Vec<f64> = (0..d).map(|_| stream.sample(StandardNormal)).collect();
        for before in &rows {
            let along: f64 = before.iter().zip(&row).map(|(a, b)| a * b).sum();
            row.iter_mut().zip(before).for_each(|(value, b)| *value -= along * b);
        }
        let length = row.iter().map(|value| value * value).sum::<f64>().sqrt();
        row.iter_mut().for_each(|value| *value /= length);
        rows.push(row);
    }
    rows.into_iter().flatten().map(|value| value as f32).collect()
}
