//! Proof that what is asked about set B was never in anything that trained.

use super::curriculum::TrainingSequence;
use super::jsonl::{LeakMatcher, Lesson};
use super::lexicon::Word;
use super::training_text::TrainingWord;
pub use super::training_text::{Leak, LeakKind};
use super::{Knowledge, Question, Set, World};
use crate::language::tokenizer::{ANSWER, SPECIAL};
use crate::{Error, Result};

/// Questions, answers and reversed facts of one set, ready to be looked for.
pub struct Leaks<'a> {
    world: &'a World,
    set: Set,
    stop: Word,
    colon: Word,
    mark: Word,
}

impl<'a> Leaks<'a> {
    pub fn new(world: &'a World, set: Set) -> Self {
        let grammar = |word| world.grammar.lexicon.grammar(word);
        Self { world, set, stop: grammar("."), colon: grammar(":"), mark: grammar("?") }
    }

    /// What a word gives away; `learned` says that training predicts it.
    fn given_away(&self, word: &TrainingWord, learned: bool) -> Option<LeakKind> {
        let mut tasks = self.world.of_set(self.set);
        match word.word() {
            here if here == self.mark => {
                let asked = tasks.any(|task| task.asks(&self.world.grammar.lexicon, word));
                asked.then_some(LeakKind::Question)
            }
            here if here == self.colon => {
                tasks.any(|task| task.answers(&self.world.grammar.lexicon, word)).then_some(LeakKind::Answer)
            }
            _ if learned => tasks.find_map(|task| task.gives_away(word)),
            _ => None,
        }
    }

    /// Refuses a lesson that asks a question of the set, answers one, or states one of its facts object first.
    pub fn check(&self, lesson: &TrainingSequence) -> Result<()> {
        self.find(lesson).map_or(Ok(()), |leak| Err(leak.refused()))
    }

    /// The first leak in a lesson.
    pub fn find(&self, lesson: &TrainingSequence) -> Option<Leak> {
        let tokens = &lesson.tokens;
        let mut sentence = 0;
        for (at, word) in tokens.iter().enumerate() {
            if *word == self.stop || (*word as usize) < SPECIAL.len() {
                sentence = at + 1;
            }
            let word = TrainingWord { tokens, at, sentence };
            if let Some(kind) = self.given_away(&word, lesson.weights[at] > 0.0) {
                let from = at.saturating_sub(8);
                let text = self.world.grammar.lexicon.text(&tokens[from..(at + 2).min(tokens.len())]);
                return Some(Leak { kind, text, question: None });
            }
        }
        None
    }

    /// The first leak in a text, every word of which counts as learned.
    fn find_in(&self, text: &str) -> Option<Leak> {
        let lexicon = &self.world.grammar.lexicon;
        let id = |word: &str| {
            let special = SPECIAL.iter().position(|special| *special == word).map(|at| at as Word);
            // What is no word of this world separates what is.
            special.or_else(|| lexicon.word(word)).unwrap_or_default()
        };
        let tokens: Vec<Word> = text.split_whitespace().map(id).collect();
        self.find(&TrainingSequence { weights: vec![1.0; tokens.len()], tokens })
    }
}

/// Looks for what is asked about set B in whatever trains, in a generated world or in files.
pub struct Guard<'a> {
    /// Of knowledge from files.
    files: Option<&'a LeakMatcher>,
    /// The generated world, or the one that the files were exported from, where it is known.
    world: Option<Leaks<'a>>,
}

