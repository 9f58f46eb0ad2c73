//! The reward of a run while it goes on. Its file is looked at before every step: a change is taken where the config
//! says so, and otherwise the run goes on with the reward that it began with, and says that it does.

use metrics::gauge;
use serde::{Deserialize, Serialize};

use crate::config::TrainConfig;
use crate::experiment::{Experiment, suits};
use crate::interrupt::Interrupt;
use crate::reward::scorer::Unscored;
use crate::reward::{Reward, Score, Scorer, TermInput};
use crate::store::inputs;
use crate::strict_toml::one_line;
use crate::telemetry::Progress;
use crate::{Result, files, shipped};

/// A reward at work, and the file that it came from.
pub struct LiveReward {
    config: TrainConfig,
    scorer: Scorer,
    /// The text that was last looked at.
    seen: String,
    note: RewardNote,
    /// Terms that could not be decided at least once, each of which was told of.
    told: Vec<String>,
}

/// What a checkpoint remembers of the reward.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RewardNote {
    /// Digest of the reward that paid for the steps so far; empty before there is one.
    digest: String,
    /// SHA-256 of the file that it stood in, which people can compare. Empty in notes that are older than this.
    #[serde(default)]
    file: String,
    /// How often another one took over.
    changes: u64,
}

impl RewardNote {
    /// Refuses another reward than the one that paid so far, unless the config takes changes.
    pub fn demand_same(&self, experiment: &Experiment) -> Result<()> {
        let config = &experiment.config.train;
        if config.reload_reward || self.digest.is_empty() {
            return Ok(());
        }
        let (path, digest) = (&config.reward, digest(experiment.reward()?)?);
        if self.digest == digest {
            return Ok(());
        }
        let file = files::digest(shipped::reward_text(path)?.as_bytes());
        // What an older note knows is what the reward pays, not how its file was written.
        let (then, now) = if self.file.is_empty() { (&self.digest, &digest) } else { (&self.file, &file) };
        let remedy = "put it back, set train.reload_reward = true";
        Err(inputs::refusal(path, "train.reward", Some(then), Some(now), remedy))
    }
}

impl LiveReward {
    /// The reward of an experiment, with what a checkpoint remembers. Refused: another reward than the one that paid
    /// for the steps before the checkpoint, unless the config takes changes.
    pub fn open(experiment: &Experiment, mut note: RewardNote) -> Result<LiveReward> {
        let config = experiment.config.train.clone();
        note.demand_same(experiment)?;
        let digest = digest(experiment.reward()?)?;
        note.changes += u64::from(!note.digest.is_empty() && note.digest != digest);
        (note.digest, note.file) = (digest, files::digest(shipped::reward_text(&config.reward)?.as_bytes()));
        let scorer = Scorer::open(experiment.reward()?)?;
        // The file is read before the first step: it may have changed since the run began.
        Ok(LiveReward { config, scorer, seen: String::new(), note, told: Vec::new() })
    }

    /// What a checkpoint is to remember.
    pub fn note(&self) -> RewardNote {
        self.note.clone()
    }

    pub fn reward(&self) -> &Reward {
        self.scorer.reward()
    }

    /// Asks the commands of the reward about a completion, and does not wait for them.
    pub fn ask(&self, evidence: &TermInput) -> Unscored {
        self.scorer.ask(evidence)
    }

    /// What a completion is worth that was asked about. Waits for its commands; `None` as soon as the run is to stop.
    pub fn wait(&self, evidence: &TermInput, asked: &Unscored, interrupt: &Interrupt) -> Option<Score> {
        self.scorer.wait_unless(evidence, asked, &|| interrupt.requested()).ok()
    }

    /// Looks at the file before a step, and says whether another reward took over. A file that is gone or wrong changes
    /// nothing.
    ///
    /// # Errors
    /// A reward that cannot be written as JSON.
    pub fn poll(&mut self, step: usize, progress: &dyn Progress) -> Result<bool> {
        let before = self.note.changes;
        let path = self.config.reward.display();
        let Ok(text) = files::read_text(&self.config.reward) else { return Ok(false) };
        if text != self.seen {
            let read = Reward::parse(&text, &path.to_string());
            let file = files::digest(text.as_bytes());
            self.seen = text;
            let reward = match read {
                Ok(reward) => reward,
                Err(error) if self.config.reload_reward => {
                    let why = one_line(&error.to_string());
                    progress.tell(&format!("{path} changed and is not taken, because it is wrong: {why}"));
                    return Ok(false);
                }
                // Whatever it says, it is not what this run began with.
                Err(_) => Reward::default(),
            };
            self.change(step, reward, file, progress)?;
        }
        if self.config.reload_reward {
            gauge!("reward_changes").set(self.note.changes as f64);
        }
        Ok(self.note.changes > before)
    }

    fn change(&mut self, step: usize, reward: Reward, file: String, progress: &dyn Progress) -> Result<()> {
        let path = self.config.reward.display();
        // Comments may be edited at any time.
        let digest = digest(&reward)?;
        if digest == self.note.digest {
            self.note.file = file;
            return Ok(());
        }
        if !self.config.reload_reward {
            progress.tell(&format!(
                "{path} changed and is not taken: this run goes on with the reward that it began with \
                 (train.reload_reward = true takes changes; another run.dir starts anew)"
            ));
            return Ok(());
        }
        match suits(&self.config, &reward, &path.to_string()).and_then(|()| Scorer::open(&reward)) {
            Ok(scorer) => {
                self.scorer = scorer;
                self.note = RewardNote { digest, file, changes: self.note.changes + 1 };
                progress.tell(&format!("{path} changed and is taken from step {step} on"));
            }
            Err(error) => progress.tell(&format!("{path} changed and is not taken: {}", one_line(&error.to_string()))),
        }
        Ok(())
    }

    /// Records the answers that commands of external terms did not give in this step, and tells of the first, and of the
    /// first line of each kind that was wrong.
    pub fn measure(&mut self, progress: &dyn Progress) {
        for (term, words) in self.scorer.take_remarks() {
            progress.tell(&format!("reward term {term}: {words}"));
        }
        for failed in self.scorer.take_failures() {
            gauge!(format!("rewards/{}/{}", failed.term, failed.failure.name())).set(failed.times as f64);
            if !self.told.contains(&failed.term) {
                let words = failed.complaint.map_or(String::new(), |words| format!(" (\"{}\")", one_line(&words)));
                let (term, why) = (&failed.term, failed.failure.name());
                progress.tell(&format!(
                    "reward term {term}: no value for {} completions of a step: {why}{words}; they are taken out of \
                     their groups, and metrics.jsonl counts them",
                    failed.times
                ));
                self.told.push(failed.term);
            }
        }
    }
}

/// Two rewards that pay the same for the same have one digest.
fn digest(reward: &Reward) -> Result<String> {
    files::digest_json("reward", reward)
}
