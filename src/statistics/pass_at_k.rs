//! Would one of several answers be right?

/// The chance that at least one of `k` answers is right, estimated without bias from `correct` right ones of `n`
/// (Chen et al. 2021, arXiv 2107.03374): `1 - C(n - correct, k) / C(n, k)`. `None` where fewer than `k` were given.
pub fn pass_at_k(n: usize, correct: usize, k: usize) -> Option<f64> {
    if k == 0 || k > n || correct > n {
        return None;
    }
    let wrong = n - correct;
    // Drawn one after the other, without putting back, all of k are wrong.
    let all_wrong: f64 = (0..k).map(|i| wrong.saturating_sub(i) as f64 / (n - i) as f64).product();
    Some(1.0 - all_wrong)
}

/// The numbers of answers for which a table tells it: 1, 2, 4 and so on, and all.
pub fn numbers(samples: usize) -> Vec<usize> {
    let mut numbers: Vec<usize> =
        std::iter::successors(Some(1), |k| Some(2 * k)).take_while(|k| *k < samples).collect();
    numbers.push(samples.max(1));
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;
    use rand::Rng;

    #[test]
    fn the_ends_are_certain() {
        assert_eq!(pass_at_k(8, 0, 8), Some(0.0));
        assert_eq!(pass_at_k(8, 1, 8), Some(1.0));
        assert_eq!(pass_at_k(4, 3, 2), Some(1.0));
        assert_eq!(pass_at_k(4, 1, 1), Some(0.25));
        assert_eq!((pass_at_k(3, 1, 4), pass_at_k(3, 1, 0), pass_at_k(0, 0, 1)), (None, None, None));
        assert_eq!([1, 2, 6, 8].map(numbers), [vec![1], vec![1, 2], vec![1, 2, 4, 6], vec![1, 2, 4, 8]]);
    }

    #[test]
    fn the_mean_over_experiments_is_the_truth() {
        let mut random = random::named(0, "unbiased");
        let truth = 1.0 - 0.7f64.powi(4);
        let runs = 40_000;
        let mean = (0..runs)
            .map(|_| pass_at_k(10, (0..10).filter(|_| random.random_bool(0.3)).count(), 4).unwrap())
            .sum::<f64>()
            / runs as f64;
        assert!((mean - truth).abs() < 0.005, "{mean} against {truth}");
    }
}
