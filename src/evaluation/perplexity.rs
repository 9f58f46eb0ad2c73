//! How likely a text is to a policy that never trained on it: what forgetting is measured by.

use std::f64::consts::LN_2;

use serde::{Deserialize, Serialize};

/// The likelihood of a text. Scores of several texts add up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TextScore {
    /// Tokens that were predicted.
    pub tokens: u64,
    /// Characters that they spell.
    pub characters: u64,
    /// The sum of `-log p` over these tokens, in nats.
    pub nats: f64,
}

impl TextScore {
    /// exp of the mean of `-log p` over tokens: between how many tokens the policy hesitates, so to speak.
    pub fn perplexity(&self) -> f64 {
        (self.nats / self.tokens.max(1) as f64).exp()
    }

    /// The same per character and in bits, which tokenizers with other tokens can be compared by.
    pub fn bits_per_character(&self) -> f64 {
        self.nats / LN_2 / self.characters.max(1) as f64
    }
}

/// The perplexity of held-back text under one of the policies of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PolicyPerplexity {
    /// The policy, by when it was: "before training", "fine-tuned", "after RL".
    pub policy: String,
    pub score: TextScore,
    pub perplexity: f64,
    pub bits_per_character: f64,
}

impl PolicyPerplexity {
    pub fn new(policy: &str, score: TextScore) -> Self {
        let (perplexity, bits_per_character) = (score.perplexity(), score.bits_per_character());
        Self { policy: policy.to_owned(), score, perplexity, bits_per_character }
    }
}

/// Those of several runs as if all their texts were one: of the policies that every run has.
pub(super) fn together(runs: &[&[PolicyPerplexity]]) -> Vec<PolicyPerplexity> {
    let Some((first, _)) = runs.split_first() else { return Vec::new() };
    let sum = |policy: &str| -> Option<PolicyPerplexity> {
        let mut all = TextScore::default();
        for run in runs {
            let TextScore { tokens, characters, nats } = run.iter().find(|row| row.policy == policy)?.score;
            all.tokens += tokens;
            all.characters += characters;
            all.nats += nats;
        }
        Some(PolicyPerplexity::new(policy, all))
    };
    first.iter().filter_map(|row| sum(&row.policy)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_hesitates_between_four_tokens_has_a_perplexity_of_four() {
        let score = TextScore { tokens: 10, characters: 40, nats: 10.0 * 4f64.ln() };
        let row = PolicyPerplexity::new("fine-tuned", score);
        assert!((row.perplexity - 4.0).abs() < 1e-12 && (row.bits_per_character - 0.5).abs() < 1e-12);
        assert_eq!((TextScore::default().perplexity(), TextScore::default().bits_per_character()), (1.0, 0.0));
    }

    #[test]
    fn runs_are_put_together_by_their_tokens() {
        let row = |policy: &str, tokens: u64, perplexity: f64| {
            let score = TextScore { tokens, characters: tokens, nats: tokens as f64 * perplexity.ln() };
            PolicyPerplexity::new(policy, score)
        };
        let one = [row("before training", 10, 4.0), row("fine-tuned", 10, 4.0)];
        let other = [row("before training", 30, 16.0)];
        let both = together(&[&one, &other]);
        assert_eq!((both.len(), both[0].score.tokens), (1, 40));
        assert!((both[0].perplexity.ln() - (0.25 * 4f64.ln() + 0.75 * 16f64.ln())).abs() < 1e-12);
        assert!(together(&[]).is_empty());
    }
}
