//! Puts questions to a policy, arm by arm, and keeps what it answers.

use std::collections::BTreeMap;
use std::time::Instant;

use rand::seq::IndexedRandom;
use serde::Serialize;

use super::prompts::{Prompt, PromptBuilder, cloze, completed, restored};
use crate::base::Saved;
use crate::evaluation::record::AnswerText;
use crate::evaluation::{Answered, Arm, ArmResult, PromptMode, tally};
use crate::exchange::{CompletionListener, WorkerPool};
use crate::experiment::Experiment;
use crate::experiment::start::Start;
use crate::knowledge::{Question, Set};
use crate::language::Opening;
use crate::policy::Policy;
use crate::rollout::{Completion, Finish, Request};
use crate::store::stage::Stage;
use crate::verifier::judge;
use crate::{Result, files, random};

/// File in an evaluation's directory that holds every answer, a JSON object a line.
pub(crate) const ANSWERS: &str = "answers.jsonl";
/// File that holds how many seconds each arm took.
const SECONDS: &str = "seconds.json";

/// Tokens of a thought between two searches in [`PromptMode::RetrievedWhileThinking`]: two sentences or so.
const STRETCH: usize = 16;

/// A policy to be examined.
#[derive(Clone, Copy)]
pub(crate) struct Examined<'a> {
    /// What training from the base has saved; otherwise it is the base itself.
    saved: Option<Saved<'a>>,
    /// Identifies it.
    pub content: &'a str,
    /// Steps of reinforcement learning behind it.
    pub step: u64,
}

impl<'a> Examined<'a> {
    /// What a stage has made of the base, after so many steps of reinforcement learning.
    pub fn new(stage: &'a Stage, step: u64) -> Self {
        Self { saved: Some(Saved::within(&stage.dir)), content: &stage.content, step }
    }

    /// The base itself, with its digest: whatever comes from elsewhere.
    pub fn base(content: &'a str, step: u64) -> Self {
        Self { saved: None, content, step }
    }

    /// The policy, from the base that it starts from.
    pub fn policy(&self, start: &Start) -> Result<Policy> {
        match self.saved {
            Some(saved) => start.base.successor(saved),
            None => Ok(start.base.policy.clone()),
        }
    }
}

/// Starts what samples from a policy.
pub(crate) type OpenPool<'a> = &'a dyn Fn(&Experiment, &Start, Examined) -> Result<WorkerPool>;

/// Workers that sample from the policy itself.
pub(crate) fn workers(experiment: &Experiment, start: &Start, policy: Examined) -> Result<WorkerPool> {
    workers_of(experiment, policy.policy(start)?, policy.step)
}

/// The same of a policy that is loaded.
pub(crate) fn workers_of(experiment: &Experiment, policy: Policy, step: u64) -> Result<WorkerPool> {
    let policy = policy.with_precision(experiment.config.run.precision).on(&experiment.device)?;
    let mut pool = experiment.pool(&policy)?;
    pool.publish(&policy.snapshot(step)?)?;
    Ok(pool)
}

/// A policy that answers, opened when it is first asked something that is not known yet, and once for all arms.
pub(crate) struct Respondent<'a> {
    pub experiment: &'a Experiment,
    pub start: &'a Start,
    pub policy: Examined<'a>,
    open_pool: OpenPool<'a>,
    pool: Option<WorkerPool>,
}

impl<'a> Respondent<'a> {
    pub fn new(experiment: &'a Experiment, start: &'a Start, policy: Examined<'a>, open_pool: OpenPool<'a>) -> Self {
        Self { experiment, start, policy, open_pool, pool: None }
    }

