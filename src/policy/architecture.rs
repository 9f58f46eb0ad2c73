//! What a decoder consists of and in which order it computes, once for the learner and for every backend of the sampler.
//!
//! All families are pre-norm decoders with RMSNorm, rotary positions, grouped heads and SwiGLU. What one of them has and
//! another has not, a bias or a norm, is said in [`ModelConfig::architecture`] and nowhere else.

use super::ModelConfig;
use crate::Result;

/// A weight by its name in Hugging Face's layout.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightSpec {
    pub name: String,
    pub shape: Vec<usize>,
}

impl WeightSpec {
    pub fn new(name: String, shape: &[usize]) -> WeightSpec {
        WeightSpec { name, shape: shape.to_vec() }
    }
}

/// All weights of a decoder.
#[derive(Clone, Debug)]
pub struct Architecture {
    /// `[vocab, hidden]`, where the residual stream begins.
    pub embedding: WeightSpec,
    pub layers: Vec<DecoderLayer<FusedLinear, WeightSpec>>,
    /// Of the residual stream behind the last layer.
    pub norm: WeightSpec,
    /// `[vocab, hidden]`, which may be the embedding.
    pub head: WeightSpec,
}

/// One layer, with something in the place of each of its linear layers and norms: their names, or the weights as a
/// backend holds them.
#[derive(Clone, Debug)]
pub struct DecoderLayer<L, N> {
    pub input_norm: N,
    /// Query, key and value heads, side by side.
    pub attention_in: L,
    /// Of each query and each key head, where there are any.
    pub head_norms: Option<[N; 2]>,
    pub attention_out: L,
    pub post_norm: N,
    /// Gate and up, side by side.
    pub gate_up: L,
    pub down: L,
}

/// The operations of a forward pass, on a residual stream and the newest activations beside it.
///
/// # Errors
///
/// Of every method: a weight is missing, or the device fails.
pub trait ForwardPass {
    type Linear;
    type Norm;

    /// Replaces the activations by the residual stream, normalised.
    fn norm(&mut self, norm: &Self::Norm) -> Result<()>;

    /// Replaces the activations by what linear layers make of them.
    fn linear(&mut self, layers: &Self::Linear) -> Result<()>;

    /// Adds what linear layers make of the activations to the residual stream.
    fn add_linear(&mut self, layers: &Self::Linear) -> Result<()>;

    /// Replaces query, key and value heads by what attention makes of them, in the layer of this number.
    fn attention(&mut self, layer: usize, head_norms: Option<&[Self::Norm; 2]>) -> Result<()>;

    /// Replaces gate and up by their gated product.
    fn swiglu(&mut self) -> Result<()>;
}

impl<L, N> DecoderLayer<L, N> {
    /// Takes the residual stream through the layer, the one of this number.
    ///
    /// # Errors
    ///
    /// Those of the operations.
    pub fn forward(&self, number: usize, pass: &mut impl ForwardPass<Linear = L, Norm = N>) -> Result<()> {
        pass.norm(&self.input_norm)?;
        pass.linear(&self.attention_in)?;
        pass.attention(number, self.head_norms.as_ref())?;
        pass.add_linear(&self.attention_out)?;
        pass.norm(&self.post_norm)?;
        pass.linear(&self.gate_up)?;
        pass.swiglu()?;
        pass.add_linear(&self.down)
    }

    /// The linear layers in the order of the forward pass.
    pub fn linears(&self) -> [&L; 4] {
        [&self.attention_in, &self.attention_out, &self.gate_up, &self.down]
    }

    /// The same, of a layer that nothing else is wanted of.
    pub fn into_linears(self) -> [L; 4] {
        [self.attention_in, self.attention_out, self.gate_up, self.down]
    }

    /// The norms in the order of the forward pass.
    pub fn norms(&self) -> impl Iterator<Item = &N> {
        [&self.input_norm].into_iter().chain(self.head_norms.iter().flatten()).chain([&self.post_norm])
    }

    /// The layer with other things in these places. `linear` also gets the number of each in [`DecoderLayer::linears`].
    ///
    /// # Errors
    ///
    /// Those of the functions.
    pub fn try_map<M, O>(
        &self,
        linear: impl Fn(usize, &L) -> Result<M>,
        norm: impl Fn(&N) -> Result<O>,
    ) -> Result<DecoderLayer<M, O>> {
        Ok(DecoderLayer {
            input_norm: norm(&self.input_norm)?,
            attention_in: linear(0, &self.attention_in)?,
            head_norms: match &self.head_norms {
                Some([query, key]) => Some([norm(query)?, norm(key)?]),
                None => None,
            },
            attention_out: linear(1, &self.attention_out)?,
            post_norm: norm(&self.post_norm)?,
            gate_up: linear(2, &self.gate_up)?,
            down: linear(3, &self.down)?,
        })
    }
}

