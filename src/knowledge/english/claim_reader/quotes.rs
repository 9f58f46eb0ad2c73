//! What stands in quotes: a name, or somebody else's words.

use super::ClaimIndex;
use super::fillers::Prose;
use super::prose_token::Sign;
use super::word_lists::NO_NAMES;

impl ClaimIndex {
    /// Leaves the signs around a quoted name out, and makes one piece of any other quote, or of what follows a quote that is
    /// not closed.
    pub fn unquote(&self, prose: &mut Prose) {
        if !prose.tokens.iter().any(|token| token.sign == Sign::Quote) {
            return;
        }
        let mut kept = Vec::with_capacity(prose.tokens.len());
        let mut at = 0;
        while at < prose.tokens.len() {
            if prose.tokens[at].sign != Sign::Quote {
                kept.push(prose.tokens[at].clone());
                at += 1;
                continue;
            }
            let close =
                prose.tokens[at + 1..].iter().position(|token| token.sign == Sign::Quote).map(|next| at + 1 + next);
            let end = close.unwrap_or(prose.tokens.len());
            let inner = &prose.tokens[at + 1..end];
            // `"The Long Night,"` is a name with a comma.
            let bare = inner.len()
                - inner.iter().rev().take_while(|token| matches!(token.sign, Sign::Comma | Sign::Stop)).count();
            let behind = at + 1 + bare;
            let article = usize::from(inner.first().is_some_and(|token| token.is_any(&["the", "a", "an"])));
            let named = |from: usize| {
                self.names.at(&prose.tokens, &prose.ids, from).first().is_some_and(|(to, _)| *to == behind)
            };
            let small = ["of", "the", "and", "in", "on", "a"];
            let titled = bare > 0
                && bare <= 6
                && inner[..bare]
                    .iter()
                    .all(|token| token.sign == Sign::Word && (token.capital || token.is_any(&small)))
                && !inner[..bare].iter().any(|token| !token.is_any(&small) && NO_NAMES.contains(&token.word.as_str()));
            if close.is_some() && (named(at + 1) || named(at + 1 + article) || titled) {
                kept.extend(inner.iter().cloned());
            } else {
                let mut quoted = prose.tokens[at].clone();
                quoted.sign = Sign::Quoted;
                quoted.end = prose.tokens[end.min(prose.tokens.len() - 1)].end;
                kept.push(quoted);
            }
            at = end + 1;
        }
        prose.tokens = kept;
        self.number(prose);
    }
}
