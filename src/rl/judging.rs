//! Completions of a step that are judged while others are still sampled, or while the policy still learns from others.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::batch::{Group, SampledQuestion};
use crate::experiment::start::Start;
use crate::interrupt::Interrupt;
use crate::language::Opening;
use crate::reward::Record;
use crate::reward::scorer::Unscored;
use crate::rl::live_reward::LiveReward;
use crate::rollout::{Completion, Finish};
use crate::{Error, Result, verifier};

/// Who judges completions.
#[derive(Clone, Copy)]
pub(crate) struct Judge<'a> {
    pub start: &'a Start,
    pub reward: &'a LiveReward,
}

/// What was asked about the completions of some questions.
pub(super) struct Judging {
    step: usize,
    /// By the number of the question and that of the sample: what the verifier says, and what commands are asked.
    begun: BTreeMap<(usize, usize), (Record, Unscored)>,
    /// The first that went wrong.
    failed: Option<Error>,
}

impl Judging {
    /// Of a step of which nothing has been sampled yet.
    pub fn begin(step: usize) -> Judging {
        Judging { step, begun: BTreeMap::new(), failed: None }
    }

    /// Judges a completion that has just ended, and asks the commands of the reward about it.
    pub fn observe(&mut self, judge: Judge, asked: &[SampledQuestion], completion: &Completion) {
        let stopped = stopped(judge.start, &asked[completion.request], completion);
        match stopped.and_then(|stopped| self.record(judge.start, asked, stopped.as_ref().unwrap_or(completion))) {
            Ok(line) => {
                let unscored = judge.reward.ask(&line.evidence());
                self.begun.insert((completion.request, completion.sample), (line, unscored));
            }
            Err(error) => drop(self.failed.get_or_insert(error)),
        }
    }

    /// Asks the commands of a reward that took over about all completions that have ended.
    pub fn ask_again(&mut self, reward: &LiveReward) {
        for (line, unscored) in self.begun.values_mut() {
            *unscored = reward.ask(&line.evidence());
        }
    }

    fn record(&self, start: &Start, asked: &[SampledQuestion], completion: &Completion) -> Result<Record> {
        let SampledQuestion { question, given, .. } = &asked[completion.request];
        let tokenizer = &start.base.tokenizer;
        let text = tokenizer.written(&asked[completion.request].thought(completion))?;
        let finished = completion.finish == Finish::Stop;
        let judgement = verifier::judge(&start.knowledge, question, Opening::Think, &text, finished);
        let given = tokenizer.written(given)?;
        Ok(Record { given, ..Record::new(self.step as u64 + 1, question, completion, text, judgement) })
    }

    /// Pays all completions, gives each to its group, and says how long that took: waiting for commands, for the most
    /// part. Stops waiting as soon as the run is to stop.
    pub fn finish(
        mut self,
        judge: Judge,
        interrupt: &Interrupt,
        asked: &[SampledQuestion],
        mut groups: Vec<Group>,
        completions: Vec<Completion>,
    ) -> Result<(Vec<Group>, Duration)> {
        let waiting = Instant::now();
        for completion in completions {
            let key = (completion.request, completion.sample);
            if !self.begun.contains_key(&key) {
                self.observe(judge, asked, &completion);
            }
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            let stopped = stopped(judge.start, &asked[completion.request], &completion)?;
            let completion = stopped.unwrap_or(completion);
            let Some((mut line, unscored)) = self.begun.remove(&key) else { continue };
            let score = judge.reward.wait(&line.evidence(), &unscored, interrupt);
            let Some(score) = score else {
                let step = self.step;
                let saved =
                    format!("reinforcement learning is saved at step {step}; the same command goes on from there");
                return Err(Error::Interrupted(saved));
            };
            line.pay(score);
            let group = &mut groups[completion.request];
            group.lines.push(line);
            group.completions.push(completion);
        }
        Ok((groups, waiting.elapsed()))
    }
}

/// A completion as far as the first stop string of the config, where it has one.
fn stopped(start: &Start, asked: &SampledQuestion, completion: &Completion) -> Result<Option<Completion>> {
    let tokens = start.base.tokenizer.stopped(&asked.thought(completion))?;
    Ok(tokens.map(|tokens| completion.clone().stopped_after(tokens.saturating_sub(asked.given.len()).max(1))))
}
