//! What of set B must not stand in anything that trains.
//!
//! Documents from files state the facts of B; that is how they are learned. What must not be there is a question of B with
//! its answer behind it, in whatever spelling: that is what the evaluation asks for. The words of a question alone are no
//! leak ("it was Tomas Beck who wrote the novel Glass Harbour"), nor is the answer before them.
//!
//! Text has no grammar, so a fact that is stated in the other order and in other words cannot be told from one that is not.

use std::collections::HashMap;

use super::lessons::LessonRow;
use super::markup::readings;
use super::shown::without_choices;
use super::spelling::{Hit, NumberedTexts, Spellings, Unspaced};
use crate::Result;
use crate::knowledge::number::Number;
use crate::knowledge::training_text::{Leak, LeakKind};
use crate::knowledge::{Key, Match, Question};
use crate::text::bare;

/// Words that may stand between a question and its answer, where the question is put with its mark: "A:", "I think it was".
const BETWEEN: usize = 8;

/// Words that lead from a question to its answer where no mark does, and how many of them. So do signs.
const LEADING: [&str; 15] = [
    "a", "an", "answer", "answers", "answered", "ans", "the", "is", "was", "it", "by", "correct", "final", "response",
    "reply",
];
const LEADS: usize = 4;

/// Words of the longest number: "1 234 567", and what it counts.
const OF_A_NUMBER: usize = 4;

/// Questions and answers of B, ready to be looked for. Whatever is looked through takes time by its own length.
#[derive(Debug)]
pub struct LeakMatcher {
    questions: Spellings,
    answers: Spellings,
    known: WatchedTexts,
}

/// What is known of the texts of questions and answers, by their numbers among the different ones. Each comes with the number
/// of a question in the set.
#[derive(Debug, Default)]
struct WatchedTexts {
    /// Which of the answers answer which of the questions.
    pairs: HashMap<(usize, usize), usize>,
    /// The same of answers that are compared as numbers, by their value.
    numbers: HashMap<(usize, Key), (Number, usize)>,
    /// The texts that are questions as they stand.
    whole: HashMap<usize, usize>,
    /// Those that are questions without the choices that they show.
    plain: HashMap<usize, usize>,
    /// Text and place of each question of the set, for messages.
    asked: Vec<(String, String)>,
}

impl LeakMatcher {
    /// Errors: more questions than can be looked for at once.
    pub fn new<'a>(of_b: impl Iterator<Item = (&'a Question, &'a str)>) -> Result<LeakMatcher> {
        let mut gathered = Gathered::default();
        of_b.for_each(|(question, place)| gathered.add(question, place));
        let Gathered { questions, answers, known } = gathered;
        Ok(LeakMatcher { questions: questions.spellings()?, answers: answers.spellings()?, known })
    }

    /// The first question of B in a text that its answer stands behind.
    pub fn find(&self, text: &str) -> Option<Leak> {
        readings(text).iter().find_map(|text| self.find_in(&Unspaced::new(text)))
    }

    fn find_in(&self, read: &Unspaced) -> Option<Leak> {
        let questions = self.questions.in_text(read);
        if questions.is_empty() {
            return None;
        }
        let mut answers: HashMap<usize, Vec<Hit>> = HashMap::new();
        for found in self.answers.in_text(read).into_iter().chain(self.answers.without_articles(read)) {
            answers.entry(found.from).or_default().push(found);
        }
        // Where an answer to the question ends that begins at a word, and the number of the question in the set.
        let answered = |question: &Hit, at: usize| {
            let mut there = answers.get(&at).into_iter().flatten();
            let number_of = |answer: usize| self.known.pairs.get(&(question.number, answer)).copied();
            let by_words = there.find_map(|answer| Some((answer.to, number_of(answer.number)?)));
            by_words.or_else(|| self.answered_by_number(question.number, read, at))
        };
        questions.iter().find_map(|question| {
            let (to, number) = reach(read, question.to).find_map(|at| answered(question, at))?;
            Some(self.leak(LeakKind::Answer, number, read.text(question.from, to)))
        })
    }

    /// The same of a number that begins at a word, however it is written.
    fn answered_by_number(&self, question: usize, read: &Unspaced, at: usize) -> Option<(usize, usize)> {
        if self.known.numbers.is_empty() || !read.words[at].text.contains(char::is_numeric) {
            return None;
        }
        (at + 1..=read.words.len().min(at + OF_A_NUMBER)).find_map(|to| {
            let said = Number::read(&read.text(at, to))?;
            let (right, number) = self.known.numbers.get(&(question, value(&said)))?;
            right.is_said_by(&said).then_some((to, *number))
        })
    }

    /// Whether a question for training asks what a question of B asks, or is answered in its own words by the answer to one.
    ///
    /// The choices that it shows are left out of the second: a question that shows others is another question ("Which of
    /// these is true?"), until it has the same answer.
    pub fn find_asked(&self, question: &str, answer: &str) -> Option<Leak> {
        let plain = without_choices(question);
        let as_it_stands = self.find_same(question, plain.is_none());
        let same = as_it_stands.or_else(|| self.find_same(plain?, false));
        same.or_else(|| self.find(&format!("{} {answer}", plain.unwrap_or(question))))
    }

    /// A question of B with the same text; `plain` allows those that show choices, which the text does not.
    fn find_same(&self, text: &str, plain: bool) -> Option<Leak> {
        readings(text).iter().find_map(|text| {
            let read = Unspaced::new(text);
            let whole = |found: &Hit| found.from == 0 && found.to == read.words.len();
            let same = self.questions.in_text(&read).into_iter().find(whole)?.number;
            let of_plain = || self.known.plain.get(&same).filter(|_| plain);
            let number = self.known.whole.get(&same).or_else(of_plain)?;
            Some(self.leak(LeakKind::Question, *number, read.text(0, read.words.len())))
        })
    }

    /// A question of B that ends one part of a lesson while its answer begins the next: they are learned as one text.
    pub fn find_in_lesson(&self, lesson: &LessonRow) -> Option<Leak> {
        let LessonRow { prompt, thought, answer, context } = lesson;
        let asked = without_choices(prompt).unwrap_or(prompt);
        let context = context.iter().map(String::as_str);
        let parts = context.chain([asked]).chain(thought.as_deref()).chain([answer.as_str()]);
        self.find(&parts.collect::<Vec<_>>().join(" "))
    }

    fn leak(&self, kind: LeakKind, number: usize, text: String) -> Leak {
        Leak { kind, text, question: Some(self.known.asked[number].clone()) }
    }
}

