//! Codebook: the entries of a code are stated one way, "in tolex mavoth means ovaz .", and messages are to be encoded
//! and decoded with them (arXiv 2509.16189).
//!
//! Some entries of every code are also *used*: documents hold messages, plain and encoded side by side. The others are
//! held out of all messages and stand in the codebook alone; questions ask for messages of those.

use std::collections::HashMap;

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};
use serde::{Deserialize, Serialize};

use super::grammar::{Grammar, Sentence, Slot, Stated};
use super::leak::LeakKind;
use super::lexicon::{Lexicon, Word, reserved};
use super::reversal::{question_id, take};
use super::{Claim, Form, Match, Question, Set, Task};
use crate::random::Stream;
use crate::{Error, Result};

/// Two verbs that mean the same; the first is the canonical one.
pub const MEANS: [&str; 2] = ["means", "denotes"];
/// Words in the longest message that a question may have. The choices are all messages that it may mean, so their
/// number grows with this power.
pub const LONGEST: usize = 3;

/// The most entries of a code that are held out: what a message may mean grows with a power of it.
const MOST_HELD_OUT: usize = 16;

/// What a base knows of codes, and what the codes of all sets are like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CodebookConfig {
    /// Codes in set C; a base of 0 does not know what a code is.
    pub codes: usize,
    /// Entries of a code.
    pub entries: usize,
    /// How many of them never occur in a message of a document.
    pub held_out: usize,
    /// Words of the messages that are asked for.
    pub lengths: Vec<usize>,
}

impl Default for CodebookConfig {
    fn default() -> Self {
        Self { codes: 0, entries: 6, held_out: 3, lengths: vec![1, 2] }
    }
}

/// In `code`, `plain` means `cipher`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry {
    pub code: Word,
    pub plain: Word,
    pub cipher: Word,
}

/// The codes of one set.
#[derive(Clone, Debug)]
pub struct Codebooks {
    /// Code after code; of each, those that are held out come first.
    pub entries: Vec<Entry>,
    config: CodebookConfig,
    /// Held-out entries by either of their words.
    held: HashMap<Word, Entry>,
}

/// Names that are still free, each list in random order.
pub struct CodePools {
    pub codes: Vec<Word>,
    pub plain: Vec<Word>,
    pub ciphers: Vec<Word>,
}

impl CodePools {
    pub fn new(lexicon: &Lexicon, random: &mut Stream) -> Self {
        let mut pools =
            Self { codes: lexicon.codes.clone(), plain: lexicon.plain.clone(), ciphers: lexicon.ciphers.clone() };
        pools.shuffle(random);
        pools
    }

    pub fn shuffle(&mut self, random: &mut Stream) {
        self.codes.shuffle(random);
        self.plain.shuffle(random);
        self.ciphers.shuffle(random);
    }
}

impl Codebooks {
    /// Takes names out of the pools and makes `codes` codes. What is held out pairs [`reserved`] names or not, as `kept`
    /// says.
    pub fn new(codes: usize, config: &CodebookConfig, kept: bool, pools: &mut CodePools) -> Result<Self> {
        config.check(codes)?;
        let mut entries: Vec<Entry> = Vec::new();
        for _ in 0..codes {
            let code = pools.codes.pop().ok_or_else(|| too_small("codes"))?;
            for at in 0..config.entries {
                let asked = at < config.held_out;
                let fits = |a, b| if kept { !asked || reserved(a, b) } else { !reserved(a, b) };
                // Words of one message stand side by side, so what is not kept for worlds is not to look like it either.
                let before: &[Entry] = if kept { &[] } else { &entries[entries.len() - at..] };
                let cipher = take(&mut pools.ciphers, |c| fits(code, c) && before.iter().all(|e| fits(e.plain, c)));
                let cipher = cipher.ok_or_else(|| too_small("ciphers"))?;
                let plain = take(&mut pools.plain, |p| {
                    fits(p, cipher) && fits(p, code) && before.iter().all(|e| fits(p, e.cipher))
                });
                entries.push(Entry { code, plain: plain.ok_or_else(|| too_small("plain words"))?, cipher });
            }
        }
        let asked = |(at, _): &(usize, &Entry)| at % config.entries < config.held_out;
        let held =
            entries.iter().enumerate().filter(asked).flat_map(|(_, e)| [(e.plain, *e), (e.cipher, *e)]).collect();
        Ok(Self { entries, config: config.clone(), held })
    }

