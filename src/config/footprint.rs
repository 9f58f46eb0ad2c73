//! How much memory training takes, worked out from the shape of the model: better known before it runs than after.

use super::{Config, TrainConfig};
use crate::base;
use crate::base::Place;
use crate::knowledge::lexicon::Lexicon;
use crate::language::Tokenizer;
use crate::learner::supervised::MICRO_BATCH;
use crate::policy::{LoraConfig, ModelConfig, micro_batch};

/// Bytes of one way to train a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Of the policy, in f32.
    pub weights: u128,
    /// Of the micro-batches that are worked on, one for each worker, and of those that are done their sum.
    pub gradients: u128,
    /// Two for each number that is trained.
    pub moments: u128,
    /// The packed copy that rollouts are sampled from, and the one that it is packed from.
    pub sampling: u128,
    /// What a micro-batch leaves for its backward pass, on every worker: an estimate.
    pub activations: u128,
}

impl Footprint {
    /// Of training all weights, or adapters, on so many micro-batches a step.
    pub fn estimate(model: &ModelConfig, lora: Option<&LoraConfig>, micro_batches: usize, workers: usize) -> Footprint {
        const FLOAT: u128 = size_of::<f32>() as u128;
        let all = model.parameter_count() as u128 * FLOAT;
        let trained = lora.map_or(all, |lora| lora.parameter_count(model) as u128 * FLOAT);
        let adapters = if lora.is_some() { trained } else { 0 };
        let (workers, layers) = (workers as u128, model.num_hidden_layers as u128);
        let (d, f) = (model.hidden_size as u128, model.intermediate_size as u128);
        let queries = (model.num_attention_heads * model.head_dim) as u128;
        let heads = queries + 2 * (model.num_key_value_heads * model.head_dim) as u128;
        let normed = if model.family.has_head_norm() { heads } else { 0 };
        // Two norms, two sums, two outputs of blocks; heads; attention; gate, up and their product.
        let kept = 6 * d + heads + normed + queries + 3 * f;
        // Adapters give new outputs; weights that are trained are set side by side for a product.
        let (again, stacked) = match lora {
            Some(_) => (heads + 2 * d + 2 * f, 0),
            None => (0, (heads + 2 * f) * d * layers),
        };
        let tokens = micro_batch(model, MICRO_BATCH) as u128;
        Footprint {
            weights: all + adapters,
            gradients: trained * (workers.min(micro_batches as u128) + 1),
            moments: 2 * trained,
            sampling: all + adapters + trained,
            activations: ((kept + again) * layers * tokens + stacked) * FLOAT * workers.min(micro_batches as u128),
        }
    }

    /// Bytes of a checkpoint: what is trained and the two moments of each.
    pub fn checkpoint(&self) -> u128 {
        self.moments / 2 * 3
    }

    /// Bytes of the policy that training leaves: what is trained.
    pub fn trained(&self) -> u128 {
        self.moments / 2
    }

    /// All of it, in memory.
    pub fn total(&self) -> u128 {
        self.weights + self.gradients + self.moments + self.sampling + self.activations
    }
}

/// What a config's model takes when all of its weights are trained, and with adapters. None where its shape cannot be
/// read yet.
pub fn for_config(config: &Config) -> Option<[Footprint; 2]> {
    let model = match (config.base.place(), config.world.is_free_text()) {
        (Place::Shipped(_), true) => config.model.with_vocabulary(config.world.jsonl.vocabulary),
        _ if config.base.is_made() => {
            let lexicon = Lexicon::new(&config.known.known().lexicon).ok()?;
            config.model.with_vocabulary(Tokenizer::from_words(lexicon.words()).ok()?.size())
        }
        (place, _) => base::shape(place).ok()?,
    };
    let train = &config.train;
    let sampled =
        train.questions_per_step.saturating_mul(train.group_size).saturating_mul(train.longest_completion().1);
    let micro_batches = sampled.saturating_add(train.replay_tokens).max(config.finetune.tokens_per_step)
        / micro_batch(&model, MICRO_BATCH)
        + 1;
    let workers = config.run.resolved_workers();
    let lora = config.lora.clone().unwrap_or_default();
    Some([None, Some(&lora)].map(|lora| Footprint::estimate(&model, lora, micro_batches, workers)))
}

/// Most checkpoints that are on disk at once: the newest, of which that of the last step is one, the best, and the one
/// that is being written.
pub fn checkpoints(train: &TrainConfig) -> usize {
    let made = train.checkpoint_every.map_or(0, |every| train.steps / every).saturating_add(1);
    train.keep_last.min(made).saturating_add(usize::from(train.keep_best)).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adapters_take_what_weights_and_their_packed_copy_take_and_little_more() {
        let model = base::shape(Place::from_name("embedded")).unwrap();
        let parameters = 4 * model.parameter_count() as u128;
        let full = Footprint::estimate(&model, None, 3, 2);
        assert_eq!((full.weights, full.gradients), (parameters, 3 * parameters));
        assert_eq!((full.moments, full.sampling), (2 * parameters, 2 * parameters));
        let lora = LoraConfig { rank: 4, ..LoraConfig::default() };
        let adapters = 4 * lora.parameter_count(&model) as u128;
        let light = Footprint::estimate(&model, Some(&lora), 3, 2);
        assert!(Footprint::estimate(&model, Some(&lora), 3, 1).activations * 2 == light.activations);
        assert_eq!(
            (light.weights, light.gradients, light.moments),
            (parameters + adapters, 3 * adapters, 2 * adapters)
        );
        let held = |footprint: Footprint| footprint.total() - footprint.activations;
        assert!(held(light) < held(full) / 2);
    }

    #[test]
    fn as_many_checkpoints_are_on_disk_as_stay_and_one_more() {
        let mut train = Config::default().train;
        assert_eq!(checkpoints(&train), 4, "the two newest, the best, and one that is being written");
        (train.keep_last, train.keep_best) = (100, false);
        assert_eq!(checkpoints(&train), 8, "every fifty of 300 steps, and the last step's");
        train.checkpoint_every = None;
        assert_eq!(checkpoints(&train), 2);
        let light = Footprint::estimate(&base::shape(Place::from_name("embedded")).unwrap(), None, 3, 2);
        assert_eq!((light.checkpoint(), light.trained()), (3 * light.weights, light.weights));
    }

    #[test]
    fn a_base_that_is_not_there_has_no_footprint() {
        let mut config = Config::default();
        assert!(for_config(&config).is_some());
        config.base.path = "no/such/base".into();
        assert!(for_config(&config).is_none());
        config.base.path = "pretrain".into();
        assert_eq!(for_config(&config), for_config(&Config::default()), "the base that ships was made by the defaults");
        config.base.path = "embedded".into();
        // Sizes that no machine has are no reason to overflow.
        (config.train.group_size, config.run.workers) = (usize::MAX, Some(usize::MAX));
        assert!(for_config(&config).is_some());
    }
}
