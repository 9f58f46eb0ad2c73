//! A reinforcement-learning algorithm as a value. Presets are constructors; a config names one and overrides fields.

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::preflight;
use super::{
    Advantage, Aggregation, Clip, ClipRange, CreditAssignment, Critic, Estimator, Filter, Gae, GradientOn, HeadLoss,
    Keep, Penalty, Ratio,
};
use crate::strict_toml::{self, Problem};
use crate::{Error, Result};

/// Everything that tells one policy-gradient algorithm from another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Algorithm {
    /// Which completions are learned from.
    pub filter: Filter,
    /// What a reward is compared with.
    pub advantage: Advantage,
    /// The value head that advantages are taken against, where they are.
    pub value: Critic,
    /// What stands before the advantage.
    pub ratio: Ratio,
    /// The clipping range of the importance ratio.
    pub clip: Clip,
    /// How the losses of tokens become one number.
    pub aggregation: Aggregation,
    /// Weight of the divergence from a frozen reference, the policy that training starts from; 0 needs no reference.
    pub kl: f64,
    /// How the divergence is estimated from sampled tokens.
    pub kl_estimator: Estimator,
    /// Where it counts.
    pub kl_in: Penalty,
    /// Weight of the entropy bonus.
    pub entropy: f64,
    /// The tokens of a completion that are learned from.
    pub gradient_on: GradientOn,
    /// What is compared.
    #[serde(default)]
    pub credit: CreditAssignment,
    /// Optimizer steps over the completions of a step.
    pub inner_epochs: usize,
    /// Corrects for a sampler whose probabilities are not quite the learner's: a token counts by its probability for
    /// the learner at the start of the step over that for the sampler, at most this (truncated importance sampling,
    /// Ionides 2008). 0 for no correction: the sampler's probabilities are taken for the learner's.
    #[serde(alias = "importance_cap")]
    pub tis_cap: f64,
}

impl Algorithm {
    /// Names of the presets.
    pub const PRESETS: [&str; 11] =
        ["grpo", "dr_grpo", "dapo", "gspo", "cispo", "max_rl", "ppo", "rloo", "reinforce++", "reinforce", "star"];

    /// Group-relative policy optimisation (Shao et al. 2024, arXiv 2402.03300), with the mean over tokens that DAPO
    /// put in the place of the mean over completions, and without reference.
    pub fn grpo() -> Algorithm {
        Algorithm {
            filter: Filter::default(),
            advantage: Advantage::Normalised,
            value: Critic::None,
            ratio: Ratio::Token,
            clip: Clip::range(0.2, 0.2),
            aggregation: Aggregation::Token,
            kl: 0.0,
            kl_estimator: Estimator::K3,
            kl_in: Penalty::Loss,
            entropy: 0.0,
            gradient_on: GradientOn::Completion,
            credit: CreditAssignment::Completion,
            inner_epochs: 1,
            tis_cap: 0.0,
        }
    }

    /// GRPO without its two biases: no deviation, a fixed normaliser (Liu et al. 2025, arXiv 2503.20783).
    pub fn dr_grpo() -> Algorithm {
        Algorithm { advantage: Advantage::Mean, aggregation: Aggregation::Fixed, ..Algorithm::grpo() }
    }

    /// GRPO with a higher upper bound, groups without spread replaced, completions that were cut off left out, and the
    /// mean over tokens (Yu et al. 2025, arXiv 2503.14476). Its soft punishment of overlong completions is a term of
    /// the reward (`kind = "length"` with a `buffer` and a negative weight).
    pub fn dapo() -> Algorithm {
        let filter = Filter { keep: Keep::Finished, extra_rounds: 3, ..Filter::default() };
        Algorithm { filter, clip: Clip::range(0.2, 0.28), ..Algorithm::grpo() }
    }

    /// One ratio for a whole completion, clipped in its own narrow range (Zheng et al. 2025, arXiv 2507.18071).
    pub fn gspo() -> Algorithm {
        Algorithm {
            ratio: Ratio::Sequence,
            clip: Clip::range(3e-4, 4e-4),
            aggregation: Aggregation::Sequence,
            ..Algorithm::grpo()
        }
    }

    /// The clipped ratio as a constant weight, bounded above only: no token loses its gradient (MiniMax 2025,
    /// arXiv 2506.13585).
    pub fn cispo() -> Algorithm {
        let clip = Clip::Range(ClipRange { low: 1.0, high: 4.0, dual: 0.0, detached: true });
        Algorithm { clip, ..Algorithm::grpo() }
    }

