//! A question of a lesson with everything that a chain of thought about it may say.

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};

use super::{Curriculum, Habits};
use crate::knowledge::grammar::Stated;
use crate::knowledge::lexicon::{RELATIONS, Word, half_reserved};
use crate::knowledge::syllogism::{Chain, spell};
use crate::knowledge::{Form, Set, Task, grammar::Fact, reversal};
use crate::random::Stream;

/// A question, its answer, and statements by how much they have to do with it.
pub struct Asked {
    pub form: Form,
    pub words: Vec<Word>,
    /// What the answer says, in pairs: words of the question that it restates, and what it says to them.
    pub answers: Vec<(Vec<Word>, Word)>,
    /// What the answer needs, in an order in which it can be recalled.
    pub needed: Vec<Stated>,
    /// What is about the candidates or the group.
    pub near: Vec<Stated>,
}

/// How statements of a trace were come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// The question asks for it: a candidate, a member of the group, a premise about an end term.
    Near,
    /// It came to mind.
    Other,
}

impl Asked {
    /// About a fact. `group` are the facts of its group that a thought may recite.
    pub fn fact(curriculum: &Curriculum, fact: Fact, group: &[Fact], form: Form, random: &mut Stream) -> Self {
        // "who VERB OBJECT ?" names nothing else: where a world may ask just that, the group is named too.
        let verb = curriculum.world.grammar.lexicon.grammar(RELATIONS[fact.relation % RELATIONS.len()][0]);
        let form = if form == Form::OpenAny && half_reserved(verb, fact.object) { Form::Open } else { form };
        let shown = if form == Form::Candidates { reversal::candidates(&fact, group, random) } else { Vec::new() };
        let near = group.iter().filter(|f| form == Form::Open || shown.contains(&f.subject));
        Self {
            form,
            words: curriculum.world.grammar.who(&fact, form != Form::OpenAny, &shown, random.random_range(0..2)),
            answers: vec![(vec![fact.object], fact.subject)],
            needed: vec![fact.into()],
            near: near.map(|f| Stated::Fact(*f)).collect(),
        }
    }

    /// About a chain: its conclusion or, as often, the contradictory.
    pub fn chain(curriculum: &Curriculum, chain: &Chain, random: &mut Stream) -> Self {
        let grammar = &curriculum.world.grammar;
        let contradictory = random.random_bool(0.5);
        let asked = chain.state(chain.asked(contradictory));
        Self {
            form: Form::Entailment,
            words: grammar.does_it_follow(asked),
            answers: vec![(grammar.conclusion(asked), grammar.lexicon.grammar(spell(chain.verdict(contradictory))))],
            needed: chain.recall_order(random).into_iter().map(|i| chain.premise(i).into()).collect(),
            near: Vec::new(),
        }
    }

    /// Whether a trace says all that the answer needs.
    pub fn is_answered_by(&self, trace: &[(Stated, Said)]) -> bool {
        self.needed.iter().all(|needed| trace.iter().any(|(stated, _)| stated == needed))
    }

    /// A chain of thought about the question. `other` says something that has nothing to do with it.
    pub fn trace(
        &self,
        habits: &Habits,
        random: &mut Stream,
        mut other: impl FnMut(&mut Stream) -> Stated,
    ) -> Vec<(Stated, Said)> {
        let length = random.random_range(1..=habits.longest);
        let near = match self.form {
            Form::Candidates => habits.candidates,
            Form::Open => habits.group,
            Form::Entailment => habits.premise,
            Form::OpenAny | Form::Completion => 0.0,
            _ => habits.group,
        };
        let mut trace: Vec<(Stated, Said)> = Vec::with_capacity(length + 2);
        while trace.len() < length {
            if !random.random_bool(near) {
                trace.push((other(random), Said::Other));
            } else if self.form == Form::Entailment {
                if trace.iter().any(|(stated, _)| *stated == self.needed[0]) && random.random_bool(habits.distinct) {
                    trace.push((other(random), Said::Other));
                    continue;
                }
                trace.push((self.needed[0], Said::Near));
                for next in &self.needed[1..] {
                    if !random.random_bool(habits.follow) {
                        break;
                    }
                    trace.push((*next, Said::Near));
                }
            } else {
                let ready = |s: &&Stated| self.comes_to_mind(s, &trace) && !trace.iter().any(|(t, _)| t == *s);
                let unsaid: Vec<&Stated> = self.near.iter().filter(ready).collect();
                let pick = if random.random_bool(habits.distinct) { unsaid.choose(random).copied() } else { None };
                match pick.or_else(|| self.near.choose(random)) {
                    Some(stated) => trace.push((*stated, Said::Near)),
                    None => trace.push((other(random), Said::Other)),
                }
            }
        }
        trace.truncate(length);
        trace
    }
}

impl Asked {
    /// Whether a statement can be recalled by now: one about a kind after the kind was named.
    fn comes_to_mind(&self, stated: &Stated, trace: &[(Stated, Said)]) -> bool {
        let Stated::Link(link) = stated else { return true };
        let named = |said: &Stated| matches!(said, Stated::Link(said) if said.is == link.kind);
        self.words.contains(&link.kind) || trace.iter().any(|(said, _)| named(said))
    }
}

impl Curriculum<'_> {
    /// A question about set C.
    pub(super) fn known(&self, random: &mut Stream) -> Asked {
        match self.newer(random) {
            Some(Task::Codebook) => return self.about_codes(&self.world.codebooks[&Set::C], random).0,
            Some(_) => return self.about_kinds(&self.world.hierarchies[&Set::C], random).0,
            None => (),
        }
        let (reversals, chains) = (&self.world.reversals[&Set::C], &self.world.syllogisms[&Set::C].chains);
        if random.random_bool(0.55) || chains.is_empty() {
            let fact = reversals.facts[random.random_range(0..reversals.facts.len())];
            Asked::fact(self, fact, &reversals.group(&fact), self.form(random), random)
        } else {
            Asked::chain(self, &chains[random.random_range(0..chains.len())], random)
        }
    }

    /// A form of questions about facts.
    pub(super) fn form(&self, random: &mut Stream) -> Form {
        *[(Form::Candidates, 0.45), (Form::Open, 0.37), (Form::OpenAny, 0.18)]
            .choose_weighted(random, |(_, weight)| *weight)
            .map_or(&Form::Open, |(form, _)| form)
    }

    /// Any statement of set C.
    pub(super) fn any_known(&self, random: &mut Stream) -> Stated {
        match self.newer(random) {
            Some(Task::Codebook) => {
                let entries = &self.world.codebooks[&Set::C].entries;
                return entries[random.random_range(0..entries.len())].into();
            }
            Some(_) => {
                let links = &self.world.hierarchies[&Set::C].links;
                return links[random.random_range(0..links.len())].into();
            }
            None => (),
        }
        let (facts, chains) = (&self.world.reversals[&Set::C].facts, &self.world.syllogisms[&Set::C].chains);
        if random.random_bool(0.55) || chains.is_empty() {
            facts[random.random_range(0..facts.len())].into()
        } else {
            let chain = &chains[random.random_range(0..chains.len())];
            chain.premise(random.random_range(0..chain.premises.len())).into()
        }
    }
}

/// Statements in random order.
pub(super) fn shuffled(mut statements: Vec<Stated>, random: &mut Stream) -> Vec<Stated> {
    statements.shuffle(random);
    statements
}
