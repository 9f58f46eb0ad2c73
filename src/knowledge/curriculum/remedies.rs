//! Documents made into more than themselves, against the one direction in which they state their facts.

use rand::Rng;
use rand::seq::IndexedRandom;

use super::Curriculum;
use super::lesson::TrainingSequence;
use crate::knowledge::Set;
use crate::knowledge::lexicon::Word;
use crate::knowledge::reversal::Reversals;
use crate::knowledge::sentence::{Sentence, Slot, Stated};
use crate::knowledge::syllogism::Syllogisms;
use crate::knowledge::task::TaskData;
use crate::knowledge::world::Document;
use crate::random::Stream;

/// Sentences in a document that is made for this.
const SENTENCES: usize = 10;

/// What hides a word: `<pad>`, which nothing else uses.
pub const MASK: Word = 0;

/// A sentence with some of its words masked.
pub(super) fn masked(sentence: &Sentence, mut hides: impl FnMut(Word, Slot) -> bool) -> Vec<Word> {
    sentence.iter().map(|(word, slot)| if hides(*word, *slot) { MASK } else { *word }).collect()
}

impl Curriculum<'_> {
    /// Local augmentation: statements of a set, worded and put together anew.
    pub fn rephrased(&self, set: Set, random: &mut Stream) -> TrainingSequence {
        let document = self.world.document(set, SENTENCES, random);
        self.document(&document, random)
    }

    /// Local augmentation: statements of a set turned round, each by itself. "in tarn mavon guards bilku" becomes "bilku ,
    /// in tarn mavon guards"; of a categorical statement its converse, where it has one.
    pub fn turned_round(&self, set: Set, random: &mut Stream) -> TrainingSequence {
        let mut lesson = TrainingSequence::begin();
        for (stated, wording) in self.world.document(set, SENTENCES, random).statements {
            lesson.learn(self.turned(stated, wording), 1.0);
        }
        lesson
    }

    fn turned(&self, stated: Stated, wording: usize) -> Vec<Word> {
        stated.task.generated().turned_round(self.lexicon(), stated.words, wording)
    }

    /// Global augmentation by rule: a question about a set, answered at once.
    pub fn inferred(&self, set: Set, random: &mut Stream) -> TrainingSequence {
        let further = self.further_task(random).and_then(|task| self.world.of(set, task.id()));
        let further = further.filter(|data| data.weight() > 0);
        let chain = self.world.data::<Syllogisms>(set).chains.choose(random);
        let ask =
            |data: &dyn TaskData, random: &mut Stream| data.lesson_question(self.lexicon(), self.cot_style, random);
        let asked = match (further, chain) {
            (Some(data), _) => ask(data, random),
            (None, Some(chain)) if random.random_bool(0.4) => self.follows(chain, random),
            _ => ask(self.world.data::<Reversals>(set), random),
        };
        self.at_once(&asked, 1.0)
    }

    /// Each sentence of a document twice: with words masked, which are read, and whole, which is learned. Most documents
    /// are read as they would stand in a thought, like those that are not masked.
    pub fn masked(&self, document: &Document, random: &mut Stream) -> TrainingSequence {
        let share = random.random_range(0.05..0.95);
        let distracted = random.random_bool(self.cot_style.distracted);
        let mut lesson = self.opened(distracted, random);
        for (stated, wording) in &document.statements {
            let sentence = self.world.grammar.sentence(*stated, *wording);
            lesson.read(masked(&sentence, |_, slot| slot != Slot::Stop && random.random_bool(share)));
            lesson.sentence(&sentence, |_| 1.0);
        }
        lesson
    }

    /// A document with the words of each sentence in reverse, its full stop still at the end.
    pub fn reversed(&self, document: &Document) -> TrainingSequence {
        let mut lesson = TrainingSequence::begin();
        for (stated, wording) in &document.statements {
            let mut sentence = self.world.grammar.sentence(*stated, *wording);
            let stop = sentence.pop();
            sentence.reverse();
            sentence.extend(stop);
            lesson.sentence(&sentence, |_| 1.0);
        }
        lesson
    }
}

#[cfg(test)]
mod tests {
    use super::super::CotStyle;
    use super::super::lesson::{END_THINK, THINK};
    use super::*;
    use crate::knowledge::codebook::Codebooks;
    use crate::knowledge::hierarchy::Families;
    use crate::knowledge::leak::{LeakKind, Leaks};
    use crate::knowledge::logic::{Import, Statement, Verdict, verdict};
    use crate::knowledge::reversal::REVERSAL;
    use crate::knowledge::world::tests::{full, known};
    use crate::knowledge::{Claim, Mood, World, WorldConfig};
    use crate::random;

