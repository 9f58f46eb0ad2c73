//! A tokenizer from its files: which tokens it has, which of them begin, end and fill a text, and its chat template. Each
//! is found where transformers finds it, and end tokens also where vLLM does.

use std::path::Path;

use serde_json::Value;
use tokenizers::{AddedToken, ModelWrapper};

use super::gguf::tokenizer_json;
use super::tokenizer::{ANSWER, BOS, END_THINK, EOS, PAD, QUESTION, SPECIAL, broken};
use super::tokenizer_config::{CONFIG, TokenizerConfig};
use super::{Chat, PromptConfig, Tokenizer, merges};
use crate::gguf::Gguf;
use crate::{Error, Result, files};

impl Tokenizer {
    /// Reads a `tokenizer.json` and what stands beside it.
    ///
    /// # Errors
    /// Files that are broken or contradict each other, and what they ask for that nobody here would do.
    pub fn load(path: &Path) -> Result<Self> {
        Self::load_for(path, folder(path))
    }

    /// The same for a tokenizer that lies apart from its model, as beside adapters: `model` is the directory, or the
    /// GGUF file, whose `config.json` and `generation_config.json` count, whatever lies beside the tokenizer.
    pub fn load_for(path: &Path, model: &Path) -> Result<Self> {
        demand_fast(path)?;
        let bytes = files::read_bytes(path)?;
        Self::assemble(&path.display().to_string(), bytes, TokenizerConfig::read(folder(path), model)?)
    }

    /// Makes a tokenizer of the metadata of a GGUF file, as if they were the files of a directory.
    ///
    /// # Errors
    /// A file that is none, and tokenizers in it that are not supported.
    pub fn from_gguf(path: &Path) -> Result<Self> {
        let gguf = Gguf::open(path)?;
        Self::assemble(gguf.place(), tokenizer_json(&gguf)?, TokenizerConfig::from_gguf(&gguf)?)
    }

    /// A tokenizer of its `tokenizer.json` and what came with it; `place` stands for the file in errors.
    fn assemble(place: &str, bytes: Vec<u8>, companions: TokenizerConfig) -> Result<Self> {
        merges::check(&bytes, place)?;
        let mut inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(broken(place))?;
        demand_prefix(&inner, &companions)?;
        let [numbered, special] = companions.added()?;
        inner.add_tokens(numbered).map_err(broken(place))?;
        let known = inner.get_added_tokens_decoder();
        let missing = |token: &AddedToken| !known.values().any(|known| known.content == token.content);
        inner.add_tokens(special.into_iter().filter(missing).collect::<Vec<_>>()).map_err(broken(place))?;
        // These two are markers of recollect's format alone; whoever has them has to have the others.
        let marked = [QUESTION, ANSWER].iter().all(|token| inner.token_to_id(token).is_some());
        // A tokenizer.json alone is used as the config of its model says.
        let described = companions.describe_tokens() || !companions.ids("eos_token_id")?.is_empty();
        if !marked && described {
            Self::foreign(inner, companions, place)
        } else {
            Self::marked(inner, companions, place)
        }
    }

    /// A tokenizer that knows nothing of the format.
    fn foreign(inner: tokenizers::Tokenizer, companions: TokenizerConfig, place: &str) -> Result<Self> {
        let named = companions.named();
        let id = |key: &str| named.get(key).and_then(|text| inner.token_to_id(text));
        let (bos, eos) = (id("bos_token"), id("eos_token"));
        let ends = ends(eos, &companions)?;
        let Some(end) = ends.first() else {
            let remedy = "name it as eos_token in tokenizer_config.json or as eos_token_id in generation_config.json";
            return Err(Error::invalid(place, "no token that ends a text", remedy));
        };
        // Where nothing says how the tokenizer is used, the model may still say what begins a text.
        let told = if companions.describe_tokens() { None } else { companions.ids("bos_token_id")?.first().copied() };
        let told = told.filter(|id| inner.id_to_token(*id).is_some());
        // Without a token for it, a text begins after what ends the one before.
        let bos = bos.or(told).unwrap_or(*end);
        let end_think = inner.token_to_id(END_THINK);
        Self::made(inner, companions, place, (bos, ends, end_think, None))
    }

