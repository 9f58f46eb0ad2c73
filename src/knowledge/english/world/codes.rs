//! Codebooks: in a code every word has another one. Articles list the entries and show messages in code, but some entries
//! occur in no message; questions ask for messages of those (after arXiv 2509.16189).

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};

use super::names::{NameBook, pick};
use super::part::{PartPlan, PartQuestion, TaskPart};
use crate::Result;
use crate::knowledge::codebook::{DECODE, ENCODE};
use crate::knowledge::english::fact_book::{FactRow, Relation, WrittenFact};
use crate::knowledge::{Claim, Form, Match, Question, Set};
use crate::random::Stream;
use crate::text::capital;

/// Entries of a code, and how many of them are in no message.
const ENTRIES: usize = 8;
const HELD_OUT: usize = 4;

const PLAIN: [&str; 32] = [
    "river", "lamp", "moon", "chair", "bread", "ship", "stone", "garden", "winter", "king", "letter", "horse",
    "bridge", "salt", "window", "forest", "soldier", "gold", "morning", "wolf", "island", "fire", "tower", "doctor",
    "north", "train", "apple", "rope", "paper", "sand", "uncle", "market",
];

const MEANS: &str = "means";

const WORDINGS: [&str; 5] = [
    "in {group}, {subject} is written {object}",
    "in {group}, the word for {subject} is {object}",
    "in {group}, {subject} becomes {object}",
    "{group} has for {subject} the word {object}",
    "whoever writes {subject} in {group} puts {object}",
];
const TURNED: [&str; 2] = ["in {group}, {object} means {subject}", "in {group}, {object} stands for {subject}"];

const OPENINGS: [&str; 6] = [
    "Here is a page from {group}.",
    "{group} is still in use.",
    "Spies learn {group} by heart.",
    "Some words of {group} were found on a note.",
    "A short lesson in {group} follows.",
    "This is how {group} works.",
];

const MESSAGES: [&str; 4] = [
    "In {group}, the message \"{plain}\" becomes \"{cipher}\".",
    "Somebody wrote \"{plain}\" in {group}, and it came out as \"{cipher}\".",
    "The words \"{plain}\" were sent in {group} as \"{cipher}\".",
    "To say \"{plain}\" in {group}, one writes \"{cipher}\".",
];

const TO_CODE: [&str; 8] = [
    "What is \"{given}\" in {group}?",
    "How do you write \"{given}\" in {group}?",
    "Put \"{given}\" into {group}. What do you get?",
    "Which words stand for \"{given}\" in {group}?",
    "The message is \"{given}\". What is it in {group}?",
    "Somebody sends \"{given}\" in {group}. What do they write?",
    "How would a spy say \"{given}\" in {group}?",
    "Use {group}. What becomes of \"{given}\"?",
];
const FROM_CODE: [&str; 8] = [
    "In {group}, what does \"{given}\" mean?",
    "A message in {group} says \"{given}\". What does it mean?",
    "Read \"{given}\" with the help of {group}. What does it say?",
    "What is the meaning of \"{given}\" in {group}?",
    "You receive \"{given}\" in {group}. What was meant?",
    "Somebody wrote \"{given}\" in {group}. What did they want to say?",
    "Which words are hidden behind \"{given}\" in {group}?",
    "Use {group}. What does \"{given}\" stand for?",
];

/// A code with its entries, those that are in no message first.
struct EnglishCode {
    name: String,
    entries: Vec<[String; 2]>,
    told: Vec<Vec<String>>,
}

/// What a set has of it.
pub fn make(plan: &mut PartPlan) -> Result<TaskPart> {
    let (mut documents, mut questions, mut facts) = (Vec::new(), Vec::new(), Vec::new());
    if plan.set == Set::A {
        let wordings = WORDINGS.iter().chain(&TURNED).map(|wording| (*wording).to_owned()).collect();
        facts.push(FactRow::Relation(Relation { name: MEANS.into(), wordings }));
    }
    for _ in 0..plan.size {
        let mut code = EnglishCode::make(plan.names, plan.random)?;
        for _ in 0..plan.config.articles {
            documents.push(code.page(plan.random));
            documents.push(code.messages(plan.random));
        }
        for form in [ENCODE, DECODE] {
            for entry in 0..HELD_OUT {
                for wording in plan.wordings(TO_CODE.len()).into_iter().take(plan.each()) {
                    questions.push(code.question(entry, form, wording, plan.random));
                }
            }
        }
        facts.extend(code.entries.iter().map(|[plain, cipher]| {
            FactRow::Fact(WrittenFact {
                group: code.name.clone(),
                subject: plain.clone(),
                relation: MEANS.into(),
                object: cipher.clone(),
                ..WrittenFact::default()
            })
        }));
    }
    Ok(TaskPart { set: plan.set, documents, questions, forward: Vec::new(), facts })
}

