//! One question to one policy, as a person asks it: what the policy is shown, what it writes, and what of that is true.

use super::made_run::OpenPolicy;
use crate::config::EvaluationConfig;
use crate::exchange::{Actors, Threads, WorkerPool};
use crate::experiment::start::knowledge;
use crate::kernels::DeviceChoice;
use crate::knowledge::jsonl::task::COMPLETION;
use crate::knowledge::{Claim, Facts, Knowledge, Question, Set};
use crate::language::{Opening, Reading, Tokenizer};
use crate::rollout::{Finish, Request};
use crate::text::excerpt;
use crate::verifier::{Judgement, judge};
use crate::{Error, Result};

/// A policy that can be asked, and what is known of the world that it was trained in.
pub struct AskedPolicy {
    tokenizer: Tokenizer,
    pool: WorkerPool,
    /// Tokens that a prompt and a completion may have together.
    room: usize,
    evaluation: EvaluationConfig,
    knowledge: Option<Knowledge>,
    questions: Vec<Question>,
    /// Why nothing that it says can be checked, where that is so.
    pub unchecked: Option<String>,
}

/// How a question is asked. What is not said is as in the evaluation of the policy's run.
#[derive(Clone, Debug, Default)]
pub struct AskOptions {
    /// Whether it thinks first.
    pub opening: Opening,
    /// Passages in front of the question.
    pub context: Vec<String>,
    /// How many completions.
    pub samples: usize,
    pub temperature: Option<f64>,
    pub top_k: Option<usize>,
    pub top_p: Option<f64>,
    pub min_p: Option<f64>,
    pub no_repeat_ngram_size: Option<usize>,
    pub repetition_penalty: Option<f64>,
    pub max_new_tokens: Option<usize>,
    /// Texts before which a completion ends; none: as in the config of its run.
    pub stop: Vec<String>,
    pub seed: u64,
}

/// What came of a question.
#[derive(Clone, Debug)]
pub struct GivenAnswers {
    /// Everything the policy was given.
    pub prompt: String,
    /// Tokens of it.
    pub prompt_tokens: usize,
    /// The right answer, where it is a question of the world.
    pub expected: Option<String>,
    pub answers: Vec<GivenAnswer>,
}

/// One completion.
#[derive(Clone, Debug)]
pub struct GivenAnswer {
    /// Its recitations are there where the world has a grammar to read them in; whether the answer is right is known where
    /// the question is one of the world's.
    pub judgement: Judgement,
    /// The sentences of its thought.
    pub sentences: Vec<String>,
    /// It ended by itself.
    pub ended: bool,
    pub tokens: usize,
}

/// Of a policy that belongs to no run nothing is known to be true.
struct NoFacts;

impl Facts for NoFacts {
    fn has_grammar(&self) -> bool {
        false
    }

    fn read(&self, _: &str) -> Option<Claim> {
        None
    }

    fn holds(&self, _: &Claim) -> bool {
        false
    }
}

impl AskedPolicy {
    /// Opens what is named: a run (its last policy), `RUN@STEP`, a checkpoint, or a base that ships.
    ///
    /// # Errors
    /// A name that is none, files that are not what they were, a checkpoint that cannot be read.
    pub fn open(named: &str, device: DeviceChoice, workers: Option<usize>) -> Result<AskedPolicy> {
        let OpenPolicy { policy, tokenizer, config } = OpenPolicy::open(named, device)?;
        let (known, unchecked) = match config.as_ref().map(knowledge) {
            None => (None, Some("it belongs to no run, so that nothing is known to be true".into())),
            Some(Err(error)) => (None, Some(format!("what its run knew to be true is not there: {error}"))),
            Some(Ok(knowledge)) => {
                let unread =
                    "its world is free text without facts (world.jsonl.facts), in which no sentence can be checked";
                let unchecked = (!knowledge.has_grammar()).then(|| unread.into());
                (Some(knowledge), unchecked)
            }
        };
        let mut pool = Threads.pool(workers, &policy)?;
        pool.publish(&policy.snapshot(0)?)?;
        let questions = known.iter().flat_map(|known| [Set::A, Set::B].map(|set| known.questions(set))).flatten();
        Ok(AskedPolicy {
            tokenizer,
            pool,
            room: policy.config.longest_sequence(),
            evaluation: config.map(|config| config.evaluation).unwrap_or_default(),
            questions: questions.collect(),
            knowledge: known,
            unchecked,
        })
    }

