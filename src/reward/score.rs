//! From terms to one number for each completion, with every term kept.

use serde::{Deserialize, Serialize};

use super::{Term, TermInput};
use crate::knowledge::Form;

/// A reward: terms in the order of their file.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Reward {
    /// What is compared within a group.
    pub normalise: Normalise,
    pub terms: Vec<Weighted>,
}

/// What the advantage is made from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Normalise {
    /// The weighted sum of the terms.
    #[default]
    Sum,
    /// Each term by itself: its advantages are added up by weight and put on one scale over the step, so that a term
    /// that varies little is not drowned by one that varies much (GDPO, Liu et al. 2026, arXiv 2601.05242).
    Terms,
}

/// One term and what it is worth.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Weighted {
    /// What the term is called in metrics; its kind unless the file names it.
    pub name: String,
    /// Finite. 0 measures and logs the term without paying for it.
    pub weight: f64,
    /// The term counts by the value of the term with this name: not at all where that is 0.
    pub only_if: Option<String>,
    /// The term counts by what the term with this name lacks of 1: not at all where that is 1.
    pub unless: Option<String>,
    /// The term counts for questions of these forms, and is 0 for others; none: for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub forms: Vec<Form>,
    /// Values outside of this range are set to its nearer end, before any gate.
    pub clip: Option<ValueRange>,
    /// How the weight changes.
    pub anneal: Option<Anneal>,
    /// Who is paid.
    pub pays: Payee,
    pub term: Term,
}

/// What is paid for by a term.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Payee {
    /// Completions: the term is a part of their total.
    #[default]
    Completion,
    /// Single sentences of the trace, beside the total: the term has to come from sentences, and the algorithm to compare
    /// them (`credit = "sentence"`).
    Sentence,
}

/// A range of values, within 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ValueRange {
    pub low: f64,
    pub high: f64,
}

impl Default for ValueRange {
    fn default() -> Self {
        ValueRange { low: 0.0, high: 1.0 }
    }
}

/// The weight goes in a straight line to another one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anneal {
    /// The weight from step `end` on.
    pub to: f64,
    /// Up to this step the weight stays what it is.
    #[serde(default)]
    pub start: u64,
    /// After `start`.
    pub end: u64,
}

/// What one completion is worth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The sum of the weighted values; `None` where one that has a weight is not known.
    pub total: Option<f64>,
    /// Every term, in the order of the file.
    pub terms: Vec<TermScore>,
}

/// One term of a score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TermScore {
    pub name: String,
    /// From 0 to 1, after clip and gates and before the weight; `None` where the command that decides it gave none.
    pub value: Option<f64>,
    /// The weight of this step in the total.
    pub weight: f64,
}

impl TermScore {
    /// What the term adds to the total: without a weight nothing, whatever its value would have been.
    pub fn paid(&self) -> Option<f64> {
        if self.weight == 0.0 { Some(0.0) } else { self.value.map(|value| self.weight * value) }
    }
}

impl Weighted {
    /// A term under the name of its kind, with nothing but a weight.
    pub fn new(term: Term, weight: f64) -> Weighted {
        let name = term.kind().to_string();
        let (only_if, unless, forms) = (None, None, Vec::new());
        Weighted { name, weight, only_if, unless, forms, clip: None, anneal: None, pays: Payee::Completion, term }
    }

    /// The weight in the total at an optimizer step, counted from 1.
    pub fn weight_at(&self, step: u64) -> f64 {
        if self.pays == Payee::Completion { self.current(step) } else { 0.0 }
    }

    /// The weight at an optimizer step.
    fn current(&self, step: u64) -> f64 {
        match self.anneal {
            Some(Anneal { to, start, end }) if step > start => {
                let way = (step - start) as f64 / end.saturating_sub(start).max(1) as f64;
                if way >= 1.0 { to } else { self.weight + way * (to - self.weight) }
            }
            _ => self.weight,
        }
    }

