//! Looks at a checkpoint before anybody spends time on it: whether its weights mean here what they mean elsewhere, whether
//! its texts come back as they went in, what training it takes of memory and time, and what will not work.

mod peer;
mod speed;

use candle_core::Device;

use crate::Result;
use crate::base::{Base, Place};
use crate::config::footprint::Footprint;
use crate::exchange::on_cores;
use crate::language::tokenizer::END_THINK;
use crate::language::{Opening, Tokenizer};
use crate::policy::{LoraConfig, ModelConfig, PackedBatch, Policy};
use crate::rollout::{Engine, Request, SamplingParams};
use crate::telemetry::Progress;
use crate::telemetry::machine::{self, Room};

pub use peer::{Peer, lacks};
pub use speed::{Speed, measure};

/// Logits of two implementations in f32 differ by less, as a share of their range.
const TOLERANCE: f32 = 1e-3;
/// Log-probabilities of sampler and learner differ by less, in nats.
const MISMATCH: f32 = 1e-3;
/// Texts that a tokenizer of real text gives back as they were.
const TEXTS: [&str; 3] = [
    "The Peace of Westphalia ended the Thirty Years' War in 1648.",
    "Two  spaces, a tab\tand\na new line.",
    "naïve café, Größe, 你好, мир, 🙂",
];
/// A question that prompts are shown with.
const QUESTION: &str = "Who wrote the novel Middlemarch?";
/// Tokens of the longest prompt that logits are compared on.
const COMPARED: usize = 48;
/// Tokens that sampler and learner are compared on.
const SAMPLED: usize = 16;
/// Micro-batches of a step in which memory is worked out: more than any machine has workers for take no more.
const MICRO_BATCHES: usize = 8;

/// What came of one look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Good,
    /// It works, and something will not.
    Limited,
    /// Nobody should train this.
    Wrong,
}

/// One thing that was looked at.
#[derive(Clone, Debug)]
pub struct Finding {
    /// "weights", "tokenizer", …
    pub what: &'static str,
    pub verdict: Severity,
    /// In plain words, with the numbers.
    pub words: String,
}

/// What training takes, and what there is.
#[derive(Clone, Copy, Debug)]
pub struct TrainingMemory {
    pub full: Footprint,
    /// With the adapters that `[lora]` makes unless told otherwise.
    pub adapters: Footprint,
    /// None where the system does not tell.
    pub room: Option<Room>,
}

impl TrainingMemory {
    /// Whether something of this size fits, as far as is known.
    pub fn fits(&self, footprint: &Footprint) -> bool {
        self.room.is_none_or(|room| footprint.total() <= u128::from(room.left))
    }
}

/// All that was found out of a checkpoint.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    pub model: ModelConfig,
    pub findings: Vec<Finding>,
    /// The prompt of a question, as the policy will see it, where its words can be encoded.
    pub prompt: Option<String>,
    pub memory: TrainingMemory,
    pub speed: Option<Speed>,
    pub workers: usize,
}

impl Diagnosis {
    /// Whether anything is wrong.
    pub fn is_good(&self) -> bool {
        self.findings.iter().all(|finding| finding.verdict != Severity::Wrong)
    }
}

