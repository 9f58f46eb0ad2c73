//! Reads what sentences in free English claim, by the wordings and names of a [`FactBook`].
//!
//! A sentence is cut into words (`prose_token`) and held against a tree of all wordings (`wordings`, `matcher`), whose slots
//! take any of the names (`names`, `fillers`). Statements about all or some (`quantified`) have a grammar of their own.
//! `clauses` goes from one statement of a sentence to the next, and `talk` knows whom "she" means.
//!
//! A clause is read where all of its words are accounted for: by a wording, by names, or as words that change nothing
//! (`openers`, `word_lists`). What is asked, supposed, doubted, quoted or told of somebody else claims nothing.

mod clauses;
mod fillers;
mod matcher;
mod names;
mod openers;
pub(super) mod prose_token;
mod quantified;
mod quotes;
mod statement;
mod talk;
#[cfg(test)]
mod tests;
pub(super) mod verbs;
pub(super) mod word_lists;
mod wordings;

use std::collections::{BTreeSet, HashMap};

use self::names::{Called, NameTree, WordNumbers};
use self::talk::{Kinds, Talk};
use self::wordings::WordingTree;
use super::FactBook;
use crate::knowledge::facts::Cloze;
use crate::knowledge::logic::Import;
use crate::knowledge::{Claim, Facts};
use crate::language::prose;

/// Reads sentences about the facts of a book.
#[derive(Clone, Debug)]
pub struct ClaimReader(ClaimIndex, Import);

/// Everything that is looked up while reading.
#[derive(Clone, Debug)]
struct ClaimIndex {
    book: FactBook,
    words: WordNumbers,
    names: NameTree,
    wordings: WordingTree,
    /// Canonical names of relations by number.
    relations: Vec<String>,
    /// The groups in which a fact holds, by subject, relation and object.
    facts: HashMap<(String, String, String), Vec<String>>,
    groups: BTreeSet<String>,
    /// Relations whose facts hold in a group.
    grouped: BTreeSet<usize>,
    kinds: Kinds,
    /// Whether subjects, objects and groups have names without a capital.
    small: [bool; 3],
    has_terms: bool,
}

impl ClaimReader {
    /// Terms are taken to have members.
    pub fn new(book: FactBook) -> Self {
        Self::importing(book, Import::Existential)
    }

    /// A reader where terms have members, or may have none.
    pub fn importing(book: FactBook, import: Import) -> Self {
        Self(ClaimIndex::new(book), import)
    }

    pub fn book(&self) -> &FactBook {
        &self.0.book
    }
}

impl Facts for ClaimReader {
    /// The one claim of a sentence; `None` also where it has several.
    fn read(&self, sentence: &str) -> Option<Claim> {
        let mut claims = self.clauses(&[sentence]).into_iter().filter_map(|(_, claim)| claim);
        let first = claims.next()?;
        claims.next().is_none().then_some(first)
    }

    fn holds(&self, claim: &Claim) -> bool {
        self.0.book.claims.contains(claim)
    }

    fn clauses<'a>(&self, sentences: &[&'a str]) -> Vec<(&'a str, Option<Claim>)> {
        let mut talk = Talk::default();
        let sentences = sentences.iter().flat_map(|text| prose::sentences(text));
        sentences.flat_map(|sentence| self.0.clauses(sentence, &mut talk)).collect()
    }

    fn is_remark(&self, slice: &str) -> bool {
        self.0.names_no_fact(slice)
    }

    fn cloze(&self, claim: &Claim) -> Option<Cloze> {
        self.0.book.cloze(claim)
    }

    fn sentence(&self, claim: &Claim) -> Option<String> {
        self.0.book.sentence(claim)
    }

    fn import(&self) -> Import {
        self.1
    }
}

impl ClaimIndex {
    fn new(book: FactBook) -> Self {
        let (mut words, mut names, mut wordings) = (WordNumbers::default(), NameTree::default(), WordingTree::new());
        let mut numbers: HashMap<String, usize> = HashMap::new();
        let mut relations: Vec<String> = Vec::new();
        let (mut facts, mut groups, mut stated) = (HashMap::new(), BTreeSet::new(), Vec::new());
        let (mut small, mut terms, mut grouped) = ([false; 3], BTreeSet::new(), BTreeSet::new());
        for claim in &book.claims {
            match claim {
                Claim::Relation { group, subject, relation, object } => {
                    let number = *numbers.entry(relation.clone()).or_insert_with(|| {
                        relations.push(relation.clone());
                        relations.len() - 1
                    });
                    let key = (subject.clone(), relation.clone(), object.clone());
                    facts.entry(key).or_insert_with(Vec::new).push(group.clone());
                    stated.push((names.number(subject), number, names.number(object)));
                    for (slot, name) in [subject, object, group].into_iter().enumerate() {
                        small[slot] |= is_small(name);
                    }
                    if !group.is_empty() {
                        grouped.insert(number);
                        groups.insert(group.clone());
                    }
                }
                Claim::Categorical { subject, predicate, .. } => {
                    terms.extend([subject.clone(), predicate.clone()]);
                }
            }
        }
        let about: BTreeSet<u32> = stated.iter().flat_map(|(subject, _, object)| [*subject, *object]).collect();
        for (name, canonical) in &book.names {
            let number = names.number(canonical);
            if about.contains(&number) {
                names.add(&mut words, name, canonical, Called::Entity);
            }
            if terms.contains(canonical) {
                names.add(&mut words, name, canonical, Called::Term);
            }
        }
        groups.iter().for_each(|group| names.add(&mut words, group, group, Called::Group));
        for (number, relation) in relations.iter().enumerate() {
            book.wordings_of(relation).iter().for_each(|wording| wordings.add(&mut words, wording, number));
        }
        let has_article = |number: u32| {
            let canonical = &names.canonical[number as usize];
            canonical.split(' ').next().is_some_and(|first| ["the", "a", "an"].contains(&first.to_lowercase().as_str()))
        };
        let kinds = Kinds::new(relations.len(), &stated, has_article);
        let has_terms = !terms.is_empty();
        Self { book, words, names, wordings, relations, facts, groups, grouped, kinds, small, has_terms }
    }
}

/// Whether a name has no capital behind its article.
fn is_small(name: &str) -> bool {
    !name.is_empty() && !name.contains(char::is_uppercase)
}
