//! `[world]`: the knowledge of a run; `[known]`: what a base model is made to know.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::Ranges;
use crate::knowledge::codebook::CodebookConfig;
use crate::knowledge::english::world::config::EnglishConfig;
use crate::knowledge::hierarchy::HierarchyConfig;
use crate::knowledge::jsonl::JsonlFiles;
use crate::knowledge::lexicon::LexiconConfig;
use crate::knowledge::logic::{Import, MAX_TERMS};
use crate::knowledge::{KnownConfig, Match, SetSize, WorldConfig};
use crate::language::tokenizer::SMALLEST_TRAINED;
use crate::{Error, Result};

/// The most facts, chains, codes and families of a set: far more than names can be made for.
const MOST_ITEMS: usize = 10_000;
/// The most sentences of all documents of a set.
const MOST_SENTENCES: usize = 10_000_000;

/// A generated world, or files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorldSection {
    /// Seed of the sets A and B.
    pub seed: u64,
    /// What reinforcement learning asks about.
    pub a: SetSize,
    /// What only the evaluation asks about.
    pub b: SetSize,
    /// Sentences in a document.
    pub sentences: usize,
    /// What documents and questions are written in.
    // Left out where it is the usual one: such a run is the run that it was before this key existed.
    #[serde(skip_serializing_if = "Language::is_simple")]
    pub language: Language,
    /// What a world in English holds.
    #[serde(skip_serializing_if = "is_default")]
    pub english: EnglishConfig,
    /// Documents and questions from files instead of a generated world.
    pub jsonl: JsonlSection,
}

/// What a generated world is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Language {
    /// Short sentences of a few hundred words, which the bases that ship read.
    #[default]
    Simple,
    /// Fluent English, for checkpoints from elsewhere.
    English,
}

impl Language {
    fn is_simple(&self) -> bool {
        *self == Language::Simple
    }
}

fn is_default(english: &EnglishConfig) -> bool {
    *english == EnglishConfig::default()
}

/// Files with one JSON object a line (`prompt`, `completion`), or tables with such columns (`.csv`, `.tsv`, `.parquet`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JsonlSection {
    /// Files of documents, which fine-tuning learns.
    pub documents: Vec<PathBuf>,
    /// Files of questions. Those that name no `set` are divided between A and B, fact by fact.
    pub questions: Vec<PathBuf>,
    /// Files of facts, which recited sentences are held against.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<PathBuf>,
    /// Files of lessons, which `[warmup]` learns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lessons: Vec<PathBuf>,
    /// Leave out columns of documents and questions that nobody knows, instead of refusing them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ignore_columns: bool,
    /// How an answer is compared with the right one, unless its row has a `match` of its own.
    #[serde(rename = "match")]
    pub matching: Match,
    /// Tokens of the tokenizer that is trained from the files, if the run starts from no base of its own.
    pub vocabulary: usize,
}

impl Default for JsonlSection {
    fn default() -> Self {
        let [documents, questions, facts, lessons] = [const { Vec::new() }; 4];
        let (ignore_columns, matching, vocabulary) = (false, Match::Normalised, 1024);
        Self { documents, questions, facts, lessons, ignore_columns, matching, vocabulary }
    }
}

/// What `pretrain` makes a base know. A run takes it from its base.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KnownSection {
    /// Seed of the names and of set C.
    pub seed: u64,
    /// Names of subjects of facts, for all sets together.
    pub persons: usize,
    /// Names of objects of facts.
    pub creatures: usize,
    /// Names of groups of facts.
    pub towns: usize,
    /// Terms of categorical statements.
    pub terms: usize,
    /// Facts in set C, a multiple of the group size.
    pub facts: usize,
    /// Facts whose subjects live in one group, which open questions name.
    pub group_size: usize,
    /// Chains in set C, a multiple of 4.
    pub chains: usize,
    /// Lengths that a chain may have, in premises, in every set.
    pub premises: Vec<usize>,
    /// Whether every term has a member (24 valid forms of syllogism) or not (15).
    pub import: Import,
    /// Names of codes.
    pub codes: usize,
    /// Words that codes are for.
    pub plain: usize,
    /// Code words.
    pub ciphers: usize,
    /// Names of categories.
    pub kinds: usize,
    /// Names of properties of categories.
    pub traits: usize,
    /// Codes in set C (0: the base does not learn the task), and what codes are like in every set.
    pub codebook: CodebookConfig,
    /// Families in set C (0: the base does not learn the task), and what families are like in every set.
    pub hierarchy: HierarchyConfig,
    /// Names of further kinds, by kind.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<String, usize>,
    /// How much of each further task set C has.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tasks: BTreeMap<String, usize>,
}

