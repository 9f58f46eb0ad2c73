//! Does the answer follow from what the trace recited? A right answer that does not was a guess.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Facts, Recitation, argument};
use crate::knowledge::logic::Statement;
use crate::knowledge::syllogism::spell;
use crate::knowledge::{Claim, Form, Mood, Question};
use crate::language::reading::same_words;

/// How an answer stands to the trace before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grounding {
    /// It does not follow from what was recited, or other answers follow as well.
    Guessed,
    /// It follows, and no other answer does, but not from the true recitations alone.
    Follows,
    /// It follows, and it follows from the true recitations alone.
    Known,
}

/// Different premises of one trace that are still an argument. More are a list, and nothing is said to follow from it:
/// time stays linear in whatever a policy writes.
const MOST_PREMISES: usize = 64;

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
    // One pass: a hostile trace has a million sentences.
    let claims: Vec<&Recitation> = recitations.iter().filter(|recitation| recitation.claim.is_some()).collect();
    let follows = |keep: fn(&&&Recitation) -> bool| {
        let claims = claims.iter().filter(keep).filter_map(|recitation| recitation.claim.as_ref()).collect();
        said(facts, question, &claims).is_some_and(|said| same_words(&said, answer))
    };
    Some(match (follows(|_| true), follows(|recitation| recitation.is_true)) {
        (true, true) => Grounding::Known,
        (true, false) => Grounding::Follows,
        (false, _) => Grounding::Guessed,
    })
}

/// The one answer that the claims give to the question, if there is one.
fn said<'a>(facts: &dyn Facts, question: &'a Question, claims: &BTreeSet<&'a Claim>) -> Option<Cow<'a, str>> {
    match question.needed.first()? {
        Claim::Relation { .. } if matches!(question.form, Form::Encode | Form::Decode) => {
            let pair = |needed: &'a Claim| {
                let Claim::Relation { subject, object, .. } = needed else { return None };
                let given = if question.form == Form::Encode { subject } else { object };
                looked_up(question.form, needed, claims).map(|said| format!("{given} : {said}"))
            };
            let pairs = question.needed.iter().map(pair).collect::<Option<Vec<String>>>()?;
            Some(pairs.join(" ").into())
        }
        needed @ Claim::Relation { .. } => looked_up(question.form, needed, claims).map(Cow::from),
        Claim::Categorical { .. } if question.form == Form::Entailment => {
            let asked = facts.read(&format!("{} .", question.cue))?;
            decided(facts, categorical(&asked)?, claims).map(Cow::from)
        }
        Claim::Categorical { .. } => {
            // Which of the choices is it that the kind is, or that is the kind?
            let follows = |choice: &&String| {
                let (kind, is) = match question.form {
                    Form::Reversed => (choice.as_str(), question.named()),
                    _ => (question.named(), choice.as_str()),
                };
                decided(facts, (kind, Mood::All, is), claims) == Some("yes")
            };
            let mut right = question.choices.iter().filter(follows);
            let first = right.next()?;
            right.next().is_none().then(|| first.as_str().into())
        }
    }
}

/// What the claims say in the place of what is asked for: the object of the needed claim where a message is encoded, its
/// subject elsewhere.
fn looked_up<'a>(form: Form, needed: &Claim, claims: &BTreeSet<&'a Claim>) -> Option<&'a str> {
    let Claim::Relation { group, subject, relation, object } = needed else { return None };
    let mut said = claims.iter().filter_map(|claim| match claim {
        Claim::Relation { group: g, subject: s, relation: r, object: o }
            if r == relation && (form == Form::OpenAny || g == group) =>
        {
            match form {
                Form::Encode => (s == subject).then_some(o.as_str()),
                _ => (o == object).then_some(s.as_str()),
            }
        }
        _ => None,
    });
    let first = said.next()?;
    said.all(|other| other == first).then_some(first)
}

/// "yes", "no" or "unknown", by the premises among the claims.
fn decided(facts: &dyn Facts, asked: (&str, Mood, &str), claims: &BTreeSet<&Claim>) -> Option<&'static str> {
    let premises: Vec<(&str, Mood, &str)> = claims.iter().filter_map(|claim| categorical(claim)).collect();
    let (subject, mood, predicate) = asked;
    if premises.len() > MOST_PREMISES {
        return None;
    }
    let ends = [subject, predicate];
    let terms: BTreeSet<&str> = premises.iter().flat_map(|(s, _, p)| [*s, *p]).chain(ends).collect();
    let number = |term: &str| terms.iter().position(|other| *other == term);
    let statement = |(s, mood, p): (&str, Mood, &str)| Some(Statement::new(number(s)?, mood, number(p)?));
    let statements = premises.into_iter().map(statement).collect::<Option<Vec<Statement>>>()?;
    let conclusion = statement((subject, mood, predicate))?;
    if !argument::connected(terms.len(), &statements, conclusion.subject, conclusion.predicate) {
        return None;
    }
    argument::verdict(terms.len(), &statements, conclusion, facts.import()).map(spell)
}

