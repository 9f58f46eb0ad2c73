//! How far a mean of few numbers may be off.

/// The deviate of Student's t that leaves 2.5 % on either side, for a whole number of degrees of freedom; infinite for
/// none.
pub(super) fn student(freedom: usize) -> f64 {
    if freedom == 0 {
        return f64::INFINITY;
    }
    let (mut low, mut high) = (0.0, std::f64::consts::FRAC_PI_2);
    // Each halving gains a bit.
    for _ in 0..f64::MANTISSA_DIGITS {
        let middle = f64::midpoint(low, high);
        if between(middle, freedom) < 0.95 { low = middle } else { high = middle }
    }
    low.tan() * (freedom as f64).sqrt()
}

/// The probability of a t between `-√freedom tan(angle)` and that: a finite sum of powers of the cosine (Abramowitz and
/// Stegun 1964, 26.7.3 and 26.7.4).
fn between(angle: f64, freedom: usize) -> f64 {
    let (sine, cosine) = angle.sin_cos();
    let odd = freedom % 2 == 1;
    // cos + 2/3 cos³ + …, or 1 + 1/2 cos² + …
    let (mut term, mut sum) = (if odd { cosine } else { 1.0 }, 0.0);
    for power in ((freedom % 2)..freedom.saturating_sub(1)).step_by(2) {
        sum += term;
        term *= cosine * cosine * (power + 1) as f64 / (power + 2) as f64;
    }
    if odd { std::f64::consts::FRAC_2_PI * (angle + sine * sum) } else { sine * sum }
}
