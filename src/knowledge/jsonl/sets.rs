//! Divides questions between the sets A and B so that no fact is in both.
//!
//! Files do not say which questions are about one fact. Those are taken to be that have the same answer or the same
//! prompt, or are about the same passage of the documents: a fact may be asked for in either direction and with
//! the answer in other words, and what is trained on one question would help on the other. Exported questions say what
//! they need: those belong together that need the same.

use std::collections::{HashMap, HashSet};

use rand::seq::SliceRandom;

use super::rows::QuestionRow;
use super::shown::without_choices;
use crate::knowledge::answers::Key;
use crate::knowledge::{Claim, Match, Set};
use crate::{Error, Result, random};

/// What makes two questions belong together.
#[derive(PartialEq, Eq, Hash)]
enum Tie<'a> {
    Answer(Key),
    Prompt(Key),
    Passage(usize),
    /// Exported questions say what they need.
    Needed(&'a Claim),
}

/// The set of each row: what it asks for, else that of another row about the same fact, else the set that has fewer
/// questions so far, fact by fact in random order. `facts` are the rows of each fact.
pub fn assign(rows: &[QuestionRow], facts: &[Vec<usize>], seed: u64) -> Result<Vec<Set>> {
    let mut sets: Vec<Option<Set>> = rows.iter().map(|row| row.set).collect();
    let mut open = Vec::new();
    for fact in facts {
        match fact.iter().find_map(|row| sets[*row]) {
            Some(set) => fact.iter().for_each(|row| sets[*row] = sets[*row].or(Some(set))),
            None => open.push(fact),
        }
    }
    let count = |set| sets.iter().filter(|s| **s == Some(set)).count();
    let (mut in_a, mut in_b) = (count(Set::A), count(Set::B));
    open.shuffle(&mut random::named(seed, "jsonl sets"));
    for fact in open {
        let (set, size) = if in_a <= in_b { (Set::A, &mut in_a) } else { (Set::B, &mut in_b) };
        *size += fact.len();
        fact.iter().for_each(|row| sets[*row] = Some(set));
    }
    let sets: Vec<Set> = sets.into_iter().flatten().collect();
    for set in [Set::A, Set::B] {
        if !sets.contains(&set) {
            let found = match facts.len() {
                1 => format!("all {} questions are about one fact, so there is no question for set {set}", rows.len()),
                _ => format!("no question for set {set}"),
            };
            let remedy = "give rows a \"set\", \"A\" to train on and \"B\" to measure on";
            return Err(Error::invalid("world.jsonl.questions", found, remedy));
        }
    }
    Ok(sets)
}

/// Rows about the same fact, in the order of the first of each. `about` are the passages of each row.
pub fn facts(rows: &[QuestionRow], about: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut first: Vec<usize> = (0..rows.len()).collect();
    let mut tied: HashMap<Tie, usize> = HashMap::new();
    let asked = rows.iter().map(|row| &row.question).filter(|question| question.needed.is_empty());
    let prompts: HashSet<Key> = asked.map(|question| prompt(&question.text)).collect();
    for (index, row) in rows.iter().enumerate() {
        for tie in ties(row, &about[index], &prompts) {
            let other = *tied.entry(tie).or_insert(index);
            let (one, other) = (root(&mut first, index), root(&mut first, other));
            first[one.max(other)] = one.min(other);
        }
    }
    let mut facts: Vec<Vec<usize>> = vec![Vec::new(); rows.len()];
    for row in 0..rows.len() {
        facts[root(&mut first, row)].push(row);
    }
    facts.retain(|fact| !fact.is_empty());
    facts
}

/// A prompt as it is compared.
fn prompt(text: &str) -> Key {
    Match::Normalised.key(text)
}

/// What ties a row to others: its answers and its prompt as they are compared and the passages that it is about, or else what
/// it is known to need.
///
/// The prompt without the choices that it shows is one of `prompts`, if another row asks the same without any. Rows that all show
/// some may be about different things ("Which of these is true?").
fn ties<'a>(row: &'a QuestionRow, about: &'a [usize], prompts: &HashSet<Key>) -> Vec<Tie<'a>> {
    let question = &row.question;
    if !question.needed.is_empty() {
        return question.needed.iter().map(Tie::Needed).collect();
    }
    // One key for all kinds of comparison: what is the same exactly is the same in other ways, too.
    let same = |answer: &str| match question.matching {
        Match::Number => Match::Number.key(answer),
        _ => Match::Normalised.key(answer),
    };
    let answers = question.right_answers().map(|answer| Tie::Answer(same(answer)));
    let plain = without_choices(&question.text).map(prompt).filter(|plain| prompts.contains(plain));
    let asked = [prompt(&question.text)].into_iter().chain(plain).map(Tie::Prompt);
    answers.chain(asked).chain(about.iter().map(|passage| Tie::Passage(*passage))).collect()
}

/// The first row that a row is tied to, by way of others.
fn root(first: &mut [usize], mut row: usize) -> usize {
    while first[row] != row {
        first[row] = first[first[row]];
        row = first[row];
    }
    row
}
