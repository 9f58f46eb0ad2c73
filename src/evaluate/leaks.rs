//! The check that stands before every evaluation: nothing that is asked about B has trained the policies.
//!
//! Lessons are checked when they are made, so a fine-tuned policy that exists has seen none that leaks. What they are made
//! from, and the questions that reinforcement learning may ask, are checked whenever a stage starts. What is checked here
//! are the questions that the rollouts of the run say were asked.

use std::collections::HashSet;

use serde::Deserialize;

use crate::experiment::start::Start;
use crate::knowledge::Set;
use crate::knowledge::leak::Guard;
use crate::store::RunDir;
use crate::text::excerpt;
use crate::{Error, Result, files};

/// What is read of a recorded rollout.
#[derive(Deserialize)]
struct RecordedQuestion {
    set: Set,
    prompt: String,
    answer: String,
}

/// Refuses to go on where reinforcement learning has asked something of B. To be asked when it is finished: before, there
/// may be leftovers of a run that was killed, which are made anew.
pub(crate) fn check_rollouts(run: &RunDir, start: &Start) -> Result<()> {
    let guard = Guard::new(&start.knowledge)?;
    let mut seen: HashSet<String> = HashSet::new();
    for path in run.recorded_rollouts()? {
        let remedy = "remove the file, or train the run again";
        let recorded: Vec<RecordedQuestion> = files::read_jsonl(&path, "a rollout", remedy)?;
        for (number, asked) in recorded.into_iter().enumerate() {
            let place = || format!("{}:{}", path.display(), number + 1);
            // Completions of a group have the same prompt.
            if seen.contains(&asked.prompt) {
                continue;
            }
            if asked.set == Set::B {
                let leaked = format!(
                    "a question of the evaluation was trained on: \"{}\" ({})",
                    excerpt(&asked.prompt),
                    place()
                );
                return Err(Error::Refused(leaked));
            }
            guard.check_question(&asked.prompt, &asked.answer).map_err(|error| match error {
                Error::Refused(found) => Error::Refused(format!("{found} ({})", place())),
                error => error,
            })?;
            seen.insert(asked.prompt);
        }
    }
    Ok(())
}
