//! Facts are proposed that are stated, in the format of the reader of facts, and read as themselves from their sentences.

use std::collections::{BTreeMap, BTreeSet};

use super::{Proposal, propose};
use crate::knowledge::english::fact_book::{FactRow, Relation, WrittenFact};
use crate::knowledge::english::world::EnglishWorld;
use crate::knowledge::english::world::config::EnglishConfig;
use crate::knowledge::english::{ClaimReader, FactBook};
use crate::knowledge::{Claim, Facts};
use crate::language::prose;

/// Documents, and every fact that is to be found in them.
type Example = (&'static [&'static str], &'static [[&'static str; 3]]);

const EXAMPLES: [Example; 6] = [
    (
        &[
            "Mara Venn designed the Glass Bridge. She was born in Korstad in 1902.",
            "The Glass Bridge was designed by Mara Venn. Few people know that.",
            "Rik Dop designed the Owl Tower with great care. Dop also painted the Winter Mural.",
            "In fact, Rik Dop designed the Owl Tower.",
        ],
        &[
            ["Mara Venn", "designed", "the Glass Bridge"],
            ["Mara Venn", "was born in", "Korstad"],
            ["Rik Dop", "designed", "the Owl Tower"],
            ["Rik Dop", "painted", "the Winter Mural"],
        ],
    ),
    (
        &[
            "Paris is the capital of France. The capital of Norway is Oslo.",
            "France borders Spain and Belgium. It joined the United Nations in 1945.",
            "Oslo was founded in 1048, and Paris lies on the Seine.",
        ],
        &[
            ["Paris", "is the capital of", "France"],
            ["Oslo", "is the capital of", "Norway"],
            ["France", "borders", "Spain"],
            ["France", "borders", "Belgium"],
            ["France", "joined", "the United Nations"],
            ["Oslo", "was founded in", "1048"],
            ["Paris", "lies on", "the Seine"],
        ],
    ),
    (
        &[
            "Petra Lund wrote \"The Long Night\" in two years. It was Petra Lund who wrote \"Salt and Stone\".",
            "\"The Paper Crown\" was written by Bruno Falk. He never spoke of it.",
            "Bruno Falk's wife is Ida Thorn. Did Ida Thorn write \"The Blue Lamp\"?",
        ],
        &[
            ["Petra Lund", "wrote", "The Long Night"],
            ["Petra Lund", "wrote", "Salt and Stone"],
            ["Bruno Falk", "wrote", "The Paper Crown"],
            ["Bruno Falk", "wife", "Ida Thorn"],
        ],
    ),
    (
        &[
            "Ines Calder, an architect, restored the Iron Gate. She lives in Lisnor and works for the Korstad Guild.",
            "Tal Osen, who was born in Lisnor, met Ines Calder in 1931. They founded the School of Stone.",
            "Hugo Stane did not restore the Iron Gate. Perhaps Hugo Stane restored the Old Mill.",
            "Somebody said that Hugo Stane lives in Oslo. If Hugo Stane lives in Lisnor, nobody knows.",
        ],
        &[
            ["Ines Calder", "restored", "the Iron Gate"],
            ["Ines Calder", "lives in", "Lisnor"],
            ["Ines Calder", "works for", "the Korstad Guild"],
            ["Tal Osen", "was born in", "Lisnor"],
            ["Tal Osen", "met", "Ines Calder"],
        ],
    ),
    (
        &[
            "Ada Pell and Ben Orr built the Tall Mill. Cleo Marsh built the Old Gate, the Red Barn and the Low Dam.",
            "The Tall Mill has 12 windows. The Old Gate was opened on 3 May 1871.",
            "Everybody likes the Red Barn. What a nice day it was.",
        ],
        &[
            ["Ada Pell", "built", "the Tall Mill"],
            ["Ben Orr", "built", "the Tall Mill"],
            ["Cleo Marsh", "built", "the Old Gate"],
            ["Cleo Marsh", "built", "the Red Barn"],
            ["Cleo Marsh", "built", "the Low Dam"],
            ["the Tall Mill", "has", "12 windows"],
            ["the Old Gate", "was opened on", "3 May 1871"],
        ],
    ),
    (&["", "nothing has a name here.", "Why?", "1. 2. 3.", "\"", "It is so.", "The The, and Mara Venn's"], &[]),
];

fn texts(documents: &[&str]) -> Vec<String> {
    documents.iter().map(|text| (*text).to_owned()).collect()
}

fn facts(proposal: &Proposal) -> Vec<&WrittenFact> {
    let facts = proposal.rows.iter().filter_map(|row| if let FactRow::Fact(fact) = row { Some(fact) } else { None });
    facts.collect()
}

/// The rows as they are read back from a file.
fn read_back(proposal: &Proposal) -> Vec<FactRow> {
    let lines = proposal.rows.iter().map(|row| serde_json::to_string(row).unwrap());
    lines.map(|line| FactRow::parse(&line).unwrap()).collect()
}