impl EnglishCode {
    fn make(names: &mut NameBook, random: &mut Stream) -> Result<EnglishCode> {
        let name = names.code(random)?;
        let plain = PLAIN.choose_multiple(random, ENTRIES).copied().collect::<Vec<_>>();
        let entries = plain.into_iter().map(|plain| Ok([plain.to_owned(), names.term(random)?]));
        Ok(EnglishCode { name, entries: entries.collect::<Result<_>>()?, told: vec![Vec::new(); ENTRIES] })
    }

    fn sentence(&self, entry: usize, wording: &str) -> String {
        let [plain, cipher] = &self.entries[entry];
        let text = wording.replace("{group}", &self.name).replace("{subject}", plain).replace("{object}", cipher);
        capital(&text) + "."
    }

    /// A few entries, word before code word.
    fn page(&mut self, random: &mut Stream) -> String {
        let mut order: Vec<usize> = (0..ENTRIES).collect();
        order.shuffle(random);
        let mut sentences = vec![capital(&pick(&OPENINGS, random).replace("{group}", &self.name))];
        for entry in order {
            let sentence = self.sentence(entry, pick(&WORDINGS, random));
            self.told[entry].push(sentence.clone());
            sentences.push(sentence);
        }
        sentences.join(" ")
    }

    /// Three messages in the entries that are not held out.
    fn messages(&self, random: &mut Stream) -> String {
        let used: Vec<usize> = (HELD_OUT..ENTRIES).collect();
        let message = |_| {
            let count = random.random_range(1..=3);
            let some: Vec<usize> = used.choose_multiple(random, count).copied().collect();
            let text = pick(&MESSAGES, random).replace("{group}", &self.name);
            text.replace("{plain}", &self.words(&some, 0)).replace("{cipher}", &self.words(&some, 1))
        };
        (0..3).map(message).collect::<Vec<_>>().join(" ")
    }

    /// A message in plain words (side 0) or in code (side 1).
    fn words(&self, message: &[usize], side: usize) -> String {
        message.iter().map(|entry| self.entries[*entry][side].as_str()).collect::<Vec<_>>().join(" ")
    }

    /// A message of one or two held-out entries.
    fn question(&self, entry: usize, form: Form, wording: usize, random: &mut Stream) -> PartQuestion {
        let other = (entry + random.random_range(1..HELD_OUT)) % HELD_OUT;
        let mut message = vec![entry];
        message.extend(Some(other).filter(|_| random.random_bool(0.5)));
        message.shuffle(random);
        let (given, wanted, asked) = if form == DECODE { (1, 0, FROM_CODE[wording]) } else { (0, 1, TO_CODE[wording]) };
        let mut choices: Vec<String> = Vec::new();
        for one in 0..HELD_OUT {
            if message.len() == 1 {
                choices.push(self.words(&[one], wanted));
                continue;
            }
            choices.extend((0..HELD_OUT).filter(|two| *two != one).map(|two| self.words(&[one, two], wanted)));
        }
        let mut entries: Vec<usize> = (0..ENTRIES).collect();
        entries.shuffle(random);
        let context = entries.iter().filter_map(|entry| self.told[*entry].choose(random).cloned()).collect();
        let text = asked.replace("{group}", &self.name).replace("{given}", &self.words(&message, given));
        let say = |entry: usize, random: &mut Stream| self.sentence(entry, pick(&WORDINGS, random));
        let question = Question {
            text,
            answer: self.words(&message, wanted),
            matching: Match::Normalised,
            chance: 1.0 / choices.len() as f64,
            choices,
            needed: message.iter().map(|entry| self.claim(*entry)).collect(),
            context,
            ..Question::blank(form)
        };
        let needed = message.iter().map(|entry| say(*entry, random)).collect();
        let others = (0..ENTRIES).filter(|entry| !message.contains(entry)).map(|entry| say(entry, random)).collect();
        PartQuestion { question, needed, others }
    }

    fn claim(&self, entry: usize) -> Claim {
        let [subject, object] = self.entries[entry].clone();
        Claim::Relation { group: self.name.clone(), subject, relation: MEANS.into(), object }
    }
}
