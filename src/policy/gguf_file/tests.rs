use super::*;
use crate::Result;
use crate::gguf::tests::GgufWriter;
use crate::kernels::RopeScaling;
use crate::policy::{Checkpoint, Family};

/// A model without weights but its embedding.
fn file(architecture: &str) -> GgufWriter {
    let sizes = [
        ("context_length", 64),
        ("embedding_length", 8),
        ("block_count", 2),
        ("feed_forward_length", 6),
        ("attention.head_count", 2),
    ];
    let file = GgufWriter::new()
        .text(ARCHITECTURE, architecture)
        .number(&format!("{architecture}.attention.layer_norm_rms_epsilon"), 1e-6)
        .tensor(EMBEDDING, &[5, 8], &[0.5; 40]);
    sizes.iter().fold(file, |file, (key, size)| file.whole(&format!("{architecture}.{key}"), *size))
}

fn read(file: &GgufWriter) -> Result<ModelConfig> {
    let (opened, _home) = file.open();
    config(&opened?)
}

fn message(file: &GgufWriter) -> String {
    let message = read(file).err().unwrap().to_string();
    assert!(message.contains("tiny.gguf: ") && !message.contains('\n'), "{message}");
    message
}

#[test]
fn a_config_is_that_of_the_metadata() {
    let plain = read(&file("llama")).unwrap();
    assert_eq!((plain.family, plain.vocab_size, plain.head_dim), (Family::Llama, 5, 4));
    assert_eq!((plain.num_key_value_heads, plain.rms_norm_eps, plain.rope_theta), (2, 1e-6, 1e4));
    assert!(plain.tie_word_embeddings && !plain.attention_bias && plain.rope_scaling.is_none());
    let more = file("qwen3")
        .whole("qwen3.attention.head_count_kv", 1)
        .whole("qwen3.attention.key_length", 6)
        .whole("qwen3.attention.value_length", 6)
        .number("qwen3.rope.freq_base", 1e6)
        .tensor(HEAD, &[5, 8], &[0.5; 40]);
    let more = read(&more).unwrap();
    assert_eq!((more.family, more.num_key_value_heads, more.head_dim, more.rope_theta), (Family::Qwen3, 1, 6, 1e6));
    assert!(!more.tie_word_embeddings);
    let biased = read(&file("llama").tensor("blk.0.attn_q.bias", &[8], &[0.5; 8])).unwrap();
    assert!(biased.attention_bias);
}

#[test]
fn rotations_are_those_of_llama_cpp() {
    let scaling = |change: &dyn Fn(GgufWriter) -> GgufWriter| read(&change(file("llama"))).unwrap().rope_scaling;
    let linear = Some(RopeScaling::Linear { factor: 4.0 });
    assert_eq!(scaling(&|file| file.number("llama.rope.scaling.factor", 4.0)), linear, "linear is the default");
    assert_eq!(scaling(&|file| file.number("llama.rope.scale_linear", 4.0)), linear);
    let named = |file: GgufWriter, kind| file.text("llama.rope.scaling.type", kind);
    assert_eq!(scaling(&|file| named(file, "none").number("llama.rope.scaling.factor", 4.0)), None);
    assert_eq!(scaling(&|file| named(file, "linear")), None);
    let yarn = scaling(&|file| {
        named(file, "yarn")
            .number("llama.rope.scaling.factor", 4.0)
            .whole("llama.rope.scaling.original_context_length", 16)
            .number("llama.rope.scaling.yarn_beta_fast", 24.0)
            .number("llama.rope.scaling.attn_factor", 0.5)
    });
    let Some(RopeScaling::Yarn(yarn)) = yarn else { panic!("{yarn:?}") };
    assert_eq!((yarn.factor, yarn.original_max_position_embeddings, yarn.beta_fast), (4.0, 16, Some(24.0)));
    assert!((yarn.attention_factor.unwrap() - 0.5 * (0.1 * 4f64.ln() + 1.0)).abs() < 1e-9);
    assert_eq!(scaling(&|file| file.tensor("rope_freqs.weight", &[2], &[1.0, 1.0])), None);
    let Some(RopeScaling::Llama3(llama3)) = scaling(&|file| file.tensor("rope_freqs.weight", &[2], &[1.0, 32.0]))
    else {
        panic!("no scaling of Llama 3")
    };
    assert_eq!((llama3.factor, llama3.low_freq_factor, llama3.high_freq_factor), (32.0, 1.0, 4.0));
}

