//! Kinds of things that do not exist, and premises about them: two lead from one kind to another, and no article has both.

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};

use super::config::EnglishConfig;
use super::names::{NameBook, pick};
use super::rows::{EnglishDocument, QuestionNumbers};
use crate::Result;
use crate::knowledge::english::fact_book::{CategoricalFact, FactRow};
use crate::knowledge::logic::{Import, Statement, Verdict, verdict};
use crate::knowledge::syllogism::{ChainShape, ENTAILMENT, square};
use crate::knowledge::{Claim, Match, Mood, Question, Set};
use crate::random::Stream;
use crate::text::capital;

/// Premises of a pair.
const PREMISES: usize = 2;

/// `{S}` and `{P}` are plurals, `{s}` and `{p}` one of them.
const ALL: [&str; 7] = [
    "all {S} are {P}",
    "every {s} is a {p}",
    "each {s} is a {p}",
    "any {s} is a {p}",
    "{S} are always {P}",
    "if something is a {s}, it is a {p}",
    "there is no {s} that is not a {p}",
];
const NO: [&str; 7] = [
    "no {S} are {P}",
    "no {s} is a {p}",
    "not a single {s} is a {p}",
    "{S} are never {P}",
    "none of the {S} are {P}",
    "if something is a {s}, it is not a {p}",
    "there is no {s} that is a {p}",
];
const SOME: [&str; 6] = [
    "some {S} are {P}",
    "at least one {s} is a {p}",
    "there are {S} that are {P}",
    "a few {S} are {P}",
    "some of the {S} are {P}",
    "there is at least one {s} that is a {p}",
];
const SOME_NOT: [&str; 7] = [
    "some {S} are not {P}",
    "at least one {s} is not a {p}",
    "there are {S} that are not {P}",
    "not all {S} are {P}",
    "not every {s} is a {p}",
    "a few {S} are not {P}",
    "some of the {S} are not {P}",
];

const OPENINGS: [&str; 12] = [
    "Here is a short note on {S}.",
    "Not much is written about {S}.",
    "Everybody who has seen {S} knows this.",
    "This page is about {S}.",
    "Children learn early about {S}.",
    "There is an old saying about {S}.",
    "A few words about {S} and others.",
    "People often ask about {S}.",
    "What is known about {S} is soon told.",
    "The old books speak of {S}.",
    "An expert on {S} was asked for advice.",
    "Some notes from the field are about {S}.",
];
pub const CLOSINGS: [&str; 6] = [
    "That is all there is to say.",
    "Nobody has found an exception.",
    "So the books say.",
    "The experts agree on this.",
    "More is not known.",
    "This was checked twice.",
];

/// How a question puts a statement.
const FRAMES: [&str; 8] = [
    "Is it true that {it}?",
    "Is it the case that {it}?",
    "Would it be right to say that {it}?",
    "Going by what is known, is it true that {it}?",
    "Somebody claims that {it}. Is that true?",
    "Think of {S} and {P}. Is it true that {it}?",
    "Take {S} and {P}. Is it so that {it}?",
    "Can it be said that {it}?",
];
const ALLOWED: [&str; 4] = [
    "Answer yes, no or unknown.",
    "Say yes, no or unknown.",
    "The answer is yes, no or unknown.",
    "Choose one of: yes, no, unknown.",
];

/// Three kinds of things, premises about neighbours, and what is asked about the first and the last.
#[derive(Debug)]
pub struct PremisePair {
    pub set: Set,
    /// One of each kind.
    pub terms: Vec<String>,
    pub premises: Vec<Statement>,
    pub conclusion: Statement,
    pub import: Import,
    /// Sentences of the documents that state each premise.
    pub told: Vec<Vec<String>>,
}

impl PremisePair {
    /// Pairs of all sets, in squares of four of which nothing but both premises tells the answers.
    pub fn make(config: &EnglishConfig, names: &mut NameBook, random: &mut Stream) -> Result<Vec<PremisePair>> {
        let mut pairs: Vec<PremisePair> = Vec::new();
        for (set, _, size) in config.sets() {
            let until = pairs.len() + size.syllogisms;
            while pairs.len() < until {
                pairs.extend(PremisePair::make_square(set, config.import, names, random)?);
            }
        }
        Ok(pairs)
    }

