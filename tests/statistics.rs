//! Tests and intervals are those of scipy and statsmodels on the same tables (`tests/make_statistics_golden.py` writes
//! what these say).

use recollect::statistics::{Interval, bootstrap, holm, mcnemar, pass_at_k};
use serde::Deserialize;

#[derive(Deserialize)]
struct StatisticsGolden {
    paired: Vec<Paired>,
    holm: Vec<Family>,
    pass_at_k: Vec<(usize, usize, usize, f64)>,
    wilson: Vec<(usize, usize, f64, f64)>,
}

/// Questions that both ways got right, the first only, the second only, neither.
#[derive(Deserialize)]
struct Paired {
    table: [usize; 4],
    p: f64,
    bootstrap: Option<[f64; 2]>,
}

#[derive(Deserialize)]
struct Family {
    p: Vec<f64>,
    adjusted: Vec<f64>,
}

fn golden() -> StatisticsGolden {
    serde_json::from_str(include_str!("statistics.json")).unwrap()
}

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-9 * expected.abs().max(1e-9)
}

#[test]
fn mcnemar_is_that_of_statsmodels() {
    for Paired { table: [_, first, second, _], p, .. } in golden().paired {
        let found = mcnemar(first as u64, second as u64);
        assert!(close(found, p), "{first} to {second}: {found} against {p}");
    }
}

#[test]
fn the_paired_bootstrap_is_that_of_scipy() {
    for Paired { table: [both, first, second, neither], bootstrap: expected, .. } in golden().paired {
        let Some([low, high]) = expected else { continue };
        let of = |value: f64, count: usize| std::iter::repeat_n(value, count);
        let differences: Vec<f64> = of(0.0, both + neither).chain(of(1.0, first)).chain(of(-1.0, second)).collect();
        let n = differences.len() as f64;
        let found = bootstrap::paired(&differences, 0);
        // Means are multiples of 1/n, and both are estimates: an edge may fall on the next multiple.
        let slack = 1.01 / n + 0.002;
        assert!((found.low - low).abs() <= slack && (found.high - high).abs() <= slack, "{found:?} {low} {high}");
    }
}

#[test]
fn holm_is_that_of_statsmodels() {
    for Family { p, adjusted } in golden().holm {
        let found = holm(&p);
        assert!(
            found.iter().zip(&adjusted).all(|(found, expected)| close(*found, *expected)),
            "{found:?} {adjusted:?}"
        );
    }
}

#[test]
fn pass_at_k_is_the_quotient_of_binomial_coefficients() {
    for (n, correct, k, expected) in golden().pass_at_k {
        let found = pass_at_k(n, correct, k).unwrap();
        assert!((found - expected).abs() < 1e-12, "{correct} of {n}, {k} drawn: {found} against {expected}");
    }
}

#[test]
fn wilson_is_that_of_statsmodels() {
    for (right, n, low, high) in golden().wilson {
        let found = Interval::wilson(right as f64 / n as f64, n);
        assert!((found.low - low).abs() < 1e-12 && (found.high - high).abs() < 1e-12, "{found:?} {low} {high}");
    }
}
