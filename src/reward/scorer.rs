//! A reward that is at work: its terms, and the commands that some of them ask.

use std::borrow::Cow;

use super::external::{Awaited, External, JudgeCommand, Stopped};
use super::{Failure, Reward, Score, Term, TermInput, Weighted};
use crate::Result;

/// Scores completions by a reward. Several threads may ask one scorer.
pub struct Scorer {
    reward: Reward,
    /// A command for each external term, in the order of the terms.
    commands: Vec<JudgeCommand>,
}

/// A completion that its commands have been asked about; none where a term is for other forms of questions.
pub struct Unscored(Vec<Option<Awaited>>);

/// How often an external term got no value, and what its command said last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedJudgements {
    pub term: String,
    pub failure: Failure,
    pub times: u64,
    pub complaint: Option<String>,
}

impl Scorer {
    /// Starts the commands of the reward. One that cannot be started is an error.
    pub fn open(reward: &Reward) -> Result<Scorer> {
        let commands = reward.externals().map(|(term, external)| JudgeCommand::start(&term.name, &external));
        Ok(Scorer { commands: commands.collect::<Result<_>>()?, reward: reward.clone() })
    }

    pub fn reward(&self) -> &Reward {
        &self.reward
    }

    /// What a completion is worth. Waits for commands, each as long as its time-out says.
    pub fn score(&self, evidence: &TermInput) -> Score {
        self.wait(evidence, self.ask(evidence))
    }

    /// Asks the commands about a completion, and does not wait for them.
    pub fn ask(&self, evidence: &TermInput) -> Unscored {
        let about = self.reward.externals().map(|(term, _)| term.is_about(evidence.form));
        let asked = about.zip(&self.commands).map(|(about, command)| about.then(|| command.ask(evidence)));
        Unscored(asked.collect())
    }

    /// What a completion is worth that was asked about: waits for its commands.
    pub fn wait(&self, evidence: &TermInput, asked: Unscored) -> Score {
        let mut values = asked.0.iter().map(|asked| asked.as_ref()?.wait(&|| false).unwrap_or_default());
        self.reward.score(evidence, &mut values)
    }

    /// The same, unless the wait is broken off because of `stopping`.
    pub fn wait_unless(
        &self,
        evidence: &TermInput,
        asked: &Unscored,
        stopping: &dyn Fn() -> bool,
    ) -> std::result::Result<Score, Stopped> {
        let values = asked.0.iter().map(|asked| asked.as_ref().map_or(Ok(None), |awaited| awaited.wait(stopping)));
        let values: Vec<Option<f64>> = values.collect::<std::result::Result<_, _>>()?;
        Ok(self.reward.score(evidence, &mut values.into_iter()))
    }

    /// Every failure of a command on a completion that was waited for since this was last asked, those that never happened
    /// left out.
    pub fn take_failures(&self) -> Vec<FailedJudgements> {
        self.commands.iter().flat_map(JudgeCommand::take_failures).collect()
    }

    /// What was wrong with lines that commands wrote, with the names of their terms: of each kind the first line, once.
    pub fn take_remarks(&self) -> Vec<(String, String)> {
        self.commands.iter().flat_map(JudgeCommand::take_remarks).collect()
    }
}

impl Reward {
    /// The terms that commands decide, in their order. A model that judges is one, too.
    pub fn externals(&self) -> impl Iterator<Item = (&Weighted, Cow<'_, External>)> {
        self.terms.iter().filter_map(|term| match &term.term {
            Term::External(external) => Some((term, Cow::Borrowed(external))),
            Term::Model(model) => Some((term, Cow::Owned(model.command()))),
            _ => None,
        })
    }
}

impl FailedJudgements {
    /// Failures of several scorers, those of one kind added up.
    pub fn together(all: Vec<FailedJudgements>) -> Vec<FailedJudgements> {
        let mut sums: Vec<FailedJudgements> = Vec::new();
        for one in all {
            match sums.iter_mut().find(|sum| (&sum.term, sum.failure) == (&one.term, one.failure)) {
                Some(sum) => sum.times += one.times,
                None => sums.push(one),
            }
        }
        sums
    }
}
