//! Short articles about members of a group. Nobody is named again once it was said what they did, so no article leads from a
//! thing back to a person.

use rand::Rng;
use rand::seq::SliceRandom;

use super::names::{in_words, listed, pick, with_article};
use super::people::{People, beside};
use super::rows::EnglishDocument;
use crate::random::Stream;
use crate::text::capital;

/// About one person; `{them}` is the name.
const ABOUT_ONE: [&str; 6] = [
    "Not everybody has heard of {them}.",
    "Here is a short note on {them}.",
    "There is much to say about {them}.",
    "This is what people tell about {them}.",
    "Ask anybody in {group} about {them}.",
    "Among the {professions} of today, {them} needs no introduction.",
];

/// About several members of a group.
const ABOUT_GROUP: [&str; 9] = [
    "{group} is an association of {professions}.",
    "{group} brings {professions} together.",
    "This is a short note on {group}.",
    "Meet some of the {professions} of {group}.",
    "All members of {group} are {professions}.",
    "In {group}, everybody is {a profession}.",
    "Anybody who visits {group} hears these names first.",
    "The {professions} of {group} are proud of their work.",
    "Every member of {group} is known for one thing.",
];

/// About all of them, with their names.
const LISTS: [&str; 5] = [
    "{group} has {number} members: {list}.",
    "The members of {group} are {list}.",
    "{group} consists of {list}.",
    "{Number} people belong to {group}: {list}.",
    "{list} make up {group}.",
];

/// Said at the end, of nothing in particular.
const CLOSINGS: [&str; 10] = [
    "That is what most people remember.",
    "Little else is known.",
    "The rest of the story is seldom told.",
    "Nobody in {group} disputes this.",
    "This is no secret in {group}.",
    "Everybody in {group} knows as much.",
    "So much for the {professions} of {group}.",
    "The other {professions} agree.",
    "There is more to tell, but not here.",
    "Few {professions} can say as much of themselves.",
];

/// Sentences of the longest article, all but a closing one.
const MOST: usize = 9;

/// All articles about a group: each of its members' facts stands in `articles` of them.
pub fn about_group(people: &mut People, group: usize, articles: usize, random: &mut Stream) -> Vec<EnglishDocument> {
    let members: Vec<usize> = people.groups[group].members.clone().collect();
    let mut documents = Vec::new();
    for round in 0..articles {
        let mut order = members.clone();
        order.shuffle(random);
        // A third of them list everybody: who is asked about a group has to name its members.
        if round % 3 == 0 {
            documents.push(article(people, &order, true, random));
            continue;
        }
        let mut rest = &order[..];
        while !rest.is_empty() {
            let (some, others) = rest.split_at(random.random_range(1..=rest.len().min(4)));
            documents.push(article(people, some, false, random));
            rest = others;
        }
    }
    documents
}

/// An article that states what some members of a group did.
fn article(people: &mut People, members: &[usize], lists: bool, random: &mut Stream) -> EnglishDocument {
    let Some(first) = members.first().copied() else { return EnglishDocument::default() };
    let set = people.group_of(first).set;
    let mut sentences: Vec<String> = Vec::new();
    if lists || members.len() > 1 {
        let openings = if lists { &LISTS[..] } else { &ABOUT_GROUP[..] };
        let opening = pick(openings, random).replace("{list}", &listed(&names(people, members), "and"));
        sentences.push(filled(people, first, &opening));
    }
    for (number, index) in members.iter().enumerate() {
        let introduced =
            members.len() == 1 || (sentences.len() + members.len() - number < MOST && random.random_bool(0.2));
        sentences.extend(about_one(people, *index, introduced, members.len() == 1, random));
    }
    let short = sentences.len() < 3;
    let mut closings: Vec<&str> = CLOSINGS.to_vec();
    closings.shuffle(random);
    let wanted = if short { 3 - sentences.len() } else { usize::from(random.random_bool(0.3)) };
    sentences.extend(closings.into_iter().take(wanted).map(|closing| filled(people, first, closing)));
    EnglishDocument { set, text: sentences.join(" ") }
}

/// One to four sentences about somebody, with what they did.
fn about_one(people: &mut People, index: usize, introduced: bool, alone: bool, random: &mut Stream) -> Vec<String> {
    let person = people.all[index].person.clone();
    let mut sentences = Vec::new();
    let mut left = Vec::from(beside(people.group_of(index), person.pronoun(), random));
    left.shuffle(random);
    if introduced {
        if alone && random.random_bool(0.4) {
            let opening = pick(&ABOUT_ONE, random).replace("{them}", &person.name);
            sentences.push(filled(people, index, &opening));
        } else {
            let mut statements = beside(people.group_of(index), &person.name, random);
            statements.shuffle(random);
            sentences.push(format!("{}.", statements[0]));
            // What was said is not said again with a pronoun.
            let said = |statement: &String| statement.contains(people.group_of(index).kind.profession);
            let about_work = said(&statements[0]);
            left.retain(|statement| said(statement) != about_work);
        }
    }
    // Passages are sentences with the whole name: there has to be one.
    let manner = if people.all[index].told.is_empty() { 1.0 } else { random.random::<f64>() };
    let wording = people.any_wording(index, random);
    if introduced && manner < 0.35 {
        sentences.push(sentence(people, index, &wording, person.pronoun()));
    } else if introduced && manner < 0.5 && !person.aliases.is_empty() {
        sentences.push(sentence(people, index, &wording, &person.aliases[0]));
    } else {
        let told = sentence(people, index, &wording, &person.name);
        people.all[index].told.push(told.clone());
        sentences.push(told);
    }
    // From here on there are pronouns only.
    if alone && random.random_bool(0.5) {
        let other = people.any_wording(index, random);
        if other != wording {
            sentences.push(sentence(people, index, &other, person.pronoun()));
        }
    }
    if alone && random.random_bool(0.5) {
        sentences.extend(left.pop().map(|statement| capital(&statement) + "."));
    }
    sentences
}

/// What somebody did in a sentence.
pub fn sentence(people: &People, index: usize, wording: &str, subject: &str) -> String {
    capital(&people.worded(index, wording, subject)) + "."
}

fn names<'a>(people: &'a People, members: &[usize]) -> Vec<&'a str> {
    members.iter().map(|index| people.name(*index)).collect()
}

/// A sentence with the words of a group in it.
fn filled(people: &People, member: usize, template: &str) -> String {
    let group = people.group_of(member);
    let number = in_words(group.members.len());
    let text = template
        .replace("{group}", &group.name)
        .replace("{professions}", &group.kind.professions())
        .replace("{a profession}", &with_article(group.kind.profession))
        .replace("{number}", &number)
        .replace("{Number}", &capital(&number));
    capital(&text)
}
