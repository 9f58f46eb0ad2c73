//! The weights before training, from a seed.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::structured::{Structured, normal};
use super::{ModelConfig, Policy, Weight};
use crate::Result;
use crate::random;

/// How to draw the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InitConfig {
    /// Standard deviation of the embeddings.
    pub embedding_std: f64,
    /// Matrices have the standard deviation `matrix_gain / sqrt(inputs)`.
    pub matrix_gain: f64,
    /// The shape of the first two layers; without it they are as random as the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structured: Option<Structured>,
}

impl InitConfig {
    /// Refuses a model that cannot begin so.
    pub fn check(&self, model: &ModelConfig) -> Result<()> {
        self.structured.as_ref().map_or(Ok(()), |structured| structured.check(model))
    }
}

impl Policy {
    /// A policy that has learned nothing. Every weight has a random stream of its own, named after it.
    pub fn initialise(config: Arc<ModelConfig>, init: &InitConfig, seed: u64) -> Result<Policy> {
        config.check("model")?;
        let mut weights = BTreeMap::new();
        for (name, shape) in config.weight_shapes() {
            let mut stream = random::named(seed, &name);
            let length = shape.iter().product();
            let values = if name.ends_with("norm.weight") {
                vec![1.0; length]
            } else if name.ends_with("bias") {
                vec![0.0; length]
            } else if name == "model.embed_tokens.weight" {
                normal(&mut stream, length, init.embedding_std)
            } else {
                normal(&mut stream, length, init.matrix_gain / (shape[1] as f64).sqrt())
            };
            weights.insert(name, Weight { shape, values });
        }
        if let Some(structured) = &init.structured {
            structured.shape(&mut weights, &config, init.embedding_std, seed)?;
        }
        Policy::new("initial weights", config, weights)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::policy::config::tests::tiny;
    use crate::policy::{Anchor, Code, Family, Head};

    /// Large enough for offset heads to be sharp.
    pub(in crate::policy) fn model() -> ModelConfig {
        ModelConfig {
            vocab_size: 50,
            hidden_size: 128,
            num_attention_heads: 4,
            num_key_value_heads: 4,
            head_dim: 32,
            rope_theta: 1e5,
            ..tiny(Family::Qwen2, true)
        }
    }

    pub(in crate::policy) fn structured() -> InitConfig {
        use Code::{Own, Previous};
        let matches = [(Own, 1), (Previous(1), 1), (Previous(4), 4), (Previous(1), 4)]
            .map(|(query, key)| Head::Match { query, key: Previous(key), says: false, fetched: vec![] });
        let structured = Structured {
            sharpness: 8.0,
            gain: 2.5,
            offsets: vec![1, 2, 3, 4],
            heads: matches.to_vec(),
            then: vec![],
            fetched: vec![Previous(2), Previous(3)],
            anchor: Anchor { token: 7, strength: 8.0 },
            gates: None,
        };
        InitConfig { embedding_std: 0.1, matrix_gain: 0.5, structured: Some(structured) }
    }

    #[test]
    fn the_seed_decides_every_weight() {
        let make = |seed| Policy::initialise(Arc::new(model()), &structured(), seed).unwrap().weights().unwrap();
        assert_eq!(make(1), make(1));
        let (a, b) = (make(1), make(2));
        for (name, weight) in &a {
            let drawn = !name.ends_with("norm.weight") && !name.ends_with("bias");
            assert_eq!(weight != &b[name], drawn, "{name}");
        }
        let std = |values: &[f32]| (values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32).sqrt();
        assert!((std(&a["model.embed_tokens.weight"].values) - 0.1).abs() < 0.005);
        assert!((std(&a["model.layers.1.mlp.up_proj.weight"].values) - 0.5 / 128f32.sqrt()).abs() < 0.002);
    }
}
