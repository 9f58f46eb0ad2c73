//! The terms, one for each thing that a reward may pay for or charge. A term only measures: its value lies
//! between 0 and 1, and the sign of its weight says whether that is good.

use serde::{Deserialize, Deserializer, Serialize};
use strum::{IntoStaticStr, VariantNames};

use super::External;
use super::terms::{Correct, Groundedness, Length, ModelTerm, RegexTerm, Relevance, Repetition, Truth};
use crate::knowledge::{Form, Match};
use crate::strict_toml::Problem;
use crate::verifier::Judgement;

/// Everything that a term may look at.
#[derive(Clone, Copy, Debug)]
pub struct TermInput<'a> {
    pub judgement: &'a Judgement,
    /// The question as a person reads it.
    pub prompt: &'a str,
    /// Everything that the policy wrote, behind what its thought was given.
    pub completion: &'a str,
    /// What that is.
    pub given: &'a str,
    /// The right answer that is shown, and others that are right as well.
    pub expected: &'a str,
    pub aliases: &'a [String],
    /// How an answer is compared with these.
    pub matching: Match,
    /// How the question is put.
    pub form: Form,
    /// Tokens that the policy wrote, the end token included.
    pub tokens: usize,
    /// It ended by itself rather than by running out of tokens.
    pub finished: bool,
    /// The optimizer step that it was sampled for, from 1.
    pub step: u64,
}

/// What is written of a term without keys of its own.
fn no_keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct NoKeys {}
    NoKeys::deserialize(deserializer).map(|NoKeys {}| ())
}

/// One measure of a completion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, IntoStaticStr, VariantNames)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Term {
    /// The right answer of a completion that ended by itself; other answers may earn a part.
    Correct(Correct),
    /// 1 if trace, answer and end stand where the format wants them, else 0.
    #[serde(deserialize_with = "no_keys")]
    Format,
    /// Share of the sentences of the trace that are true facts.
    Recitation(Truth),
    /// The facts that the answer needs: how many the trace holds, or lacks, or how much else it says.
    Relevance(Relevance),
    /// 1 where the answer follows from what was recited.
    Groundedness(Groundedness),
    /// From 0 for short completions to 1 for long ones. A negative weight makes length cost something.
    Length(Length),
    /// Share of the completion that was said before. A negative weight punishes it.
    Repetition(Repetition),
    /// 1 if the completion ran out of tokens, else 0. A negative weight punishes it.
    #[serde(deserialize_with = "no_keys")]
    Truncated,
    /// 1 where a regular expression is found.
    Regex(RegexTerm),
    /// What another model says.
    Model(ModelTerm),
    /// What a command of the user says.
    External(External),
}

impl Term {
    /// The kinds by name, as they are written in a reward file.
    pub const KINDS: &[&str] = Term::VARIANTS;