    /// Lets it answer in several arms and gives the stage that holds the answers. Those that answer from thoughts find them
    /// in arms before them and in `earlier`, the stage of others.
    pub fn examine(
        &mut self,
        stage: &str,
        inputs: &impl Serialize,
        name: &str,
        arms: &[Arm],
        earlier: Option<&Stage>,
    ) -> Result<Stage> {
        let (experiment, start, policy) = (self.experiment, self.start, self.policy);
        experiment.cache.get_or_make(stage, inputs, |dir| {
            let earlier = earlier.map_or(Ok(Vec::new()), read)?;
            let pool = match &mut self.pool {
                Some(pool) => pool,
                none => none.insert((self.open_pool)(experiment, start, policy)?),
            };
            let mut examiner = Examiner::new(experiment, start, pool);
            let (answered, seconds) = examiner.ask(name, arms, policy.step, &everything(start), &earlier)?;
            files::write_jsonl(&dir.join(ANSWERS), &answered)?;
            files::write_json(&dir.join(SECONDS), &seconds)
        })
    }
}

/// Every question that an evaluation asks.
pub(crate) fn everything(start: &Start) -> Vec<Question> {
    [Set::A, Set::B].iter().flat_map(|set| start.knowledge.questions(*set)).collect()
}

/// Wall-clock seconds by arm.
pub(crate) type Seconds = BTreeMap<Arm, f64>;

/// Puts questions to the policy in a directory, in several arms.
pub(crate) fn ask(
    experiment: &Experiment,
    start: &Start,
    name: &str,
    arms: &[Arm],
    policy: Examined,
    questions: &[Question],
) -> Result<Vec<Answered>> {
    let mut pool = workers(experiment, start, policy)?;
    let mut examiner = Examiner::new(experiment, start, &mut pool);
    examiner.ask(name, arms, policy.step, questions, &[]).map(|(answered, _)| answered)
}

/// An evaluation during training: thinking, on a fixed sample of the questions.
pub(crate) fn on_the_way(examiner: &mut Examiner, step: u64) -> Result<Vec<ArmResult>> {
    let limit = examiner.experiment.config.evaluation.questions_during_training;
    let forms = &examiner.experiment.config.train.forms;
    let mut questions = Vec::new();
    for set in [Set::A, Set::B] {
        for form in forms {
            let of_form = examiner.start.knowledge.questions_in(set, form);
            let mut random = random::stream(examiner.experiment.config.evaluation.seed, &[set as u64, form.number]);
            let count = limit.unwrap_or(of_form.len());
            questions.extend(of_form.choose_multiple(&mut random, count).cloned());
        }
    }
    let arm = if step == 0 { Arm::ThinkingBeforeRl } else { Arm::AfterRl };
    Ok(tally(&examiner.answer(arm, step, &questions, &[], 1)?))
}

/// Puts questions to the policy that a pool holds.
pub(crate) struct Examiner<'a> {
    experiment: &'a Experiment,
    start: &'a Start,
    prompts: PromptBuilder<'a>,
    pool: &'a mut WorkerPool,
    /// Who is told of completions of other orders that end meanwhile.
    heard: Option<&'a mut CompletionListener<'a>>,
}

impl<'a> Examiner<'a> {
    pub fn new(experiment: &'a Experiment, start: &'a Start, pool: &'a mut WorkerPool) -> Self {
        Self { experiment, start, prompts: PromptBuilder::new(experiment, start), pool, heard: None }
    }

    /// The same for a pool that works ahead, and who is told of what comes of that.
    pub fn telling(self, heard: &'a mut CompletionListener<'a>) -> Self {
        Self { heard: Some(heard), ..self }
    }

    fn generate(&mut self, requests: Vec<Request>) -> Result<Vec<Completion>> {
        let completions = match &mut self.heard {
            Some(heard) => self.pool.generate_with(requests, heard)?,
            None => self.pool.generate(requests)?,
        };
        let tokenizer = &self.start.base.tokenizer;
        let stopped = |completion: Completion| match tokenizer.stopped(&completion.tokens)? {
            Some(tokens) => Ok(completion.stopped_after(tokens)),
            None => Ok(completion),
        };
        completions.into_iter().map(stopped).collect()
    }

