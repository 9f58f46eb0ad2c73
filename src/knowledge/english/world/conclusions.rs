//! Articles that name three kinds of things and two premises, and questions about which of six statements about the end terms
//! follows: all, some and no, in two directions (arXiv 2505.00661). Several of the six may follow: the strongest is asked for, and
//! right in either direction where both say the same.

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};

use super::names::pick;
use super::part::{PartPlan, PartQuestion, TaskPart, short_article};
use super::premises::{CLOSINGS, PremisePair};
use crate::Result;
use crate::knowledge::jsonl::task::COMPLETION;
use crate::knowledge::logic::{Import, Statement, Verdict, verdict};
use crate::knowledge::{Match, Mood, Question};
use crate::random::Stream;
use crate::text::capital;

const OPENINGS: [&str; 8] = [
    "This is a note on {S}, {M} and {P}.",
    "Three kinds are met with here: {S}, {M} and {P}.",
    "Whoever studies {S} has to know {M} and {P} too.",
    "There is a chapter on {S}, {M} and {P}.",
    "The old books speak of {S}, of {M} and of {P}.",
    "Few have seen {S}, {M} and {P} together.",
    "People often ask about {S}, {M} and {P}.",
    "A lecture on {S}, {M} and {P} was given last week.",
];

const QUESTIONS: [&str; 8] = [
    "What is the most that can be said about {S} and {P}?",
    "Which is the strongest statement about {S} and {P} that follows?",
    "Think of {S} and {P}. What is the most that follows?",
    "What is the strongest thing to say about {S} and {P}?",
    "Which of these statements about {S} and {P} is true and says the most?",
    "Of these statements about {S} and {P}, which is the strongest that holds?",
    "What do you know about {S} and {P}? Give the strongest statement.",
    "Take {S} and {P}. Which statement says the most of what follows?",
];

/// Moods of statements that are asked, the strongest first.
const ASKED: [Mood; 3] = [Mood::All, Mood::No, Mood::Some];

/// Tries before a shape is taken for impossible; one in four pairs of premises has a conclusion.
const TRIES: usize = 10_000;

/// What a set has of it.
pub fn make(plan: &mut PartPlan) -> Result<TaskPart> {
    let (set, import) = (plan.set, plan.config.import);
    let mut pairs = Vec::with_capacity(plan.size);
    for index in 0..plan.size {
        let (premises, conclusion) = shape(ASKED[index % ASKED.len()], import, plan.random);
        let terms = (0..3).map(|_| plan.names.term(plan.random)).collect::<Result<_>>()?;
        pairs.push(PremisePair { set, terms, premises, conclusion, import, told: vec![Vec::new(); 2] });
    }
    let mut documents = Vec::new();
    for pair in &mut pairs {
        for _ in 0..plan.config.articles {
            documents.push(article(pair, plan.random));
        }
    }
    let mut questions = Vec::new();
    for (index, pair) in pairs.iter().enumerate() {
        let other = pairs.get((index + 1) % pairs.len());
        for wording in plan.wordings(QUESTIONS.len()).into_iter().take(plan.each()) {
            questions.push(question(pair, other, QUESTIONS[wording], plan.random));
        }
    }
    let facts = pairs.iter().flat_map(PremisePair::rows).collect();
    Ok(TaskPart { set, documents, questions, forward: Vec::new(), facts })
}

/// Two premises about neighbours of which a statement of this mood is the strongest that follows.
fn shape(mood: Mood, import: Import, random: &mut Stream) -> (Vec<Statement>, Statement) {
    let link = |one: usize, other: usize, random: &mut Stream| {
        let mood = *Mood::ALL.choose(random).unwrap_or(&Mood::All);
        if random.random_bool(0.5) { Statement::new(one, mood, other) } else { Statement::new(other, mood, one) }
    };
    for _ in 0..TRIES {
        let premises = vec![link(0, 1, random), link(1, 2, random)];
        if let Some(strongest) = following(&premises, import).first().filter(|strongest| strongest.mood == mood) {
            return (premises, *strongest);
        }
    }
    // All are, and all of those are.
    let premises = vec![Statement::new(0, Mood::All, 1), Statement::new(1, Mood::All, 2)];
    (premises, Statement::new(0, Mood::All, 2))
}

/// Those of the six statements that follow, the strongest first.
fn following(premises: &[Statement], import: Import) -> Vec<Statement> {
    let six = six();
    six.into_iter().filter(|one| verdict(3, premises, *one, import) == Some(Verdict::Yes)).collect()
}

fn six() -> Vec<Statement> {
    ASKED.into_iter().flat_map(|mood| [Statement::new(0, mood, 2), Statement::new(2, mood, 0)]).collect()
}

fn article(pair: &mut PremisePair, random: &mut Stream) -> String {
    let ends = Statement::new(0, Mood::All, 2);
    let opening = pair.filled(ends, &pick(&OPENINGS, random).replace("{M}", &super::premises::plural(&pair.terms[1])));
    let mut order = [0, 1];
    order.shuffle(random);
    let stated = order.map(|premise| {
        let sentence = pair.sentence(premise, random);
        pair.told[premise].push(sentence.clone());
        sentence
    });
    short_article(&[&opening], &stated, &CLOSINGS, random)
}

fn question(pair: &PremisePair, other: Option<&PremisePair>, wording: &str, random: &mut Stream) -> PartQuestion {
    let worded = |statement: &Statement| pair.worded(*statement, 0);
    let follows = following(&pair.premises, pair.import);
    let strongest = follows.iter().filter(|one| one.mood == pair.conclusion.mood);
    let right: Vec<String> = strongest.map(worded).collect();
    let mut choices: Vec<String> = six().iter().map(worded).collect();
    choices.shuffle(random);
    let asked = pair.filled(Statement::new(0, Mood::All, 2), wording);
    let mut order: Vec<usize> = (0..pair.premises.len()).collect();
    order.shuffle(random);
    let needed: Vec<String> = order.into_iter().map(|premise| pair.sentence(premise, random)).collect();
    let beside = other.filter(|other| other.terms != pair.terms);
    let question = Question {
        text: format!("{} Choose one of: {}.", capital(&asked), choices.join(", ")),
        answer: right.first().cloned().unwrap_or_default(),
        // All, no and some are right equally often.
        chance: 1.0 / ASKED.len() as f64,
        aliases: right.into_iter().skip(1).collect(),
        matching: Match::Normalised,
        choices,
        needed: pair.premises.iter().map(|premise| pair.claim(*premise)).collect(),
        context: super::premises::context(pair, beside, random),
        ..Question::blank(COMPLETION)
    };
    let others = beside.map(|other| vec![other.sentence(0, random)]).unwrap_or_default();
    PartQuestion { question, needed, others }
}
