//! Measures every arm on the same questions.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use rand::Rng;
use rand::seq::IndexedRandom;

use super::Start;
use super::finetune::learn_documents;
use super::train::reinforce;
use crate::evaluation::record::Said;
use crate::evaluation::{Answered, Arm, ArmResult, tally};
use crate::exchange::WorkerPool;
use crate::experiment::manifest::Manifest;
use crate::experiment::stage::Stage;
use crate::experiment::{Experiment, base};
use crate::knowledge::{Question, Set};
use crate::language::tokenizer::{ANSWER, END_THINK};
use crate::language::{Opening, Tokenizer};
use crate::random;
use crate::rollout::{Finish, Request};
use crate::telemetry::{hardware, memory};
use crate::verifier::judge;
use crate::{Error, Result, files};

/// File in an evaluation's directory that holds every answer, a JSON object a line.
pub(super) const ANSWERS: &str = "answers.jsonl";

/// Measures the baseline and the trained policy; `checkpoint` stands for the trained policy if it is given.
pub fn eval(experiment: &Experiment, checkpoint: Option<&Path>) -> Result<()> {
    let start = Start::new(experiment)?;
    // A checkpoint that cannot be read is better known before an hour of fine-tuning than after it.
    checkpoint.map(|dir| start.base.successor(dir)).transpose()?;
    let tuned = learn_documents(experiment, &start)?;
    let before = [Arm::FineTuned, Arm::ThinkingBeforeRl, Arm::InContext];
    let after = [Arm::AfterRl, Arm::SwappedTraces, Arm::DirectAfterRl, Arm::InContextAfterRl];
    let mut manifest = Manifest {
        model_parameters: start.base.policy.config.parameter_count() as u64,
        hardware: hardware::describe(),
        ..Manifest::default()
    };
    manifest.digests.insert("base and world".into(), start.digest.clone());
    manifest.add("finetune", &tuned);
    manifest.add("baseline", &examine(experiment, &start, "baseline", &before, &tuned.dir, 0, &tuned.content)?);
    let (dir, content) = match checkpoint {
        Some(dir) => (dir.to_path_buf(), base::digest(Some(dir))?),
        None => {
            let trained = reinforce(experiment, &start, &tuned)?;
            manifest.add("train", &trained);
            (trained.dir, trained.content)
        }
    };
    let steps = experiment.config.train.steps as u64;
    manifest.add("evaluation", &examine(experiment, &start, "evaluation", &after, &dir, steps, &content)?);
    manifest.peak_memory = memory::peak_resident();
    manifest.write(experiment.run.root())
}

/// Lets a policy answer in several arms and gives the stage that holds the answers.
pub(super) fn examine(
    experiment: &Experiment,
    start: &Start,
    name: &str,
    arms: &[Arm],
    policy: &Path,
    step: u64,
    content: &str,
) -> Result<Stage> {
    let inputs = (content, &start.digest, &experiment.config.evaluation, arms);
    experiment.cache.get_or_make(name, &inputs, |dir| {
        let questions: Vec<Question> =
            [Set::A, Set::B].iter().flat_map(|set| start.knowledge.questions(*set)).collect();
        write(&dir.join(ANSWERS), &ask(experiment, start, name, arms, policy, step, &questions)?)
    })
}

/// Puts questions to the policy in a directory, in several arms.
pub(super) fn ask(
    experiment: &Experiment,
    start: &Start,
    name: &str,
    arms: &[Arm],
    policy: &Path,
    step: u64,
    questions: &[Question],
) -> Result<Vec<Answered>> {
    let policy = start.base.successor(policy)?.with_precision(experiment.config.run.precision).on(&experiment.device)?;
    let workers = experiment.config.run.resolved_workers();
    let mut pool = WorkerPool::for_policy(&policy, workers, policy.config.longest_sequence())?;
    pool.publish(&policy.snapshot(step)?)?;
    let mut examiner = Examiner::new(experiment, start, &mut pool);
    let mut meter = experiment.progress.begin(&format!("answering ({name})"), "arms", 0, arms.len() as u64);
    let mut answered: Vec<Answered> = Vec::new();
    for (done, arm) in arms.iter().enumerate() {
        let new = match arm {
            Arm::SwappedTraces => examiner.swapped(step, questions, &answered)?,
            arm => examiner.answer(*arm, step, questions, experiment.config.evaluation.samples)?,
        };
        answered.extend(new);
        meter.set(done as u64 + 1);
        experiment.interrupt.check("what is finished is kept; the same command goes on from there")?;
    }
    Ok(answered)
}