/// Words at which an answer to a question that ends before word `to` may begin.
fn reach(read: &Unspaced, to: usize) -> impl Iterator<Item = usize> {
    let put = read.words[..to].last().is_some_and(|word| word.asks);
    let leads_on = |word: &str| LEADING.contains(&word) || !word.contains(char::is_alphanumeric);
    let leads = move |at: &usize| {
        let behind = at - to;
        // All words on the way there lead on.
        behind == 0
            || put && behind <= BETWEEN
            || behind <= LEADS && read.words[to..*at].iter().all(|word| leads_on(&word.text))
    };
    (to..read.words.len().min(to + BETWEEN + 1)).filter(leads)
}

/// Equal for equal numbers, whatever stands beside them.
fn value(number: &Number) -> Key {
    let (negative, digits, exponent) = number.value();
    Key::Number { negative, digits: digits.into(), exponent }
}

/// Questions with their answers, one after the other.
#[derive(Default)]
struct Gathered {
    questions: NumberedTexts,
    answers: NumberedTexts,
    known: WatchedTexts,
}

/// What answers a question: texts by their numbers among the different ones, and numbers.
struct RightAnswers {
    texts: Vec<usize>,
    numbers: Vec<Number>,
}

impl Gathered {
    fn add(&mut self, question: &Question, place: &str) {
        let number = self.known.asked.len();
        self.known.asked.push((question.text.clone(), place.to_owned()));
        let right = self.right_answers(question);
        if let Some(text) = self.watch(&question.text, &right, number) {
            self.known.whole.entry(text).or_insert(number);
        }
        let plain = without_choices(&question.text).and_then(|text| self.watch(text, &right, number));
        if let Some(text) = plain {
            self.known.plain.entry(text).or_insert(number);
        }
    }

    /// The answers as they are written and as they are compared.
    fn right_answers(&mut self, question: &Question) -> RightAnswers {
        let mut right = RightAnswers { texts: Vec::new(), numbers: Vec::new() };
        for answer in question.right_answers() {
            let compared = bare(answer);
            for text in [answer, compared.as_str()].into_iter().flat_map(readings) {
                right.texts.extend(self.answers.number(&text));
            }
            if question.matching == Match::Number {
                right.numbers.extend(Number::read(answer));
            }
        }
        right.texts.sort_unstable();
        right.texts.dedup();
        right
    }