/// Looks at a checkpoint, and measures its speed on a device with so many workers (0: one for each core) unless only a
/// quick look is wanted.
///
/// # Errors
///
/// A directory that cannot be read as a checkpoint at all, with what is wrong in it.
pub fn examine(
    place: Place,
    device: &Device,
    workers: usize,
    quick: bool,
    progress: &dyn Progress,
) -> Result<Diagnosis> {
    let looks = if quick { 3 } else { 6 };
    let mut meter = progress.begin("doctor", "looks", 0, looks);
    let mut done = 0;
    let mut begin = |what: &str| {
        meter.set(done);
        meter.note(what);
        done += 1;
    };
    begin("weights");
    let Base { policy, tokenizer, .. } = Base::load(place)?;
    let model = policy.config.as_ref().clone();
    let workers = on_cores((workers > 0).then_some(workers));
    let numbers = model.parameter_count() as f64 / 1e6;
    let weights = format!("all there, of the shapes that the config says, and finite: {numbers:.1} million parameters");
    let mut findings = vec![Finding { what: "weights", verdict: Severity::Good, words: weights }];
    begin("tokenizer");
    let prompt = prompt(&tokenizer);
    findings.extend(of_tokenizer(&tokenizer, &prompt));
    let prompt = prompt.ok();
    begin("logits");
    let tokens = compared_tokens(&tokenizer, prompt.as_deref(), &model)?;
    findings.push(of_logits(&policy, &tokens)?);
    findings.push(of_sampler(&policy, &tokens)?);
    let footprint = |lora: Option<&LoraConfig>| Footprint::estimate(&model, lora, MICRO_BATCHES, workers);
    let memory = TrainingMemory {
        full: footprint(None),
        adapters: footprint(Some(&LoraConfig::default())),
        room: machine::room(),
    };
    let speed = if quick || !memory.fits(&memory.adapters) {
        None
    } else {
        Some(measure(&policy, device, workers, memory.fits(&memory.full), &mut begin)?)
    };
    meter.set(looks);
    Ok(Diagnosis { model, findings, prompt, memory, speed, workers })
}

/// A question as the policy will see it, if its words can be encoded.
fn prompt(tokenizer: &Tokenizer) -> Result<String> {
    let text = tokenizer.prompt(&[], QUESTION, Opening::Think)?;
    tokenizer.encode(&text)?;
    Ok(text)
}

fn of_tokenizer(tokenizer: &Tokenizer, prompt: &Result<String>) -> Vec<Finding> {
    let good = |what, words: String| Finding { what, verdict: Severity::Good, words };
    let limited = |what, words: String| Finding { what, verdict: Severity::Limited, words };
    let mut findings = Vec::new();
    let changed = TEXTS.iter().find_map(|text| {
        let back = tokenizer.encode(text).and_then(|ids| tokenizer.decode(&ids));
        (back.as_deref().ok() != Some(*text)).then_some((*text, back))
    });
    findings.push(match changed {
        None => good("tokenizer", format!("{} tokens; texts come back as they went in", tokenizer.size())),
        Some((text, Ok(back))) => {
            limited("tokenizer", format!("{} tokens; {text:?} comes back as {back:?}", tokenizer.size()))
        }
        Some((_, Err(_))) => {
            let words = "tokens, all of them whole words: it reads texts of its own words only";
            limited("tokenizer", format!("{} {words}", tokenizer.size()))
        }
    });
    let ends: Vec<String> =
        tokenizer.ends().iter().map(|id| tokenizer.decode(&[*id]).unwrap_or_else(|_| id.to_string())).collect();
    findings.push(good("end tokens", format!("{:?}, {}", tokenizer.ends(), ends.join(" ").trim())));
    findings.push(match (tokenizer.chat(), prompt) {
        (Some(_), Ok(text)) => {
            let again = tokenizer.encode(text).and_then(|ids| Ok((tokenizer.encode(&tokenizer.decode(&ids)?)?, ids)));
            match again {
                Ok((again, ids)) if again == ids => {
                    good("chat template", format!("renders; a question is {} tokens", ids.len()))
                }
                _ => limited("chat template", "renders, and its text comes back as other tokens".into()),
            }
        }
        (Some(_), Err(error)) => Finding { what: "chat template", verdict: Severity::Wrong, words: error.to_string() },
        (None, _) => good("chat template", "none: questions stand in recollect's plain format".into()),
    });
    findings.push(match tokenizer.end_think() {
        Some(id) => good("thoughts", format!("{END_THINK} is one token ({id})")),
        None => good("thoughts", format!("{END_THINK} is spelt in several tokens, and found in the text")),
    });
    findings
}

