//! What the generation engine is asked for and what it gives back. Token ids only: it never sees text.

use serde::{Deserialize, Serialize};

use super::{SamplingParams, Versions};
use crate::{Error, Result};

/// One prompt of which `samples` completions are wanted (a group).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Token ids, from `<bos>` to the token after which the policy goes on by itself. Not empty.
    pub prompt: Vec<u32>,
    /// How many completions of it.
    pub samples: usize,
    /// How tokens are drawn.
    pub sampling: SamplingParams,
    /// At most this many new tokens, the stop token included.
    pub max_new_tokens: usize,
    /// Sampling ends after any of these tokens (it is kept in the completion).
    pub stop: Vec<u32>,
    /// The random stream of sample `i` is `random::stream(seed, [key.., i])`.
    pub seed: u64,
    /// Usually (step, question): what a rollout says depends on these and the weights alone.
    pub key: [u64; 2],
}

impl Request {
    /// Tokens of the prompt and the longest completion.
    pub fn tokens(&self) -> usize {
        self.prompt.len().saturating_add(self.max_new_tokens)
    }
}

/// A request as it is worked on: its number in the list that was handed in, and the completions that are missing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub number: usize,
    pub request: Request,
    pub begun: Vec<PartialCompletion>,
}

impl Job {
    /// All completions of a request, none of them begun.
    pub fn new(number: usize, request: Request) -> Job {
        let begun = (0..request.samples).map(|sample| PartialCompletion::new(number, sample)).collect();
        Job { number, request, begun }
    }
}

/// A completion as far as it has come. Whoever goes on with it ends where the one who began it would have, as long as
/// the weights are the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartialCompletion {
    /// See [`Completion`], as for the other fields.
    pub request: usize,
    pub sample: usize,
    pub tokens: Vec<u32>,
    pub log_probs: Vec<f32>,
    pub versions: Versions,
    #[serde(default)]
    pub sampling_mask: Vec<Vec<u32>>,
    #[serde(default)]
    pub top_logprobs: Vec<Vec<(u32, f32)>>,
}

impl PartialCompletion {
    /// A completion without a token.
    pub fn new(request: usize, sample: usize) -> PartialCompletion {
        PartialCompletion {
            request,
            sample,
            tokens: Vec::new(),
            log_probs: Vec::new(),
            versions: Versions::default(),
            sampling_mask: Vec::new(),
            top_logprobs: Vec::new(),
        }
    }

    pub(crate) fn end(self, finish: Finish) -> Completion {
        let PartialCompletion { request, sample, tokens, log_probs, versions, sampling_mask, top_logprobs } = self;
        Completion { request, sample, tokens, log_probs, versions, sampling_mask, top_logprobs, finish }
    }
}

/// Why a completion ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Finish {
    /// The stop token was sampled.
    Stop,
    /// The budget of new tokens ran out.
    Length,
}

/// One sampled completion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Completion {
    /// Index of its request in the list that was handed in.
    pub request: usize,
    /// Index in its group, `0..samples`.
    pub sample: usize,
    /// Sampled token ids, the stop token included.
    pub tokens: Vec<u32>,
    /// Log-probability of each sampled token under the distribution it was drawn from (after temperature, truncation and
    /// penalties; greedy decoding reports those of temperature 1). Same length as `tokens`.
    pub log_probs: Vec<f32>,
    /// Policy version of each: that of the weights it was drawn with.
    pub versions: Versions,
    /// The tokens that could be drawn at each place, rising, where the distribution was truncated; empty where all could, and
    /// no list at all where nothing is truncated.
    #[serde(default)]
    pub sampling_mask: Vec<Vec<u32>>,
    /// Log-probabilities before temperature, truncation and penalties, where they were asked for: of each token itself, and then
    /// of those that were likeliest in its place.
    #[serde(default)]
    pub top_logprobs: Vec<Vec<(u32, f32)>>,
    /// Why it ended.
    pub finish: Finish,
}

impl Completion {
    /// The completion as it is when it stops after so many of its tokens.
    pub fn stopped_after(mut self, tokens: usize) -> Completion {
        self.tokens.truncate(tokens);
        self.log_probs.truncate(tokens);
        self.sampling_mask.truncate(tokens);
        self.top_logprobs.truncate(tokens);
        self.versions.truncate(tokens);
        Completion { finish: Finish::Stop, ..self }
    }
}

/// What an engine can take, to refuse a request before any work is done.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Tokens of prompt and completion together.
    pub max_tokens: usize,
    pub vocab_size: usize,
}

impl Limits {
    /// Refuses a request that cannot be answered; `number` names it.
    pub fn check(&self, number: usize, request: &Request) -> Result<()> {
        let refuse = |found: String, remedy: String| Err(Error::invalid(name(number, request), found, remedy));
        let (prompt, new) = (request.prompt.len(), request.max_new_tokens);
        if prompt == 0 {
            return refuse("empty prompt".into(), "a prompt holds at least one token".into());
        }
        if let Some(token) = request.prompt.iter().find(|token| **token as usize >= self.vocab_size) {
            return refuse(format!("token id {token}"), format!("ids are below {}", self.vocab_size));
        }
        if new == 0 {
            return refuse("max_new_tokens = 0".into(), "ask for at least one token".into());
        }
        if new > self.max_tokens || prompt > self.max_tokens - new {
            return refuse(
                format!("a prompt of {prompt} tokens and {new} new ones"),
                format!("a slot holds {} together", self.max_tokens),
            );
        }
        match request.sampling.problem() {
            Some((name, found, allowed)) => refuse(format!("{name} = {found}"), allowed.into()),
            None => Ok(()),
        }
    }

    /// The same for a request of which some completions have been begun elsewhere.
    pub fn check_job(&self, job: &Job) -> Result<()> {
        self.check(job.number, &job.request)?;
        let unfit = |begun: &&PartialCompletion| {
            let tokens = begun.tokens.len();
            let masked = if job.request.sampling.restricts() { tokens } else { 0 };
            begun.request != job.number
                || begun.sample >= job.request.samples
                || tokens >= job.request.max_new_tokens
                || begun.log_probs.len() != tokens
                || begun.versions.tokens() != tokens
                || begun.sampling_mask.len() != masked
                || begun.tokens.iter().any(|token| *token as usize >= self.vocab_size)
        };
        match job.begun.iter().find(unfit) {
            None => Ok(()),
            Some(begun) => {
                let found = format!("sample {} was begun for another request", begun.sample);
                Err(Error::invalid(name(job.number, &job.request), found, "have it sampled from its beginning"))
            }
        }
    }
}

/// How messages name a request.
pub(super) fn name(number: usize, request: &Request) -> String {
    format!("request {number} (key {}, {})", request.key[0], request.key[1])
}