/// Linear layers of one input, whose outputs stand side by side: one large product instead of several small ones.
#[derive(Clone, Debug)]
pub struct FusedLinear {
    pub inputs: usize,
    pub has_bias: bool,
    pub parts: Vec<LinearSpec>,
}

/// One of them: `model.layers.0.self_attn.q_proj`, without what its weight and its bias are called.
#[derive(Clone, Debug)]
pub struct LinearSpec {
    pub name: String,
    pub outputs: usize,
}

impl FusedLinear {
    /// How wide all outputs are together.
    pub fn outputs(&self) -> usize {
        self.parts.iter().map(|part| part.outputs).sum()
    }

    /// `[outputs, inputs]` of each part.
    pub fn weights(&self) -> impl Iterator<Item = WeightSpec> {
        self.parts.iter().map(|part| WeightSpec::new(format!("{}.weight", part.name), &[part.outputs, self.inputs]))
    }

    /// `[outputs]` of each part; none where there are no biases.
    pub fn biases(&self) -> impl Iterator<Item = WeightSpec> {
        let parts = if self.has_bias { &self.parts[..] } else { &[] };
        parts.iter().map(|part| WeightSpec::new(format!("{}.bias", part.name), &[part.outputs]))
    }
}

impl Architecture {
    /// All linear layers of all layers.
    pub fn linears(&self) -> impl Iterator<Item = &FusedLinear> {
        self.layers.iter().flat_map(|layer| layer.linears())
    }

    /// All weights, in no order; an embedding that is the head as well comes twice.
    pub fn weights(&self) -> impl Iterator<Item = WeightSpec> {
        let outer = [&self.embedding, &self.norm, &self.head].into_iter();
        let norms = self.layers.iter().flat_map(|layer| layer.norms());
        let linears = self.linears().flat_map(|linear| linear.weights().chain(linear.biases()));
        outer.chain(norms).cloned().chain(linears)
    }
}

impl ModelConfig {
    /// The decoder that this is the shape of.
    pub fn architecture(&self) -> Architecture {
        let (hidden, inner, vocabulary) = (self.hidden_size, self.intermediate_size, self.vocab_size);
        let (query, key) = (self.num_attention_heads * self.head_dim, self.num_key_value_heads * self.head_dim);
        let layer = |number: usize| {
            let name = |part: &str| format!("model.layers.{number}.{part}");
            let norm = |part: &str, width: usize| WeightSpec::new(name(&format!("{part}.weight")), &[width]);
            let fused = |inputs: usize, has_bias: bool, parts: &[(&str, usize)]| {
                let part = |(part, outputs): &(&str, usize)| LinearSpec { name: name(part), outputs: *outputs };
                FusedLinear { inputs, has_bias, parts: parts.iter().map(part).collect() }
            };
            let heads = [("self_attn.q_proj", query), ("self_attn.k_proj", key), ("self_attn.v_proj", key)];
            let head_norms = ["self_attn.q_norm", "self_attn.k_norm"].map(|part| norm(part, self.head_dim));
            DecoderLayer {
                input_norm: norm("input_layernorm", hidden),
                attention_in: fused(hidden, self.has_query_bias(), &heads),
                head_norms: self.family.has_head_norm().then_some(head_norms),
                attention_out: fused(query, self.attention_bias, &[("self_attn.o_proj", hidden)]),
                post_norm: norm("post_attention_layernorm", hidden),
                gate_up: fused(hidden, false, &[("mlp.gate_proj", inner), ("mlp.up_proj", inner)]),
                down: fused(inner, false, &[("mlp.down_proj", hidden)]),
            }
        };
        let embedding = WeightSpec::new("model.embed_tokens.weight".into(), &[vocabulary, hidden]);
        let own_head = WeightSpec::new("lm_head.weight".into(), &[vocabulary, hidden]);
        Architecture {
            head: if self.tie_word_embeddings { embedding.clone() } else { own_head },
            embedding,
            layers: (0..self.num_hidden_layers).map(layer).collect(),
            norm: WeightSpec::new("model.norm.weight".into(), &[hidden]),
        }
    }
}
