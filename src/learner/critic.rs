//! What learns to foretell rewards, so that advantages can be compared with it.

use serde::{Deserialize, Deserializer, Serialize};

use crate::strict_toml::none_or;

/// Whether a value head is trained with the policy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Critic {
    None,
    #[serde(untagged)]
    Head(HeadLoss),
}

/// How a value head learns.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HeadLoss {
    /// Weight of its loss beside the policy's. Where the head alone learns from it, the optimizer's own scaling leaves
    /// little of this number.
    pub weight: f64,
    /// A value gains nothing by going further than this from what it was before the step; 0 for as far as it likes.
    pub clip: f64,
    /// Learning rate of the head as a multiple of the policy's.
    pub rate: f64,
    /// Whether its gradient goes on into the policy.
    pub trunk: bool,
}

impl Default for HeadLoss {
    fn default() -> HeadLoss {
        HeadLoss { weight: 0.5, clip: 0.2, rate: 1.0, trunk: false }
    }
}

impl Critic {
    /// How the head learns, where there is one.
    pub fn head(self) -> Option<HeadLoss> {
        match self {
            Critic::None => None,
            Critic::Head(head) => Some(head),
        }
    }
}

impl<'de> Deserialize<'de> for Critic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let head = none_or(deserializer, "\"none\" or { weight = 0.5, clip = 0.2, rate = 1.0, trunk = false }")?;
        Ok(head.map_or(Critic::None, Critic::Head))
    }
}
