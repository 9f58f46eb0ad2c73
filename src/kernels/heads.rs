//! How a row divides into heads.

/// How the columns of a row divide into heads: first all query heads, then all key heads, then all value heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    pub query: usize,
    /// As many value heads. Divides `query`: each serves `query / key` query heads in a row.
    pub key: usize,
    pub dim: usize,
}

impl Heads {
    /// Columns of query, key and value together.
    pub fn width(&self) -> usize {
        (self.query + 2 * self.key) * self.dim
    }
}
