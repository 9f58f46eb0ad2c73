//! The ways of answering that are compared: which policy answers, and what it is given.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use self::PromptMode::{
    Direct, Filler, Forward, InContext, Oracle, Restore, Retrieved, RetrievedWhileThinking, Swapped, Think,
};
use crate::Error;

/// A way of answering that is evaluated. Every arm gets the same questions.
// Random streams are keyed by the place of an arm in this list: new ones go to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arm {
    FineTuned,
    ThinkingBeforeRl,
    InContext,
    AfterRl,
    DirectAfterRl,
    InContextAfterRl,
    SwappedTraces,
    Filler,
    FillerAfterRl,
    #[serde(rename = "in-context-8")]
    InContext8,
    #[serde(rename = "in-context-32")]
    InContext32,
    InContextFull,
    OracleRetrieval,
    Retrieval,
    RetrievalWhileThinking,
    RetrievalAfterRl,
    AugmentedLocallyA,
    AugmentedA,
    AugmentedAAndB,
    WrittenOutA,
    Masked,
    MaskedRestoring,
    ReversedText,
    Rejection,
    AugmentedAfterRl,
    FineTunedRestoring,
    ForwardRecall,
    MaskedThinking,
    MaskedAfterRl,
}

/// Which policy answers: how it was trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Training {
    /// Fine-tuned on the documents of A and B.
    Documents,
    /// That, and then reinforcement learning on the questions of A.
    Rl,
    /// Fine-tuned on the documents, and on those of A rephrased and turned round.
    AugmentedLocally,
    /// That, and on what follows from the documents of A.
    Augmented,
    /// The same with what follows from the documents of B.
    AugmentedBoth,
    /// Fine-tuned on the documents, and on what the base itself concludes from those of A.
    WrittenOut,
    /// Fine-tuned on the documents with words masked.
    Masked,
    /// Fine-tuned on the documents forwards and backwards.
    ReversedText,
    /// Fine-tuned on the documents, and then on right completions to questions of A.
    Rejection,
    /// Augmented on A, and then reinforcement learning on the questions of A.
    AugmentedRl,
    /// Fine-tuned on the documents with words masked, and then reinforcement learning on the questions of A.
    MaskedRl,
}

impl Training {
    /// All of them, those first that others begin with.
    pub const ALL: [Training; 11] = [
        Training::Documents,
        Training::Rl,
        Training::AugmentedLocally,
        Training::Augmented,
        Training::AugmentedBoth,
        Training::WrittenOut,
        Training::Masked,
        Training::ReversedText,
        Training::Rejection,
        Training::AugmentedRl,
        Training::MaskedRl,
    ];

    /// What was trained on is about B as well, and gives away what is asked: no measure of what carries over to B.
    pub fn gives_b_away(self) -> bool {
        matches!(self, Training::AugmentedBoth | Training::ReversedText)
    }
}

/// What a policy is given to answer from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromptMode {
    /// Nothing: it answers at once.
    Direct,
    /// Nothing: it thinks first.
    Think,
    /// The thought that it has written about another question.
    Swapped,
    /// In place of a thought, as many full stops as this arm's thought has tokens.
    Filler(Arm),
    /// The passages of the question's context, and so many more.
    InContext(ExtraPassages),
    /// The passages that a search by the question finds, the needed ones put among them.
    Oracle,
    /// The passages that a search by the question finds.
    Retrieved,
    /// It thinks first, and a search by what it has just thought goes on finding passages.
    RetrievedWhileThinking,
    /// The sentence that answers, with what is asked for masked, to be restored. A question that asks for no one is put as
    /// it is.
    Restore,
    /// The sentence of the documents that answers, up to what it says of its subject.
    Forward,
}

/// Passages in a context beside those that come with the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtraPassages {
    Passages(usize),
    /// As many of the question's set as the model has room for.
    Full,
}

/// What there is to know of an arm, but for what it is in a line.
struct ArmEntry {
    name: &'static str,
    label: &'static str,
    training: Training,
    way: PromptMode,
    control: bool,
}

/// An arm that is compared for its own sake.
const fn arm(name: &'static str, label: &'static str, training: Training, way: PromptMode) -> ArmEntry {
    ArmEntry { name, label, training, way, control: false }
}

/// An arm that is there to rule an explanation out.
const fn control(name: &'static str, label: &'static str, training: Training, way: PromptMode) -> ArmEntry {
    ArmEntry { control: true, ..arm(name, label, training, way) }
}

const BESIDE_NEEDED: PromptMode = InContext(ExtraPassages::Passages(0));

