//! One recorded rollout: what training writes down of a completion, and all that it needs to be scored again.

use serde::{Deserialize, Serialize};

use super::{Score, TermInput, TermScore};
use crate::knowledge::{Form, Match, Question, Set, TaskId};
use crate::rollout::{Completion, Finish, Versions};
use crate::verifier::Judgement;

/// One rollout as it stands in `rollouts/step-000123.jsonl`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The optimizer step that it was sampled for, from 1.
    pub step: u64,
    /// Id of the question. Completions of one question in one step are a group.
    pub question: u64,
    pub task: TaskId,
    pub form: Form,
    pub set: Set,
    pub sample: usize,
    /// The question as a person reads it.
    pub prompt: String,
    /// Everything that the policy wrote, behind what it was given.
    pub completion: String,
    /// What its thought was given to begin with.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub given: String,
    /// The right answer.
    pub answer: String,
    /// Other answers that are right as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// How an answer is compared with these.
    #[serde(rename = "match", default = "Match::exact", skip_serializing_if = "Match::is_exact")]
    pub matching: Match,
    /// What it was worth when it was sampled; none where a command that judges gave no value.
    pub reward: Option<f64>,
    pub terms: Vec<TermScore>,
    /// None where there is no reward.
    pub advantage: Option<f32>,
    /// Steps behind the policy that sampled it.
    pub version: SampledBy,
    pub finish: Finish,
    pub tokens: usize,
    pub judgement: Judgement,
}

/// Versions of the policy that sampled a completion: a number, or, where the weights changed on the way, a list of
/// `[version, tokens]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SampledBy {
    One(u64),
    Several(Vec<(u64, usize)>),
}

impl From<&Versions> for SampledBy {
    fn from(versions: &Versions) -> Self {
        match versions.runs() {
            [(version, _)] => SampledBy::One(*version),
            runs => SampledBy::Several(runs.to_vec()),
        }
    }
}

impl Record {
    /// A completion that is not paid for yet.
    pub fn new(step: u64, question: &Question, completion: &Completion, text: String, judgement: Judgement) -> Self {
        Self {
            step,
            question: question.id,
            task: question.task,
            form: question.form,
            set: question.set,
            sample: completion.sample,
            prompt: question.text.clone(),
            completion: text,
            given: String::new(),
            answer: question.answer.clone(),
            aliases: question.aliases.clone(),
            matching: question.matching,
            reward: None,
            terms: Vec::new(),
            advantage: None,
            version: SampledBy::from(&completion.versions),
            finish: completion.finish,
            tokens: completion.tokens.len(),
            judgement,
        }
    }

    /// Notes what it is worth. It has no advantage over others yet.
    pub fn pay(&mut self, score: Score) {
        (self.reward, self.terms, self.advantage) = (score.total, score.terms, score.total.map(|_| 0.0));
    }

    /// What the terms of a reward look at.
    pub fn evidence(&self) -> TermInput<'_> {
        TermInput {
            judgement: &self.judgement,
            prompt: &self.prompt,
            completion: &self.completion,
            given: &self.given,
            expected: &self.answer,
            aliases: &self.aliases,
            matching: self.matching,
            form: self.form,
            tokens: self.tokens,
            finished: self.finish == Finish::Stop,
            step: self.step,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_a_number_unless_it_changed_on_the_way() {
        let mut versions = Versions::default();
        [4, 4, 4].into_iter().for_each(|version| versions.push(version));
        let written = |versions: &Versions| {
            let text = serde_json::to_string(&SampledBy::from(versions)).unwrap();
            assert_eq!(serde_json::from_str::<SampledBy>(&text).unwrap(), SampledBy::from(versions));
            text
        };
        assert_eq!(written(&versions), "4");
        versions.push(5);
        assert_eq!(written(&versions), "[[4,3],[5,1]]");
    }
}
