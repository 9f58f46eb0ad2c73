//! How fast recorded rollouts are scored again, from a thousand to a million: `cargo bench --bench rescore`. A number
//! at the end is the largest count (`cargo bench --bench rescore -- 100000`).
//!
//! Must hold: 100,000 rollouts in less than 5 seconds on two cores and in less than 500 MB.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use recollect::reward::examples::examples;
use recollect::reward::rescore::{Options, rescore};
use recollect::reward::{Record, Reward, SampledBy};
use recollect::telemetry::{Silent, machine};

const GROUP: usize = 16;
const QUESTIONS: usize = 12;
const REPEATS: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let largest = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(1_000_000);
    let folder = tempfile::tempdir()?;
    let reward = Reward::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("rewards/concise.toml"))?;
    println!("{:>9} {:>8} {:>10} {:>14} {:>12}", "rollouts", "MB", "seconds", "rollouts/s", "peak MiB");
    for count in [1_000, 10_000, 100_000, 1_000_000].into_iter().filter(|count| *count <= largest) {
        let path = folder.path().join(format!("{count}.jsonl"));
        let bytes = write(&path, count)?;
        let mut times = [0.0; REPEATS];
        for time in &mut times {
            let start = Instant::now();
            let paths: [PathBuf; 1] = [path.clone()];
            let found = rescore(std::slice::from_ref(&reward), &paths, Options { kept: 5, workers: 2 }, &Silent)?;
            *time = start.elapsed().as_secs_f64();
            assert_eq!(found.rollouts, count as u64);
        }
        times.sort_by(f64::total_cmp);
        let (seconds, peak) = (times[REPEATS / 2], machine::peak_resident().unwrap_or(0) >> 20);
        println!("{count:>9} {:>8.1} {seconds:>10.3} {:>14.0} {peak:>12}", bytes as f64 / 1e6, count as f64 / seconds);
        std::fs::remove_file(&path)?;
    }
    Ok(())
}

/// Writes rollouts as training does: steps of some questions with a group of completions each, about as long as those
/// of the quickstart. Gives the size of the file.
fn write(path: &Path, count: usize) -> Result<u64, Box<dyn Error>> {
    let examples = examples();
    let mut file = BufWriter::new(File::create(path)?);
    for index in 0..count {
        let (step, question, sample) = (index / (GROUP * QUESTIONS), index / GROUP % QUESTIONS, index % GROUP);
        // Different examples in every group, so that texts and scores vary.
        let example = &examples[(sample * 7 + question + step) % examples.len()].record;
        let record = Record {
            step: step as u64 + 1,
            question: question as u64,
            sample,
            completion: format!("{} {step}", example.completion),
            reward: Some(f64::from(u8::from(example.judgement.correct))),
            terms: ["correct", "recitation", "format", "relevance", "truncated"]
                .map(|name| recollect::reward::TermScore { name: name.into(), value: Some(0.5), weight: 1.0 })
                .to_vec(),
            advantage: Some(0.5),
            version: SampledBy::One(step as u64),
            ..example.clone()
        };
        serde_json::to_writer(&mut file, &record)?;
        file.write_all(b"\n")?;
    }
    file.flush()?;
    Ok(std::fs::metadata(path)?.len())
}
