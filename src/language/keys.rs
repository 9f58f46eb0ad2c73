//! Every key of the files beside a `tokenizer.json`, and what becomes of it here. `README.md` beside this file explains
//! them; a test holds it to this table, and the table to the keys that transformers knows.

use serde_json::{Map, Value};

use super::tokenizer_config::{CONFIG, GENERATION, MODEL};
use crate::{Error, Result};

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum KeyEffect {
    /// What transformers does with it.
    Honoured,
    /// A value that would change what the model is given or gives is an error that names the key. A number that has no
    /// effect either may be allowed.
    Refused(Option<f64>),
    /// How to sample is said by the config of the run. The saved files keep what the source says.
    OfTheRun,
    /// It changes nothing that is computed here, nor in transformers where there is a `tokenizer.json`.
    Without,
}

impl KeyEffect {
    /// The word for it in the documentation.
    pub fn word(self) -> &'static str {
        match self {
            KeyEffect::Honoured => "honoured",
            KeyEffect::Refused(_) => "refused",
            KeyEffect::OfTheRun => "of the run",
            KeyEffect::Without => "without effect",
        }
    }
}

use KeyEffect::{Honoured, OfTheRun, Refused, Without};

/// Keys of `tokenizer_config.json`; those of `special_tokens_map.json` are among them.
pub const TOKENIZER: &[(&str, KeyEffect)] = &[
    ("bos_token", Honoured),
    ("eos_token", Honoured),
    ("pad_token", Honoured),
    ("unk_token", Honoured),
    ("sep_token", Honoured),
    ("cls_token", Honoured),
    ("mask_token", Honoured),
    ("additional_special_tokens", Honoured),
    ("extra_special_tokens", Honoured),
    ("model_specific_special_tokens", Honoured),
    ("added_tokens_decoder", Honoured),
    ("chat_template", Honoured),
    ("clean_up_tokenization_spaces", Honoured),
    ("clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output", Refused(None)),
    ("split_special_tokens", Refused(None)),
    ("fix_mistral_regex", Refused(None)),
    ("fast_tokenizer_files", Refused(None)),
    ("add_prefix_space", Refused(None)),
    ("tokenizer_class", Without),
    ("auto_map", Without),
    ("trust_remote_code", Without),
    ("add_bos_token", Without),
    ("add_eos_token", Without),
    ("legacy", Without),
    ("do_lower_case", Without),
    ("use_default_system_prompt", Without),
    ("spaces_between_special_tokens", Without),
    ("sp_model_kwargs", Without),
    ("errors", Without),
    ("model_max_length", Without),
    ("max_len", Without),
    ("max_length", Without),
    ("pad_to_multiple_of", Without),
    ("pad_token_type_id", Without),
    ("padding_side", Without),
    ("truncation_side", Without),
    ("truncation_strategy", Without),
    ("stride", Without),
    ("model_input_names", Without),
    ("response_template", Without),
    ("response_schema", Without),
    ("chat_control_tokens", Without),
    ("name_or_path", Without),
    ("processor_class", Without),
    ("verbose", Without),
    ("backend", Without),
    ("files_loaded", Without),
    ("is_local", Without),
    ("local_files_only", Without),
    ("init_inputs", Without),
    ("vocab_file", Without),
    ("tokenizer_file", Without),
    ("gguf_file", Without),
    ("unk_id", Without),
];