    /// Puts questions in several arms; those that answer from thoughts find them in `earlier` and in arms before them.
    pub fn ask(
        &mut self,
        name: &str,
        arms: &[Arm],
        step: u64,
        questions: &[Question],
        earlier: &[Answered],
    ) -> Result<(Vec<Answered>, Seconds)> {
        let mut meter = self.experiment.progress.begin(&format!("answering ({name})"), "arms", 0, arms.len() as u64);
        let (mut answered, mut seconds) = (earlier.to_vec(), Seconds::new());
        for (done, arm) in arms.iter().enumerate() {
            let began = Instant::now();
            let new = self.answer(*arm, step, questions, &answered, self.experiment.config.evaluation.samples)?;
            answered.extend(new);
            seconds.insert(*arm, began.elapsed().as_secs_f64());
            meter.set(done as u64 + 1);
            self.experiment.interrupt.check("what is finished is kept; the same command goes on from there")?;
        }
        Ok((answered.split_off(earlier.len()), seconds))
    }

    /// `samples` answers to every question in one arm, or one where that arm answers from a single thought.
    pub fn answer(
        &mut self,
        arm: Arm,
        step: u64,
        questions: &[Question],
        answered: &[Answered],
        samples: usize,
    ) -> Result<Vec<Answered>> {
        let prompts = self.prompts.prompts(arm, questions, answered)?;
        match arm.way() {
            PromptMode::RetrievedWhileThinking => self.search_while_thinking(arm, step, questions, prompts, samples),
            PromptMode::Swapped | PromptMode::Filler(_) | PromptMode::Forward => {
                self.put(arm, step, questions, &prompts, 1)
            }
            _ => self.put(arm, step, questions, &prompts, samples),
        }
    }

    fn put(
        &mut self,
        arm: Arm,
        step: u64,
        questions: &[Question],
        prompts: &[Prompt],
        samples: usize,
    ) -> Result<Vec<Answered>> {
        let (config, tokenizer) = (&self.experiment.config.evaluation, &self.start.base.tokenizer);
        let mut requests = Vec::with_capacity(prompts.len());
        // Who restores a sentence is done at its end.
        let full_stop = tokenizer.id(".").filter(|_| arm.way() == PromptMode::Restore);
        let stop: Vec<u32> = tokenizer.ends().iter().copied().chain(full_stop).collect();
        for (question, (text, opening)) in questions.iter().zip(prompts) {
            // Nobody waits for what comes after the sentence.
            let enough = match cloze(&self.start.knowledge, question).filter(|_| arm.way() == PromptMode::Forward) {
                Some(cloze) => 2 * tokenizer.encode(&cloze.rest)?.len() + 2,
                None => config.max_new_tokens,
            };
            requests.push(Request {
                prompt: tokenizer.encode(text)?,
                samples,
                // A single answer without a trace is the likeliest one; a trace is sampled as in training.
                sampling: config.sampling(*opening == Opening::Think || samples > 1),
                max_new_tokens: enough.min(config.max_new_tokens),
                stop: stop.clone(),
                seed: config.seed,
                key: [arm as u64, question.id],
            });
        }
        let lengths: Vec<usize> = requests.iter().map(|request| request.prompt.len()).collect();
        let mut answered = Vec::with_capacity(questions.len() * samples);
        for completion in self.generate(requests)? {
            let prompt = &prompts[completion.request];
            let output = PolicyOutput {
                sample: completion.sample,
                ended: completion.finish == Finish::Stop,
                read: lengths[completion.request],
                tokens: completion.tokens,
            };
            answered.push(self.judged(arm, step, &questions[completion.request], prompt, output)?);
        }
        Ok(answered)
    }

