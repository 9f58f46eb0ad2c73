//! What follows from counts without any approximation: did two ways of answering differ, which of several comparisons still
//! say so, and would one of several answers be right?

/// The two-sided p-value of the exact test of McNemar (1947): of the `b + c` questions that exactly one of two
/// arms got right, is the split `b` to `c` one that a fair coin would give? Questions that both got right, or
/// both wrong, say nothing about the difference. 1 where there are no such questions.
pub fn mcnemar(b: u64, c: u64) -> f64 {
    let n = b + c;
    let fewer = b.min(c);
    if fewer == b.max(c) {
        return 1.0;
    }
    // P(X <= fewer) for X ~ Binomial(n, 1/2): its largest term in logarithms, so that thousands of pairs
    // neither overflow nor vanish, times the sum of all terms relative to that one, which only shrink.
    let log_choose: f64 = (1..=fewer).map(|i| ((n - fewer + i) as f64 / i as f64).ln()).sum();
    let mut relative = 1.0;
    let mut sum = 1.0;
    for k in (1..=fewer).rev() {
        relative *= k as f64 / (n - k + 1) as f64;
        sum += relative;
        if relative < f64::EPSILON * 1e-3 {
            break;
        }
    }
    let tail = (log_choose + f64::ln(sum) - n as f64 * std::f64::consts::LN_2).exp();
    (2.0 * tail).min(1.0)
}

/// Adjusted p-values of Holm (1979), in the order of `p`: reject wherever the adjusted value is below the level, and the
/// chance of any false rejection among all is below it, however the tests depend on each other.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let (mut adjusted, mut most) = (vec![0.0; p.len()], 0.0f64);
    for (rank, index) in order.into_iter().enumerate() {
        // No larger p-value is adjusted to a smaller one.
        most = most.max(((p.len() - rank) as f64 * p[index]).min(1.0));
        adjusted[index] = most;
    }
    adjusted
}

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

    /// Computed with `scipy.stats.binomtest(b, b + c, 0.5).pvalue`; smaller tables are in `tests/statistics.rs`.
    const REFERENCE: [(u64, u64, f64); 8] = [
        (5, 1, 0.21875),
        (15, 27, 0.08842954698775429),
        (2, 40, 4.1109160520136356e-10),
        (0, 60, 1.734723475976807e-18),
        (120, 180, 0.0006342200069283566),
        (900, 1100, 8.45708953550381e-06),
        (2400, 2600, 0.004883649737517494),
        (100, 900, 1.3403435580012363e-161),
    ];

    #[test]
    fn mcnemar_agrees_with_scipy_and_stays_finite() {
        for (b, c, expected) in REFERENCE {
            let p = mcnemar(b, c);
            assert!((p - expected).abs() <= 1e-9 * expected, "{b} to {c}: {p:e} against {expected:e}");
            assert_eq!(p, mcnemar(c, b), "the test does not know which arm is which");
        }
        assert_eq!([(0, 0), (1, 0), (2_000, 2_000)].map(|(b, c)| mcnemar(b, c)), [1.0; 3]);
        let p = mcnemar(40_000, 60_000);
        assert!(p == 0.0 || p > 0.0 && p < 1e-300);
        assert!((mcnemar(500_000, 500_100) - 0.921).abs() < 0.01);
    }

    #[test]
    fn the_ends_are_certain() {
        assert_eq!((holm(&[]), holm(&[0.6, 0.9])), (vec![], vec![1.0, 1.0]));
        assert_eq!((pass_at_k(8, 0, 8), pass_at_k(8, 1, 8), pass_at_k(4, 3, 2)), (Some(0.0), Some(1.0), Some(1.0)));
        assert_eq!((pass_at_k(3, 1, 4), pass_at_k(3, 1, 0), pass_at_k(0, 0, 1)), (None, None, None));
        assert_eq!([1, 2, 6, 8].map(numbers), [vec![1], vec![1, 2], vec![1, 2, 4, 6], vec![1, 2, 4, 8]]);
    }
}
