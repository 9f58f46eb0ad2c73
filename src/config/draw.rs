//! Which questions a step of reinforcement learning asks: how many of each form, and which of those.

use serde::{Deserialize, Serialize};

use super::ranges::MOST_TOKENS;
use super::{Ranges, TrainConfig};
use crate::knowledge::jsonl::task::COMPLETION;
use crate::knowledge::{Division, Form, form_names};
use crate::learner::{Algorithm, Filter, Keep, preflight};
use crate::strict_toml::Problem;

/// The largest share of a form, so that sums of shares stay numbers.
const LARGEST_SHARE: f64 = 1e6;

/// Which questions are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QuestionDraw {
    /// Any of a form, each as often as any other.
    #[default]
    Uniform,
    /// Those most of which completions got wrong when they were last asked: a form by the mean over its questions, a question of
    /// it by its own share, never less than a twentieth. What was not asked yet counts as unsolved.
    Unsolved,
}

impl QuestionDraw {
    pub(super) fn is_uniform(&self) -> bool {
        *self == QuestionDraw::Uniform
    }
}

/// What is otherwise than in `train.algorithm.filter` where questions of a form are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FormFilter {
    /// The completions that get a gradient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<Keep>,
    /// Rounds of sampling beyond the first, in which groups without spread are replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_rounds: Option<usize>,
}

impl TrainConfig {
    /// Which completions of questions of this form are learned from; `usual` is the filter of the algorithm.
    pub fn filter_of(&self, form: Form, usual: Filter) -> Filter {
        let FormFilter { keep, extra_rounds } = self.form_filters.get(form).copied().unwrap_or_default();
        let (keep, extra_rounds) = (keep.unwrap_or(usual.keep), extra_rounds.unwrap_or(usual.extra_rounds));
        Filter { keep, extra_rounds, ..usual }
    }

    /// The most rounds of sampling beyond the first, of all forms that are asked.
    pub fn most_extra_rounds(&self, usual: Filter) -> usize {
        self.forms.iter().map(|form| self.filter_of(form, usual).extra_rounds).max().unwrap_or(0)
    }

    /// Questions of each form in one step, in the order of `forms`: one at least, the others by share (Sainte-Laguë). `left` is
    /// what a form has left to teach beside others, above 0.
    pub fn questions_by_form(&self, left: impl Fn(Form) -> f64) -> Vec<usize> {
        let shares: Vec<f64> =
            self.forms.iter().map(|form| left(form) * self.form_shares.get(form).unwrap_or(&1.0)).collect();
        let mut counts = vec![1; shares.len()];
        for _ in counts.len()..self.questions_per_step {
            let claim = |at: usize| shares[at] / (2 * counts[at] + 1) as f64;
            // The first of those that have the largest claim.
            let next = (0..counts.len()).reduce(|best, at| if claim(at) > claim(best) { at } else { best });
            next.into_iter().for_each(|at| counts[at] += 1);
        }
        counts
    }

    /// Questions in one step: a small world has fewer than are asked for.
    pub fn questions_of_step(&self, division: &Division) -> usize {
        let by_form = self.forms.iter().zip(self.questions_by_form(|_| 1.0));
        by_form.map(|(form, count)| count.min(division.trained(form).len())).sum()
    }

    /// Longest completion of a question of this form, in tokens.
    pub fn max_new_tokens_of(&self, form: Form) -> usize {
        *self.form_max_new_tokens.get(form).unwrap_or(&self.max_new_tokens)
    }

    /// Longest completion that training samples, and the key that says so.
    pub fn longest_completion(&self) -> (&'static str, usize) {
        let of_forms = self.forms.iter().map(|form| ("train.form_max_new_tokens", self.max_new_tokens_of(form)));
        let usual = ("train.max_new_tokens", self.max_new_tokens);
        of_forms.fold(usual, |longest, form| if form.1 > longest.1 { form } else { longest })
    }

