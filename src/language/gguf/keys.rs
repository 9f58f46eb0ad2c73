//! Which keys of a tokenizer may say what. `language/README.md` has them in a table.

use crate::Result;
use crate::gguf::{Gguf, MetaValue};

/// Keys that are honoured, or change nothing here, behind `tokenizer.`.
pub(super) const KNOWN: [&str; 31] = [
    "chat_template",
    "chat_templates",
    "huggingface.json",
    "ggml.model",
    "ggml.pre",
    "ggml.tokens",
    "ggml.token_type",
    "ggml.scores",
    "ggml.merges",
    "ggml.bos_token_id",
    "ggml.eos_token_id",
    "ggml.eot_token_id",
    "ggml.eom_token_id",
    "ggml.unknown_token_id",
    "ggml.padding_token_id",
    "ggml.seperator_token_id",
    "ggml.cls_token_id",
    "ggml.mask_token_id",
    "ggml.add_bos_token",
    "ggml.add_eos_token",
    "ggml.add_space_prefix",
    "ggml.escape_whitespaces",
    "ggml.fim_pre_token_id",
    "ggml.fim_suf_token_id",
    "ggml.fim_mid_token_id",
    "ggml.fim_pad_token_id",
    "ggml.fim_rep_token_id",
    "ggml.fim_sep_token_id",
    "ggml.prefix_token_id",
    "ggml.suffix_token_id",
    "ggml.middle_token_id",
];
const REMEDY: &str = "this program does without; choose a model whose tokenizer does";

/// Refuses keys that change which tokens a text becomes and are not heeded.
pub(super) fn demand_supported(gguf: &Gguf) -> Result<()> {
    for (key, value) in gguf.metadata() {
        let Some(rest) = key.strip_prefix("tokenizer.") else { continue };
        // Templates for other occasions.
        if !KNOWN.contains(&rest) && !rest.starts_with("chat_template.") && !value.is_neutral() {
            return Err(gguf.refuse(key, value, REMEDY));
        }
    }
    let escapes = "tokenizer.ggml.escape_whitespaces";
    match gguf.get(escapes) {
        Some(MetaValue::Flag(false)) => Err(gguf.refuse(escapes, false, REMEDY)),
        _ => Ok(()),
    }
}
