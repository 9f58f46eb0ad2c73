//! A `tokenizer.json`: recollect's own, with a token for every marker of the format, or one from elsewhere.

use std::path::{Path, PathBuf};

use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::normalizers::Strip;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;
use tokenizers::{AddedToken, TokenizerBuilder};

use super::tokenizer_config::{self, TokenizerConfig};
use super::{Chat, Day, Opening, PromptConfig, format};
use crate::{Error, Result};

/// The tokens that carry the format. A tokenizer that has not all of them spells them.
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

/// A tokenizer of which it is known how a sequence begins and ends.
#[derive(Clone)]
pub struct Tokenizer {
    pub(super) inner: tokenizers::Tokenizer,
    pub(super) bos: u32,
    /// Whatever ends a completion; the first ends a document, too.
    pub(super) ends: Vec<u32>,
    /// `</think>`, where it is one token.
    pub(super) end_think: Option<u32>,
    /// Whether every marker of the format is a token: it is recollect's own.
    pub(super) marked: bool,
    /// What it turns unknown words into, where its words are those of a list.
    pub(super) unknown: Option<u32>,
    /// Tokens that the model has: those beyond are never sampled and cannot be read.
    pub(super) vocabulary: usize,
    /// Whether spaces before punctuation are taken out of decoded text.
    pub(super) cleans_up: bool,
    /// What came with it.
    pub(super) companions: TokenizerConfig,
    pub(super) chat: Option<Chat>,
    pub(super) prompts: PromptConfig,
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
        Self::marked(inner, TokenizerConfig::default(), "words")
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
            // Of what stands between markers, whether or not who reads the file lets these take the spaces around them.
            .with_normalizer(Some(Strip::new(true, true)))
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
        Self::marked(builder.into(), TokenizerConfig::default(), "BPE")
    }

    /// The files that change what the tokens of a `tokenizer.json` mean: those beside it, and that of the model, in a
    /// directory or a GGUF file, which says how completions end.
    pub fn files(folder: &Path, model: &Path) -> Vec<PathBuf> {
        tokenizer_config::paths(folder, model)
    }

    /// The same for a model with an embedding of so many rows. Tokens beyond them may be there as long as nothing needs
    /// them: of several that end a text some may be beyond, and are never drawn.
    ///
    /// # Errors
    /// Where what begins a text is one of them, or all that ends one.
    pub fn within(self, vocabulary: usize) -> Result<Self> {
        let mut tokenizer = Self { vocabulary, ..self };
        let known = |id: &u32| (*id as usize) < vocabulary;
        let first = tokenizer.ends.first().copied();
        if tokenizer.ends.iter().any(known) {
            tokenizer.ends.retain(known);
        }
        if first == Some(tokenizer.bos) {
            // It begins texts only because nothing else does.
            tokenizer.bos = tokenizer.ends.first().copied().unwrap_or(tokenizer.bos);
        }
        let needed = [Some(tokenizer.bos), tokenizer.ends.first().copied()];
        tokenizer.demand_known(&needed.into_iter().flatten().collect::<Vec<_>>())?;
        Ok(tokenizer)
    }

    /// The same, putting questions as a config says; a template that asks for the date is told its day.
    ///
    /// # Errors
    /// Texts that go nowhere, because the model has no chat template.
    pub fn with_prompts(self, prompts: &PromptConfig) -> Result<Self> {
        let mut chat = self.chat;
        match &mut chat {
            Some(chat) => chat.set_date(prompts.date.map(|Day(date)| date)),
            None => prompts.demand_default()?,
        }
        Ok(Self { chat, prompts: prompts.clone(), ..self })
    }

    /// What decides over the text of a prompt, beside the question: to tell stages apart.
    pub fn prompting(&self) -> PromptConfig {
        let dated = self.chat.as_ref().is_some_and(Chat::asks_for_date);
        PromptConfig { date: self.prompts.date.filter(|_| dated), ..self.prompts.clone() }
    }

    /// The prompt of a question: in the model's chat template, or in the plain format where it has none.
    pub fn prompt(&self, context: &[String], question: &str, opening: Opening) -> Result<String> {
        match &self.chat {
            Some(chat) => chat.prompt(&self.prompts, context, question, opening),
            None => Ok(format::prompt(context, question, opening)),
        }
    }

    /// Token ids of a text. Special tokens in it are recognised; none is added.
    ///
    /// # Errors
    /// A word that the vocabulary lacks, and a token that the model lacks.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let ids = if self.marked { self.encode_plain(text)? } else { self.encode_foreign(text)? };
        self.demand_words(ids, text)
    }

    /// Refuses words that the vocabulary lacks, and tokens that the model lacks.
    fn demand_words(&self, ids: Vec<u32>, text: &str) -> Result<Vec<u32>> {
        // A word-level vocabulary turns words that it does not know into padding.
        if self.unknown.is_some_and(|unknown| ids.contains(&unknown)) && !text.contains(PAD) {
            let unknown = text.split_whitespace().find(|word| self.inner.token_to_id(word).is_none()).unwrap_or(text);
            let found = format!("the word \"{unknown}\" is not in its vocabulary");
            return Err(Error::invalid("tokenizer", found, "take a tokenizer that was made from such texts"));
        }
        self.demand_known(&ids)?;
        Ok(ids)
    }

    /// Refuses tokens that the model has no row for.
    fn demand_known(&self, ids: &[u32]) -> Result<()> {
        let Some(id) = ids.iter().find(|id| **id as usize >= self.vocabulary) else { return Ok(()) };
        let token = self.inner.id_to_token(*id).unwrap_or_default();
        let found = format!("\"{token}\" is token {id} for a model of {} tokens", self.vocabulary);
        Err(Error::invalid("tokenizer", found, "take the tokenizer that belongs to the model, or texts without it"))
    }

    /// `<bos>` and `<eos>` become the tokens that the model knows; all other markers are spelled.
    fn encode_foreign(&self, text: &str) -> Result<Vec<u32>> {
        let (begins, text) = text.strip_prefix(BOS).map_or((false, text), |rest| (true, rest.trim_start()));
        let (ends, text) = text.strip_suffix(EOS).map_or((false, text), |rest| (true, rest.trim_end()));
        let mut ids: Vec<u32> = begins.then_some(self.bos).into_iter().collect();
        ids.extend(self.encode_plain(text)?);
        ids.extend(self.ends.first().filter(|_| ends));
        Ok(ids)
    }

    fn encode_plain(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.inner.encode_fast(text, false).map_err(broken("text to encode"))?.get_ids().to_vec())
    }

    /// Text of token ids, special tokens included: for people and verifiers, never for training. What ends it is
    /// `<eos>`, whatever the model calls it.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        let decode = |ids: &[u32]| self.decode_as_is(ids, false);
        match ids.split_last() {
            Some((last, rest)) if self.ends.contains(last) && !(self.marked && self.id(EOS) == Some(*last)) => {
                Ok(format!("{} {EOS}", decode(rest)?))
            }
            _ => decode(ids),
        }
    }

    /// Token ids of a text as transformers gives them for this tokenizer: what it adds by itself (a token that begins every text)
    /// only where `special` says so, and no marker is spelled.
    ///
    /// # Errors
    /// As those of [`encode`](Self::encode).
    pub fn encode_as_is(&self, text: &str, special: bool) -> Result<Vec<u32>> {
        let encoded = self.inner.encode_fast(text, special).map_err(broken("text to encode"))?;
        self.demand_words(encoded.get_ids().to_vec(), text)
    }

    /// The text of token ids, and nothing for what is special in it, if it is to be left out.
    ///
    /// # Errors
    /// Ids that are no tokens.
    pub fn decode_as_is(&self, ids: &[u32], without_special: bool) -> Result<String> {
        let text = self.inner.decode(ids, without_special).map_err(broken("token ids to decode"))?;
        Ok(if self.cleans_up { clean(&text) } else { text })
    }

    /// What a policy has written: the text of a completion, up to the first stop string of the config.
    ///
    /// # Errors
    /// Ids that are no tokens.
    pub fn written(&self, completion: &[u32]) -> Result<String> {
        let mut text = self.decode(completion)?;
        let first = self.prompts.stop.iter().filter_map(|stop| text.find(stop.as_str())).min();
        text.truncate(first.unwrap_or(text.len()));
        Ok(text)
    }

    /// How much of the text of a completion stands there with each of its tokens, in bytes that are no white space: a token
    /// that is a part of a character counts for the one that completes it.
    ///
    /// # Errors
    /// Ids that are no tokens.
    pub fn lengths(&self, completion: &[u32]) -> Result<Vec<usize>> {
        let mut stream = self.inner.decode_stream(false);
        let mut length = 0;
        let add = |token: &u32| {
            let text = stream.step(*token).map_err(broken("token ids to decode"))?;
            length += text.map_or(0, |text| visible(&text));
            Ok(length)
        };
        completion.iter().map(add).collect()
    }

    /// The same tokenizer, for completions that end before other texts than those of the config.
    pub fn stopping_at(mut self, stop: &[String]) -> Self {
        self.prompts.stop = stop.to_vec();
        self
    }

    /// How many tokens of a completion there are when a stop string of the config is complete; `None` where none is.
    ///
    /// # Errors
    /// Ids that are no tokens.
    pub fn stopped(&self, completion: &[u32]) -> Result<Option<usize>> {
        let stops = &self.prompts.stop;
        if stops.is_empty() {
            return Ok(None);
        }
        self.shortest(completion, |text| stops.iter().any(|stop| text.contains(stop.as_str())))
    }

    /// The model's chat template, where it has one.
    pub fn chat(&self) -> Option<&Chat> {
        self.chat.as_ref()
    }

    /// Number of tokens, special ones included.
    pub fn size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The id of a word or special token.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// What every sequence begins with.
    pub fn bos(&self) -> u32 {
        self.bos
    }

    /// The tokens that end a completion, one at least.
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// `</think>`, where it is one token.
    pub fn end_think(&self) -> Option<u32> {
        self.end_think
    }

    /// How many tokens of a completion its chain of thought takes, what closes it included; `None` where nothing does. Most
    /// tokenizers spell `</think>`, in different tokens by what stands around it, so it is looked for in the text.
    pub fn trace_length(&self, completion: &[u32]) -> Option<usize> {
        if let Some(end) = self.end_think {
            return completion.iter().position(|token| *token == end).map(|at| at + 1);
        }
        self.shortest(completion, |text| text.contains(END_THINK)).ok().flatten()
    }

    /// How many tokens it takes until a text has what it then keeps, whatever comes behind it.
    fn shortest(&self, completion: &[u32], has: impl Fn(&str) -> bool) -> Result<Option<usize>> {
        let there = |length: usize| Ok::<_, Error>(has(&self.decode(&completion[..length])?));
        let (mut without, mut with) = (0, completion.len());
        if !there(with)? {
            return Ok(None);
        }
        while with - without > 1 {
            let middle = usize::midpoint(without, with);
            if there(middle)? { with = middle } else { without = middle }
        }
        Ok(Some(with))
    }
}