    /// Asks one question. Where it is one of the world's, word by word, the answer is right or wrong.
    ///
    /// # Errors
    /// Words that the vocabulary lacks; a prompt that the model has no room for.
    pub fn ask(&mut self, text: &str, options: &AskOptions) -> Result<GivenAnswers> {
        let text = text.trim();
        let known = self.questions.iter().find(|question| question.text == text);
        let question = known.cloned().unwrap_or_else(|| Question { text: text.into(), ..Question::blank(COMPLETION) });
        let prompt = self.tokenizer.prompt(&options.context, text, options.opening)?;
        let tokens = self.tokenizer.encode(&prompt)?;
        let prompt_tokens = tokens.len();
        let left = self.room.saturating_sub(prompt_tokens);
        let wanted = options.max_new_tokens.unwrap_or(self.evaluation.max_new_tokens.min(left)).max(1);
        if wanted > left {
            let found =
                format!("{}, and \"{}\" takes {prompt_tokens} tokens with its context", self.room, excerpt(text));
            let remedy = format!("it has to hold a prompt and {wanted} new tokens: ask shorter, or for fewer tokens");
            return Err(Error::invalid("max_position_embeddings of the model", found, remedy));
        }
        // One answer at once is the likeliest, as in an evaluation; thoughts and several answers are sampled.
        let sampled = options.opening == Opening::Think || options.samples > 1 || options.temperature.is_some();
        let usual = &self.evaluation;
        let drawn = EvaluationConfig {
            temperature: options.temperature.unwrap_or(usual.temperature),
            top_k: options.top_k.unwrap_or(usual.top_k),
            top_p: options.top_p.unwrap_or(usual.top_p),
            min_p: options.min_p.unwrap_or(usual.min_p),
            no_repeat_ngram_size: options.no_repeat_ngram_size.unwrap_or(usual.no_repeat_ngram_size),
            repetition_penalty: options.repetition_penalty.unwrap_or(usual.repetition_penalty),
            ..usual.clone()
        };
        let request = Request {
            prompt: tokens,
            samples: options.samples,
            sampling: drawn.sampling(sampled),
            max_new_tokens: wanted,
            stop: self.tokenizer.ends().to_vec(),
            seed: options.seed,
            key: [0, question.id],
        };
        let completions = self.pool.generate(vec![request])?;
        let stopping = (!options.stop.is_empty()).then(|| self.tokenizer.clone().stopping_at(&options.stop));
        let tokenizer = stopping.as_ref().unwrap_or(&self.tokenizer);
        let facts: &dyn Facts = self.knowledge.as_ref().map_or(&NoFacts, |knowledge| knowledge);
        let mut answers = Vec::with_capacity(completions.len());
        for completion in completions {
            let stopped = tokenizer.stopped(&completion.tokens)?;
            let completion = match stopped {
                Some(tokens) => completion.stopped_after(tokens),
                None => completion,
            };
            let (text, ended) = (tokenizer.written(&completion.tokens)?, completion.finish == Finish::Stop);
            let reading = Reading::parse(&text, options.opening, &question.cue);
            answers.push(GivenAnswer {
                judgement: judge(facts, &question, options.opening, &text, ended),
                sentences: reading.sentences.into_iter().map(str::to_owned).collect(),
                ended,
                tokens: completion.tokens.len(),
            });
        }
        let expected = self.questions.iter().any(|known| known.text == text).then_some(question.answer);
        Ok(GivenAnswers { prompt, prompt_tokens, expected, answers })
    }

    /// Questions of the world to begin with, those of set B first, one of each form.
    pub fn examples(&self) -> Vec<&str> {
        let mut forms = Vec::new();
        let mut examples = Vec::new();
        for question in self.questions.iter().filter(|question| question.set == Set::B).chain(&self.questions) {
            if !forms.contains(&question.form) {
                forms.push(question.form);
                examples.push(question.text.as_str());
            }
        }
        examples
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Base, Place};
    use crate::config::Config;

    fn options(opening: Opening) -> AskOptions {
        AskOptions { opening, samples: 1, ..AskOptions::default() }
    }

    #[test]
    fn a_base_that_ships_can_be_asked_and_nothing_it_says_is_checked() {
        let mut policy = AskedPolicy::open("embedded", DeviceChoice::Cpu, Some(1)).unwrap();
        assert!(policy.unchecked.is_some() && policy.examples().is_empty());
        let known = crate::experiment::start::generated(
            &Config::default(),
            Base::load(Place::from_name("embedded")).unwrap().known.as_ref(),
        );
        let question = known.unwrap().questions(Set::A).remove(0);
        let context = AskOptions { context: question.context.clone(), ..options(Opening::Answer) };
        let asked = policy.ask(&question.text, &context).unwrap();
        assert!(asked.prompt.contains(&question.text) && asked.prompt.contains(&question.context[0]));
        assert_eq!((asked.answers.len(), asked.expected), (1, None));
        let given = &asked.answers[0];
        assert!(given.ended && given.judgement.answer.is_some() && given.judgement.recitations.is_empty());
        let thinking = AskOptions { samples: 3, ..options(Opening::Think) };
        let asked = policy.ask(&question.text, &thinking).unwrap();
        assert!(asked.answers.len() == 3 && asked.answers.iter().any(|one| !one.sentences.is_empty()));
        let again = policy.ask(&question.text, &thinking).unwrap();
        let told = |asked: &GivenAnswers| asked.answers.iter().map(|one| one.sentences.clone()).collect::<Vec<_>>();
        assert_eq!(told(&asked), told(&again), "the same seed says the same");
        assert!(policy.ask("who guards the Ünknown ?", &thinking).is_err());
        let first = asked.answers[0].sentences[0].split(' ').nth(1).unwrap().to_owned();
        let short = AskOptions { stop: vec![format!(" {first}")], ..thinking.clone() };
        let cut = &policy.ask(&question.text, &short).unwrap().answers[0];
        assert!(cut.ended && cut.tokens < asked.answers[0].tokens && cut.sentences[0].split(' ').count() == 1);
        let long = AskOptions { max_new_tokens: Some(100_000), ..thinking };
        assert!(policy.ask(&question.text, &long).unwrap_err().to_string().contains("ask shorter"));
    }
}
