//! Does the answer follow from what the trace recited? A right answer that does not was a guess.

use super::{Facts, Grounding, Recitation};
use crate::knowledge::Question;
use crate::knowledge::facts::answered;
use crate::language::reading::same_words;

/// Decides it. `None` where it cannot be decided, because the world has no grammar to read recitations in, or it
/// is not known what the answer needs.
///
/// An answer follows where it is the *only* one that does: not from claims that contradict each other, and not from
/// two claims that give two answers. "unknown" follows where the claims lead from one end term to the other and
/// decide neither way; silence grounds nothing.
pub fn grounding(
    facts: &dyn Facts,
    question: &Question,
    answer: Option<&str>,
    recitations: &[Recitation],
) -> Option<Grounding> {
    if !facts.has_grammar() || question.needed.is_empty() {
        return None;
    }
    let Some(answer) = answer else { return Some(Grounding::Guessed) };
    let task = question.form.task.get();
    // One pass: a hostile trace has a million sentences.
    let claims: Vec<&Recitation> = recitations.iter().filter(|recitation| recitation.claim.is_some()).collect();
    let follows = |keep: fn(&&&Recitation) -> bool| {
        let claims = claims.iter().filter(keep).filter_map(|recitation| recitation.claim.as_ref()).collect();
        // Free text has no words that a task's grammar could look into.
        let said = if question.matching.is_exact() {
            task.entailed(question, &claims, facts)
        } else {
            answered(question, &claims, facts.import())
        };
        said.is_some_and(|said| same(question, &said, answer))
    };
    Some(match (follows(|_| true), follows(|recitation| recitation.is_true)) {
        (true, true) => Grounding::Known,
        (true, false) => Grounding::Follows,
        (false, _) => Grounding::Guessed,
    })
}

