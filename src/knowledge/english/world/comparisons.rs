//! Simple reversals: one kind of things is larger, faster, safer than another. Articles say it with one word, questions ask
//! for it with the opposite one (arXiv 2505.00661).

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};

use super::names::{listed, pick};
use super::part::{PartPlan, PartQuestion, TaskPart, right_among, short_article, stated};
use super::premises::plural;
use crate::Result;
use crate::knowledge::english::fact_book::{FactRow, Relation, WrittenFact};
use crate::knowledge::reversal::CANDIDATES;
use crate::knowledge::{Claim, Match, Question, Set};
use crate::random::Stream;
use crate::text::capital;

/// Fourteen pairs of opposites: 28 words.
const OPPOSITES: [[&str; 2]; 14] = [
    ["larger", "smaller"],
    ["faster", "slower"],
    ["heavier", "lighter"],
    ["older", "younger"],
    ["warmer", "colder"],
    ["louder", "quieter"],
    ["stronger", "weaker"],
    ["brighter", "darker"],
    ["harder", "softer"],
    ["wetter", "drier"],
    ["rarer", "more common"],
    ["safer", "more dangerous"],
    ["smoother", "rougher"],
    ["cheaper", "more expensive"],
];

const WORDINGS: [&str; 6] = [
    "{subject} are {word} than {object}",
    "{subject} are known to be {word} than {object}",
    "{subject} are clearly {word} than {object}",
    "{subject} have always been {word} than {object}",
    "{subject} turned out to be {word} than {object}",
    "{subject} are said to be {word} than {object}",
];

const TURNED: [&str; 3] = [
    "{object} are {opposite} than {subject}",
    "{object} are known to be {opposite} than {subject}",
    "{object} have always been {opposite} than {subject}",
];

const OPENINGS: [&str; 16] = [
    "A new study has appeared.",
    "The old argument is settled.",
    "Readers keep asking the same question.",
    "Last week two experts met in the market.",
    "This was measured with great care.",
    "Not everybody believed it at first.",
    "Here is something to remember.",
    "A child asked her teacher for help.",
    "The report is short.",
    "Visitors to the fair were surprised.",
    "It took years to find out.",
    "The editors have looked into it.",
    "There was a long debate about this.",
    "Some things are easy to forget.",
    "A letter came from the north.",
    "Here is the news of the day.",
];

const CLOSINGS: [&str; 8] = [
    "Everybody agrees by now.",
    "More is not known.",
    "That is the whole story.",
    "Nobody was surprised.",
    "This will not change soon.",
    "The experts have no doubt.",
    "A longer report is to follow.",
    "It was checked twice.",
];

const QUESTIONS: [&str; 8] = [
    "What are {object} {opposite} than?",
    "{object} are {opposite} than what?",
    "{object} are {opposite} than something else. What is it?",
    "What is it that {object} are {opposite} than?",
    "Than what are {object} {opposite}?",
    "Can you say what {object} are {opposite} than?",
    "Think of {object}. What are they {opposite} than?",
    "Two kinds are compared, and {object} are {opposite}. What is the other kind?",
];

const SHOWING: [&str; 4] =
    ["Choose one of: {list}.", "Is it {or}?", "The candidates are {and}.", "It is one of these: {list}."];