impl<'a> Guard<'a> {
    /// Errors: more questions than can be looked for at once.
    pub fn new(knowledge: &'a Knowledge) -> Result<Guard<'a>> {
        let (files, world) = match knowledge {
            Knowledge::Generated(world) => (None, Some(&**world)),
            Knowledge::Files(jsonl) => (Some(jsonl.watched()?), jsonl.world()),
        };
        Ok(Guard { files, world: world.map(|world| Leaks::new(world, Set::B)) })
    }

    /// Refuses a text that trains if something of B stands in it.
    pub fn check(&self, text: &str) -> Result<()> {
        let in_files = self.files.and_then(|watched| watched.find(text));
        let leak = in_files.or_else(|| self.world.as_ref()?.find_in(text));
        leak.map_or(Ok(()), |leak| Err(leak.refused()))
    }

    /// Refuses a question that trains if it is one of B, or gives one away with its answer.
    pub fn check_question(&self, text: &str, answer: &str) -> Result<()> {
        match self.files.filter(|_| self.world.is_none()) {
            None => self.check(&format!("{text} {answer}")),
            Some(watched) => watched.find_asked(text, answer).map_or(Ok(()), |leak| Err(leak.refused())),
        }
    }

    /// Refuses a lesson if one of its parts is a question of B or gives one away, or several do as they follow each other.
    fn check_lesson(&self, lesson: &Lesson) -> Result<()> {
        self.check_question(&lesson.row.prompt, &lesson.row.answer)?;
        self.check(&lesson.text())?;
        let leak = self.files.and_then(|watched| watched.find_in_lesson(&lesson.row));
        leak.map_or(Ok(()), |leak| Err(leak.refused()))
    }

    /// The same of a question with every answer as it is learned.
    fn check_answered(&self, question: &Question) -> Result<()> {
        match question.cue.as_str() {
            "" => question.right_answers().try_for_each(|answer| self.check_question(&question.text, answer)),
            cue => self.check_question(&question.text, &format!("{ANSWER} {cue} : {}", question.answer)),
        }
    }
}

/// Refuses knowledge whose documents, or whose questions for training, hold a question of B, its answer or one of its facts
/// in reverse. In files that is named by file and line.
pub fn check(knowledge: &Knowledge) -> Result<()> {
    let guard = Guard::new(knowledge)?;
    match knowledge {
        Knowledge::Generated(world) => {
            world.documents().iter().try_for_each(|document| guard.check(&world.text(document)))?;
            world.questions(Set::A).iter().try_for_each(|question| guard.check_answered(question))
        }
        Knowledge::Files(jsonl) => {
            jsonl.told().try_for_each(|(document, place)| guard.check(document).map_err(at(place)))?;
            jsonl.asked(Set::A).try_for_each(|(question, place)| guard.check_answered(question).map_err(at(place)))?;
            jsonl.lessons().iter().try_for_each(|lesson| guard.check_lesson(lesson).map_err(at(&lesson.place)))
        }
    }
}

/// A refusal with the place of what is refused.
fn at(place: &str) -> impl Fn(Error) -> Error {
    move |error| match error {
        Error::Refused(found) => Error::Refused(format!("{place}: {found}")),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::curriculum::{CotStyle, Curriculum, Mixture};
    use crate::knowledge::hierarchy::{HIERARCHY, REPHRASED, REVERSED};
    use crate::knowledge::reversal::{Fact, Reversals};
    use crate::knowledge::world::Document;
    use crate::knowledge::world::tests::{deep, full, full_with, known};
    use crate::knowledge::{Claim, WorldConfig};
    use crate::random;

    #[test]
    fn nothing_that_trains_holds_a_question_an_answer_or_a_reversed_fact_of_b() {
        let plain = |seed| World::new(&known(), &WorldConfig { seed, ..Default::default() }).unwrap();
        let worlds = (0..3).map(plain).chain([full(0), full(1), full_with(&deep(), 1)]);
        for (seed, world) in worlds.enumerate() {
            // Lessons about codes alone, about kinds alone, and about everything.
            let style = |codes, kinds| CotStyle { codes, kinds, ..CotStyle::default() };
            let cot_style = [style(1.0, 0.0), style(0.0, 1.0), CotStyle::default()];
            let (leaks, mut random) = (Leaks::new(&world, Set::B), random::stream(seed as u64, &[]));
            let [codes, kinds, curriculum] = cot_style.each_ref().map(|style| Curriculum::new(&world, style));
            for (curriculum, count) in [(&codes, 2_000), (&kinds, 2_000), (&curriculum, 16_000)] {
                for _ in 0..count {
                    let lesson = curriculum.lesson(&Mixture::default(), &mut random);
                    leaks.check(&lesson).unwrap();
                    assert!(lesson.tokens.len() == lesson.weights.len() && lesson.tokens.len() < 200);
                    assert!(lesson.weights[0] == 0.0 && lesson.weights.iter().sum::<f32>() > 0.0, "teaches something");
                }
            }
            for document in world.documents() {
                for _ in 0..3 {
                    leaks.check(&curriculum.document(document, &mut random)).unwrap();
                }
            }
        }
    }

    #[test]
    fn a_planted_leak_is_named() {
        for world in [full(0), full_with(&deep(), 1)] {
            let leaks = Leaks::new(&world, Set::B);
            for question in world.questions(Set::B) {
                let cue = if question.cue.is_empty() { String::new() } else { format!("{} : ", question.cue) };
                let mut planted = vec![(question.text.clone(), LeakKind::Question)];
                planted.push((cue + &question.answer, LeakKind::Answer));
                match &question.needed[0] {
                    Claim::Relation { subject, relation, object, .. } => {
                        planted.push((format!("{object} {relation} {subject} ."), LeakKind::ReversedFact));
                    }
                    Claim::Categorical { .. } if question.task == HIERARCHY && question.form != REPHRASED => {
                        let verb = if question.text.contains(" are ") { "are" } else { "have" };
                        let told = format!("all {} {verb} {} .", question.named(), question.answer);
                        let reversed = question.form == REVERSED;
                        planted.push((told, if reversed { LeakKind::ReversedFact } else { LeakKind::Inference }));
                    }
                    Claim::Categorical { .. } => {}
                }
                for (text, kind) in planted {
                    assert_eq!(leaks.find_in(&text).map(|leak| leak.kind), Some(kind), "{text}");
                }
            }
        }
    }

    #[test]
    fn a_document_or_a_question_of_a_that_gives_b_away_is_refused() {
        let clean = World::new(&known(), &WorldConfig::default()).unwrap();
        let knowledge = |world: &World| Knowledge::Generated(Box::new(world.clone()));
        check(&knowledge(&clean)).unwrap();
        // A document about A whose fact is one of B, with subject and object in each other's place.
        let mut planted = clean.clone();
        let fact = clean.data::<Reversals>(Set::B).facts[3];
        let reversed = Fact { subject: fact.object, object: fact.subject, ..fact };
        planted.plant(Document { set: Set::A, statements: vec![(reversed.into(), 0)] });
        let error = check(&knowledge(&planted)).unwrap_err().to_string();
        let spell = |word| clean.grammar.lexicon.spell(word);
        assert!(error.contains("a reversed fact of the evaluation"), "{error}");
        assert!(error.contains(spell(fact.object)) && error.contains(spell(fact.subject)), "{error}");
        // A fact that both sets ask about.
        let mut shared = clean.clone();
        shared.change(Set::A, |data: &mut Reversals| data.facts[0] = fact);
        let error = check(&knowledge(&shared)).unwrap_err().to_string();
        assert!(error.contains("a question of the evaluation"), "{error}");
    }
}
