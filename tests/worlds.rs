//! Worlds, questions, lessons and audits are the same, byte for byte, whatever the code that makes them looks like.

use std::path::Path;

use recollect::config::Config;
use recollect::experiment::{self, WorldPart};
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

/// Lessons of every kind that the bases that ship were taught.
fn taught(world: &World, cot_style: &CotStyle) -> String {
    let curriculum = Curriculum::new(world, cot_style);
    let mut random = random::stream(7, &[]);
    let mut text = String::new();
    for (make, _) in Mixture::default().kinds().into_iter().filter(|(_, weight)| *weight > 0.0) {
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

/// Lessons of a base that begins without a structure.
fn drilled(world: &World) -> String {
    let cot_style = CotStyle::default();
    let (curriculum, mut random) = (Curriculum::new(world, &cot_style), random::stream(8, &[]));
    let mut text = String::new();
    for make in [Curriculum::repeat, Curriculum::read_many] {
        (0..150).for_each(|_| note(&mut text, &make(&curriculum, &mut random)));
    }
    text
}

#[test]
fn drills_are_what_they_were() {
    // The words of the second base are those of the first, and more behind them.
    let digest = |base| files::digest(drilled(&world(base, json!({}), 0)).as_bytes());
    assert_eq!(["base", "versed"].map(|base| digest(base)[..16].to_owned()), ["9dfa88aab9ecdc02"; 2]);
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

/// The first sixteen digits of each digest: worlds and questions as version 0.3 had them, lessons since their thoughts name what
/// a question shows in its order.
const GOLDEN: [&str; 12] = [
    "7ccb0e686f189640",
    "7a073a6a1c3854f9",
    "7a073a6a1c3854f9",
    "7aa2e82d7a39eccd",
    "6cea90123b4c70c1",
    "6cea90123b4c70c1",
    "69d81c329cf8d8fc",
    "786820135c5b15cc",
    "6f07a61a0f936587",
    "fa4f2841b8f178f1",
    "ba4b4c14aa763f4d",
    "bca90ee77c22b7bd",
];

#[test]
fn what_thoughts_fine_tuning_rehearses_is_shown() {
    let show = |changes: &[&str]| {
        let changes: Vec<String> = changes.iter().map(|change| change.to_string()).collect();
        let config = Config::parse("", "nothing", "nothing", &changes).unwrap();
        experiment::world(&config, &[WorldPart::Lessons], 40).unwrap()
    };
    let text = show(&[]);
    let [asked, thought, answer] =
        ["C  ", "  …  ", "  →  "].map(|mark| text.lines().filter(|line| line.starts_with(mark)).count());
    assert_eq!([asked, thought, answer], [40; 3], "{text}");
    assert!(
        text.lines().take(1).all(|line| line.contains(" ?")) && !text.contains("<pad>") && !text.contains('<'),
        "{text}"
    );
    assert!(show(&["finetune.cot_style.restoring=1"]).contains("<pad>"));
    assert_ne!(show(&["finetune.seed=1"]), text);
}