    /// Thinks in stretches. After each, passages are looked for anew, and the thought goes on behind those.
    fn search_while_thinking(
        &mut self,
        arm: Arm,
        step: u64,
        questions: &[Question],
        prompts: Vec<Prompt>,
        samples: usize,
    ) -> Result<Vec<Answered>> {
        let (config, tokenizer) = (&self.experiment.config.evaluation, &self.start.base.tokenizer);
        let mut thoughts: Vec<OpenThought> = Vec::with_capacity(questions.len() * samples);
        for (question, prompt) in questions.iter().zip(prompts) {
            let output = |sample| PolicyOutput { sample, ended: false, read: 0, tokens: Vec::new() };
            thoughts.extend((0..samples).map(|sample| OpenThought {
                question,
                prompt: prompt.clone(),
                output: output(sample),
            }));
        }
        for stretch in 0.. {
            let open =
                |thought: &OpenThought| !thought.output.ended && thought.output.tokens.len() < config.max_new_tokens;
            let going: Vec<usize> = (0..thoughts.len()).filter(|at| open(&thoughts[*at])).collect();
            if going.is_empty() {
                break;
            }
            let mut requests = Vec::with_capacity(going.len());
            for at in &going {
                let OpenThought { question, prompt, output } = &mut thoughts[*at];
                let newest = &output.tokens[output.tokens.len().saturating_sub(STRETCH)..];
                if !newest.is_empty() {
                    let found = self.prompts.found(question, &tokenizer.decode(newest)?, Opening::Think)?;
                    prompt.0 = tokenizer.prompt(&found, &question.text, Opening::Think)?;
                }
                let behind = tokenizer.encode(&prompt.0)?;
                let prompt: Vec<u32> = behind.iter().chain(&output.tokens).copied().collect();
                output.read += prompt.len();
                requests.push(Request {
                    prompt,
                    samples: 1,
                    sampling: config.sampling(true),
                    max_new_tokens: STRETCH.min(config.max_new_tokens - output.tokens.len()),
                    stop: tokenizer.ends().to_vec(),
                    seed: random::mix(config.seed ^ ((stretch as u64) << 32 | output.sample as u64)),
                    key: [arm as u64, question.id],
                });
            }
            for completion in self.generate(requests)? {
                let output = &mut thoughts[going[completion.request]].output;
                output.tokens.extend(completion.tokens);
                output.ended = completion.finish == Finish::Stop;
                // One that ends a completion may have begun in the stretch before.
                if let Some(tokens) = tokenizer.stopped(&output.tokens)? {
                    output.tokens.truncate(tokens);
                    output.ended = true;
                }
            }
        }
        let judged =
            |OpenThought { question, prompt, output }: OpenThought| self.judged(arm, step, question, &prompt, output);
        thoughts.into_iter().map(judged).collect()
    }

    fn judged(
        &self,
        arm: Arm,
        step: u64,
        question: &Question,
        (prompt, opening): &Prompt,
        output: PolicyOutput,
    ) -> Result<Answered> {
        let completion = self.start.base.tokenizer.written(&output.tokens)?;
        let knowledge = &self.start.knowledge;
        let judgement = match arm.way() {
            PromptMode::Restore => {
                judge(knowledge, question, *opening, &restored(knowledge, question, &completion), output.ended)
            }
            PromptMode::Forward => completed(knowledge, question, &completion),
            _ => judge(knowledge, question, *opening, &completion, output.ended),
        };
        let said = AnswerText {
            sample: output.sample,
            prompt: prompt.clone(),
            completion,
            judgement,
            tokens: output.tokens.len(),
            prompt_tokens: output.read,
        };
        Ok(Answered::new(arm, step, question, said))
    }
}

/// What a policy wrote.
struct PolicyOutput {
    sample: usize,
    /// By the stop token.
    ended: bool,
    /// Tokens that were read for it.
    read: usize,
    tokens: Vec<u32>,
}

/// One that is still being written.
struct OpenThought<'q> {
    question: &'q Question,
    prompt: Prompt,
    output: PolicyOutput,
}

/// The answers of a stage: of a finished one, so that what was written there is what is read.
pub(crate) fn read(stage: &Stage) -> Result<Vec<Answered>> {
    files::read_jsonl(&stage.dir.join(ANSWERS), "an answer", "evaluate the run again")
}

/// How long each arm of an evaluation took; nothing, where that was not noted.
pub(crate) fn read_seconds(stage: &Stage) -> Result<Seconds> {
    let noted = files::read_json_if_there(&stage.dir.join(SECONDS), "evaluate the run again")?;
    Ok(noted.unwrap_or_default())
}