    /// Every weight in the total that it starts or ends with.
    pub fn weights(&self) -> impl Iterator<Item = f64> {
        let both = std::iter::once(self.weight).chain(self.anneal.map(|anneal| anneal.to));
        both.map(|weight| if self.pays == Payee::Completion { weight } else { 0.0 })
    }

    /// Whether it counts for questions of this form.
    pub fn is_about(&self, form: Form) -> bool {
        self.forms.is_empty() || self.forms.contains(&form)
    }

    /// The least and the greatest value that can be paid for.
    fn values(&self) -> (f64, f64) {
        let ValueRange { low, high } = self.clip.unwrap_or_default();
        let gated = self.only_if.is_some() || self.unless.is_some() || !self.forms.is_empty();
        (if gated { 0.0 } else { low }, high)
    }
}

impl Reward {
    /// What this completion is worth: a finite number within `range`, or not known. `external` says what the commands
    /// among the terms answered, in their order.
    pub fn score(&self, evidence: &TermInput, external: &mut dyn Iterator<Item = Option<f64>>) -> Score {
        let measured: Vec<Option<f64>> = self
            .terms
            .iter()
            .map(|term| {
                let value = term.term.value(evidence).or_else(|| external.next().flatten());
                if !term.is_about(evidence.form) {
                    return Some(0.0);
                }
                let ValueRange { low, high } = term.clip.unwrap_or_default();
                // Not `clamp`, which panics on a range that a file would have been refused for.
                value.map(|value| value.max(low).min(high))
            })
            .collect();
        let mut gated = vec![None; measured.len()];
        let terms: Vec<TermScore> = self
            .terms
            .iter()
            .enumerate()
            .map(|(index, term)| TermScore {
                name: term.name.clone(),
                value: self.gated(&measured, &mut gated, index),
                weight: term.weight_at(evidence.step),
            })
            .collect();
        let total = terms.iter().map(TermScore::paid).sum();
        Score { total, terms }
    }

    /// The value of a term behind its gates, each of which may stand behind others. `done` holds those that are known.
    fn gated(&self, measured: &[Option<f64>], done: &mut [Option<Option<f64>>], index: usize) -> Option<f64> {
        if let Some(value) = done[index] {
            return value;
        }
        // Files with a cycle of gates are refused; a cycle that was built by hand ends at this value.
        done[index] = Some(measured[index]);
        let Weighted { only_if, unless, .. } = &self.terms[index];
        let mut gate = |name: &Option<String>, none: f64| match name.as_deref().and_then(|name| self.index(name)) {
            Some(other) => self.gated(measured, done, other),
            None => Some(none),
        };
        let factors = [measured[index], gate(only_if, 1.0), gate(unless, 0.0).map(|unless| 1.0 - unless)];
        // Nothing times whatever is not known is nothing.
        let value = if factors.contains(&Some(0.0)) { Some(0.0) } else { factors.into_iter().product() };
        done[index] = Some(value);
        value
    }

    /// What each sentence of a trace is paid: of every term that pays sentences, those that its value comes from get the weight,
    /// behind the term's clip and gates. `scored` is the score of the completion.
    pub fn of_sentences(&self, evidence: &TermInput, scored: &[TermScore]) -> Vec<f64> {
        let mut sums = Vec::new();
        for (weighted, score) in self.terms.iter().zip(scored).filter(|(term, _)| term.pays == Payee::Sentence) {
            let Some(counted) = weighted.term.of_sentences(evidence) else { continue };
            sums.resize(counted.len(), 0.0);
            // Where the value is 0 no sentence counts.
            let Some(value) = weighted.term.value(evidence).filter(|value| *value > 0.0) else { continue };
            let each = weighted.current(evidence.step) * score.value.unwrap_or_default() / value;
            sums.iter_mut().zip(counted).filter(|(_, counts)| *counts).for_each(|(sum, _)| *sum += each);
        }
        sums
    }

    /// The first term that pays single sentences.
    pub fn paying_sentences(&self) -> Option<&Weighted> {
        self.terms.iter().find(|term| term.pays == Payee::Sentence)
    }

