//! How far heads turn from one position to the next (Su et al., 2021), as transformers computes it: in f32 and in its
//! order of operations. At position 40,000 the last bit of a frequency is a few thousandths of a cosine.

use std::f64::consts::{PI, TAU};

use serde::{Deserialize, Serialize};

/// The rotation of every pair of dimensions of a head. Sampler, learner and cards make their cosines and sines from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Rotary {
    /// Radians per position, `[head_dim / 2]`.
    pub(crate) frequencies: Vec<f32>,
    /// What cosines and sines are multiplied by: 1 but for YaRN.
    pub(crate) attention_factor: f32,
}

impl Rotary {
    /// Of heads with `head_dim` (even) dimensions.
    pub fn new(head_dim: usize, theta: f64, scaling: Option<&RopeScaling>) -> Rotary {
        // Positions per radian: theta^(2i/d), each operation rounded to f32.
        let period = |i: usize| f64::from(theta as f32).powf(f64::from((2 * i) as f32 / head_dim as f32)) as f32;
        let periods = (0..head_dim / 2).map(period);
        let plain = periods.clone().map(|period| 1.0 / period);
        let (frequencies, attention_factor) = match scaling {
            None | Some(RopeScaling::Dynamic { .. }) => (plain.collect(), 1.0),
            Some(RopeScaling::Linear { factor }) => (plain.map(|plain| plain / *factor as f32).collect(), 1.0),
            Some(RopeScaling::Llama3(llama3)) => (plain.map(|plain| llama3.slowed(plain)).collect(), 1.0),
            Some(RopeScaling::Yarn(yarn)) => {
                let mixed = |(period, kept): (f32, f32)| {
                    (1.0 / (yarn.factor as f32 * period)) * (1.0 - kept) + (1.0 / period) * kept
                };
                (periods.zip(yarn.kept(head_dim, theta)).map(mixed).collect(), yarn.attention_factor() as f32)
            }
        };
        Rotary { frequencies, attention_factor }
    }

    /// Radians per position of each pair of dimensions, `[head_dim / 2]`.
    pub fn frequencies(&self) -> &[f32] {
        &self.frequencies
    }
}

/// How a model's rotations were slowed down for sequences longer than those it was first trained on, in the words of
/// a Hugging Face `config.json`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rope_type", rename_all = "lowercase")]
pub enum RopeScaling {
    /// Every position is divided by `factor` (Chen et al., 2023).
    Linear { factor: f64 },
    /// Slowed down by the length of a sequence, once that is beyond `max_position_embeddings`. No sequence here is:
    /// up to there nothing changes.
    Dynamic { factor: f64 },
    /// Of Llama 3.1.
    Llama3(Llama3),
    /// YaRN (Peng et al., 2023).
    Yarn(Yarn),
}

/// Dimensions that turn fewer than `low_freq_factor` times within the first context are slowed down by `factor`, those
/// that turn more than `high_freq_factor` times are left alone, and between the two it changes smoothly.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Llama3 {
    pub factor: f64,
    pub low_freq_factor: f64,
    pub high_freq_factor: f64,
    pub original_max_position_embeddings: usize,
}

/// As [`Llama3`], but that it changes linearly in the number of the dimension between one that turns `beta_fast` times
/// (32 unless given) within the first context and one that turns `beta_slow` times (1); and cosines and sines grow.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Yarn {
    pub factor: f64,
    pub original_max_position_embeddings: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta_fast: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta_slow: Option<f64>,
    /// Whether the two dimensions are rounded to whole ones.
    #[serde(default = "yes")]
    pub truncate: bool,
    /// What cosines and sines are multiplied by; by default it follows from `factor` and the two that are next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention_factor: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mscale: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mscale_all_dim: Option<f64>,
}

fn yes() -> bool {
    true
}

impl Llama3 {
    fn slowed(&self, frequency: f32) -> f32 {
        let Llama3 { factor, low_freq_factor: low, high_freq_factor: high, .. } = *self;
        let context = self.original_max_position_embeddings as f64;
        let wavelength = (1.0 / frequency) * TAU as f32;
        if wavelength > (context / low) as f32 {
            return frequency / factor as f32;
        }
        if wavelength < (context / high) as f32 {
            return frequency;
        }
        let kept = ((1.0 / wavelength) * context as f32 - low as f32) / (high - low) as f32;
        (1.0 - kept) * frequency / factor as f32 + kept * frequency
    }
}

impl Yarn {
    /// How much of each frequency is kept: 1 leaves it alone, 0 divides it by the factor.
    fn kept(&self, head_dim: usize, theta: f64) -> impl Iterator<Item = f32> {
        // Zero stands for the default.
        let given = |beta: Option<f64>, default: f64| beta.filter(|beta| *beta != 0.0).unwrap_or(default);
        let context = self.original_max_position_embeddings as f64;
        // The dimension that turns so many times within the first context.
        let dimension = |turns: f64| head_dim as f64 * (context / (turns * 2.0 * PI)).ln() / (2.0 * theta.ln());
        let (first, last) = (dimension(given(self.beta_fast, 32.0)), dimension(given(self.beta_slow, 1.0)));
        let (first, last) = if self.truncate { (first.floor(), last.ceil()) } else { (first, last) };
        let (first, last) = (first.max(0.0), last.min(head_dim as f64 - 1.0));
        let last = if first == last { last + 0.001 } else { last };
        let slowed = move |i: usize| ((i as f32 - first as f32) / (last - first) as f32).clamp(0.0, 1.0);
        (0..head_dim / 2).map(move |i| 1.0 - slowed(i))
    }