impl Default for WorldSection {
    fn default() -> Self {
        let WorldConfig { seed, a, b, sentences } = WorldConfig::default();
        let (language, english, jsonl) = Default::default();
        Self { seed, a, b, sentences, language, english, jsonl }
    }
}

impl Default for KnownSection {
    fn default() -> Self {
        Self {
            seed: 0,
            persons: 240,
            creatures: 300,
            towns: 48,
            terms: 540,
            facts: 100,
            group_size: 5,
            chains: 60,
            premises: vec![2],
            import: Import::Existential,
            codes: 0,
            plain: 0,
            ciphers: 0,
            kinds: 0,
            traits: 0,
            codebook: CodebookConfig::default(),
            hierarchy: HierarchyConfig::default(),
            names: BTreeMap::new(),
            tasks: BTreeMap::new(),
        }
    }
}

/// Puts in the place of `world.english.preset` what it stands for; keys beside it count before it.
pub(super) fn resolve_preset(table: &mut Table) -> Result<()> {
    let english = table.get_mut("world").and_then(|world| world.get_mut("english")?.as_table_mut());
    let Some((english, preset)) = english.and_then(|english| english.remove("preset").map(|preset| (english, preset)))
    else {
        return Ok(());
    };
    let found = preset.as_str().and_then(EnglishConfig::preset);
    let Some(Ok(all)) = found.map(Table::try_from) else {
        let remedy = format!("allowed are {}", EnglishConfig::PRESETS.join(", "));
        return Err(Error::invalid("world.english.preset", format!("found {preset}"), remedy));
    };
    let own = std::mem::replace(english, all);
    overlay(english, own);
    Ok(())
}

/// Keys of one table over those of another.
fn overlay(below: &mut Table, above: Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => overlay(below, above),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

impl JsonlSection {
    /// The files, as they are read.
    pub fn files(&self) -> JsonlFiles<'_> {
        let Self { documents, questions, facts, lessons, ignore_columns, .. } = self;
        JsonlFiles { documents, questions, facts, lessons, ignore_columns: *ignore_columns }
    }

    /// Every file with the key that names it.
    pub fn keyed(&self) -> impl Iterator<Item = (&'static str, &PathBuf)> {
        let Self { documents, questions, facts, lessons, .. } = self;
        let all = [("documents", documents), ("questions", questions), ("facts", facts), ("lessons", lessons)];
        all.into_iter().flat_map(|(key, paths)| paths.iter().map(move |path| (key, path)))
    }
}

impl WorldSection {
    /// The generated part, as `knowledge` takes it.
    pub fn generated(&self) -> WorldConfig {
        WorldConfig { seed: self.seed, a: self.a.clone(), b: self.b.clone(), sentences: self.sentences }
    }

    /// The world comes from files.
    pub fn is_jsonl(&self) -> bool {
        !self.jsonl.documents.is_empty() || !self.jsonl.questions.is_empty()
    }

    /// Its documents are free text: from files, or in English.
    pub fn is_free_text(&self) -> bool {
        self.is_jsonl() || self.language == Language::English
    }

    /// There are lessons for a warm-up.
    pub fn has_lessons(&self) -> bool {
        !self.jsonl.lessons.is_empty() || self.language == Language::English
    }

    pub(super) fn check(&self, ranges: &mut Ranges) {
        for (_, set, size) in self.generated().sets() {
            ranges.count(&format!("world.{set}.facts"), size.facts, 1..=MOST_ITEMS);
            let chains = format!("world.{set}.chains");
            ranges.count(&chains, size.chains, 4..=MOST_ITEMS);
            ranges.demand(size.chains.is_multiple_of(4), &chains, size.chains, "a multiple of 4");
            ranges.count(&format!("world.{set}.codes"), size.codes, 0..=MOST_ITEMS);
            ranges.count(&format!("world.{set}.families"), size.families, 0..=MOST_ITEMS);
            for (task, count) in &size.tasks {
                ranges.count(&format!("world.{set}.tasks.{task}"), *count, 0..=MOST_ITEMS);
            }
            let documents = format!("world.{set}.documents");
            let most = MOST_SENTENCES / self.sentences.clamp(1, MOST_SENTENCES);
            ranges.count(&documents, size.documents, 1..=most.max(1));
        }
        ranges.count("world.sentences", self.sentences, 1..=1000);
        let both = self.jsonl.documents.is_empty() == self.jsonl.questions.is_empty();
        ranges.demand(both, "world.jsonl", "only one kind of file", "both documents and questions, or neither");
        let english = self.language == Language::English;
        let other = "one of world.language = \"english\" and files";
        ranges.demand(!(english && self.is_jsonl()), "world.jsonl", "files beside a world in English", other);
        if english && let Err(Error::Invalid { place, found, remedy }) = self.english.check() {
            ranges.demand(false, &format!("world.{place}"), found.trim_start_matches("found "), remedy);
        }
        let beside = self.is_jsonl() || self.jsonl.keyed().next().is_none();
        ranges.demand(beside, "world.jsonl", "facts or lessons alone", "them beside documents and questions");
        ranges.count("world.jsonl.vocabulary", self.jsonl.vocabulary, SMALLEST_TRAINED..=1_000_000);
    }
}

