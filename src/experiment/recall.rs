//! Whether a fine-tuned policy knows its documents: who does not know a fact cannot recall it, and reinforcement learning on
//! top of that is in vain.

use rand::seq::IndexedRandom;

use super::Experiment;
use super::start::Start;
use crate::evaluate::examiner::{Examined, ask, everything, read};
use crate::evaluate::prompts::cloze;
use crate::evaluation::Arm;
use crate::knowledge::{Knowledge, Question};
use crate::store::stage::Stage;
use crate::{Result, files, random};

/// Facts that are asked for.
const ASKED: usize = 60;
/// Below this share of them a warning is due.
const ENOUGH: f64 = 0.9;
/// File in the stage's directory.
const RECALLED: &str = "answers.jsonl";

/// Lets the policy complete sentences of its documents, a sample of them, and says how many it knows.
pub(crate) fn tell(experiment: &Experiment, start: &Start, tuned: &Stage) -> Result<()> {
    // Worlds for the bases that ship are learned as configs for them say.
    let Knowledge::Files(_) = &start.knowledge else { return Ok(()) };
    let mut asked: Vec<Question> = everything(start);
    // Each fact once, however often it is asked about.
    let mut seen = std::collections::BTreeSet::new();
    asked.retain(|question| cloze(&start.knowledge, question).is_some_and(|cloze| seen.insert(cloze.beginning)));
    let mut random = random::named(experiment.config.evaluation.seed, "forward recall");
    let asked: Vec<Question> = asked.choose_multiple(&mut random, ASKED).cloned().collect();
    if asked.is_empty() {
        return Ok(());
    }
    let stage = experiment.cache.get_or_make("recall", &(&tuned.content, &start.digest, ASKED), |dir| {
        let policy = Examined::new(tuned, 0);
        let answered = ask(experiment, start, "forward recall", &[Arm::ForwardRecall], policy, &asked)?;
        files::write_jsonl(&dir.join(RECALLED), &answered)
    })?;
    let answered = read(&stage)?;
    let known = answered.iter().filter(|one| one.judgement.correct).count();
    experiment.progress.tell(&in_words(known, answered.len()));
    Ok(())
}

fn in_words(known: usize, of: usize) -> String {
    let share = known as f64 / of.max(1) as f64;
    let found =
        format!("forward recall {:.0} % ({known} of {of} facts, completed as the documents state them)", 100.0 * share);
    if share >= ENOUGH {
        found
    } else {
        format!(
            "warning: {found}; what a model does not know it cannot recall: raise finetune.steps, or say each fact in more ways"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_knowledge_is_a_warning_with_its_number() {
        assert_eq!(in_words(9, 10), "forward recall 90 % (9 of 10 facts, completed as the documents state them)");
        assert!(in_words(8, 10).starts_with("warning: forward recall 80 % (8 of 10"));
    }
}
