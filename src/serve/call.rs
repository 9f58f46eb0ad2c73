//! What clients send, and what is made of it: prompts in token ids, and how they are to be continued.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::failure::ApiError;
use crate::language::{Opening, Tokenizer};
use crate::rollout::SamplingParams;

/// The most completions of one call, and the most of its prompts.
const MOST_CHOICES: usize = 1024;
/// The most alternatives of a token.
const MOST_ALTERNATIVES: usize = 20;
/// The most stop strings, and the longest.
const MOST_STOPS: usize = 16;
const LONGEST_STOP: usize = 1000;
/// What OpenAI's completions take where nothing is said.
const USUAL_TOKENS: usize = 16;

/// What `/v1/completions` and `/v1/chat/completions` have in common. What is not known is not looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CommonFields {
    model: Option<String>,
    max_tokens: Option<usize>,
    max_completion_tokens: Option<usize>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<i64>,
    min_p: Option<f32>,
    no_repeat_ngram_size: Option<usize>,
    repetition_penalty: Option<f32>,
    presence_penalty: Option<f32>,
    frequency_penalty: Option<f32>,
    n: Option<usize>,
    seed: Option<i64>,
    stop: Option<StopField>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    ignore_eos: Option<bool>,
    skip_special_tokens: Option<bool>,
    logit_bias: Option<Map<String, Value>>,
    response_format: Option<ResponseFormat>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct ResponseFormat {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text or a list of texts")]
enum StopField {
    One(String),
    More(Vec<String>),
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text, a list of texts, token ids, or a list of lists of token ids")]
enum PromptField {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<u32>),
    ManyTokens(Vec<Vec<u32>>),
}

#[derive(Debug, Deserialize)]
struct CompletionFields {
    prompt: PromptField,
    #[serde(default)]
    echo: Option<bool>,
    #[serde(default)]
    logprobs: Option<usize>,
    #[serde(default)]
    suffix: Option<String>,
    #[serde(default)]
    best_of: Option<usize>,
    #[serde(default)]
    add_special_tokens: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct ChatFields {
    messages: Vec<Message>,
    #[serde(default)]
    logprobs: Option<bool>,
    #[serde(default)]
    top_logprobs: Option<usize>,
    #[serde(default)]
    tools: Option<Vec<Value>>,
    #[serde(default)]
    chat_template_kwargs: TemplateFields,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TemplateFields {
    enable_thinking: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct Message {
    role: String,
    content: Content,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text or a list of parts with a text")]
enum Content {
    Text(String),
    Parts(Vec<ContentPart>),
}

#[derive(Debug, Deserialize)]
struct ContentPart {
    #[serde(default)]
    text: Option<String>,
}

/// Which of the two was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Completions,
    Chat,
}

/// A call that can be answered.
#[derive(Debug)]
pub(super) struct Call {
    pub endpoint: Endpoint,
    pub prompts: Vec<Vec<u32>>,
    /// Completions of each prompt.
    pub samples: usize,
    pub sampling: SamplingParams,
    /// None: as many as there is room for.
    pub max_new_tokens: Option<usize>,
    pub seed: Option<u64>,
    pub stops: Vec<String>,
    /// Goes on after the tokens that end a completion.
    pub ignores_ends: bool,
    pub without_special: bool,
    pub stream: bool,
    /// Whether a stream ends with how many tokens there were.
    pub counts: bool,
    /// Repeats the prompt before the completion.
    pub echo: bool,
    /// Log-probabilities, with so many alternatives of each token.
    pub logprobs: Option<usize>,
}

/// Reads what a client has sent to an endpoint.
pub(super) fn read(endpoint: Endpoint, body: &[u8], name: &str, tokenizer: &Tokenizer) -> Result<Call, ApiError> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| ApiError::invalid(None, format!("the body is no JSON: {error}")))?;
    if !value.is_object() {
        return Err(ApiError::invalid(None, "the body is no JSON object"));
    }
    let common: CommonFields = fields(&value)?;
    if let Some(model) = common.model.as_deref().filter(|model| !model.is_empty() && *model != name) {
        let message = format!("the model {model:?} does not exist; {name:?} is served here");
        return Err(ApiError::not_found("model_not_found", message));
    }
    refuse_what_is_not_done(&common)?;
    match endpoint {
        Endpoint::Completions => completions(common, fields(&value)?, tokenizer),
        Endpoint::Chat => chat(common, fields(&value)?, tokenizer),
    }
}

fn fields<'a, T: Deserialize<'a>>(value: &'a Value) -> Result<T, ApiError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let param = (path != ".").then_some(path.as_str());
        let place = param.map(|param| format!("{param}: ")).unwrap_or_default();
        ApiError::invalid(param, format!("{place}{}", error.inner()))
    })
}

