//! Of several comparisons, one looks good by luck sooner than any single one does.

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;
    use rand::Rng;

    #[test]
    fn one_test_stays_as_it_is_and_order_is_kept() {
        assert_eq!(holm(&[]), Vec::<f64>::new());
        assert_eq!(holm(&[0.03]), [0.03]);
        assert_eq!(holm(&[0.04, 0.01, 0.03]), [0.06, 0.03, 0.06]);
        assert_eq!(holm(&[0.6, 0.9]), [1.0, 1.0]);
    }

    #[test]
    fn no_effect_is_found_in_at_most_5_of_100_families_of_tests() {
        let mut random = random::named(0, "families");
        let found = (0..4_000)
            .filter(|_| {
                let p: Vec<f64> = (0..8).map(|_| random.random()).collect();
                holm(&p).iter().any(|p| *p < 0.05)
            })
            .count();
        assert!((140..=225).contains(&found), "{found} of 4000");
    }
}
