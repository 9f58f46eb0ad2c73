//! Lessons in thinking: a question, a chain of thought, an answer.

use rand::Rng;
use rand::seq::IndexedRandom;

use super::Curriculum;
use super::lesson::{END_THINK, THINK, TrainingSequence};
use super::lesson_question::{LessonQuestion, Thought, TraceSource};
use crate::knowledge::grammar::Grammar;
use crate::knowledge::reversal::{self, made_up_facts};
use crate::knowledge::sentence::{Slot, Stated};
use crate::knowledge::syllogism::Chain;
use crate::random::Stream;

impl Curriculum<'_> {
    /// A question about set C, answered at once: it was memorised.
    pub(super) fn answer(&self, random: &mut Stream) -> TrainingSequence {
        let asked = self.known(random);
        let mut lesson = TrainingSequence::begin();
        lesson.question(&asked.words).answer(&self.world.grammar.lexicon, &asked, self.weights(0.0, 1.0));
        lesson
    }

    /// A question about set C and a chain of thought about set C. The answer is right whatever was thought.
    pub(super) fn think(&self, random: &mut Stream) -> TrainingSequence {
        let asked = self.known(random);
        let trace = self.trace(&asked, random, |random| self.any_known(random));
        self.thought(&asked, &trace, 1.0, |_, _| 1.0, random)
    }

    /// The same policy on made-up names: it brings up the names in the question, and stops. Only what can be told
    /// from the question is learned; what is said of the names cannot be known.
    pub(super) fn bring_up(&self, random: &mut Stream) -> TrainingSequence {
        let facts = |random: &mut Stream| -> Vec<Stated> {
            made_up_facts(self.lexicon(), 4, false, random).into_iter().map(Stated::from).collect()
        };
        let further = self.further_to_read(random);
        let (asked, others) = if let Some((asked, _)) = further {
            (asked, facts(random))
        } else if random.random_bool(0.55) {
            (self.made_up_fact(reversal::form(random), random), facts(random))
        } else {
            let chains = self.made_up_chains(4, random);
            let asked = self.follows(&chains[0], random);
            (asked, chains[1..].iter().flat_map(Chain::stated).collect())
        };
        let trace = self.trace(&asked, random, |random| others[random.random_range(0..others.len())]);
        let answered = asked.is_answered_by(&trace);
        // Which members a group or a code has is not to be told from the question, so subjects are learned only where
        // they were shown.
        let subject = if asked.shows_subjects { 1.0 } else { 0.0 };
        let known = |said: TraceSource, slot: Slot| match (said, slot) {
            (_, Slot::Stop) | (TraceSource::Near, Slot::Frame | Slot::Group) => 1.0,
            (TraceSource::Near, Slot::Subject) => subject,
            (TraceSource::Other, Slot::Frame) => 0.5,
            _ => 0.0,
        };
        self.thought(&asked, &trace, if answered { 1.0 } else { 0.25 }, known, random)
    }

    fn thought(
        &self,
        asked: &LessonQuestion,
        trace: &[(Stated, TraceSource)],
        answered: f32,
        weigh: impl Fn(TraceSource, Slot) -> f32,
        random: &mut Stream,
    ) -> TrainingSequence {
        let mut lesson = TrainingSequence::begin();
        lesson.question(&asked.words).read([THINK]);
        for (stated, said) in trace {
            let sentence = self.world.grammar.sentence(*stated, random.random_range(0..Grammar::WORDINGS));
            lesson.sentence(&sentence, |slot| weigh(*said, slot));
        }
        lesson.push(END_THINK, 1.0).answer(&self.world.grammar.lexicon, asked, self.weights(0.3, answered));
        lesson
    }

    /// A chain of thought about a question. `other` says something that has nothing to do with it.
    fn trace(
        &self,
        asked: &LessonQuestion,
        random: &mut Stream,
        mut other: impl FnMut(&mut Stream) -> Stated,
    ) -> Vec<(Stated, TraceSource)> {
        let cot_style = self.cot_style;
        let length = random.random_range(1..=cot_style.longest);
        let (Thought::AnyOf(_, share) | Thought::InOrder(share)) = asked.thought;
        let mut trace: Vec<(Stated, TraceSource)> = Vec::with_capacity(length + 2);
        while trace.len() < length {
            if !random.random_bool(share) {
                trace.push((other(random), TraceSource::Other));
                continue;
            }
            match &asked.thought {
                Thought::InOrder(_) => {
                    let begun = trace.iter().any(|(stated, _)| *stated == asked.needed[0]);
                    if begun && random.random_bool(cot_style.distinct) {
                        trace.push((other(random), TraceSource::Other));
                        continue;
                    }
                    trace.push((asked.needed[0], TraceSource::Near));
                    for next in &asked.needed[1..] {
                        if !random.random_bool(cot_style.follow) {
                            break;
                        }
                        trace.push((*next, TraceSource::Near));
                    }
                }
                Thought::AnyOf(near, _) => {
                    let ready = |stated: &&Stated| {
                        let mut said = trace.iter().map(|(said, _)| said);
                        stated.task.generated().comes_to_mind(stated.words, &asked.words, &mut said)
                            && !trace.iter().any(|(said, _)| said == *stated)
                    };
                    let unsaid: Vec<&Stated> = near.iter().filter(ready).collect();
                    let pick =
                        if random.random_bool(cot_style.distinct) { unsaid.choose(random).copied() } else { None };
                    match pick.or_else(|| near.choose(random)) {
                        Some(stated) => trace.push((*stated, TraceSource::Near)),
                        None => trace.push((other(random), TraceSource::Other)),
                    }
                }
            }
        }
        trace.truncate(length);
        trace
    }
}
