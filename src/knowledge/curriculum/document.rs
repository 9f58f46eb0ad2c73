//! A document as a training sequence, often with unrelated words between its sentences.
//!
//! A model that has met a fact only in clean documents recalls it there and not inside a chain of thought, where
//! other things stand before it. So most documents are read as they would stand among other texts: after a
//! question that has nothing to do with them, or with stray words before their sentences. Stray words are never
//! learned, and the object of a sentence is never among them: that would teach the reverse direction.

use rand::Rng;
use rand::seq::IndexedRandom;

use super::Curriculum;
use super::lesson::{QUESTION, THINK, TrainingSequence};
use crate::knowledge::sentence::{Slot, Stated};
use crate::knowledge::world::Document;
use crate::knowledge::{Set, reversal};
use crate::random::Stream;

const SETS: [Set; 3] = [Set::A, Set::B, Set::C];

impl Curriculum<'_> {
    /// A document of any set.
    pub fn document(&self, document: &Document, random: &mut Stream) -> TrainingSequence {
        let mut lesson = TrainingSequence::begin();
        let distracted = random.random_bool(self.cot_style.distracted);
        if distracted && random.random_bool(0.4) {
            let asked = match random.random_bool(0.5) {
                true => match self.further_to_read(random) {
                    Some((asked, _)) => asked,
                    None => self.made_up_fact(reversal::form(random), random),
                },
                false => self.known(random),
            };
            lesson.read([QUESTION]).read(asked.words).read([THINK]);
        }
        for (stated, wording) in &document.statements {
            if distracted && random.random_bool(0.4) {
                self.distract(&mut lesson, stated, random);
            }
            let sentence = self.world.grammar.sentence(*stated, *wording);
            // After other text, what comes next is not to be told; what is said of it is.
            let choice = if distracted { 0.3 } else { 1.0 };
            lesson.sentence(&sentence, |slot| match slot {
                Slot::Frame | Slot::Group => choice,
                _ => 1.0,
            });
        }
        lesson
    }

    fn distract(&self, lesson: &mut TrainingSequence, stated: &Stated, random: &mut Stream) {
        let lexicon = self.lexicon();
        let about = stated.task.generated().about(lexicon, stated.words);
        let object = self.world.grammar.names(*stated).pop();
        // Whatever else is said of a kind, or of those above and below it, would be told backwards too.
        let of_task = SETS.map(|set| self.world.of(set, stated.task));
        let related = |one, other| of_task.iter().flatten().any(|data| data.related(one, other));
        let told_elsewhere = |word| !about.contains(&word) && about.iter().any(|name| related(word, *name));
        for _ in 0..random.random_range(1..=6) {
            let word = if random.random_bool(0.3) {
                *about.choose(random).unwrap_or(&QUESTION)
            } else {
                random.random_range(QUESTION..lexicon.size() as u32)
            };
            if Some(word) != object && !told_elsewhere(word) {
                lesson.read([word]);
            }
        }
        if random.random_bool(0.3) {
            lesson.read([*[THINK, lexicon.grammar(".")].choose(random).unwrap_or(&THINK)]);
        }
    }
}
