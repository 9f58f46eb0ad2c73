//! Texts that the base writes before it is trained. Training replays most of them against forgetting: they stand for what the
//! base can do, wherever its own training data are. The others are held back, to measure what is forgotten.

use std::time::Instant;

use rand::Rng;
use serde::{Deserialize, Serialize};

use super::Experiment;
use super::start::{BASE_FILES, Start};
use crate::config::OwnTextConfig;
use crate::evaluate::examiner::workers_of;
use crate::exchange::WorkerPool;
use crate::knowledge::curriculum::TrainingSequence;
use crate::language::Tokenizer;
use crate::random::Stream;
use crate::rollout::{Request, SamplingParams};
use crate::store::stage::Stage;
use crate::{Error, Result, files};

/// Name of the stage.
pub(crate) const OWN_TEXT: &str = "own-text";
/// File in the stage's directory.
const TEXTS: &str = "texts.jsonl";
/// Texts that are written between two looks at the progress.
const TOGETHER: usize = 16;

/// One text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct WrittenText {
    /// Token ids, of which so many were given to begin with.
    pub tokens: Vec<u32>,
    pub given: usize,
    /// The rest, for people.
    pub text: String,
    /// Training never sees it.
    pub held_back: bool,
}

impl WrittenText {
    fn sequence(&self) -> TrainingSequence {
        let (given, written) = self.tokens.split_at(self.given);
        let mut sequence = TrainingSequence { tokens: Vec::new(), weights: Vec::new() };
        sequence.read(given.iter().copied());
        sequence.learn(written.iter().copied(), 1.0);
        sequence
    }
}

/// Own texts among what a stage learns.
pub(crate) struct Replay {
    /// Of the sequences.
    share: f64,
    texts: Vec<TrainingSequence>,
}

impl Replay {
    /// What a stage replays with such a share. Where that is none, nothing is written, and nothing drawn.
    pub fn new(experiment: &Experiment, start: &Start, share: Option<f64>) -> Result<Replay> {
        let share = share.unwrap_or(0.0);
        let mut texts = Vec::new();
        if share > 0.0 {
            let stage = write(experiment, start)?;
            let written = read(&stage)?;
            experiment.budget.wrote(&written, &stage);
            texts.extend(written.iter().filter(|text| !text.held_back).map(WrittenText::sequence));
            if texts.is_empty() {
                let remedy = "raise own_text.texts, or set the shares of own text in [finetune] and [warmup] to 0";
                return Err(Error::invalid("own_text", "the base wrote no text that could be replayed", remedy));
            }
        }
        Ok(Replay { share, texts })
    }

    /// The next sequence, where it is an own text.
    pub fn draw(&self, random: &mut Stream) -> Option<&TrainingSequence> {
        let drawn = !self.texts.is_empty() && random.random_bool(self.share);
        drawn.then(|| &self.texts[random.random_range(0..self.texts.len())])
    }
}

/// What a stage that replays with such a share depends on, beside the base; nothing where it replays nothing.
pub(crate) fn inputs(experiment: &Experiment, share: Option<f64>) -> Option<&OwnTextConfig> {
    share.filter(|share| *share > 0.0).map(|_| &experiment.config.own_text)
}

/// The stage that holds the texts, written now unless they were before.
pub(crate) fn write(experiment: &Experiment, start: &Start) -> Result<Stage> {
    let config = &experiment.config;
    let base = start.named.get(BASE_FILES).unwrap_or(&start.digest);
    let inputs = (base, start.base.tokenizer.prompting(), &config.own_text, config.run.precision);
    experiment.cache.get_or_make(OWN_TEXT, &inputs, |dir| {
        let pool = workers_of(experiment, start.base.policy.clone(), 0)?;
        let longest = start.base.policy.config.longest_sequence();
        let mut writer = Writer { tokenizer: &start.base.tokenizer, config: &config.own_text, longest, pool };
        let mut meter = experiment.progress.begin("writing own text", "texts", 0, config.own_text.texts as u64);
        let (began, mut texts) = (Instant::now(), Vec::new());
        for first in (0..config.own_text.texts).step_by(TOGETHER) {
            let until = (first + TOGETHER).min(config.own_text.texts);
            texts.extend(writer.write(&(first..until).collect::<Vec<_>>())?);
            meter.set(until as u64);
            let tokens: usize = texts.iter().map(|text: &WrittenText| text.tokens.len() - text.given).sum();
            let rate = tokens as f64 / began.elapsed().as_secs_f64().max(1e-9);
            meter.note(&format!("{rate:.0} tokens/s"));
            experiment.interrupt.check("no text is kept before all are written; the same command writes them anew")?;
        }
        files::write_jsonl(&dir.join(TEXTS), &texts)
    })
}

/// The texts of a stage.
pub(crate) fn read(stage: &Stage) -> Result<Vec<WrittenText>> {
    files::read_jsonl(&stage.dir.join(TEXTS), "a text", "remove it to have it written again")
}

/// Lets the base write.
struct Writer<'a> {
    tokenizer: &'a Tokenizer,
    config: &'a OwnTextConfig,
    /// Positions of the model.
    longest: usize,
    pool: WorkerPool,
}