/// What logits are compared on: a prompt, or where its words are not the tokenizer's, tokens from all over the vocabulary.
fn compared_tokens(tokenizer: &Tokenizer, prompt: Option<&str>, model: &ModelConfig) -> Result<Vec<u32>> {
    let longest = COMPARED.min(model.longest_sequence().saturating_sub(SAMPLED)).max(1);
    let mut tokens = match prompt {
        Some(text) => tokenizer.encode(text)?,
        None => (0..longest).map(|i| (i * model.vocab_size / longest) as u32).collect(),
    };
    tokens.truncate(longest);
    Ok(tokens)
}

/// Our logits against those of candle-transformers, after a quarter, a half and all of the tokens.
fn of_logits(policy: &Policy, tokens: &[u32]) -> Result<Finding> {
    const WHAT: &str = "logits";
    if let Some(missing) = lacks(&policy.config) {
        let words = format!("not compared: candle-transformers' model of this family has no {missing}");
        return Ok(Finding { what: WHAT, verdict: Severity::Limited, words });
    }
    let mut peer = Peer::new(policy)?;
    let ours = policy.logits(tokens, &[tokens.len()].into_iter().collect())?.to_vec2::<f32>()?;
    let (mut apart, mut range, mut alike) = (0f32, 0f32, true);
    for length in [tokens.len().div_ceil(4), tokens.len().div_ceil(2), tokens.len()] {
        let (theirs, ours) = (peer.logits(&tokens[..length])?, &ours[length - 1]);
        let best = |logits: &[f32]| logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(at, _)| at);
        let largest = |logits: &[f32]| logits.iter().fold(0f32, |most, logit| most.max(logit.abs()));
        range = range.max(largest(&theirs));
        apart = ours.iter().zip(&theirs).fold(apart, |most, (ours, theirs)| most.max((ours - theirs).abs()));
        alike &= best(ours) == best(&theirs);
    }
    let close = apart <= TOLERANCE * range.max(1.0);
    let verdict = if close { Severity::Good } else { Severity::Wrong };
    let next = if alike { "the likeliest next token is the same" } else { "the likeliest next token differs" };
    let words = format!(
        "at most {apart:.1e} from those of candle-transformers, of up to {range:.1}, on {} tokens; {next}",
        tokens.len()
    );
    Ok(Finding { what: WHAT, verdict, words })
}

/// The sampler's log-probabilities against the learner's, which the gradient takes for the same.
fn of_sampler(policy: &Policy, tokens: &[u32]) -> Result<Finding> {
    let sampled = SAMPLED.min(policy.config.longest_sequence().saturating_sub(tokens.len()));
    if sampled == 0 {
        let words = format!("not compared: a model of {} positions has no room for it", tokens.len());
        return Ok(Finding { what: "sampler", verdict: Severity::Limited, words });
    }
    let mut engine = Engine::new(&policy.config, 1, tokens.len() + sampled)?;
    engine.load(&policy.snapshot(0)?)?;
    let request = Request {
        prompt: tokens.to_vec(),
        samples: 1,
        sampling: SamplingParams::at(1.0),
        max_new_tokens: sampled,
        stop: Vec::new(),
        seed: 0,
        key: [0, 0],
    };
    let mut apart = 0f32;
    for completion in engine.generate(&[request])? {
        let mut batch = PackedBatch::default();
        let ones = vec![1.0; completion.tokens.len()];
        batch.push_group(tokens, [(completion.tokens.as_slice(), ones.as_slice())])?;
        let learned = policy.score(&batch)?.log_prob.to_vec1::<f32>()?;
        apart = learned.iter().zip(&completion.log_probs).fold(apart, |most, (a, b)| most.max((a - b).abs()));
    }
    let verdict = if apart <= MISMATCH { Severity::Good } else { Severity::Wrong };
    let words = format!("log-probabilities of sampled tokens are the learner's to {apart:.1e} nats");
    Ok(Finding { what: "sampler", verdict, words })
}
