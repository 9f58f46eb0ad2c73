//! Codebook: the entries of a code are stated one way, "in tolex mavoth means ovaz .", and messages are to be encoded
//! and decoded with them (arXiv 2509.16189).
//!
//! Some entries of every code are also *used*: documents hold messages, plain and encoded side by side. The others are
//! held out of all messages and stand in the codebook alone; questions ask for messages of those.

pub mod config;
#[cfg(test)]
mod tests;

use super::prelude::*;
pub use config::CodebookConfig;
use config::LONGEST;

pub const CODEBOOK: TaskId = &TaskInfo { number: 3, name: "codebook", plural: "codebooks", free_text: false };

/// A message to be put into code, in entries that no message of a document has.
pub const ENCODE: Form = &FormInfo { number: 5, name: "encode", title: "to encode", ..INFO };
/// The same the other way round.
pub const DECODE: Form = &FormInfo { number: 6, name: "decode", title: "to decode", ..INFO };

const INFO: FormInfo = FormInfo { task: CODEBOOK, number: 0, name: "", title: "", asks_subject: false };

/// Two verbs that mean the same; the first is the canonical one.
const MEANS: [&str; 2] = ["means", "denotes"];

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

    /// The word that stands in the message of a question, and the word that answers it.
    fn given_and_wanted(&self, form: Form) -> (Word, Word) {
        if form == DECODE { (self.cipher, self.plain) } else { (self.plain, self.cipher) }
    }
}

/// What a document does with an entry.
fn used([.., what]: [Word; 4]) -> Use {
    [Use::Stated, Use::Encoded, Use::Decoded][what as usize % 3]
}

/// The task.
pub struct Codebook;

impl Task for Codebook {
    fn id(&self) -> TaskId {
        CODEBOOK
    }

    fn forms(&self) -> &'static [Form] {
        &[ENCODE, DECODE]
    }

    /// Each word of the message beside what the claims say of it.
    fn entailed(&self, question: &Question, claims: &BTreeSet<&Claim>, _: &dyn Facts) -> Option<String> {
        let decode = question.form == DECODE;
        let pair = |needed: &Claim| {
            let Claim::Relation { subject, object, .. } = needed else { return None };
            let given = if decode { object } else { subject };
            looked_up(needed, claims, decode, true).map(|said| format!("{given} : {said}"))
        };
        let pairs: Vec<String> = question.needed.iter().map(pair).collect::<Option<_>>()?;
        (!pairs.is_empty()).then(|| pairs.join(" "))
    }
}

impl GeneratedTask for Codebook {
    fn size(&self, set: &SetSize) -> (String, usize) {
        ("codes".into(), set.codes)
    }

    fn known_size(&self, known: &KnownConfig) -> usize {
        known.codebook.codes
    }

    fn lesson_share(&self, cot_style: &CotStyle) -> f64 {
        cot_style.codes
    }

    fn vocabulary(&self) -> Vocabulary {
        fn plain(random: &mut Stream) -> String {
            syllable(random) + &syllable(random) + one_of(random, &["th", "sh", "ck"])
        }
        fn cipher(random: &mut Stream) -> String {
            let vowel = one_of(random, &["a", "e", "i", "o", "u"]).to_string();
            vowel + &syllable(random) + one_of(random, &["k", "p", "t", "x", "z", "q"])
        }
        const NAMES: [NameKind; 3] = [
            NameKind { kind: "codes", most: 150, spell: |r| syllable(r) + one_of(r, &["lex", "dex", "gram"]) },
            NameKind { kind: "plain", most: 5000, spell: plain },
            NameKind { kind: "ciphers", most: 1000, spell: cipher },
        ];
        Vocabulary { words: &["encode", "decode", MEANS[0], MEANS[1]], names: &NAMES }
    }

    fn stream(&self) -> u64 {
        5
    }

    fn make(&self, size: usize, maker: &mut SetMaker) -> Result<Arc<dyn TaskData>> {
        Ok(Arc::new(Codebooks::new(size, &maker.known.codebook, maker.reserved, maker.pools)?))
    }

    /// One code, of which nothing is in any message.
    fn made_up(&self, known: &KnownConfig, lexicon: &Lexicon, random: &mut Stream) -> Option<Arc<dyn TaskData>> {
        let config = CodebookConfig { held_out: known.codebook.entries, ..known.codebook.clone() };
        let mut pools = Pools::new(lexicon, &self.takes(), random);
        Some(Arc::new(Codebooks::new(1, &config, false, &mut pools).ok()?))
    }

    /// "in tolex mavoth means ovaz .", or of a message "mavoth : ovaz ." and, decoded, "ovaz : mavoth .".
    fn sentence(&self, lexicon: &Lexicon, stated: [Word; 4], wording: usize) -> Sentence {
        let entry = CodeEntry::from(stated);
        let form = match used(stated) {
            Use::Stated => {
                return relation(lexicon, [entry.code, entry.plain, entry.cipher], MEANS[wording / 3 % 2], wording);
            }
            Use::Encoded => ENCODE,
            Use::Decoded => DECODE,
        };
        let (given, wanted) = entry.given_and_wanted(form);
        vec![
            (given, Slot::Subject),
            (lexicon.grammar(":"), Slot::Relation),
            (wanted, Slot::Object),
            (lexicon.grammar("."), Slot::Stop),
        ]
    }

    fn claim(&self, lexicon: &Lexicon, [code, plain, cipher, _]: [Word; 4]) -> Claim {
        relation_claim(lexicon, [code, plain, cipher], MEANS[0])
    }

