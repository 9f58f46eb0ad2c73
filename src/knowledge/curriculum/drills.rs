//! Lessons with much to learn from little text, for a base that begins without a structured start: to copy, which is what heads
//! that match are made of (arXiv 2209.11895), and to look up, several times in the same context.

use rand::Rng;

use super::lesson::TrainingSequence;
use super::{Curriculum, shuffled};
use crate::knowledge::draft::QuestionDraft;
use crate::knowledge::reversal::{self, Fact, made_up_facts};
use crate::knowledge::sentence::{Stated, WORDINGS};
use crate::random::Stream;

/// Share of drills that are about facts; the others are about chains.
const FACTS: f64 = 0.5;
/// Most facts of one context, and questions about it.
const MOST_FACTS: usize = 6;

impl Curriculum<'_> {
    /// Made-up statements, then the same ones again, word for word.
    pub fn repeat(&self, random: &mut Stream) -> TrainingSequence {
        let (statements, _) = self.drill(random);
        let text: Vec<u32> = statements
            .iter()
            .flat_map(|stated| self.world.grammar.sentence(*stated, random.random_range(0..WORDINGS)))
            .map(|(word, _)| word)
            .collect();
        let mut lesson = TrainingSequence::begin();
        lesson.read(text.iter().copied());
        // That it begins again is the one thing that cannot be told.
        lesson.read(text.iter().copied().take(1));
        lesson.learn(text.iter().copied().skip(1), 1.0);
        lesson
    }

    /// Made-up statements, then questions about several of them, each answered at once.
    pub fn read_many(&self, random: &mut Stream) -> TrainingSequence {
        let (statements, asked) = self.drill(random);
        let mut lesson = TrainingSequence::begin();
        self.tell(&mut lesson, &statements, random);
        asked.iter().fold(lesson, |lesson, asked| self.answer(lesson.question(&asked.words), asked, 0.0, 1.0))
    }

    /// Made-up statements in random order, and questions about them.
    fn drill(&self, random: &mut Stream) -> (Vec<Stated>, Vec<QuestionDraft>) {
        if random.random_bool(FACTS) {
            let told = random.random_range(1..=MOST_FACTS);
            let together = random.random_bool(0.5);
            // A question with candidates has as many as there are in a group.
            let shown = made_up_facts(self.lexicon(), told.max(self.world.known.group_size), together, random);
            let about =
                |fact: &Fact, random: &mut Stream| self.about(*fact, &shown, reversal::lesson_form(random), random);
            let asked = shown[..told].iter().map(|fact| about(fact, random)).collect();
            (shuffled(shown[..told].iter().copied().map(Stated::from).collect(), random), asked)
        } else {
            let count = random.random_range(1..=3);
            let chains = self.made_up_chains(count, random);
            let asked = chains.iter().map(|chain| self.follows(chain, random)).collect();
            (shuffled(chains.iter().flat_map(|chain| chain.stated()).collect(), random), asked)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::curriculum::CotStyle;
    use crate::knowledge::curriculum::lesson::{ANSWER, EOS, QUESTION};
    use crate::knowledge::world::tests::full;
    use crate::random;

    #[test]
    fn drills_repeat_what_they_said_and_ask_for_it_more_than_once() {
        let (world, cot_style) = (full(0), CotStyle::default());
        let (curriculum, mut random) = (Curriculum::new(&world, &cot_style), random::stream(5, &[]));
        let count = |lesson: &TrainingSequence, word| lesson.tokens.iter().filter(|token| **token == word).count();
        let mut most = 0;
        for _ in 0..200 {
            let TrainingSequence { tokens, weights } = curriculum.repeat(&mut random);
            let half = tokens.len() / 2;
            assert_eq!(tokens[1..=half], tokens[half + 1..]);
            assert!(weights[..half + 2].iter().all(|weight| *weight == 0.0));
            assert!(weights[half + 2..].iter().all(|weight| *weight == 1.0));
            let lesson = curriculum.read_many(&mut random);
            let asked = count(&lesson, QUESTION);
            assert!((1..=MOST_FACTS).contains(&asked));
            assert!(asked == count(&lesson, ANSWER) && asked == count(&lesson, EOS));
            most = most.max(asked);
        }
        assert_eq!(most, MOST_FACTS);
    }
}
