//! Finds statements in sentences: who, the words between, and what.

use super::mentions::Mention;
use crate::knowledge::english::claim_reader::prose_token::{ProseToken, Sign};
use crate::knowledge::english::claim_reader::verbs::{is_irregular, past_of};
use crate::knowledge::english::claim_reader::word_lists::{ADVERBS, ADVERBS_OF_TWO, HEDGES, JOINTS, UNSTATED};

/// Words between a subject and an object.
const LONGEST_PHRASE: usize = 8;
/// Words behind an object that belong to the wording.
const LONGEST_TAIL: usize = 6;
/// Words of an aside between two commas.
const LONGEST_ASIDE: usize = 14;
/// Words of "the highest mountain of".
const LONGEST_NOUN: usize = 3;
/// Names in one list.
const LONGEST_LIST: usize = 12;

const AUXILIARY: [&str; 9] = ["is", "was", "are", "were", "has", "had", "have", "became", "remains"];
const COPULAS: [&str; 4] = ["is", "was", "are", "were"];
/// Words with which a sentence denies what it says.
const DENYING: [&str; 9] = ["not", "never", "no", "nobody", "nothing", "none", "neither", "nor", "without"];
/// Words within no phrase: another statement begins there, or somebody else is meant.
const APART: [&str; 24] = [
    "and", "but", "while", "whereas", "because", "since", "although", "though", "yet", "before", "after", "when", "so",
    "plus", "whom", "than", "he", "she", "it", "they", "him", "her", "them", "whose",
];
const SINGULAR: [&str; 3] = ["he", "she", "it"];
const PLACING: [&str; 12] =
    ["in", "on", "at", "near", "by", "between", "along", "behind", "north", "south", "east", "west"];
const OWNERS: [&str; 4] = ["his", "her", "its", "their"];

/// How a statement is worded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PhraseForm {
    /// "{subject} brought {object} back": the words between, and those behind, often none.
    Active { phrase: String, tail: String },
    /// "{object} was designed by {subject}".
    Passive { auxiliary: String, participle: String },
    /// "the capital of {object} is {subject}".
    NounFirst { noun: String, copula: String },
    /// "{subject}'s wife is {object}".
    Owned { noun: String, copula: String },
}

/// A statement with the names in it as they are written.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundStatement {
    pub subject: String,
    pub object: String,
    pub form: PhraseForm,
}

/// A clause: what it states of whom, and the place behind it.
struct FoundClause {
    statements: Vec<FoundStatement>,
    subjects: Vec<String>,
    end: usize,
}

/// A sentence that is looked through.
pub struct SentenceScan<'a> {
    tokens: &'a [ProseToken],
    mentions: &'a [Mention],
    /// For each word the mention that begins with it.
    begins: Vec<Option<usize>>,
}

impl<'a> SentenceScan<'a> {
    pub fn new(tokens: &'a [ProseToken], mentions: &'a [Mention]) -> Self {
        let mut begins = vec![None; tokens.len()];
        mentions.iter().enumerate().for_each(|(number, mention)| begins[mention.from] = Some(number));
        SentenceScan { tokens, mentions, begins }
    }

    /// What the sentence states. `spoken` is who was last spoken of, and then of whom this sentence speaks.
    pub fn statements(&self, spoken: &mut Vec<String>) -> Vec<FoundStatement> {
        let mut found = Vec::new();
        let mut about: Option<Vec<String>> = self.mentions.first().map(|mention| vec![mention.name.clone()]);
        if self.is_stated() {
            let (mut at, mut carried) = (0, None::<Vec<String>>);
            while at < self.tokens.len() {
                let joint = self.begins[at].is_none() && self.is_any(at, &["and", "but", "while", "whereas", "plus"]);
                if joint || !self.may_begin(at) {
                    at += 1;
                    continue;
                }
                match self.clause(at, carried.as_deref(), spoken) {
                    Some(clause) => {
                        found.extend(clause.statements);
                        (carried, about) = (Some(clause.subjects.clone()), Some(clause.subjects));
                        at = clause.end.max(at + 1);
                    }
                    None => (at, carried) = (at + 1, None),
                }
            }
        }
        if let Some(about) = about {
            *spoken = about;
        }
        found
    }

    fn is_any(&self, at: usize, words: &[&str]) -> bool {
        self.tokens.get(at).is_some_and(|token| token.is_any(words))
    }

    fn sign(&self, at: usize) -> Option<Sign> {
        self.tokens.get(at).map(|token| token.sign)
    }

    fn may_begin(&self, at: usize) -> bool {
        self.begins[at].is_some() || self.sign(at) == Some(Sign::Word)
    }

