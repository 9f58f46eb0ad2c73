//! A reinforcement-learning algorithm as a value. Presets are constructors; a config names one and overrides fields.

use serde::{Deserialize, Serialize};

use super::{Advantage, Aggregation, GradientOn};
use crate::{Error, Result};

/// What stands before the advantage in the objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ratio {
    /// The log-probability of the token (REINFORCE). Right only for the policy that sampled.
    None,
    /// The token's probability now over that when it was sampled (PPO, arXiv 1707.06347).
    Token,
}

/// The range that the ratio gains nothing by leaving.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", expecting = "\"none\" or { low = 0.2, high = 0.2 }")]
pub enum Clip {
    None,
    /// From `1 - low` to `1 + high`. A larger `high` lets unlikely tokens grow (clip-higher, arXiv 2503.14476).
    #[serde(untagged)]
    Range {
        low: f64,
        high: f64,
    },
}

/// Everything that tells one policy-gradient algorithm from another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Overrides")]
pub struct Algorithm {
    pub advantage: Advantage,
    pub ratio: Ratio,
    pub clip: Clip,
    pub aggregation: Aggregation,
    /// Weight of the divergence from a frozen reference (k3, Schulman 2020); 0 needs no reference.
    pub kl: f64,
    /// Weight of the entropy bonus.
    pub entropy: f64,
    pub gradient_on: GradientOn,
    /// Passes over the completions of a step.
    pub inner_epochs: usize,
}

impl Algorithm {
    /// Names of the presets.
    pub const PRESETS: [&str; 4] = ["grpo", "dr_grpo", "rloo", "reinforce"];

    /// Group-relative policy optimisation (Shao et al. 2024, arXiv 2402.03300), with the mean over tokens that DAPO
    /// put in the place of the mean over completions, and without reference.
    pub fn grpo() -> Algorithm {
        Algorithm {
            advantage: Advantage::Normalised,
            ratio: Ratio::Token,
            clip: Clip::Range { low: 0.2, high: 0.2 },
            aggregation: Aggregation::Token,
            kl: 0.0,
            entropy: 0.0,
            gradient_on: GradientOn::Completion,
            inner_epochs: 1,
        }
    }

    /// GRPO without its two biases: no deviation, a fixed normaliser (Liu et al. 2025, arXiv 2503.20783).
    pub fn dr_grpo() -> Algorithm {
        Algorithm { advantage: Advantage::Mean, aggregation: Aggregation::Fixed, ..Algorithm::grpo() }
    }

    /// REINFORCE, leave-one-out (Kool et al. 2019; Ahmadian et al. 2024, arXiv 2402.14740). A completion is one
    /// action: its log-probability is the sum over its tokens, so their weights are equal.
    pub fn rloo() -> Algorithm {
        Algorithm {
            advantage: Advantage::LeaveOneOut,
            ratio: Ratio::None,
            clip: Clip::None,
            aggregation: Aggregation::Fixed,
            ..Algorithm::grpo()
        }
    }

    /// The plain policy gradient without a baseline (Williams 1992).
    pub fn reinforce() -> Algorithm {
        Algorithm { advantage: Advantage::None, ..Algorithm::rloo() }
    }

    /// A preset by name.
    pub fn preset(name: &str) -> Result<Algorithm> {
        match name {
            "grpo" => Ok(Algorithm::grpo()),
            "dr_grpo" => Ok(Algorithm::dr_grpo()),
            "rloo" => Ok(Algorithm::rloo()),
            "reinforce" => Ok(Algorithm::reinforce()),
            _ => Err(Error::invalid("preset", name, format!("one of {}", Algorithm::PRESETS.join(", ")))),
        }
    }