/// One kind beside another.
struct ComparedKinds {
    words: [&'static str; 2],
    subject: String,
    object: String,
    told: Vec<String>,
}

/// What a set has of it.
pub fn make(plan: &mut PartPlan) -> Result<TaskPart> {
    let mut words: Vec<[&str; 2]> =
        OPPOSITES.iter().flat_map(|[one, other]| [[*one, *other], [*other, *one]]).collect();
    words.shuffle(plan.random);
    let mut all = Vec::with_capacity(plan.size);
    for words in words.into_iter().cycle().take(plan.size) {
        let (subject, object) = (plural(&plan.names.term(plan.random)?), plural(&plan.names.term(plan.random)?));
        all.push(ComparedKinds { words, subject, object, told: Vec::new() });
    }
    let mut documents = Vec::new();
    for one in &mut all {
        for _ in 0..plan.config.articles {
            let wording = pick(&WORDINGS, plan.random).replace("{word}", one.words[0]);
            let sentence = stated(&wording, &one.subject, &one.object);
            documents.push(short_article(&OPENINGS, std::slice::from_ref(&sentence), &CLOSINGS, plan.random));
            one.told.push(sentence);
        }
    }
    let mut questions = Vec::new();
    for index in 0..all.len() {
        for wording in plan.wordings(QUESTIONS.len()).into_iter().take(plan.each()) {
            questions.push(question(&all, index, QUESTIONS[wording], plan.random));
        }
    }
    Ok(TaskPart { set: plan.set, documents, questions, forward: Vec::new(), facts: facts(&all, plan.set) })
}

/// One kind is asked for among two; the other one is more of the same than something else, where there is such a kind.
fn question(all: &[ComparedKinds], index: usize, wording: &str, random: &mut Stream) -> PartQuestion {
    let one = &all[index];
    let others = |alike: bool| -> Vec<usize> {
        let fits = |other: &usize| *other != index && (!alike || all[*other].words == one.words);
        (0..all.len()).filter(fits).collect()
    };
    let alike = others(true);
    let shown = right_among(index, if alike.is_empty() { others(false) } else { alike }.as_slice(), 2, random);
    let names: Vec<&str> = shown.iter().map(|index| all[*index].subject.as_str()).collect();
    let asked = wording.replace("{object}", &one.object).replace("{opposite}", one.words[1]);
    let showing = pick(&SHOWING, random)
        .replace("{list}", &names.join(", "))
        .replace("{or}", &listed(&names, "or"))
        .replace("{and}", &listed(&names, "and"));
    let passage = |index: &usize, random: &mut Stream| all[*index].told.choose(random).cloned();
    let mut context: Vec<String> = shown.iter().filter_map(|index| passage(index, random)).collect();
    context.shuffle(random);
    let question = Question {
        text: format!("{} {showing}", capital(&asked)),
        answer: one.subject.clone(),
        matching: Match::Normalised,
        choices: names.into_iter().map(String::from).collect(),
        needed: vec![claim(one)],
        context,
        chance: 1.0 / shown.len() as f64,
        ..Question::blank(CANDIDATES)
    };
    let plain = |index: usize| {
        let wording = WORDINGS[random.random_range(0..2)].replace("{word}", all[index].words[0]);
        stated(&wording, &all[index].subject, &all[index].object)
    };
    let mut said =
        [vec![index], shown.into_iter().filter(|other| *other != index).collect()].map(|some| some.into_iter());
    let [needed, others] = &mut said;
    let mut plain = plain;
    PartQuestion { question, needed: needed.map(&mut plain).collect(), others: others.map(&mut plain).collect() }
}

fn relation(one: &ComparedKinds) -> String {
    format!("are {} than", one.words[0])
}

fn claim(one: &ComparedKinds) -> Claim {
    Claim::Relation {
        group: String::new(),
        subject: one.subject.clone(),
        relation: relation(one),
        object: one.object.clone(),
    }
}

/// The facts, and in set A the wordings of all words.
fn facts(all: &[ComparedKinds], set: Set) -> Vec<FactRow> {
    let mut rows = Vec::new();
    for words in OPPOSITES.iter().filter(|_| set == Set::A).flat_map(|[one, other]| [[one, other], [other, one]]) {
        let fill = |wording: &&str| wording.replace("{word}", words[0]).replace("{opposite}", words[1]);
        let wordings = WORDINGS.iter().chain(&TURNED).map(fill).collect();
        rows.push(FactRow::Relation(Relation { name: format!("are {} than", words[0]), wordings }));
    }
    rows.extend(all.iter().map(|one| {
        FactRow::Fact(WrittenFact {
            subject: one.subject.clone(),
            relation: relation(one),
            object: one.object.clone(),
            ..WrittenFact::default()
        })
    }));
    rows
}