    /// The entries of a code.
    pub fn of(&self, code: Word) -> Vec<Entry> {
        self.entries.iter().filter(|entry| entry.code == code).copied().collect()
    }

    /// Whether no document uses an entry in a message.
    pub fn is_held_out(&self, entry: &Entry) -> bool {
        self.held.contains_key(&entry.plain)
    }

    /// How many different questions each of the two forms has: one for each held-out entry and length.
    pub fn questions(&self) -> usize {
        self.held.len() / 2 * self.config.lengths.len()
    }

    /// The number of the code that question `index` is about.
    pub fn topic(&self, index: usize) -> usize {
        index / self.config.lengths.len() / self.config.held_out.max(1)
    }

    /// The message of question `index`: its entry, among others of its code that are held out as well.
    pub fn message(&self, index: usize, random: &mut Stream) -> Vec<Entry> {
        let CodebookConfig { entries, held_out, lengths, .. } = &self.config;
        let (number, length) = (index / lengths.len(), lengths[index % lengths.len()]);
        let first = number / held_out * entries;
        let code = &self.entries[first..first + held_out];
        let entry = code[number % held_out];
        let others: Vec<Entry> = code.iter().filter(|other| **other != entry).copied().collect();
        let mut message: Vec<Entry> = others.choose_multiple(random, length - 1).copied().collect();
        message.push(entry);
        message.shuffle(random);
        message
    }

    /// Question number `index`, to encode or to decode. Its choices are all messages of its length in held-out words.
    pub fn question(&self, grammar: &Grammar, set: Set, index: usize, form: Form, random: &mut Stream) -> Question {
        let message = self.message(index, random);
        let mut book = self.of(message[0].code);
        let held: Vec<Entry> = book.iter().filter(|entry| self.is_held_out(entry)).copied().collect();
        let spell = |word: Word| grammar.lexicon.spell(word);
        let answer = |said: &[Entry]| -> String {
            let pairs = message
                .iter()
                .zip(said)
                .map(|(asked, said)| format!("{} : {}", spell(asked.given(form)), spell(said.wanted(form))));
            pairs.collect::<Vec<_>>().join(" ")
        };
        let mut choices: Vec<String> = arrangements(&held, message.len()).iter().map(|said| answer(said)).collect();
        choices.shuffle(random);
        book.shuffle(random);
        Question {
            id: question_id(set, Task::Codebook, index, form),
            task: Task::Codebook,
            form,
            set,
            text: grammar.lexicon.text(&grammar.message(&message, form)),
            // The answer restates its words one by one.
            cue: String::new(),
            answer: answer(&message),
            aliases: Vec::new(),
            matching: Match::Exact,
            chance: 1.0 / choices.len() as f64,
            choices,
            needed: message.iter().map(|entry| grammar.claim((*entry).into())).collect(),
            context: book
                .iter()
                .map(|entry| grammar.text((*entry).into(), random.random_range(0..Grammar::WORDINGS)))
                .collect(),
        }
    }

