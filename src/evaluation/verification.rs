//! What thoughts are good for: does a policy check what it names, and does it believe what it has checked?

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Answered;
use super::record::share;
use crate::knowledge::Claim;
use crate::verifier::Grounding;

/// How the thoughts of one arm lead to its answers, where a world has a grammar to read them in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// Thoughts that hold every needed fact, and how many of them are followed by the right answer: recall is the
    /// quotient. The right candidate was recited; was it chosen?
    pub complete: usize,
    pub complete_right: usize,
    /// Answers that follow from what was recited, true or not, and how many of them are right: precision is the quotient.
    pub concluded: usize,
    pub concluded_right: usize,
    /// Wrong candidates of whom a thought says something, and how many of them were not the answer. Of questions that ask
    /// who.
    pub wrong_named: usize,
    pub wrong_rejected: usize,
    /// Candidates that a thought says something of, on average, of so many among whom the answer is. Absent where no
    /// question asks who.
    pub tried: Option<f64>,
    pub entities: Option<f64>,
}

impl Verification {
    /// Of answers by a policy that thinks. `None` where nothing can be read.
    pub fn from_answers(answers: &[&Answered]) -> Option<Verification> {
        let readable = || answers.iter().filter(|one| one.judgement.grounding.is_some());
        readable().next()?;
        let mut sum = Verification::default();
        let (mut asked_who, mut tried, mut entities) = (0, 0, 0.0);
        for one in readable() {
            let judgement = &one.judgement;
            let right = usize::from(judgement.correct);
            if judgement.needed > 0 && judgement.needed_found == judgement.needed {
                sum.complete += 1;
                sum.complete_right += right;
            }
            if judgement.grounding != Some(Grounding::Guessed) {
                sum.concluded += 1;
                sum.concluded_right += right;
            }
            let Some(candidates) = candidates(one) else { continue };
            asked_who += 1;
            tried += candidates.len();
            entities += 1.0 / one.chance;
            let wrong: Vec<&&str> = candidates.iter().filter(|name| **name != one.expected).collect();
            sum.wrong_named += wrong.len();
            sum.wrong_rejected += wrong.iter().filter(|name| judgement.answer.as_deref() != Some(**name)).count();
        }
        let mean = |of: f64| (asked_who > 0).then(|| of / f64::from(asked_who));
        Some(Verification { tried: mean(tried as f64), entities: mean(entities), ..sum })
    }

    /// Share of the right answers that were recited and chosen.
    pub fn recall(&self) -> Option<f64> {
        share(self.complete_right, self.complete)
    }

    /// Share of the answers drawn from recitations that are right.
    pub fn precision(&self) -> Option<f64> {
        share(self.concluded_right, self.concluded)
    }

    /// Share of the wrong candidates that were looked at and not chosen.
    pub fn rejection(&self) -> Option<f64> {
        share(self.wrong_rejected, self.wrong_named)
    }
}

