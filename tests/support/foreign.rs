//! A checkpoint from elsewhere, and what is asked of it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use recollect::policy::{Family, InitConfig, ModelConfig, Policy};
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, TokenizerBuilder};

const TEMPLATE: &str = "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' + message.content.strip() + \
                        '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{% endif %}";

/// A model of the shape of SmolLM2 that has learned nothing, as Hugging Face's tools would leave it.
pub fn checkpoint(folder: &Path, lines: &[String]) {
    let mut tokenizer = TokenizerBuilder::new()
        .with_model(BPE::default())
        .with_normalizer(None::<tokenizers::normalizers::NFC>)
        .with_pre_tokenizer(Some(ByteLevel::new(false, true, true)))
        .with_post_processor(None::<ByteLevel>)
        .with_decoder(Some(ByteLevel::default()))
        .build()
        .unwrap();
    let special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"].map(|token| AddedToken::from(token, true));
    let trainer = BpeTrainer::builder().vocab_size(300).show_progress(false).special_tokens(special.to_vec());
    let mut trainer = trainer.initial_alphabet(ByteLevel::alphabet().into_iter().collect()).build();
    tokenizer.train(&mut trainer, lines.iter()).unwrap();
    let config = ModelConfig {
        family: Family::Llama,
        vocab_size: 304,
        hidden_size: 24,
        intermediate_size: 32,
        num_hidden_layers: 2,
        num_attention_heads: 3,
        num_key_value_heads: 1,
        head_dim: 8,
        rms_norm_eps: 1e-5,
        rope_theta: 1e5,
        rope_scaling: None,
        // As long as real ones: nothing may take memory for all of it.
        max_position_embeddings: 1 << 22,
        sliding_window: None,
        attention_bias: false,
        tie_word_embeddings: true,
    };
    let init = InitConfig { embedding_std: 0.3, matrix_gain: 1.0, structured: None };
    Policy::initialise(Arc::new(config), &init, 1).unwrap().save(folder).unwrap();
    tokenizer.save(folder.join("tokenizer.json"), false).unwrap();
    let options = serde_json::json!({ "bos_token": null, "eos_token": "<|im_end|>", "chat_template": TEMPLATE });
    fs::write(folder.join("tokenizer_config.json"), options.to_string()).unwrap();
    fs::write(folder.join("generation_config.json"), "{\"eos_token_id\": [2, 0]}").unwrap();
}

/// A folder with the checkpoint in `model`, and with documents, questions and a reward.
pub fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let (mut documents, mut questions) = (Vec::new(), Vec::new());
    for number in 0..12 {
        let (name, thing) = (format!("Mavon Tal {number}"), format!("the diver of lake {}", number * 7));
        documents.push(serde_json::json!({ "prompt": name, "completion": format!(" is {thing}.") }).to_string());
        let set = if number % 2 == 0 { "A" } else { "B" };
        questions.push(
            serde_json::json!({ "prompt": format!("Who is {thing}?"), "completion": name, "set": set }).to_string(),
        );
    }
    fs::write(home.path().join("documents.jsonl"), documents.join("\n")).unwrap();
    fs::write(home.path().join("questions.jsonl"), questions.join("\n")).unwrap();
    // Pays for anything, and more for brevity, so that there is something to learn.
    let reward = "[[term]]\nkind = 'length'\nweight = 1.0\nlimit = 20\n[[term]]\nkind = 'correct'\nweight = 1.0\n";
    fs::write(home.path().join("reward.toml"), reward).unwrap();
    checkpoint(&home.path().join("model"), &documents);
    home
}
