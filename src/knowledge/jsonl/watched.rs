//! What of set B must not stand in anything that trains.
//!
//! Documents from files state the facts of B; that is how they are learned. What must not be there is a question of B with
//! its answer behind it, in whatever spelling: that is what the evaluation asks for. The words of a question alone are no
//! leak ("it was Tomas Beck who wrote the novel Glass Harbour"), nor is the answer before them.
//!
//! Text has no grammar, so a fact that is stated in the other order and in other words cannot be told from one that is not.

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use crate::knowledge::Question;
use crate::knowledge::training_text::{Leak, LeakKind};
use crate::text::{TextWord, words};
use crate::{Error, Result};

/// Words that may stand between a question and its answer, where the question is put with its mark: "A:", "I think it was".
const BETWEEN: usize = 8;

/// Words that lead from a question to its answer where no mark does, and how many of them.
const LEADING: [&str; 14] = [
    "a", "answer", "answers", "answered", "ans", "the", "is", "was", "it", "by", "correct", "final", "response",
    "reply",
];
const LEADS: usize = 4;

/// Questions and answers of B, ready to be looked for. Whatever is looked through takes time by its own length.
#[derive(Debug)]
pub struct LeakMatcher {
    questions: Spellings,
    answers: Spellings,
    /// Which of the answers answer which of the questions, and the number of the question in the set.
    pairs: HashMap<(usize, usize), usize>,
    /// The number in the set of each question that is looked for.
    first: HashMap<usize, usize>,
    /// Text and place of each question, for messages.
    asked: Vec<(String, String)>,
}

impl LeakMatcher {
    /// Errors: more questions than can be looked for at once.
    pub fn new<'a>(of_b: impl Iterator<Item = (&'a Question, &'a str)>) -> Result<LeakMatcher> {
        let (mut questions, mut answers) = (NumberedTexts::default(), NumberedTexts::default());
        let (mut pairs, mut first, mut asked) = (HashMap::new(), HashMap::new(), Vec::new());
        for (number, (question, place)) in of_b.enumerate() {
            asked.push((question.text.clone(), place.to_owned()));
            let Some(at) = questions.number(&question.text) else { continue };
            first.entry(at).or_insert(number);
            for answer in question.right_answers().filter_map(|answer| answers.number(answer)) {
                pairs.entry((at, answer)).or_insert(number);
            }
        }
        Ok(LeakMatcher { questions: questions.spellings()?, answers: answers.spellings()?, pairs, first, asked })
    }

    /// The first question of B in a text that its answer stands behind.
    pub fn find(&self, text: &str) -> Option<Leak> {
        let read = Unspaced::new(text);
        let questions = self.questions.in_text(&read);
        if questions.is_empty() {
            return None;
        }
        let mut answers: HashMap<usize, Vec<Hit>> = HashMap::new();
        for found in self.answers.in_text(&read) {
            answers.entry(found.from).or_default().push(found);
        }
        let answered = |question: &Hit| {
            let behind = read.reach(question.to).find_map(|at| {
                let mut there = answers.get(&at)?.iter();
                there.find_map(|answer| Some((answer.to, *self.pairs.get(&(question.number, answer.number))?)))
            })?;
            let (to, number) = behind;
            Some(self.leak(LeakKind::Answer, number, read.text(question.from, to)))
        };
        questions.iter().find_map(answered)
    }

    /// Whether a question for training asks what a question of B asks, or is answered in its own words by the answer to one.
    pub fn find_asked(&self, question: &str, answer: &str) -> Option<Leak> {
        let read = Unspaced::new(question);
        let whole = |found: &Hit| found.from == 0 && found.to == read.words.len();
        let same = self.questions.in_text(&read).into_iter().find(whole);
        match same.and_then(|found| self.first.get(&found.number)) {
            Some(number) => Some(self.leak(LeakKind::Question, *number, read.text(0, read.words.len()))),
            None => self.find(&format!("{question} {answer}")),
        }
    }

    fn leak(&self, kind: LeakKind, number: usize, text: String) -> Leak {
        Leak { kind, text, question: Some(self.asked[number].clone()) }
    }
}

