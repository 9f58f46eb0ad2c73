//! Where tokens stand.

/// A token at its place in a sequence.
#[derive(Clone, Copy)]
pub(super) struct TokenPlace {
    pub(super) slot: usize,
    pub(super) position: usize,
    pub(super) token: u32,
}

/// Tokens that follow one another in a slot, from a position on.
pub(super) fn places<'a>(
    tokens: impl IntoIterator<Item = &'a u32>,
    slot: usize,
    first: usize,
) -> impl Iterator<Item = TokenPlace> {
    tokens.into_iter().zip(first..).map(move |(token, position)| TokenPlace { slot, position, token: *token })
}
