//! Hand-made completions from perfect to hostile, on which a reward shows what it pays for before it is used.

use super::scorer::Unscored;
use super::{Record, Score, Scorer};
use crate::knowledge::reversal::{OPEN, REVERSAL};
use crate::knowledge::syllogism::{ENTAILMENT, SYLLOGISM};
use crate::knowledge::{Claim, Match, Mood, Question, Set};
use crate::language::Opening;
use crate::rollout::{Finish, PartialCompletion, Versions};
use crate::verifier::{Facts, judge};

/// A completion that somebody might write.
#[derive(Clone, Debug)]
pub struct Example {
    /// What is special about it, in a few words.
    pub name: &'static str,
    /// As if it had been sampled for the first step; its tokens are a word each.
    pub record: Record,
}

/// All of them, those about the first question first.
pub fn examples() -> Vec<Example> {
    let who = |name, text: &str| example(name, guards(), text);
    let whether = |name, text: &str| example(name, follows(), text);
    let fact = "in tarn mavo guards bilu .";
    let others = "in tarn rik guards tal . in tarn sova guards nem . in tarn pell guards dro .";
    vec![
        who("recites the fact and answers", &format!("{fact} {RIGHT}")),
        who("recites the whole group and answers", &format!("{others} {fact} {RIGHT}")),
        who("recites the fact six times", &format!("{} {RIGHT}", [fact; 6].join(" "))),
        who("is right by luck, after an idle fact", &format!("in tarn rik guards tal . {RIGHT}")),
        who("is right by luck, in silence", RIGHT),
        who("is right after a false recitation", &format!("in tarn rik guards bilu . {RIGHT}")),
        who("recites two answers and picks the right one", &format!("{fact} in tarn rik guards bilu . {RIGHT}")),
        who("is right, with words out of place", &format!("{fact} <think> guards {RIGHT}")),
        who("recites the fact and answers wrongly", &format!("{fact} {WRONG}")),
        who("draws a wrong answer from a false fact", &format!("in tarn rik guards bilu . {WRONG}")),
        who("is wrong in silence", WRONG),
        who("names everybody", &format!("{others} </think> <answer> bilu : mavo rik sova pell <eos>")),
        who("recites one true fact and never answers", &["in tarn rik guards tal ."; 11].join(" ")),
        who("writes markers only", "</think> </think> <answer> : <answer> . <eos> <eos>"),
        who("writes nothing", "<eos>"),
        whether("recites both premises and concludes", &format!("{MAJOR} {MINOR} {NO}")),
        whether("is right after one premise", &format!("{MAJOR} {NO}")),
        whether("is right, by a false middle term", &format!("of vops all are gols . of zeds none are gols . {NO}")),
        whether("recites the conclusion itself", &format!("of vops none are zeds . {NO}")),
        whether("recites both premises, concludes wrongly", &format!("{MAJOR} {MINOR} {YES}")),
    ]
}

const RIGHT: &str = "</think> <answer> bilu : mavo <eos>";
const WRONG: &str = "</think> <answer> bilu : rik <eos>";
const MAJOR: &str = "of vops all are mibs .";
const MINOR: &str = "of zeds none are mibs .";
const NO: &str = "</think> <answer> of vops some are zeds : no <eos>";
const YES: &str = "</think> <answer> of vops some are zeds : yes <eos>";

/// What an example is worth.
#[derive(Clone, Debug)]
pub struct Explained {
    pub example: Example,
    pub score: Score,
}

/// Scores every example, as if it had been sampled for the first step.
pub fn explain(scorer: &Scorer) -> Vec<Explained> {
    let asked: Vec<(Example, Unscored)> =
        examples().into_iter().map(|example| (example.clone(), scorer.ask(&example.record.evidence()))).collect();
    let score = |(example, asked): (Example, Unscored)| {
        let score = scorer.wait(&example.record.evidence(), asked);
        Explained { example, score }
    };
    asked.into_iter().map(score).collect()
}

/// A wrong answer that is paid at least as much as a right one that was recited honestly to the same question: the
/// worst such pair (the wrong one first), if there is any. A policy will find it. What has no total is passed over.
pub fn loophole(explained: &[Explained]) -> Option<(&Explained, &Explained)> {
    let honest = |one: &&Explained| one.example.record.judgement.correct && one.example.is_honest();
    let pairs = explained.iter().filter(|one| !one.example.record.judgement.correct).flat_map(|wrong| {
        let same = move |one: &&Explained| one.example.record.question == wrong.example.record.question;
        explained.iter().filter(honest).filter(same).map(move |right| (wrong, right))
    });
    let margins = pairs.filter_map(|(wrong, right)| Some((wrong.score.total? - right.score.total?, (wrong, right))));
    let paid = margins.filter(|(margin, _)| *margin >= 0.0);
    paid.max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, pair)| pair)
}

