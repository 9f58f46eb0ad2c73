//! What a thought about people says: one candidate after another, what each of them did, and whether that is what was asked
//! for. They differ in length and in shape, so that no one shape is learned.

use rand::Rng;
use rand::seq::SliceRandom;

use super::articles::sentence;
use super::asking::{FORWARD, candidates};
use super::names::{listed, pick};
use super::people::People;
use crate::knowledge::Form;
use crate::knowledge::reversal::{CANDIDATES, OPEN};
use crate::random::Stream;
use crate::text::capital;

const NOT_IT: [&str; 8] = [
    "That is not it.",
    "Not this one.",
    "No.",
    "That is something else.",
    "That does not fit.",
    "So it is not {them}.",
    "This is not what I am looking for.",
    "Next.",
];
const FOUND: [&str; 6] = [
    "That is it.",
    "This matches.",
    "Yes, that is the one.",
    "That fits.",
    "There it is.",
    "That is what was asked for.",
];
const SO: [&str; 6] = [
    "So the answer is {them}.",
    "So it was {them}.",
    "It must be {them}.",
    "The name is {them}.",
    "I am looking for {them}.",
    "Therefore the answer is {them}.",
];
const LAST: [&str; 4] =
    ["So it must be {them}.", "Only {them} is left.", "None of these fit, so it is {them}.", "That leaves {them}."];
const UNSURE: [&str; 6] = [
    "Neither of them fits. Let me go on.",
    "Not found yet.",
    "I am not sure so far.",
    "It has to be somebody else.",
    "Hmm, it is none of these.",
    "I have to think of the others.",
];
const MEMBERS: [&str; 4] = [
    "The members of {group} are {list}.",
    "{group} has {list}.",
    "{group} consists of {list}.",
    "Who is in {group}? {list}.",
];
const OF_PROFESSION: [&str; 4] = [
    "Some {professions} I know of are {list}.",
    "I think of {professions}: {list}.",
    "{group} is an association of {professions}.",
    "There are {professions} in {group}.",
];

/// Somebody's fact in a sentence, often in its plainest words.
fn recital(people: &People, index: usize, random: &mut Stream) -> String {
    let plain = people.kind_of(index).wordings().swap_remove(0);
    let wording = if random.random_bool(0.6) { plain } else { people.any_wording(index, random) };
    sentence(people, index, &wording, people.name(index))
}

fn remark(people: &People, index: usize, remarks: &[&str], random: &mut Stream) -> String {
    pick(remarks, random).replace("{them}", people.name(index))
}

/// Who comes into question, in the order of a thought.
fn considered(people: &People, index: usize, form: Form, shown: &[usize], random: &mut Stream) -> Vec<usize> {
    let mut order = if form == CANDIDATES { shown.to_vec() } else { people.group_of(index).members.clone().collect() };
    if form != CANDIDATES || random.random_bool(0.4) {
        order.shuffle(random);
    }
    order
}

/// A thought about a question; `shown` are the candidates that it shows.
pub fn about_people(people: &People, index: usize, form: Form, shown: &[usize], random: &mut Stream) -> String {
    if form == FORWARD {
        return recital(people, index, random);
    }
    let order = considered(people, index, form, shown, random);
    let mut said: Vec<String> = Vec::new();
    let found = |said: &mut Vec<String>, random: &mut Stream| {
        said.push(recital(people, index, random));
        if random.random_bool(0.4) {
            said.push(remark(people, index, &FOUND, random));
        }
    };
    if form != CANDIDATES && random.random_bool(0.5) {
        said.push(list(people, index, form, &order, random));
    }
    let before = || order.iter().copied().take_while(|one| *one != index);
    let style = random.random::<f64>();
    if style < 0.2 {
        found(&mut said, random);
    } else if style < 0.3 && form == CANDIDATES {
        // All of them first.
        said.extend(order.iter().map(|one| recital(people, *one, random)));
        said.push(remark(people, index, &SO, random));
    } else if style < 0.37 && form == CANDIDATES {
        let others: Vec<usize> = order.iter().copied().filter(|one| *one != index).collect();
        said.extend(others.iter().map(|one| recital(people, *one, random)));
        said.push(remark(people, index, &LAST, random));
    } else if style < 0.5 {
        // Two at a time, with a doubt in between.
        let others: Vec<usize> = order.iter().copied().filter(|one| *one != index).take(2).collect();
        said.extend(others.iter().map(|one| recital(people, *one, random)));
        said.push(pick(&UNSURE, random).into());
        found(&mut said, random);
    } else {
        let talkative = random.random_bool(0.7);
        for one in before() {
            said.push(recital(people, one, random));
            if talkative && random.random_bool(0.8) {
                said.push(remark(people, one, &NOT_IT, random));
            }
        }
        found(&mut said, random);
    }
    if said.len() > 1 && random.random_bool(0.3) && !said.last().is_some_and(|last| last.contains(people.name(index))) {
        said.push(remark(people, index, &SO, random));
    }
    said.join(" ")
}

/// A thought about passages that were read: what they say of it, after some of the others or right away.
pub fn about_passages(people: &People, index: usize, form: Form, context: &[String], random: &mut Stream) -> String {
    let says = |passage: &&String| passage.contains(people.object(index));
    let right = context.iter().find(says).cloned().unwrap_or_default();
    let mut said: Vec<String> = Vec::new();
    if random.random_bool(0.3) {
        said.extend(context.iter().take_while(|passage| **passage != right).cloned());
    }
    said.push(right);
    if form == FORWARD {
        return said.join(" ");
    }
    if random.random_bool(0.4) {
        said.push(remark(people, index, &FOUND, random));
    }
    if random.random_bool(0.4) {
        said.push(remark(people, index, &SO, random));
    }
    said.join(" ")
}

/// The members of a group, or who is of a profession.
fn list(people: &People, index: usize, form: Form, order: &[usize], random: &mut Stream) -> String {
    let group = people.group_of(index);
    let names: Vec<&str> = order.iter().map(|one| people.name(*one)).collect();
    let template = if form == OPEN { pick(&MEMBERS, random) } else { pick(&OF_PROFESSION, random) };
    let text = template
        .replace("{list}", &listed(&names, "and"))
        .replace("{group}", &group.name)
        .replace("{professions}", &group.kind.professions());
    capital(&text)
}

/// Those that a question of a lesson shows.
pub fn shown(people: &People, index: usize, form: Form, random: &mut Stream) -> Vec<usize> {
    if form == CANDIDATES { candidates(people, index, random) } else { Vec::new() }
}