    /// Refuses what cannot work together.
    pub fn check(&self) -> Result<()> {
        let refuse = |found: String, remedy: &str| Err(Error::invalid("algorithm", found, remedy));
        if let Clip::Range { low, high } = self.clip {
            if self.ratio == Ratio::None {
                return refuse("clip without ratio".into(), "there is nothing to clip: set ratio = \"token\"");
            }
            if !(low > 0.0 && low <= 1.0 && high > 0.0 && high.is_finite()) {
                return refuse(format!("clip = {{ low = {low}, high = {high} }}"), "0 < low <= 1 and 0 < high");
            }
        }
        for (name, weight) in [("kl", self.kl), ("entropy", self.entropy)] {
            if !(weight >= 0.0 && weight.is_finite()) {
                return refuse(format!("{name} = {weight}"), "0 or a positive number");
            }
        }
        match self.inner_epochs {
            0 => refuse("inner_epochs = 0".into(), "at least 1"),
            2.. if self.ratio == Ratio::None => refuse(
                format!("inner_epochs = {} without ratio", self.inner_epochs),
                "after the first the policy is no longer the one that sampled: set ratio = \"token\"",
            ),
            _ => Ok(()),
        }
    }
}

/// How an algorithm is written in a config: a preset (`grpo` unless told) and the fields that differ from it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Overrides {
    preset: Option<String>,
    advantage: Option<Advantage>,
    ratio: Option<Ratio>,
    clip: Option<Clip>,
    aggregation: Option<Aggregation>,
    kl: Option<f64>,
    entropy: Option<f64>,
    gradient_on: Option<GradientOn>,
    inner_epochs: Option<usize>,
}

impl TryFrom<Overrides> for Algorithm {
    type Error = Error;

    fn try_from(overrides: Overrides) -> Result<Algorithm> {
        let preset = Algorithm::preset(overrides.preset.as_deref().unwrap_or("grpo"))?;
        let algorithm = Algorithm {
            advantage: overrides.advantage.unwrap_or(preset.advantage),
            ratio: overrides.ratio.unwrap_or(preset.ratio),
            clip: overrides.clip.unwrap_or(preset.clip),
            aggregation: overrides.aggregation.unwrap_or(preset.aggregation),
            kl: overrides.kl.unwrap_or(preset.kl),
            entropy: overrides.entropy.unwrap_or(preset.entropy),
            gradient_on: overrides.gradient_on.unwrap_or(preset.gradient_on),
            inner_epochs: overrides.inner_epochs.unwrap_or(preset.inner_epochs),
        };
        algorithm.check()?;
        Ok(algorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_works_and_survives_a_round_trip() {
        for name in Algorithm::PRESETS {
            let algorithm = Algorithm::preset(name).unwrap();
            algorithm.check().unwrap();
            let written = toml::to_string(&algorithm).unwrap();
            assert_eq!(toml::from_str::<Algorithm>(&written).unwrap(), algorithm, "{written}");
        }
        assert!(Algorithm::preset("gpro").unwrap_err().to_string().contains("grpo"));
    }

    #[test]
    fn a_config_overrides_single_fields_of_a_preset() {
        let text = "preset = \"dr_grpo\"\nclip = { low = 0.2, high = 0.28 }\ngradient_on = \"trace\"";
        let expected = Algorithm {
            clip: Clip::Range { low: 0.2, high: 0.28 },
            gradient_on: GradientOn::Trace,
            ..Algorithm::dr_grpo()
        };
        assert_eq!(toml::from_str::<Algorithm>(text).unwrap(), expected);
        assert_eq!(toml::from_str::<Algorithm>("").unwrap(), Algorithm::grpo());
        assert_eq!(toml::from_str::<Algorithm>("clip = \"none\"").unwrap().clip, Clip::None);
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let cases = [
            ("preset = \"rloo\"\nclip = { low = 0.2, high = 0.2 }", "nothing to clip"),
            ("preset = \"reinforce\"\ninner_epochs = 2", "no longer the one that sampled"),
            ("inner_epochs = 0", "at least 1"),
            ("clip = { low = 0.0, high = 0.2 }", "0 < low"),
            ("kl = -0.1", "kl = -0.1"),
            ("entropy = nan", "entropy = NaN"),
            ("advantages = \"mean\"", "unknown field `advantages`"),
            ("clip = 0.2", "low = 0.2"),
        ];
        for (text, reason) in cases {
            let message = toml::from_str::<Algorithm>(text).unwrap_err().to_string();
            assert!(message.contains(reason), "{text}: {message}");
        }
    }
}