/// Whether what follows is what was answered. Where not every character counts, another name of the right answer is as good.
fn same(question: &Question, said: &str, answer: &str) -> bool {
    let loosely = || {
        let both_right = question.is_answered_by(said) && question.is_answered_by(answer);
        both_right || question.matching.any([said].iter(), answer)
    };
    same_words(said, answer) || (!question.matching.is_exact() && loosely())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KnownSection;
    use crate::knowledge::logic::MOST_PREMISES;
    use crate::knowledge::reversal::OPEN;
    use crate::knowledge::syllogism::ENTAILMENT;
    use crate::knowledge::{Claim, Form, Mood, Set, World, WorldConfig};
    use crate::language::Opening;
    use crate::verifier::judge;
    use proptest::prelude::*;

    fn world() -> World {
        World::new(&KnownSection::default().known(), &WorldConfig::default()).unwrap()
    }

    fn question(world: &World, form: Form, answer: &str) -> Question {
        let right = |q: &Question| q.form == form && (answer.is_empty() || q.answer == answer);
        world.questions(Set::A).into_iter().find(right).unwrap()
    }

    /// Sentences that state the needed claims.
    fn needed(world: &World, question: &Question) -> Vec<String> {
        let states = |s: &&String| world.read(s).is_some_and(|claim| question.needed.contains(&claim));
        question.context.iter().filter(states).cloned().collect()
    }

    fn grounded(world: &World, question: &Question, trace: &[String], answer: &str) -> Grounding {
        // The answer of a message restates its words itself.
        let answer = if question.cue.is_empty() { answer.into() } else { format!("{} : {answer}", question.cue) };
        let text = format!("{} </think> <answer> {answer} <eos>", trace.join(" "));
        let judgement = judge(world, question, Opening::Think, &text, true);
        assert!(judgement.well_formed);
        judgement.grounding.unwrap()
    }

    #[test]
    fn an_answer_is_known_from_what_it_needs_and_guessed_without_any_of_it() {
        let (world, full) = (world(), crate::knowledge::world::tests::full(2));
        let sets = [(&world, Set::A), (&world, Set::B), (&full, Set::B)];
        for (world, question) in
            sets.into_iter().flat_map(|(world, set)| world.questions(set).into_iter().map(move |q| (world, q)))
        {
            let facts = needed(world, &question);
            assert_eq!(facts.len(), question.needed.len());
            for known in [&facts, &question.context] {
                assert_eq!(grounded(world, &question, known, &question.answer), Grounding::Known, "{question:?}");
            }
            for left_out in 0..facts.len() {
                let mut less = facts.clone();
                less.remove(left_out);
                assert_eq!(grounded(world, &question, &less, &question.answer), Grounding::Guessed, "{question:?}");
            }
            for wrong in question.choices.iter().filter(|choice| **choice != question.answer) {
                assert_eq!(grounded(world, &question, &facts, wrong), Grounding::Guessed);
            }
        }
    }

    #[test]
    fn what_follows_from_a_false_recitation_is_not_known() {
        let world = world();
        let question = question(&world, OPEN, "");
        let wrong = question.choices.iter().find(|choice| **choice != question.answer).unwrap();
        let truth = needed(&world, &question);
        let falsehood = vec![truth[0].replace(&question.answer, wrong)];
        assert_eq!(grounded(&world, &question, &falsehood, wrong), Grounding::Follows);
        assert_eq!(grounded(&world, &question, &falsehood, &question.answer), Grounding::Guessed);
        // Whoever recites both has recited no answer, whichever of the two is given.
        let both = [truth, falsehood].concat();
        assert_eq!(grounded(&world, &question, &both, &question.answer), Grounding::Guessed);
        assert_eq!(grounded(&world, &question, &both, wrong), Grounding::Guessed);
    }

    #[test]
    fn a_false_middle_term_still_leads_to_the_answer_but_is_not_knowledge() {
        let world = world();
        let question = question(&world, ENTAILMENT, "yes");
        let middle = |claim: &Claim| match claim {
            Claim::Categorical { predicate, .. } => predicate.clone(),
            Claim::Relation { .. } => unreachable!(),
        };
        let lexicon = &world.grammar.lexicon;
        let other = lexicon.names("terms").iter().map(|term| lexicon.spell(*term)).find(|term| {
            let claims = question.needed.iter().map(|claim| format!("{claim:?}")).collect::<String>();
            !claims.contains(term)
        });
        let (old, new) = (middle(&question.needed[0]), other.unwrap());
        let trace: Vec<String> = needed(&world, &question).iter().map(|s| s.replace(&old, new)).collect();
        assert_eq!(grounded(&world, &question, &trace, "yes"), Grounding::Follows);
    }

    /// Statements about a few terms that are letters.
    struct Letters;

    impl Facts for Letters {
        fn read(&self, sentence: &str) -> Option<Claim> {
            let words: Vec<&str> = sentence.split_whitespace().take(6).collect();
            let ["of", subject, quantifier, copula, predicate, "."] = words[..] else { return None };
            let mood = match (quantifier, copula) {
                ("all", "are") => Mood::All,
                ("none", "are") => Mood::No,
                ("some", "are") => Mood::Some,
                ("some", "aren't") => Mood::SomeNot,
                _ => return None,
            };
            Some(Claim::Categorical { subject: subject.into(), mood, predicate: predicate.into() })
        }

        fn holds(&self, claim: &Claim) -> bool {
            matches!(claim, Claim::Categorical { subject, .. } if subject < &"d".to_string())
        }
    }

    fn letters(trace: &str, answer: &str) -> Grounding {
        let needed = vec![Letters.read("of a all are c .").unwrap()];
        let question = Question { cue: "of a some are b".into(), needed, ..Question::blank(ENTAILMENT) };
        let text = format!("{trace} </think> <answer> of a some are b : {answer} <eos>");
        judge(&Letters, &question, Opening::Think, &text, true).grounding.unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn no_trace_grounds_two_answers(
            trace in prop::collection::vec("of [a-f] (all|none|some) (are|aren't) [a-f] \\.|\\PC{0,9}", 0..30)
        ) {
            let trace = trace.join(" ");
            let grounded = |least| ["yes", "no", "unknown"].map(|a| letters(&trace, a)).iter().filter(|g| **g >= least).count();
            prop_assert!(grounded(Grounding::Follows) <= 1);
            prop_assert!(grounded(Grounding::Known) <= grounded(Grounding::Follows));
        }
    }

    #[test]
    fn long_traces_come_to_an_end() {
        // Work that grew with the square of the length would take hours.
        let trace: String = (0..200_000).map(|i| format!("of t{i} all are t{} . ", i + 1)).collect();
        assert_eq!(letters(&trace, "unknown"), Grounding::Guessed);
    }

    #[test]
    fn contradictions_and_endless_lists_ground_nothing() {
        let world = world();
        let question = question(&world, ENTAILMENT, "unknown");
        let facts = needed(&world, &question);
        assert_eq!(grounded(&world, &question, &[], "unknown"), Grounding::Guessed, "silence");
        let conclusion = question.cue.clone() + " .";
        let both = ["all are", "none are"].map(|words| {
            let Some(Claim::Categorical { subject, predicate, .. }) = world.read(&conclusion) else { unreachable!() };
            format!("of {subject} {words} {predicate} .")
        });
        for answer in ["yes", "no", "unknown"] {
            assert_eq!(grounded(&world, &question, &both, answer), Grounding::Guessed);
        }
        let lexicon = &world.grammar.lexicon;
        let spell = |index: usize| lexicon.spell(lexicon.names("terms")[index]);
        let list = (0..MOST_PREMISES).map(|i| format!("of {} some are {} .", spell(i), spell(i + 1)));
        let list: Vec<String> = facts.into_iter().chain(list).collect();
        assert_eq!(grounded(&world, &question, &list, "unknown"), Grounding::Guessed);
    }
}
