//! Completions of a call on their way to the client, and the objects that they become.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::call::{Call, Endpoint};
use super::detokenizer::Detokenizer;
use super::engines::{StreamEvent, StreamJob};
use super::failure::ApiError;
use super::{PATIENCE, Served};
use crate::random;
use crate::rollout::{Completion, Finish, Request};

/// Log-probabilities in the place of one token: of itself, and of the likeliest.
type TokenScores = Vec<(u32, f32)>;

/// A call that the engines are at. When it is dropped they stop.
pub(super) struct Answering {
    pub call: Call,
    served: Arc<Served>,
    pub events: UnboundedReceiver<StreamEvent>,
    id: String,
    created: u64,
    choices: Vec<Choice>,
    /// By prompt.
    stopped: Vec<Arc<[AtomicBool]>>,
    /// Those of the prompts, where they are repeated with them.
    prompt_scores: Vec<Vec<TokenScores>>,
}

/// One completion.
struct Choice {
    prompt: usize,
    detokenizer: Detokenizer,
    tokens: Vec<u32>,
    scores: Vec<TokenScores>,
    text: String,
    finish: Option<Finish>,
    /// Of these tokens the client has been told.
    told: usize,
    /// Characters of these, each token by itself.
    offset: usize,
}

impl Answering {
    /// Hands the prompts of a call to the engines.
    pub async fn begin(served: Arc<Served>, call: Call) -> Result<Answering, ApiError> {
        let number = served.begin(call.prompts.len())?;
        let seed = call.seed.unwrap_or_else(|| random::mix(served.seed ^ random::mix(number)));
        let (sender, events) = unbounded_channel();
        let stops: Arc<[String]> = call.stops.clone().into();
        let (mut choices, mut stopped) = (Vec::new(), Vec::new());
        for (prompt, tokens) in call.prompts.iter().enumerate() {
            let request = served.request(&call, tokens, seed)?;
            for _ in 0..call.samples {
                let detokenizer = Detokenizer::new(served.tokenizer.clone(), stops.clone(), call.without_special);
                choices.push(Choice::new(prompt, detokenizer));
            }
            let flags: Arc<[AtomicBool]> = (0..call.samples).map(|_| AtomicBool::new(false)).collect();
            stopped.push(flags.clone());
            match request {
                Some(request) => {
                    let by_token = call.stream || !call.stops.is_empty();
                    let job = StreamJob { request, prompt, events: sender.clone(), stopped: flags, by_token };
                    if !served.engines.put(job) {
                        return Err(ApiError::failed("every engine has ended: start the server again"));
                    }
                }
                // Nothing but the prompt is wanted.
                None => choices.iter_mut().for_each(|choice| choice.finish = Some(Finish::Length)),
            }
        }
        let prompt_scores = match call.logprobs.filter(|_| call.echo) {
            Some(count) => served.scores(call.prompts.clone(), count).await?,
            None => Vec::new(),
        };
        let kind = if call.endpoint == Endpoint::Chat { "chatcmpl" } else { "cmpl" };
        let (id, created) = (format!("{kind}-{:016x}", random::mix(served.started ^ number)), super::now());
        Ok(Answering { call, served, events, id, created, choices, stopped, prompt_scores })
    }

    /// Whether everything has been said.
    pub fn is_over(&self) -> bool {
        self.choices.iter().all(|choice| choice.finish.is_some())
    }

    /// Takes in what an engine says; gives the number of the choice that it is about, where something has come of it.
    pub fn observe(&mut self, event: StreamEvent) -> Result<Option<usize>, ApiError> {
        let (prompt, sample, tokens, scores, finish) = match event {
            StreamEvent::Failed(message) => return Err(ApiError::failed(message)),
            StreamEvent::Tokens { prompt, sample, tokens, top_logprobs } => {
                (prompt, sample, tokens, top_logprobs, None)
            }
            StreamEvent::Ended { prompt, completion } => {
                let Completion { sample, tokens, top_logprobs, finish, .. } = completion;
                let known = self.choices[self.number(prompt, sample)].tokens.len();
                let rest = top_logprobs.get(known..).unwrap_or_default().to_vec();
                (prompt, sample, tokens[known.min(tokens.len())..].to_vec(), rest, Some(finish))
            }
        };
        let number = self.number(prompt, sample);
        let ends = if self.call.ignores_ends { &[] } else { self.served.tokenizer.ends() };
        let choice = &mut self.choices[number];
        if choice.finish.is_some() {
            return Ok(None);
        }
        choice.push(&tokens, scores, ends, finish)?;
        if choice.detokenizer.is_stopped() {
            self.stopped[prompt][sample].store(true, Ordering::Relaxed);
        }
        Ok(Some(number))
    }

