//! Proposes a file of facts for documents that have none: what their sentences state, for a person to check.
//!
//! No model is asked. Names are found by their spelling (`mentions`), statements by the words between two of them (`phrases`),
//! short names by where they are met (`name_table`), and phrases become relations with wordings (`relations`). What is proposed
//! was read again by the [`ClaimReader`] with those very rows: a fact that its own sentence is not read as is left out.

mod mentions;
mod name_table;
mod phrases;
mod relations;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use self::mentions::CapitalUse;
use self::name_table::NameTable;
use self::phrases::{FoundStatement, SentenceScan};
use self::relations::RelationTable;
use super::claim_reader::prose_token::{ProseToken, tokens};
use super::fact_book::FactRow;
use super::{ClaimReader, FactBook};
use crate::knowledge::{Claim, Facts};
use crate::language::prose;

/// Facts that documents seem to state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Proposal {
    /// Rows of a file of facts: relations with their wordings, the most frequent first, each before its facts.
    pub rows: Vec<FactRow>,
    pub relations: usize,
    pub facts: usize,
    /// Sentences of all documents, and those of them that state a proposed fact.
    pub sentences: usize,
    pub stating: usize,
    /// Sentences in which nothing was found, each once.
    pub others: Vec<String>,
}

/// A statement with the sentence that makes it.
struct StatedFact {
    document: usize,
    sentence: usize,
    statement: FoundStatement,
}

/// Proposes what documents state, in time that grows with their length.
pub fn propose(documents: &[String]) -> Proposal {
    let sentences: Vec<Vec<&str>> = documents.iter().map(|document| prose::sentences(document)).collect();
    let (mut kept, names) = found(&sentences);
    let aliases = names.aliases();
    let mut table = RelationTable::new(kept.iter().map(|fact| &fact.statement));
    loop {
        let reader = ClaimReader::new(table.rows(&aliases).into_iter().collect::<FactBook>());
        let before = kept.len();
        let read: Vec<Vec<Vec<Claim>>> =
            documents.iter().zip(&sentences).map(|(document, of)| claims(&reader, document, of)).collect();
        kept.retain(|fact| read[fact.document][fact.sentence].contains(&claim(&fact.statement, &table)));
        // What is left has fewer wordings and names, and is read once more with those alone.
        table = RelationTable::new(kept.iter().map(|fact| &fact.statement));
        if kept.len() == before {
            break;
        }
    }
    let stating: BTreeSet<(usize, usize)> = kept.iter().map(|fact| (fact.document, fact.sentence)).collect();
    let mut seen = BTreeSet::new();
    let numbered = sentences.iter().enumerate();
    let all = numbered.flat_map(|(document, of)| of.iter().enumerate().map(move |(at, text)| ((document, at), *text)));
    let others = all.filter(|(place, text)| !stating.contains(place) && seen.insert(*text));
    let (relations, facts) = table.counts();
    Proposal {
        rows: table.rows(&aliases),
        relations,
        facts,
        sentences: sentences.iter().map(Vec::len).sum(),
        stating: stating.len(),
        others: others.map(|(_, text)| text.to_owned()).collect(),
    }
}

/// All statements that sentences seem to make, by canonical names, and which names mean the same.
fn found(sentences: &[Vec<&str>]) -> (Vec<StatedFact>, NameTable) {
    let words: Vec<Vec<Vec<ProseToken>>> =
        sentences.iter().map(|of| of.iter().map(|sentence| tokens(sentence)).collect()).collect();
    let mut capitals = CapitalUse::default();
    words.iter().flatten().for_each(|sentence| capitals.note(sentence));
    let (mut facts, mut names) = (Vec::new(), Vec::with_capacity(sentences.len()));
    for (document, of) in sentences.iter().enumerate() {
        let (mut spoken, mut named) = (Vec::new(), Vec::new());
        for (sentence, text) in of.iter().enumerate() {
            let words = &words[document][sentence];
            let mentions = capitals.mentions(text, words);
            let statements = SentenceScan::new(words, &mentions).statements(&mut spoken);
            facts.extend(statements.into_iter().map(|statement| StatedFact { document, sentence, statement }));
            named.extend(mentions.into_iter().filter(|mention| !mention.amount).map(|mention| mention.name));
        }
        names.push(named);
    }
    let names = NameTable::new(&names);
    for StatedFact { statement, .. } in &mut facts {
        statement.subject = names.canonical(&statement.subject);
        statement.object = names.canonical(&statement.object);
    }
    facts.retain(|fact| fact.statement.subject != fact.statement.object);
    (facts, names)
}

fn claim(FoundStatement { subject, object, form }: &FoundStatement, table: &RelationTable) -> Claim {
    Claim::Relation {
        group: String::new(),
        subject: subject.clone(),
        relation: table.relation(form),
        object: object.clone(),
    }
}

/// What each sentence of a document claims, read in its order.
fn claims(reader: &ClaimReader, document: &str, sentences: &[&str]) -> Vec<Vec<Claim>> {
    let place = |part: &str| (part.as_ptr() as usize).saturating_sub(document.as_ptr() as usize);
    let mut read: Vec<Vec<Claim>> = vec![Vec::new(); sentences.len()];
    let mut at = 0;
    for (clause, claim) in reader.clauses(&[document]) {
        while at + 1 < sentences.len() && place(sentences[at + 1]) <= place(clause) {
            at += 1;
        }
        if let (Some(claim), Some(of)) = (claim, read.get_mut(at)) {
            of.push(claim);
        }
    }
    read
}
