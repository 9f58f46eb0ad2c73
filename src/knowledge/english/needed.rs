//! Which facts a question from a file needs, found in what documents state.

use super::ClaimReader;
use crate::knowledge::{Claim, Question};
use crate::text::{TextWord, words};

/// The words of a text, with spaces around each, as names are looked for in it.
fn spaced(text: &str) -> String {
    let words = words(text).into_iter().map(|TextWord { text, .. }| text + " ");
    words.fold(String::from(" "), |line, word| line + &word)
}

impl ClaimReader {
    /// The facts that a question needs: those with one end in the question and the other as its answer. None, where that is no
    /// single fact: nothing is then said of whether an answer follows.
    pub fn needed(&self, question: &Question) -> Vec<Claim> {
        let asked = spaced(question.text.split("\nChoose one of: ").next().unwrap_or_default());
        let book = self.book();
        let named = |canonical: &str| {
            let mut names = book.names.iter().filter(|(_, name)| *name == canonical).map(|(alias, _)| alias);
            names.any(|name| !name.is_empty() && asked.contains(&spaced(name)))
        };
        let ends = |claim: &&Claim| match claim {
            Claim::Relation { subject, object, .. } => {
                (question.is_answered_by(object) && named(subject))
                    || (question.is_answered_by(subject) && named(object))
            }
            Claim::Categorical { .. } => false,
        };
        let mut found = book.claims.iter().filter(ends);
        match (found.next(), found.next()) {
            (Some(claim), None) => vec![claim.clone()],
            _ => Vec::new(),
        }
    }
}
