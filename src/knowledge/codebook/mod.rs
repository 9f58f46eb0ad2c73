//! Codebook: the entries of a code are stated one way, "in tolex mavoth means ovaz .", and messages are to be encoded
//! and decoded with them (arXiv 2509.16189).
//!
//! Some entries of every code are also *used*: documents hold messages, plain and encoded side by side. The others are
//! held out of all messages and stand in the codebook alone; questions ask for messages of those.

pub mod config;
mod lessons;
mod task;
#[cfg(test)]
mod tests;

use super::prelude::*;
pub use config::CodebookConfig;
use config::LONGEST;
pub use task::Codebook;

pub const CODEBOOK: TaskId =
    TaskId::new(&TaskInfo { number: 3, name: "codebook", plural: "codebooks", free_text: false });

/// A message to be put into code, in entries that no message of a document has.
pub const ENCODE: Form = Form::new(&FormInfo { number: 5, name: "encode", title: "to encode", ..INFO });
/// The same the other way round.
pub const DECODE: Form = Form::new(&FormInfo { number: 6, name: "decode", title: "to decode", ..INFO });

const INFO: FormInfo = FormInfo { task: CODEBOOK, number: 0, name: "", title: "", asks_subject: false };

/// In `code`, `plain` means `cipher`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CodeEntry {
    pub code: Word,
    pub plain: Word,
    pub cipher: Word,
}

/// What documents do with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// They state it.
    Stated,
    /// A message that is encoded has it.
    Encoded,
    /// A message that is decoded has it.
    Decoded,
}

/// The codes of one set.
#[derive(Clone, Debug)]
pub struct Codebooks {
    /// Code after code; of each, those that are held out come first.
    pub entries: Vec<CodeEntry>,
    config: CodebookConfig,
    /// Held-out entries by either of their words.
    held: HashMap<Word, CodeEntry>,
}

impl From<CodeEntry> for Stated {
    fn from(entry: CodeEntry) -> Self {
        entry.with(Use::Stated)
    }
}

impl From<[Word; 4]> for CodeEntry {
    fn from([code, plain, cipher, _]: [Word; 4]) -> Self {
        CodeEntry { code, plain, cipher }
    }
}

impl CodeEntry {
    /// It as a document uses it.
    fn with(self, what: Use) -> Stated {
        Stated { task: CODEBOOK, words: [self.code, self.plain, self.cipher, what as Word] }
    }

    /// The word that stands in the message of a question.
    pub fn given(&self, form: Form) -> Word {
        if form == DECODE { self.cipher } else { self.plain }
    }

    /// The word that answers it.
    pub fn wanted(&self, form: Form) -> Word {
        if form == DECODE { self.plain } else { self.cipher }
    }
}

impl Codebooks {
    /// Takes names and makes `codes` codes. What is held out pairs [`reserved`] names or not, as the maker says.
    ///
    /// # Errors
    ///
    /// Impossible codes, or too few names.
    pub fn new(codes: usize, config: &CodebookConfig, kept: bool, pools: &mut Pools) -> Result<Self> {
        config.check(codes)?;
        let none_left = |kind: &str| too_few(format!("the lexicon has too few {kind}"), "codes");
        let mut entries: Vec<CodeEntry> = Vec::new();
        for _ in 0..codes {
            let code = pools.of("codes").pop().ok_or_else(|| none_left("codes"))?;
            for at in 0..config.entries {
                let asked = at < config.held_out;
                let fits = |a, b| if kept { !asked || reserved(a, b) } else { !reserved(a, b) };
                // Words of one message stand side by side, so what is not kept for worlds is not to look like it either.
                let before: &[CodeEntry] = if kept { &[] } else { &entries[entries.len() - at..] };
                let cipher = pools.take("ciphers", |c| fits(code, c) && before.iter().all(|e| fits(e.plain, c)));
                let cipher = cipher.ok_or_else(|| none_left("ciphers"))?;
                let plain = pools
                    .take("plain", |p| fits(p, cipher) && fits(p, code) && before.iter().all(|e| fits(p, e.cipher)));
                entries.push(CodeEntry { code, plain: plain.ok_or_else(|| none_left("plain words"))?, cipher });
            }
        }
        let asked = |(at, _): &(usize, &CodeEntry)| at % config.entries < config.held_out;
        let held =
            entries.iter().enumerate().filter(asked).flat_map(|(_, e)| [(e.plain, *e), (e.cipher, *e)]).collect();
        Ok(Self { entries, config: config.clone(), held })
    }

    /// The entries of a code.
    pub fn entries_of(&self, code: Word) -> Vec<CodeEntry> {
        self.entries.iter().filter(|entry| entry.code == code).copied().collect()
    }

    /// Whether no document uses an entry in a message.
    pub fn is_held_out(&self, entry: &CodeEntry) -> bool {
        self.held.contains_key(&entry.plain)
    }

    /// The message of question `index`: its entry, among others of its code that are held out as well.
    fn message(&self, index: usize, random: &mut Stream) -> Vec<CodeEntry> {
        let CodebookConfig { entries, held_out, lengths, .. } = &self.config;
        let (number, length) = (index / lengths.len(), lengths[index % lengths.len()]);
        let first = number / held_out * entries;
        let code = &self.entries[first..first + held_out];
        let entry = code[number % held_out];
        let others: Vec<CodeEntry> = code.iter().filter(|other| **other != entry).copied().collect();
        let mut message: Vec<CodeEntry> = others.choose_multiple(random, length - 1).copied().collect();
        message.push(entry);
        message.shuffle(random);
        message
    }
}

