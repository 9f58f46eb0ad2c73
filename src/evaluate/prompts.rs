//! What an arm is given: the prompt of each question.

use std::cell::OnceCell;

use rand::Rng;
use rand::seq::SliceRandom;

use crate::evaluation::{Answered, Arm, ExtraPassages, PromptMode};
use crate::experiment::Experiment;
use crate::experiment::start::Start;
use crate::knowledge::facts::Cloze;
use crate::knowledge::{Claim, Knowledge, Library, Match, Question, Set};
use crate::language::Opening;
use crate::language::tokenizer::{ANSWER, BOS, END_THINK, EOS};
use crate::verifier::{Facts, Judgement, judge};
use crate::{Result, random};

/// What takes the place of a token of a thought: it says nothing, and every tokenizer has it.
const FILLER: &str = ".";

/// A prompt, and how the policy goes on from it.
pub(crate) type Prompt = (String, Opening);

/// Makes prompts.
pub(crate) struct PromptBuilder<'a> {
    experiment: &'a Experiment,
    start: &'a Start,
    /// Few arms need one.
    library: OnceCell<Library>,
}

impl<'a> PromptBuilder<'a> {
    pub fn new(experiment: &'a Experiment, start: &'a Start) -> Self {
        Self { experiment, start, library: OnceCell::new() }
    }

    /// The passages of all documents.
    pub fn library(&self) -> &Library {
        self.library.get_or_init(|| Library::new(&self.start.knowledge))
    }

    /// The prompt of each question in one arm. `answered` has what the same policy answered in other arms, for those that
    /// answer from its thoughts.
    pub fn prompts(&self, arm: Arm, questions: &[Question], answered: &[Answered]) -> Result<Vec<Prompt>> {
        questions.iter().map(|question| self.prompt(arm, question, questions, answered)).collect()
    }

    fn prompt(&self, arm: Arm, question: &Question, all: &[Question], answered: &[Answered]) -> Result<Prompt> {
        let tokenizer = &self.start.base.tokenizer;
        let plain = |context: &[String], opening| -> Result<Prompt> {
            Ok((tokenizer.prompt(context, &question.text, opening)?, opening))
        };
        let passages = || self.experiment.config.arms.passages;
        match arm.way() {
            PromptMode::Direct => plain(&[], Opening::Answer),
            PromptMode::Think => plain(&[], Opening::Think),
            PromptMode::Swapped => {
                let other = partner(all, question, self.experiment.config.evaluation.seed);
                self.after(question, other.map_or("", |other| thought(answered, Arm::AfterRl, other)))
            }
            PromptMode::Filler(of) => {
                let tokens = tokenizer.encode(thought(answered, of, question))?.len();
                self.after(question, &vec![FILLER; tokens].join(" "))
            }
            PromptMode::InContext(ExtraPassages::Passages(0)) => plain(&question.context, Opening::Answer),
            PromptMode::InContext(more) => {
                let most = if let ExtraPassages::Passages(count) = more { count } else { usize::MAX };
                let mut random = self.stream(question);
                let others = self.library().others(question, &mut random).into_iter().take(most);
                let all: Vec<&str> = question.context.iter().map(String::as_str).chain(others).collect();
                let mut fitting = self.fitting(question, &all, Opening::Answer)?;
                fitting.shuffle(&mut random);
                plain(&fitting, Opening::Answer)
            }
            PromptMode::Oracle => {
                let library = self.library();
                let mut chosen = library.needed(question);
                let found = library.search(&question.text, passages() + chosen.len());
                let wanted = passages().max(chosen.len());
                chosen.extend(found.into_iter().filter(|at| !chosen.contains(at)).collect::<Vec<_>>());
                chosen.truncate(wanted);
                let mut fitting = self.fitting(question, &self.texts(&chosen), Opening::Answer)?;
                fitting.shuffle(&mut self.stream(question));
                plain(&fitting, Opening::Answer)
            }
            PromptMode::Retrieved => plain(&self.found(question, "", Opening::Answer)?, Opening::Answer),
            PromptMode::Restore => match masked(question) {
                Some(sentence) => Ok((format!("{BOS} {sentence} ."), Opening::Answer)),
                None => plain(&[], Opening::Answer),
            },
            PromptMode::RetrievedWhileThinking => plain(&self.found(question, "", Opening::Think)?, Opening::Think),
            PromptMode::Forward => match cloze(&self.start.knowledge, question) {
                Some(Cloze { beginning, .. }) => Ok((format!("{BOS} {beginning}"), Opening::Answer)),
                None => plain(&[], Opening::Answer),
            },
        }
    }

