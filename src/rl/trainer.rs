//! Where reinforcement learning begins or goes on: the fine-tuned policy, a checkpoint, or a checkpoint of another run.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::live_reward::{LiveReward, RewardNote};
use super::solved::Solved;
use crate::base::Saved;
use crate::config::{Config, TrainConfig};
use crate::exchange::PartialRollouts;
use crate::experiment::{Experiment, Start};
use crate::knowledge::Division;
use crate::learner::{Algorithm, Optimizer, OptimizerConfig, Scales};
use crate::monitor::Monitor;
use crate::policy::{Policy, value_head};
use crate::store::checkpoint::{self, BranchOrigin, Checkpoints, TrainState};
use crate::store::history::{Damaged, History};
use crate::store::inputs::RunInputs;
use crate::store::{RunDir, Stage};
use crate::{Error, Result, files};

/// What training remembers beside weights and moments.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Notes {
    /// What was written on the way.
    #[serde(default)]
    pub history: History,
    #[serde(default)]
    pub reward: RewardNote,
    #[serde(flatten)]
    pub monitor: Monitor,
    /// Tokens so far, those of prompts among them.
    #[serde(default)]
    pub num_tokens: usize,
    /// The evaluated step with the most right answers about A, and their share.
    #[serde(default)]
    pub best: Option<(usize, f64)>,
    /// What questions are drawn by.
    #[serde(default, skip_serializing_if = "Solved::is_empty")]
    pub solved: Solved,
    /// Content of the fine-tuned policy that all began with.
    tuned: String,
    /// Rollouts of the steps to come, and of one that was broken off.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub underway: BTreeMap<usize, PartialRollouts>,
}

/// What training goes on with beside the policy.
pub(super) struct Resumed {
    pub reward: LiveReward,
    /// Steps that are done.
    pub step: usize,
    pub optimizer: Optimizer,
    pub notes: Notes,
}

/// What training is about.
pub(super) struct Trainer<'a> {
    pub experiment: &'a Experiment,
    pub start: &'a Start,
    pub algorithm: Algorithm,
    /// The policy that the algorithm holds to, where it does.
    pub reference: Option<Policy>,
    /// Which questions of A may be asked.
    pub division: Division,
}