    pub(super) fn check_forms(&self, ranges: &mut Ranges) {
        ranges.demand(!self.forms.is_empty(), "train.forms", "none", "one form or more");
        let twice = (1..self.forms.len()).find(|at| self.forms[..*at].contains(&self.forms[*at]));
        if let Some(form) = twice.map(|at| self.forms[at]) {
            let allowed = format!("each form once; train.form_shares = {{ {form} = 2 }} asks it twice as often");
            ranges.demand(false, "train.forms", format!("{form} twice"), allowed);
        }
        let alone = !self.forms.contains(&COMPLETION) || self.forms.len() == 1;
        ranges.demand(alone, "train.forms", form_names(&self.forms), "completion alone, which stands for all forms");
        for (form, share) in &self.form_shares {
            ranges.positive(&format!("train.form_shares.{form}"), *share, LARGEST_SHARE);
        }
        for (form, tokens) in &self.form_max_new_tokens {
            ranges.count(&format!("train.form_max_new_tokens.{form}"), *tokens, 2..=MOST_TOKENS);
        }
        // An algorithm that is wrong by itself is refused elsewhere.
        if let Ok(usual) = self.algorithm.resolve() {
            for form in self.form_filters.keys() {
                let algorithm = Algorithm { filter: self.filter_of(form, usual.filter), ..usual };
                let place = format!("train.form_filters.{form}");
                let of_form = |problem: Problem| {
                    let key = problem.key.strip_prefix("filter.").unwrap_or("keep");
                    Problem { key: format!("{place}.{key}"), ..problem }
                };
                ranges.problems.extend(preflight::problems(&algorithm).into_iter().map(of_form));
            }
        }
        let shares = self.form_shares.keys().map(|form| ("train.form_shares", *form));
        let tokens = self.form_max_new_tokens.keys().map(|form| ("train.form_max_new_tokens", *form));
        let filters = self.form_filters.keys().map(|form| ("train.form_filters", *form));
        for (key, form) in shares.chain(tokens).chain(filters).filter(|(_, form)| !self.forms.contains(form)) {
            ranges.demand(false, key, form, format!("forms that train.forms names: {}", form_names(&self.forms)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::reversal::{CANDIDATES, OPEN};
    use crate::knowledge::syllogism::ENTAILMENT;

    fn asked(questions: usize, shares: &[(Form, f64)]) -> Vec<usize> {
        let train = TrainConfig {
            questions_per_step: questions,
            form_shares: shares.iter().copied().collect(),
            ..TrainConfig::default()
        };
        train.questions_by_form(|_| 1.0)
    }

    #[test]
    fn a_form_may_have_a_filter_of_its_own_and_it_has_to_suit_the_algorithm() {
        let of = |text: &str| crate::config::Config::parse(text, "x", "x", &[]);
        let config = of("[train]\nalgorithm = 'dapo'\nform_filters = { open = { extra_rounds = 0 }, candidates = { keep = 'all' } }")
            .unwrap();
        let usual = config.train.algorithm.resolve().unwrap().filter;
        let filter = |form| config.train.filter_of(form, usual);
        assert_eq!((filter(OPEN).extra_rounds, filter(OPEN).keep), (0, Keep::Finished));
        assert_eq!((filter(CANDIDATES).extra_rounds, filter(CANDIDATES).keep), (3, Keep::All));
        assert_eq!(filter(ENTAILMENT), usual);
        assert_eq!(config.train.most_extra_rounds(usual), 3);
        for (text, told) in [
            ("form_filters = { open = { keep = 'right' } }", "train.form_filters.open.keep: found \"right\""),
            (
                "algorithm = 'star'\nform_filters = { open = { keep = 'all' } }",
                "train.form_filters.open.keep: found \"one\" with completions that are wrong",
            ),
            ("form_filters = { opne = { extra_rounds = 1 } }", "opne"),
            ("form_filters = { decode = { extra_rounds = 1 } }", "forms that train.forms names"),
            ("form_filters = { open = { rounds = 1 } }", "train.form_filters.open.rounds: unknown key"),
            (
                "algorithm = 'reinforce'\nform_filters = { open = { extra_rounds = 1 } }",
                "train.form_filters.open.extra_rounds",
            ),
        ] {
            let error = of(&format!("[train]\n{text}")).unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
        }
    }

    #[test]
    fn questions_of_a_step_are_divided_by_the_shares_of_forms() {
        assert_eq!(asked(12, &[]), [4, 4, 4]);
        assert_eq!(asked(14, &[]), [5, 5, 4], "what does not divide goes to the first");
        assert_eq!(asked(16, &[(ENTAILMENT, 2.0)]), [4, 4, 8]);
        assert_eq!(asked(12, &[(CANDIDATES, 1e6), (OPEN, 1e-6)]), [10, 1, 1], "each is asked");
        let train = TrainConfig::default();
        assert_eq!(train.questions_by_form(|form| if form == OPEN { 0.05 } else { 1.0 }), [6, 1, 5]);
    }
}
