//! What a sweep compares runs by: the held-out questions of A; and, of the run that it chose, those of B.

use crate::evaluate::examiner::{ANSWERS, Examined, ask, read};
use crate::evaluation::{Answered, Arm, Cost};
use crate::experiment::Experiment;
use crate::experiment::finetune::{self, learn_documents};
use crate::experiment::start::Start;
use crate::knowledge::jsonl::task::is_of;
use crate::knowledge::{Division, Form, Question, Set};
use crate::rl::train::{self, TRAIN, read_curves, reinforce};
use crate::store::stage::Stage;
use crate::{Error, Result, files};

/// Name of the stage that holds a run's answers to held-out questions.
const JUDGING: &str = "held-out";

/// A trained run, and how it answered what it was not trained on.
pub struct Judged {
    pub answers: Vec<Answered>,
    pub cost: Cost,
    pub tuned: Stage,
    pub trained: Stage,
}

/// Fine-tunes, trains, and puts the held-out questions of these forms to the result, thinking first. Nothing is asked
/// about B. What is finished is not made again.
pub fn judge(experiment: &Experiment, forms: &[Form]) -> Result<Judged> {
    let start = Start::new(experiment)?;
    let (division, questions) = held_out(experiment, &start, forms)?;
    let tuned = learn_documents(experiment, &start)?;
    let trained = reinforce(experiment, &start, &tuned)?;
    let inputs = (&trained.content, &start.digest, experiment.config.evaluation.asking(), ids(&questions));
    let answers = experiment.cache.get_or_make(JUDGING, &inputs, |dir| {
        let step = experiment.config.train.steps as u64;
        let policy = Examined::new(&trained, step);
        let answered = ask(experiment, &start, JUDGING, &[Arm::AfterRl], policy, &questions)?;
        files::write_jsonl(&dir.join(ANSWERS), &answered)
    })?;
    judged(experiment, &division, tuned, trained, &answers)
}

/// The same if all of it was made before.
pub fn find_judged(experiment: &Experiment, forms: &[Form]) -> Result<Option<Judged>> {
    let start = Start::new(experiment)?;
    let cache = &experiment.cache;
    let Some(tuned) = finetune::find(experiment, &start)? else { return Ok(None) };
    let Some(trained) = cache.find(TRAIN, &train::inputs(experiment, &start, &tuned)?)? else { return Ok(None) };
    let (division, questions) = held_out(experiment, &start, forms)?;
    let inputs = (&trained.content, &start.digest, experiment.config.evaluation.asking(), ids(&questions));
    let answers = cache.find(JUDGING, &inputs)?;
    answers.map(|answers| judged(experiment, &division, tuned, trained, &answers)).transpose()
}

/// Answers to the questions about B of these forms: of the fine-tuned baseline, at once, and of the trained run, thinking
/// first. For the one run that was chosen, after it was chosen.
pub fn answers_on_b(experiment: &Experiment, forms: &[Form]) -> Result<Vec<Answered>> {
    let start = Start::new(experiment)?;
    let questions: Vec<Question> = start
        .knowledge
        .questions(Set::B)
        .into_iter()
        .filter(|question| forms.iter().any(|form| is_of(question, form)))
        .collect();
    let tuned = learn_documents(experiment, &start)?;
    let trained = reinforce(experiment, &start, &tuned)?;
    let steps = experiment.config.train.steps as u64;
    let answers = |name: &str, arm: Arm, policy: &Stage, step: u64| -> Result<Vec<Answered>> {
        let inputs = (&policy.content, &start.digest, experiment.config.evaluation.asking(), arm, ids(&questions));
        let stage = experiment.cache.get_or_make(name, &inputs, |dir| {
            let policy = Examined::new(policy, step);
            files::write_jsonl(&dir.join(ANSWERS), &ask(experiment, &start, name, &[arm], policy, &questions)?)
        })?;
        read(&stage)
    };
    let mut all = answers("baseline-on-b", Arm::FineTuned, &tuned, 0)?;
    all.extend(answers("winner-on-b", Arm::AfterRl, &trained, steps)?);
    Ok(all)
}

fn held_out(experiment: &Experiment, start: &Start, forms: &[Form]) -> Result<(Division, Vec<Question>)> {
    let config = &experiment.config;
    let division = Division::new(&start.knowledge, config.train.held_out, config.world.seed)?;
    let questions = division.questions(&start.knowledge, forms);
    if questions.is_empty() {
        let found = format!("found {}, so no question is held out", config.train.held_out);
        return Err(Error::invalid("train.held_out", found, "a sweep needs questions to judge by, for example 0.25"));
    }
    Ok((division, questions))
}

fn ids(questions: &[Question]) -> Vec<u64> {
    questions.iter().map(|question| question.id).collect()
}

fn judged(
    experiment: &Experiment,
    division: &Division,
    tuned: Stage,
    trained: Stage,
    answers: &Stage,
) -> Result<Judged> {
    let config = &experiment.config.train;
    let rollouts = config.questions_of_step(division) * config.group_size;
    let curve = read_curves(&trained)?.training;
    let lengths: f64 = curve.iter().filter_map(|point| point.mean_length).sum();
    let cost = Cost {
        seconds: trained.seconds + answers.seconds,
        rollouts: (curve.len() * rollouts) as u64,
        tokens: (lengths * rollouts as f64).round() as u64,
    };
    Ok(Judged { answers: read(answers)?, cost, tuned, trained })
}
