//! `[lora]`: adapters instead of all weights. Fine-tuning makes them and reinforcement learning goes on with them.

use super::Ranges;
use crate::policy::LoraConfig;

pub(super) fn check(lora: Option<&LoraConfig>, ranges: &mut Ranges) {
    if let Some((key, found, allowed)) = lora.and_then(LoraConfig::fault) {
        ranges.demand(false, &format!("lora.{key}"), found, allowed);
    }
}