/// What would be another answer than the one that was asked for.
fn refuse_what_is_not_done(common: &CommonFields) -> Result<(), ApiError> {
    if common.logit_bias.as_ref().is_some_and(|bias| !bias.is_empty()) {
        return Err(ApiError::invalid("logit_bias", "logit_bias is not supported: leave it out"));
    }
    if let Some(format) = common.response_format.as_ref().filter(|format| format.kind != "text") {
        let message = format!("response_format {:?} is not supported: leave it out", format.kind);
        return Err(ApiError::invalid("response_format", message));
    }
    Ok(())
}

fn completions(common: CommonFields, fields: CompletionFields, tokenizer: &Tokenizer) -> Result<Call, ApiError> {
    let CompletionFields { prompt, echo, logprobs, suffix, best_of, add_special_tokens } = fields;
    if suffix.is_some_and(|suffix| !suffix.is_empty()) {
        return Err(ApiError::invalid("suffix", "suffix is not supported: leave it out"));
    }
    if best_of.is_some_and(|best_of| best_of > common.n.unwrap_or(1)) {
        return Err(ApiError::invalid("best_of", "best_of above n is not supported: leave it out"));
    }
    let special = add_special_tokens.unwrap_or(true);
    let encode = |text: &String| {
        tokenizer.encode_as_is(text, special).map_err(|error| ApiError::invalid("prompt", error.to_string()))
    };
    let prompts = match prompt {
        PromptField::Text(text) => vec![encode(&text)?],
        PromptField::Texts(texts) => texts.iter().map(encode).collect::<Result<_, _>>()?,
        PromptField::Tokens(tokens) => vec![tokens],
        PromptField::ManyTokens(prompts) => prompts,
    };
    if prompts.is_empty() || prompts.iter().any(Vec::is_empty) {
        return Err(ApiError::invalid("prompt", "an empty prompt: give at least one token"));
    }
    let max_new_tokens = common.max_tokens.or(common.max_completion_tokens).unwrap_or(USUAL_TOKENS);
    let (echo, stream) = (echo.unwrap_or(false), common.stream.unwrap_or(false));
    if max_new_tokens == 0 && !echo {
        return Err(ApiError::invalid("max_tokens", "max_tokens is 0: ask for at least one token, or with echo"));
    }
    if echo && stream {
        return Err(ApiError::invalid("echo", "echo in a stream is not supported: leave one of the two out"));
    }
    call(Endpoint::Completions, common, prompts, Some(max_new_tokens), echo, logprobs)
}