    /// The passages that a search finds by the question, and those that it finds by what was just thought. The best stands
    /// nearest to the question.
    pub fn found(&self, question: &Question, thought: &str, opening: Opening) -> Result<Vec<String>> {
        let (library, count) = (self.library(), self.experiment.config.arms.passages);
        let mut chosen = library.search(&question.text, count);
        let by_thought = library.search(thought, count);
        chosen.extend(by_thought.into_iter().filter(|at| !chosen.contains(at)).collect::<Vec<_>>());
        let mut fitting = self.fitting(question, &self.texts(&chosen), opening)?;
        fitting.reverse();
        Ok(fitting)
    }

    fn texts(&self, numbers: &[usize]) -> Vec<&str> {
        numbers.iter().map(|at| self.library().passages()[*at].text.as_str()).collect()
    }

    /// The first of these passages, as many as the model has room for beside the question and what it is to write.
    fn fitting(&self, question: &Question, passages: &[&str], opening: Opening) -> Result<Vec<String>> {
        let tokenizer = &self.start.base.tokenizer;
        let room = self.start.base.policy.config.longest_sequence();
        let room = room.saturating_sub(self.experiment.config.evaluation.max_new_tokens);
        let mut fitting: Vec<String> = Vec::new();
        let mut taken = tokenizer.encode(&tokenizer.prompt(&[], &question.text, opening)?)?.len();
        for passage in passages {
            taken += tokenizer.encode(passage)?.len();
            if taken > room {
                break;
            }
            fitting.push(passage.to_string());
        }
        // Joined, passages may have a few tokens more than each by itself.
        while !fitting.is_empty()
            && tokenizer.encode(&tokenizer.prompt(&fitting, &question.text, opening)?)?.len() > room
        {
            fitting.pop();
        }
        Ok(fitting)
    }

    /// A question with a thought that is already written.
    fn after(&self, question: &Question, thought: &str) -> Result<Prompt> {
        let opened = self.start.base.tokenizer.prompt(&[], &question.text, Opening::Think)?;
        Ok((format!("{opened} {thought} {END_THINK} {ANSWER}"), Opening::Answer))
    }

    fn stream(&self, question: &Question) -> random::Stream {
        random::stream(self.experiment.config.evaluation.seed, &[question.id, 1])
    }
}

/// Whether an arm that answers from passages has any. One that needs none always has what it needs.
pub(crate) fn has_passages(knowledge: &Knowledge, arm: Arm) -> bool {
    let documents = || match knowledge {
        Knowledge::Generated(_) => true,
        Knowledge::Files(jsonl) => !jsonl.passages().is_empty(),
    };
    let contexts = || {
        [Set::A, Set::B].iter().any(|set| knowledge.questions(*set).iter().any(|question| !question.context.is_empty()))
    };
    match arm.way() {
        PromptMode::InContext(ExtraPassages::Passages(0)) => contexts(),
        PromptMode::InContext(_) => documents() || contexts(),
        PromptMode::Oracle | PromptMode::Retrieved | PromptMode::RetrievedWhileThinking => documents(),
        PromptMode::Forward => {
            let known = |question: &Question| cloze(knowledge, question).is_some();
            [Set::A, Set::B].iter().any(|set| knowledge.questions(*set).iter().any(known))
        }
        PromptMode::Direct | PromptMode::Think | PromptMode::Swapped | PromptMode::Filler(_) | PromptMode::Restore => {
            true
        }
    }
}

