//! Scores answers a second way: which of a question's choices is the likeliest to follow what the policy was given and
//! what it thought? A choice counts by the probability of all of its tokens and of the end behind them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::examiner::{Examined, everything, read};
use crate::evaluation::{Answered, Arm};
use crate::experiment::Experiment;
use crate::experiment::start::Start;
use crate::knowledge::Question;
use crate::language::Tokenizer;
use crate::language::tokenizer::{ANSWER, END_THINK, EOS};
use crate::learner::policy_gradient::{self, Sampled};
use crate::store::stage::Stage;
use crate::{Result, files};

/// File with the likeliest choice of each answer.
const CHOICES: &str = "choices.json";

/// Answers that are scored between two looks at the progress.
const TOGETHER: usize = 32;

/// The likeliest choice by arm and question.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Choices(BTreeMap<Arm, BTreeMap<u64, String>>);

impl Choices {
    /// Notes the choices at the answers that they belong to.
    pub fn note(&self, answered: &mut [Answered]) {
        for one in answered.iter_mut().filter(|one| one.sample == 0) {
            if let Some(choice) = self.0.get(&one.arm).and_then(|arm| arm.get(&one.question)) {
                one.likeliest = Some(choice.clone());
            }
        }
    }
}

/// Scores the first answers of a stage to all questions whose choices are not shown.
pub(crate) fn score(
    experiment: &Experiment,
    start: &Start,
    name: &str,
    policy: Examined,
    answers: &Stage,
) -> Result<Stage> {
    experiment.cache.get_or_make(&format!("choices-{name}"), &(policy.content, &answers.content), |dir| {
        let questions: BTreeMap<u64, Question> = everything(start).into_iter().map(|q| (q.id, q)).collect();
        let answered = read(answers)?;
        // A sentence that is completed has no place for a choice.
        let asked = |one: &&Answered| one.sample == 0 && !one.arm.is_asked_by_sentence();
        let open = |one: &&Answered| asked(one) && questions.get(&one.question).is_some_and(hides_its_choices);
        let answered: Vec<&Answered> = answered.iter().filter(open).collect();
        let model = policy.policy(start)?.on(&experiment.device)?;
        let workers = experiment.config.run.resolved_workers();
        let what = format!("scoring choices ({name})");
        let mut meter = experiment.progress.begin(&what, "answers", 0, answered.len() as u64);
        let mut choices = Choices::default();
        for (at, some) in answered.chunks(TOGETHER).enumerate() {
            let mut continued: Vec<Continued> = Vec::new();
            for one in some {
                continued.extend(continuations(&start.base.tokenizer, one, &questions[&one.question])?);
            }
            // Nobody sampled them, and scoring does not look at what a sampler would have said.
            let unsampled = vec![0.0; continued.iter().map(|one| one.choice.len()).max().unwrap_or(0)];
            let sampled: Vec<Sampled> = continued.iter().map(|one| one.as_sampled(&unsampled)).collect();
            let scores = policy_gradient::score(&model, &sampled, workers)?;
            let mut best: BTreeMap<(Arm, u64), (f64, &str)> = BTreeMap::new();
            for (one, score) in continued.iter().zip(&scores) {
                let sum: f64 = score.iter().map(|log_prob| f64::from(*log_prob)).sum();
                let entry = best.entry((one.answered.arm, one.answered.question)).or_insert((sum, &one.text));
                if sum > entry.0 {
                    *entry = (sum, &one.text);
                }
            }
            for ((arm, question), (_, text)) in best {
                choices.0.entry(arm).or_default().insert(question, text.to_owned());
            }
            meter.set((at * TOGETHER + some.len()) as u64);
            experiment.interrupt.check("what is finished is kept; the same command goes on from there")?;
        }
        files::write_json(&dir.join(CHOICES), &choices)
    })
}

/// Reads what [`score`] wrote.
pub(crate) fn read_choices(stage: &Stage) -> Result<Choices> {
    files::read_json(&stage.dir.join(CHOICES), "evaluate the run again")
}

fn hides_its_choices(question: &Question) -> bool {
    let shown = |choice: &String| question.text.split_whitespace().any(|word| word == choice);
    question.choices.len() > 1 && !question.choices.iter().all(shown)
}

/// An answer with one of the choices in its place.
struct Continued<'a> {
    answered: &'a Answered,
    text: String,
    given: Vec<u32>,
    choice: Vec<u32>,
}

impl Continued<'_> {
    fn as_sampled<'s>(&'s self, unsampled: &'s [f32]) -> Sampled<'s> {
        let (prompt, tokens) = (&self.given, &self.choice);
        Sampled {
            prompt,
            tokens,
            sampler_logprobs: &unsampled[..tokens.len()],
            sampling_mask: &[],
            old_logprobs: None,
            advantage: 0.0,
            gae: None,
            kept: true,
        }
    }
}