    fn number(&self, prompt: usize, sample: usize) -> usize {
        prompt * self.call.samples + sample
    }

    /// The whole answer.
    pub fn object(&self) -> Value {
        let object = if self.call.endpoint == Endpoint::Chat { "chat.completion" } else { "text_completion" };
        let choices: Vec<Value> = self.choices.iter().enumerate().map(|(at, choice)| self.whole(at, choice)).collect();
        let mut answer = self.frame(object, choices);
        answer.insert("usage".into(), self.usage());
        Value::Object(answer)
    }

    fn whole(&self, index: usize, choice: &Choice) -> Value {
        let reason = choice.finish.map(reason);
        let scored = self.call.logprobs.is_some();
        match self.call.endpoint {
            Endpoint::Chat => {
                let scores = scored.then(|| self.chat_scores(choice, 0));
                let message = json!({ "role": "assistant", "content": choice.text });
                json!({ "index": index, "message": message, "logprobs": scores, "finish_reason": reason })
            }
            Endpoint::Completions => {
                let echoed =
                    if self.call.echo { self.text_of(&self.call.prompts[choice.prompt]) } else { String::new() };
                let scores = scored.then(|| self.text_scores(choice, 0, self.call.echo));
                json!({ "index": index, "text": echoed + &choice.text, "logprobs": scores, "finish_reason": reason })
            }
        }
    }

    /// What a stream says first of a choice.
    pub fn opening(&self) -> Vec<Value> {
        if self.call.endpoint == Endpoint::Completions {
            return Vec::new();
        }
        let first =
            |index| json!({ "index": index, "delta": { "role": "assistant", "content": "" }, "finish_reason": null });
        (0..self.choices.len()).map(|index| self.chunk(first(index))).collect()
    }

    /// What has come of a choice since the client was last told, where that is something.
    pub fn news(&mut self, index: usize, text: &str) -> Option<Value> {
        let choice = &self.choices[index];
        let reason = choice.finish.map(reason);
        if text.is_empty() && reason.is_none() && (self.call.logprobs.is_none() || choice.told == choice.tokens.len()) {
            return None;
        }
        let (told, scored) = (choice.told, self.call.logprobs.is_some());
        let news = match self.call.endpoint {
            Endpoint::Chat => {
                let scores = scored.then(|| self.chat_scores(choice, told));
                let delta = if text.is_empty() { json!({}) } else { json!({ "content": text }) };
                json!({ "index": index, "delta": delta, "logprobs": scores, "finish_reason": reason })
            }
            Endpoint::Completions => {
                let scores = scored.then(|| self.text_scores(choice, told, false));
                json!({ "index": index, "text": text, "logprobs": scores, "finish_reason": reason })
            }
        };
        let chunk = self.chunk(news);
        let shown = |token: &u32| self.text_of(&[*token]).chars().count();
        let offset = if scored { self.choices[index].tokens[told..].iter().map(shown).sum() } else { 0 };
        let choice = &mut self.choices[index];
        choice.told = choice.tokens.len();
        choice.offset += offset;
        Some(chunk)
    }

    /// The text of a choice that the client has not been told of; it is taken as told.
    pub fn take_text(&mut self, index: usize) -> String {
        std::mem::take(&mut self.choices[index].text)
    }

    fn chunk(&self, choice: Value) -> Value {
        let object = if self.call.endpoint == Endpoint::Chat { "chat.completion.chunk" } else { "text_completion" };
        Value::Object(self.frame(object, vec![choice]))
    }