/// In the order of [`Arm`].
const ARMS: &[ArmEntry] = &[
    arm("fine-tuned", "fine-tuned", Training::Documents, Direct),
    arm("thinking-before-rl", "thinking before RL", Training::Documents, Think),
    arm("in-context", "in context", Training::Documents, BESIDE_NEEDED),
    arm("after-rl", "after RL", Training::Rl, Think),
    control("direct-after-rl", "direct after RL", Training::Rl, Direct),
    control("in-context-after-rl", "in context after RL", Training::Rl, BESIDE_NEEDED),
    control("swapped-traces", "swapped traces", Training::Rl, Swapped),
    control("filler", "filler tokens", Training::Documents, Filler(Arm::ThinkingBeforeRl)),
    control("filler-after-rl", "filler tokens after RL", Training::Rl, Filler(Arm::AfterRl)),
    arm("in-context-8", "in context and 8 more", Training::Documents, InContext(ExtraPassages::Passages(8))),
    arm("in-context-32", "in context and 32 more", Training::Documents, InContext(ExtraPassages::Passages(32))),
    arm("in-context-full", "in a full context", Training::Documents, InContext(ExtraPassages::Full)),
    arm("oracle-retrieval", "oracle retrieval", Training::Documents, Oracle),
    arm("retrieval", "retrieval", Training::Documents, Retrieved),
    arm("retrieval-while-thinking", "retrieval while thinking", Training::Documents, RetrievedWhileThinking),
    arm("retrieval-after-rl", "retrieval after RL", Training::Rl, RetrievedWhileThinking),
    arm("augmented-locally-a", "augmented locally on A", Training::AugmentedLocally, Direct),
    arm("augmented-a", "augmented on A", Training::Augmented, Direct),
    arm("augmented-a-and-b", "augmented on A and B", Training::AugmentedBoth, Direct),
    arm("written-out-a", "written out on A", Training::WrittenOut, Direct),
    arm("masked", "masked objective", Training::Masked, Direct),
    arm("masked-restoring", "masked, asked to restore", Training::Masked, Restore),
    arm("reversed-text", "reversed text", Training::ReversedText, Direct),
    arm("rejection", "rejection fine-tuning", Training::Rejection, Think),
    arm("augmented-after-rl", "augmented on A, after RL", Training::AugmentedRl, Think),
    control("fine-tuned-restoring", "fine-tuned, asked to restore", Training::Documents, Restore),
    control("forward-recall", "forward recall", Training::Documents, Forward),
    arm("masked-thinking", "masked, thinking", Training::Masked, Think),
    arm("masked-after-rl", "masked, after RL", Training::MaskedRl, Think),
];

/// Shorter names that options take as well.
const ALIASES: [(&str, Arm); 3] =
    [("baseline", Arm::FineTuned), ("thinking", Arm::ThinkingBeforeRl), ("rl", Arm::AfterRl)];

impl Arm {
    /// Every arm, in the order in which tables and pages show them.
    pub const ALL: [Arm; ARMS.len()] = [
        Arm::FineTuned,
        Arm::ThinkingBeforeRl,
        Arm::InContext,
        Arm::AfterRl,
        Arm::DirectAfterRl,
        Arm::InContextAfterRl,
        Arm::SwappedTraces,
        Arm::Filler,
        Arm::FillerAfterRl,
        Arm::InContext8,
        Arm::InContext32,
        Arm::InContextFull,
        Arm::OracleRetrieval,
        Arm::Retrieval,
        Arm::RetrievalWhileThinking,
        Arm::RetrievalAfterRl,
        Arm::AugmentedLocallyA,
        Arm::AugmentedA,
        Arm::AugmentedAAndB,
        Arm::WrittenOutA,
        Arm::Masked,
        Arm::MaskedRestoring,
        Arm::ReversedText,
        Arm::Rejection,
        Arm::AugmentedAfterRl,
        Arm::FineTunedRestoring,
        Arm::ForwardRecall,
        Arm::MaskedThinking,
        Arm::MaskedAfterRl,
    ];

    /// What a run evaluates unless it is told otherwise.
    pub const STANDARD: [Arm; 7] = [
        Arm::FineTuned,
        Arm::ThinkingBeforeRl,
        Arm::InContext,
        Arm::AfterRl,
        Arm::DirectAfterRl,
        Arm::InContextAfterRl,
        Arm::SwappedTraces,
    ];