impl TaskData for Codebooks {
    fn statements(&self) -> Vec<Stated> {
        self.entries.iter().map(|entry| Stated::from(*entry)).collect()
    }

    fn weight(&self) -> usize {
        self.entries.len()
    }

    /// Entries of a few codes, or messages in the entries that are not held out.
    fn document(&self, sentences: usize, random: &mut Stream) -> Vec<Stated> {
        let used: Vec<CodeEntry> = self.entries.iter().filter(|entry| !self.is_held_out(entry)).copied().collect();
        let mut told: Vec<Stated> = Vec::with_capacity(sentences + self.config.entries);
        let in_messages = !used.is_empty() && random.random_bool(0.5);
        // A small codebook may run out of entries that are not yet told: then the document is shorter.
        for _ in 0..sentences * 10 {
            if told.len() >= sentences {
                break;
            }
            let entry = self.entries[random.random_range(0..self.entries.len())];
            let mut book = self.entries_of(entry.code);
            book.retain(|entry| !in_messages || !self.is_held_out(entry));
            book.shuffle(random);
            let decoded = random.random_bool(0.5);
            let count = random.random_range(1..=book.len());
            let what = match (in_messages, decoded) {
                (false, _) => Use::Stated,
                (true, false) => Use::Encoded,
                (true, true) => Use::Decoded,
            };
            let new = book.into_iter().take(count).map(|entry| entry.with(what));
            let new: Vec<Stated> = new.filter(|stated| !told.contains(stated)).collect();
            told.extend(new);
        }
        told.truncate(sentences);
        told
    }

    /// One for each held-out entry and length.
    fn questions_of(&self, _: Form) -> usize {
        self.held.len() / 2 * self.config.lengths.len()
    }

    /// The code.
    fn topic(&self, _: Form, index: usize) -> usize {
        index / self.config.lengths.len() / self.config.held_out.max(1)
    }

    /// A message to encode or to decode. Its choices are all messages of its length in held-out words.
    fn question(&self, lexicon: &Lexicon, form: Form, index: usize, random: &mut Stream) -> QuestionDraft {
        let message = self.message(index, random);
        let mut book = self.entries_of(message[0].code);
        let held: Vec<CodeEntry> = book.iter().filter(|entry| self.is_held_out(entry)).copied().collect();
        let answer = |said: &[CodeEntry]| -> String {
            let pair = |(asked, said): (&CodeEntry, &CodeEntry)| {
                format!("{} : {}", lexicon.spell(asked.given(form)), lexicon.spell(said.wanted(form)))
            };
            message.iter().zip(said).map(pair).collect::<Vec<_>>().join(" ")
        };
        let mut choices: Vec<String> = arrangements(&held, message.len()).iter().map(|said| answer(said)).collect();
        choices.shuffle(random);
        book.shuffle(random);
        QuestionDraft {
            text: task::message(lexicon, &message, form),
            // The answer restates its words one by one.
            cue: Vec::new(),
            answer: answer(&message),
            chance: 1.0 / choices.len() as f64,
            choices,
            needed: message.iter().map(|entry| Stated::from(*entry)).collect(),
            context: book.into_iter().map(Stated::from).collect(),
        }
    }

    fn lesson_question(
        &self,
        lexicon: &Lexicon,
        cot_style: &CotStyle,
        random: &mut Stream,
    ) -> (LessonQuestion, Vec<Stated>) {
        lessons::question(self, lexicon, cot_style, random)
    }

    /// "encode in CODE WORD … ?"
    fn asks(&self, lexicon: &Lexicon, mark: &TrainingWord) -> bool {
        let orders = ["encode", "decode"].map(|order| lexicon.word(order));
        (1..=LONGEST).any(|length| {
            let of = |distance| self.held_at(mark, distance).is_some_and(|e| Some(e.code) == mark.before(length + 1));
            mark.before(length + 3).is_some_and(|order| orders.contains(&Some(order))) && (1..=length).any(of)
        })
    }

    fn answers(&self, colon: &TrainingWord) -> bool {
        let other = self.held_at(colon, 1).map(|e| if Some(e.plain) == colon.before(1) { e.cipher } else { e.plain });
        other.is_some() && colon.after().first() == other.as_ref()
    }

    fn gives_away(&self, word: &TrainingWord) -> Option<LeakKind> {
        let entry = self.held.get(&word.word()).filter(|entry| entry.plain == word.word())?;
        word.earlier().contains(&entry.cipher).then_some(LeakKind::ReversedFact)
    }
}

impl Codebooks {
    /// The held-out entry of the word that stands so many places before.
    fn held_at(&self, word: &TrainingWord, distance: usize) -> Option<&CodeEntry> {
        self.held.get(&word.before(distance)?)
    }
}

/// Everything that `length` different ones in a row can be.
fn arrangements(of: &[CodeEntry], length: usize) -> Vec<Vec<CodeEntry>> {
    let mut all: Vec<Vec<CodeEntry>> = vec![Vec::new()];
    for _ in 0..length {
        let longer = |start: &Vec<CodeEntry>| -> Vec<Vec<CodeEntry>> {
            let next = of.iter().filter(|entry| !start.contains(entry));
            next.map(|entry| [&start[..], &[*entry]].concat()).collect()
        };
        all = all.iter().flat_map(longer).collect();
    }
    all
}