    fn mention(&self, at: usize) -> Option<&'a Mention> {
        self.begins.get(at).copied().flatten().map(|number| &self.mentions[number])
    }

    /// Nothing is asked, supposed, doubted or denied.
    fn is_stated(&self) -> bool {
        let mut at = 0;
        while let Some(token) = self.tokens.get(at) {
            if let Some(mention) = self.mention(at) {
                at = mention.to;
                continue;
            }
            // "Korstad lies on the coast" is no lie.
            let stands = token.is_any(&["lie", "lies"]) && self.is_any(at + 1, &PLACING);
            let unstated = token.is_any(UNSTATED) && !stands;
            if token.sign == Sign::Asks || unstated || token.is_any(HEDGES) || token.is_any(&DENYING) {
                return false;
            }
            at += 1;
        }
        true
    }

    /// The clause that begins at a place. `carried` is who the clause just before was about.
    fn clause(&self, at: usize, carried: Option<&[String]>, spoken: &[String]) -> Option<FoundClause> {
        if let Some(clause) = self.cleft(at).or_else(|| self.noun_first(at)) {
            return Some(clause);
        }
        if self.mention(at).is_some() {
            return self.named(at);
        }
        let one = spoken.len() == 1;
        if self.is_any(at, &SINGULAR) && one || self.is_any(at, &["they"]) && spoken.len() > 1 {
            return self.predicate(at + 1, spoken, false);
        }
        if self.is_any(at, &OWNERS) && one {
            return self.predicate(at + 1, spoken, true);
        }
        self.predicate(at, carried?, false)
    }

    /// "it was Mara Venn who designed …"
    fn cleft(&self, at: usize) -> Option<FoundClause> {
        let mention = self.mention(at + 2).filter(|_| self.is_any(at, &["it"]) && self.is_any(at + 1, &COPULAS))?;
        let who = self.is_any(mention.to, &["who", "that", "which"]);
        who.then(|| self.predicate(mention.to + 1, std::slice::from_ref(&mention.name), false)).flatten()
    }

    /// "the capital of France is Paris"
    fn noun_first(&self, at: usize) -> Option<FoundClause> {
        if !self.is_any(at, &["the"]) || self.begins[at].is_some() {
            return None;
        }
        let small = |at: &usize| {
            let word = self.tokens.get(*at).filter(|token| token.sign == Sign::Word && !token.capital);
            word.is_some_and(|token| !token.is_any(&APART)) && self.begins[*at].is_none()
        };
        let of = (at + 1..).take_while(small).take(LONGEST_NOUN + 1).find(|at| self.is_any(*at, &["of"]))?;
        let object = self.mention(of + 1).filter(|_| of > at + 1)?;
        let subject = self.mention(object.to + 1).filter(|_| self.is_any(object.to, &["is", "was"]))?;
        let form = PhraseForm::NounFirst { noun: self.words(at + 1, of), copula: self.words(object.to, object.to + 1) };
        let statement = FoundStatement { subject: subject.name.clone(), object: object.name.clone(), form };
        Some(FoundClause { statements: vec![statement], subjects: vec![subject.name.clone()], end: subject.to })
    }

    /// A clause with names first: "Mara Venn, an architect, designed …".
    fn named(&self, at: usize) -> Option<FoundClause> {
        let (list, end) = self.list(at);
        let names = |mentions: &[&Mention]| mentions.iter().map(|mention| mention.name.clone()).collect::<Vec<_>>();
        if list.iter().any(|mention| mention.amount) {
            return None;
        }
        let all = self.predicate(end, &names(&list), false);
        if all.is_some() {
            return all;
        }
        let (first, end) = (names(&list[..1]), list[0].to);
        if self.sign(end) != Some(Sign::Comma) {
            return self.predicate(end, &first, false);
        }
        if self.is_any(end + 1, &["who", "which", "that"]) {
            let mut inner = self.predicate(end + 2, &first, false)?;
            if self.sign(inner.end) == Some(Sign::Comma)
                && let Some(outer) = self.predicate(inner.end + 1, &first, false)
            {
                inner.statements.extend(outer.statements);
                inner.end = outer.end;
            }
            return Some(inner);
        }
        let close = (end + 1..end + LONGEST_ASIDE).find(|at| self.sign(*at) != Some(Sign::Word))?;
        let closed = self.sign(close) == Some(Sign::Comma);
        closed.then(|| self.predicate(close + 1, &first, false)).flatten()
    }

    /// The names of a list that begins at a place where one does, and the place behind it.
    fn list(&self, at: usize) -> (Vec<&'a Mention>, usize) {
        let mut list: Vec<&Mention> = self.mention(at).into_iter().collect();
        let mut end = list.first().map_or(at, |mention| mention.to);
        let mut closed = list.len();
        while list.len() < LONGEST_LIST {
            let comma = usize::from(self.sign(end) == Some(Sign::Comma));
            let and = usize::from(self.is_any(end + comma, &["and"]));
            let Some(next) = self.mention(end + comma + and).filter(|_| comma + and > 0) else { break };
            list.push(next);
            end = next.to;
            if and == 1 {
                closed = list.len();
                break;
            }
        }
        list.truncate(closed);
        let end = list.last().map_or(at, |mention| mention.to);
        (list, end)
    }

    /// What is said of somebody from a place on. `owned` is what belongs to them: "her wife is …".
    fn predicate(&self, at: usize, subjects: &[String], owned: bool) -> Option<FoundClause> {
        let owned = owned || self.is_any(at, &["'s"]);
        let from = at + usize::from(self.is_any(at, &["'s"]));
        let (mut phrase, mut place) = (Vec::new(), from);
        while self.mention(place).is_none() {
            let token = self.tokens.get(place).filter(|token| token.sign == Sign::Word)?;
            if place - from > LONGEST_PHRASE || token.is_any(&APART) || token.is("'s") {
                return None;
            }
            // The reader of claims passes adverbs over.
            if !token.is_any(ADVERBS) {
                phrase.push(token.word.as_str());
            }
            place += 1;
        }
        let (first, last) = (*phrase.first()?, *phrase.last()?);
        let relative = phrase.iter().any(|word| ["who", "which", "that"].contains(word));
        if relative && !COPULAS.contains(&first) {
            return None;
        }
        let (objects, end) = self.objects(place);
        let tail = if objects.len() == 1 { self.tail(end) } else { None };
        let behind = tail.as_ref().map_or(end, |(_, behind)| *behind);
        let tail = tail.map_or_else(String::new, |(tail, _)| tail);
        let copula = ["is", "was"].contains(&last);
        let form = if owned {
            let noun = phrase[..phrase.len() - 1].join(" ");
            Some(PhraseForm::Owned { noun, copula: last.into() }).filter(|_| copula && phrase.len() > 1)
        } else if !is_verb(first) {
            None
        } else if let [auxiliary, participle, "by"] = phrase[..]
            && COPULAS.contains(&auxiliary)
            && past_of(participle).is_some()
            && tail.is_empty()
        {
            Some(PhraseForm::Passive { auxiliary: auxiliary.into(), participle: participle.into() })
        } else {
            Some(PhraseForm::Active { phrase: phrase.join(" "), tail })
        }?;
        let turned = matches!(form, PhraseForm::Passive { .. });
        let mut statements = Vec::new();
        for name in subjects {
            for object in &objects {
                let (one, other) = (name.clone(), object.name.clone());
                let (subject, object) = if turned { (other, one) } else { (one, other) };
                statements.push(FoundStatement { subject, object, form: form.clone() });
            }
        }
        (!statements.is_empty()).then(|| FoundClause { statements, subjects: subjects.to_vec(), end: behind })
    }

    /// What stands in the place of an object: a list, or one name where more follows that is said of the last.
    fn objects(&self, at: usize) -> (Vec<&'a Mention>, usize) {
        let (mut list, mut end) = self.list(at);
        let goes_on = self.sign(end) == Some(Sign::Word) && !self.ends_at(end);
        if list.len() > 1 && goes_on {
            list.truncate(1);
            end = list[0].to;
        }
        (list, end)
    }

    /// Whether a statement ends before what stands here: another one, or what only says when or how.
    fn ends_at(&self, at: usize) -> bool {
        let number = |at: usize| self.tokens.get(at).is_some_and(ProseToken::is_number);
        let pair = ADVERBS_OF_TWO.iter().any(|pair| self.is_any(at, &pair[..1]) && self.is_any(at + 1, &pair[1..]));
        let year = self.is_any(at, &["in", "around", "about", "by", "since", "during"]) && number(at + 1);
        let ago = self.is_any(at, &["years", "centuries", "decades"]) || self.is_any(at + 3, &["ago"]);
        self.is_any(at, JOINTS) || self.is_any(at, ADVERBS) || pair || year || ago
    }

    /// The words behind an object up to the end of the sentence, where they belong to what is said.
    fn tail(&self, at: usize) -> Option<(String, usize)> {
        if self.ends_at(at) {
            return None;
        }
        let plain = |at: &usize| self.mention(*at).is_none() && self.sign(*at) == Some(Sign::Word);
        let length = (at..self.tokens.len()).take_while(plain).count();
        let ends = self.tokens[at + length..].iter().all(|token| token.sign == Sign::Stop);
        (ends && (1..=LONGEST_TAIL).contains(&length)).then(|| (self.words(at, at + length), at + length))
    }

    fn words(&self, from: usize, to: usize) -> String {
        self.tokens[from..to].iter().map(|token| token.word.as_str()).collect::<Vec<_>>().join(" ")
    }
}

/// Whether a word can be the verb that a phrase begins with.
fn is_verb(word: &str) -> bool {
    let regular = word.len() > 3 && (word.ends_with("ed") || (word.ends_with('s') && !word.ends_with("ss")));
    AUXILIARY.contains(&word) || is_irregular(word) || regular
}