/// Every proposed fact is read as itself in a sentence of the documents, beside those before it.
fn demand_read(proposal: &Proposal, documents: &[String]) {
    let rows = read_back(proposal);
    assert_eq!(rows, proposal.rows);
    let reader = ClaimReader::new(rows.into_iter().collect::<FactBook>());
    let read: BTreeSet<Claim> =
        documents.iter().flat_map(|text| reader.clauses(&[text])).filter_map(|(_, claim)| claim).collect();
    for WrittenFact { subject, relation, object, .. } in facts(proposal) {
        let [group, subject, relation, object] = ["", subject, relation, object].map(String::from);
        let claim = Claim::Relation { group, subject, relation, object };
        assert!(reader.holds(&claim) && read.contains(&claim), "{claim:?}");
    }
    assert_eq!(proposal.sentences, documents.iter().map(|text| prose::sentences(text).len()).sum::<usize>());
    assert!(proposal.stating + proposal.others.len() <= proposal.sentences);
}

#[test]
fn facts_of_little_documents_are_found_and_read_as_themselves() {
    let mut wrong = Vec::new();
    for (documents, expected) in EXAMPLES {
        let documents = texts(documents);
        let proposal = propose(&documents);
        demand_read(&proposal, &documents);
        let found: BTreeSet<[&str; 3]> =
            facts(&proposal).into_iter().map(|fact| [&*fact.subject, &*fact.relation, &*fact.object]).collect();
        let expected: BTreeSet<[&str; 3]> = expected.iter().copied().collect();
        wrong.extend(found.symmetric_difference(&expected).map(|fact| format!("{fact:?}")));
        assert_eq!(proposal.facts, found.len());
    }
    assert!(wrong.is_empty(), "too many or missing: {wrong:#?}");
}

#[test]
fn relations_come_by_their_frequency_with_wordings_and_other_names() {
    let proposal = propose(&texts(EXAMPLES[0].0));
    let relations: Vec<&Relation> = proposal
        .rows
        .iter()
        .filter_map(|row| if let FactRow::Relation(relation) = row { Some(relation) } else { None })
        .collect();
    let names: Vec<&str> = relations.iter().map(|relation| relation.name.as_str()).collect();
    assert_eq!(names, ["designed", "was born in", "painted"]);
    assert_eq!(
        relations[0].wordings,
        [
            "{subject} designed {object}",
            "{object} was designed by {subject}",
            "{subject} designed {object} with great care"
        ]
    );
    assert_eq!(relations[2].wordings, ["{subject} painted {object}", "{object} was painted by {subject}"]);
    let dop = facts(&proposal).into_iter().find(|fact| fact.relation == "painted").unwrap();
    assert_eq!(dop.subject_aliases, ["Dop"]);
    assert_eq!((proposal.sentences, proposal.stating), (7, 6));
    assert_eq!(proposal.others, ["Few people know that."]);
}

#[test]
fn phrases_that_say_the_same_of_several_are_one_relation_and_others_are_not() {
    let people = ["Ada Pell", "Ben Orr", "Cleo Marsh", "Dan Voss"];
    let works = ["Tall Mill", "Long Wall", "Old Gate", "Red Barn"];
    let towns = ["Korstad", "Lisnor", "Tarnby", "Zudwick"];
    let told = |(at, who): (usize, &&str)| {
        let (work, town, other) = (works[at], towns[at], towns[(at + usize::from(at > 2)) % 4]);
        format!(
            "{who} built the {work}. {who} was the builder behind the {work}. {who} was born in {town}. {who} died in {other}."
        )
    };
    let documents: Vec<String> = people.iter().enumerate().map(told).collect();
    let proposal = propose(&documents);
    demand_read(&proposal, &documents);
    assert_eq!((proposal.relations, proposal.facts), (3, 12), "{:?}", proposal.rows);
}

/// Measured: 0.994 of what is proposed of deeds is so, and every deed is found.
#[test]
fn a_good_share_of_the_deeds_of_a_world_in_english_is_found() {
    let world = EnglishWorld::new(&EnglishConfig::default(), 11).unwrap();
    let documents: Vec<String> = world.documents.iter().map(|document| document.text.clone()).collect();
    let proposal = propose(&documents);
    demand_read(&proposal, &documents);
    let stated = world.facts.iter().filter_map(|row| match row {
        FactRow::Fact(fact) if fact.relation != "belongs to" && fact.relation != "is a" => Some(fact),
        _ => None,
    });
    let deeds: BTreeMap<&str, &str> = stated.map(|fact| (fact.object.as_str(), fact.subject.as_str())).collect();
    let proposed: BTreeSet<(&str, &str)> = facts(&proposal)
        .into_iter()
        .filter(|fact| deeds.contains_key(fact.object.as_str()))
        .map(|fact| (fact.object.as_str(), fact.subject.as_str()))
        .collect();
    let right = proposed.iter().filter(|(object, subject)| deeds[object] == *subject).count();
    let (precision, recall) = (right as f64 / proposed.len() as f64, right as f64 / deeds.len() as f64);
    println!("precision {precision:.3}, recall {recall:.3}, {} relations", proposal.relations);
    assert!(precision >= 0.97 && recall >= 0.97, "precision {precision:.3}, recall {recall:.3}");
}
