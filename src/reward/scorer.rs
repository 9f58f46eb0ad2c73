//! A reward that is at work: its terms, and the commands that some of them ask.

use super::external::Command;
use super::{Evidence, Failure, Reward, Score, Term};
use crate::Result;

/// Scores completions by a reward, one after another.
pub struct Scorer {
    reward: Reward,
    /// A command for each external term, in the order of the terms.
    commands: Vec<(String, Command)>,
}

/// How often an external term got no value, and what its command said last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    pub term: String,
    pub failure: Failure,
    pub times: u64,
    pub complaint: Option<String>,
}

impl Scorer {
    /// Starts the commands of the reward. One that cannot be started is an error.
    pub fn open(reward: &Reward) -> Result<Scorer> {
        let mut commands = Vec::new();
        for term in &reward.terms {
            if let Term::External(external) = &term.term {
                commands.push((term.name.clone(), Command::start(&term.name, external)?));
            }
        }
        Ok(Scorer { reward: reward.clone(), commands })
    }

    pub fn reward(&self) -> &Reward {
        &self.reward
    }

    /// What a completion is worth. Waits for commands, each as long as its time-out says.
    pub fn score(&mut self, evidence: &Evidence) -> Score {
        let mut answers = self.commands.iter_mut().map(|(_, command)| command.value(evidence));
        self.reward.score(evidence, &mut answers)
    }

    /// Every failure of a command since this was last asked, those that never happened left out.
    pub fn take_failures(&mut self) -> Vec<Failed> {
        let of = |(term, command): &mut (String, Command)| {
            let complaint = command.complaint().map(String::from);
            let failed = |(failure, times)| Failed { term: term.clone(), failure, times, complaint: complaint.clone() };
            command.take_failures().map(failed).collect::<Vec<_>>()
        };
        self.commands.iter_mut().flat_map(of).collect()
    }
}

impl Failed {
    /// Failures of several scorers, those of one kind added up.
    pub fn together(all: Vec<Failed>) -> Vec<Failed> {
        let mut sums: Vec<Failed> = Vec::new();
        for one in all {
            match sums.iter_mut().find(|sum| (&sum.term, sum.failure) == (&one.term, one.failure)) {
                Some(sum) => sum.times += one.times,
                None => sums.push(one),
            }
        }
        sums
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::super::term::tests::{evidence, judgement};
    use super::*;

    #[test]
    fn a_command_that_fails_leaves_the_other_terms_as_they_are() {
        let text = r#"
            [[term]]
            kind = "correct"
            [[term]]
            kind = "external"
            name = "dead"
            command = ["false"]
            [[term]]
            kind = "external"
            name = "half"
            weight = 2
            command = ["sh", "-c", """read line; echo '{"id":1,"value":0.5}'"""]
            [[term]]
            kind = "recitation"
            weight = 0.5"#;
        let reward = Reward::parse(text, "r.toml").unwrap();
        let mut scorer = Scorer::open(&reward).unwrap();
        let judgement = judgement(true, &[true, true, false, false]);
        let score = scorer.score(&evidence(&judgement));
        let values: Vec<f64> = score.terms.iter().map(|term| term.value).collect();
        assert_eq!((values, score.total), (vec![1.0, 0.0, 0.5, 0.5], 1.0 + 1.0 + 0.25));
        let failed = scorer.take_failures();
        assert_eq!((failed.len(), failed[0].term.as_str(), failed[0].failure), (1, "dead", Failure::Died));
    }
}