/// The sentence that a question asks about, as documents are masked.
fn masked(question: &Question) -> Option<String> {
    question.form.task.get().masked(question)
}

/// The last fact that a question needs, as a sentence of the documents that is to be completed.
pub(crate) fn cloze(facts: &dyn Facts, question: &Question) -> Option<Cloze> {
    facts.cloze(question.needed.last()?)
}

/// How a policy that was given the beginning of a sentence went on, and whether that is how the documents do.
pub(crate) fn completed(facts: &dyn Facts, question: &Question, completion: &str) -> Judgement {
    let Some(Cloze { beginning, rest }) = cloze(facts, question) else {
        return judge(facts, question, Opening::Answer, completion, true);
    };
    // A document goes on after the sentence, and is not waited for.
    let words = completion.split(EOS).next().unwrap_or_default().split_whitespace();
    let said = words.take(rest.split_whitespace().count()).collect::<Vec<_>>().join(" ");
    let asked = Question {
        text: beginning,
        answer: rest,
        matching: Match::Normalised,
        cue: String::new(),
        choices: Vec::new(),
        aliases: Vec::new(),
        ..question.clone()
    };
    judge(facts, &asked, Opening::Answer, &said, true)
}

/// A restored sentence as an answer to the question that it was asked for.
pub(crate) fn restored(facts: &dyn Facts, question: &Question, completion: &str) -> String {
    let said = match masked(question).and_then(|_| facts.read(completion)) {
        Some(Claim::Relation { subject, .. }) => subject,
        Some(Claim::Categorical { subject, predicate, .. }) => {
            if question.form.asks_subject {
                subject
            } else {
                predicate
            }
        }
        None => return completion.to_owned(),
    };
    format!("{} : {said} {EOS}", question.cue)
}

/// What was thought about a question in an arm; nothing, where it was not asked there.
fn thought<'a>(answered: &'a [Answered], arm: Arm, question: &Question) -> &'a str {
    let of = |one: &&Answered| one.arm == arm && one.sample == 0 && one.question == question.id;
    answered.iter().find(of).map_or("", |one| one.completion.split(END_THINK).next().unwrap_or("").trim())
}