    fn entry(self) -> &'static ArmEntry {
        &ARMS[self as usize]
    }

    /// The name in files and options.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// The name in sentences and headings.
    pub fn label(self) -> &'static str {
        self.entry().label
    }

    /// What it is, in one line.
    pub fn description(self) -> &'static str {
        match self {
            Arm::FineTuned => "the baseline: trained on the documents, answers at once",
            Arm::ThinkingBeforeRl => "the same model, asked to think first",
            Arm::InContext => "the same model, with the documents in its prompt",
            Arm::AfterRl => "thinks first, after reinforcement learning on set A",
            Arm::DirectAfterRl => "control: after reinforcement learning, but answers at once",
            Arm::InContextAfterRl => "control: after reinforcement learning, with the documents in its prompt",
            Arm::SwappedTraces => "control: after reinforcement learning, answers from another question's trace",
            Arm::Filler => "control: the fine-tuned model, with a full stop for each token of its thought",
            Arm::FillerAfterRl => {
                "control: after reinforcement learning, with a full stop for each token of its thought"
            }
            Arm::InContext8 => "in context, among 8 more passages of the same set",
            Arm::InContext32 => "in context, among 32 more passages of the same set",
            Arm::InContextFull => "in context, among as many passages of the same set as the model has room for",
            Arm::OracleRetrieval => "with the passages that BM25 finds by the question, the needed ones put among them",
            Arm::Retrieval => "with the passages that BM25 finds by the question in all documents",
            Arm::RetrievalWhileThinking => {
                "thinks first, and BM25 finds passages by the question and by the growing thought"
            }
            Arm::RetrievalAfterRl => "the same after reinforcement learning: RL and retrieval together",
            Arm::AugmentedLocallyA => {
                "trained on the documents of A rephrased and turned round as well, answers at once"
            }
            Arm::AugmentedA => "the same, and on questions about A with the answers that follow from its documents",
            Arm::AugmentedAAndB => "the same for B as well, which is then no measure of what carries over",
            Arm::WrittenOutA => "trained on what the base itself concludes with the documents of A in its context",
            Arm::Masked => "trained to restore documents with words masked, answers at once",
            Arm::MaskedRestoring => "the same, asked as it was trained: by the fact with what is asked for masked",
            Arm::ReversedText => "trained on the documents forwards and backwards, those of B as well, answers at once",
            Arm::Rejection => "thinks first, trained on its own right completions to questions of A alone",
            Arm::AugmentedAfterRl => "thinks first, augmented on A and then trained by reinforcement learning on A",
            Arm::FineTunedRestoring => {
                "control: the baseline, asked as the masked objective trains: by the fact with what is asked for masked"
            }
            Arm::MaskedThinking => {
                "trained to restore masked documents, thinks first and brings back what is masked in its thought"
            }
            Arm::MaskedAfterRl => "the same, and then trained by reinforcement learning on A",
            Arm::ForwardRecall => {
                "control: the same model completes the needed fact in the order of its documents: whether it knows it"
            }
        }
    }

    /// Which policy answers.
    pub fn training(self) -> Training {
        self.entry().training
    }

    /// What the policy is given.
    pub fn way(self) -> PromptMode {
        self.entry().way
    }

    /// The completion holds a chain of thought that may recite facts.
    pub fn thinks(self) -> bool {
        matches!(self.way(), PromptMode::Think | PromptMode::Swapped | PromptMode::RetrievedWhileThinking)
    }

    /// Passages are searched for it.
    pub fn is_retrieval(self) -> bool {
        matches!(self.way(), PromptMode::Oracle | PromptMode::Retrieved | PromptMode::RetrievedWhileThinking)
    }

    /// It is asked by a sentence of the documents, and not by the question.
    pub fn is_asked_by_sentence(self) -> bool {
        matches!(self.way(), PromptMode::Restore | PromptMode::Forward)
    }

    /// It is there to rule an explanation out, not to be compared for its own sake.
    pub fn is_control(self) -> bool {
        self.entry().control
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Arm {
    type Err = Error;

    fn from_str(text: &str) -> Result<Arm, Error> {
        let named = Arm::ALL.into_iter().find(|arm| arm.name() == text);
        let alias = || ALIASES.iter().find(|(alias, _)| *alias == text).map(|(_, arm)| *arm);
        named.or_else(alias).ok_or_else(|| {
            let allowed = format!("{} (--arms list says what they are)", Arm::ALL.map(Arm::name).join(", "));
            Error::invalid("arm", format!("found \"{text}\""), format!("allowed is {allowed}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arm_has_one_name_everywhere() {
        for arm in Arm::ALL {
            assert_eq!(serde_json::to_string(&arm).unwrap(), format!("\"{arm}\""));
            assert_eq!(arm.name().parse::<Arm>().unwrap(), arm);
        }
        let mut sorted = Arm::ALL;
        sorted.sort();
        assert_eq!(sorted, Arm::ALL, "the order of the list is the order of the values");
        assert!(Arm::ALL.iter().enumerate().all(|(at, arm)| *arm as usize == at));
        assert!(Arm::ALL.iter().all(|arm| arm.is_control() == arm.description().starts_with("control: ")));
        assert_eq!(Arm::STANDARD, Arm::ALL[..Arm::STANDARD.len()]);
    }

    #[test]
    fn short_names_are_taken_and_others_refused_with_the_list() {
        assert_eq!("baseline".parse::<Arm>().unwrap(), Arm::FineTuned);
        assert_eq!("rl".parse::<Arm>().unwrap(), Arm::AfterRl);
        let error = "fillers".parse::<Arm>().unwrap_err().to_string();
        assert!(error.contains("found \"fillers\"") && error.contains("filler-after-rl"), "{error}");
    }
}