/// An evaluation during training: thinking, on a fixed sample of the questions.
pub(super) fn on_the_way(examiner: &mut Examiner, step: u64) -> Result<Vec<ArmResult>> {
    let limit = examiner.experiment.config.evaluation.questions_during_training;
    let forms = &examiner.experiment.config.train.forms;
    let mut questions = Vec::new();
    for set in [Set::A, Set::B] {
        let all = examiner.start.knowledge.questions(set);
        for form in forms {
            let of_form: Vec<&Question> = all.iter().filter(|question| question.form == *form).collect();
            let mut random = random::stream(examiner.experiment.config.evaluation.seed, &[set as u64, *form as u64]);
            let count = if limit == 0 { of_form.len() } else { limit };
            questions.extend(of_form.choose_multiple(&mut random, count).map(|question| (*question).clone()));
        }
    }
    let arm = if step == 0 { Arm::ThinkingBeforeRl } else { Arm::AfterRl };
    Ok(tally(&examiner.answer(arm, step, &questions, 1)?))
}

/// Puts questions to the policy that a pool holds.
pub(super) struct Examiner<'a> {
    experiment: &'a Experiment,
    start: &'a Start,
    pool: &'a mut WorkerPool,
}

impl<'a> Examiner<'a> {
    pub fn new(experiment: &'a Experiment, start: &'a Start, pool: &'a mut WorkerPool) -> Self {
        Self { experiment, start, pool }
    }

    /// `samples` answers to every question in one arm.
    pub fn answer(&mut self, arm: Arm, step: u64, questions: &[Question], samples: usize) -> Result<Vec<Answered>> {
        let tokenizer = &self.start.base.tokenizer;
        let prompts: Vec<(String, Opening)> =
            questions.iter().map(|question| asked(tokenizer, arm, question)).collect::<Result<_>>()?;
        self.put(arm, step, questions, &prompts, samples)
    }

    /// Each question answered from the trace of another question of its form and set: if answers come from what was
    /// recited, these are no better than chance.
    pub fn swapped(&mut self, step: u64, questions: &[Question], answered: &[Answered]) -> Result<Vec<Answered>> {
        let of = |question: &Question| {
            answered.iter().find(|a| a.arm == Arm::AfterRl && a.sample == 0 && a.question == question.id)
        };
        let mut prompts = Vec::with_capacity(questions.len());
        for question in questions {
            let trace = of(partner(questions, question, self.experiment.config.evaluation.seed))
                .map_or("", |a| a.completion.split(END_THINK).next().unwrap_or("").trim());
            let opened = self.start.base.tokenizer.prompt(&[], &question.text, Opening::Think)?;
            prompts.push((format!("{opened} {trace} {END_THINK} {ANSWER}"), Opening::Answer));
        }
        self.put(Arm::SwappedTraces, step, questions, &prompts, 1)
    }

    fn put(
        &mut self,
        arm: Arm,
        step: u64,
        questions: &[Question],
        prompts: &[(String, Opening)],
        samples: usize,
    ) -> Result<Vec<Answered>> {
        let (config, tokenizer) = (&self.experiment.config.evaluation, &self.start.base.tokenizer);
        let mut requests = Vec::with_capacity(prompts.len());
        for (question, (text, opening)) in questions.iter().zip(prompts) {
            requests.push(Request {
                prompt: tokenizer.encode(text)?,
                samples,
                // An answer without a trace is the likeliest one; a trace is sampled as in training.
                temperature: if *opening == Opening::Think { config.temperature as f32 } else { 0.0 },
                max_new_tokens: config.max_new_tokens,
                stop: tokenizer.ends().to_vec(),
                seed: config.seed,
                key: [arm as u64, question.id],
            });
        }
        let mut answered = Vec::with_capacity(questions.len() * samples);
        for completion in self.pool.generate(requests)? {
            let (question, (prompt, opening)) = (&questions[completion.request], &prompts[completion.request]);
            let text = tokenizer.decode(&completion.tokens)?;
            let judgement = judge(&self.start.knowledge, question, *opening, &text, completion.finish == Finish::Stop);
            let said = Said {
                sample: completion.sample,
                prompt: prompt.clone(),
                completion: text,
                judgement,
                tokens: completion.tokens.len(),
            };
            answered.push(Answered::new(arm, step, question, said));
        }
        Ok(answered)
    }
}