    /// Has a text looked for as a question with these answers. Gives its number as it stands, where it has words.
    fn watch(&mut self, text: &str, right: &RightAnswers, number: usize) -> Option<usize> {
        let texts: Vec<Option<usize>> = readings(text).iter().map(|text| self.questions.number(text)).collect();
        for text in texts.iter().flatten() {
            for answer in &right.texts {
                self.known.pairs.entry((*text, *answer)).or_insert(number);
            }
            for right in &right.numbers {
                self.known.numbers.entry((*text, value(right))).or_insert_with(|| (right.clone(), number));
            }
        }
        texts.first().copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::jsonl::task::COMPLETION;

    /// Questions of B with their answers.
    fn watched(rows: &[(&str, &str)]) -> LeakMatcher {
        watched_as(Match::Normalised, rows)
    }

    fn watched_as(matching: Match, rows: &[(&str, &str)]) -> LeakMatcher {
        let question = |(text, answer): &(&str, &str)| {
            let (text, answer) = (text.to_string(), answer.to_string());
            Question { text, answer, matching, ..Question::blank(COMPLETION) }
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
    fn articles_do_not_hide_an_answer() {
        let watched = watched(&[
            ("Who sang Help?", "The Beatles"),
            ("The fruit was", "apple"),
            ("Which book?", "Lord of Rings"),
            ("Which vitamin?", "Vitamin A"),
        ]);
        for text in [
            "Who sang Help? Beatles",
            "Who sang Help: the Beatles.",
            "The fruit was an apple.",
            "The fruit was = an apple.",
            "Which book? The Lord of the Rings",
            "Which vitamin? The Vitamin A",
        ] {
            assert!(watched.find(text).is_some(), "{text}");
        }
        for text in ["Who sang Help? The Beat", "The fruit was an apples", "Which vitamin? A vitamin. Vitamin C."] {
            assert_eq!(watched.find(text), None, "{text}");
        }
        assert_eq!(watched.find("So who sang Help? Beatles!").unwrap().text, "who sang help beatles");
    }

    #[test]
    fn an_answer_that_is_a_number_is_found_however_it_is_written() {
        let rows = [("How many?", "42"), ("How high?", "8849 m"), ("How much?", "1000"), ("The sum is", "5")];
        let watched = watched_as(Match::Number, &rows);
        for text in [
            "How many? $42",
            "How many? 42.0",
            "How many? \u{20ac}42.00, I think",
            "How many? about +42",
            "How many? = 42%",
            "How high? 8,849",
            "How high? 8 849 m.",
            "How high? 8849m",
            "How much? It was 1 000.",
            "How much? 1e3",
            "The sum is +5",
            "The sum is = 5.0",
        ] {
            assert!(watched.find(text).is_some(), "{text}");
        }
        for text in ["How many? 421", "How many? -42", "How many? 42.5", "How many? The 42nd", "How high? 8848 m"] {
            assert_eq!(watched.find(text), None, "{text}");
        }
        // Where words are compared, another number is another answer.
        assert_eq!(self::watched(&rows).find("How many? 42.0"), None);
    }

    #[test]
    fn markup_does_not_hide_a_leak() {
        let capital = "What is the capital of France?";
        let watched = watched(&[(capital, "Paris"), ("Is 3 < 5?", "yes"), ("What does <b>x</b> do?", "bold")]);
        for text in [
            "What is the capital of France? $Paris$",
            "What is the capital of France? <a>Paris</a>",
            "What is the capital of France? <Paris>",
            "What is the capital of France? \\boxed{\\text{Paris}}",
            "<b>What is the capital of France</b>? <i class=\"x\">Paris</i>",
            "<p>What is the <em>capital</em> of France?</p><p>Paris</p>",
            "Is 3 < 5? <b>Yes</b>",
            "What does <b>x</b> do? Bold.",
        ] {
            assert!(watched.find(text).is_some(), "{text}");
        }
        assert_eq!(watched.find("Is 3 > 5? yes"), None);
        let kind = |question: &str, answer: &str| watched.find_asked(question, answer).map(|leak| leak.kind);
        assert_eq!(kind("<b>What is the capital of France?</b>", "Rome"), Some(LeakKind::Question));
        assert_eq!(kind("What does <i>x</i> do?", "slanted"), None);
        let of_markup = watched_as(Match::Normalised, &[("<b>Who?</b>", "<i>Ann</i>")]);
        assert!(of_markup.find("Who? Ann").is_some());
    }

    #[test]
    fn choices_that_are_shown_do_not_hide_a_question() {
        let watched = watched(&[("What is the capital of France?\nChoose one of: Paris, Lyon.", "Paris")]);
        assert!(watched.find("What is the capital of France? Paris").is_some());
        let kind = |question: &str, answer: &str| watched.find_asked(question, answer).map(|leak| leak.kind);
        let (question, answer) = (Some(LeakKind::Question), Some(LeakKind::Answer));
        assert_eq!(kind("What is the capital of France?", "Rome"), question);
        assert_eq!(kind("What is the capital of France?\nChoose one of: Paris, Lyon.", "Lyon"), question);
        assert_eq!(kind("What is the capital of France?\nChoose one of: Lyon, Paris.", "Paris"), answer);
        assert_eq!(kind("What is the capital of France?\nChoose one of: Lyon, Nice, Paris.", "Nice"), None);
        // Without choices, it is that question with whatever choices.
        let plain = self::watched(&[("What is the capital of France?", "Paris")]);
        let shown = plain.find_asked("What is the capital of France?\nChoose one of: Lyon, Nice.", "Nice");
        assert_eq!(shown.map(|leak| leak.kind), question);
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
