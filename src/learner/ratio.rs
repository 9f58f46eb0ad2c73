//! The ratio of two policies in the objective, and the range that it is kept in.

use serde::{Deserialize, Deserializer, Serialize};

use crate::strict_toml::none_or;

/// What stands before the advantage in the objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ratio {
    /// The log-probability of the token (REINFORCE). Right only for the policy that sampled.
    None,
    /// The token's probability now over that when it was sampled (PPO, arXiv 1707.06347).
    Token,
    /// The same for the completion as a whole: the geometric mean of the ratios of its tokens (GSPO, arXiv 2507.18071).
    Sequence,
}

/// The range that the ratio gains nothing by leaving.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Clip {
    None,
    #[serde(untagged)]
    Range(ClipRange),
}

/// From `1 - low` to `1 + high`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipRange {
    /// 1 is no lower bound.
    pub low: f64,
    /// Larger than `low`, it lets unlikely tokens grow (clip-higher, arXiv 2503.14476).
    pub high: f64,
    /// Where the advantage is negative, the ratio counts as no more than this: a token that has become likely since it
    /// was sampled is not pushed down without bound (dual clip, arXiv 1912.09729). 0 for none.
    #[serde(default)]
    pub dual: f64,
    /// The clipped ratio is a constant weight of `A log p`, so that every token keeps its gradient (CISPO,
    /// arXiv 2506.13585); otherwise tokens beyond the range have none (PPO).
    #[serde(default)]
    pub detached: bool,
}

impl Clip {
    /// PPO's range.
    pub fn range(low: f64, high: f64) -> Clip {
        Clip::Range(ClipRange { low, high, dual: 0.0, detached: false })
    }
}

impl<'de> Deserialize<'de> for Clip {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let range = none_or(deserializer, "\"none\" or { low = 0.2, high = 0.2 }")?;
        Ok(range.map_or(Clip::None, Clip::Range))
    }
}