impl Trainer<'_> {
    /// The policy that learns, and what it goes on with: from the newest whole checkpoint, or from where training begins.
    pub fn resume(&self, tuned: &Stage, checkpoints: &Checkpoints) -> Result<(Policy, Resumed)> {
        let Trainer { experiment, .. } = *self;
        let anew = Cell::new(false);
        let begin = || {
            anew.set(true);
            checkpoints.demand_alone()?;
            self.begin(tuned)
        };
        let (progress, scales) = (experiment.progress.as_ref(), self.scales());
        let TrainState { step, policy, optimizer, notes } =
            checkpoints.resume::<Notes>(progress, self.optimizer(), &scales, |dir| self.policy(dir), begin)?;
        let policy = policy.with_precision(experiment.config.run.precision).on(&experiment.device)?;
        // Before anything is restored: a run whose reward became another one is left as it is.
        let reward = LiveReward::open(experiment, notes.reward.clone())?;
        let damage = notes.history.restore(&experiment.run)?;
        // What is begun anew has written nothing that could be damaged.
        tell(experiment, if anew.get() { &[] } else { &damage });
        Ok((policy, Resumed { reward, step, optimizer, notes }))
    }

    fn optimizer(&self) -> OptimizerConfig {
        self.experiment.config.train.optimizer_keys().optimizer()
    }

    /// The fine-tuned policy, or the checkpoint of another run.
    fn begin(&self, tuned: &Stage) -> Result<TrainState<Notes>> {
        let config = &self.experiment.config.train;
        let from = config.from.as_deref().unwrap_or_default();
        let refuse = |found: String, remedy: &str| Err(Error::invalid(format!("train.from = {from:?}"), found, remedy));
        let refuse_other = || {
            let remedy = "leave [world], [base], [finetune] and run.precision as they are in that run";
            refuse("it began with another fine-tuned policy than this run".into(), remedy)
        };
        let dir = match config.from.as_deref().map(checkpoint::origin).transpose()? {
            Some(BranchOrigin::Checkpoint(dir)) => dir,
            origin => {
                if let Some(BranchOrigin::Tuned(trunk, theirs)) = origin
                    && !self.tuned_alike(tuned, &trunk, &theirs)?
                {
                    return refuse_other();
                }
                let begun = TrainState::<Notes>::begin(self.policy(&tuned.dir)?, self.optimizer(), &self.scales());
                return Ok(TrainState { notes: Notes { tuned: tuned.content.clone(), ..begun.notes }, ..begun });
            }
        };
        let mut state = TrainState::<Notes>::load(&dir, self.optimizer(), &self.scales(), |dir| self.policy(dir))?;
        if state.notes.tuned != tuned.content {
            return refuse_other();
        }
        if state.step >= config.steps {
            return refuse(format!("train.steps is {}", config.steps), "ask for more steps than the checkpoint has");
        }
        RunInputs::note_branch(&self.experiment.run, &checkpoint::content(&dir)?)?;
        // What another reward paid cannot be compared, and metrics and rollouts of the other run stay there.
        let notes = &mut state.notes;
        notes.history = std::mem::take(&mut notes.history).without_files();
        (notes.reward, notes.underway) = (RewardNote::default(), BTreeMap::new());
        notes.monitor.forget_rewards();
        Ok(state)
    }

    /// Whether another run begins its reinforcement learning with the same fine-tuned policy: by its newest checkpoint,
    /// or, where it has none, by all that fine-tuning depends on.
    fn tuned_alike(&self, tuned: &Stage, trunk: &RunDir, theirs: &Config) -> Result<bool> {
        if let Some(notes) = checkpoint::newest_notes::<Notes>(trunk) {
            return Ok(notes.tuned == tuned.content);
        }
        let sections = ["world.", "base.", "known.", "model.", "pretrain.", "lora.", "finetune.", "run.precision"];
        let of_tuning = |config: &Config| -> Result<Vec<(String, String)>> {
            let mut keys = config.identity()?;
            keys.retain(|(key, _)| sections.iter().any(|section| key.starts_with(section)));
            Ok(keys)
        };
        Ok(of_tuning(theirs)? == of_tuning(&self.experiment.config)?)
    }

    /// The policy that a directory holds, with a value head where the algorithm asks for one: a fresh one where the
    /// directory has none.
    fn policy(&self, dir: &Path) -> Result<Policy> {
        let policy = self.start.base.successor(Saved::within(dir))?;
        match self.algorithm.value.head() {
            None => Ok(policy),
            Some(head) => policy.with_value_head(dir, head.trunk),
        }
    }

    /// Learning rates of some variables as shares of that of all others.
    fn scales(&self) -> Scales {
        let head = self.algorithm.value.head().map(|head| (value_head::PREFIX.to_string(), head.rate));
        self.experiment.config.train.scales.clone().into_iter().chain(head).collect()
    }

    /// Names the checkpoints by what training goes on with: another policy to start from, other questions and other
    /// settings have other ones. More steps, other evaluations and other names of the same files have not.
    pub fn key(&self, tuned: &Stage) -> Result<String> {
        let config = &self.experiment.config;
        let train = TrainConfig { steps: 0, reward: PathBuf::new(), from: None, ..config.train.learned() };
        let from = branched_from(self.experiment)?;
        let inputs = (&tuned.content, &self.start.digest, train, config.run.seed, config.run.precision, from);
        Ok(files::digest_json("train", &inputs)?[..16].to_string())
    }
}

/// The content of the checkpoint that training branches off from; none where it begins with a fine-tuned policy. A run
/// that has branched off knows it, also when the other run does not keep it any more.
pub(super) fn branched_from(experiment: &Experiment) -> Result<Option<String>> {
    match experiment.config.train.from.as_deref().map(checkpoint::origin).transpose() {
        Ok(Some(BranchOrigin::Checkpoint(dir))) => checkpoint::content(&dir).map(Some),
        Ok(Some(BranchOrigin::Tuned(..)) | None) => Ok(None),
        Err(error) => RunInputs::branched_from(&experiment.run)?.map(Some).ok_or(error),
    }
}

pub(super) fn tell(experiment: &Experiment, damage: &[Damaged]) {
    damage.iter().for_each(|damaged| experiment.progress.tell(&damaged.words()));
}
