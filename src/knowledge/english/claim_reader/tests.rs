//! Any book of facts is read back from its wordings, and any text has a reading.

use proptest::prelude::*;

use super::ClaimReader;
use crate::knowledge::english::FactBook;
use crate::knowledge::english::fact_book::{CategoricalFact, FactRow, Relation, WrittenFact};
use crate::knowledge::{Claim, Facts, Mood};

const FIRST: [&str; 8] = ["Mara", "Rik", "Tal", "Ines", "Petra", "Bruno", "Selma", "Hugo"];
const LAST: [&str; 8] = ["Venn", "Dop", "Osen", "Calder", "Lund", "Falk", "Roth", "Stane"];
const WORKS: [&str; 8] = [
    "Glass Bridge",
    "Owl Tower",
    "Iron Gate",
    "Winter Mural",
    "St. Mary Chapel",
    "Long Night",
    "Salt and Stone",
    "Blue Lamp",
];
const TOWNS: [&str; 3] = ["Tarnby", "Zudwick", "New Korstad"];
const OPENERS: [&str; 12] = [
    "",
    "So ",
    "Also, ",
    "First, ",
    "Hmm, ",
    "I recall that ",
    "I know that ",
    "Remember: ",
    "In fact, ",
    "1. ",
    "- ",
    "Okay, so ",
];

/// Four relations, one of which has groups, and one has no wordings of its own.
fn relations() -> Vec<Relation> {
    let relation = |name: &str, wordings: &[&str]| Relation {
        name: name.into(),
        wordings: wordings.iter().map(|wording| (*wording).into()).collect(),
    };
    vec![
        relation(
            "designed",
            &[
                "{subject} designed {object}",
                "{object} was designed by {subject}",
                "it was {subject} who designed {object}",
                "the designer of {object} is {subject}",
                "{subject} is best known for designing {object}",
            ],
        ),
        relation("painted", &["{subject} painted {object}", "{subject}'s best picture is {object}"]),
        relation("guards", &["in {group}, {subject} guards {object}", "{object} is guarded by {subject} in {group}"]),
    ]
}

/// Which person did what to which work: numbers of each, whether it has an article, whether names are shortened.
fn facts() -> impl Strategy<Value = Vec<(usize, usize, usize, bool)>> {
    prop::collection::vec((0..8usize, 0..4usize, 0..8usize, any::<bool>()), 1..12)
}

/// A fact with a name for each end as it may be said.
struct Told {
    claim: Claim,
    relation: usize,
    group: String,
    names: [Vec<String>; 2],
}

fn book(facts: &[(usize, usize, usize, bool)]) -> (ClaimReader, Vec<Told>) {
    let mut rows: Vec<FactRow> = relations().into_iter().map(FactRow::Relation).collect();
    let mut told = Vec::new();
    for &(who, relation, what, _) in facts {
        let (subject, alias) = (format!("{} {}", FIRST[who], LAST[who]), LAST[who].to_owned());
        let object = if what % 2 == 0 { format!("the {}", WORKS[what]) } else { WORKS[what].to_owned() };
        let bare = format!("Old {}", WORKS[what]);
        let group = if relation == 2 { TOWNS[(who + what) % 3].to_owned() } else { String::new() };
        let name = ["designed", "painted", "guards", "visited"][relation].to_owned();
        let claim = Claim::Relation {
            group: group.clone(),
            subject: subject.clone(),
            relation: name.clone(),
            object: object.clone(),
        };
        let names = [vec![subject.clone(), alias.clone()], vec![object.clone(), bare.clone()]];
        rows.push(FactRow::Fact(WrittenFact {
            group: group.clone(),
            subject,
            relation: name,
            object,
            subject_aliases: vec![alias],
            object_aliases: vec![bare],
        }));
        told.push(Told { claim, relation, group, names });
    }
    (ClaimReader::new(rows.into_iter().collect()), told)
}

/// Every way to say a fact.
fn sayings(told: &Told) -> Vec<String> {
    let wordings = relations().get(told.relation).map(|relation| relation.wordings.clone());
    let mut all = Vec::new();
    for wording in wordings.unwrap_or_else(|| vec!["{subject} visited {object}".into()]) {
        for subject in &told.names[0] {
            for object in &told.names[1] {
                let said = wording.replace("{subject}", subject).replace("{object}", object);
                all.push(said.replace("{group}", &told.group));
            }
        }
    }
    all
}

