//! How much there is to know: what a base was made to know, and how large the sets of a world are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Set;
use super::codebook::config::CodebookConfig;
use super::hierarchy::config::HierarchyConfig;
use super::lexicon::LexiconConfig;
use super::logic::Import;
use crate::{Error, Result};

/// What a base model knows: the words, and the size of set C. It is stored beside the base model, because it
/// means nothing without it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownConfig {
    pub lexicon: LexiconConfig,
    /// Facts in set C.
    pub facts: usize,
    /// Members of a group.
    pub group_size: usize,
    /// Chains in set C, a multiple of 4.
    pub chains: usize,
    /// Numbers of premises that chains have.
    pub premises: Vec<usize>,
    pub import: Import,
    #[serde(default)]
    pub codebook: CodebookConfig,
    #[serde(default)]
    pub hierarchy: HierarchyConfig,
    /// How much of each further task set C has.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tasks: BTreeMap<String, usize>,
}

/// The sets A and B of one world.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorldConfig {
    pub seed: u64,
    pub a: SetSize,
    pub b: SetSize,
    /// Sentences in a document.
    pub sentences: usize,
}

/// How much there is to know in a set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SetSize {
    /// Facts, a multiple of the group size of the base.
    pub facts: usize,
    /// Chains of premises, a multiple of 4.
    pub chains: usize,
    /// Codes of the codebook.
    pub codes: usize,
    /// Families of the hierarchy, 0 or at least 4.
    pub families: usize,
    /// Documents about them.
    pub documents: usize,
    /// How much there is of each further task.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tasks: BTreeMap<String, usize>,
}

impl Default for WorldConfig {
    fn default() -> Self {
        Self { seed: 0, a: SetSize::default(), b: SetSize::default(), sentences: 10 }
    }
}

impl Default for SetSize {
    fn default() -> Self {
        Self { facts: 50, chains: 32, codes: 0, families: 0, documents: 400, tasks: BTreeMap::new() }
    }
}

impl WorldConfig {
    /// The sets that a world has beside what its base knows, with their names in a config.
    pub fn sets(&self) -> [(Set, &'static str, &SetSize); 2] {
        [(Set::A, "a", &self.a), (Set::B, "b", &self.b)]
    }
}

/// Refuses what is not made of whole units.
pub fn multiple(key: &str, value: usize, unit: usize) -> Result<()> {
    if value.is_multiple_of(unit) {
        return Ok(());
    }
    Err(Error::invalid(key, format!("found {value}"), format!("it must be a multiple of {unit}")))
}
