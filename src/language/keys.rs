//! Keys of the files beside a `tokenizer.json` that are refused. `README.md` beside this file says of every key what becomes
//! of it; a test holds it to these lists and to the keys that transformers knows.

use serde_json::{Map, Value};

use super::tokenizer_config::{CONFIG, GENERATION, MODEL};
use crate::{Error, Result};

/// A value that would change what the model is given or gives is an error that names the key. A number that has no effect
/// either may be allowed.
pub type RefusedKey = (&'static str, Option<f64>);

/// Keys of `tokenizer_config.json`.
pub const OF_TOKENIZER: &[RefusedKey] = &[
    ("clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output", None),
    ("split_special_tokens", None),
    ("fix_mistral_regex", None),
    ("fast_tokenizer_files", None),
    // What the `tokenizer.json` does is looked at with that.
    ("add_prefix_space", None),
];

/// Keys of `generation_config.json`, and of `config.json`, where transformers looks when there is no
/// `generation_config.json`.
pub const OF_GENERATION: &[RefusedKey] = &[
    ("forced_bos_token_id", None),
    ("forced_eos_token_id", None),
    ("suppress_tokens", None),
    ("begin_suppress_tokens", None),
    ("bad_words_ids", None),
    ("sequence_bias", None),
    ("stop_strings", None),
    ("min_length", Some(0.0)),
    ("min_new_tokens", Some(0.0)),
    ("no_repeat_ngram_size", Some(0.0)),
    ("encoder_no_repeat_ngram_size", Some(0.0)),
    ("encoder_repetition_penalty", Some(1.0)),
    ("exponential_decay_length_penalty", None),
    ("guidance_scale", Some(1.0)),
    ("watermarking_config", None),
    ("constraints", None),
    ("force_words_ids", None),
    ("penalty_alpha", Some(0.0)),
    ("dola_layers", None),
    ("num_beams", Some(1.0)),
    ("num_beam_groups", Some(1.0)),
    ("diversity_penalty", Some(0.0)),
    ("token_healing", None),
];

/// Refuses what a file asks for and nobody here would do. `place` is the file in messages.
pub(super) fn check(file: &str, place: &str, object: &Map<String, Value>) -> Result<()> {
    let (keys, whose) = match file {
        CONFIG => (OF_TOKENIZER, "the tokenizer"),
        GENERATION | MODEL => (OF_GENERATION, "generation"),
        _ => return Ok(()),
    };
    for (key, neutral) in keys {
        let Some(value) = object.get(*key) else { continue };
        let nothing = match value {
            Value::Null | Value::Bool(false) => true,
            Value::Array(all) => all.is_empty() || (*key == "fast_tokenizer_files" && all == &["tokenizer.json"]),
            Value::Object(all) => all.is_empty(),
            Value::Number(number) => neutral.is_some_and(|neutral| number.as_f64() == Some(neutral)),
            _ => false,
        };
        if !nothing && *key != "add_prefix_space" {
            let remedy = format!("{whose} does without that here: take it out of the file");
            return Err(Error::invalid(place, format!("{key} is {value}"), remedy));
        }
    }
    Ok(())
}
