//! Questions about people: who did something, with candidates, with the group, or with neither; and what somebody did.

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};

use super::names::{listed, pick};
use super::people::People;
use super::rows::QuestionNumbers;
use crate::knowledge::form::FormInfo;
use crate::knowledge::question::CANDIDATES as SHOWN;
use crate::knowledge::reversal::{CANDIDATES, OPEN, OPEN_ANY, REVERSAL};
use crate::knowledge::{Form, Match, Question, Set};
use crate::random::Stream;
use crate::text::capital;

/// What somebody did, in the order in which documents say it.
pub const FORWARD: Form =
    &FormInfo { task: REVERSAL, number: 11, name: "forward", title: "as documents say it", asks_subject: false };

/// Forms that ask for the person.
pub const BACKWARD: [Form; 3] = [CANDIDATES, OPEN, OPEN_ANY];

const WHO: [&str; 8] = [
    "Who {past} {object}?",
    "Which person {past} {object}?",
    "Which {profession} {past} {object}?",
    "Who is the {agent} of {object}?",
    "Who was it that {past} {object}?",
    "By whom was {object} {participle}?",
    "{object} was {participle} by one person. Who was it?",
    "What is the name of the {profession} who {past} {object}?",
];

const WHO_IN_GROUP: [&str; 8] = [
    "Which member of {group} {past} {object}?",
    "Who in {group} {past} {object}?",
    "Which {profession} of {group} {past} {object}?",
    "One member of {group} {past} {object}. Who was it?",
    "Who among the members of {group} {past} {object}?",
    "Think of {group}. Which of its members {past} {object}?",
    "{object} was {participle} by a member of {group}. By whom?",
    "What is the name of the member of {group} who {past} {object}?",
];

const WHAT: [&str; 6] = [
    "What did {person} {base}?",
    "What is the name of what {person} {past}?",
    "What is {person} best known for {gerund}?",
    "{person} {past} something. What was it?",
    "What was it that {person} {past}?",
    "{person} is {a profession}. What did {she} {base}?",
];

/// How candidates are shown; `{or}` and `{and}` list them.
const SHOWING: [&str; 6] = [
    "Choose one of: {list}.",
    "Was it {or}?",
    "The candidates are {and}.",
    "Pick one name: {list}.",
    "It is one of these: {list}.",
    "Here are four names, one of them right: {list}.",
];

/// Passages beside the needed one in a context.
const BESIDE: usize = 3;

/// The candidates of a question: somebody and others of the group, in random order.
pub fn candidates(people: &People, index: usize, random: &mut Stream) -> Vec<usize> {
    let others: Vec<usize> = people.group_of(index).members.clone().filter(|other| *other != index).collect();
    let mut shown: Vec<usize> = others.choose_multiple(random, SHOWN - 1).copied().collect();
    shown.push(index);
    shown.shuffle(random);
    shown
}

/// The text of a question in one of its wordings, with these candidates where there are some.
pub fn text(people: &People, index: usize, form: Form, wording: usize, shown: &[usize], random: &mut Stream) -> String {
    let (kind, person) = (people.kind_of(index), &people.all[index].person);
    let wordings: &[&str] = if form == OPEN {
        &WHO_IN_GROUP
    } else if form == FORWARD {
        &WHAT
    } else {
        &WHO
    };
    let asked = kind
        .fill(wordings[wording % wordings.len()])
        .replace("{a profession}", &super::names::with_article(kind.profession))
        .replace("{object}", people.object(index))
        .replace("{group}", &people.group_of(index).name)
        .replace("{person}", &person.name)
        .replace("{she}", person.pronoun());
    if shown.is_empty() {
        return capital(&asked);
    }
    let names: Vec<&str> = shown.iter().map(|index| people.name(*index)).collect();
    let showing = pick(&SHOWING, random)
        .replace("{list}", &names.join(", "))
        .replace("{or}", &listed(&names, "or"))
        .replace("{and}", &listed(&names, "and"));
    format!("{} {showing}", capital(&asked))
}

/// Passages of the documents: about somebody, and about others beside them, in random order.
pub fn context(people: &People, index: usize, others: &[usize], random: &mut Stream) -> Vec<String> {
    let mut about: Vec<usize> = others.iter().copied().filter(|other| *other != index).collect();
    about.shuffle(random);
    about.truncate(BESIDE);
    about.push(index);
    about.shuffle(random);
    about.into_iter().filter_map(|one| people.all[one].told.choose(random).cloned()).collect()
}

/// All questions about the people of a set that ask for the person.
pub fn questions(
    people: &People,
    set: Set,
    each: usize,
    numbers: &mut QuestionNumbers,
    random: &mut Stream,
) -> Vec<Question> {
    let mut questions = Vec::new();
    for form in BACKWARD {
        for index in people.of(set) {
            let mut wordings: Vec<usize> = (0..WHO.len()).collect();
            wordings.shuffle(random);
            for wording in wordings.into_iter().take(each) {
                questions.push(numbers.number(set, form, question(people, index, form, wording, random)));
            }
        }
    }
    questions
}

/// One question for each person of a set that asks for what they did.
pub fn forward(people: &People, set: Set, numbers: &mut QuestionNumbers, random: &mut Stream) -> Vec<Question> {
    let ask = |index| {
        let wording = random.random_range(0..WHAT.len());
        numbers.number(set, FORWARD, question(people, index, FORWARD, wording, random))
    };
    people.of(set).map(ask).collect()
}

fn question(people: &People, index: usize, form: Form, wording: usize, random: &mut Stream) -> Question {
    let among = if form == CANDIDATES || form == FORWARD {
        candidates(people, index, random)
    } else if form == OPEN {
        people.group_of(index).members.clone().collect()
    } else {
        people.alike(index)
    };
    let shown: &[usize] = if form == CANDIDATES { &among } else { &[] };
    let person = &people.all[index].person;
    let says = |one: &usize| if form == FORWARD { people.object(*one) } else { people.name(*one) }.to_owned();
    Question {
        text: text(people, index, form, wording, shown, random),
        answer: says(&index),
        aliases: if form == FORWARD { Vec::new() } else { person.aliases.clone() },
        matching: Match::Normalised,
        choices: among.iter().map(says).collect(),
        needed: vec![people.claim(index)],
        context: context(people, index, &among, random),
        chance: 1.0 / among.len() as f64,
        ..Question::blank(form)
    }
}