/// Different texts with a number each.
#[derive(Default)]
struct NumberedTexts {
    numbers: HashMap<String, usize>,
    texts: Vec<String>,
}

impl NumberedTexts {
    /// The number of a text, by its spelling; `None` where it has no words.
    fn number(&mut self, text: &str) -> Option<usize> {
        let letters = Unspaced::new(text).letters;
        if letters.is_empty() {
            return None;
        }
        let next = self.texts.len();
        Some(*self.numbers.entry(letters).or_insert_with_key(|letters| {
            self.texts.push(letters.clone());
            next
        }))
    }

    fn spellings(self) -> Result<Spellings> {
        // The automaton that is complete takes the square of a text that repeats itself to build.
        let kind = Some(AhoCorasickKind::ContiguousNFA);
        let search = AhoCorasick::builder().kind(kind).build(&self.texts).map_err(|error| {
            Error::invalid("world.jsonl.questions", error.to_string(), "ask fewer questions about B")
        })?;
        Ok(Spellings { search })
    }
}

/// Texts that are looked for, whatever white space and hyphens stand in them.
#[derive(Debug)]
struct Spellings {
    search: AhoCorasick,
}

/// One of them in a text, from one word to before another.
struct Hit {
    number: usize,
    from: usize,
    to: usize,
}

impl Spellings {
    /// All that stand in a text as whole words, by where they end.
    fn in_text(&self, read: &Unspaced) -> Vec<Hit> {
        let whole = self.search.find_overlapping_iter(&read.letters).filter_map(|found| {
            let (from, to) = (read.starts.binary_search(&found.start()).ok()?, read.word_before(found.end())?);
            Some(Hit { number: found.pattern().as_usize(), from, to })
        });
        whole.collect()
    }
}

/// A text in which others are looked for: its letters without what stands between words.
struct Unspaced {
    words: Vec<TextWord>,
    letters: String,
    /// Where in the letters each word begins.
    starts: Vec<usize>,
}

impl Unspaced {
    fn new(text: &str) -> Unspaced {
        let words = words(text);
        let (mut letters, mut starts) = (String::new(), Vec::with_capacity(words.len()));
        for word in &words {
            starts.push(letters.len());
            letters += &word.text;
        }
        Unspaced { words, letters, starts }
    }

    /// How many words end at or before a place in the letters; `None` if it is within one.
    fn word_before(&self, end: usize) -> Option<usize> {
        if end == self.letters.len() { Some(self.words.len()) } else { self.starts.binary_search(&end).ok() }
    }

    /// Words at which an answer to a question that ends before word `to` may begin.
    fn reach(&self, to: usize) -> impl Iterator<Item = usize> {
        let put = self.words[..to].last().is_some_and(|word| word.asks);
        let leads = move |at: &usize| {
            let behind = at - to;
            // All words on the way there lead on.
            behind == 0
                || put && behind <= BETWEEN
                || behind <= LEADS && self.words[to..*at].iter().all(|word| LEADING.contains(&word.text.as_str()))
        };
        (to..self.words.len().min(to + BETWEEN + 1)).filter(leads)
    }