fn claims(reader: &ClaimReader, text: &str) -> Vec<Claim> {
    reader.clauses(&[text]).into_iter().filter_map(|(_, claim)| claim).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn every_wording_of_every_fact_reads_back_as_itself(facts in facts(), opener in 0..OPENERS.len()) {
        let (reader, told) = book(&facts);
        for (at, one) in told.iter().enumerate() {
            let other = &told[(at + 1) % told.len()];
            for (said, more) in sayings(one).iter().zip(sayings(other).iter().cycle()) {
                let expected = std::slice::from_ref(&one.claim);
                let opened = format!("{}{said}.", OPENERS[opener]);
                prop_assert_eq!(&claims(&reader, &opened), expected, "{}", opened);
                let mut letters = said.chars();
                let capital = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default() + letters.as_str();
                prop_assert_eq!(reader.read(&capital), Some(one.claim.clone()), "{}", capital);
                prop_assert!(reader.holds(&one.claim));
                for joint in [" and ", ", while ", "; ", ". "] {
                    let both = format!("{said}{joint}{more}.");
                    let expected = [one.claim.clone(), other.claim.clone()];
                    prop_assert_eq!(&claims(&reader, &both), &expected, "{}", both);
                }
                for nothing in [format!("Maybe {said}."), format!("If {said}, so be it."), format!("\"{said}.\""), format!("{said}?")] {
                    prop_assert_eq!(&claims(&reader, &nothing), &[], "{}", nothing);
                }
            }
        }
    }

    #[test]
    fn any_text_has_clauses_that_are_all_of_it(text in any::<String>(), soup in soup()) {
        let (reader, _) = book(&[(0, 0, 0, true), (1, 2, 1, true), (2, 3, 2, true)]);
        for text in [text, soup] {
            let clauses = reader.clauses(&[&text]);
            let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(letters(&clauses.iter().map(|(clause, _)| *clause).collect::<String>()), letters(&text));
        }
    }
}

/// Words that sentences are made of, in any order.
fn soup() -> impl Strategy<Value = String> {
    const WORDS: &str = "Mara Venn Dop the Glass Bridge designed was by painted guards in Tarnby and , . ; : ? ! ( ) \" ' ’ who \
                         which not never did neither nor both or if it she they his 's is all no some 1. - é 👩‍👩‍👧 \u{301} \
                         respectively but as well her best picture Old St. Mary Chapel";
    let words: Vec<&str> = WORDS.split(' ').collect();
    prop::collection::vec((prop::sample::select(words), any::<bool>()), 0..60).prop_map(|words| {
        words.into_iter().map(|(word, space)| if space { format!("{word} ") } else { word.into() }).collect()
    })
}

#[test]
fn what_names_nothing_that_a_fact_could_hold_of_is_a_remark() {
    let (reader, _) = book(&[(0, 0, 0, true), (1, 1, 1, true), (2, 2, 2, true)]);
    for remark in
        ["That fits.", "So the answer is Mara Venn.", "Is it Mara Venn or Rik Dop?", "Not the Glass Bridge.", ""]
    {
        assert!(reader.is_remark(remark), "{remark}");
    }
    for statement in
        ["Mara Venn, ah, the Glass Bridge.", "Maybe Dop saw the Owl Tower.", "Venn did not design the Glass Bridge."]
    {
        assert!(!reader.is_remark(statement), "{statement}");
    }
}

#[test]
fn long_thoughts_come_to_an_end() {
    let terms = FactRow::Categorical(CategoricalFact {
        subject: "blickets".into(),
        mood: Mood::All,
        predicate: "zorps".into(),
        subject_aliases: vec![],
        predicate_aliases: vec![],
    });
    let (reader, _) = book(&[(0, 0, 0, true), (1, 2, 1, true)]);
    let relations = relations().into_iter().map(FactRow::Relation).chain([terms]);
    let mut both: FactBook = relations.collect();
    both.claims.extend(reader.book().claims.iter().cloned());
    both.names.extend(reader.book().names.clone());
    let reader = ClaimReader::new(both);
    // A build that is not optimised is slow enough with less.
    let length = if cfg!(debug_assertions) { 8_000 } else { 300_000 };
    // Work that grew with the square of the length would take hours.
    for piece in [
        "Mara Venn designed the Glass Bridge. ",
        "Mara Venn, ",
        "Mara Venn and ",
        "and ",
        "(",
        "\"",
        "neither ",
        "not ",
        "all blickets are zorps and ",
        "Mara Venn designed the Glass Bridge, who ",
        "If Mara Venn, who ",
        "Dop Dop ",
        "so, ",
        "1. ",
        "Mara Venn's ",
        "she ",
        "also ",
        "was designed by ",
        "in Tarnby, ",
    ] {
        let text = piece.repeat(length / piece.len());
        reader.clauses(&[&text]);
    }
    let count = if cfg!(debug_assertions) { 2_000 } else { 100_000 };
    let many = "Mara Venn designed the Glass Bridge. ".repeat(count);
    assert_eq!(reader.clauses(&[&many]).len(), count);
}
