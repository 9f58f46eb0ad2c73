//! What a reward, or two, would have paid for recorded rollouts. One pass over the files in constant memory; the result
//! does not depend on the number of threads.

pub mod distribution;
pub mod files;
pub mod tally;

use std::path::PathBuf;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

pub use distribution::Distribution;
pub use tally::{Caught, Moved, OfReward, Rescored};

use super::scorer::Unscored;
use super::{Record, Reward, Score, Scorer};
use crate::telemetry::Progress;
use crate::{Error, Result};
use files::Piece;
use tally::Tally;

/// What to keep and how to go about it.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Completions that are kept of each list.
    pub kept: usize,
    /// Threads that read and score.
    pub workers: usize,
}

/// The rollouts of a piece, each with its score under every reward.
type Scored = Vec<(Record, Vec<Score>)>;

/// Scores the rollouts in these files and run directories by one reward or by two. With one it is compared with what
/// was paid when the rollouts were sampled, with two they are compared with each other.
///
/// Fails on a file that cannot be read or holds something else, on a group that does not stand in one piece, on a
/// command of an external term that cannot be started, and where there are no rollouts at all.
pub fn rescore(rewards: &[Reward], paths: &[PathBuf], options: Options, progress: &dyn Progress) -> Result<Rescored> {
    let files = files::find(paths)?;
    let megabytes = |bytes: u64| bytes.div_ceil(1_000_000);
    let total = files::size(&files)?;
    let mut meter = progress.begin("scoring", "MB", 0, megabytes(total));
    // Threads share the commands, of which there are as many as the reward says.
    let scorers = rewards.iter().map(Scorer::open).collect::<Result<Vec<Scorer>>>()?;
    let mut tally = Tally::new(rewards, options.kept);
    thread::scope(|scope| {
        // Pieces are dealt in turn and collected in turn, so they come back in order and few are under way.
        let scorers = &scorers;
        let lanes = (0..options.workers.max(1)).map(|_| {
            let (deal, pieces) = bounded::<Piece>(2);
            let (done, scored) = bounded(2);
            let worker = scope.spawn(move || score_pieces(scorers, &pieces, &done));
            (deal, (scored, worker))
        });
        let (deals, lanes): (Vec<Sender<Piece>>, Vec<_>) = lanes.unzip();
        let files = &files;
        let reader = scope.spawn(move || {
            let mut turn = deals.iter().cycle();
            files::pieces(files, |piece| turn.next().is_some_and(|lane| lane.send(piece).is_ok()))
        });
        let (scored, workers): (Vec<Receiver<_>>, Vec<_>) = lanes.into_iter().unzip();
        let mut bytes = 0;
        let mut outcome = Ok(());
        for lane in scored.iter().cycle() {
            // The lane whose turn it is has ended: so have all.
            let Ok(piece): Result<(usize, usize, Result<Scored>), _> = lane.recv() else { break };
            let (file, size, scored) = piece;
            bytes += size as u64;
            meter.set(megabytes(bytes));
            outcome = scored
                .and_then(|scored| scored.into_iter().try_for_each(|(record, scores)| tally.add(file, record, scores)));
            if outcome.is_err() {
                break;
            }
        }
        // Without receivers whoever is still at work stops.
        drop(scored);
        let gone = || Error::invalid("scoring", "a thread ended early", "this is a bug");
        for worker in workers {
            worker.join().map_err(|_| gone())?;
        }
        reader.join().map_err(|_| gone())?.and(outcome)
    })?;
    let remarks = scorers.iter().flat_map(Scorer::take_remarks).collect();
    tally.finish(scorers.iter().flat_map(Scorer::take_failures).collect(), remarks)
}

