//! Which completions and which of their tokens are learned from, and what each token weighs.

use serde::{Deserialize, Serialize};

use super::advantage::TOLERANCE;

/// What is left out before anything is compared or learned.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// The completions that get a gradient.
    pub keep: Keep,
    /// Rounds of sampling beyond the first, in which groups without spread are replaced by groups of other questions
    /// (dynamic sampling, DAPO, arXiv 2503.14476).
    pub extra_rounds: usize,
    /// Rewards of a group that differ by no more than this are equal.
    pub tolerance: f64,
}

/// The completions whose tokens get a gradient. All of them are compared with one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    All,
    /// Those that came to an end within their tokens (overlong filtering, arXiv 2503.14476): one that was cut off may
    /// have been on a good way.
    Finished,
    /// Those with the right answer (rejection sampling, STaR, arXiv 2203.14465).
    Right,
}

impl Keep {
    /// Whether a completion is learned from.
    pub fn keeps(self, finished: bool, right: bool) -> bool {
        match self {
            Keep::All => true,
            Keep::Finished => finished,
            Keep::Right => right,
        }
    }
}

impl Default for Filter {
    fn default() -> Filter {
        Filter { keep: Keep::All, extra_rounds: 0, tolerance: TOLERANCE }
    }
}

/// What is compared, and so what a token's advantage is that of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CreditAssignment {
    /// Completions: all of their tokens share what the completion is worth.
    #[default]
    Completion,
    /// Sentences of the trace as well: how much more than the mean the reward pays a sentence, of those at its place in the
    /// thoughts of the group and of ending there, is added for its tokens. A repeated or made-up one is told from the others beside
    /// it (step by step, as in SPADER, arXiv 2606.00593). Nothing is added where the reward pays no sentences.
    Sentence,
}

/// The tokens of a completion that are learned from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GradientOn {
    /// All of them.
    Completion,
    /// Only the chain of thought, its closing token included. Where few answers are possible, a policy that is
    /// rewarded for answer tokens memorises the answers of its training questions; that gains reward on them without
    /// any recall, and nothing on other questions. Rewarded for the trace alone, it can only gain by writing traces
    /// from which it answers right.
    Trace,
}

/// How many tokens of a completion its chain of thought takes, what closes it included; `None` where nothing does.
pub type TraceLength<'a> = &'a dyn Fn(&[u32]) -> Option<usize>;

impl GradientOn {
    /// Whether each token of a completion is learned from; `trace` finds how many of them the chain of thought takes (one that
    /// is never closed goes on to the end).
    pub fn mask(self, tokens: &[u32], trace: TraceLength) -> Vec<bool> {
        let learned = match self {
            GradientOn::Completion => None,
            GradientOn::Trace => trace(tokens),
        };
        (0..tokens.len()).map(|position| learned.is_none_or(|learned| position < learned)).collect()
    }
}

/// How the losses of tokens become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Aggregation {
    /// The mean over all tokens of the step (DAPO, arXiv 2503.14476): long completions weigh more than short ones.
    Token,
    /// The mean over completions of the mean over each one's tokens (GRPO, arXiv 2402.03300): a token of a long
    /// completion weighs less than one of a short.
    Sequence,
    /// The sum over tokens, divided by completions times the longest length allowed (Dr. GRPO, arXiv 2503.20783): a
    /// token weighs the same in every step, whatever the lengths.
    Fixed,
}

/// Weights of tokens, and what the sum of a whole step is divided by.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenWeights {
    /// Per completion and token, zero where nothing is learned. The loss of a step is
    /// `sum(weight * token loss) / normaliser`.
    pub tokens: Vec<Vec<f32>>,
    /// Of the whole step: every micro-batch, on every rank, divides by this one.
    pub normaliser: f64,
}

impl Aggregation {
    /// Weights of all completions of a step, by the masks of the tokens that are learned from.
    pub fn token_weights(self, masks: &[Vec<bool>], max_new_tokens: usize) -> TokenWeights {
        let learned = |mask: &Vec<bool>| mask.iter().filter(|learned| **learned).count();
        let each = |mask: &Vec<bool>| match self {
            Aggregation::Token | Aggregation::Fixed => 1.0,
            Aggregation::Sequence => 1.0 / learned(mask).max(1) as f32,
        };
        let weigh = |mask: &Vec<bool>| -> Vec<f32> {
            let weight = each(mask);
            mask.iter().map(|learned| if *learned { weight } else { 0.0 }).collect()
        };
        let normaliser = match self {
            Aggregation::Token => masks.iter().map(learned).sum(),
            Aggregation::Sequence => masks.len(),
            Aggregation::Fixed => masks.len() * max_new_tokens,
        };
        TokenWeights { tokens: masks.iter().map(weigh).collect(), normaliser: normaliser.max(1) as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_ends_with_its_closing_token() {
        let tokens = [5, 6, 9, 7, 9];
        let closed = |tokens: &[u32]| tokens.iter().position(|token| *token == 9).map(|at| at + 1);
        assert_eq!(GradientOn::Trace.mask(&tokens, &closed), [true, true, true, false, false]);
        assert_eq!(GradientOn::Trace.mask(&tokens, &|_| None), [true; 5]);
        assert_eq!(GradientOn::Completion.mask(&tokens, &closed), [true; 5]);
    }

    #[test]
    fn hand_computed_weights() {
        let masks = [vec![true], vec![true, true, true, true, false]];
        // What the short and the long completion weigh in the end.
        let shares = |aggregation: Aggregation| {
            let TokenWeights { tokens, normaliser } = aggregation.token_weights(&masks, 8);
            assert_eq!(tokens.iter().map(Vec::len).collect::<Vec<_>>(), [1, 5]);
            assert_eq!(tokens[1][4], 0.0);
            [0, 1].map(|i| f64::from(tokens[i].iter().sum::<f32>()) / normaliser)
        };
        assert_eq!(shares(Aggregation::Token), [0.2, 0.8]);
        assert_eq!(shares(Aggregation::Sequence), [0.5, 0.5]);
        assert_eq!(shares(Aggregation::Fixed), [1.0 / 16.0, 4.0 / 16.0]);
    }

    #[test]
    fn nothing_to_learn_divides_by_one() {
        for aggregation in [Aggregation::Token, Aggregation::Sequence, Aggregation::Fixed] {
            assert_eq!(aggregation.token_weights(&[], 8), TokenWeights { tokens: vec![], normaliser: 1.0 });
        }
        assert_eq!(Aggregation::Sequence.token_weights(&[vec![false]], 8).tokens, [[0.0]]);
    }

    #[test]
    fn each_keeps_what_it_says() {
        let all = [(false, false), (true, false), (false, true), (true, true)];
        let kept = |keep: Keep| all.map(|(finished, right)| keep.keeps(finished, right));
        assert_eq!(kept(Keep::All), [true; 4]);
        assert_eq!(kept(Keep::Finished), [false, true, false, true]);
        assert_eq!(kept(Keep::Right), [false, false, true, true]);
    }
}
