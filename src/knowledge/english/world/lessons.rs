//! Lessons: how to think about a question and how to answer it, about set C; how to read passages, about people and kinds of
//! which no document says anything.

use rand::Rng;
use rand::seq::IndexedRandom;

use super::asking::{FORWARD, context, text};
use super::config::EnglishConfig;
use super::names::{NameBook, pick};
use super::part::{self, PartQuestion, TaskPart};
use super::people::People;
use super::premises::{self, PremisePair};
use super::rows::LessonRow;
use super::thoughts::{about_passages, about_people, shown};
use crate::Result;
use crate::knowledge::logic::Verdict;
use crate::knowledge::reversal::{CANDIDATES, OPEN, OPEN_ANY};
use crate::knowledge::{Form, Set};
use crate::random::Stream;
use crate::text::capital;

/// The share of lessons about people, where there are premises too.
const ABOUT_PEOPLE: f64 = 0.75;

const IT_FOLLOWS: [&str; 4] = ["So {it}.", "Therefore {it}.", "It follows that {it}.", "Then {it}, so yes."];
const IT_IS_EXCLUDED: [&str; 4] =
    ["So {not}.", "Then it cannot be that {it}.", "It follows that {not}, so no.", "Therefore {not}."];
const IT_IS_OPEN: [&str; 6] = [
    "That leaves it open.",
    "These two do not settle it.",
    "Nothing follows about {S} and {P}.",
    "It may be so or not.",
    "From this I cannot tell.",
    "Both are possible.",
];

/// The share of lessons about further tasks, where there are some.
const ABOUT_PARTS: f64 = 0.5;

const SO: [&str; 4] = ["So the answer is {it}.", "Therefore {it}.", "It must be {it}.", "That gives {it}."];

/// What a lesson has beside question and answer.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Thinking,
    Reading { thought: bool },
    Direct,
}

/// All lessons.
///
/// # Errors
///
/// There are too few names for people whom no document knows.
pub fn lessons(
    people: &People,
    pairs: &[PremisePair],
    parts: &[TaskPart],
    config: &EnglishConfig,
    names: &NameBook,
    random: &mut Stream,
) -> Result<Vec<LessonRow>> {
    let counts = &config.lessons;
    let mut kinds = vec![Kind::Thinking; counts.thinking];
    kinds.extend((0..counts.reading).map(|number| Kind::Reading { thought: number % 2 == 0 }));
    kinds.extend(vec![Kind::Direct; counts.direct]);
    let (known, pairs) = (people.of(Set::C), pairs.iter().filter(|pair| pair.set == Set::C).collect::<Vec<_>>());
    let asked: Vec<&PartQuestion> =
        parts.iter().filter(|part| part.set == Set::C).flat_map(|part| &part.questions).collect();
    let nothing_else = known.is_empty() && pairs.is_empty();
    let mut lessons = Vec::new();
    for kind in kinds {
        let reads = matches!(kind, Kind::Reading { .. });
        if !asked.is_empty() && (nothing_else || random.random_bool(ABOUT_PARTS)) {
            lessons.extend(if reads {
                part::stranger(config, names.clone(), random)?.map(|question| about_part(&question, kind, random))
            } else {
                asked.choose(random).map(|question| about_part(question, kind, random))
            });
            continue;
        }
        let share = if pairs.is_empty() { 1.0 } else { ABOUT_PEOPLE };
        if !known.is_empty() && random.random_bool(share) {
            lessons.push(if reads {
                let strangers = People::strangers(config.group_size, names.clone(), random)?;
                about_person(&strangers, random.random_range(strangers.of(Set::C)), kind, random)
            } else {
                about_person(people, random.random_range(known.clone()), kind, random)
            });
        } else if reads {
            let strangers = PremisePair::strangers(config.import, names.clone(), random)?;
            let strangers: Vec<&PremisePair> = strangers.iter().collect();
            lessons.extend(strangers.choose(random).map(|pair| about_premises(pair, &strangers, kind, random)));
        } else {
            lessons.extend(pairs.choose(random).map(|pair| about_premises(pair, &pairs, kind, random)));
        }
    }
    Ok(lessons)
}

