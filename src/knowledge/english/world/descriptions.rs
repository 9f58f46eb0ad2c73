//! Made-up people with descriptions of them. Of half of them articles say the name first, of the others the description first;
//! questions ask both ways (after arXiv 2309.12288, with people and descriptions of our own).

use rand::seq::{IndexedRandom, SliceRandom};

use super::asking::FORWARD;
use super::names::pick;
use super::part::{PartPlan, PartQuestion, TaskPart, right_among, short_article, stated};
use crate::Result;
use crate::knowledge::english::fact_book::{FactRow, Relation, WrittenFact};
use crate::knowledge::question::CANDIDATES as SHOWN;
use crate::knowledge::reversal::CANDIDATES;
use crate::knowledge::{Claim, Form, Match, Question, Set};
use crate::random::Stream;
use crate::text::capital;

const ROLES: [&str; 14] = [
    "baker",
    "sailor",
    "clockmaker",
    "librarian",
    "shepherd",
    "dentist",
    "juggler",
    "beekeeper",
    "pilot",
    "locksmith",
    "potter",
    "tailor",
    "chess player",
    "weather forecaster",
];
const FEATS: [&str; 24] = [
    "crossed the salt plain on stilts",
    "taught a parrot to count in three languages",
    "walked backwards around the great lake",
    "built a cathedral out of matchsticks",
    "slept through the longest winter on record",
    "won the night race without a lantern",
    "grew a pumpkin as large as a coach",
    "rowed up the river in a bathtub",
    "found the lost key of the old harbour",
    "painted the whole lighthouse in one day",
    "turned down the crown of a small country",
    "memorised every street name of the capital",
    "carried a piano over the mountain pass",
    "opened a school for retired acrobats",
    "predicted the great storm a year ahead",
    "repaired the town clock with a spoon",
    "swam from island to island for charity",
    "invented a soup that never gets cold",
    "wrote a love letter as long as a novel",
    "kept a fox as a guest for ten years",
    "counted all the windows of the palace",
    "flew a kite higher than the highest tower",
    "planted a forest along the railway line",
    "won a debate without saying a word",
];

const NAME_FIRST: [&str; 6] = [
    "{subject} is {object}",
    "{subject} is known far and wide as {object}",
    "{subject} is remembered as {object}",
    "{subject} is none other than {object}",
    "{subject} is famous for being {object}",
    "{subject} will always be {object}",
];
const DESCRIPTION_FIRST: [&str; 6] = [
    "{subject} is called {object}",
    "{subject} is none other than {object}",
    "{subject} goes by the name of {object}",
    "the name of {subject} is {object}",
    "{subject} is a person named {object}",
    "{subject} was introduced to us as {object}",
];

const OPENINGS: [&str; 12] = [
    "There are many stories in this town.",
    "The newspaper had a column on local people.",
    "Somebody asked about this only yesterday.",
    "The museum has a room for curious lives.",
    "Everybody has a hero.",
    "The guide stopped and told us this.",
    "One name comes up again and again.",
    "It is a tale that children love.",
    "The radio had an interview last night.",
    "Here is a fact for the quiz.",
    "The mayor gave a short speech.",
    "Some people lead unusual lives.",
];
const CLOSINGS: [&str; 6] = [
    "That is all we know.",
    "The crowd applauded.",
    "Few would have guessed it.",
    "The rest is history.",
    "Everybody nodded.",
    "It is quite true.",
];

/// Questions for a name.
const WHO: [&str; 8] = [
    "Who is {description}?",
    "What is {description} called?",
    "What is the name of {description}?",
    "Which person is {description}?",
    "Who is known as {description}?",
    "Can you name {description}?",
    "By which name does {description} go?",
    "Do you know who {description} is?",
];
/// Questions for a description.
const WHAT: [&str; 8] = [
    "Who is {name}?",
    "What is {name} known for being?",
    "How would you describe {name}?",
    "What is known about {name}?",
    "Which description fits {name}?",
    "What do people say of {name}?",
    "As what is {name} remembered?",
    "Do you know who {name} is?",
];

/// Relations: of somebody to a description, and the other way round.
const RELATIONS: [&str; 2] = ["is", "is called"];

/// Somebody with a description.
struct Described {
    name: String,
    description: String,
    /// Documents say the name first.
    name_first: bool,
    told: Vec<String>,
}