/// Decoded text without the spaces that a tokenizer puts before punctuation and contractions, as transformers does it.
fn clean(text: &str) -> String {
    let pairs = [(" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m")];
    let more = [(" 's", "'s"), (" 've", "'ve"), (" 're", "'re")];
    pairs.into_iter().chain(more).fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

pub(super) fn broken(place: &str) -> impl Fn(tokenizers::Error) -> Error + '_ {
    move |source| {
        Error::invalid(place, source.to_string(), "give a tokenizer.json as Hugging Face's tokenizers write it")
    }
}

/// Bytes of a text that are no white space.
pub fn visible(text: &str) -> usize {
    text.chars().filter(|one| !one.is_whitespace()).map(char::len_utf8).sum()
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

    /// The files of a model from elsewhere: whole words, its own names for the ends of a text.
    fn foreign(config: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let vocabulary =
            ["[s]", "[/s]", "[end]", "[?]", "what", "is", "b", "<", ">", "question", "think", "/", "answer"];
        let vocabulary = vocabulary.into_iter().zip(0..).map(|(word, id)| (word.to_string(), id)).collect();
        let model = WordLevel::builder().vocab(vocabulary).unk_token("[?]".into()).build().unwrap();
        let mut inner = tokenizers::Tokenizer::new(model);
        inner.with_pre_tokenizer(Some(tokenizers::pre_tokenizers::whitespace::Whitespace {}));
        inner.add_special_tokens(["[s]", "[/s]", "[end]"].map(|s| AddedToken::from(s, true))).unwrap();
        inner.save(dir.path().join("tokenizer.json"), false).unwrap();
        std::fs::write(dir.path().join("tokenizer_config.json"), config).unwrap();
        dir
    }

    #[test]
    fn a_tokenizer_from_elsewhere_spells_the_markers_and_has_its_own_ends() {
        let dir = foreign(r#"{"bos_token": {"content": "[s]"}, "eos_token": "[/s]"}"#);
        std::fs::write(dir.path().join("generation_config.json"), r#"{"eos_token_id": [2, 1]}"#).unwrap();
        let path = dir.path().join("tokenizer.json");
        let tokenizer = Tokenizer::load(&path).unwrap();
        assert_eq!((tokenizer.bos(), tokenizer.ends(), tokenizer.end_think()), (0, &[1, 2][..], None));
        let prompt = tokenizer.prompt(&[], "what is b", Opening::Answer).unwrap();
        let ids = tokenizer.encode(&prompt).unwrap();
        assert_eq!(ids, [0, 7, 9, 8, 4, 5, 6, 7, 12, 8]);
        assert_eq!(tokenizer.encode("<bos> is b <eos>").unwrap(), [0, 5, 6, 1]);
        for end in [1, 2] {
            assert!(tokenizer.decode(&[6, end]).unwrap().ends_with("b <eos>"));
        }
        let copy = tempfile::tempdir().unwrap();
        tokenizer.save(&copy.path().join("tokenizer.json")).unwrap();
        let again = Tokenizer::load(&copy.path().join("tokenizer.json")).unwrap();
        assert_eq!((again.ends(), again.encode(&prompt).unwrap()), (&[1, 2][..], ids));
        assert_eq!(tokenizer.size(), 13);
    }

    #[test]
    fn the_end_of_a_thought_is_found_however_it_is_spelled() {
        let words = Tokenizer::from_words(&words("a b")).unwrap();
        assert_eq!(words.trace_length(&words.encode("a </think> <answer> b <eos>").unwrap()), Some(2));
        assert_eq!(words.trace_length(&words.encode("a <answer> b <eos>").unwrap()), None);
        let dir = foreign(r#"{"bos_token": "[s]", "eos_token": "[/s]"}"#);
        let spelled = Tokenizer::load(&dir.path().join("tokenizer.json")).unwrap();
        let ids = spelled.encode("b is b < / think > < answer > b").unwrap();
        // Whole words, which this tokenizer puts spaces between, are no marker.
        assert_eq!((spelled.trace_length(&ids), spelled.trace_length(&[])), (None, None));
        let bytes = Tokenizer { end_think: None, ..Tokenizer::train(&["a.</think>".to_owned()], 300).unwrap() };
        for text in ["I know.</think><answer>b", "é </think>", "</think>", "a</think> b</think>"] {
            let ids: Vec<u32> = text.chars().flat_map(|c| bytes.encode(&c.to_string()).unwrap()).collect();
            let length = bytes.trace_length(&ids).unwrap();
            let decoded = bytes.decode(&ids[..length]).unwrap();
            assert!(decoded.ends_with("</think>") && decoded.matches("</think>").count() == 1, "{decoded}");
        }
    }

    #[test]
    fn a_chat_template_frames_the_prompt() {
        let template = "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }} {% endfor %}[model] ";
        let config = serde_json::json!({"bos_token": "[s]", "eos_token": "[/s]", "chat_template": template});
        let dir = foreign(&config.to_string());
        let tokenizer = Tokenizer::load(&dir.path().join("tokenizer.json")).unwrap();
        let prompt = tokenizer.prompt(&[], "what is b", Opening::Think).unwrap();
        assert!(prompt.starts_with("[s][user] what is b\n") && prompt.ends_with("[model] <think>"), "{prompt}");
        assert_eq!(tokenizer.encode(&prompt).unwrap()[0], 0);
        // A file of its own comes first.
        std::fs::write(dir.path().join("chat_template.jinja"), "{{ messages[0].content }}!").unwrap();
        let tokenizer = Tokenizer::load(&dir.path().join("tokenizer.json")).unwrap();
        assert!(tokenizer.prompt(&[], "is b", Opening::Answer).unwrap().ends_with("!<answer>"));
    }

    #[test]
    fn companions_that_do_not_fit_are_one_line() {
        let message = |config: &str| {
            let dir = foreign(config);
            let message = Tokenizer::load(&dir.path().join("tokenizer.json")).err().unwrap().to_string();
            assert!(!message.contains('\n') && message.contains(dir.path().to_str().unwrap()), "{message}");
            message
        };
        assert!(message("{").contains("tokenizer_config.json: "));
        assert!(message("{}").contains("no token that ends a text"));
        assert!(
            message(r#"{"eos_token": "[/s]", "split_special_tokens": true}"#).contains("split_special_tokens is true")
        );
        assert!(message(r#"{"eos_token": "[/s]", "chat_template": "{% for %}"}"#).contains("no chat template"));
    }
}