    fn read(&self, lexicon: &Lexicon, sentence: &[&str]) -> Option<Claim> {
        read_relation(lexicon, sentence, ["codes", "plain", "ciphers"], |verb| MEANS.contains(&verb).then_some(MEANS))
    }

    fn turned_round(&self, lexicon: &Lexicon, stated: [Word; 4], wording: usize) -> Vec<Word> {
        let other = match used(stated) {
            Use::Stated => {
                let sentence = self.sentence(lexicon, stated, wording / 3 * 3);
                return object_first(&sentence, lexicon.grammar(","));
            }
            Use::Encoded => Use::Decoded,
            Use::Decoded => Use::Encoded,
        };
        words(&self.sentence(lexicon, CodeEntry::from(stated).with(other).words, wording))
    }

    /// Of a message the code alone: either word gives the other away.
    fn about(&self, _: &Lexicon, stated: [Word; 4]) -> Vec<Word> {
        let CodeEntry { code, plain, .. } = stated.into();
        if used(stated) == Use::Stated { vec![code, plain] } else { vec![code] }
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

    /// The held-out entry of the word that stands so many places before.
    fn held_at(&self, word: &TrainingWord, distance: usize) -> Option<&CodeEntry> {
        self.held.get(&word.before(distance)?)
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
        stated(&self.entries)
    }

    /// Entries of a few codes, or messages in the entries that are not held out.
    fn document(&self, sentences: usize, random: &mut Stream) -> Vec<Stated> {
        let in_messages = !self.entries.iter().all(|entry| self.is_held_out(entry)) && random.random_bool(0.5);
        gathered(sentences, random, |random| {
            let entry = self.entries[random.random_range(0..self.entries.len())];
            let mut book = self.entries_of(entry.code);
            book.retain(|entry| !in_messages || !self.is_held_out(entry));
            book.shuffle(random);
            let decoded = random.random_bool(0.5);
            book.truncate(random.random_range(1..=book.len()));
            let what = match (in_messages, decoded) {
                (false, _) => Use::Stated,
                (true, false) => Use::Encoded,
                (true, true) => Use::Decoded,
            };
            book.into_iter().map(|entry| entry.with(what)).collect()
        })
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
        let answer = |said: &Vec<CodeEntry>| -> String {
            let pair = |(asked, said): (&CodeEntry, &CodeEntry)| {
                let (given, wanted) = (asked.given_and_wanted(form).0, said.given_and_wanted(form).1);
                lexicon.text(&[given, lexicon.grammar(":"), wanted])
            };
            message.iter().zip(said).map(pair).collect::<Vec<_>>().join(" ")
        };
        let mut choices: Vec<String> = arrangements(&held, message.len()).iter().map(answer).collect();
        choices.shuffle(random);
        book.shuffle(random);
        QuestionDraft { context: stated(&book), ..asked(lexicon, &message, form).choosing(choices) }
    }

    /// A message in one of the codes, and entries that read it.
    fn lesson_question(&self, lexicon: &Lexicon, cot_style: &CotStyle, random: &mut Stream) -> QuestionDraft {
        let form = if random.random_bool(0.5) { ENCODE } else { DECODE };
        let message = self.message(random.random_range(0..self.questions_of(form)), random);
        let book = self.entries_of(message[0].code);
        let mut others = book.clone();
        others.retain(|entry| !message.contains(entry));
        others.shuffle(random);
        others.truncate(random.random_range(0..=others.len()));
        let near = if form == ENCODE { &message } else { &book };
        QuestionDraft {
            context: stated(&[&message[..], &others].concat()),
            thought: Thought::AnyOf(stated(near)),
            share: cot_style.group,
            shows_subjects: form == ENCODE,
            ..asked(lexicon, &message, form)
        }
    }

    /// "encode in CODE WORD … ?"
    fn asks(&self, lexicon: &Lexicon, mark: &TrainingWord) -> bool {
        let orders = ["encode", "decode"].map(|order| lexicon.word(order));
        (1..=LONGEST).any(|length| {
            let of = |distance| self.held_at(mark, distance).is_some_and(|e| Some(e.code) == mark.before(length + 1));
            mark.before(length + 3).is_some_and(|order| orders.contains(&Some(order))) && (1..=length).any(of)
        })
    }

    fn answers(&self, _: &Lexicon, colon: &TrainingWord) -> bool {
        let other = self.held_at(colon, 1).map(|e| if Some(e.plain) == colon.before(1) { e.cipher } else { e.plain });
        other.is_some() && colon.after().first() == other.as_ref()
    }

    fn gives_away(&self, word: &TrainingWord) -> Option<LeakKind> {
        let entry = self.held.get(&word.word()).filter(|entry| entry.plain == word.word())?;
        word.earlier().contains(&entry.cipher).then_some(LeakKind::ReversedFact)
    }
}

/// "encode in tolex mavoth bidush ?"
fn asked(lexicon: &Lexicon, message: &[CodeEntry], form: Form) -> QuestionDraft {
    let pairs: Vec<(Word, Word)> = message.iter().map(|entry| entry.given_and_wanted(form)).collect();
    let mut words = vec![lexicon.grammar(if form == DECODE { "decode" } else { "encode" }), lexicon.grammar("in")];
    words.extend(message.first().map(|entry| entry.code));
    words.extend(pairs.iter().map(|(given, _)| given));
    words.push(lexicon.grammar("?"));
    QuestionDraft::message(words, pairs, stated(message))
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