    /// See the field.
    fn attention_factor(&self) -> f64 {
        let grown = |scale: f64| if self.factor <= 1.0 { 1.0 } else { 0.1 * scale * self.factor.ln() + 1.0 };
        match (self.attention_factor, self.mscale.unwrap_or(0.0), self.mscale_all_dim.unwrap_or(0.0)) {
            (Some(factor), _, _) => factor,
            (None, scale, all) if scale != 0.0 && all != 0.0 => grown(scale) / grown(all),
            (None, _, _) => grown(1.0),
        }
    }
}

impl RopeScaling {
    /// The key that has a value it cannot have, with that value.
    pub fn fault(&self) -> Option<(&'static str, f64)> {
        let positive = |key, value: f64| (!(value.is_finite() && value > 0.0)).then_some((key, value));
        let context = |positions: usize| positive("original_max_position_embeddings", positions as f64);
        match *self {
            RopeScaling::Linear { factor } | RopeScaling::Dynamic { factor } => positive("factor", factor),
            RopeScaling::Llama3(Llama3 { factor, low_freq_factor: low, high_freq_factor: high, .. }) => {
                positive("factor", factor)
                    .or(positive("low_freq_factor", low))
                    .or((!(high.is_finite() && high > low)).then_some(("high_freq_factor", high)))
            }
            RopeScaling::Yarn(yarn) => {
                let given = |key, value: Option<f64>| value.filter(|v| *v != 0.0).and_then(|v| positive(key, v));
                positive("factor", yarn.factor)
                    .or(context(yarn.original_max_position_embeddings))
                    .or(given("beta_fast", yarn.beta_fast))
                    .or(given("beta_slow", yarn.beta_slow))
                    .or(given("attention_factor", yarn.attention_factor))
                    .or(given("mscale", yarn.mscale))
                    .or(given("mscale_all_dim", yarn.mscale_all_dim))
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Of a model that was first trained on few positions.
    pub(crate) const YARN: Yarn = Yarn {
        factor: 4.0,
        original_max_position_embeddings: 16,
        beta_fast: None,
        beta_slow: None,
        truncate: true,
        attention_factor: None,
        mscale: None,
        mscale_all_dim: None,
    };

    fn frequencies(head_dim: usize, theta: f64, scaling: Option<RopeScaling>) -> Vec<f32> {
        Rotary::new(head_dim, theta, scaling.as_ref()).frequencies
    }

    #[test]
    fn scaling_slows_down_what_turns_slowly() {
        let llama3 = RopeScaling::Llama3(Llama3 {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 8192,
        });
        let (plain, scaled) = (frequencies(128, 5e5, None), frequencies(128, 5e5, Some(llama3)));
        assert_eq!(plain[..20], scaled[..20]);
        assert!(plain[45..].iter().zip(&scaled[45..]).all(|(p, s)| p / 8.0 == *s));
        let between = (20..45).filter(|i| scaled[*i] < plain[*i] && scaled[*i] > plain[*i] / 8.0);
        assert!(between.count() > 3 && scaled.is_sorted_by(|a, b| a > b));
        let halves = frequencies(8, 1e4, Some(RopeScaling::Linear { factor: 2.0 }));
        assert!(frequencies(8, 1e4, None).iter().zip(halves).all(|(p, h)| p / 2.0 == h));
        assert_eq!(RopeScaling::Linear { factor: 0.0 }.fault(), Some(("factor", 0.0)));
        assert_eq!(llama3.fault(), None);
    }

    #[test]
    fn what_yarn_says_of_attention_follows_from_what_is_given() {
        let yarn = Yarn { beta_slow: Some(0.0), ..YARN };
        let factor = |yarn: Yarn| Rotary::new(16, 1e4, Some(&RopeScaling::Yarn(yarn))).attention_factor;
        assert_eq!(factor(yarn), (0.1 * 4f64.ln() + 1.0) as f32);
        assert_eq!(factor(Yarn { factor: 0.5, ..yarn }), 1.0);
        assert_eq!(factor(Yarn { attention_factor: Some(0.75), ..yarn }), 0.75);
        let both = Yarn { mscale: Some(0.7), mscale_all_dim: Some(0.7), ..yarn };
        assert_eq!((factor(both), factor(Yarn { mscale_all_dim: None, ..both })), (1.0, factor(yarn)));
        let fault = |yarn| RopeScaling::Yarn(yarn).fault();
        assert_eq!((fault(yarn), fault(both)), (None, None));
        assert_eq!(fault(Yarn { beta_fast: Some(-1.0), ..yarn }), Some(("beta_fast", -1.0)));
        let nothing = fault(Yarn { original_max_position_embeddings: 0, ..yarn });
        assert_eq!(nothing, Some(("original_max_position_embeddings", 0.0)));
    }
}