    /// Where the term with this name stands.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.terms.iter().position(|term| term.name == name)
    }

    /// The least and the greatest total that there can be, at any step.
    pub fn range(&self) -> (f64, f64) {
        let extreme = |pick: fn(f64, f64) -> f64| {
            let of = |term: &Weighted| {
                let (low, high) = term.values();
                term.weights().flat_map(|weight| [weight * low, weight * high]).reduce(pick).unwrap_or(0.0)
            };
            self.terms.iter().map(of).sum()
        };
        (extreme(f64::min), extreme(f64::max))
    }
}

#[cfg(test)]
mod tests {
    use super::super::term::tests::{any_term, evidence, judgement};
    use super::super::terms::{Correct, Truth};
    use super::*;
    use crate::knowledge::reversal::{CANDIDATES, OPEN};
    use crate::reward::External;
    use proptest::prelude::*;

    #[test]
    fn a_sentence_is_paid_by_the_terms_that_pay_sentences() {
        let truth = Term::Recitation(Truth::default());
        let sentences = |name: &str, weight| Weighted {
            name: name.into(),
            pays: Payee::Sentence,
            ..Weighted::new(truth.clone(), weight)
        };
        let half = ValueRange { low: 0.0, high: 0.25 };
        let reward = Reward {
            terms: vec![
                Weighted::new(Term::Correct(Correct::default()), 1.0),
                Weighted::new(truth.clone(), 0.5),
                Weighted { only_if: Some("correct".into()), ..sentences("gated", 2.0) },
                Weighted { clip: Some(half), ..sentences("clipped", -1.0) },
                Weighted { anneal: Some(Anneal { to: 0.0, start: 0, end: 1 }), ..sentences("over", 9.0) },
            ],
            ..Reward::default()
        };
        assert_eq!(reward.paying_sentences().unwrap().name, "gated");
        let of = |correct| {
            let judgement = judgement(correct, &[true, false, true, false]);
            let evidence = evidence(&judgement);
            let score = reward.score(&evidence, &mut std::iter::empty());
            (score.total, reward.of_sentences(&evidence, &score.terms))
        };
        // Half of the sentences are true; of what is paid for that, the clip leaves a half.
        assert_eq!(of(true), (Some(1.25), vec![2.0 - 0.5, 0.0, 2.0 - 0.5, 0.0]));
        assert_eq!(of(false), (Some(0.25), vec![-0.5, 0.0, -0.5, 0.0]));
        assert_eq!(reward.range(), (0.0, 1.5));
        let silent = judgement(true, &[]);
        let scored = reward.score(&evidence(&silent), &mut std::iter::empty()).terms;
        assert!(reward.of_sentences(&evidence(&silent), &scored).is_empty());
    }

    fn correct() -> Term {
        Term::Correct(Correct::default())
    }

    #[test]
    fn a_term_with_forms_counts_for_these_alone() {
        let open = |term: Weighted| Weighted { forms: vec![OPEN], ..term };
        let command: External = toml::from_str("command = ['x']").unwrap();
        let reward = Reward {
            terms: vec![
                Weighted { clip: Some(ValueRange { low: 0.2, high: 1.0 }), ..open(Weighted::new(correct(), 1.0)) },
                open(named("first", Term::External(command.clone()), 2.0)),
                named("second", Term::External(command), 4.0),
            ],
            ..Reward::default()
        };
        let judgement = judgement(true, &[]);
        let total = |form| {
            let input = TermInput { form, ..evidence(&judgement) };
            reward.score(&input, &mut [Some(1.0), Some(0.5)].into_iter()).total
        };
        assert_eq!((total(OPEN), total(CANDIDATES)), (Some(5.0), Some(2.0)));
        assert_eq!(reward.range(), (0.0, 7.0));
    }

    fn named(name: &str, term: Term, weight: f64) -> Weighted {
        Weighted { name: name.into(), ..Weighted::new(term, weight) }
    }