impl Writer<'_> {
    /// The texts with these numbers. One that has no room, or in which nobody asks anything, is left out.
    fn write(&mut self, numbers: &[usize]) -> Result<Vec<WrittenText>> {
        let prompting = self.tokenizer.prompting();
        let chat = self.tokenizer.chat();
        let opening = chat.map_or(Ok(None), |chat| chat.opening(&prompting))?;
        let opened = opening.map(|text| self.tokenizer.encode(&text)).transpose()?.filter(|tokens| !tokens.is_empty());
        let (Some(chat), Some(opening)) = (chat, opened) else {
            let begun = numbers.iter().map(|number| (*number, vec![self.tokenizer.bos()])).collect();
            return self.go_on(begun, 0)?.into_iter().map(|(number, tokens)| self.text(number, tokens, 1)).collect();
        };
        let begun = numbers.iter().map(|number| (*number, opening.clone())).collect();
        let mut asked = Vec::new();
        for (number, tokens) in self.go_on(begun, 0)? {
            let question = tokens[opening.len()..].iter().filter(|token| !self.tokenizer.ends().contains(token));
            let question = self.tokenizer.decode(&question.copied().collect::<Vec<_>>())?;
            if !question.trim().is_empty() {
                asked.push((number, self.tokenizer.encode(&chat.turn(&prompting, question.trim())?)?));
            }
        }
        let given = |tokens: &[u32]| tokens.iter().zip(&opening).take_while(|(one, other)| one == other).count();
        let answered = self.go_on(asked, 1)?;
        answered
            .into_iter()
            .map(|(number, tokens)| {
                let given = given(&tokens).max(1);
                self.text(number, tokens, given)
            })
            .collect()
    }

    /// Lets texts go on from where they are. `part` tells the first stretch of a text from the second.
    fn go_on(&mut self, mut begun: Vec<(usize, Vec<u32>)>, part: u64) -> Result<Vec<(usize, Vec<u32>)>> {
        begun.retain(|(_, tokens)| tokens.len() < self.longest);
        let request = |(number, tokens): &(usize, Vec<u32>)| Request {
            prompt: tokens.clone(),
            samples: 1,
            sampling: SamplingParams::at(1.0),
            max_new_tokens: self.config.max_new_tokens.min(self.longest - tokens.len()),
            stop: self.tokenizer.ends().to_vec(),
            seed: self.config.seed,
            key: [part, *number as u64],
        };
        let requests = begun.iter().map(request).collect();
        for completion in self.pool.generate(requests)? {
            begun[completion.request].1.extend(completion.tokens);
        }
        Ok(begun)
    }

    fn text(&self, number: usize, tokens: Vec<u32>, given: usize) -> Result<WrittenText> {
        let text = self.tokenizer.decode(&tokens[given..])?;
        let held_back = number >= self.config.texts.saturating_sub(self.config.held_back);
        Ok(WrittenText { tokens, given, text, held_back })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Base, Place};
    use crate::random;

    fn written(texts: usize, seed: u64) -> Vec<WrittenText> {
        let base = Base::load(Place::from_name("embedded")).unwrap();
        let config = OwnTextConfig { seed, texts, max_new_tokens: 6, held_back: 1 };
        let mut pool = WorkerPool::for_policy(&base.policy, 2, 64).unwrap();
        pool.publish(&base.policy.snapshot(0).unwrap()).unwrap();
        let mut writer = Writer { tokenizer: &base.tokenizer, config: &config, longest: 64, pool };
        let numbers: Vec<usize> = (0..texts).collect();
        let all = writer.write(&numbers).unwrap();
        // Each text is what it is, whichever others are written beside it.
        assert_eq!(writer.write(&numbers[2..]).unwrap(), all[2..]);
        all
    }

    #[test]
    fn a_base_writes_from_its_start_token_and_the_last_texts_are_held_back() {
        let texts = written(4, 0);
        let base = Base::load(Place::from_name("embedded")).unwrap();
        assert_eq!(texts.iter().map(|text| text.held_back).collect::<Vec<_>>(), [false, false, false, true]);
        for text in &texts {
            assert!(text.given == 1 && text.tokens[0] == base.tokenizer.bos() && (2..=7).contains(&text.tokens.len()));
            let sequence = text.sequence();
            assert_eq!((sequence.weights[0], sequence.weights[1]), (0.0, 1.0));
            assert_eq!(sequence.tokens, text.tokens);
        }
        assert_ne!(texts, written(4, 1));
    }

    #[test]
    fn own_text_comes_as_often_as_its_share_and_draws_nothing_where_there_is_none() {
        let sequence = TrainingSequence { tokens: vec![1, 2], weights: vec![0.0, 1.0] };
        let replay = Replay { share: 0.1, texts: vec![sequence] };
        let mut random = random::stream(0, &[]);
        let drawn = (0..5000).filter(|_| replay.draw(&mut random).is_some()).count();
        assert!((400..600).contains(&drawn), "{drawn}");
        let none = Replay { share: 0.0, texts: Vec::new() };
        let (mut one, mut other) = (random::stream(1, &[]), random::stream(1, &[]));
        assert!(none.draw(&mut one).is_none());
        assert_eq!(one.random::<u64>(), other.random::<u64>());
    }
}