/// The question whose trace a question is answered from in [`Arm::SwappedTraces`]: of the same form and set, and a
/// quarter to three quarters of them away, so that it is about another group or square: a trace about the same group may
/// well recite the answer. How far is drawn by `seed`: squares come in rows, and at a fixed distance the answers of two
/// questions would go together.
fn partner<'q>(questions: &'q [Question], question: &'q Question, seed: u64) -> &'q Question {
    let peers: Vec<&Question> = questions.iter().filter(|q| (q.form, q.set) == (question.form, question.set)).collect();
    let at = peers.iter().position(|peer| peer.id == question.id).unwrap_or(0);
    let away = random::stream(seed, &[question.id]).random_range(peers.len() / 4..=peers.len() * 3 / 4);
    peers.get((at + away) % peers.len().max(1)).copied().unwrap_or(question)
}

/// What an arm is given.
fn asked(tokenizer: &Tokenizer, arm: Arm, question: &Question) -> Result<(String, Opening)> {
    let (context, opening) = match arm {
        Arm::FineTuned | Arm::DirectAfterRl => (&[][..], Opening::Answer),
        Arm::InContext | Arm::InContextAfterRl => (&question.context[..], Opening::Answer),
        Arm::ThinkingBeforeRl | Arm::AfterRl | Arm::SwappedTraces => (&[][..], Opening::Think),
    };
    Ok((tokenizer.prompt(context, &question.text, opening)?, opening))
}

/// Reads what [`write`] wrote.
pub(super) fn read(path: &Path) -> Result<Vec<Answered>> {
    let text = files::read_text(path)?;
    let one = |(number, line): (usize, &str)| {
        let place = format!("{}:{}", path.display(), number + 1);
        serde_json::from_str(line).map_err(|error| Error::invalid(place, error.to_string(), "evaluate the run again"))
    };
    text.lines().enumerate().map(one).collect()
}

pub(super) fn write(path: &Path, answered: &[Answered]) -> Result<()> {
    let mut file = BufWriter::new(File::create(path).map_err(Error::io(path, "write"))?);
    for one in answered {
        serde_json::to_writer(&mut file, one).map_err(|error| {
            Error::invalid(path.display().to_string(), error.to_string(), "an answer cannot be written")
        })?;
        file.write_all(b"\n").map_err(Error::io(path, "write"))?;
    }
    file.flush().map_err(Error::io(path, "write"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::config::KnownSection;
    use crate::knowledge::{Form, SetSize, World, WorldConfig};
    use crate::verifier::Facts;

    #[test]
    fn a_swapped_trace_is_about_nothing_that_the_question_is_about() {
        let a = SetSize { facts: 75, chains: 44, ..SetSize::default() };
        let world = World::new(&KnownSection::default().known(), &WorldConfig { a, ..WorldConfig::default() }).unwrap();
        let questions: Vec<Question> = [Set::A, Set::B].iter().flat_map(|set| world.questions(*set)).collect();
        let mut same_answer = 0;
        for question in &questions {
            let other = partner(&questions, question, 3);
            assert_eq!((other.form, other.set), (question.form, question.set));
            // Contexts hold the whole group of a fact, and the premises of a chain.
            let about = |q: &Question| -> Vec<_> { q.context.iter().filter_map(|s| world.read(s)).collect() };
            let (here, there) = (about(question), about(other));
            assert!(question.needed.iter().all(|claim| here.contains(claim)), "{question:?}");
            if question.form != Form::Entailment {
                assert!(!here.iter().any(|claim| there.contains(claim)), "{question:?} {other:?}");
            }
            assert!(!question.needed.iter().any(|claim| other.needed.contains(claim)), "{question:?} {other:?}");
            same_answer += usize::from(question.form == Form::Entailment && question.answer == other.answer);
        }
        // A quarter, a quarter and a half of 152 answers agree by chance in 57 cases; three deviations are 18.
        assert!((39..=75).contains(&same_answer), "{same_answer}");
    }
}