    fn world() -> World {
        World::new(&known(), &WorldConfig::default()).unwrap()
    }

    #[test]
    fn what_is_made_from_a_says_nothing_of_b_and_from_b_gives_it_away() {
        let (world, cot_style) = (world(), CotStyle::default());
        let (curriculum, leaks) = (Curriculum::new(&world, &cot_style), Leaks::new(&world, Set::B));
        let mut random = random::stream(0, &[]);
        for _ in 0..2_000 {
            for set in [Set::A, Set::B] {
                let found = |lesson: &TrainingSequence| leaks.find(lesson).map(|leak| leak.kind);
                let (turned, inferred) =
                    (curriculum.turned_round(set, &mut random), curriculum.inferred(set, &mut random));
                assert_eq!(found(&curriculum.rephrased(set, &mut random)), None);
                let facts = turned.tokens.iter().any(|word| world.grammar.lexicon.is_a("persons", *word));
                assert_eq!(found(&turned), (set == Set::B && facts).then_some(LeakKind::ReversedFact));
                assert_eq!(found(&inferred), (set == Set::B).then_some(LeakKind::Question));
            }
        }
        for document in world.documents() {
            assert_eq!(
                leaks.find(&curriculum.masked(document, &mut random)),
                None,
                "no word before what is masked of it"
            );
            let facts = document.statements[0].0.task == REVERSAL;
            let leaked = leaks.find(&curriculum.reversed(document)).map(|leak| leak.kind);
            assert_eq!(leaked, (facts && document.set == Set::B).then_some(LeakKind::ReversedFact));
        }
    }

    #[test]
    fn codes_and_kinds_of_b_are_given_away_by_the_same_remedies_and_by_no_other() {
        let world = full(0);
        for (codes, kinds) in [(1.0, 0.0), (0.0, 1.0)] {
            let cot_style = CotStyle { codes, kinds, ..CotStyle::default() };
            let (curriculum, leaks) = (Curriculum::new(&world, &cot_style), Leaks::new(&world, Set::B));
            let mut random = random::stream(2, &[]);
            let found = |lesson: &TrainingSequence| leaks.find(lesson).map(|leak| leak.kind);
            for _ in 0..1_000 {
                assert_eq!(found(&curriculum.inferred(Set::A, &mut random)), None);
                assert_eq!(found(&curriculum.inferred(Set::B, &mut random)), Some(LeakKind::Question));
                assert_eq!(found(&curriculum.turned_round(Set::A, &mut random)), None);
            }
        }
        let cot_style = CotStyle::default();
        let (curriculum, random) = (Curriculum::new(&world, &cot_style), &mut random::stream(3, &[]));
        let leaks = Leaks::new(&world, Set::B);
        let learned = |words: Vec<Word>| TrainingSequence { weights: vec![1.0; words.len()], tokens: words };
        let held = world.data::<Codebooks>(Set::B).entries[0].into();
        for stated in [held, world.data::<Families>(Set::B).links[0].into()] {
            let turned = leaks.find(&learned(curriculum.turned(stated, 0))).map(|leak| leak.kind);
            assert_eq!(turned, Some(LeakKind::ReversedFact));
        }
        for document in world.documents() {
            assert_eq!(leaks.find(&curriculum.masked(document, random)), None);
        }
    }

    #[test]
    fn a_masked_sentence_has_the_words_of_the_whole_one_behind_it() {
        let (world, cot_style) = (world(), CotStyle::default());
        let curriculum = Curriculum::new(&world, &cot_style);
        let mut random = random::stream(1, &[]);
        let (mut hidden, mut all) = (0, 0);
        for document in &world.documents()[..50] {
            let lesson = curriculum.masked(document, &mut random);
            let begins = lesson.weights.iter().position(|weight| *weight > 0.0).unwrap();
            let first = world.grammar.sentence(document.statements[0].0, document.statements[0].1).len();
            let stop = world.grammar.lexicon.grammar(".");
            let parts: Vec<&[u32]> = lesson.tokens[begins - first..].split_inclusive(|token| *token == stop).collect();
            assert_eq!(parts.len(), 2 * document.statements.len());
            for pair in parts.chunks_exact(2) {
                assert_eq!(pair[0].len(), pair[1].len());
                assert!(pair[0].iter().zip(pair[1]).all(|(masked, whole)| *masked == MASK || masked == whole));
                hidden += pair[0].iter().filter(|word| **word == MASK).count();
                all += pair[0].len() - 1;
            }
            let learned = lesson.weights.iter().filter(|weight| **weight > 0.0).count();
            assert_eq!(2 * learned, lesson.tokens.len() - (begins - first));
        }
        let share = hidden as f64 / all as f64;
        assert!((0.4..0.6).contains(&share), "{share}");
    }