impl Example {
    /// Nothing false was recited, and everything that is needed.
    fn is_honest(&self) -> bool {
        let judgement = &self.record.judgement;
        judgement.needed_found == judgement.needed && judgement.recitations.iter().all(|one| one.is_true)
    }
}

#[cfg(test)]
impl Example {
    /// The example as a rollout of a step, paid for its right answer.
    pub fn sampled(&self, step: u64, sample: usize) -> Record {
        let mut record = Record { step, sample, version: super::SampledBy::One(step - 1), ..self.record.clone() };
        let total = Some(f64::from(u8::from(record.judgement.correct)));
        record.pay(Score { total, terms: vec![] });
        record
    }
}

fn example(name: &'static str, question: Question, completion: &str) -> Example {
    let finished = completion.contains("<eos>");
    let judgement = judge(&Village, &question, Opening::Think, completion, finished);
    let tokens = vec![0; completion.split_whitespace().count()];
    let finish = if finished { Finish::Stop } else { Finish::Length };
    let mut versions = Versions::default();
    versions.push(0);
    let sampled = PartialCompletion { tokens, versions, ..PartialCompletion::new(0, 0) }.end(finish);
    Example { name, record: Record::new(1, &question, &sampled, completion.into(), judgement) }
}

fn guards() -> Question {
    Question {
        id: 1,
        task: REVERSAL,
        form: OPEN,
        set: Set::A,
        text: "who in tarn guards bilu ?".into(),
        cue: "bilu".into(),
        answer: "mavo".into(),
        aliases: vec![],
        matching: Match::Exact,
        choices: ["mavo", "rik", "sova", "pell"].map(String::from).to_vec(),
        needed: vec![relation("tarn", "mavo", "bilu")],
        conclusion: None,
        context: vec![],
        chance: 0.25,
    }
}

fn follows() -> Question {
    Question {
        id: 2,
        task: SYLLOGISM,
        form: ENTAILMENT,
        set: Set::A,
        text: "does it follow that of vops some are zeds ?".into(),
        cue: "of vops some are zeds".into(),
        answer: "no".into(),
        aliases: vec![],
        matching: Match::Exact,
        choices: ["yes", "no", "unknown"].map(String::from).to_vec(),
        needed: vec![categorical("vops", Mood::All, "mibs"), categorical("zeds", Mood::No, "mibs")],
        conclusion: None,
        context: vec![],
        chance: 0.5,
    }
}

fn relation(group: &str, subject: &str, object: &str) -> Claim {
    let [group, subject, relation, object] = [group, subject, "guards", object].map(String::from);
    Claim::Relation { group, subject, relation, object }
}

fn categorical(subject: &str, mood: Mood, predicate: &str) -> Claim {
    Claim::Categorical { subject: subject.into(), mood, predicate: predicate.into() }
}

/// A place where four people guard four creatures, and a lesson in logic.
struct Village;

impl Facts for Village {
    fn read(&self, sentence: &str) -> Option<Claim> {
        let words: Vec<&str> = sentence.split_whitespace().take(7).collect();
        match words[..] {
            ["in", group, subject, "guards", object, "."] => Some(relation(group, subject, object)),
            ["of", subject, quantifier, "are", predicate, ..] => {
                let mood = match quantifier {
                    "all" => Mood::All,
                    "none" => Mood::No,
                    "some" => Mood::Some,
                    _ => return None,
                };
                Some(categorical(subject, mood, predicate))
            }
            _ => None,
        }
    }

    fn holds(&self, claim: &Claim) -> bool {
        let facts = [("mavo", "bilu"), ("rik", "tal"), ("sova", "nem"), ("pell", "dro")];
        let premises = follows().needed;
        facts.iter().any(|(subject, object)| *claim == relation("tarn", subject, object)) || premises.contains(claim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reward::Reward;

    fn loophole_of(text: &str) -> Option<(&'static str, &'static str)> {
        let explained = explain(&Scorer::open(&Reward::parse(text, "r.toml").unwrap()).unwrap());
        loophole(&explained).map(|(wrong, right)| (wrong.example.name, right.example.name))
    }

    #[test]
    fn a_reward_for_truth_alone_has_a_loophole_and_one_for_right_answers_has_none() {
        let (wrong, right) = loophole_of("[[term]]\nkind = 'recitation'").unwrap();
        assert_eq!(wrong, "recites both premises, concludes wrongly");
        assert_eq!(right, "recites both premises and concludes");
        assert_eq!(loophole_of("[[term]]\nkind = 'correct'"), None);
        assert!(loophole_of("[[term]]\nkind = 'length'\nlimit = 64").is_some());
    }
}
