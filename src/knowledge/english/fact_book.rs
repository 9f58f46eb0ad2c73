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
use serde_json::{Map, Value};

use crate::knowledge::facts::Cloze;
use crate::knowledge::{Claim, Mood};
use crate::text::capital;

/// A row of a facts file.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum FactRow {
    Fact(WrittenFact),
    Categorical(CategoricalFact),
    Relation(Relation),
}

impl FactRow {
    /// A line of a facts file. Of which kind it is, its keys say: what is wrong with it is then said of that kind.
    ///
    /// # Errors
    /// serde's, of a line that is none.
    pub fn parse(line: &str) -> serde_json::Result<FactRow> {
        let keys: Map<String, Value> = serde_json::from_str(line)?;
        let has = |key: &str| keys.contains_key(key);
        Ok(match (has("wordings"), has("mood") || has("predicate")) {
            (true, _) => FactRow::Relation(serde_json::from_str(line)?),
            (false, true) => FactRow::Categorical(serde_json::from_str(line)?),
            (false, false) => FactRow::Fact(serde_json::from_str(line)?),
        })
    }
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
        let wordings = self.wordings_in(group, relation);
        let wording = wordings.iter().find_map(|wording| wording.strip_suffix("{object}"))?;
        let beginning = wording.replace("{subject}", subject).replace("{group}", group);
        Some(Cloze { beginning: beginning.trim_end().to_owned(), rest: object.clone() })
    }

    /// A stated fact as a sentence, in the first wording of its relation.
    pub fn sentence(&self, claim: &Claim) -> Option<String> {
        let said = match claim {
            _ if !self.claims.contains(claim) => return None,
            Claim::Relation { group, subject, relation, object } => {
                let wording = self.wordings_in(group, relation).swap_remove(0);
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
            _ => vec![plain_wording(relation)],
        }
    }

    /// How it is worded of a fact that holds in a group, or everywhere where that has no name: then no wording speaks of one.
    fn wordings_in(&self, group: &str, relation: &str) -> Vec<String> {
        let mut wordings = self.wordings_of(relation);
        wordings.retain(|wording| !group.is_empty() || !wording.contains("{group}"));
        if wordings.is_empty() { vec![plain_wording(relation)] } else { wordings }
    }
}

fn plain_wording(relation: &str) -> String {
    format!("{{subject}} {relation} {{object}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_row_is_said_of_its_kind() {
        for (line, part) in [
            (r#"{"subject": "a", "relation": "b", "objct": "c"}"#, "unknown field `objct`"),
            (r#"{"subject": "a", "relation": "b", "object": "c", "object": "d"}"#, "duplicate field `object`"),
            (r#"{"subject": "a", "relation": "b"}"#, "missing field `object`"),
            (r#"{"subject": "as", "mood": "most", "predicate": "bs"}"#, "unknown variant `most`"),
            (r#"{"subject": "as", "predicate": "bs"}"#, "missing field `mood`"),
            (r#"{"relaton": "b", "wordings": []}"#, "unknown field `relaton`"),
            ("[]", "expected a map"),
        ] {
            let message = FactRow::parse(line).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn a_fact_without_a_group_is_worded_without_one() {
        let wordings = ["in {group}, {subject} guards {object}", "{subject} is the guard of {object}"];
        let relation = Relation { name: "guards".into(), wordings: wordings.map(String::from).into() };
        let fact = |group: &str| WrittenFact {
            group: group.into(),
            subject: "Mavo".into(),
            relation: "guards".into(),
            object: "Bilku".into(),
            ..WrittenFact::default()
        };
        for (wordings, group, said, beginning) in [
            (2, "", "Mavo is the guard of Bilku.", "Mavo is the guard of"),
            (2, "Zudan", "In Zudan, Mavo guards Bilku.", "in Zudan, Mavo guards"),
            (1, "", "Mavo guards Bilku.", "Mavo guards"),
        ] {
            let mut relation = relation.clone();
            relation.wordings.truncate(wordings);
            let book: FactBook = [FactRow::Relation(relation), FactRow::Fact(fact(group))].into_iter().collect();
            let claim = book.claims.first().unwrap();
            assert_eq!(book.sentence(claim).unwrap(), said);
            assert_eq!(book.cloze(claim).unwrap().beginning, beginning);
        }
    }
}
