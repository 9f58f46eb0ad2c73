//! What an evaluation has to reach, for scripts that stop where it does not: `after-rl.B.reversal.open >= 0.9`.

use std::fmt;
use std::str::FromStr;

use super::{Arm, Summary};
use crate::knowledge::registry::tasks;
use crate::knowledge::{Form, Set, TaskId};
use crate::{Error, Result};

/// A bound on the share of right answers.
#[derive(Clone, Debug)]
pub struct Requirement {
    text: String,
    arm: Arm,
    set: Set,
    task: TaskId,
    /// All forms of the task together where none is named.
    form: Option<Form>,
    bound: Bound,
    share: f64,
}

/// How a share is compared with the one that is demanded.
type Bound = fn(&f64, &f64) -> bool;

/// Longer ones first: `>` begins `>=`.
const BOUNDS: [(&str, Bound); 4] = [(">=", f64::ge), ("<=", f64::le), (">", f64::gt), ("<", f64::lt)];

impl FromStr for Requirement {
    type Err = Error;

    fn from_str(text: &str) -> Result<Requirement> {
        let refuse = |found: &str, remedy: String| Err(Error::invalid(format!("--require {text:?}"), found, remedy));
        let example = || "for example \"after-rl.B.reversal.open >= 0.9\"".to_owned();
        let split = BOUNDS.iter().find_map(|(sign, bound)| Some((text.split_once(sign)?, *bound)));
        let Some(((what, share), bound)) = split else { return refuse("none of >=, >, <= and <", example()) };
        let share = match share.trim().parse::<f64>() {
            Ok(share) if (0.0..=1.0).contains(&share) => share,
            _ => return refuse(share.trim(), "a share from 0 to 1".into()),
        };
        let parts: Vec<&str> = what.trim().split('.').collect();
        let [arm, set, task, form @ ..] = parts.as_slice() else {
            return refuse("no ARM.SET.TASK", example());
        };
        let Some(arm) = Arm::ALL.into_iter().find(|known| known.name() == *arm) else {
            return refuse(arm, format!("an arm: {}", Arm::ALL.map(Arm::name).join(", ")));
        };
        let (Some(set), Some(task)) = (word(set), word::<TaskId>(task)) else {
            let tasks: Vec<&str> = tasks().map(|task| task.id().name).collect();
            return refuse(what.trim(), format!("a set (A, B) and a task ({}); {}", tasks.join(", "), example()));
        };
        let form = match form {
            [] => None,
            [form] => match word::<Form>(form).filter(|form| form.task == task) {
                Some(form) => Some(form),
                None => {
                    let forms: Vec<&str> = task.get().forms().iter().map(|form| form.name).collect();
                    return refuse(form, format!("a form of {}: {}", task.name, forms.join(", ")));
                }
            },
            _ => return refuse(what.trim(), example()),
        };
        Ok(Requirement { text: text.trim().to_owned(), arm, set, task, form, bound, share })
    }
}

/// A name as files write it.
fn word<T: serde::de::DeserializeOwned>(name: &str) -> Option<T> {
    serde_json::from_value(serde_json::Value::String(name.to_owned())).ok()
}

impl Requirement {
    /// Refuses a summary that does not meet it, or in which nothing of the kind was evaluated.
    pub fn check(&self, summary: &Summary) -> Result<()> {
        let asked = (self.arm, self.set, self.task);
        let rows = summary.latest().filter(|row| (row.arm, row.set, row.task) == asked);
        let rows = rows.filter(|row| self.form.is_none_or(|wanted| wanted == row.form));
        let (correct, n) = rows.fold((0, 0), |(correct, n), row| (correct + row.correct, n + row.n));
        let found = match correct as f64 / n as f64 {
            _ if n == 0 => "no such questions were asked".to_owned(),
            share if (self.bound)(&share, &self.share) => return Ok(()),
            share => format!("it is {share:.3} ({correct} of {n})"),
        };
        Err(Error::Refused(format!("{self} does not hold: {found}")))
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::summary;

    #[test]
    fn shares_are_compared_with_what_was_measured() {
        let summary = summary();
        let row = summary.latest().find(|row| row.arm == Arm::AfterRl && row.set == Set::B).unwrap().clone();
        let kind = format!("after-rl.B.{}.{}", row.task, row.form);
        let holds = |text: String| text.parse::<Requirement>().unwrap().check(&summary);
        assert!(holds(format!("{kind} >= {}", row.accuracy)).is_ok());
        assert!(holds(format!("{kind}<={}", row.accuracy)).is_ok());
        let error = holds(format!("{kind} > {}", row.accuracy)).unwrap_err().to_string();
        assert!(error.contains("does not hold") && error.contains(&format!("of {}", row.n)), "{error}");
        assert!(holds(format!("{kind} < {}", row.accuracy)).is_err());
        let absent = holds("after-rl.B.jsonl >= 0".into()).unwrap_err().to_string();
        assert!(absent.contains("no such questions were asked"), "{absent}");
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_can() {
        let refused = |text: &str| text.parse::<Requirement>().unwrap_err().to_string();
        assert!(refused("after-rl.B.reversal").contains("none of >="));
        assert!(refused("after.B.reversal > 0.5").contains("thinking-before-rl"));
        assert!(refused("after-rl.D.reversal > 0.5").contains("a set (A, B)"));
        assert!(refused("after-rl.B.reversal.shut > 0.5").contains("candidates, open"));
        assert!(refused("after-rl.B.reversal > 90").contains("from 0 to 1"));
        assert!(refused("after-rl > 0.5").contains("no ARM.SET.TASK"));
        assert!(refused("after-rl.B.reversal >= nan").contains("from 0 to 1"));
    }
}