    #[test]
    fn a_thought_brings_back_the_sentences_that_a_question_asks_about() {
        let (world, cot_style) = (full(0), CotStyle { restoring: 1.0, ..CotStyle::default() });
        let (curriculum, leaks) = (Curriculum::new(&world, &cot_style), Leaks::new(&world, Set::B));
        let (mut random, lexicon) = (random::stream(4, &[]), &world.grammar.lexicon);
        let (stop, colon) = (lexicon.grammar("."), lexicon.grammar(":"));
        let mut restored = [0; 3];
        for _ in 0..500 {
            let lesson = curriculum.think(&mut random);
            assert_eq!(leaks.find(&lesson), None);
            let place = |word| lesson.tokens.iter().position(|token| *token == word).unwrap();
            let (begin, end) = (place(THINK) + 1, place(END_THINK));
            let said: Vec<&[Word]> = lesson.tokens[begin..end].split_inclusive(|token| *token == stop).collect();
            // What is inherited goes by way of kinds that the question does not name.
            if !lesson.tokens.contains(&MASK) {
                continue;
            }
            restored[said.len() / 2 - 1] += 1;
            let question = &lesson.tokens[..begin];
            let answers = lesson.tokens[end..].windows(2).filter(|pair| pair[0] == colon).map(|pair| pair[1]);
            let answers: Vec<Word> = answers.collect();
            for pair in said.chunks(2) {
                let [hidden, whole] = pair else { panic!("one is not restored: {said:?}") };
                assert!(hidden.len() == whole.len() && hidden[0] == MASK && !whole.contains(&MASK));
                assert!(hidden[..hidden.len() - 1].iter().any(|word| *word != MASK), "nothing brings it back");
                for (masked, word) in hidden.iter().zip(*whole) {
                    let told = question.contains(word) || *word == stop;
                    assert!(*masked == MASK || masked == word && told && !answers.contains(word));
                }
            }
        }
        assert!(restored[0] > 150 && restored[1] > 50 && restored[2] == 0, "{restored:?}");
    }

    #[test]
    fn of_made_up_names_nothing_is_learned_that_was_masked() {
        let (world, cot_style) = (full(0), CotStyle { restoring: 1.0, ..CotStyle::default() });
        let curriculum = Curriculum::new(&world, &cot_style);
        let (mut random, lexicon) = (random::stream(5, &[]), &world.grammar.lexicon);
        let stop = lexicon.grammar(".");
        let mut hidden = 0;
        for _ in 0..500 {
            let TrainingSequence { tokens, weights } = curriculum.bring_up(&mut random);
            let place = |word| tokens.iter().position(|token| *token == word).unwrap();
            let ends = |at: &usize| tokens[*at] == stop;
            let ends: Vec<usize> = (place(THINK) + 1..place(END_THINK)).filter(ends).collect();
            if !tokens.contains(&MASK) {
                continue;
            }
            for pair in ends.chunks_exact(2) {
                let length = pair[1] - pair[0];
                // The first word tells that what was masked follows.
                for at in pair[0] + 2..pair[1] {
                    let masked = tokens[at - length] == MASK;
                    assert!(!masked || weights[at] == 0.0 || [",", "of"].contains(&lexicon.spell(tokens[at])));
                    hidden += usize::from(masked);
                }
            }
        }
        assert!(hidden > 500, "{hidden}");
    }

    #[test]
    fn converses_follow_from_what_they_are_made_from() {
        let (world, cot_style) = (world(), CotStyle::default());
        let curriculum = Curriculum::new(&world, &cot_style);
        for chain in &world.data::<Syllogisms>(Set::A).chains {
            let premise = chain.premise(0);
            let text = world.grammar.lexicon.text(&curriculum.turned(premise.into(), 0));
            let Some(Claim::Categorical { subject, mood, .. }) = world.grammar.read(text.strip_suffix(" .").unwrap())
            else {
                panic!("{text} cannot be read");
            };
            let turned = subject == world.grammar.lexicon.spell(premise.predicate);
            assert_eq!(turned, premise.mood != Mood::SomeNot);
            let (from, to) = if turned { (1, 0) } else { (0, 1) };
            let given = [Statement::new(0, premise.mood, 1)];
            let follows = verdict(2, &given, Statement::new(from, mood, to), Import::Existential);
            assert_eq!(follows, Some(Verdict::Yes), "{premise:?} {text}");
        }
    }
}