fn continuations<'a>(tokenizer: &Tokenizer, answered: &'a Answered, question: &Question) -> Result<Vec<Continued<'a>>> {
    let given = given(answered, &question.cue);
    let mut whole: Vec<(String, Vec<u32>)> = Vec::with_capacity(question.choices.len());
    for choice in &question.choices {
        whole.push((choice.clone(), tokenizer.encode(&format!("{given} {choice} {EOS}"))?));
    }
    // What all have in common is given. Tokens may reach over the space before a choice.
    let first = whole.first().map_or(&[][..], |(_, tokens)| tokens);
    let same = |tokens: &[u32]| first.iter().zip(tokens).take_while(|(one, other)| one == other).count();
    // Something is left of every choice, if only its end.
    let shortest = whole.iter().map(|(_, tokens)| tokens.len()).min().unwrap_or(0).saturating_sub(1);
    let common = whole.iter().map(|(_, tokens)| same(tokens)).min().unwrap_or(0).min(shortest);
    let continued = |(text, tokens): (String, Vec<u32>)| {
        let (given, choice) = tokens.split_at(common);
        Continued { answered, text, given: given.to_vec(), choice: choice.to_vec() }
    };
    Ok(whole.into_iter().map(continued).collect())
}

/// Everything up to where the answer stands: the prompt, the thought where there is one, and the cue.
fn given(answered: &Answered, cue: &str) -> String {
    let mut text = answered.prompt.clone();
    if !text.trim_end().ends_with(ANSWER) {
        let thought = answered.completion.split(END_THINK).next().unwrap_or("");
        // Whoever wrote no end of the thought has not begun to answer, as far as can be told.
        let thought = thought.split(ANSWER).next().unwrap_or("").split(EOS).next().unwrap_or("").trim();
        text = [&text, thought, END_THINK, ANSWER].join(" ");
    }
    if cue.is_empty() { text } else { format!("{text} {cue} :") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Base, Place};
    use crate::config::KnownSection;
    use crate::evaluation::record::AnswerText;
    use crate::knowledge::reversal::{CANDIDATES, OPEN, OPEN_ANY};
    use crate::knowledge::syllogism::ENTAILMENT;
    use crate::knowledge::{Set, World, WorldConfig};
    use crate::language::Opening;
    use crate::verifier::judge;

    #[test]
    fn a_choice_stands_where_the_answer_stood() {
        let world = World::new(&KnownSection::default().known(), &WorldConfig::default()).unwrap();
        let tokenizer = Tokenizer::from_words(world.grammar.lexicon.words()).unwrap();
        let all = world.questions(Set::B);
        let of = |form| all.iter().find(|question| question.form == form).unwrap();
        assert!(!hides_its_choices(of(CANDIDATES)));
        for form in [OPEN, OPEN_ANY, ENTAILMENT] {
            let question = of(form);
            assert!(hides_its_choices(question));
            let thought = &question.context[0];
            for (opening, completion) in [
                (Opening::Answer, format!("{} : nobody <eos>", question.cue)),
                (Opening::Think, format!("{thought} </think> <answer> {} : no <eos>", question.cue)),
                (Opening::Think, format!("{thought} <answer> x")),
                (Opening::Think, thought.clone()),
            ] {
                let prompt = tokenizer.prompt(&[], &question.text, opening).unwrap();
                let judgement = judge(&world, question, opening, &completion, true);
                let said = AnswerText {
                    sample: 0,
                    prompt: prompt.clone(),
                    completion,
                    judgement,
                    tokens: 1,
                    prompt_tokens: 1,
                };
                let answered = Answered::new(Arm::FineTuned, 0, question, said);
                let continued = continuations(&tokenizer, &answered, question).unwrap();
                assert_eq!(continued.len(), question.choices.len());
                let written = match opening {
                    Opening::Answer => format!("{prompt} {} :", question.cue),
                    Opening::Think => format!("{prompt} {thought} </think> <answer> {} :", question.cue),
                };
                for (one, choice) in continued.iter().zip(&question.choices) {
                    assert_eq!(tokenizer.decode(&one.given).unwrap(), written);
                    assert_eq!(tokenizer.decode(&one.choice).unwrap(), format!("{choice} <eos>"));
                }
            }
        }
    }

    #[test]
    fn choices_are_scored_as_one_by_one() {
        let base = Base::load(Place::from_name("embedded")).unwrap();
        let world = World::new(base.known.as_ref().unwrap(), &WorldConfig::default()).unwrap();
        let question = world.questions(Set::B).into_iter().find(|question| question.form == OPEN).unwrap();
        let prompt = base.tokenizer.prompt(&question.context, &question.text, Opening::Answer).unwrap();
        let completion = format!("{} : {} <eos>", question.cue, question.answer);
        let judgement = judge(&world, &question, Opening::Answer, &completion, true);
        let said = AnswerText { sample: 0, prompt, completion, judgement, tokens: 1, prompt_tokens: 1 };
        let answered = Answered::new(Arm::InContext, 0, &question, said);
        let continued = continuations(&base.tokenizer, &answered, &question).unwrap();
        let unsampled = [0.0; 8];
        let together: Vec<Sampled> = continued.iter().map(|one| one.as_sampled(&unsampled)).collect();
        let scores = policy_gradient::score(&base.policy, &together, 2).unwrap();
        let mut best = (f32::NEG_INFINITY, "");
        for (one, score) in continued.iter().zip(&scores) {
            let alone = policy_gradient::score(&base.policy, &[one.as_sampled(&unsampled)], 1).unwrap();
            assert!(alone[0].len() == 2 && alone[0].iter().zip(score).all(|(a, b)| (a - b).abs() < 1e-4));
            let sum = score.iter().sum::<f32>();
            best = if sum > best.0 { (sum, &one.text) } else { best };
        }
        assert_eq!(best.1, question.answer, "the base reads the facts in its prompt");
    }
}