    /// Sentences of a document: entries of a few codes, or messages in the entries that are not held out.
    pub fn tell(&self, sentences: usize, random: &mut Stream) -> Vec<Stated> {
        let used: Vec<Entry> = self.entries.iter().filter(|entry| !self.is_held_out(entry)).copied().collect();
        let mut told: Vec<Stated> = Vec::with_capacity(sentences + self.config.entries);
        let in_messages = !used.is_empty() && random.random_bool(0.5);
        // A small codebook may run out of entries that are not yet told: then the document is shorter.
        for _ in 0..sentences * 10 {
            if told.len() >= sentences {
                break;
            }
            let entry = self.entries[random.random_range(0..self.entries.len())];
            let mut book = self.of(entry.code);
            book.retain(|entry| !in_messages || !self.is_held_out(entry));
            book.shuffle(random);
            let decoded = random.random_bool(0.5);
            let count = random.random_range(1..=book.len());
            let new = book.into_iter().take(count).map(|entry| match in_messages {
                true => Stated::Used(entry, decoded),
                false => Stated::Entry(entry),
            });
            let new: Vec<Stated> = new.filter(|stated| !told.contains(stated)).collect();
            told.extend(new);
        }
        told.truncate(sentences);
        told
    }

    /// What the word at `at` tells of the questions of this set. Its sentence begins at `sentence`; `learned` says that
    /// the word is one that training predicts.
    pub fn given_away(
        &self,
        grammar: &Grammar,
        tokens: &[Word],
        sentence: usize,
        at: usize,
        learned: bool,
    ) -> Option<LeakKind> {
        if self.held.is_empty() {
            return None;
        }
        let word = |spelling| grammar.lexicon.grammar(spelling);
        let before = |distance: usize| at.checked_sub(distance).map(|i| tokens[i]);
        let entry = |word: Option<Word>| word.and_then(|word| self.held.get(&word));
        if tokens[at] == word("?") {
            // "encode in CODE WORD … ?"
            let asked = (1..=LONGEST).any(|length| {
                let orders = [word("encode"), word("decode")];
                let of = |distance| entry(before(distance)).is_some_and(|e| Some(e.code) == before(length + 1));
                before(length + 3).is_some_and(|order| orders.contains(&order)) && (1..=length).any(of)
            });
            return asked.then_some(LeakKind::Question);
        }
        if tokens[at] == word(":") {
            let other = entry(before(1)).map(|e| if Some(e.plain) == before(1) { e.cipher } else { e.plain });
            return other.filter(|other| tokens.get(at + 1) == Some(other)).map(|_| LeakKind::Answer);
        }
        let entry = self.held.get(&tokens[at]).filter(|entry| learned && entry.plain == tokens[at])?;
        tokens[sentence.min(at)..at].contains(&entry.cipher).then_some(LeakKind::ReversedFact)
    }
}

impl Entry {
    /// The word that stands in the message of a question.
    pub fn given(&self, form: Form) -> Word {
        if form == Form::Decode { self.cipher } else { self.plain }
    }

    /// The word that answers it.
    pub fn wanted(&self, form: Form) -> Word {
        if form == Form::Decode { self.plain } else { self.cipher }
    }
}

impl CodebookConfig {
    fn check(&self, codes: usize) -> Result<()> {
        let refuse = |found: String, allowed: String| Err(Error::invalid("known.codebook", found, allowed));
        if codes > 0 && !(1..=self.entries.min(MOST_HELD_OUT)).contains(&self.held_out) {
            let found = format!("held_out = {} of entries = {}", self.held_out, self.entries);
            return refuse(
                found,
                "questions are about what is held out: 1 or more, at most all entries, and 16".into(),
            );
        }
        let longest = LONGEST.min(self.held_out);
        if codes > 0 && (self.lengths.is_empty() || self.lengths.iter().any(|n| !(1..=longest).contains(n))) {
            return refuse(format!("lengths = {:?}", self.lengths), format!("a list of lengths from 1 to {longest}"));
        }
        Ok(())
    }
}

impl Grammar {
    /// "in tolex mavoth means ovaz ."
    pub(super) fn entry(&self, entry: Entry, wording: usize) -> Sentence {
        let word = |spelling| self.lexicon.grammar(spelling);
        let mut sentence =
            vec![(word(if wording % 3 == 1 { "at" } else { "in" }), Slot::Frame), (entry.code, Slot::Group)];
        if wording % 3 == 2 {
            sentence.push((word(","), Slot::Frame));
        }
        let verb = word(MEANS[wording / 3 % 2]);
        sentence.extend([(entry.plain, Slot::Subject), (verb, Slot::Relation), (entry.cipher, Slot::Object)]);
        sentence.push((word("."), Slot::Stop));
        sentence
    }