    /// A tokenizer with a token for every marker of the format.
    pub(super) fn marked(mut inner: tokenizers::Tokenizer, companions: TokenizerConfig, place: &str) -> Result<Self> {
        let mut special = [0; SPECIAL.len()];
        for (id, token) in special.iter_mut().zip(SPECIAL) {
            *id = inner.token_to_id(token).ok_or_else(|| {
                let all = SPECIAL.join(" ");
                let remedy = format!(
                    "all of these are needed: {all}; or a tokenizer_config.json beside it that names the eos_token of its own \
                     model"
                );
                Error::invalid(place, format!("the special token {token} is missing"), remedy)
            })?;
        }
        // Markers stand between words; the spaces around them are not tokens of their own.
        let markers = SPECIAL.map(|s| AddedToken::from(s, true).lstrip(true).rstrip(true));
        inner.add_special_tokens(markers).map_err(broken(place))?;
        let [unknown, bos, end, _, _, end_think, _] = special;
        let ends = ends(Some(end), &companions)?;
        Self::made(inner, companions, place, (bos, ends, Some(end_think), Some(unknown)))
    }

    /// `unknown` has a tokenizer with a token for every marker.
    fn made(
        mut inner: tokenizers::Tokenizer,
        companions: TokenizerConfig,
        place: &str,
        (bos, ends, end_think, unknown): (u32, Vec<u32>, Option<u32>, Option<u32>),
    ) -> Result<Self> {
        inner.with_truncation(None).map_err(broken(place))?;
        inner.with_padding(None);
        let chat = match companions.template()? {
            Some((place, template)) => Some(Chat::new(&place, &template, companions.named())?),
            None => None,
        };
        let clean = companions.options().get("clean_up_tokenization_spaces").and_then(Value::as_bool) == Some(true);
        Ok(Self {
            bos,
            ends,
            end_think,
            marked: unknown.is_some(),
            unknown,
            vocabulary: usize::MAX,
            // To what a byte-level tokenizer gives, it would do harm.
            cleans_up: clean && !matches!(inner.get_model(), ModelWrapper::BPE(_)),
            companions,
            chat,
            prompts: PromptConfig::default(),
            inner,
        })
    }

    /// The ids of what begins and what fills a text, as other programs are told them.
    pub(super) fn bos_and_pad(&self) -> Result<[Option<u32>; 2]> {
        let named = self.companions.named();
        let id = |key: &str, own: &str| -> Result<Option<u32>> {
            let told = self.companions.ids(&format!("{key}_id"))?.first().copied();
            let token = named.get(key).map(String::as_str).or(self.marked.then_some(own));
            Ok(told.or_else(|| token.and_then(|text| self.inner.token_to_id(text))))
        };
        Ok([id("bos_token", BOS)?, id("pad_token", PAD)?])
    }

    /// The name that a special token goes by in `tokenizer_config.json`, for those of the format.
    pub(super) const ROLES: [(&'static str, &'static str); 4] =
        [("bos_token", BOS), ("eos_token", EOS), ("pad_token", PAD), ("unk_token", PAD)];
}

/// The tokens that end a completion, each once: the tokenizer's own, at which vLLM stops, and those that generation is
/// told, at which transformers does.
fn ends(own: Option<u32>, companions: &TokenizerConfig) -> Result<Vec<u32>> {
    let mut ends: Vec<u32> = own.into_iter().collect();
    for id in companions.ids("eos_token_id")? {
        if !ends.contains(&id) {
            ends.push(id);
        }
    }
    Ok(ends)
}