    /// The end of a stream that counts.
    pub fn counted(&self) -> Value {
        let object = if self.call.endpoint == Endpoint::Chat { "chat.completion.chunk" } else { "text_completion" };
        let mut last = self.frame(object, Vec::new());
        last.insert("usage".into(), self.usage());
        Value::Object(last)
    }

    fn frame(&self, object: &str, choices: Vec<Value>) -> Map<String, Value> {
        let name = &self.served.name;
        let frame = json!({
            "id": self.id, "object": object, "created": self.created, "model": name, "choices": choices,
        });
        match frame {
            Value::Object(frame) => frame,
            _ => Map::new(),
        }
    }

    fn usage(&self) -> Value {
        let prompt: usize = self.call.prompts.iter().map(Vec::len).sum();
        let completion = self.tokens();
        json!({ "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion })
    }

    /// Sampled tokens so far.
    pub fn tokens(&self) -> usize {
        self.choices.iter().map(|choice| choice.tokens.len()).sum()
    }

    fn text_of(&self, tokens: &[u32]) -> String {
        self.served.tokenizer.decode_as_is(tokens, self.call.without_special).unwrap_or_default()
    }

    /// Log-probabilities of the tokens from number `from` on, as completions have them; those of the prompt before them, if
    /// it is repeated.
    fn text_scores(&self, choice: &Choice, from: usize, echo: bool) -> Value {
        let alternatives = self.call.logprobs.unwrap_or(0);
        let (mut texts, mut own, mut top, mut offsets) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut offset = if from == 0 { 0 } else { choice.offset };
        let mut add = |token: u32, scores: Option<&TokenScores>| {
            let text = self.text_of(&[token]);
            offsets.push(offset);
            offset += text.chars().count();
            texts.push(text);
            own.push(scores.and_then(|scores| scores.first()).map(|(_, log_prob)| *log_prob));
            top.push(scores.map(|scores| {
                let named = scores
                    .iter()
                    .skip(1)
                    .take(alternatives)
                    .map(|(id, log_prob)| (self.text_of(&[*id]), json!(log_prob)));
                // Of tokens with the same text the likeliest, which comes first, stays.
                named.rev().collect::<Map<String, Value>>()
            }));
        };
        if echo {
            let none = Vec::new();
            let scores = self.prompt_scores.get(choice.prompt).unwrap_or(&none);
            let tokens = &self.call.prompts[choice.prompt];
            for (at, token) in tokens.iter().enumerate() {
                add(*token, at.checked_sub(1).and_then(|before| scores.get(before)));
            }
        }
        for (token, scores) in choice.tokens.iter().zip(&choice.scores).skip(from) {
            add(*token, Some(scores));
        }
        let top = (alternatives > 0).then_some(top);
        json!({ "tokens": texts, "token_logprobs": own, "top_logprobs": top, "text_offset": offsets })
    }

    fn chat_scores(&self, choice: &Choice, from: usize) -> Value {
        let alternatives = self.call.logprobs.unwrap_or(0);
        let one = |(token, log_prob): &(u32, f32)| {
            let text = self.text_of(&[*token]);
            // A part of a character has no text of its own.
            let bytes = (!text.contains(char::REPLACEMENT_CHARACTER)).then_some(text.as_bytes());
            json!({ "token": text, "logprob": log_prob, "bytes": bytes })
        };
        let content = choice.scores.iter().skip(from).filter_map(|scores| {
            let mut own = one(scores.first()?);
            let top: Vec<Value> = scores.iter().skip(1).take(alternatives).map(one).collect();
            own.as_object_mut()?.insert("top_logprobs".into(), Value::Array(top));
            Some(own)
        });
        json!({ "content": content.collect::<Vec<Value>>() })
    }
}

impl Choice {
    fn new(prompt: usize, detokenizer: Detokenizer) -> Choice {
        let (tokens, scores, text) = (Vec::new(), Vec::new(), String::new());
        Choice { prompt, detokenizer, tokens, scores, text, finish: None, told: 0, offset: 0 }
    }

    /// Takes in tokens; those behind a stop string are none of the completion.
    fn push(
        &mut self,
        tokens: &[u32],
        scores: Vec<TokenScores>,
        ends: &[u32],
        finish: Option<Finish>,
    ) -> Result<(), ApiError> {
        // Most are there at once, and nothing may cut them off.
        if finish.is_some() && self.tokens.is_empty() && !self.detokenizer.has_stops() {
            let text: Vec<u32> = tokens.iter().copied().filter(|token| !ends.contains(token)).collect();
            self.text = self.detokenizer.whole(&text)?;
            (self.tokens, self.scores, self.finish) = (tokens.to_vec(), scores, finish);
            return Ok(());
        }
        let mut scores = scores.into_iter();
        for token in tokens {
            self.tokens.push(*token);
            self.scores.extend(scores.next());
            if !ends.contains(token) {
                self.text.push_str(&self.detokenizer.push(*token)?);
            }
            if self.detokenizer.is_stopped() {
                self.finish = Some(Finish::Stop);
                return Ok(());
            }
        }
        if finish.is_some() {
            self.text.push_str(&self.detokenizer.finish()?);
            self.finish = if self.detokenizer.is_stopped() { Some(Finish::Stop) } else { finish };
        }
        Ok(())
    }
}

fn reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
    }
}