/// Keys of `generation_config.json`. Those that are refused are so in `config.json` as well, where transformers looks
/// when there is no `generation_config.json`.
pub const OF_GENERATION: &[(&str, KeyEffect)] = &[
    ("eos_token_id", Honoured),
    ("bos_token_id", Honoured),
    ("pad_token_id", Honoured),
    ("forced_bos_token_id", Refused(None)),
    ("forced_eos_token_id", Refused(None)),
    ("suppress_tokens", Refused(None)),
    ("begin_suppress_tokens", Refused(None)),
    ("bad_words_ids", Refused(None)),
    ("sequence_bias", Refused(None)),
    ("stop_strings", Refused(None)),
    ("min_length", Refused(Some(0.0))),
    ("min_new_tokens", Refused(Some(0.0))),
    ("no_repeat_ngram_size", Refused(Some(0.0))),
    ("encoder_no_repeat_ngram_size", Refused(Some(0.0))),
    ("encoder_repetition_penalty", Refused(Some(1.0))),
    ("exponential_decay_length_penalty", Refused(None)),
    ("guidance_scale", Refused(Some(1.0))),
    ("watermarking_config", Refused(None)),
    ("constraints", Refused(None)),
    ("force_words_ids", Refused(None)),
    ("penalty_alpha", Refused(Some(0.0))),
    ("dola_layers", Refused(None)),
    ("num_beams", Refused(Some(1.0))),
    ("num_beam_groups", Refused(Some(1.0))),
    ("diversity_penalty", Refused(Some(0.0))),
    ("token_healing", Refused(None)),
    ("do_sample", OfTheRun),
    ("temperature", OfTheRun),
    ("top_k", OfTheRun),
    ("top_p", OfTheRun),
    ("min_p", OfTheRun),
    ("top_h", OfTheRun),
    ("typical_p", OfTheRun),
    ("epsilon_cutoff", OfTheRun),
    ("eta_cutoff", OfTheRun),
    ("repetition_penalty", OfTheRun),
    ("max_length", OfTheRun),
    ("max_new_tokens", OfTheRun),
    ("max_time", OfTheRun),
    ("num_return_sequences", OfTheRun),
    ("early_stopping", Without),
    ("length_penalty", Without),
    ("renormalize_logits", Without),
    ("remove_invalid_values", Without),
    ("decoder_start_token_id", Without),
    ("use_mtp", Without),
    ("use_cache", Without),
    ("cache_implementation", Without),
    ("cache_config", Without),
    ("max_cache_len", Without),
    ("output_attentions", Without),
    ("output_hidden_states", Without),
    ("output_scores", Without),
    ("output_logits", Without),
    ("return_dict_in_generate", Without),
    ("is_assistant", Without),
    ("num_assistant_tokens", Without),
    ("num_assistant_tokens_schedule", Without),
    ("assistant_confidence_threshold", Without),
    ("assistant_early_exit", Without),
    ("assistant_lookbehind", Without),
    ("assistant_ensemble_weight", Without),
    ("target_lookbehind", Without),
    ("speculation_type", Without),
    ("prompt_lookup_num_tokens", Without),
    ("max_matching_ngram_size", Without),
    ("compile_config", Without),
    ("disable_compile", Without),
    ("continuous_batching_config", Without),
    ("low_memory", Without),
    ("prefill_chunk_size", Without),
    ("transformers_version", Without),
    ("_from_model_config", Without),
    ("_commit_hash", Without),
    ("_original_object_hash", Without),
];

/// Refuses what a file asks for and nobody here would do. `place` is the file in messages. Whether `add_prefix_space`
/// is what the `tokenizer.json` does is looked at with that.
pub(super) fn check(file: &str, place: &str, object: &Map<String, Value>) -> Result<()> {
    for (key, effect) in keys_of(file) {
        let Refused(neutral) = effect else { continue };
        let Some(value) = object.get(*key) else { continue };
        let nothing = match value {
            Value::Null | Value::Bool(false) => true,
            Value::Array(all) => all.is_empty() || (*key == "fast_tokenizer_files" && all == &["tokenizer.json"]),
            Value::Object(all) => all.is_empty(),
            Value::Number(number) => neutral.is_some_and(|neutral| number.as_f64() == Some(neutral)),
            _ => false,
        };
        if !nothing && *key != "add_prefix_space" {
            let whose = if file == CONFIG { "the tokenizer" } else { "generation" };
            let remedy = format!("{whose} does without that here: take it out of the file");
            return Err(Error::invalid(place, format!("{key} is {value}"), remedy));
        }
    }
    Ok(())
}

/// The table of a file's keys.
fn keys_of(file: &str) -> &'static [(&'static str, KeyEffect)] {
    match file {
        CONFIG => TOKENIZER,
        GENERATION | MODEL => OF_GENERATION,
        _ => &[],
    }
}