    /// The name of this kind.
    pub fn kind(&self) -> &'static str {
        self.into()
    }

    /// The value for one completion, from 0 to 1. Total: any text has one, in linear time. `None` where a command has
    /// to be asked, which a [`Scorer`](super::Scorer) does.
    pub fn value(&self, evidence: &TermInput) -> Option<f64> {
        let judgement = evidence.judgement;
        Some(match self {
            Term::Correct(correct) => correct.value(evidence),
            Term::Format => f64::from(judgement.well_formed),
            Term::Recitation(truth) => truth.value(judgement, evidence.prompt),
            Term::Relevance(relevance) => relevance.value(judgement),
            Term::Groundedness(groundedness) => groundedness.value(judgement),
            Term::Length(length) => length.value(evidence.tokens),
            Term::Repetition(repetition) => repetition.value(evidence.completion),
            Term::Truncated => f64::from(!evidence.finished),
            Term::Regex(regex) => regex.value(evidence.completion, judgement.answer.as_deref()),
            Term::Model(_) | Term::External(_) => return None,
        })
    }

    /// Which sentences of the trace the value comes from; none where it is of the completion as a whole.
    pub fn of_sentences(&self, evidence: &TermInput) -> Option<Vec<bool>> {
        match self {
            Term::Recitation(truth) => Some(truth.of_sentences(evidence.judgement, evidence.prompt)),
            Term::Relevance(relevance) => relevance.of_sentences(evidence.judgement),
            _ => None,
        }
    }

    /// Whether there are such sentences.
    pub fn comes_from_sentences(&self) -> bool {
        match self {
            Term::Recitation(_) => true,
            Term::Relevance(relevance) => relevance.counts_sentences(),
            _ => false,
        }
    }

    /// Parameters of the right type that lie outside of their range.
    pub(super) fn problems(&self) -> Vec<Problem> {
        match self {
            Term::Length(length) => length.problems(),
            Term::Repetition(repetition) => repetition.problems(),
            Term::Regex(regex) => regex.problems(),
            Term::Model(model) => model.problems(),
            Term::External(external) => external.problems(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::knowledge::reversal::CANDIDATES;
    use crate::reward::terms::{Claims, Counted, Credit, LengthShape, Truth};
    use crate::verifier::{Grounding, Recitation};
    use proptest::prelude::*;

    /// A completion that recited `facts` (true or not) and found one of two needed claims.
    pub fn judgement(correct: bool, facts: &[bool]) -> Judgement {
        let recitation =
            |is_true: &bool| Recitation { text: "x .".into(), claim: None, is_true: *is_true, relevant: false };
        let recitations = facts.iter().map(recitation).collect();
        let (well_formed, grounding) = (!correct, None);
        Judgement { answer: None, correct, well_formed, recitations, needed_found: 1, needed: 2, grounding }
    }

    /// A completion of five tokens that ended by itself.
    pub fn evidence(judgement: &Judgement) -> TermInput<'_> {
        let (aliases, matching) = (&[], Match::Exact);
        TermInput {
            judgement,
            prompt: "",
            completion: "",
            given: "",
            expected: "",
            aliases,
            matching,
            form: CANDIDATES,
            tokens: 5,
            finished: true,
            step: 1,
        }
    }

    fn value(term: Term, evidence: TermInput) -> f64 {
        term.value(&evidence).unwrap()
    }

    fn any_judgement() -> impl Strategy<Value = Judgement> {
        let facts = prop::collection::vec(any::<bool>(), 0..20);
        let grounding =
            prop::option::of(prop::sample::select(vec![Grounding::Guessed, Grounding::Follows, Grounding::Known]));
        let answer = prop::option::of(any::<String>());
        (any::<bool>(), facts, any::<usize>(), any::<usize>(), grounding, answer).prop_map(
            |(correct, facts, needed_found, needed, grounding, answer)| Judgement {
                needed_found,
                needed,
                grounding,
                answer,
                ..judgement(correct, &facts)
            },
        )
    }

    /// Any term but an external one, with parameters that a file may or may not give.
    pub fn any_term() -> impl Strategy<Value = Term> {
        let shape = prop::sample::select(vec![LengthShape::Linear, LengthShape::Cosine]);
        let length = (any::<usize>(), any::<Option<usize>>(), any::<usize>(), shape)
            .prop_map(|(free, buffer, limit, shape)| Term::Length(Length { free, buffer, limit, shape }));
        let repetition = (0..70usize).prop_map(|words| Term::Repetition(Repetition { words }));
        let truth = [(false, true), (true, false), (false, false)];
        let truth = truth.map(|(distinct, on_topic)| Term::Recitation(Truth { distinct, on_topic }));
        let plain = [Term::Format, Term::Truncated].into_iter().chain(truth);
        let correct = [Credit::Exact, Credit::SetF1, Credit::Partial].map(|credit| Term::Correct(Correct { credit }));
        let counts = [Counted::Found, Counted::Missing, Counted::Surplus];
        let relevance = counts.map(|count| Term::Relevance(Relevance { count }));
        let grounded = [Claims::Recited, Claims::True].map(|claims| Term::Groundedness(Groundedness { claims }));
        let fixed: Vec<Term> = plain.chain(correct).chain(relevance).chain(grounded).collect();
        let regex = prop::sample::select(vec!["[", "a", "^[^.]+$", r"(a|é)+\s"]).prop_map(|pattern| {
            let read = format!("pattern = '{pattern}'\nof = 'trace'").parse::<toml::Table>().unwrap();
            Term::Regex(read.try_into().unwrap())
        });
        prop_oneof![4 => prop::sample::select(fixed), 1 => length, 1 => repetition, 1 => regex]
    }

    /// Texts that a policy, or somebody who wishes the reward ill, may write.
    fn hostile() -> impl Strategy<Value = String> {
        let words = vec!["a", ".", ",", "</think>", "<answer>", "<eos>", ":", "\u{0}", "\u{feff}", "\u{a0}", "é", "👩‍👩‍👧"];
        let word = prop::sample::select(words);
        let soup = prop::collection::vec(word.clone(), 0..60).prop_map(|words| words.join(" "));
        let repeated = (word, 0..500usize).prop_map(|(word, times)| format!("{word} ").repeat(times));
        prop_oneof![soup, repeated, any::<String>()]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        #[test]
        fn every_value_lies_between_0_and_1(
            term in any_term(), judgement in any_judgement(), completion in hostile(), expected in hostile(),
            tokens in any::<usize>(), finished in any::<bool>(), step in any::<u64>(),
            aliases in prop::collection::vec(hostile(), 0..2), matching in prop::sample::select(Match::ALL.to_vec()),
        ) {
            let (judgement, prompt, completion, expected) = (&judgement, &*completion, &*completion, &*expected);
            let (aliases, form) = (&aliases, CANDIDATES);
            let written = TermInput { judgement, prompt, completion, expected, aliases, ..self::evidence(judgement) };
            let evidence = TermInput { matching, form, tokens, finished, step, ..written };
            let value = value(term, evidence);
            prop_assert!((0.0..=1.0).contains(&value), "{}", value);
        }

        #[test]
        fn a_true_fact_more_never_lowers_the_recitation(facts in prop::collection::vec(any::<bool>(), 0..20)) {
            let more = [&facts[..], &[true]].concat();
            let at = |facts: &[bool]| value(Term::Recitation(Truth::default()), evidence(&judgement(true, facts)));
            prop_assert!(at(&facts) <= at(&more));
        }

        #[test]
        fn the_right_answer_is_worth_1_under_every_credit(answer in "[a-z ,.]{0,20}") {
            for credit in [Credit::Exact, Credit::SetF1, Credit::Partial] {
                let judgement = Judgement { answer: Some(answer.clone()), ..judgement(true, &[]) };
                let evidence = TermInput { expected: &answer, ..evidence(&judgement) };
                prop_assert_eq!(value(Term::Correct(Correct { credit }), evidence), 1.0);
            }
        }
    }
}
