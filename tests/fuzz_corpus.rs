//! What is fuzzed (`tests/fuzz/run`) holds for the corpus, and for what little damage makes of it.

use std::fs;
use std::path::Path;

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

#[path = "fuzz/bodies.rs"]
mod bodies;

/// Damaged copies of each file.
const DAMAGED: usize = 300;

#[test]
fn no_file_of_the_corpus_and_no_damaged_copy_of_one_breaks_a_reader() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let mut size = 0;
    for (name, body) in bodies::BODIES {
        let mut files: Vec<_> = fs::read_dir(corpus.join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty(), "{name} has no corpus");
        let mut random = ChaCha8Rng::seed_from_u64(7);
        for path in files {
            println!("{}", path.display());
            let bytes = fs::read(&path).unwrap();
            size += bytes.len();
            body(&bytes);
            (0..DAMAGED).for_each(|_| body(&damaged(&bytes, &mut random)));
        }
        body(&[]);
    }
    assert!(size < 100_000, "the corpus has {size} bytes");
}

/// A copy that is cut short, repeated, or has some bytes changed, left out or put in.
fn damaged(bytes: &[u8], random: &mut ChaCha8Rng) -> Vec<u8> {
    const SHARP: [u8; 16] = *b"\0\n\"{}[],:=.-9e\xff\x1b";
    let mut bytes = bytes.to_vec();
    for _ in 0..random.random_range(1..6) {
        let at = random.random_range(0..=bytes.len());
        match random.random_range(0..6) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 => bytes.insert(at, random.random()),
            4 => bytes.insert(at, *SHARP.choose(random).unwrap_or(&0)),
            _ => {
                let end = random.random_range(at..=bytes.len()).min(at + 64);
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}
