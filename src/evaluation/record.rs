//! One answered question: what an evaluation writes down, and all that it needs to be summarised.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::knowledge::{Form, Question, Set, Task};
use crate::verifier::Judgement;

/// A way of answering that is evaluated. Every arm gets the same questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arm {
    /// The baseline: fine-tuned on the documents, answers at once.
    FineTuned,
    /// The fine-tuned model, asked to think first.
    ThinkingBeforeRl,
    /// The fine-tuned model with the documents in its prompt.
    InContext,
    /// Thinking first, after reinforcement learning on set A.
    AfterRl,
    /// Control: after reinforcement learning, but answering at once.
    DirectAfterRl,
    /// Control: after reinforcement learning, with the documents in the prompt.
    InContextAfterRl,
    /// Control: after reinforcement learning, answering from the trace of another question.
    SwappedTraces,
}

impl Arm {
    /// Every arm, in the order in which tables and pages show them.
    pub const ALL: [Arm; 7] = [
        Arm::FineTuned,
        Arm::ThinkingBeforeRl,
        Arm::InContext,
        Arm::AfterRl,
        Arm::DirectAfterRl,
        Arm::InContextAfterRl,
        Arm::SwappedTraces,
    ];

    /// The name in files and options.
    pub fn name(self) -> &'static str {
        match self {
            Arm::FineTuned => "fine-tuned",
            Arm::ThinkingBeforeRl => "thinking-before-rl",
            Arm::InContext => "in-context",
            Arm::AfterRl => "after-rl",
            Arm::DirectAfterRl => "direct-after-rl",
            Arm::InContextAfterRl => "in-context-after-rl",
            Arm::SwappedTraces => "swapped-traces",
        }
    }

    /// The name in sentences and headings.
    pub fn label(self) -> &'static str {
        match self {
            Arm::FineTuned => "fine-tuned",
            Arm::ThinkingBeforeRl => "thinking before RL",
            Arm::InContext => "in context",
            Arm::AfterRl => "after RL",
            Arm::DirectAfterRl => "direct after RL",
            Arm::InContextAfterRl => "in context after RL",
            Arm::SwappedTraces => "swapped traces",
        }
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
        }
    }

    /// The completion holds a chain of thought that may recite facts.
    pub fn thinks(self) -> bool {
        matches!(self, Arm::ThinkingBeforeRl | Arm::AfterRl | Arm::SwappedTraces)
    }

    /// It is there to rule an explanation out, not to be compared for its own sake.
    pub fn is_control(self) -> bool {
        matches!(self, Arm::DirectAfterRl | Arm::InContextAfterRl | Arm::SwappedTraces)
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One answered question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    pub arm: Arm,
    /// Optimizer steps of reinforcement learning behind the policy that answered.
    pub step: u64,
    /// Id of the question; the same question has the same id in every arm.
    pub question: u64,
    pub task: Task,
    pub form: Form,
    pub set: Set,
    /// Which of several answers to the same question this is, from 0.
    pub sample: usize,
    /// Accuracy of the best guess that does not use the needed facts.
    pub chance: f64,
    /// The question as a person reads it.
    pub asked: String,
    /// Everything the policy was given.
    pub prompt: String,
    /// Everything it wrote.
    pub completion: String,
    pub judgement: Judgement,
    /// The right answer.
    pub expected: String,
    /// Tokens that were sampled.
    pub tokens: usize,
}

impl Answered {
    /// The record of one completion of a question.
    pub fn new(arm: Arm, step: u64, question: &Question, said: Said) -> Answered {
        Answered {
            arm,
            step,
            question: question.id,
            task: question.task,
            form: question.form,
            set: question.set,
            sample: said.sample,
            chance: question.chance,
            asked: question.text.clone(),
            prompt: said.prompt,
            completion: said.completion,
            judgement: said.judgement,
            expected: question.answer.clone(),
            tokens: said.tokens,
        }
    }
}

/// What the policy was given and what it said, beside the question itself.
#[derive(Clone, Debug)]
pub struct Said {
    pub sample: usize,
    pub prompt: String,
    pub completion: String,
    pub judgement: Judgement,
    pub tokens: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arm_has_one_name_everywhere() {
        for arm in Arm::ALL {
            assert_eq!(serde_json::to_string(&arm).unwrap(), format!("\"{arm}\""));
        }
        let mut sorted = Arm::ALL;
        sorted.sort();
        assert_eq!(sorted, Arm::ALL, "the order of the list is the order of the values");
    }
}
