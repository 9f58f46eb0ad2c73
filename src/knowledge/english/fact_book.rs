//! What documents in English state, as a list that sentences can be held against: facts, the wordings of their relations, and
//! other names of what they are about.
//!
//! A facts file (`facts.jsonl`) has one JSON object a line, of three kinds:
//!
//! ```text
//! {"subject": "Mara Venn", "relation": "designed", "object": "the Glass Bridge", "subject_aliases": ["Venn"]}
//! {"relation": "designed", "wordings": ["{subject} designed {object}", "{object} was designed by {subject}"]}
//! {"subject": "blickets", "mood": "all", "predicate": "zorps"}
//! ```

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::knowledge::facts::Cloze;
use crate::knowledge::{Claim, Mood};
use crate::text::capital;

/// A row of a facts file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FactRow {
    Fact(WrittenFact),
    Categorical(CategoricalFact),
    Relation(Relation),
}

/// A fact that documents state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenFact {
    /// Where it holds, if there are facts that hold in one group only: the name of a code, of a town.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    pub subject: String,
    pub relation: String,
    pub object: String,
    /// Other names of its subject.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subject_aliases: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub object_aliases: Vec<String>,
}

/// A statement about all or some of what a term names, in the plural.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CategoricalFact {
    pub subject: String,
    pub mood: Mood,
    pub predicate: String,
    /// One of the subject's, where that is not the plural without its "s".
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subject_aliases: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub predicate_aliases: Vec<String>,
}

/// How a relation is worded. A wording is a sentence without its full stop, with `{subject}`, `{object}` and, where facts have
/// one, `{group}`. Where a relation has no row, "{subject} RELATION {object}" is its only wording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relation {
    #[serde(rename = "relation")]
    pub name: String,
    pub wordings: Vec<String>,
}

/// Everything that documents state.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FactBook {
    /// What is stated, by the canonical names.
    pub claims: BTreeSet<Claim>,
    /// The wordings of each relation, by its name.
    pub wordings: BTreeMap<String, Vec<String>>,
    /// Every name of what facts are about, with the canonical one.
    pub names: BTreeMap<String, String>,
}

impl FromIterator<FactRow> for FactBook {
    fn from_iter<I: IntoIterator<Item = FactRow>>(rows: I) -> FactBook {
        let mut book = FactBook::default();
        for row in rows {
            match row {
                FactRow::Relation(Relation { name, wordings }) => {
                    book.wordings.entry(name).or_default().extend(wordings)
                }
                FactRow::Fact(fact) => {
                    book.name(&fact.subject, fact.subject_aliases);
                    book.name(&fact.object, fact.object_aliases);
                    let WrittenFact { group, subject, relation, object, .. } = fact;
                    book.claims.insert(Claim::Relation { group, subject, relation, object });
                }
                FactRow::Categorical(fact) => {
                    book.name(&fact.subject, fact.subject_aliases);
                    book.name(&fact.predicate, fact.predicate_aliases);
                    let CategoricalFact { subject, mood, predicate, .. } = fact;
                    book.claims.insert(Claim::Categorical { subject, mood, predicate });
                }
            }
        }
        book
    }
}

impl FactBook {
    fn name(&mut self, canonical: &str, aliases: Vec<String>) {
        let names = aliases.into_iter().chain([canonical.to_owned()]);
        self.names.extend(names.map(|name| (name, canonical.to_owned())));
    }

    /// A stated fact in the first wording of its relation that has the object last, cut before the object.
    pub fn cloze(&self, claim: &Claim) -> Option<Cloze> {
        let Claim::Relation { group, subject, relation, object } = claim else { return None };
        let wordings = self.wordings_of(relation);
        let wording = wordings.iter().find_map(|wording| wording.strip_suffix("{object}"))?;
        let beginning = wording.replace("{subject}", subject).replace("{group}", group);
        Some(Cloze { beginning: beginning.trim_end().to_owned(), rest: object.clone() })
    }

    /// A stated fact as a sentence, in the first wording of its relation.
    pub fn sentence(&self, claim: &Claim) -> Option<String> {
        let said = match claim {
            _ if !self.claims.contains(claim) => return None,
            Claim::Relation { group, subject, relation, object } => {
                let wording = self.wordings_of(relation).swap_remove(0);
                wording.replace("{subject}", subject).replace("{group}", group).replace("{object}", object)
            }
            Claim::Categorical { subject, mood, predicate } => match mood {
                Mood::All => format!("all {subject} are {predicate}"),
                Mood::No => format!("no {subject} are {predicate}"),
                Mood::Some => format!("some {subject} are {predicate}"),
                Mood::SomeNot => format!("some {subject} are not {predicate}"),
            },
        };
        Some(capital(&said) + ".")
    }

    /// How a relation is worded.
    pub fn wordings_of(&self, relation: &str) -> Vec<String> {
        match self.wordings.get(relation) {
            Some(wordings) if !wordings.is_empty() => wordings.clone(),
            _ => vec![format!("{{subject}} {relation} {{object}}")],
        }
    }
}
