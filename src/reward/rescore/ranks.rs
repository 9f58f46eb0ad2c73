//! The order in which a reward puts the completions of a group.

/// For each value how many are greater, those that are equal counted half: 0 for a best one alone.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*b].total_cmp(&values[*a]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for run in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let rank = start as f64 + (run.len() - 1) as f64 / 2.0;
        run.iter().for_each(|index| ranks[*index] = rank);
        start += run.len();
    }
    ranks
}

/// Pairs of a right and a wrong answer in a group, and how many of them the reward puts in the wrong order, ties
/// counted half (the statistic of Mann and Whitney 1947).
pub fn inversions(values: &[f64], right: &[bool]) -> (f64, f64) {
    let right_ranks: Vec<f64> =
        ranks(values).into_iter().zip(right).filter(|(_, right)| **right).map(|(r, _)| r).collect();
    let (n, wrong) = (right_ranks.len() as f64, (right.len() - right_ranks.len()) as f64);
    // What is before a right answer is right or wrong; right ones among themselves are n (n - 1) / 2 pairs.
    (right_ranks.iter().sum::<f64>() - n * (n - 1.0) / 2.0, n * wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hand_computed_ranks() {
        assert_eq!(ranks(&[0.5, 1.0, 0.5, 0.0]), [1.5, 0.0, 1.5, 3.0]);
        assert_eq!(ranks(&[0.0, -0.0]), [0.5, 0.5]);
        assert_eq!(ranks(&[]), [] as [f64; 0]);
    }

    proptest! {
        #[test]
        fn inversions_are_those_of_all_pairs(group in prop::collection::vec((0..5u8, any::<bool>()), 0..30)) {
            let (values, right): (Vec<f64>, Vec<bool>) = group.iter().map(|(v, r)| (f64::from(*v), *r)).unzip();
            let (mut inverted, mut pairs) = (0.0, 0.0);
            for (value, _) in group.iter().filter(|(_, right)| *right) {
                for (other, _) in group.iter().filter(|(_, right)| !right) {
                    pairs += 1.0;
                    inverted += if other > value { 1.0 } else if other == value { 0.5 } else { 0.0 };
                }
            }
            prop_assert_eq!(inversions(&values, &right), (inverted, pairs));
        }
    }
}