impl Served {
    /// What an engine is asked for; none where a call wants nothing but its prompt.
    fn request(&self, call: &Call, prompt: &[u32], seed: u64) -> Result<Option<Request>, ApiError> {
        let left = self.limits.max_tokens.saturating_sub(prompt.len());
        let max_new_tokens = call.max_new_tokens.unwrap_or(left);
        if max_new_tokens == 0 && call.max_new_tokens == Some(0) {
            self.check_prompt(prompt)?;
            return Ok(None);
        }
        let stop = if call.ignores_ends { Vec::new() } else { self.tokenizer.ends().to_vec() };
        let request = Request {
            prompt: prompt.to_vec(),
            samples: call.samples,
            sampling: call.sampling,
            max_new_tokens,
            stop,
            seed,
            key: [0, 0],
        };
        let place = if call.endpoint == Endpoint::Chat { "messages" } else { "prompt" };
        let invalid = |error: crate::Error| ApiError::invalid(place, error.to_string());
        self.limits.check(0, &request).map_err(invalid)?;
        Ok(Some(request))
    }

    fn check_prompt(&self, prompt: &[u32]) -> Result<(), ApiError> {
        if prompt.len() > self.limits.max_tokens {
            let message =
                format!("a prompt of {} tokens, and there is room for {}", prompt.len(), self.limits.max_tokens);
            return Err(ApiError::invalid("prompt", message));
        }
        match prompt.iter().find(|token| **token as usize >= self.limits.vocab_size) {
            Some(token) => {
                Err(ApiError::invalid("prompt", format!("token {token}, and ids are below {}", self.limits.vocab_size)))
            }
            None => Ok(()),
        }
    }

    /// Log-probabilities of the tokens of prompts, and those of the likeliest in their places.
    async fn scores(&self, prompts: Vec<Vec<u32>>, count: usize) -> Result<Vec<Vec<TokenScores>>, ApiError> {
        prompts.iter().try_for_each(|prompt| self.check_prompt(prompt))?;
        let mut scored = Vec::with_capacity(prompts.len());
        // One at a time, whoever asks: the threads are the engines'. Whose client leaves is not gone on with.
        for prompt in prompts {
            let turn = tokio::time::timeout(PATIENCE, self.scoring.acquire()).await;
            let _turn = turn.map_err(|_| ApiError::busy())?.map_err(|error| ApiError::failed(error.to_string()))?;
            let policy = self.policy.clone();
            let score = move || policy.likeliest(&prompt, count.max(1));
            let scores =
                tokio::task::spawn_blocking(score).await.map_err(|error| ApiError::failed(error.to_string()))?;
            scored.push(scores?);
        }
        Ok(scored)
    }
}