/// The question whose trace a question is answered from in [`Arm::SwappedTraces`]: of the same form and set, and a
/// quarter to three quarters of them away, so that it is about another group or square: a trace about the same group may
/// well recite the answer. How far is drawn by `seed`: squares come in rows, and at a fixed distance the answers of two
/// questions would go together. Where it is the only one of its form, it is another one of its set, or any; none where there
/// is no other.
fn partner<'q>(questions: &'q [Question], question: &Question, seed: u64) -> Option<&'q Question> {
    let alike = |q: &&Question| (q.form, q.set) == (question.form, question.set);
    let in_set = |q: &&Question| q.set == question.set;
    let peers: Vec<&Question> = [questions.iter().filter(alike).collect(), questions.iter().filter(in_set).collect()]
        .into_iter()
        .find(|peers: &Vec<&Question>| peers.len() > 1)
        .unwrap_or_else(|| questions.iter().collect());
    if peers.len() < 2 {
        return None;
    }
    let at = peers.iter().position(|peer| peer.id == question.id).unwrap_or(0);
    let range = (peers.len() / 4).max(1)..=(peers.len() * 3 / 4).max(1);
    let away = random::stream(seed, &[question.id]).random_range(range);
    Some(peers[(at + away) % peers.len()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KnownSection;
    use crate::knowledge::hierarchy::{HIERARCHY, HOLDOUT, INHERITED};
    use crate::knowledge::syllogism::ENTAILMENT;
    use crate::knowledge::{SetSize, World, WorldConfig};
    use crate::language::tokenizer::PAD;

    #[test]
    fn a_trace_is_another_question_s_where_there_is_another_one() {
        let question = |id: u64, form, set| Question { id, set, ..Question::blank(form) };
        for count in 2..9 {
            let questions: Vec<Question> = (0..count).map(|id| question(id, ENTAILMENT, Set::B)).collect();
            for (seed, asked) in (0..20).flat_map(|seed| questions.iter().map(move |asked| (seed, asked))) {
                assert_ne!(partner(&questions, asked, seed).unwrap().id, asked.id);
            }
        }
        let alone = [question(1, ENTAILMENT, Set::B), question(2, HOLDOUT, Set::A), question(3, HOLDOUT, Set::B)];
        assert_eq!(partner(&alone, &alone[0], 0).unwrap().id, 3);
        assert_ne!(partner(&alone, &alone[1], 0).unwrap().id, 2);
        assert!(partner(&alone[..1], &alone[0], 0).is_none());
    }

    #[test]
    fn a_swapped_trace_is_about_nothing_that_the_question_is_about() {
        let a = SetSize { facts: 75, chains: 44, ..SetSize::default() };
        let world = World::new(&KnownSection::default().known(), &WorldConfig { a, ..WorldConfig::default() }).unwrap();
        let questions: Vec<Question> = [Set::A, Set::B].iter().flat_map(|set| world.questions(*set)).collect();
        let mut same_answer = 0;
        for question in &questions {
            let other = partner(&questions, question, 3).unwrap();
            assert_eq!((other.form, other.set), (question.form, question.set));
            // Contexts hold the whole group of a fact, and the premises of a chain.
            let about = |q: &Question| -> Vec<_> { q.context.iter().filter_map(|s| world.read(s)).collect() };
            let (here, there) = (about(question), about(other));
            assert!(question.needed.iter().all(|claim| here.contains(claim)), "{question:?}");
            if question.form != ENTAILMENT {
                assert!(!here.iter().any(|claim| there.contains(claim)), "{question:?} {other:?}");
            }
            assert!(!question.needed.iter().any(|claim| other.needed.contains(claim)), "{question:?} {other:?}");
            same_answer += usize::from(question.form == ENTAILMENT && question.answer == other.answer);
        }
        // A quarter, a quarter and a half of 152 answers agree by chance in 57 cases; three deviations are 18.
        assert!((39..=75).contains(&same_answer), "{same_answer}");
    }

    #[test]
    fn a_restored_sentence_is_an_answer() {
        let world = World::new(&KnownSection::default().known(), &WorldConfig::default()).unwrap();
        for question in world.questions(Set::B) {
            let Some(sentence) = masked(&question) else {
                assert_eq!(question.form, ENTAILMENT);
                continue;
            };
            let names = question.text.split(' ').filter(|word| !["who", "in", "?"].contains(word));
            let known: Vec<&str> = names.filter(|word| sentence.contains(word)).collect();
            assert!(known.contains(&question.cue.as_str()) && !sentence.contains(&question.answer), "{question:?}");
            let whole = question.context.iter().find(|s| question.needed.contains(&world.read(s).unwrap())).unwrap();
            let answer = format!("{} : {} <eos>", question.cue, question.answer);
            assert_eq!(restored(&world, &question, whole), answer);
            assert_eq!(restored(&world, &question, "in in guards ."), "in in guards .");
        }
    }

    #[test]
    fn what_is_said_of_a_kind_is_restored_and_what_follows_is_not() {
        let world = crate::knowledge::world::tests::full(0);
        let of_kinds = world.questions(Set::B).into_iter().filter(|question| question.task == HIERARCHY);
        for question in of_kinds {
            let Some(sentence) = masked(&question) else {
                assert!([INHERITED, HOLDOUT].contains(&question.form), "{question:?}");
                continue;
            };
            assert!(sentence.contains(question.named()) && !sentence.contains(&question.answer), "{sentence}");
            let whole = sentence.replace(PAD, &question.answer) + " .";
            assert_eq!(world.read(&whole).as_ref(), question.needed.first());
            let answer = format!("{} : {} <eos>", question.cue, question.answer);
            assert_eq!(restored(&world, &question, &whole), answer);
        }
    }
}