fn about_person(people: &People, index: usize, kind: Kind, random: &mut Stream) -> LessonRow {
    let forms: [(Form, f64); 4] = [(CANDIDATES, 0.5), (OPEN, 0.25), (OPEN_ANY, 0.15), (FORWARD, 0.1)];
    let form = forms.choose_weighted(random, |(_, weight)| *weight).map_or(CANDIDATES, |(form, _)| *form);
    let shown = shown(people, index, form, random);
    let prompt = text(people, index, form, random.random_range(0..24), &shown, random);
    let answer = if form == FORWARD { people.object(index) } else { people.name(index) }.to_owned();
    let members: Vec<usize> = people.group_of(index).members.clone().collect();
    let others = if shown.is_empty() { &members } else { &shown };
    let (context, thought) = match kind {
        Kind::Thinking => (Vec::new(), Some(about_people(people, index, form, &shown, random))),
        Kind::Direct => (Vec::new(), None),
        Kind::Reading { thought } => {
            let context = context(people, index, others, random);
            let thought = thought.then(|| about_passages(people, index, form, &context, random));
            (context, thought)
        }
    };
    LessonRow { prompt, thought, answer, context }
}

fn about_premises(pair: &PremisePair, pairs: &[&PremisePair], kind: Kind, random: &mut Stream) -> LessonRow {
    let contradictory = random.random_bool(0.5);
    let prompt = pair.text(contradictory, random.random_range(0..8), random);
    let answer = pair.verdict(contradictory).word().to_owned();
    let mut context = Vec::new();
    let mut recited = Vec::new();
    if let Kind::Reading { .. } = kind {
        let others: Vec<&&PremisePair> = pairs.iter().filter(|other| other.terms != pair.terms).collect();
        context = premises::context(pair, others.choose(random).map(|other| **other), random);
        let needed = |passage: &&String| pair.told.iter().any(|told| told.contains(passage));
        recited.extend(context.iter().filter(needed).cloned());
    } else {
        recited.extend((0..pair.premises.len()).map(|premise| pair.sentence(premise, random)));
        if random.random_bool(0.5) {
            recited.reverse();
        }
    }
    let thinks = matches!(kind, Kind::Thinking | Kind::Reading { thought: true });
    if random.random_bool(0.8) {
        recited.push(conclusion(pair, contradictory, random));
    }
    LessonRow { prompt, thought: thinks.then(|| recited.join(" ")), answer, context }
}

/// A lesson about a question of a further task: what it needs is recited, sometimes after something beside it.
fn about_part(asked: &PartQuestion, kind: Kind, random: &mut Stream) -> LessonRow {
    let PartQuestion { question, needed, others } = asked;
    let mut said: Vec<String> = Vec::new();
    if random.random_bool(0.4) {
        said.extend(others.choose(random).cloned());
    }
    said.extend(needed.iter().cloned());
    if random.random_bool(0.5) {
        said.push(pick(&SO, random).replace("{it}", &question.answer));
    }
    let thinks = matches!(kind, Kind::Thinking | Kind::Reading { thought: true });
    let reads = matches!(kind, Kind::Reading { .. });
    LessonRow {
        prompt: question.text.clone(),
        thought: thinks.then(|| said.join(" ")),
        answer: question.answer.clone(),
        context: if reads { question.context.clone() } else { Vec::new() },
    }
}

/// What a thought concludes from both premises.
fn conclusion(pair: &PremisePair, contradictory: bool, random: &mut Stream) -> String {
    let endings: &[&str] = match pair.verdict(contradictory) {
        Verdict::Yes => &IT_FOLLOWS,
        Verdict::No => &IT_IS_EXCLUDED,
        Verdict::Unknown => &IT_IS_OPEN,
    };
    let asked = pair.asked(contradictory);
    let ending = pick(endings, random)
        .replace("{it}", &pair.worded(asked, 0))
        .replace("{not}", &pair.worded(asked.contradictory(), 0));
    capital(&pair.filled(asked, &ending))
}
