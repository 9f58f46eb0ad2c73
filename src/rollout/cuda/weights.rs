//! The weights of one policy version as a step on the card uses them: layers side by side in one matrix, in the type
//! of activations; norms, biases and the table of embeddings in f32.

use candle_core::{DType, Tensor};

use crate::kernels::Precision;
use crate::kernels::cuda::{CudaDevice, as_type};
use crate::policy::architecture::{DecoderLayer, FusedLinear, WeightSpec};
use crate::policy::{AdapterSpec, Snapshot};
use crate::{Error, Result};

/// A whole policy.
pub struct CudaWeights {
    /// `[vocab, hidden]`, where the residual stream begins.
    pub(super) embedding: Tensor,
    pub(super) layers: Vec<DecoderLayer<CudaLinear, Tensor>>,
    pub(super) norm: Tensor,
    /// `[vocab, hidden]`
    pub(super) head: Tensor,
}

/// Linear layers of one input, side by side.
pub(super) struct CudaLinear {
    /// `[outputs, inputs]`
    pub(super) weight: Tensor,
    /// `[outputs]`
    pub(super) bias: Option<Tensor>,
    pub(super) adapters: Vec<CudaAdapter>,
}

/// What stands beside one of several layers: `scale * (x A^T) B^T`.
pub(super) struct CudaAdapter {
    pub(super) column: usize,
    pub(super) a: Tensor,
    pub(super) b: Tensor,
    pub(super) scale: f32,
}

impl CudaWeights {
    /// Copies a snapshot; when this returns, the snapshot's tensors are no longer used.
    pub(super) fn new(card: &CudaDevice, snapshot: &Snapshot, precision: Precision) -> Result<CudaWeights> {
        let (source, architecture) =
            (CudaSource { card, snapshot, real: precision.real() }, snapshot.config.architecture());
        let layer = |layer: &DecoderLayer<FusedLinear, WeightSpec>| {
            layer.try_map(|_, layers| source.linear(layers), |norm| source.get(norm, DType::F32))
        };
        let weights = CudaWeights {
            embedding: source.get(&architecture.embedding, DType::F32)?,
            layers: architecture.layers.iter().map(layer).collect::<Result<_>>()?,
            norm: source.get(&architecture.norm, DType::F32)?,
            head: source.get(&architecture.head, precision.real())?,
        };
        card.finish()?;
        Ok(weights)
    }

    /// The largest rank of an adapter.
    pub(super) fn largest_rank(&self) -> Result<usize> {
        let linears = self.layers.iter().flat_map(|layer| layer.linears());
        let ranks = linears.flat_map(|linear| &linear.adapters).map(|adapter| Ok(adapter.a.dim(0)?));
        ranks.collect::<Result<Vec<usize>>>().map(|ranks| ranks.into_iter().max().unwrap_or(0))
    }
}

/// Where weights come from.
struct CudaSource<'a> {
    card: &'a CudaDevice,
    snapshot: &'a Snapshot,
    real: DType,
}

impl CudaSource<'_> {
    /// A copy of a weight, in a type.
    fn get(&self, WeightSpec { name, .. }: &WeightSpec, dtype: DType) -> Result<Tensor> {
        let Some(tensor) = self.snapshot.frozen.get(name) else {
            let place = format!("policy version {}", self.snapshot.version);
            return Err(Error::invalid(place, format!("{name} is not on the card"), "move the policy there first"));
        };
        let moved = tensor.to_device(&self.card.device())?;
        // On the same queue it would be no copy, and nothing may change under a step.
        if moved.dtype() == dtype { Ok(moved.copy()?) } else { as_type(&moved, dtype) }
    }

    fn linear(&self, layers: &FusedLinear) -> Result<CudaLinear> {
        let all = |specs: &mut dyn Iterator<Item = WeightSpec>, dtype| -> Result<Tensor> {
            let parts = specs.map(|spec| self.get(&spec, dtype)).collect::<Result<Vec<_>>>()?;
            Ok(Tensor::cat(&parts, 0)?)
        };
        let weight = all(&mut layers.weights(), self.real)?;
        let bias = if layers.has_bias { Some(all(&mut layers.biases(), DType::F32)?) } else { None };
        let adapters = self.snapshot.lora.iter().flat_map(|lora| lora.beside(layers));
        let adapter = |AdapterSpec { column, a, b, scale }: AdapterSpec| {
            Ok(CudaAdapter { column, a: self.get(&a, self.real)?, b: self.get(&b, self.real)?, scale })
        };
        Ok(CudaLinear { weight, bias, adapters: adapters.map(adapter).collect::<Result<_>>()? })
    }
}