fn chat(common: CommonFields, fields: ChatFields, tokenizer: &Tokenizer) -> Result<Call, ApiError> {
    let ChatFields { messages, logprobs, top_logprobs, tools, chat_template_kwargs } = fields;
    if tools.is_some_and(|tools| !tools.is_empty()) {
        return Err(ApiError::invalid("tools", "tools are not supported: leave them out"));
    }
    let mut said: Vec<(String, String)> = Vec::with_capacity(messages.len());
    for (at, Message { role, content }) in messages.into_iter().enumerate() {
        let text = match content {
            Content::Text(text) => text,
            Content::Parts(parts) => {
                let texts: Option<Vec<String>> = parts.into_iter().map(|part| part.text).collect();
                let param = format!("messages[{at}].content");
                let problem = || ApiError::invalid(param.as_str(), "only text is supported as content");
                texts.ok_or_else(problem)?.concat()
            }
        };
        said.push((role, text));
    }
    if said.is_empty() {
        return Err(ApiError::invalid("messages", "no message: give at least one"));
    }
    let invalid = |error: crate::Error| ApiError::invalid("messages", error.to_string());
    let prompt = match (tokenizer.chat(), said.as_slice()) {
        (Some(chat), _) => {
            let thinking = chat_template_kwargs.enable_thinking.unwrap_or(true);
            let text = chat.conversation(&said, thinking).map_err(invalid)?;
            tokenizer.encode_as_is(&text, false).map_err(invalid)?
        }
        // Without a template there is the plain format, which holds one question.
        (None, [(role, text)]) if role == "user" => {
            let text = tokenizer.prompt(&[], text, Opening::Think).map_err(invalid)?;
            tokenizer.encode(&text).map_err(invalid)?
        }
        (None, _) => {
            let message = "this model has no chat template and takes one message of the user: use /v1/completions";
            return Err(ApiError::invalid("messages", message));
        }
    };
    if top_logprobs.is_some() && logprobs != Some(true) {
        return Err(ApiError::invalid("top_logprobs", "top_logprobs needs logprobs to be true"));
    }
    let logprobs = logprobs.unwrap_or(false).then(|| top_logprobs.unwrap_or(0));
    let max_new_tokens = common.max_completion_tokens.or(common.max_tokens);
    if max_new_tokens == Some(0) {
        return Err(ApiError::invalid("max_tokens", "max_tokens is 0: ask for at least one token"));
    }
    call(Endpoint::Chat, common, vec![prompt], max_new_tokens, false, logprobs)
}

fn call(
    endpoint: Endpoint,
    common: CommonFields,
    prompts: Vec<Vec<u32>>,
    max_new_tokens: Option<usize>,
    echo: bool,
    logprobs: Option<usize>,
) -> Result<Call, ApiError> {
    let samples = common.n.unwrap_or(1);
    if samples == 0 || samples.saturating_mul(prompts.len()) > MOST_CHOICES {
        let message = format!("{samples} completions of {} prompts: 1 to {MOST_CHOICES} together", prompts.len());
        return Err(ApiError::invalid("n", message));
    }
    if logprobs.is_some_and(|count| count > MOST_ALTERNATIVES) {
        let param = if endpoint == Endpoint::Chat { "top_logprobs" } else { "logprobs" };
        return Err(ApiError::invalid(param, format!("{param} is at most {MOST_ALTERNATIVES}")));
    }
    let stops = match common.stop {
        None => Vec::new(),
        Some(StopField::One(stop)) => vec![stop],
        Some(StopField::More(stops)) => stops,
    };
    if stops.len() > MOST_STOPS || stops.iter().any(|stop| stop.is_empty() || stop.len() > LONGEST_STOP) {
        let message = format!("stop: at most {MOST_STOPS} texts that are not empty, of {LONGEST_STOP} bytes at most");
        return Err(ApiError::invalid("stop", message));
    }
    let usual = SamplingParams::default();
    let sampling = SamplingParams {
        temperature: common.temperature.unwrap_or(usual.temperature),
        // -1 and 0 both stand for all.
        top_k: common.top_k.map_or(Ok(0), |top_k| usize::try_from(top_k.max(0))).unwrap_or(0),
        top_p: common.top_p.unwrap_or(usual.top_p),
        min_p: common.min_p.unwrap_or(usual.min_p),
        no_repeat_ngram_size: common.no_repeat_ngram_size.unwrap_or(usual.no_repeat_ngram_size),
        repetition_penalty: common.repetition_penalty.unwrap_or(usual.repetition_penalty),
        presence_penalty: common.presence_penalty.unwrap_or(usual.presence_penalty),
        frequency_penalty: common.frequency_penalty.unwrap_or(usual.frequency_penalty),
        // The token's own comes with them.
        top_logprobs: logprobs.map_or(0, |count| count.max(1)),
    };
    if let Some((name, found, allowed)) = sampling.problem() {
        return Err(ApiError::invalid(name, format!("{name} is {found}: allowed is {allowed}")));
    }
    Ok(Call {
        endpoint,
        prompts,
        samples,
        sampling,
        max_new_tokens,
        seed: common.seed.map(|seed| seed as u64),
        stops,
        ignores_ends: common.ignore_eos.unwrap_or(false),
        without_special: common.skip_special_tokens.unwrap_or(false),
        stream: common.stream.unwrap_or(false),
        counts: common.stream_options.and_then(|options| options.include_usage).unwrap_or(false),
        echo,
        logprobs,
    })
}
