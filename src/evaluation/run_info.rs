//! Where the numbers of a summary come from, and how they moved while the policy was trained.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Arm, ArmResult, PolicyPerplexity};

/// What someone needs to know to trust a summary, and to make it again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// Name of the run.
    pub name: String,
    /// Names of the runs, where several are put together; otherwise empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<String>,
    /// Version of recollect.
    pub version: String,
    /// The resolved config as TOML.
    pub config: String,
    /// SHA-256 of what the run is made of, by what it is (`config`, `world`, `base`, …).
    pub digests: BTreeMap<String, String>,
    /// Seeds by what they seed (`world`, `fine-tuning`, …).
    pub seeds: BTreeMap<String, u64>,
    /// Wall-clock time of every stage, in the order in which they ran.
    pub stages: Vec<StageTime>,
    /// Peak resident memory in bytes, where the system tells.
    pub peak_memory: Option<u64>,
    /// Trainable numbers in the model.
    pub model_parameters: u64,
    /// Processor and number of cores.
    pub hardware: String,
    /// What each arm takes.
    #[serde(default)]
    pub costs: BTreeMap<Arm, ArmCost>,
    /// Rows of the question files that ask what another row asks; each question was asked once.
    #[serde(default)]
    pub duplicates: usize,
    /// What is known of set B and reinforcement learning.
    #[serde(default)]
    pub touched: Touched,
    /// Perplexity of held-back text under the base and the policies after it, in this order; nothing where it was not
    /// measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub perplexity: Vec<PolicyPerplexity>,
    /// What stages were estimated to take, and took, where that was told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budget: Vec<StageBudget>,
}

/// What reinforcement learning has had to do with the questions of set B.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Touched {
    /// It never asked any of them, nor what they are about.
    #[default]
    Never,
    /// A policy comes from elsewhere, or the questions do.
    Unknown,
    /// It was trained on so many of them.
    Questions(usize),
}

/// What an arm takes, before and while it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ArmCost {
    /// Floating-point operations that went into the policy after the base; absent where that is not known.
    pub training_flops: Option<f64>,
    /// Wall-clock seconds that all answers of the arm took.
    pub seconds: Option<f64>,
    /// Mean tokens that an answer took: read, and sampled.
    pub read: f64,
    pub sampled: f64,
}

/// How long a stage took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageTime {
    pub name: String,
    pub seconds: f64,
}

/// What a stage was thought to take when the run began, and what it took, in wall-clock seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageBudget {
    pub stage: String,
    pub estimated: f64,
    /// Absent where it is not done, or was made by another run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took: Option<f64>,
}

/// How a run went, step by step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Curves {
    /// Evaluations on a sample of the questions while the policy was trained.
    pub evaluation: Vec<ArmResult>,
    /// What the training itself measured, on the questions that it trains on.
    pub training: Vec<TrainingPoint>,
    /// How the stages learned before it, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub learning: BTreeMap<String, Vec<LearningPoint>>,
}

/// What one step on texts measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LearningPoint {
    pub step: u64,
    /// In nats a token.
    pub loss: Option<f64>,
}

/// What one optimizer step measured on its own rollouts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainingPoint {
    pub step: u64,
    /// Mean reward.
    pub reward: Option<f64>,
    /// Mean tokens of a completion.
    pub mean_length: Option<f64>,
    /// Share of recited facts that are true.
    pub true_share: Option<f64>,
    /// Loss of the step.
    #[serde(default)]
    pub loss: Option<f64>,
    /// Of the policy at the sampled tokens, in nats.
    #[serde(default)]
    pub entropy: Option<f64>,
    /// From the policy that training started from, in nats a token.
    #[serde(default)]
    pub kl: Option<f64>,
}

impl RunInfo {
    /// Stages whose only work is to answer questions, and all: wall-clock seconds.
    pub fn answering(&self) -> (f64, f64) {
        let answers = |stage: &&StageTime| {
            let begins = |with: &&str| stage.name.starts_with(*with);
            ["baseline", "evaluation"].contains(&stage.name.as_str()) || ["arm ", "choices "].iter().any(begins)
        };
        let sum = |stages: &mut dyn Iterator<Item = &StageTime>| stages.map(|stage| stage.seconds).sum();
        (sum(&mut self.stages.iter().filter(answers)), sum(&mut self.stages.iter()))
    }
}

impl TrainingPoint {
    /// Picks what is drawn from the metrics of one step.
    pub fn from_metrics(step: u64, metrics: &BTreeMap<String, Option<f64>>) -> TrainingPoint {
        let pick = |name: &str| metrics.get(name).copied().flatten();
        TrainingPoint {
            step,
            reward: pick("reward"),
            mean_length: pick("completions/mean_length"),
            true_share: pick("recited/true_share"),
            loss: pick("loss"),
            entropy: pick("entropy"),
            kl: pick("kl"),
        }
    }
}