    fn text(&self, from: usize, to: usize) -> String {
        self.words[from..to].iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::Match;
    use crate::knowledge::jsonl::task::COMPLETION;

    /// Questions of B with their answers.
    fn watched(rows: &[(&str, &str)]) -> LeakMatcher {
        let question = |(text, answer): &(&str, &str)| {
            let (text, answer) = (text.to_string(), answer.to_string());
            Question { text, answer, matching: Match::Normalised, ..Question::blank(COMPLETION) }
        };
        let questions: Vec<Question> = rows.iter().map(question).collect();
        LeakMatcher::new(questions.iter().zip(["q.jsonl: line 1"].into_iter().cycle())).unwrap()
    }

    #[test]
    fn an_answer_behind_its_question_is_found_in_every_spelling() {
        let watched =
            watched(&[("Who wrote La for\u{ea}t ?", "Jos\u{e9} T\u{e9}llez"), ("Mavon is known as", "a diver.")]);
        for text in [
            "Who wrote La for\u{ea}t ? Jos\u{e9} T\u{e9}llez",
            "Who wrote La fore\u{302}t ? Jose\u{301} Te\u{301}llez",
            "WHO WROTE LA FOR\u{ca}T ? JOS\u{c9} T\u{c9}LLEZ.",
            "Who wrote \u{ab}La for\u{ea}t\u{bb}? Jos\u{e9}-T\u{e9}llez",
            "Who wrote La for\u{ea}t? Jos\u{e9}\u{ad}T\u{e9}llez",
            "Who\u{a0}wrote La\u{200b} for\u{ea}t\n\nJos\u{e9} T\u{e9}llez",
            "Intro. Q: Who wrote La for\u{ea}t? A: Jos\u{e9} T\u{e9}llez. More.",
            "Who wrote La for\u{ea}t: the answer is Jos\u{e9} T\u{e9}llez",
            "Who wrote La for\u{ea}t? I am told that it was Jos\u{e9} T\u{e9}llez.",
            "mavon is known as A Diver, they say",
        ] {
            let leak = watched.find(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(leak.kind, LeakKind::Answer);
        }
        let leak = watched.find("so who wrote la for\u{ea}t? Jos\u{e9} T\u{e9}llez!").unwrap();
        assert_eq!(leak.text, "who wrote la for\u{ea}t jos\u{e9} t\u{e9}llez");
        let (question, place) = leak.question.unwrap();
        assert!(question == "Who wrote La for\u{ea}t ?" && place.ends_with("q.jsonl: line 1"), "{question} {place}");
    }

    #[test]
    fn the_words_of_a_question_alone_are_no_leak() {
        let watched = watched(&[("Who wrote the novel Glass Harbour?", "Tomas Beck"), ("How many?", "5")]);
        for text in [
            "It was Tomas Beck who wrote the novel Glass Harbour.",
            "Tomas Beck, who wrote the novel Glass Harbour, lived in Marwick, where Tomas Beck died.",
            "Who wrote the novel Glass Harbour?",
            "Who wrote the novel Glass Harbour? Nobody knows; some say Rik.",
            "Who wrote the novel Glass Harbourside? Tomas Beck",
            "Who wrote the novel Glass Harbour? Tomas Beckett",
            "How many? 51",
            "How many? 5.5",
        ] {
            assert_eq!(watched.find(text), None, "{text}");
        }
    }

    #[test]
    fn a_question_that_is_trained_on_is_none_of_those() {
        let watched = watched(&[("Who wrote the novel Glass Harbour?", "Tomas Beck")]);
        let kind = |question: &str, answer: &str| watched.find_asked(question, answer).map(|leak| leak.kind);
        assert_eq!(kind("who wrote the novel \u{201c}Glass Harbour\u{201d}", "Rik Dop"), Some(LeakKind::Question));
        assert_eq!(kind("Tell me: who wrote the novel Glass Harbour?", "Tomas Beck"), Some(LeakKind::Answer));
        assert_eq!(kind("When did the man who wrote the novel Glass Harbour die?", "1950"), None);
    }

    #[test]
    fn other_right_answers_are_watched_as_well_and_many_questions_at_once() {
        let many: Vec<(String, String)> = (0..3_000).map(|i| (format!("Who is {i}?"), format!("name {i}"))).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(q, a)| (q.as_str(), a.as_str())).collect();
        let watched = watched(&many);
        let text: String = (0..3_000).map(|i| format!("Who is {i}? name {}. ", i + 1)).collect();
        assert_eq!(watched.find(&text), None);
        assert!(watched.find(&(text + "Who is 7? Name 7")).is_some());
    }
}
