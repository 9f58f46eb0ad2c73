//! Which policy sampled which token.

use serde::{Deserialize, Serialize};

/// The policy version of every token of a completion, as runs of `(version, tokens)`: the weights change a few times in
/// the life of a completion at most, and mostly not at all. Versions rise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions(Vec<(u64, usize)>);

impl Versions {
    /// One more token of this version.
    pub fn push(&mut self, version: u64) {
        match self.0.last_mut() {
            Some((last, tokens)) if *last == version => *tokens += 1,
            _ => self.0.push((version, 1)),
        }
    }

    /// Forgets all but the first tokens.
    pub fn truncate(&mut self, mut tokens: usize) {
        for (_, run) in &mut self.0 {
            *run = (*run).min(tokens);
            tokens -= *run;
        }
        self.0.retain(|(_, run)| *run > 0);
    }

    /// Runs of tokens of the same version, in the order of the tokens.
    pub fn runs(&self) -> &[(u64, usize)] {
        &self.0
    }

    /// The version of the first token. None before there is one.
    pub fn oldest(&self) -> Option<u64> {
        self.0.iter().map(|(version, _)| *version).min()
    }

    /// How many tokens there are.
    pub fn tokens(&self) -> usize {
        self.0.iter().fold(0, |sum, (_, tokens)| sum.saturating_add(*tokens))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_one_version_are_one_run() {
        let mut versions = Versions::default();
        assert_eq!((versions.oldest(), versions.tokens()), (None, 0));
        [3, 3, 3, 4, 6, 6].into_iter().for_each(|version| versions.push(version));
        assert_eq!(versions.runs(), [(3, 3), (4, 1), (6, 2)]);
        assert_eq!((versions.oldest(), versions.tokens()), (Some(3), 6));
        let mut cut = versions.clone();
        cut.truncate(4);
        assert_eq!(cut.runs(), [(3, 3), (4, 1)]);
        assert_eq!(serde_json::to_string(&versions).unwrap(), "[[3,3],[4,1],[6,2]]");
    }
}
