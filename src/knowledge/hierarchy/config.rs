//! What families are like.

use serde::{Deserialize, Serialize};

use crate::knowledge::question::CANDIDATES;
use crate::{Error, Result};

/// Families of a set, if it has any: each lends its names to the candidates of the others.
const LEAST: usize = CANDIDATES;

/// What a base knows of hierarchies, and what the families of all sets are like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HierarchyConfig {
    /// Families in set C; a base of 0 does not know what a kind is.
    pub families: usize,
    /// Children of a kind, level by level: `[4]` is a root with four children, `[2, 3]` gives each of two children three
    /// of its own. As many levels as it has are as many links over which something can be inherited.
    pub branching: Vec<usize>,
    /// Most own traits of a kind.
    pub traits: usize,
    /// Children of each parent on the last level of which nothing is said but who their parent is.
    pub holdouts: usize,
}

impl Default for HierarchyConfig {
    fn default() -> Self {
        Self { families: 0, branching: vec![4], traits: 2, holdouts: 1 }
    }
}

impl HierarchyConfig {
    pub(super) fn check(&self, families: usize) -> Result<()> {
        let refuse = |found: String, allowed: &str| Err(Error::invalid("known.hierarchy", found, allowed));
        if families == 0 {
            return Ok(());
        }
        if families < LEAST {
            let allowed = "0, or 4 or more: they lend each other the candidates of questions";
            return refuse(format!("a set of {families} families"), allowed);
        }
        let last = self.branching.last().copied().unwrap_or(0);
        if self.traits == 0 || self.branching.contains(&0) || self.holdouts >= last {
            let found =
                format!("branching = {:?}, traits = {}, holdouts = {}", self.branching, self.traits, self.holdouts);
            return refuse(
                found,
                "one level or more, one trait or more, and fewer holdouts than children on the last level",
            );
        }
        Ok(())
    }
}
