//! Causal attention of single rows over the keys and values of their slots, each over its true length.

use super::buffers::{ActivationRows, LINE};
use super::cache::CpuCache;
use crate::kernels::simd::{Lanes, max, vectorised};
use crate::rollout::arithmetic::{exp, sum};
use crate::rollout::places::TokenPlace;

/// Attention of all rows of a step in one layer. Queries are rotated, scaled, and their keys are in the cache.
pub(super) struct Attend<'a> {
    pub(super) places: &'a [TokenPlace],
    pub(super) layer: usize,
    /// Query heads, and how many of them share a key/value head.
    pub(super) heads: usize,
    pub(super) group: usize,
    pub(super) head_dim: usize,
    /// `[rows, >= heads * head_dim]`
    pub(super) queries: &'a ActivationRows,
    pub(super) cache: &'a CpuCache,
    /// `[positions of a slot]`
    pub(super) scores: &'a mut [f32],
    /// `[value_depth]`
    pub(super) mixed: &'a mut [f32],
    /// `[rows, heads * head_dim]`
    pub(super) output: &'a mut ActivationRows,
}

vectorised! {
    /// See [`Attend`].
    pub(super) fn attend<L>(work: Attend<'_>) {
        for (row, place) in work.places.iter().enumerate() {
            let length = place.position + 1;
            let scores = &mut work.scores[..length.next_multiple_of(LINE)];
            for head in 0..work.heads {
                let span = head * work.head_dim..(head + 1) * work.head_dim;
                let shared = head / work.group;
                let keys = work.cache.keys(place.slot, work.layer, shared);
                let values = work.cache.values(place.slot, work.layer, shared);
                score::<L>(&work.queries.row(row)[span.clone()], keys, scores);
                let total = soften(scores, length);
                mix::<L>(&scores[..length], values, work.mixed);
                let output = &mut work.output.row_mut(row)[span];
                for (out, value) in output.iter_mut().zip(work.mixed.iter()) {
                    *out = value / total;
                }
            }
        }
    }
}

/// `scores[p] = query . key[p]` for whole blocks of positions; those beyond the length are meaningless.
#[inline(always)]
fn score<L: Lanes>(query: &[f32], keys: &[f32], scores: &mut [f32]) {
    let depth = query.len();
    assert!(keys.len() >= scores.len() * depth && scores.len().is_multiple_of(LINE));
    for start in (0..scores.len()).step_by(LINE) {
        for part in (0..LINE).step_by(L::LEN) {
            // Safety: the block of `depth` lines at `start` lies in `keys`, `L::LEN` floats at `start + part` lie in
            // `scores` (both asserted, `L::LEN` divides `LINE`), and `d` stays below `depth`, the query's length.
            unsafe {
                let block = keys.as_ptr().add(start * depth + part);
                // Four chains in a fixed pattern: one alone would wait for each addition.
                let add =
                    |d: usize, sum: L| L::splat(*query.as_ptr().add(d)).mul_add(L::load(block.add(d * LINE)), sum);
                let mut chains = [L::splat(0.0); 4];
                let whole = depth / 4 * 4;
                for d in (0..whole).step_by(4) {
                    for (chain, sum) in chains.iter_mut().enumerate() {
                        *sum = add(d + chain, *sum);
                    }
                }
                for d in whole..depth {
                    chains[0] = add(d, chains[0]);
                }
                let [a, b, c, d] = chains;
                a.add(b).add(c.add(d)).store(scores.as_mut_ptr().add(start + part));
            }
        }
    }
}

/// Turns scores into weights (not yet divided by their sum, which is returned); beyond the length they are zero.
#[inline(always)]
fn soften(scores: &mut [f32], length: usize) -> f32 {
    for score in &mut scores[length..] {
        *score = f32::NEG_INFINITY;
    }
    let most = max(scores);
    for score in scores.iter_mut() {
        *score = exp(*score - most);
    }
    for score in &mut scores[length..] {
        *score = 0.0;
    }
    sum(scores, |weight| weight)
}

/// `mixed = sum_p weights[p] * values[p]`.
#[inline(always)]
fn mix<L: Lanes>(weights: &[f32], values: &[f32], mixed: &mut [f32]) {
    let depth = mixed.len();
    assert!(values.len() >= weights.len() * depth && depth.is_multiple_of(2 * L::LEN));
    for part in (0..depth).step_by(2 * L::LEN) {
        // Safety: position `p` below the number of weights has `depth` floats in `values` (asserted), and `part` plus
        // two registers lies within `depth`.
        unsafe {
            let column = values.as_ptr().add(part);
            let add = |p: usize, [left, right]: [L; 2]| {
                let (weight, value) = (L::splat(*weights.as_ptr().add(p)), column.add(p * depth));
                [weight.mul_add(L::load(value), left), weight.mul_add(L::load(value.add(L::LEN)), right)]
            };
            let mut chains = [[L::splat(0.0); 2]; 4];
            let whole = weights.len() / 4 * 4;
            for p in (0..whole).step_by(4) {
                for (chain, sums) in chains.iter_mut().enumerate() {
                    *sums = add(p + chain, *sums);
                }
            }
            for p in whole..weights.len() {
                chains[0] = add(p, chains[0]);
            }
            let [a, b, c, d] = chains;
            for side in 0..2 {
                let sum = a[side].add(b[side]).add(c[side].add(d[side]));
                sum.store(mixed.as_mut_ptr().add(part + side * L::LEN));
            }
        }
    }
}