    /// GRPO with the group's mean in the place of its deviation: the gradient of the likelihood of a right answer, as far as so
    /// many completions tell it, instead of that of its probability (arXiv 2602.02710).
    pub fn max_rl() -> Algorithm {
        Algorithm { advantage: Advantage::Relative, ..Algorithm::grpo() }
    }

    /// Proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347) as it is used on language models (Ouyang et
    /// al. 2022, arXiv 2203.02155): a value head beside the policy, generalised advantages (arXiv 1506.02438) that are
    /// whitened over the step, the divergence from the reference charged token by token, several optimizer steps on each.
    pub fn ppo() -> Algorithm {
        Algorithm {
            advantage: Advantage::Gae(Gae::default()),
            value: Critic::Head(HeadLoss::default()),
            kl: 0.01,
            kl_estimator: Estimator::K1,
            kl_in: Penalty::Reward,
            inner_epochs: 2,
            ..Algorithm::grpo()
        }
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

    /// PPO's objective without a critic: rewards less the divergence from the reference, normalised over the whole
    /// batch (Hu et al. 2025, arXiv 2501.03262).
    pub fn reinforce_plus_plus() -> Algorithm {
        Algorithm {
            advantage: Advantage::Batch,
            kl: 0.01,
            kl_estimator: Estimator::K1,
            kl_in: Penalty::Reward,
            ..Algorithm::grpo()
        }
    }

    /// The plain policy gradient without a baseline (Williams 1992).
    pub fn reinforce() -> Algorithm {
        Algorithm { advantage: Advantage::None, ..Algorithm::rloo() }
    }

    /// Rejection fine-tuning, the baseline of them all: maximum likelihood on the completions with the right answer
    /// (STaR, Zelikman et al. 2022, arXiv 2203.14465, without its hints and its restarts from the first policy).
    pub fn star() -> Algorithm {
        Algorithm {
            filter: Filter { keep: Keep::Right, ..Filter::default() },
            advantage: Advantage::One,
            ratio: Ratio::None,
            clip: Clip::None,
            ..Algorithm::grpo()
        }
    }

    /// A preset by name.
    pub fn preset(name: &str) -> Result<Algorithm> {
        match name {
            "grpo" => Ok(Algorithm::grpo()),
            "dr_grpo" => Ok(Algorithm::dr_grpo()),
            "dapo" => Ok(Algorithm::dapo()),
            "gspo" => Ok(Algorithm::gspo()),
            "cispo" => Ok(Algorithm::cispo()),
            "max_rl" => Ok(Algorithm::max_rl()),
            "ppo" => Ok(Algorithm::ppo()),
            "rloo" => Ok(Algorithm::rloo()),
            "reinforce++" => Ok(Algorithm::reinforce_plus_plus()),
            "reinforce" => Ok(Algorithm::reinforce()),
            "star" => Ok(Algorithm::star()),
            _ => Err(Error::invalid("preset", name, format!("one of {}", Algorithm::PRESETS.join(", ")))),
        }
    }

    /// The algorithm that a config's table says: a preset (`grpo` unless told) and the fields that differ from it, at
    /// any depth (`clip = { high = 0.28 }` leaves the lower bound alone). Refused: whatever is wrong with a field, or
    /// else every pair of fields that cannot work together, a problem each.
    pub fn from_table(table: &Table) -> Result<Algorithm, Vec<Problem>> {
        let mut overrides = table.clone();
        // What the key was called before; the preset's table already has the new one.
        if let Some(value) = overrides.remove("importance_cap") {
            overrides.entry("tis_cap").or_insert(value);
        }
        let allowed = format!("allowed is one of {}", Algorithm::PRESETS.join(", "));
        let preset = match overrides.remove("preset") {
            None => Algorithm::grpo(),
            Some(Value::String(name)) => Algorithm::preset(&name)
                .map_err(|_| vec![Problem::new("preset", format!("found \"{name}\""), allowed)])?,
            Some(other) => return Err(vec![Problem::new("preset", format!("found {other}"), allowed)]),
        };
        let mut whole = Table::try_from(preset).map_err(|error| vec![Problem::new("", error.to_string(), "a bug")])?;
        merge(&mut whole, overrides);
        let (algorithm, mut problems) = strict_toml::decode::<Algorithm>(&whole);
        if let (Some(algorithm), true) = (algorithm, problems.is_empty()) {
            problems = preflight::problems(&algorithm);
            let idle = [
                ("kl_estimator", algorithm.kl_estimator != preset.kl_estimator),
                ("kl_in", algorithm.kl_in != preset.kl_in),
            ];
            for (key, _) in idle.into_iter().filter(|(_, set)| *set && algorithm.kl == 0.0) {
                let remedy = "there is no divergence to estimate: give kl a weight above 0";
                problems.push(Problem::new(key, "set without kl", remedy));
            }
            if problems.is_empty() {
                return Ok(algorithm);
            }
        }
        Err(problems)
    }

    /// How advantages are spread over tokens, where they are.
    pub fn gae(&self) -> Option<Gae> {
        match self.advantage {
            Advantage::Gae(gae) => Some(gae),
            _ => None,
        }
    }

    /// Whether completions without advantage get a gradient too.
    pub fn pulls_on_all(&self) -> bool {
        self.value != Critic::None || self.entropy != 0.0 || (self.kl != 0.0 && self.kl_in == Penalty::Loss)
    }
}

/// Puts values over those that are there, tables into tables.
fn merge(below: &mut Table, above: Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => merge(below, above),
            (_, value) => drop(below.insert(key, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Algorithm, String> {
        Algorithm::from_table(&text.parse().unwrap()).map_err(|problems| {
            problems.into_iter().map(|p| p.at("train.algorithm").to_string()).collect::<Vec<_>>().join("\n")
        })
    }

    #[test]
    fn every_preset_works_and_survives_a_round_trip() {
        for name in Algorithm::PRESETS {
            let algorithm = Algorithm::preset(name).unwrap();
            assert_eq!(preflight::problems(&algorithm), [], "{name}");
            assert_eq!(parse(&format!("preset = '{name}'")).unwrap(), algorithm);
            let written = toml::to_string(&algorithm).unwrap();
            assert_eq!(toml::from_str::<Algorithm>(&written).unwrap(), algorithm, "{written}");
            assert_eq!(parse(&written).unwrap(), algorithm, "{written}");
        }
        assert!(Algorithm::preset("gpro").unwrap_err().to_string().contains("grpo"));
    }

    #[test]
    fn a_config_overrides_single_fields_of_a_preset_at_any_depth() {
        let text = "preset = \"dr_grpo\"\nclip = { low = 0.2, high = 0.28 }\ngradient_on = \"trace\"";
        let expected =
            Algorithm { clip: Clip::range(0.2, 0.28), gradient_on: GradientOn::Trace, ..Algorithm::dr_grpo() };
        assert_eq!(parse(text).unwrap(), expected);
        assert_eq!(parse("").unwrap(), Algorithm::grpo());
        assert_eq!(parse("clip = \"none\"").unwrap().clip, Clip::None);
        assert_eq!(parse("clip = { high = 0.28 }").unwrap().clip, Clip::range(0.2, 0.28));
        let dapo = parse("preset = 'dapo'\nfilter.extra_rounds = 1\nkl = 1").unwrap();
        assert_eq!(dapo.filter, Filter { keep: Keep::Finished, extra_rounds: 1, ..Filter::default() });
        assert_eq!(dapo.kl, 1.0);
        let rloo = parse("preset = 'rloo'\nratio = 'token'\nclip = { low = 0.1, high = 0.1, dual = 3.0 }").unwrap();
        assert_eq!(rloo.clip, Clip::Range(ClipRange { low: 0.1, high: 0.1, dual: 3.0, detached: false }));
        let ppo = parse("preset = 'ppo'\nadvantage.lambda = 0.9\nvalue.trunk = true").unwrap();
        assert_eq!(ppo.gae(), Some(Gae { lambda: 0.9, ..Gae::default() }));
        assert_eq!(ppo.value, Critic::Head(HeadLoss { trunk: true, ..HeadLoss::default() }));
        let made = parse("advantage = 'gae'\nvalue = {}").unwrap();
        assert_eq!((made.gae(), made.value), (Some(Gae::default()), Critic::Head(HeadLoss::default())));
        assert_eq!(parse("preset = 'ppo'\nadvantage = 'mean'\nvalue = 'none'").unwrap().value, Critic::None);
    }

    #[test]
    fn a_field_that_is_wrong_is_named() {
        let cases = [
            ("advantages = \"mean\"", "train.algorithm: advantages: unknown key; did you mean advantage?"),
            (
                "clip = 0.2",
                "train.algorithm: clip: found floating point 0.2; allowed is \"none\" or { low = 0.2, high = 0.2 }",
            ),
            ("clip = { hihg = 0.2 }", "train.algorithm: clip.hihg: unknown key; did you mean clip.high?"),
            (
                "filter = { keep = 'rihgt' }",
                "filter.keep: found \"rihgt\"; allowed are all, finished, right (did you mean right?)",
            ),
            ("preset = 'gpro'", "train.algorithm: preset: found \"gpro\"; allowed is one of grpo, dr_grpo"),
            ("preset = 3", "train.algorithm: preset: found 3;"),
            ("inner_epochs = -1", "inner_epochs: found integer -1"),
            ("preset = 'ppo'\nvalue = { rat = 1 }", "value.rat: unknown key; did you mean value.rate?"),
            ("value = 0.5", "value: found floating point 0.5; allowed is \"none\" or { weight = 0.5"),
            ("advantage = 'gea'", "advantage: found \"gea\"; allowed are mean, normalised"),
            ("advantage = 1", "advantage: found integer 1; allowed is a word such as \"mean\", or {"),
            ("preset = 'ppo'\nadvantage.lamda = 1", "advantage.lamda: unknown key; did you mean advantage.lambda?"),
        ];
        for (text, reason) in cases {
            let message = parse(text).unwrap_err();
            assert!(message.contains(reason), "{text}: {message}");
        }
    }

    #[test]
    fn what_cannot_work_is_refused_before_a_model_is_loaded() {
        let cases = [
            ("preset = \"rloo\"\nclip = { low = 0.2, high = 0.2 }", "nothing to clip"),
            ("preset = \"reinforce\"\ninner_epochs = 2", "no longer the one that sampled"),
            ("inner_epochs = 0", "at least 1"),
            ("clip = { low = 0.0, high = 0.2 }", "0 < low"),
            ("clip = { dual = 1.1 }", "above 1 + high"),
            ("preset = 'cispo'\nclip = { dual = 9.0 }", "cannot be detached and dual"),
            ("kl = -0.1", "kl: found -0.1"),
            ("entropy = nan", "entropy: found NaN"),
            ("kl = 0.1\nkl_estimator = 'k1'", "mean zero"),
            ("kl = 0.1\nkl_in = 'reward'\nkl_estimator = 'k3-unbiased'", "no gradient to correct"),
            ("kl_in = 'reward'", "kl_in: set without kl"),
            ("preset = 'star'\nkl = 0.1\nkl_in = 'reward'", "no reward is looked at"),
            ("preset = 'gspo'\naggregation = 'token'", "one loss for all tokens of a completion"),
            ("advantage = 'one'", "filter.keep = \"right\""),
            ("preset = 'star'\nadvantage = 'mean'", "are never compared"),
            ("preset = 'reinforce'\nfilter.extra_rounds = 1", "groups without spread teach"),
            ("filter.tolerance = -1.0", "filter.tolerance"),
            ("advantage = 'gae'", "a value head foretells"),
            ("value = {}", "nothing asks a value head"),
            ("preset = 'ppo'\nadvantage = 'batch'", "nothing asks a value head"),
            ("preset = 'ppo'\nadvantage = { lambda = 1.5 }", "advantage.lambda: found 1.5"),
            ("preset = 'ppo'\nadvantage = { gamma = 0.0 }", "advantage.gamma: found 0"),
            ("preset = 'ppo'\nvalue = { rate = 0 }", "value.rate: found 0"),
            ("preset = 'ppo'\nvalue = { weight = nan }", "value.weight: found NaN"),
            ("preset = 'ppo'\nvalue = { clip = -1 }", "value.clip: found -1"),
            ("preset = 'ppo'\nratio = 'sequence'\naggregation = 'fixed'", "tells the tokens"),
            ("preset = 'ppo'\nfilter.extra_rounds = 1", "groups without spread teach"),
            ("preset = 'ppo'\ncredit = 'sentence'", "tells the tokens of a completion apart already"),
            ("preset = 'gspo'\ncredit = 'sentence'", "one ratio for all of them does not"),
            ("preset = 'star'\ncredit = 'sentence'", "no reward is looked at"),
            ("preset = 'ppo'\nfilter.keep = 'right'", "are never compared"),
            ("tis_cap = -2.0", "tis_cap"),
        ];
        for (text, reason) in cases {
            let message = parse(text).unwrap_err();
            assert!(message.contains(reason), "{text}: {message}");
            assert_eq!(message.lines().count(), 1, "{text}: {message}");
        }
        let several = parse("inner_epochs = 0\nkl = -1.0\nentropy = -1.0").unwrap_err();
        assert_eq!(several.lines().count(), 3, "{several}");
        assert_eq!(parse("preset = 'star'\ninner_epochs = 2").unwrap().inner_epochs, 2);
    }
}