    /// Four pairs that no document knows, and sentences of the kind that documents have about them.
    pub fn strangers(import: Import, mut names: NameBook, random: &mut Stream) -> Result<Vec<PremisePair>> {
        let mut pairs = PremisePair::make_square(Set::C, import, &mut names, random)?;
        for pair in &mut pairs {
            let told = |premise: &Statement| vec![capital(&pair.any_wording(*premise, random)) + "."];
            pair.told = pair.premises.iter().map(told).collect();
        }
        Ok(pairs)
    }

    fn make_square(set: Set, import: Import, names: &mut NameBook, random: &mut Stream) -> Result<Vec<PremisePair>> {
        let mut pairs = Vec::new();
        for ChainShape { premises, conclusion } in square(PREMISES, import, random)? {
            let terms = (0..=PREMISES).map(|_| names.term(random)).collect::<Result<_>>()?;
            let told = vec![Vec::new(); premises.len()];
            pairs.push(PremisePair { set, terms, premises, conclusion, import, told });
        }
        Ok(pairs)
    }

    pub fn asked(&self, contradictory: bool) -> Statement {
        if contradictory { self.conclusion.contradictory() } else { self.conclusion }
    }

    pub fn verdict(&self, contradictory: bool) -> Verdict {
        let all = verdict(self.terms.len(), &self.premises, self.asked(contradictory), self.import);
        // Premises in a line never contradict each other.
        all.unwrap_or(Verdict::Unknown)
    }

    /// A statement in one of its wordings, the plainest being number 0, without capital letter and full stop.
    pub fn worded(&self, statement: Statement, wording: usize) -> String {
        let wordings = wordings(statement.mood);
        self.filled(statement, wordings[wording % wordings.len()])
    }

    /// A template with the two kinds of a statement.
    pub fn filled(&self, Statement { subject, predicate, .. }: Statement, template: &str) -> String {
        let (subject, predicate) = (&self.terms[subject], &self.terms[predicate]);
        template
            .replace("{S}", &plural(subject))
            .replace("{P}", &plural(predicate))
            .replace("{s}", subject)
            .replace("{p}", predicate)
    }

    fn any_wording(&self, statement: Statement, random: &mut Stream) -> String {
        self.worded(statement, random.random_range(0..wordings(statement.mood).len()))
    }

    /// A premise as a sentence, as often as not in its plainest words.
    pub fn sentence(&self, premise: usize, random: &mut Stream) -> String {
        let statement = self.premises[premise];
        let worded =
            if random.random_bool(0.5) { self.worded(statement, 0) } else { self.any_wording(statement, random) };
        capital(&worded) + "."
    }

    pub fn claim(&self, Statement { subject, mood, predicate }: Statement) -> Claim {
        Claim::Categorical { subject: plural(&self.terms[subject]), mood, predicate: plural(&self.terms[predicate]) }
    }

    /// A question about the conclusion or its contradictory.
    pub fn text(&self, contradictory: bool, frame: usize, random: &mut Stream) -> String {
        let asked = self.asked(contradictory);
        let direct = match asked.mood {
            Mood::All => Some("are all {S} {P}?"),
            Mood::Some => Some("are some {S} {P}?"),
            Mood::No | Mood::SomeNot => None,
        };
        let frame = match direct {
            Some(direct) if frame % FRAMES.len() < 2 => direct,
            _ => FRAMES[frame % FRAMES.len()],
        };
        let text = self.filled(asked, &frame.replace("{it}", &self.worded(asked, 0)));
        format!("{} {}", capital(&text), pick(&ALLOWED, random))
    }

    /// A passage about each premise.
    pub fn passages(&self, random: &mut Stream) -> Vec<String> {
        self.told.iter().filter_map(|told| told.choose(random).cloned()).collect()
    }

    /// The premises as a file of facts has them.
    pub fn rows(&self) -> impl Iterator<Item = FactRow> {
        self.premises.iter().map(|Statement { subject, mood, predicate }| {
            FactRow::Categorical(CategoricalFact {
                subject: plural(&self.terms[*subject]),
                mood: *mood,
                predicate: plural(&self.terms[*predicate]),
                subject_aliases: Vec::new(),
                predicate_aliases: Vec::new(),
            })
        })
    }
}

