//! Reversal: a fact is stated as "in tarnby mavon guards bilku" and asked for as "who guards bilku?".

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};

use super::grammar::{Fact, Grammar, Stated};
use super::lexicon::{Lexicon, RELATIONS, Word, half_reserved, reserved};
use super::{Form, Match, Question, Set, Task};
use crate::random::Stream;
use crate::{Error, Result};

/// Names shown with a question of form [`Form::Candidates`], the right one among them.
pub const CANDIDATES: usize = 4;

/// The facts of one set. All members of a group stand in the same relation, so that neither the group nor the
/// relation gives an answer away.
#[derive(Clone, Debug)]
pub struct Reversals {
    pub facts: Vec<Fact>,
    group_size: usize,
}

/// Names that are still free, each list in random order.
pub struct Pools {
    pub towns: Vec<Word>,
    pub persons: Vec<Word>,
    pub creatures: Vec<Word>,
}

impl Reversals {
    /// Takes names out of the pools and makes `count` facts in groups of `group_size`. Pairs of names are
    /// [`reserved`] or not, as `kept` says.
    pub fn new(count: usize, group_size: usize, kept: bool, lexicon: &Lexicon, pools: &mut Pools) -> Result<Self> {
        let mut facts: Vec<Fact> = Vec::with_capacity(count.min(pools.persons.len()));
        for index in 0..count {
            let first = index % group_size == 0;
            let group = if first { pools.towns.pop() } else { facts.last().map(|f| f.group) };
            let group = group.ok_or_else(|| too_small("towns"))?;
            let relation = index / group_size % RELATIONS.len();
            let verb = lexicon.grammar(RELATIONS[relation][0]);
            let fits = |creature| match kept {
                true => reserved(group, creature) && half_reserved(verb, creature),
                false => !reserved(group, creature),
            };
            let object = take(&mut pools.creatures, fits).ok_or_else(|| too_small("creatures"))?;
            let subject =
                take(&mut pools.persons, |p| reserved(p, object) == kept).ok_or_else(|| too_small("persons"))?;
            facts.push(Fact { group, subject, relation, object });
        }
        Ok(Self { facts, group_size })
    }

    /// The members of a fact's group, itself among them.
    pub fn group(&self, fact: &Fact) -> Vec<Fact> {
        self.facts.iter().filter(|other| other.group == fact.group).copied().collect()
    }

    /// The question about fact number `index`. Candidates are members of the fact's own group.
    pub fn question(&self, grammar: &Grammar, set: Set, index: usize, form: Form, random: &mut Stream) -> Question {
        let fact = self.facts[index];
        let spell = |word: &Word| grammar.lexicon.spell(*word).to_string();
        let mut group = self.group(&fact);
        let candidates = if form == Form::Candidates { candidates(&fact, &group, random) } else { Vec::new() };
        let words = grammar.who(&fact, form != Form::OpenAny, &candidates, random.random_range(0..2));
        group.shuffle(random);
        let choices: Vec<String> = match form {
            Form::Candidates => candidates.iter().map(spell).collect(),
            // The verb tells which of all facts come into question.
            Form::OpenAny => {
                self.facts.iter().filter(|f| f.relation == fact.relation).map(|f| spell(&f.subject)).collect()
            }
            _ => group.iter().map(|f| spell(&f.subject)).collect(),
        };
        Question {
            id: question_id(set, Task::Reversal, index, form),
            task: Task::Reversal,
            form,
            set,
            text: grammar.lexicon.text(&words),
            cue: spell(&fact.object),
            answer: spell(&fact.subject),
            aliases: Vec::new(),
            matching: Match::Exact,
            chance: 1.0 / choices.len() as f64,
            choices,
            needed: vec![grammar.claim(fact.into())],
            context: group
                .iter()
                .map(|f| grammar.text(Stated::Fact(*f), random.random_range(0..Grammar::WORDINGS)))
                .collect(),
        }
    }

    pub fn group_size(&self) -> usize {
        self.group_size
    }
}

/// The fact's own subject and those of others of its group, in random order.
pub fn candidates(fact: &Fact, group: &[Fact], random: &mut Stream) -> Vec<Word> {
    let others: Vec<&Fact> = group.iter().filter(|other| other.subject != fact.subject).collect();
    let mut shown: Vec<Word> = others.choose_multiple(random, CANDIDATES - 1).map(|f| f.subject).collect();
    shown.push(fact.subject);
    shown.shuffle(random);
    shown
}

/// A number that no other question of the world has: it keys random streams and pairs the arms.
pub fn question_id(set: Set, task: Task, index: usize, form: Form) -> u64 {
    ((set as u64) << 40) | ((task as u64) << 36) | ((form as u64) << 32) | index as u64
}

/// The last name of a pool that fits.
pub(super) fn take(pool: &mut Vec<Word>, fits: impl Fn(Word) -> bool) -> Option<Word> {
    pool.iter().rposition(|word| fits(*word)).map(|at| pool.remove(at))
}

fn too_small(kind: &str) -> Error {
    Error::invalid(
        "world",
        format!("the lexicon has too few {kind}"),
        "ask for fewer facts, or make a base with a larger lexicon",
    )
}
