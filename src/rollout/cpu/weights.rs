//! The weights of one policy version, checked and packed for decoding.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::Tensor;

use super::adapters::PackedAdapter;
use super::linear::PackedLinear;
use super::source::{SnapshotWeights, WeightValues};
use crate::Result;
use crate::policy::architecture::{Architecture, DecoderLayer, FusedLinear, WeightSpec};
use crate::policy::{ModelConfig, Snapshot};

/// A whole policy, packed. Made once per version and shared by all workers.
pub struct PackedWeights {
    /// Policy version.
    pub version: u64,
    pub(in crate::rollout) config: ModelConfig,
    /// `[vocab, hidden]`; none where the head is the same.
    embedding: Option<Arc<Vec<f32>>>,
    pub(super) layers: Vec<DecoderLayer<AdaptedLinear, Vec<f32>>>,
    pub(super) norm: Vec<f32>,
    pub(in crate::rollout) head: Arc<PackedLinear>,
    /// What was packed where only adapters are trained: later versions share it.
    frozen: Arc<BTreeMap<String, Tensor>>,
}

/// Linear layers side by side, with their adapters.
pub(super) struct AdaptedLinear {
    pub(super) weights: Arc<PackedLinear>,
    pub(super) adapter: Option<PackedAdapter>,
}

impl PackedWeights {
    /// Packs a snapshot on as many threads. What has not changed since an earlier version, the weights below adapters, is
    /// not packed again.
    ///
    /// # Errors
    ///
    /// A weight is missing or has another shape than the config says.
    pub fn pack(snapshot: &Snapshot, earlier: Option<&PackedWeights>, threads: usize) -> Result<PackedWeights> {
        let config = snapshot.config.as_ref();
        config.check("model config")?;
        let (weights, architecture) = (SnapshotWeights { snapshot }, config.architecture());
        let unchanged =
            |earlier: &&PackedWeights| snapshot.lora.is_some() && Arc::ptr_eq(&earlier.frozen, &snapshot.frozen);
        let earlier = earlier.filter(unchanged);
        let (embedding, head) = match earlier {
            Some(earlier) => (earlier.embedding.clone(), earlier.head.clone()),
            None => outer(&weights, &architecture, threads)?,
        };
        let layer = |(number, layer): (usize, &DecoderLayer<FusedLinear, WeightSpec>)| {
            let linear = |place: usize, layers: &FusedLinear| {
                let packed = match earlier {
                    Some(earlier) => earlier.layers[number].linears()[place].weights.clone(),
                    None => Arc::new(stack(&weights, layers, threads)?),
                };
                let adapters = snapshot.lora.as_ref().map_or(Vec::new(), |lora| lora.beside(layers));
                Ok(AdaptedLinear { weights: packed, adapter: PackedAdapter::pack(layers, &adapters, &weights)? })
            };
            layer.try_map(linear, |norm| Ok(weights.get(norm)?.to_vec()))
        };
        Ok(PackedWeights {
            version: snapshot.version,
            config: config.clone(),
            embedding,
            layers: architecture.layers.iter().enumerate().map(layer).collect::<Result<_>>()?,
            norm: weights.get(&architecture.norm)?.to_vec(),
            head,
            frozen: snapshot.frozen.clone(),
        })
    }

    /// Whether later versions share what was packed of it.
    pub fn has_frozen(&self) -> bool {
        !self.frozen.is_empty()
    }

    /// The embedding `[hidden]` of a token.
    pub(super) fn embed(&self, token: u32, to: &mut [f32]) {
        match &self.embedding {
            Some(embedding) => to.copy_from_slice(&embedding[token as usize * to.len()..][..to.len()]),
            None => self.head.copy_output(token as usize, to),
        }
    }
}

/// The embedding, where it is not the head, and the head.
type Outer = (Option<Arc<Vec<f32>>>, Arc<PackedLinear>);

fn outer(weights: &SnapshotWeights, architecture: &Architecture, threads: usize) -> Result<Outer> {
    let Architecture { embedding, head, .. } = architecture;
    let packed = Arc::new(PackedLinear::stack(head.shape[1], &[&weights.get(head)?], &[], threads)?);
    let own = if embedding == head { None } else { Some(Arc::new(weights.get(embedding)?.to_vec())) };
    Ok((own, packed))
}

fn stack(weights: &SnapshotWeights, layers: &FusedLinear, threads: usize) -> Result<PackedLinear> {
    let matrices = layers.weights().map(|weight| weights.get(&weight)).collect::<Result<Vec<_>>>()?;
    let biases = layers.biases().map(|bias| weights.get(&bias)).collect::<Result<Vec<_>>>()?;
    PackedLinear::stack(layers.inputs, &slices(&matrices), &slices(&biases), threads)
}

fn slices<'a>(numbers: &'a [WeightValues]) -> Vec<&'a [f32]> {
    numbers.iter().map(|numbers| &**numbers).collect()
}
