//! Which questions a step asks, and how they are put.

use rand::seq::index;

use super::batch::{Batch, Group, SampledQuestion};
use super::hint;
use super::judging::Judging;
use super::solved::Solved;
use crate::config::QuestionDraw;
use crate::exchange::{PartialRollouts, Ticket, WorkerPool};
use crate::experiment::{Experiment, Start};
use crate::knowledge::{Division, Form, Set};
use crate::language::Opening;
use crate::learner::Algorithm;
use crate::policy::Policy;
use crate::random::Stream;
use crate::rollout::Request;
use crate::{Result, random};

/// Tokens that a policy writes at the least, whatever it is given.
const LEAST_WRITTEN: usize = 2;

/// What was asked for a step.
pub(crate) struct PendingBatch {
    pub asked: Vec<SampledQuestion>,
    /// A group for each question, without completions.
    pub groups: Vec<Group>,
    pub ticket: Ticket,
    /// What has ended of it is judged, whatever the learner is at.
    pub judging: Judging,
}

/// Has the questions of steps sampled.
pub(crate) struct BatchSampler<'a> {
    pub experiment: &'a Experiment,
    pub start: &'a Start,
    pub algorithm: Algorithm,
    /// Which questions of A may be asked.
    pub division: &'a Division,
    /// The policy that the reward is held to, where it is.
    pub reference: Option<&'a Policy>,
    /// The policy that learns, whose value head is asked before it does.
    pub critic: Option<&'a Policy>,
    /// By which questions are drawn, where that is to depend on it.
    pub solved: Solved,
}

impl BatchSampler<'_> {
    /// Has the questions of a step sampled, less the completions that are there already.
    pub fn order(&self, step: usize, underway: PartialRollouts, pool: &mut WorkerPool) -> Result<PendingBatch> {
        let asked = self.questions(step)?;
        let (groups, requests) = self.requests(step, &asked)?;
        let ticket = pool.submit(requests, underway)?;
        Ok(PendingBatch { asked, groups, ticket, judging: Judging::begin(step) })
    }

    /// Questions of A that are not held out, none twice in a step. What they are drawn by was known when the first batch that may be
    /// sampled ahead was ordered, so that a run that is taken up again orders the same.
    fn questions(&self, step: usize) -> Result<Vec<SampledQuestion>> {
        let config = &self.experiment.config.train;
        let mut random = random::stream(self.experiment.config.run.seed, &[1, step as u64]);
        let before = step.saturating_sub(config.max_off_policy_steps);
        let left = |form: Form, index: usize| self.solved.left(form, index, before);
        let mean_left = |form: Form| match config.draw {
            QuestionDraw::Uniform => 1.0,
            QuestionDraw::Unsolved => {
                let there = self.division.trained(form);
                there.iter().map(|index| left(form, *index)).sum::<f64>() / there.len().max(1) as f64
            }
        };
        let mut asked = Vec::with_capacity(config.questions_per_step);
        for (form, count) in config.forms.iter().copied().zip(config.questions_by_form(mean_left)) {
            let there = self.division.trained(form);
            let count = count.min(there.len());
            let any = |random: &mut Stream| index::sample(random, there.len(), count);
            let drawn = match config.draw {
                QuestionDraw::Uniform => any(&mut random),
                QuestionDraw::Unsolved => {
                    let weight = |at: usize| left(form, there[at]);
                    // No weight is 0, so there are always enough.
                    index::sample_weighted(&mut random, there.len(), weight, count).unwrap_or_else(|_| any(&mut random))
                }
            };
            for at in drawn {
                asked.push(self.asked(step, form, there[at], &mut random)?);
            }
        }
        Ok(asked)
    }

    fn asked(&self, step: usize, form: Form, index: usize, random: &mut Stream) -> Result<SampledQuestion> {
        let (config, Start { base, knowledge, .. }) = (&self.experiment.config.train, self.start);
        let question = knowledge.question(Set::A, form, index, random);
        let mut given = Vec::new();
        if let Some(hint) = config.hint.filter(|hint| step < hint.steps) {
            // A thought and its beginning have the room that a thought has, and some of it is left.
            let room = config.max_new_tokens_of(form);
            let most = room.saturating_sub((room / 4).max(LEAST_WRITTEN));
            let at = (self.experiment.config.run.seed, step);
            given = hint::draw(hint, at, knowledge, &question, &base.tokenizer, most)?;
        }
        Ok(SampledQuestion { form, index, question, given })
    }

    /// Notes what a step has solved, where questions are drawn by it.
    pub fn note_solved(&mut self, step: usize, batch: &Batch) {
        let config = &self.experiment.config.train;
        if config.draw == QuestionDraw::Unsolved {
            // What was answered with help is not solved.
            let alone = batch.all().filter(|group| group.given == 0);
            self.solved.note(step, alone, config.max_off_policy_steps);
        }
    }

    /// Questions of the same forms that this step has not asked yet, for as many of these places as there are.
    pub fn others(
        &self,
        step: usize,
        round: usize,
        batch: &Batch,
        places: &[usize],
    ) -> Result<(Vec<usize>, Vec<SampledQuestion>)> {
        let mut random = random::stream(self.experiment.config.run.seed, &[1, step as u64, round as u64]);
        let (mut filled, mut asked) = (Vec::new(), Vec::new());
        for form in self.experiment.config.train.forms.iter().copied() {
            let of_form = |group: &&Group| group.form == form;
            let used: Vec<usize> =
                batch.groups.iter().chain(&batch.replaced).filter(of_form).map(|group| group.index).collect();
            let there = self.division.trained(form);
            let free: Vec<usize> = there.iter().copied().filter(|index| !used.contains(index)).collect();
            let places: Vec<usize> = places.iter().copied().filter(|at| batch.groups[*at].form == form).collect();
            let chosen = index::sample(&mut random, free.len(), places.len().min(free.len()));
            for (place, chosen) in places.into_iter().zip(chosen) {
                filled.push(place);
                asked.push(self.asked(step, form, free[chosen], &mut random)?);
            }
        }
        Ok((filled, asked))
    }

    /// A group and a request for each question.
    pub fn requests(&self, step: usize, asked: &[SampledQuestion]) -> Result<(Vec<Group>, Vec<Request>)> {
        let (config, tokenizer) = (&self.experiment.config.train, &self.start.base.tokenizer);
        let mut groups = Vec::with_capacity(asked.len());
        for SampledQuestion { form, index, question, given } in asked {
            let mut prompt = tokenizer.encode(&tokenizer.prompt(&[], &question.text, Opening::Think)?)?;
            prompt.extend(given);
            let (completions, lines) = (Vec::with_capacity(config.group_size), Vec::with_capacity(config.group_size));
            let (form, index, appraisals) = (*form, *index, Vec::new());
            let filter = config.filter_of(form, self.algorithm.filter);
            groups.push(Group { form, index, filter, prompt, given: given.len(), completions, lines, appraisals });
        }
        let requests = groups.iter().zip(asked).map(|(group, asked)| Request {
            prompt: group.prompt.clone(),
            samples: config.group_size,
            sampling: config.sampling(),
            max_new_tokens: config.max_new_tokens_of(asked.form) - group.given,
            stop: tokenizer.ends().to_vec(),
            seed: self.experiment.config.run.seed,
            key: [step as u64, asked.question.id],
        });
        let requests = requests.collect();
        Ok((groups, requests))
    }
}
