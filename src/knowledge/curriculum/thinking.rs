//! Lessons in thinking: a question, a chain of thought, an answer.

use rand::Rng;

use super::Curriculum;
use super::asked::{Asked, Said};
use super::lesson::{END_THINK, Lesson, THINK};
use crate::knowledge::Form;
use crate::knowledge::grammar::{Grammar, Slot, Stated};
use crate::random::Stream;

impl Curriculum<'_> {
    /// A question about set C, answered at once: it was memorised.
    pub(super) fn answer(&self, random: &mut Stream) -> Lesson {
        let asked = self.known(random);
        let mut lesson = Lesson::begin();
        lesson.question(&asked.words).answer(&self.world.grammar.lexicon, &asked, self.weights(0.0, 1.0));
        lesson
    }

    /// A question about set C and a chain of thought about set C. The answer is right whatever was thought.
    pub(super) fn think(&self, random: &mut Stream) -> Lesson {
        let asked = self.known(random);
        let trace = asked.trace(self.habits, random, |random| self.any_known(random));
        self.thought(&asked, &trace, 1.0, |_, _| 1.0, random)
    }

    /// The same policy on made-up names: it brings up the names in the question, and stops. Only what can be told
    /// from the question is learned; what is said of the names cannot be known.
    pub(super) fn bring_up(&self, random: &mut Stream) -> Lesson {
        let newer = self.newer_to_read(random);
        let (asked, others) = if let Some((asked, _)) = newer {
            (asked, self.made_up_facts(4, false, random).into_iter().map(Stated::Fact).collect::<Vec<_>>())
        } else if random.random_bool(0.55) {
            let asked = self.made_up_fact(self.form(random), random);
            (asked, self.made_up_facts(4, false, random).into_iter().map(Stated::Fact).collect::<Vec<_>>())
        } else {
            let chains = self.made_up_chains(4, random);
            let asked = Asked::chain(self, &chains[0], random);
            (asked, chains[1..].iter().flat_map(|c| (0..c.premises.len()).map(|i| c.premise(i).into())).collect())
        };
        let trace = asked.trace(self.habits, random, |random| others[random.random_range(0..others.len())]);
        let answered = asked.is_answered_by(&trace);
        // Which members a group or a code has is not to be told from the question, so subjects are learned only where
        // they were shown.
        let subject = if matches!(asked.form, Form::Open | Form::OpenAny | Form::Decode) { 0.0 } else { 1.0 };
        let known = |said: Said, slot: Slot| match (said, slot) {
            (_, Slot::Stop) | (Said::Near, Slot::Frame | Slot::Group) => 1.0,
            (Said::Near, Slot::Subject) => subject,
            (Said::Other, Slot::Frame) => 0.5,
            _ => 0.0,
        };
        self.thought(&asked, &trace, Self::certainty(answered), known, random)
    }

    fn thought(
        &self,
        asked: &Asked,
        trace: &[(Stated, Said)],
        answered: f32,
        weigh: impl Fn(Said, Slot) -> f32,
        random: &mut Stream,
    ) -> Lesson {
        let mut lesson = Lesson::begin();
        lesson.question(&asked.words).read([THINK]);
        for (stated, said) in trace {
            let sentence = self.world.grammar.sentence(*stated, random.random_range(0..Grammar::WORDINGS));
            lesson.sentence(&sentence, |slot| weigh(*said, slot));
        }
        lesson.push(END_THINK, 1.0).answer(&self.world.grammar.lexicon, asked, self.weights(0.3, answered));
        lesson
    }
}