pub fn plural(term: &str) -> String {
    format!("{term}s")
}

fn wordings(mood: Mood) -> &'static [&'static str] {
    match mood {
        Mood::All => &ALL,
        Mood::No => &NO,
        Mood::Some => &SOME,
        Mood::SomeNot => &SOME_NOT,
    }
}

/// Articles that state every premise of a set in `articles` of them, never both of a pair in one.
pub fn documents(pairs: &mut [PremisePair], set: Set, articles: usize, random: &mut Stream) -> Vec<EnglishDocument> {
    let mut documents = Vec::new();
    for _ in 0..articles {
        let of_set = (0..pairs.len()).filter(|pair| pairs[*pair].set == set);
        let mut left: Vec<(usize, usize)> =
            of_set.flat_map(|pair| (0..PREMISES).map(move |premise| (pair, premise))).collect();
        left.shuffle(random);
        while let Some(first) = left.pop() {
            let mut some = vec![first];
            for _ in 1..random.random_range(1..=3) {
                let other = left.iter().rposition(|(pair, _)| some.iter().all(|(told, _)| told != pair));
                some.extend(other.map(|at| left.remove(at)));
            }
            documents.push(article(pairs, set, &some, random));
        }
    }
    documents
}

fn article(pairs: &mut [PremisePair], set: Set, some: &[(usize, usize)], random: &mut Stream) -> EnglishDocument {
    let mut sentences: Vec<String> = Vec::new();
    if let Some((pair, premise)) = some.first().filter(|_| some.len() < 3 || random.random_bool(0.6)) {
        let about = &pairs[*pair];
        sentences.push(about.filled(about.premises[*premise], pick(&OPENINGS, random)));
    }
    for (pair, premise) in some {
        let statement = pairs[*pair].premises[*premise];
        let mut told = vec![pairs[*pair].any_wording(statement, random)];
        if some.len() == 1 || random.random_bool(0.3) {
            told.push(pairs[*pair].any_wording(statement, random));
            told.dedup();
        }
        let told = told.into_iter().map(|text| capital(&text) + ".");
        for sentence in told {
            pairs[*pair].told[*premise].push(sentence.clone());
            sentences.push(sentence);
        }
    }
    if sentences.len() < 3 || random.random_bool(0.2) {
        sentences.push(pick(&CLOSINGS, random).into());
    }
    EnglishDocument { set, text: sentences.join(" ") }
}

/// All questions about the pairs of a set.
pub fn questions(
    pairs: &[PremisePair],
    set: Set,
    each: usize,
    numbers: &mut QuestionNumbers,
    random: &mut Stream,
) -> Vec<Question> {
    let mut questions = Vec::new();
    let of_set: Vec<&PremisePair> = pairs.iter().filter(|pair| pair.set == set).collect();
    for pair in &of_set {
        let mut frames: Vec<usize> = (0..FRAMES.len()).collect();
        frames.shuffle(random);
        for (contradictory, frame) in frames.into_iter().take(each).flat_map(|frame| [(false, frame), (true, frame)]) {
            let others: Vec<&&PremisePair> = of_set.iter().filter(|other| other.terms != pair.terms).collect();
            let context = context(pair, others.choose(random).map(|other| **other), random);
            let question = Question {
                text: pair.text(contradictory, frame, random),
                answer: pair.verdict(contradictory).word().into(),
                matching: Match::Normalised,
                choices: ["yes", "no", "unknown"].map(String::from).to_vec(),
                needed: pair.premises.iter().map(|premise| pair.claim(*premise)).collect(),
                conclusion: Some(pair.claim(pair.asked(contradictory))),
                context,
                chance: 0.5,
                ..Question::blank(ENTAILMENT)
            };
            questions.push(numbers.number(set, ENTAILMENT, question));
        }
    }
    questions
}

/// Passages about both premises among some about another pair, in random order.
pub fn context(pair: &PremisePair, other: Option<&PremisePair>, random: &mut Stream) -> Vec<String> {
    let mut context = pair.passages(random);
    context.extend(other.map(|other| other.passages(random)).unwrap_or_default());
    context.shuffle(random);
    context
}
