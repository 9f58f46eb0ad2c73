//! Did two ways of answering differ on the same questions?

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

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with `scipy.stats.binomtest(b, b + c, 0.5).pvalue`.
    const REFERENCE: [(u64, u64, f64); 12] = [
        (1, 0, 1.0),
        (0, 5, 0.0625),
        (5, 1, 0.21875),
        (3, 8, 0.2265625),
        (10, 10, 1.0),
        (15, 27, 0.08842954698775429),
        (2, 40, 4.1109160520136356e-10),
        (0, 60, 1.734723475976807e-18),
        (120, 180, 0.0006342200069283566),
        (900, 1100, 8.45708953550381e-06),
        (2400, 2600, 0.004883649737517494),
        (100, 900, 1.3403435580012363e-161),
    ];

    #[test]
    fn agrees_with_scipy() {
        for (b, c, expected) in REFERENCE {
            let p = mcnemar(b, c);
            assert!((p - expected).abs() <= 1e-9 * expected, "{b} to {c}: {p:e} against {expected:e}");
            assert_eq!(p, mcnemar(c, b), "the test does not know which arm is which");
        }
    }

    #[test]
    fn an_even_split_is_no_evidence() {
        assert_eq!(mcnemar(0, 0), 1.0);
        assert_eq!(mcnemar(1, 0), 1.0);
        assert_eq!(mcnemar(2_000, 2_000), 1.0);
    }

    #[test]
    fn many_pairs_stay_finite() {
        let p = mcnemar(40_000, 60_000);
        assert!(p == 0.0 || p > 0.0 && p < 1e-300);
        assert!((mcnemar(500_000, 500_100) - 0.921).abs() < 0.01);
    }
}