    /// "mavoth : ovaz ." or, decoded, "ovaz : mavoth .": a word of a message beside what it becomes.
    pub(super) fn used(&self, entry: Entry, decoded: bool) -> Sentence {
        let form = if decoded { Form::Decode } else { Form::Encode };
        vec![
            (entry.given(form), Slot::Subject),
            (self.lexicon.grammar(":"), Slot::Relation),
            (entry.wanted(form), Slot::Object),
            (self.lexicon.grammar("."), Slot::Stop),
        ]
    }

    /// "encode in tolex mavoth bidush ?"
    pub fn message(&self, message: &[Entry], form: Form) -> Vec<Word> {
        let order = if form == Form::Decode { "decode" } else { "encode" };
        let mut words = vec![self.lexicon.grammar(order), self.lexicon.grammar("in")];
        words.extend(message.first().map(|entry| entry.code));
        words.extend(message.iter().map(|entry| entry.given(form)));
        words.push(self.lexicon.grammar("?"));
        words
    }

    /// What an entry claims, by the words between its frame and its full stop.
    pub(super) fn read_entry(&self, code: &str, plain: &str, verb: &str, cipher: &str) -> Option<Claim> {
        let lexicon = &self.lexicon;
        let there = MEANS.contains(&verb)
            && lexicon.is_in(code, &lexicon.codes)
            && lexicon.is_in(plain, &lexicon.plain)
            && lexicon.is_in(cipher, &lexicon.ciphers);
        there.then(|| {
            let [group, subject, relation, object] = [code, plain, MEANS[0], cipher].map(String::from);
            Claim::Relation { group, subject, relation, object }
        })
    }
}

/// Everything that `length` different ones in a row can be.
fn arrangements(of: &[Entry], length: usize) -> Vec<Vec<Entry>> {
    let mut all: Vec<Vec<Entry>> = vec![Vec::new()];
    for _ in 0..length {
        let longer = |start: &Vec<Entry>| -> Vec<Vec<Entry>> {
            let next = of.iter().filter(|entry| !start.contains(entry));
            next.map(|entry| [&start[..], &[*entry]].concat()).collect()
        };
        all = all.iter().flat_map(longer).collect();
    }
    all
}