/// Who comes into question and is spoken of in a thought. `None` where the question asks for no one.
fn candidates(one: &Answered) -> Option<BTreeSet<&str>> {
    let words: BTreeSet<&str> = one.asked.split_whitespace().collect();
    // A guesser who does not use the facts takes one of those who come into question.
    if !words.contains("who") || one.chance <= 0.0 {
        return None;
    }
    let shown = words.contains(one.expected.as_str());
    let comes_into_question = |claim: &Claim| match claim {
        Claim::Relation { subject, .. } if shown => words.contains(subject.as_str()),
        Claim::Relation { group, .. } => words.contains(group.as_str()) || !words.contains("in"),
        // Whose property it is, of the candidates that are shown.
        Claim::Categorical { subject, .. } => shown && words.contains(subject.as_str()),
    };
    let claims = one.judgement.recitations.iter().filter_map(|recitation| recitation.claim.as_ref());
    let subjects = claims.filter(|claim| comes_into_question(claim)).map(|claim| match claim {
        Claim::Relation { subject, .. } | Claim::Categorical { subject, .. } => subject.as_str(),
    });
    Some(subjects.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KnownSection;
    use crate::evaluation::Arm;
    use crate::evaluation::record::AnswerText;
    use crate::knowledge::reversal::{CANDIDATES, OPEN, OPEN_ANY};
    use crate::knowledge::syllogism::ENTAILMENT;
    use crate::knowledge::{Question, Set, World, WorldConfig};
    use crate::language::Opening;
    use crate::verifier::{Facts, judge};

    fn world() -> World {
        World::new(&KnownSection::default().known(), &WorldConfig::default()).unwrap()
    }

    fn answered(world: &World, question: &Question, thought: &[&String], answer: &str) -> Answered {
        let thought: Vec<&str> = thought.iter().map(|sentence| sentence.as_str()).collect();
        let completion = format!("{} </think> <answer> {} : {answer} <eos>", thought.join(" "), question.cue);
        let judgement = judge(world, question, Opening::Think, &completion, true);
        let said = AnswerText { sample: 0, prompt: String::new(), completion, judgement, tokens: 1, prompt_tokens: 1 };
        Answered::new(Arm::AfterRl, 0, question, said)
    }

    #[test]
    fn who_names_everybody_and_chooses_well_rejects_the_wrong_ones() {
        let world = world();
        for form in [CANDIDATES, OPEN, OPEN_ANY] {
            let question = world.questions(Set::B).into_iter().find(|question| question.form == form).unwrap();
            let all: Vec<&String> = question.context.iter().collect();
            let subjects = if form == CANDIDATES { question.choices.len() } else { all.len() };
            let right = answered(&world, &question, &all, &question.answer);
            let found = Verification::from_answers(&[&right]).unwrap();
            assert_eq!((found.recall(), found.precision(), found.rejection()), (Some(1.0), Some(1.0), Some(1.0)));
            assert_eq!((found.wrong_named, found.tried), (subjects - 1, Some(subjects as f64)), "{form}");
            assert_eq!(found.entities, Some(1.0 / question.chance));
            // The same thought, and someone else chosen.
            let other = question
                .choices
                .iter()
                .find(|name| **name != question.answer && all.iter().any(|sentence| sentence.contains(name.as_str())));
            let wrong = answered(&world, &question, &all, other.unwrap());
            let found = Verification::from_answers(&[&right, &wrong]).unwrap();
            assert_eq!((found.recall(), found.concluded, found.precision()), (Some(0.5), 1, Some(1.0)));
            assert_eq!(found.wrong_rejected + 1, found.wrong_named);
        }
    }

    #[test]
    fn an_answer_from_a_false_fact_costs_precision_and_one_from_nothing_none() {
        let world = world();
        let question = world.questions(Set::B).into_iter().find(|question| question.form == OPEN).unwrap();
        let wrong = question.choices.iter().find(|name| **name != question.answer).unwrap();
        let states = |sentence: &&String| world.read(sentence).is_some_and(|claim| question.needed.contains(&claim));
        let falsehood = question.context.iter().find(states).unwrap().replace(&question.answer, wrong);
        let believed = answered(&world, &question, &[&falsehood], wrong);
        let guessed = answered(&world, &question, &[], &question.answer);
        let found = Verification::from_answers(&[&believed, &guessed]).unwrap();
        assert_eq!((found.precision(), found.recall(), found.rejection()), (Some(0.0), None, Some(0.0)));
        assert_eq!(found.tried, Some(0.5));
        let silent = Verification::from_answers(&[&guessed]).unwrap();
        assert_eq!((silent.precision(), silent.rejection()), (None, None));
    }

    #[test]
    fn a_syllogism_asks_for_no_one() {
        let world = world();
        let question = world.questions(Set::B).into_iter().find(|q| q.form == ENTAILMENT).unwrap();
        let one = answered(&world, &question, &question.context.iter().collect::<Vec<_>>(), &question.answer);
        let found = Verification::from_answers(&[&one]).unwrap();
        assert_eq!((found.recall(), found.tried, found.wrong_named), (Some(1.0), None, 0));
    }
}