/// Scores pieces until there are no more, or until nobody wants them.
fn score_pieces(scorers: &[Scorer], pieces: &Receiver<Piece>, done: &Sender<(usize, usize, Result<Scored>)>) {
    let ask = |record: Record| {
        let asked: Vec<Unscored> = scorers.iter().map(|scorer| scorer.ask(&record.evidence())).collect();
        (record, asked)
    };
    let wait = |(record, asked): (Record, Vec<Unscored>)| {
        let both = scorers.iter().zip(asked);
        let scores = both.map(|(scorer, asked)| scorer.wait(&record.evidence(), asked)).collect();
        (record, scores)
    };
    for piece in pieces {
        // Commands are asked about the whole piece before the first answer is waited for.
        let asked: Result<Vec<_>> = piece.records().map(|record| record.map(ask)).collect();
        let scored: Result<Scored> = asked.map(|asked| asked.into_iter().map(wait).collect());
        if done.send((piece.index, piece.bytes(), scored)).is_err() {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reward::examples::examples;
    use crate::telemetry::Silent;
    use std::fs;
    use std::path::Path;

    /// Every example in each of so many steps, a file each.
    fn recorded(folder: &Path, steps: u64) -> Vec<PathBuf> {
        for step in 1..=steps {
            let mut seen = std::collections::BTreeMap::new();
            let lines = examples().into_iter().map(|example| {
                let sample = seen.entry(example.record.question).or_insert(0usize);
                *sample += 1;
                serde_json::to_string(&example.sampled(step, *sample - 1)).unwrap() + "\n"
            });
            fs::write(folder.join(format!("step-{step:06}.jsonl")), lines.collect::<String>()).unwrap();
        }
        vec![folder.to_path_buf()]
    }

    fn reward(text: &str) -> Reward {
        Reward::parse(text, "r.toml").unwrap()
    }

    fn scored(rewards: &[Reward], paths: &[PathBuf], workers: usize) -> Result<Rescored> {
        rescore(rewards, paths, Options { kept: 3, workers }, &Silent)
    }

    const CORRECT: &str = "[[term]]\nkind = 'correct'\n[[term]]\nkind = 'recitation'\nweight = 0";
    const TRUTH: &str = "[[term]]\nkind = 'recitation'\n[[term]]\nkind = 'length'\nlimit = 64";

    #[test]
    fn a_reward_scored_on_its_own_rollouts_moves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let paths = recorded(folder.path(), 2);
        let found = scored(&[reward(CORRECT)], &paths, 1).unwrap();
        let all = examples();
        let right = all.iter().filter(|example| example.record.judgement.correct).count() as u64;
        assert_eq!((found.rollouts, found.groups, found.right), (2 * all.len() as u64, 4, 2 * right));
        assert!(found.moved.is_empty() && found.new_best == 0);
        let of = &found.rewards[0];
        assert_eq!((of.without_spread, of.inverted()), (0, Some(0.0)));
        assert!((of.total.correlation().unwrap() - 1.0).abs() < 1e-9);
        assert!((of.total.mean() - right as f64 / all.len() as f64).abs() < 1e-12);
        assert!(of.signal_of_right() > 0.0 && of.signal_of_wrong() < 0.0 && of.signal() > 0.5);
    }

    #[test]
    fn a_reward_that_can_be_hacked_is_caught() {
        let folder = tempfile::tempdir().unwrap();
        let paths = recorded(folder.path(), 3);
        let found = scored(&[reward(TRUTH)], &paths, 2).unwrap();
        let caught = &found.caught[0];
        assert!(caught.record.completion.starts_with("in tarn rik guards tal . in tarn rik guards tal ."));
        assert_eq!((caught.times, caught.score.total), (3, Some(2.0)));
        assert!(found.rewards[0].inverted().unwrap() > 0.3);
        assert_eq!(found.moved.len(), 3);
        assert!(found.new_best > 0);
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let paths = recorded(folder.path(), 40);
        let both = [reward(CORRECT), reward(&format!("normalise = 'terms'\n{TRUTH}"))];
        let told = |workers| format!("{:?}", scored(&both, &paths, workers).unwrap());
        let one = told(1);
        assert_eq!(one, told(2));
        assert_eq!(one, told(5));
    }

    #[test]
    fn bad_files_are_one_line_with_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let paths = recorded(folder.path(), 1);
        let file = folder.path().join("step-000001.jsonl");
        let text = fs::read_to_string(&file).unwrap();
        let error = |text: &str| {
            fs::write(&file, text).unwrap();
            scored(&[reward(CORRECT)], &paths, 2).unwrap_err().to_string()
        };
        let second = text.lines().next().unwrap().to_string() + "\n{\"step\":1}\n";
        let found = error(&second);
        assert!(found.contains("step-000001.jsonl, line 2: not a rollout (missing field") && !found.contains('\n'));
        assert!(error("").contains("no rollouts in these files"));
        assert!(error("\n\n").contains("no rollouts in these files"));
        let torn = error(&(text.clone() + &text));
        assert!(torn.contains("question 1 of step 1 stands in two places"), "{torn}");
        assert!(error("\u{0}\u{1}binary\n").contains("line 1: not a rollout"));
        let missing = scored(&[reward(CORRECT)], &["no.jsonl".into()], 1).unwrap_err().to_string();
        assert!(missing.starts_with("no.jsonl: cannot read"), "{missing}");
    }
}