#[test]
fn what_is_not_computed_is_refused_by_name() {
    let llama = || file("llama");
    let yarn = || llama().text("llama.rope.scaling.type", "yarn");
    for (file, part) in [
        (GgufWriter::new(), "general.architecture is missing"),
        (file("gemma3"), "general.architecture is \"gemma3\"; llama (with"),
        (llama().text("general.type", "adapter"), "general.type is \"adapter\""),
        (llama().whole("split.count", 2), "split.count is 2"),
        (llama().whole("general.quantization_version", 1), "general.quantization_version is 1"),
        (llama().whole("llama.expert_count", 8), "llama.expert_count is 8"),
        (llama().number("llama.logit_scale", 2.0), "llama.logit_scale is 2"),
        (llama().number("llama.attention.clamp_kqv", 8.0), "llama.attention.clamp_kqv is 8"),
        (llama().text("llama.a_key_of_the_future", "x"), "llama.a_key_of_the_future is \"x\""),
        (llama().flag("llama.attention.causal", false), "llama.attention.causal is false"),
        (llama().whole("llama.attention.sliding_window", 16), "llama.attention.sliding_window is 16"),
        (llama().text("llama.tensor_data_layout", "other"), "llama.tensor_data_layout is \"other\""),
        (llama().whole("llama.vocab_size", 6), "llama.vocab_size is 6; it has to be 5"),
        (llama().whole("llama.rope.dimension_count", 2), "llama.rope.dimension_count is 2; it has to be 4"),
        (llama().whole("llama.attention.value_length", 2), "llama.attention.value_length is 2; it has to be 4"),
        (llama().wholes("llama.attention.head_count_kv", &[1, 2]), "head_count_kv is different in different layers"),
        (llama().number("llama.rope.freq_base", f32::NAN), "llama.rope.freq_base is NaN"),
        (llama().text("llama.rope.scaling.type", "longrope"), "llama.rope.scaling.type is \"longrope\""),
        (llama().number("llama.rope.scaling.factor", -2.0), "rope_scaling.factor is -2"),
        (yarn().number("llama.rope.scaling.yarn_ext_factor", 0.0), "yarn_ext_factor is 0"),
        (yarn().number("llama.rope.scaling.yarn_log_multiplier", 0.1), "yarn_log_multiplier is 0.1"),
        (llama().tensor("rope_freqs.weight", &[3], &[1.0; 3]), "rope_freqs.weight is 3 factors for 2 pairs"),
        (llama().tensor("rope_freqs.weight", &[2], &[8.0, 1.0]), "rope_freqs.weight is a list of 2 factors"),
        (llama().tensor("rope_freqs.weight", &[2], &[f32::NAN, 1.0]), "rope_freqs.weight is a list of 2 factors"),
        (
            yarn().number("llama.rope.scaling.factor", 2.0).tensor("rope_freqs.weight", &[2], &[1.0, 8.0]),
            "rope_freqs.weight is there beside rope.scaling",
        ),
    ] {
        let message = message(&file);
        assert!(message.contains(part), "{message}");
    }
    for neutral in [
        llama().whole("llama.expert_count", 0),
        llama().number("llama.logit_scale", 1.0),
        llama().whole("llama.attention.sliding_window", 64),
        llama().text("general.a_key_of_the_future", "x"),
    ] {
        assert_eq!(read(&neutral).unwrap(), read(&llama()).unwrap());
    }
    let huge = message(&GgufWriter::new().text(ARCHITECTURE, "llama").tensor(EMBEDDING, &[1], &[1.0]));
    assert!(huge.contains("llama.attention.head_count is missing"), "{huge}");
}

#[test]
fn every_key_is_in_the_table() {
    let table = include_str!("../README.md");
    for key in keys::HONOURED.iter().chain(&keys::NEUTRAL_AT_ONE) {
        assert!(table.contains(&format!("`A.{key}`")), "src/policy/README.md: {key}");
    }
    for (name, _) in ARCHITECTURES {
        assert!(table.contains(&format!("`{name}`")), "src/policy/README.md: {name}");
    }
}

#[test]
fn weights_of_another_model_are_refused_by_their_names() {
    let message = |file: GgufWriter| {
        let (opened, home) = file.open();
        opened.unwrap();
        let path = home.path().join("tiny.gguf");
        let error = Checkpoint::open(&path).and_then(|checkpoint| checkpoint.load()).err().unwrap().to_string();
        assert!(error.contains("tiny.gguf: ") && !error.contains('\n'), "{error}");
        error
    };
    assert!(message(file("llama")).contains("model.layers.0.input_layernorm.weight is missing"));
    let norm = |width| file("llama").tensor("blk.0.attn_norm.weight", &[width], &vec![1.0; width]);
    assert!(message(norm(7)).contains("input_layernorm.weight has shape [7], not [8]"));
    let other = file("llama").tensor("blk.0.attn_qkv.weight", &[1], &[1.0]);
    assert!(message(other).contains("blk.0.attn_qkv.weight is no weight of this model"));
    let infinite = file("llama").tensor("blk.0.attn_norm.weight", &[8], &[f32::NAN; 8]);
    assert!(message(infinite).contains("holds a number that is not finite (NaN at index 0)"));
}
