//! Whether there is anything that an arm could put into a prompt beside the question.

use crate::evaluation::{Arm, ExtraPassages, PromptMode};
use crate::knowledge::{Knowledge, Set};

/// Whether an arm that answers from passages has any. One that needs none always has what it needs.
pub(crate) fn are_there(knowledge: &Knowledge, arm: Arm) -> bool {
    let documents = || match knowledge {
        Knowledge::Generated(_) => true,
        Knowledge::Files(jsonl) => !jsonl.passages().is_empty(),
    };
    let contexts = || {
        [Set::A, Set::B].iter().any(|set| knowledge.questions(*set).iter().any(|question| !question.context.is_empty()))
    };
    match arm.way() {
        PromptMode::InContext(ExtraPassages::Passages(0)) => contexts(),
        PromptMode::InContext(_) => documents() || contexts(),
        PromptMode::Oracle | PromptMode::Retrieved | PromptMode::RetrievedWhileThinking => documents(),
        PromptMode::Direct | PromptMode::Think | PromptMode::Swapped | PromptMode::Filler(_) | PromptMode::Restore => {
            true
        }
    }
}