fn categorical(claim: &Claim) -> Option<(&str, Mood, &str)> {
    match claim {
        Claim::Categorical { subject, mood, predicate } => Some((subject, *mood, predicate)),
        Claim::Relation { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KnownSection;
    use crate::knowledge::{Match, Set, World, WorldConfig};
    use crate::language::Opening;
    use crate::verifier::judge;
    use proptest::prelude::*;

    fn world() -> World {
        World::new(&KnownSection::default().known(), &WorldConfig::default()).unwrap()
    }

    #[test]
    fn codes_and_kinds_are_known_from_what_they_need_as_well() {
        let world = crate::knowledge::world::tests::full(2);
        let newer = |q: &Question| !matches!(q.form, Form::Candidates | Form::Open | Form::OpenAny | Form::Entailment);
        for question in world.questions(Set::B).into_iter().filter(newer) {
            let facts = needed(&world, &question);
            assert_eq!(facts.len(), question.needed.len());
            assert_eq!(answered(&world, &question, &facts, &question.answer), Grounding::Known, "{question:?}");
            assert_eq!(
                answered(&world, &question, &question.context, &question.answer),
                Grounding::Known,
                "{question:?}"
            );
            for left_out in 0..facts.len() {
                let mut less = facts.clone();
                less.remove(left_out);
                assert_eq!(answered(&world, &question, &less, &question.answer), Grounding::Guessed, "{question:?}");
            }
            for wrong in question.choices.iter().filter(|choice| **choice != question.answer) {
                assert_eq!(answered(&world, &question, &facts, wrong), Grounding::Guessed);
            }
        }
    }

    /// As [`grounded`], where the answer of a message restates its words itself.
    fn answered(world: &World, question: &Question, trace: &[String], answer: &str) -> Grounding {
        let answer = if question.cue.is_empty() { answer.into() } else { format!("{} : {answer}", question.cue) };
        let text = format!("{} </think> <answer> {answer} <eos>", trace.join(" "));
        let judgement = judge(world, question, Opening::Think, &text, true);
        assert!(judgement.well_formed);
        judgement.grounding.unwrap()
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
        let text = format!("{} </think> <answer> {} : {answer} <eos>", trace.join(" "), question.cue);
        judge(world, question, Opening::Think, &text, true).grounding.unwrap()
    }

    #[test]
    fn an_answer_is_known_from_the_needed_facts_and_guessed_without_any_of_them() {
        let world = world();
        for set in [Set::A, Set::B] {
            for question in world.questions(set) {
                let facts = needed(&world, &question);
                assert_eq!(grounded(&world, &question, &facts, &question.answer), Grounding::Known, "{question:?}");
                assert_eq!(grounded(&world, &question, &question.context, &question.answer), Grounding::Known);
                assert_eq!(grounded(&world, &question, &facts[1..], &question.answer), Grounding::Guessed);
                for wrong in question.choices.iter().filter(|choice| **choice != question.answer) {
                    assert_eq!(grounded(&world, &question, &facts, wrong), Grounding::Guessed);
                }
            }
        }
    }

    #[test]
    fn what_follows_from_a_false_recitation_is_not_known() {
        let world = world();
        let question = question(&world, Form::Open, "");
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
        let question = question(&world, Form::Entailment, "yes");
        let middle = |claim: &Claim| match claim {
            Claim::Categorical { predicate, .. } => predicate.clone(),
            Claim::Relation { .. } => unreachable!(),
        };
        let lexicon = &world.grammar.lexicon;
        let other = lexicon.terms.iter().map(|term| lexicon.spell(*term)).find(|term| {
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
        let question = Question {
            id: 1,
            task: crate::knowledge::Task::Syllogism,
            form: Form::Entailment,
            set: Set::A,
            text: String::new(),
            cue: "of a some are b".into(),
            answer: "yes".into(),
            aliases: vec![],
            matching: Match::Exact,
            choices: vec![],
            needed: vec![Letters.read("of a all are c .").unwrap()],
            context: vec![],
            chance: 0.5,
        };
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
        let question = question(&world, Form::Entailment, "unknown");
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
        let spell = |index: usize| lexicon.spell(lexicon.terms[index]);
        let list = (0..MOST_PREMISES).map(|i| format!("of {} some are {} .", spell(i), spell(i + 1)));
        let list: Vec<String> = facts.into_iter().chain(list).collect();
        assert_eq!(grounded(&world, &question, &list, "unknown"), Grounding::Guessed);
    }
}