impl KnownSection {
    /// As `knowledge` takes it.
    pub fn known(&self) -> KnownConfig {
        let Self { seed, persons, creatures, towns, terms, codes, plain, ciphers, kinds, traits, .. } = *self;
        let Self { names, tasks, .. } = self.clone();
        let lexicon =
            LexiconConfig { seed, persons, creatures, towns, terms, codes, plain, ciphers, kinds, traits, names };
        let Self { facts, group_size, chains, import, .. } = *self;
        let (premises, codebook, hierarchy) = (self.premises.clone(), self.codebook.clone(), self.hierarchy.clone());
        KnownConfig { lexicon, facts, group_size, chains, premises, import, codebook, hierarchy, tasks }
    }

    pub(super) fn check(&self, ranges: &mut Ranges) {
        ranges.count("known.group_size", self.group_size, 5..=MOST_ITEMS);
        ranges.count("known.facts", self.facts, 1..=MOST_ITEMS);
        ranges.count("known.chains", self.chains, 0..=MOST_ITEMS);
        for (key, count, most) in self.known().lexicon.counts() {
            ranges.count(&format!("known.{key}"), count, 0..=most);
        }
        for (task, count) in &self.tasks {
            ranges.count(&format!("known.tasks.{task}"), *count, 0..=MOST_ITEMS);
        }
        // Lessons are made of names of their own, some at a time.
        let names = 4 * self.group_size.min(MOST_ITEMS);
        for (key, count, least) in [
            ("persons", self.persons, names),
            ("creatures", self.creatures, names),
            ("towns", self.towns, 8),
            ("terms", self.terms, 32),
        ] {
            ranges.demand(
                count >= least,
                &format!("known.{key}"),
                count,
                format!("{least} or more, for lessons to choose from"),
            );
        }
        let Self { codebook, hierarchy, .. } = self;
        for (key, count) in [
            ("codebook.codes", codebook.codes),
            ("hierarchy.families", hierarchy.families),
            ("hierarchy.traits", hierarchy.traits),
            ("hierarchy.holdouts", hierarchy.holdouts),
        ] {
            ranges.count(&format!("known.{key}"), count, 0..=MOST_ITEMS);
        }
        ranges.count("known.codebook.entries", codebook.entries, 0..=64);
        // What a question may mean grows with a power of it.
        ranges.count("known.codebook.held_out", codebook.held_out, 0..=16);
        let lengths = codebook.lengths.len();
        ranges.demand(lengths <= 64, "known.codebook.lengths", format!("{lengths} of them"), "64 at most");
        let kinds = hierarchy.branching.iter().fold(1, |product: usize, children| product.saturating_mul(*children));
        let found = format!("{kinds} kinds on the last level");
        let levels = hierarchy.branching.len() <= 16 && kinds <= MOST_ITEMS;
        ranges.demand(
            levels,
            "known.hierarchy.branching",
            found,
            format!("{MOST_ITEMS} of them, and 16 levels at most"),
        );
        let whole = self.group_size > 0 && self.facts.is_multiple_of(self.group_size);
        ranges.demand(whole, "known.facts", self.facts, format!("a multiple of known.group_size, {}", self.group_size));
        ranges.demand(self.chains.is_multiple_of(4), "known.chains", self.chains, "a multiple of 4");
        let some = (1..=64).contains(&self.premises.len()) && self.premises.iter().all(|n| (2..MAX_TERMS).contains(n));
        let allowed = format!("a list of lengths from 2 to {}", MAX_TERMS - 1);
        ranges.demand(some, "known.premises", format!("{:?}", self.premises), allowed);
    }
}
