//! Random streams that depend on what they are for, never on who draws from them.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The generator used everywhere: portable, so a seed means the same on every machine.
pub type Stream = ChaCha8Rng;

/// A stream keyed by a seed and a path, for example `(seed, [step, question, sample])`. Two different paths
/// give unrelated streams, and the same path always gives the same one.
pub fn stream(seed: u64, path: &[u64]) -> Stream {
    // SplitMix64 over the key, once per output word: every bit of every part reaches every word.
    let mut state = seed ^ 0x9E37_79B9_7F4A_7C15;
    for part in std::iter::once(&(path.len() as u64)).chain(path) {
        state = mix(state.wrapping_add(*part).wrapping_add(0x9E37_79B9_7F4A_7C15));
    }
    let mut bytes = [0u8; 32];
    for (word, chunk) in bytes.chunks_exact_mut(8).enumerate() {
        chunk.copy_from_slice(
            &mix(state.wrapping_add(0x9E37_79B9_7F4A_7C15u64.wrapping_mul(word as u64 + 1))).to_le_bytes(),
        );
    }
    ChaCha8Rng::from_seed(bytes)
}

/// The same for a name: a stage or a task has a stream of its own without a table of numbers.
pub fn named(seed: u64, name: &str) -> Stream {
    let words: Vec<u64> = name.bytes().map(u64::from).collect();
    stream(seed, &words)
}

/// A number that looks random and depends on every bit of `value` (the finaliser of SplitMix64).
pub fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;
    use std::collections::HashSet;

    #[test]
    fn streams_are_told_apart_by_every_part_of_their_path() {
        let mut seen = HashSet::new();
        for seed in 0..10 {
            for step in 0..10 {
                for sample in 0..10 {
                    assert!(seen.insert(stream(seed, &[step, sample]).random::<u64>()));
                }
            }
        }
        assert!(seen.insert(stream(0, &[0]).random::<u64>()));
        assert_eq!(stream(3, &[1, 2]).random::<u64>(), stream(3, &[1, 2]).random::<u64>());
    }
}
