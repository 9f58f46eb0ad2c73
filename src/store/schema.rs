//! Which stages there are, and the number of the layout and the meaning of what each of them leaves.
//!
//! A stage's key holds this number and no version of the program, so a new version finds what an older one has made.
//! Whoever changes what a stage writes, or what it computes from the same inputs, raises its number: then it is made
//! anew, and so is whatever builds on it.

use crate::{Error, Result};

/// By the name of the stage, or by what the names of several begin with (`arm-filler`, `choices-evaluation`).
const SCHEMAS: [(&str, u32); 12] = [
    ("base", 1),
    ("blank", 1),
    ("whole", 1),
    ("finetune", 1),
    ("train", 1),
    ("baseline", 1),
    ("evaluation", 1),
    ("arm", 1),
    ("choices", 1),
    ("held-out", 1),
    ("baseline-on-b", 1),
    ("winner-on-b", 1),
];

/// The number of a stage's schema. Of several names that fit the longest one counts.
///
/// # Errors
///
/// A stage that is not in the table.
pub fn schema(stage: &str) -> Result<u32> {
    let fits = |name: &str| stage.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
    let found = SCHEMAS.iter().filter(|(name, _)| fits(name)).max_by_key(|(name, _)| name.len());
    found
        .map(|(_, number)| *number)
        .ok_or_else(|| Error::invalid(format!("stage {stage}"), "no schema number", "give it one in SCHEMAS"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_has_its_number_and_no_other_name_has_one() {
        let pinned = "base 1, blank 1, whole 1, finetune 1, train 1, baseline 1, evaluation 1, arm 1, choices 1, \
                      held-out 1, baseline-on-b 1, winner-on-b 1";
        let table: Vec<String> = SCHEMAS.iter().map(|(name, number)| format!("{name} {number}")).collect();
        assert_eq!(table.join(", "), pinned, "whoever raises a number changes this line as well");
        for name in ["finetune", "arm-filler-after-rl", "choices-evaluation", "baseline-on-b"] {
            assert_eq!(schema(name).unwrap(), 1, "{name}");
        }
        for name in ["", "trainer", "arms", "on-b"] {
            assert!(schema(name).unwrap_err().to_string().contains("no schema number"), "{name}");
        }
    }
}
