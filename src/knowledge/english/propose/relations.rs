//! Makes relations of phrases: their names, their wordings, and which of them say the same.

use std::collections::{BTreeMap, BTreeSet};

use super::phrases::{FoundStatement, PhraseForm};
use crate::knowledge::english::claim_reader::verbs::{participle_of, past_of};
use crate::knowledge::english::fact_book::{FactRow, Relation, WrittenFact};

/// Pairs that two phrases have to share before they are taken for wordings of one relation.
const SHARED: usize = 3;

/// A relation as phrases word it.
#[derive(Debug, Default)]
struct PhraseUse {
    wordings: Vec<String>,
    /// What it relates, in the order in which it is met.
    pairs: Vec<(String, String)>,
    /// The same by subjects.
    objects: BTreeMap<String, BTreeSet<String>>,
}

impl PhraseUse {
    fn word(&mut self, wording: String) {
        if !self.wordings.contains(&wording) {
            self.wordings.push(wording);
        }
    }

    fn relate(&mut self, subject: &str, object: &str) {
        if self.objects.entry(subject.to_owned()).or_default().insert(object.to_owned()) {
            self.pairs.push((subject.to_owned(), object.to_owned()));
        }
    }

    /// Whether both say the same: at least three pairs and half of those of the rarer one, and of nobody something else.
    fn says_the_same(&self, rarer: &PhraseUse) -> bool {
        let (mut shared, mut apart) = (0, false);
        for (subject, objects) in &rarer.objects {
            let Some(others) = self.objects.get(subject) else { continue };
            let common = objects.intersection(others).count();
            shared += common;
            apart |= common == 0;
        }
        !apart && shared >= SHARED && 2 * shared >= rarer.pairs.len()
    }
}

/// All relations that statements are about.
#[derive(Debug, Default)]
pub struct RelationTable {
    /// Phrases that are met with nothing behind the object.
    whole: BTreeSet<String>,
    /// The relation of each phrase, by what the phrase is called.
    relation_of: BTreeMap<String, String>,
    /// The most frequent first.
    relations: Vec<(String, PhraseUse)>,
}