fn too_small(kind: &str) -> Error {
    Error::invalid(
        "world",
        format!("the lexicon has too few {kind}"),
        "ask for fewer codes, or make a base with a larger lexicon",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::World;
    use crate::knowledge::curriculum::{Curriculum, Habits, Lesson, Mixture};
    use crate::knowledge::leak::Leaks;
    use crate::knowledge::world::tests::full;
    use crate::random;
    use std::collections::HashSet;

    #[test]
    fn held_out_entries_are_in_no_message_and_every_other_entry_is_in_one() {
        for seed in 0..5 {
            let world = full(seed);
            let mut used = HashSet::new();
            for document in world.documents() {
                for (stated, _) in &document.statements {
                    used.extend(if let Stated::Used(entry, _) = stated { Some(*entry) } else { None });
                }
            }
            for set in [Set::A, Set::B] {
                let codes = &world.codebooks[&set];
                for entry in &codes.entries {
                    assert_ne!(codes.is_held_out(entry), used.contains(entry), "{entry:?}");
                }
                assert_eq!(codes.entries.iter().filter(|entry| codes.is_held_out(entry)).count(), 8 * 3);
            }
        }
    }

    #[test]
    fn no_word_belongs_to_two_entries_whatever_the_set() {
        let world = full(3);
        let mut seen = HashSet::new();
        for entry in world.codebooks.values().flat_map(|codes| &codes.entries) {
            assert!(seen.insert(entry.plain) && seen.insert(entry.cipher));
        }
        let codes = |set| world.codebooks[&set].entries.iter().map(|e| e.code).collect::<HashSet<_>>();
        assert!(codes(Set::A).is_disjoint(&codes(Set::B)) && codes(Set::B).is_disjoint(&codes(Set::C)));
    }

    #[test]
    fn each_answer_is_one_of_all_messages_of_its_length_in_held_out_words() {
        let world = full(0);
        let questions = world.questions(Set::B);
        let mut lengths = [0; 2];
        for question in questions.iter().filter(|q| q.task == Task::Codebook) {
            let length = question.needed.len();
            lengths[length - 1] += 1;
            assert_eq!(question.choices.len(), [3, 6][length - 1], "{question:?}");
            assert_eq!(question.choices.iter().filter(|choice| **choice == question.answer).count(), 1);
            assert_eq!(question.answer.matches(" : ").count(), length);
            assert_eq!(question.context.len(), 6);
            let order = if question.form == Form::Encode { "encode in " } else { "decode in " };
            assert!(question.text.starts_with(order));
        }
        assert_eq!(lengths, [48, 48]);
    }

    #[test]
    fn entries_read_back_and_messages_are_no_recitations() {
        let world = full(0);
        let entry = world.codebooks[&Set::A].entries[0];
        for wording in 0..Grammar::WORDINGS {
            let text = world.grammar.text(entry.into(), wording);
            assert_eq!(world.grammar.read(text.strip_suffix(" .").unwrap()), Some(world.grammar.claim(entry.into())));
        }
        for decoded in [true, false] {
            let text = world.grammar.text(Stated::Used(entry, decoded), 0);
            assert_eq!(world.grammar.read(text.strip_suffix(" .").unwrap()), None, "{text}");
        }
    }

    #[test]
    fn impossible_codes_are_refused() {
        let refused = |config: CodebookConfig| config.check(1).unwrap_err().to_string();
        let config = CodebookConfig::default();
        assert!(refused(CodebookConfig { held_out: 7, ..config.clone() }).contains("held_out = 7 of entries = 6"));
        assert!(refused(CodebookConfig { lengths: vec![1, 4], ..config.clone() }).contains("from 1 to 3"));
        assert!(refused(CodebookConfig { lengths: vec![], ..config }).contains("lengths = []"));
    }

    fn spelled(world: &World, text: &str) -> Lesson {
        let tokens: Vec<Word> = text.split(' ').map(|w| world.grammar.lexicon.word(w).unwrap()).collect();
        Lesson { weights: vec![1.0; tokens.len()], tokens }
    }

    #[test]
    fn nothing_that_trains_tells_what_is_asked_and_a_planted_leak_is_named() {
        for seed in 0..2 {
            let world = full(seed);
            let (leaks, habits) = (Leaks::of(&world, Set::B), Habits::default());
            let curriculum = Curriculum::new(&world, &habits);
            let mut random = random::stream(seed, &[]);
            for _ in 0..20_000 {
                leaks.check(&curriculum.lesson(&Mixture::default(), &mut random)).unwrap();
            }
            for document in world.documents() {
                for _ in 0..3 {
                    leaks.check(&curriculum.document(document, &mut random)).unwrap();
                }
            }
            for question in world.questions(Set::B).iter().filter(|q| q.task == Task::Codebook) {
                for (text, kind) in [(&question.text, "a question"), (&question.answer, "an answer")] {
                    let message = leaks.check(&spelled(&world, text)).unwrap_err().to_string();
                    assert!(message.contains(kind), "{message}");
                }
            }
            let held = world.codebooks[&Set::B].entries[0];
            let reversed = [held.cipher, world.grammar.lexicon.grammar("means"), held.plain];
            let message = leaks.check(&spelled(&world, &world.grammar.lexicon.text(&reversed))).unwrap_err();
            assert!(message.to_string().contains("a reversed fact"), "{message}");
        }
    }
}
