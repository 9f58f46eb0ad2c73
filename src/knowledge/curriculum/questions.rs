//! Which questions lessons ask, about what a base knows and about made-up names.

use rand::Rng;
use rand::seq::SliceRandom;

use super::Curriculum;
use super::lesson_question::LessonQuestion;
use crate::knowledge::lexicon::Lexicon;
use crate::knowledge::registry::generated;
use crate::knowledge::reversal::{self, Fact, Reversals, made_up_facts};
use crate::knowledge::sentence::Stated;
use crate::knowledge::syllogism::{self, Chain, Syllogisms, made_up_chains};
use crate::knowledge::task::{GeneratedTask, TaskData};
use crate::knowledge::{Form, Set};
use crate::random::Stream;

/// Share of lessons about set C that are about facts, where they are about a core task.
const FACTS: f64 = 0.55;

impl Curriculum<'_> {
    pub(super) fn lexicon(&self) -> &Lexicon {
        &self.world.grammar.lexicon
    }

    /// The task of a lesson, where it is none of the core tasks. Nothing is drawn for a base that knows no others, so its
    /// lessons are what they would be without.
    pub(super) fn further_task(&self, random: &mut Stream) -> Option<&'static dyn GeneratedTask> {
        let known = |task: &&&dyn GeneratedTask| !task.is_core() && task.known_size(&self.world.known) > 0;
        let tasks: Vec<_> =
            generated().iter().filter(known).map(|task| (*task, task.lesson_share(self.cot_style))).collect();
        if tasks.iter().map(|(_, share)| share).sum::<f64>() <= 0.0 {
            return None;
        }
        let (drawn, mut up_to) = (random.random::<f64>(), 0.0);
        let turn = |(_, share): &(&dyn GeneratedTask, f64)| {
            up_to += share;
            drawn < up_to
        };
        tasks.into_iter().find(turn).map(|(task, _)| task)
    }

    /// A question about made-up names of such a task, and what is to be read before it. `None` where none is to be known,
    /// or it is a core task's turn.
    pub(super) fn further_to_read(&self, random: &mut Stream) -> Option<(LessonQuestion, Vec<Stated>)> {
        let made_up = self.further_task(random)?.made_up(&self.world.known, self.lexicon(), random)?;
        Some(made_up.lesson_question(self.lexicon(), self.cot_style, random))
    }

    /// What set C has to be asked about.
    fn known_data(&self, random: &mut Stream) -> &dyn TaskData {
        let further = self.further_task(random).and_then(|task| self.world.of(Set::C, task.id()));
        if let Some(data) = further {
            return data;
        }
        let chains: &Syllogisms = self.world.data(Set::C);
        if random.random_bool(FACTS) || chains.chains.is_empty() {
            self.world.data::<Reversals>(Set::C)
        } else {
            chains
        }
    }

    /// A question about set C.
    pub(super) fn known(&self, random: &mut Stream) -> LessonQuestion {
        self.known_data(random).lesson_question(self.lexicon(), self.cot_style, random).0
    }

    /// Any statement of set C.
    pub(super) fn any_known(&self, random: &mut Stream) -> Stated {
        self.known_data(random).any_statement(random)
    }

    /// A question about a fact of a group.
    pub(super) fn about(&self, fact: Fact, group: &[Fact], form: Form, random: &mut Stream) -> LessonQuestion {
        reversal::lesson_question(self.lexicon(), self.cot_style, fact, group, form, random)
    }

    /// A question about a made-up fact.
    pub(super) fn made_up_fact(&self, form: Form, random: &mut Stream) -> LessonQuestion {
        let group = made_up_facts(self.lexicon(), self.world.known.group_size, true, random);
        let fact = group[random.random_range(0..group.len())];
        self.about(fact, &group, form, random)
    }

    /// A question about a chain.
    pub(super) fn follows(&self, chain: &Chain, random: &mut Stream) -> LessonQuestion {
        syllogism::lesson_question(self.lexicon(), self.cot_style, chain, random)
    }

    /// Made-up chains that share no term.
    pub(super) fn made_up_chains(&self, count: usize, random: &mut Stream) -> Vec<Chain> {
        made_up_chains(&self.world.known, self.lexicon(), self.cot_style, count, random)
    }
}

/// Statements in random order.
pub(super) fn shuffled(mut statements: Vec<Stated>, random: &mut Stream) -> Vec<Stated> {
    statements.shuffle(random);
    statements
}