impl RelationTable {
    pub fn new<'a>(statements: impl Iterator<Item = &'a FoundStatement> + Clone) -> RelationTable {
        let mut table = RelationTable::default();
        for FoundStatement { form, .. } in statements.clone() {
            if let PhraseForm::Active { phrase, tail } = form
                && tail.is_empty()
            {
                table.whole.insert(phrase.clone());
            }
        }
        let mut order: Vec<String> = Vec::new();
        let mut uses: BTreeMap<String, PhraseUse> = BTreeMap::new();
        for FoundStatement { subject, object, form } in statements {
            let name = table.name(form);
            let used = uses.entry(name.clone()).or_insert_with(|| {
                order.push(name);
                PhraseUse::default()
            });
            plainest(form).into_iter().for_each(|wording| used.word(wording));
            used.word(wording(form));
            used.relate(subject, object);
        }
        let mut all: Vec<(String, PhraseUse)> =
            order.into_iter().filter_map(|name| uses.remove(&name).map(|used| (name, used))).collect();
        all.sort_by_key(|(_, used)| std::cmp::Reverse(used.pairs.len()));
        for (name, used) in all {
            let same = table.relations.iter_mut().find(|(_, earlier)| earlier.says_the_same(&used));
            let Some((relation, earlier)) = same else {
                table.relation_of.insert(name.clone(), name.clone());
                table.relations.push((name, used));
                continue;
            };
            table.relation_of.insert(name, relation.clone());
            used.pairs.iter().for_each(|(subject, object)| earlier.relate(subject, object));
            used.wordings.into_iter().for_each(|wording| earlier.word(wording));
        }
        table.relations.sort_by_key(|(_, used)| std::cmp::Reverse(used.pairs.len()));
        table
    }

    /// What a phrase is called. Words behind the object are part of it where it is never met without any.
    fn name(&self, form: &PhraseForm) -> String {
        match form {
            PhraseForm::Active { phrase, tail } if tail.is_empty() || self.whole.contains(phrase) => phrase.clone(),
            PhraseForm::Active { phrase, tail } => format!("{phrase} {tail}"),
            PhraseForm::Passive { participle, .. } => past_of(participle).unwrap_or(participle).to_owned(),
            PhraseForm::NounFirst { noun, copula } => format!("{copula} the {noun} of"),
            PhraseForm::Owned { noun, .. } => noun.clone(),
        }
    }

    /// The relation of a statement.
    pub fn relation(&self, form: &PhraseForm) -> String {
        let name = self.name(form);
        self.relation_of.get(&name).cloned().unwrap_or(name)
    }

    /// How many relations and facts there are.
    pub fn counts(&self) -> (usize, usize) {
        (self.relations.len(), self.relations.iter().map(|(_, used)| used.pairs.len()).sum())
    }

    /// The rows of a file of facts: each relation with its wordings, and its facts behind it.
    pub fn rows(&self, aliases: &BTreeMap<String, Vec<String>>) -> Vec<FactRow> {
        let other_names = |name: &String| aliases.get(name).cloned().unwrap_or_default();
        let mut rows = Vec::new();
        for (name, PhraseUse { wordings, pairs, .. }) in &self.relations {
            let mut all = wordings.clone();
            all.extend(wordings.iter().filter_map(|wording| turned(wording)));
            let mut seen = BTreeSet::new();
            all.retain(|wording| seen.insert(wording.clone()));
            rows.push(FactRow::Relation(Relation { name: name.clone(), wordings: all }));
            rows.extend(pairs.iter().map(|(subject, object)| {
                FactRow::Fact(WrittenFact {
                    subject: subject.clone(),
                    relation: name.clone(),
                    object: object.clone(),
                    subject_aliases: other_names(subject),
                    object_aliases: other_names(object),
                    ..WrittenFact::default()
                })
            }));
        }
        rows
    }
}

fn wording(form: &PhraseForm) -> String {
    match form {
        PhraseForm::Active { phrase, tail } if tail.is_empty() => format!("{{subject}} {phrase} {{object}}"),
        PhraseForm::Active { phrase, tail } => format!("{{subject}} {phrase} {{object}} {tail}"),
        PhraseForm::Passive { auxiliary, participle } => format!("{{object}} {auxiliary} {participle} by {{subject}}"),
        PhraseForm::NounFirst { noun, copula } => format!("the {noun} of {{object}} {copula} {{subject}}"),
        PhraseForm::Owned { noun, copula } => format!("{{subject}}'s {noun} {copula} {{object}}"),
    }
}

/// The wording with the subject first of a relation that may only be met turned round.
fn plainest(form: &PhraseForm) -> Option<String> {
    match form {
        PhraseForm::Passive { participle, .. } => {
            past_of(participle).map(|past| format!("{{subject}} {past} {{object}}"))
        }
        PhraseForm::NounFirst { noun, copula } => Some(format!("{{subject}} {copula} the {noun} of {{object}}")),
        PhraseForm::Active { .. } | PhraseForm::Owned { .. } => None,
    }
}

/// The same with the object first, where that follows from a rule: "was designed by", "the capital of … is".
fn turned(wording: &str) -> Option<String> {
    let phrase = wording.strip_prefix("{subject} ")?.strip_suffix(" {object}")?;
    if let Some(participle) = participle_of(phrase) {
        return Some(format!("{{object}} was {participle} by {{subject}}"));
    }
    let (copula, noun) = phrase.split_once(" the ")?;
    let noun = noun.strip_suffix(" of").filter(|noun| !noun.contains(' ') && ["is", "was"].contains(&copula))?;
    Some(format!("the {noun} of {{object}} {copula} {{subject}}"))
}