/// Refuses a folder without a `tokenizer.json` whose tokenizer is in files of which transformers makes one.
fn demand_fast(path: &Path) -> Result<()> {
    const SLOW: [&str; 4] = ["tokenizer.model", "vocab.json", "vocab.txt", "spiece.model"];
    let home = folder(path);
    let Some(slow) = SLOW.iter().find(|name| !path.exists() && home.join(name).exists()) else { return Ok(()) };
    let at = home.display();
    let call = format!("AutoTokenizer.from_pretrained(\"{at}\").save_pretrained(\"{at}\")");
    let remedy = format!("save a fast tokenizer there with transformers: `{call}`");
    Err(Error::invalid(path.display().to_string(), format!("it is not there, and {slow} is not read"), remedy))
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

/// Some classes of transformers heed `add_prefix_space` where the `tokenizer.json` says something else.
fn demand_prefix(inner: &tokenizers::Tokenizer, companions: &TokenizerConfig) -> Result<()> {
    let asked = companions.options().get("add_prefix_space").and_then(Value::as_bool);
    let Some((asked, done)) = asked.zip(inner.get_pre_tokenizer().and_then(|all| prefixes(&serde_json::json!(all))))
    else {
        return Ok(());
    };
    if asked != done {
        let found = format!("add_prefix_space is {asked}, and tokenizer.json does the opposite");
        return Err(companions.refuse(CONFIG, found, "take both files from the same model"));
    }
    Ok(())
}

/// Whether a pre-tokenizer puts a space before a text, where it is of a kind that may.
fn prefixes(pre_tokenizer: &Value) -> Option<bool> {
    match pre_tokenizer["type"].as_str()? {
        "ByteLevel" => pre_tokenizer["add_prefix_space"].as_bool(),
        "Metaspace" => pre_tokenizer["prepend_scheme"].as_str().map(|scheme| scheme != "never"),
        "Sequence" => pre_tokenizer["pretokenizers"].as_array()?.iter().find_map(prefixes),
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;
    use tokenizers::models::wordlevel::WordLevel;

    /// A `tokenizer.json` of five words with these files beside it.
    pub(crate) fn words(files: &[(&str, Value)]) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        let vocabulary = ["[s]", "[/s]", "[end]", "[?]", "a"];
        let vocabulary = vocabulary.into_iter().zip(0..).map(|(word, id)| (word.to_string(), id)).collect();
        let model = WordLevel::builder().vocab(vocabulary).unk_token("[?]".into()).build().unwrap();
        tokenizers::Tokenizer::new(model).save(home.path().join("tokenizer.json"), false).unwrap();
        for (name, content) in files {
            std::fs::write(home.path().join(name), content.to_string()).unwrap();
        }
        home
    }

    fn load(files: &[(&str, Value)]) -> Result<Tokenizer> {
        Tokenizer::load(&words(files).path().join("tokenizer.json"))
    }

    #[test]
    fn a_tokenizer_alone_begins_and_ends_texts_as_the_config_of_its_model_says() {
        let tokenizer = load(&[("config.json", json!({ "bos_token_id": 0, "eos_token_id": [2, 1] }))]).unwrap();
        assert_eq!((tokenizer.bos(), tokenizer.ends()), (0, &[2, 1][..]));
        let copy = tempfile::tempdir().unwrap();
        let path = copy.path().join("tokenizer.json");
        tokenizer.save(&path).unwrap();
        let again = Tokenizer::load(&path).unwrap();
        assert_eq!((again.bos(), again.ends()), (0, &[2, 1][..]), "what is saved reads the same");
        let unknown = load(&[("config.json", json!({ "bos_token_id": 9, "eos_token_id": 1 }))]).unwrap();
        assert_eq!((unknown.bos(), unknown.ends()), (1, &[1][..]));
        for nothing in [json!({}), json!({ "eos_token_id": -1 })] {
            let message = load(&[("config.json", nothing)]).err().unwrap().to_string();
            assert!(message.contains("the special token <pad> is missing"), "{message}");
        }
    }

    #[test]
    fn ends_that_the_model_has_no_row_for_are_left_out_while_there_are_others() {
        let own = ("tokenizer_config.json", json!({ "eos_token": "[new]" }));
        let config = ("config.json", json!({ "eos_token_id": [2, 1, 99] }));
        let tokenizer = load(&[own.clone(), config]).unwrap().within(5).unwrap();
        assert_eq!((tokenizer.bos(), tokenizer.ends()), (2, &[2, 1][..]));
        let message = load(&[own]).unwrap().within(5).err().unwrap().to_string();
        assert!(message.contains("\"[new]\" is token 5 for a model of 5 tokens"), "{message}");
    }

    #[test]
    fn a_tokenizer_that_is_not_fast_is_refused_with_how_to_make_it_so() {
        for slow in ["tokenizer.model", "vocab.json"] {
            let home = tempfile::tempdir().unwrap();
            std::fs::write(home.path().join(slow), "x").unwrap();
            let message = Tokenizer::load(&home.path().join("tokenizer.json")).err().unwrap().to_string();
            assert!(message.contains(slow) && message.contains(".save_pretrained(\""), "{message}");
            assert!(!message.contains('\n'), "{message}");
        }
    }
}
