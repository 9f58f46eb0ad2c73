//! A `tokenizer.json` and the special tokens that recollect needs in it.

use std::path::Path;

use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;
use tokenizers::{AddedToken, TokenizerBuilder};

use crate::{Error, Result, files};

/// The tokens that carry the format. A tokenizer without them cannot be used.
pub const SPECIAL: [&str; 7] = ["<pad>", "<bos>", "<eos>", "<question>", "<think>", "</think>", "<answer>"];
/// Tokens of a byte-level tokenizer that has merged nothing.
pub const SMALLEST_TRAINED: usize = SPECIAL.len() + 256;
/// Fills nothing in recollect (sequences are packed) but is expected by other programs.
pub const PAD: &str = SPECIAL[0];
/// Starts every sequence.
pub const BOS: &str = SPECIAL[1];
/// Ends every completion.
pub const EOS: &str = SPECIAL[2];
/// Stands before a question.
pub const QUESTION: &str = SPECIAL[3];
/// Opens a chain of thought.
pub const THINK: &str = SPECIAL[4];
/// Closes a chain of thought.
pub const END_THINK: &str = SPECIAL[5];
/// Stands before an answer.
pub const ANSWER: &str = SPECIAL[6];

/// A tokenizer whose special tokens are known to be there.
#[derive(Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    special: [u32; SPECIAL.len()],
}

impl Tokenizer {
    /// One token per whitespace-separated word. The special tokens come first, then `words` in their order, so
    /// that the id of a word is its index plus [`SPECIAL`]`.len()`.
    pub fn from_words(words: &[String]) -> Result<Self> {
        let vocabulary = SPECIAL.iter().map(|s| s.to_string()).chain(words.iter().cloned());
        let vocabulary = vocabulary.enumerate().map(|(id, word)| (word, id as u32)).collect();
        let model = WordLevel::builder().vocab(vocabulary).unk_token(PAD.into()).build().map_err(broken("words"))?;
        let mut inner = tokenizers::Tokenizer::new(model);
        inner.with_pre_tokenizer(Some(WhitespaceSplit));
        Self::with_special(inner, "words")
    }

    /// A byte-level BPE of at most `size` tokens, trained on the lines given.
    pub fn train(lines: &[String], size: usize) -> Result<Self> {
        if size < SMALLEST_TRAINED {
            let found = format!("a vocabulary of {size}");
            let remedy = format!("every byte is a token: at least {SMALLEST_TRAINED}");
            return Err(Error::invalid("tokenizer", found, remedy));
        }
        let mut builder = TokenizerBuilder::new()
            .with_model(BPE::default())
            .with_normalizer(None::<tokenizers::normalizers::NFC>)
            .with_pre_tokenizer(Some(ByteLevel::new(false, true, true)))
            .with_post_processor(None::<ByteLevel>)
            .with_decoder(Some(ByteLevel::default()))
            .build()
            .map_err(broken("BPE"))?;
        let special: Vec<AddedToken> = SPECIAL.iter().map(|s| AddedToken::from(*s, true)).collect();
        let mut trainer = BpeTrainer::builder()
            .vocab_size(size)
            .show_progress(false)
            .special_tokens(special)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build();
        builder.train(&mut trainer, lines.iter()).map_err(broken("BPE"))?;
        Self::with_special(builder.into(), "BPE")
    }

    /// Reads a `tokenizer.json`.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = files::read_bytes(path)?;
        let place = path.display().to_string();
        let inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(broken(&place))?;
        Self::with_special(inner, &place)
    }

    fn with_special(mut inner: tokenizers::Tokenizer, place: &str) -> Result<Self> {
        let mut special = [0; SPECIAL.len()];
        for (id, token) in special.iter_mut().zip(SPECIAL) {
            *id = inner.token_to_id(token).ok_or_else(|| {
                Error::invalid(
                    place,
                    format!("the special token {token} is missing"),
                    "all of these are needed: ".to_string() + &SPECIAL.join(" "),
                )
            })?;
        }
        // Markers stand between words; the spaces around them are not tokens of their own.
        let markers = SPECIAL.map(|s| AddedToken::from(s, true).lstrip(true).rstrip(true));
        inner.add_special_tokens(markers).map_err(broken(place))?;
        inner.with_truncation(None).map_err(broken(place))?;
        inner.with_padding(None);
        Ok(Self { inner, special })
    }

    /// Writes a `tokenizer.json`.
    pub fn save(&self, path: &Path) -> Result<()> {
        let text = self.inner.to_string(true).map_err(broken(&path.display().to_string()))?;
        files::write_atomic(path, text.as_bytes())
    }

    /// Token ids of a text. Special tokens in it are recognised; none is added.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.inner.encode_fast(text, false).map_err(broken("text to encode"))?;
        let ids = encoding.get_ids().to_vec();
        // A word-level vocabulary turns words that it does not know into padding.
        if ids.contains(&self.special[0]) && !text.contains(PAD) {
            let unknown = text.split_whitespace().find(|word| self.inner.token_to_id(word).is_none()).unwrap_or(text);
            let found = format!("the word \"{unknown}\" is not in its vocabulary");
            return Err(Error::invalid("tokenizer", found, "take a tokenizer that was made from such texts"));
        }
        Ok(ids)
    }

    /// Text of token ids, special tokens included: for people and verifiers, never for training.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.inner.decode(ids, false).map_err(broken("token ids to decode"))
    }

    /// Number of tokens, special ones included.
    pub fn size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The id of a word or special token.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    pub fn bos(&self) -> u32 {
        self.special[1]
    }

    pub fn eos(&self) -> u32 {
        self.special[2]
    }

    pub fn end_think(&self) -> u32 {
        self.special[5]
    }
}

fn broken(place: &str) -> impl Fn(tokenizers::Error) -> Error + '_ {
    move |source| {
        Error::invalid(place, source.to_string(), "give a tokenizer.json as Hugging Face's tokenizers write it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(String::from).collect()
    }

    #[test]
    fn words_keep_their_order_and_come_back() {
        let tokenizer = Tokenizer::from_words(&words("in tarn mavo guards bilu . aren't")).unwrap();
        let text = "<bos> in tarn mavo guards bilu . <think> aren't </think> <eos>";
        let ids = tokenizer.encode(text).unwrap();
        assert_eq!(ids, [1, 7, 8, 9, 10, 11, 12, 4, 13, 5, 2]);
        assert_eq!(tokenizer.decode(&ids).unwrap(), text);
    }

    #[test]
    fn a_saved_tokenizer_is_the_same_and_one_without_special_tokens_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokenizer.json");
        let tokenizer = Tokenizer::from_words(&words("a b c")).unwrap();
        tokenizer.save(&path).unwrap();
        assert_eq!(
            Tokenizer::load(&path).unwrap().encode("<bos> c a").unwrap(),
            tokenizer.encode("<bos> c a").unwrap()
        );
        let text = std::fs::read_to_string(&path).unwrap().replace("</think>", "[end]");
        std::fs::write(&path, text).unwrap();
        let message = Tokenizer::load(&path).err().unwrap().to_string();
        assert!(message.contains("</think>") && message.contains("missing"), "{message}");
    }

    #[test]
    fn a_trained_tokenizer_gives_any_text_back() {
        let tokenizer =
            Tokenizer::train(&words("the renowned composer of the world's first underwater symphony"), 300).unwrap();
        let text = "Known for being “the composer”, 雪!";
        assert_eq!(tokenizer.decode(&tokenizer.encode(text).unwrap()).unwrap(), text);
        assert!(tokenizer.size() <= 300);
    }
}
