//! Worlds, questions, lessons and audits are the same, byte for byte, whatever the code that makes them looks like.

use std::path::Path;

use recollect::knowledge::curriculum::{CotStyle, Curriculum, Mixture, TrainingSequence};
use recollect::knowledge::{Division, Knowledge, KnownConfig, Library, Set, World, WorldConfig, audit};
use recollect::{files, random};
use serde_json::json;

const SETS: [Set; 3] = [Set::A, Set::B, Set::C];

fn known(base: &str) -> KnownConfig {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets").join(base).join("known.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn world(base: &str, size: serde_json::Value, seed: u64) -> World {
    let config: WorldConfig = serde_json::from_value(json!({ "seed": seed, "a": size, "b": size })).unwrap();
    World::new(&known(base), &config).unwrap()
}

fn note(text: &mut String, lesson: &TrainingSequence) {
    *text += &format!("{:?} {:?}\n", lesson.tokens, lesson.weights);
}

/// Everything that is told and asked.
fn told(world: &World) -> String {
    let mut text = serde_json::to_string(&world.known).unwrap();
    for set in SETS {
        text += &serde_json::to_string(&world.questions(set)).unwrap();
    }
    for document in world.documents() {
        text += &format!("{} {}\n", document.set, world.text(document));
    }
    text += &serde_json::to_string(&audit::audit(world)).unwrap();
    let knowledge = Knowledge::Generated(Box::new(world.clone()));
    for passage in Library::new(&knowledge).passages() {
        text += &format!("{passage:?}\n");
    }
    let division = Division::new(&knowledge, 0.3, 5).unwrap();
    text += &serde_json::to_string(&division.questions(&knowledge, knowledge.forms())).unwrap();
    text
}

/// Lessons of every kind.
fn taught(world: &World, cot_style: &CotStyle) -> String {
    let curriculum = Curriculum::new(world, cot_style);
    let mut random = random::stream(7, &[]);
    let mut text = String::new();
    for (make, _) in Mixture::default().kinds() {
        (0..150).for_each(|_| note(&mut text, &make(&curriculum, &mut random)));
    }
    for set in SETS {
        for _ in 0..60 {
            note(&mut text, &curriculum.rephrased(set, &mut random));
            note(&mut text, &curriculum.turned_round(set, &mut random));
            note(&mut text, &curriculum.inferred(set, &mut random));
        }
    }
    for document in world.documents().iter().take(150) {
        note(&mut text, &curriculum.document(document, &mut random));
        note(&mut text, &curriculum.masked(document, &mut random));
        note(&mut text, &curriculum.reversed(document));
    }
    text
}

#[test]
fn worlds_questions_and_lessons_are_what_they_were() {
    let plain = json!({});
    let all = json!({ "facts": 50, "chains": 16, "codes": 6, "families": 5, "documents": 500 });
    let newer = CotStyle { codes: 0.5, kinds: 0.5, ..CotStyle::default() };
    let mut digests = Vec::new();
    for (base, size) in [("base", plain), ("versed", all)] {
        for seed in [0, 3] {
            let world = world(base, size.clone(), seed);
            digests.push(files::digest(told(&world).as_bytes()));
            digests.push(files::digest(taught(&world, &CotStyle::default()).as_bytes()));
            digests.push(files::digest(taught(&world, &newer).as_bytes()));
        }
    }
    let short: Vec<&str> = digests.iter().map(|digest| &digest[..16]).collect();
    assert_eq!(short, GOLDEN);
}

/// The first sixteen digits of each digest: worlds and questions as version 0.3 had them, lessons since their thoughts say nothing
/// twice and masked documents stand behind unrelated words.
const GOLDEN: [&str; 12] = [
    "7ccb0e686f189640",
    "4b8c3d5eb7b3c62b",
    "4b8c3d5eb7b3c62b",
    "7aa2e82d7a39eccd",
    "64f2492fd4927c4f",
    "64f2492fd4927c4f",
    "69d81c329cf8d8fc",
    "ee72738ad76ac9f8",
    "4e9b40d4d808e8c0",
    "fa4f2841b8f178f1",
    "f96c8a2b64dead84",
    "2a0fe9d3809759ad",
];