    fn values(terms: Vec<Weighted>, evidence: TermInput) -> Vec<f64> {
        let reward = Reward { terms, ..Reward::default() };
        reward.score(&evidence, &mut std::iter::empty()).terms.iter().map(|term| term.value.unwrap()).collect()
    }

    #[test]
    fn a_term_without_weight_is_kept_and_not_paid() {
        let terms = vec![
            Weighted::new(correct(), 2.0),
            Weighted::new(Term::Recitation(Truth::default()), 0.0),
            Weighted::new(Term::Truncated, -0.5),
        ];
        let reward = Reward { terms, ..Reward::default() };
        let judgement = judgement(true, &[true, false]);
        let score = reward.score(&TermInput { finished: false, ..evidence(&judgement) }, &mut std::iter::empty());
        assert_eq!(score.total, Some(1.5));
        let value = |term: &TermScore| term.value.unwrap();
        let terms: Vec<(&str, f64, f64)> = score.terms.iter().map(|t| (t.name.as_str(), value(t), t.weight)).collect();
        assert_eq!(terms, [("correct", 1.0, 2.0), ("recitation", 0.5, 0.0), ("truncated", 1.0, -0.5)]);
        assert_eq!(reward.range(), (-0.5, 2.0));
    }

    #[test]
    fn gates_scale_a_term_and_may_stand_behind_each_other() {
        let half = Weighted::new(Term::Recitation(Truth::default()), 0.0);
        let only = Weighted { only_if: Some("recitation".into()), ..named("only", correct(), 1.0) };
        let unless = Weighted { unless: Some("recitation".into()), ..named("unless", correct(), 1.0) };
        let both =
            Weighted { only_if: Some("only".into()), unless: Some("unless".into()), ..named("x", correct(), 1.0) };
        let (right, wrong) = (judgement(true, &[true, true, true, false]), judgement(false, &[true]));
        let terms = vec![both, only, unless, half];
        assert_eq!(values(terms.clone(), evidence(&right)), [0.75 * 0.75, 0.75, 0.25, 0.75]);
        assert_eq!(values(terms, evidence(&wrong)), [0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn values_are_clipped_before_their_gate() {
        let clip = Some(ValueRange { low: 0.25, high: 0.5 });
        let clipped = Weighted { clip, ..named("clipped", Term::Recitation(Truth::default()), 2.0) };
        let gated = Weighted { only_if: Some("correct".into()), name: "gated".into(), ..clipped.clone() };
        let terms = vec![clipped, gated, Weighted::new(correct(), 0.0)];
        assert_eq!(values(terms.clone(), evidence(&judgement(false, &[true]))), [0.5, 0.0, 0.0]);
        assert_eq!(values(terms.clone(), evidence(&judgement(true, &[false]))), [0.25, 0.25, 1.0]);
        assert_eq!(Reward { terms, ..Reward::default() }.range(), (0.5, 2.0));
    }

    #[test]
    fn a_weight_is_annealed_in_a_straight_line() {
        let anneal = Some(Anneal { to: -1.0, start: 10, end: 20 });
        let term = Weighted { anneal, ..Weighted::new(correct(), 1.0) };
        assert_eq!([0, 10, 15, 20, u64::MAX].map(|step| term.weight_at(step)), [1.0, 1.0, 0.0, -1.0, -1.0]);
        assert_eq!(Reward { terms: vec![term], ..Reward::default() }.range(), (-1.0, 1.0));
    }

    #[test]
    fn what_is_not_known_is_not_paid_as_nothing() {
        let external = |name: &str, weight| {
            let text = format!("[[term]]\nkind = 'external'\nname = '{name}'\nweight = {weight}\ncommand = ['true']");
            Reward::parse(&format!("{text}\n[[term]]\nkind = 'correct'"), "r.toml").unwrap().terms.remove(0)
        };
        let (judge, logged) = (external("judge", -1.0), external("logged", 0.0));
        let gated = Weighted { only_if: Some("correct".into()), ..external("gated", 1.0) };
        let behind =
            Weighted { unless: Some("judge".into()), ..named("behind", Term::Recitation(Truth::default()), 1.0) };
        let scored = |terms: Vec<Weighted>, right: bool, answers: &[Option<f64>]| {
            let score = Reward { terms, ..Reward::default() }
                .score(&evidence(&judgement(right, &[true])), &mut answers.iter().copied());
            (score.total, score.terms.iter().map(|term| term.value).collect::<Vec<_>>())
        };
        let paid = Weighted::new(correct(), 1.0);
        let of = |term: Weighted, right, answer| scored(vec![term, paid.clone()], right, &[answer]);
        // Under a negative weight a command that fails must not be the best that can happen.
        assert_eq!(of(judge.clone(), true, None), (None, vec![None, Some(1.0)]));
        assert_eq!(of(judge.clone(), true, Some(1.0)), (Some(0.0), vec![Some(1.0), Some(1.0)]));
        assert_eq!(of(logged, true, None), (Some(1.0), vec![None, Some(1.0)]), "it pays nothing anyway");
        assert_eq!(of(gated.clone(), true, None), (None, vec![None, Some(1.0)]));
        assert_eq!(of(gated, false, None), (Some(0.0), vec![Some(0.0), Some(0.0)]), "whatever it would have said");
        let (total, values) = scored(vec![judge.clone(), behind.clone()], true, &[None]);
        assert_eq!((total, values), (None, vec![None, None]), "what stands behind it is not known either");
        let cheap = Weighted { weight: 0.0, ..judge };
        assert_eq!(scored(vec![cheap, behind], true, &[None]).0, None);
    }

    #[test]
    fn hand_built_cycles_end() {
        let one = Weighted { only_if: Some("b".into()), ..named("a", correct(), 1.0) };
        let other = Weighted { only_if: Some("a".into()), ..named("b", correct(), 1.0) };
        assert_eq!(values(vec![one, other], evidence(&judgement(true, &[]))), [1.0, 1.0]);
    }

    /// Terms with every combination of gates on those before them, clips and annealing.
    fn any_terms() -> impl Strategy<Value = Vec<Weighted>> {
        let gate = || prop::option::of(any::<prop::sample::Index>());
        let clip = prop::option::of((0.0..=1.0f64, 0.0..=1.0f64));
        let anneal = prop::option::of((-1e6..1e6f64, any::<u64>(), any::<u64>()));
        let one = (any_term(), -1e6..1e6f64, gate(), gate(), clip, anneal);
        prop::collection::vec(one, 1..8).prop_map(|parts| {
            let terms = parts.into_iter().enumerate();
            terms
                .map(|(at, (term, weight, only_if, unless, clip, anneal))| {
                    let before =
                        |gate: Option<prop::sample::Index>| gate.filter(|_| at > 0).map(|g| g.index(at).to_string());
                    Weighted {
                        only_if: before(only_if),
                        unless: before(unless),
                        clip: clip.map(|(a, b)| ValueRange { low: a.min(b), high: a.max(b) }),
                        anneal: anneal.map(|(to, start, end)| Anneal { to, start, end }),
                        ..named(&at.to_string(), term, weight)
                    }
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn totals_are_finite_and_in_range(
            terms in any_terms(),
            facts in prop::collection::vec(any::<bool>(), 0..9),
            tokens in any::<usize>(),
            step in any::<u64>(),
            flags in any::<(bool, bool)>(),
        ) {
            let reward = Reward { terms, ..Reward::default() };
            let judgement = judgement(flags.0, &facts);
            let evidence = TermInput { tokens, finished: flags.1, step, ..evidence(&judgement) };
            let score = reward.score(&evidence, &mut std::iter::empty());
            prop_assert!(score.terms.iter().all(|term| (0.0..=1.0).contains(&term.value.unwrap())));
            let (low, high) = reward.range();
            let rounding = 1e-9 * (1.0 + high - low);
            let total = score.total.unwrap();
            prop_assert!(total.is_finite());
            prop_assert!(low - rounding <= total && total <= high + rounding);
        }
    }
}