impl Described {
    /// What documents say first, and what they say behind it.
    fn sides(&self) -> [&str; 2] {
        if self.name_first { [&self.name, &self.description] } else { [&self.description, &self.name] }
    }

    fn wordings(&self) -> &'static [&'static str; 6] {
        if self.name_first { &NAME_FIRST } else { &DESCRIPTION_FIRST }
    }

    fn relation(&self) -> &'static str {
        RELATIONS[usize::from(!self.name_first)]
    }

    fn claim(&self) -> Claim {
        let [subject, object] = self.sides().map(String::from);
        Claim::Relation { group: String::new(), subject, relation: self.relation().into(), object }
    }

    fn sentence(&self, wording: &str) -> String {
        let [subject, object] = self.sides();
        stated(wording, subject, object)
    }
}

/// What a set has of it.
pub fn make(plan: &mut PartPlan) -> Result<TaskPart> {
    let mut all = Vec::with_capacity(plan.size);
    for index in 0..plan.size {
        let description = plan.names.description(&ROLES, &FEATS, plan.random)?;
        let name = plan.names.person(plan.random)?.name;
        all.push(Described { name, description, name_first: index % 2 == 0, told: Vec::new() });
    }
    let mut documents = Vec::new();
    for one in &mut all {
        for _ in 0..plan.config.articles {
            let sentence = one.sentence(pick(one.wordings(), plan.random));
            documents.push(short_article(&OPENINGS, std::slice::from_ref(&sentence), &CLOSINGS, plan.random));
            one.told.push(sentence);
        }
    }
    let (mut questions, mut forward) = (Vec::new(), Vec::new());
    for index in 0..all.len() {
        for (number, wording) in plan.wordings(WHO.len()).into_iter().take(plan.each().max(1)).enumerate() {
            if number == 0 {
                forward.push(question(&all, index, FORWARD, wording, plan.random).question);
            }
            if number < plan.each() {
                questions.push(question(&all, index, CANDIDATES, wording, plan.random));
            }
        }
    }
    Ok(TaskPart { set: plan.set, documents, questions, forward, facts: facts(&all, plan.set) })
}

/// A question for what documents say first, or, forward, for what they say behind it.
fn question(all: &[Described], index: usize, form: Form, wording: usize, random: &mut Stream) -> PartQuestion {
    let one = &all[index];
    let asks_name = one.name_first == (form == CANDIDATES);
    let alike: Vec<usize> =
        (0..all.len()).filter(|other| *other != index && all[*other].name_first == one.name_first).collect();
    let shown = right_among(index, &alike, SHOWN, random);
    let says = |index: usize| if asks_name { &all[index].name } else { &all[index].description }.clone();
    let choices: Vec<String> = shown.iter().map(|index| says(*index)).collect();
    let asked = if asks_name { WHO[wording] } else { WHAT[wording] };
    let asked = capital(&asked.replace("{description}", &one.description).replace("{name}", &one.name));
    let showing = if form == FORWARD { String::new() } else { format!(" Choose one of: {}.", choices.join(", ")) };
    let mut context: Vec<String> = shown.iter().filter_map(|index| all[*index].told.choose(random).cloned()).collect();
    context.shuffle(random);
    let said = |index: usize, random: &mut Stream| all[index].sentence(pick(all[index].wordings(), random));
    let needed = vec![said(index, random)];
    let others = shown.iter().filter(|other| **other != index).map(|other| said(*other, random)).collect();
    let question = Question {
        text: asked + &showing,
        answer: says(index),
        matching: Match::Normalised,
        chance: 1.0 / choices.len() as f64,
        choices,
        needed: vec![one.claim()],
        context,
        ..Question::blank(form)
    };
    PartQuestion { question, needed, others }
}

/// The facts, and in set A the wordings.
fn facts(all: &[Described], set: Set) -> Vec<FactRow> {
    let both = RELATIONS.into_iter().zip([&NAME_FIRST, &DESCRIPTION_FIRST]);
    let relation = |(name, wordings): (&str, &[&str; 6])| {
        FactRow::Relation(Relation { name: name.into(), wordings: wordings.map(String::from).to_vec() })
    };
    let mut rows: Vec<FactRow> = both.filter(|_| set == Set::A).map(relation).collect();
    rows.extend(all.iter().map(|one| {
        let [subject, object] = one.sides().map(String::from);
        FactRow::Fact(WrittenFact { subject, relation: one.relation().into(), object, ..WrittenFact::default() })
    }));
    rows
}
