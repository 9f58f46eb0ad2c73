//! Ways to answer the questions of a world in English without knowing it: by what a question looks like, by one premise alone,
//! by where its candidates stand, in it and in the documents. Each is fitted on set A where there is something to fit.

use std::collections::{BTreeSet, HashMap, HashSet};

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use crate::knowledge::shortcut::{DocumentWords, Guesses, Shortcut, most_common};
use crate::knowledge::{Claim, Form, Question};
use crate::text::words;
use crate::{Error, Result};

/// Names of the rule that takes the choice at a place. Longer lists are of groups, which no question shows.
const PLACES: [&str; 6] = ["choice 1", "choice 2", "choice 3", "choice 4", "choice 5", "choice 6"];

/// First words of a question that tell its wording.
const FIRST_WORDS: usize = 3;

/// All shortcuts on the questions of set B (`test`), form by form.
///
/// # Errors
/// More names than can be looked for at once.
pub fn shortcuts(fit: &[Question], test: &[Question], documents: &[String]) -> Result<Vec<Shortcut>> {
    let met = DocumentNames::count(test, documents)?;
    let mut forms: Vec<Form> = Vec::new();
    test.iter().filter(|q| !q.choices.is_empty()).for_each(|q| {
        if !forms.contains(&q.form) {
            forms.push(q.form);
        }
    });
    let mut shortcuts = Vec::new();
    for form in forms {
        let of = |questions: &[Question]| -> Vec<Question> {
            questions.iter().filter(|q| q.form == form && !q.choices.is_empty()).cloned().collect()
        };
        let (fit, test) = (of(fit), of(test));
        shortcuts.extend(by_look(&fit, &test));
        let mut rules: Vec<TriedRule> = Vec::new();
        // Where all questions have the same choices, as "yes, no, unknown", their places and lengths are those of answers.
        if test.iter().any(|q| q.choices != test[0].choices) {
            rules.extend(by_place(&fit, &test));
            rules.extend(by_spelling(&test));
            rules.extend(met.rules(&test));
        }
        shortcuts.extend(rules.iter().filter_map(|(rule, guesses)| Shortcut::measured(rule, guesses, &test)));
    }
    Ok(shortcuts)
}

/// A rule with what it answers.
type TriedRule = (&'static str, Guesses);

/// What a rule looks at of a question; `None` where there is nothing of the kind.
type LookAt = fn(&Question) -> Option<String>;

const LOOKS: [(&str, LookAt); 5] = [
    ("majority answer", |_| Some(String::new())),
    ("first words of the question", first_words),
    ("conclusion alone", |q| asked_mood(q).filter(|mood| !mood.is_empty())),
    (FIRST_PREMISE, |q| premise(q, q.needed.first()?)),
    (LAST_PREMISE, |q| premise(q, q.needed.last()?)),
];
const FIRST_PREMISE: &str = "first premise alone";
const LAST_PREMISE: &str = "last premise alone";

/// How far the answer that is usually right of questions that look the same is right.
fn by_look(fit: &[Question], test: &[Question]) -> Vec<Shortcut> {
    let there = LOOKS.into_iter().filter(|(_, look)| test.iter().any(|q| look(q).is_some()));
    let measured = |(rule, look): (&'static str, LookAt)| {
        let mut shortcut = Shortcut::measured(rule, &learned(fit, test, look), test)?;
        // Where statements are chosen from, one premise tells a part of what follows by logic alone: of "no" nothing follows but
        // "no". It may tell as much as on A, and no more.
        let chooses = test.iter().all(|q| q.conclusion.is_none());
        if chooses && [FIRST_PREMISE, LAST_PREMISE].contains(&rule) {
            let told = Shortcut::measured(rule, &learned(fit, fit, look), fit)?;
            shortcut.chance = shortcut.chance.max(told.correct as f64 / told.n as f64);
        }
        Some(shortcut)
    };
    there.filter_map(measured).collect()
}

/// The answer that was most common on A among questions that look the same.
fn learned(fit: &[Question], test: &[Question], look: LookAt) -> Guesses {
    let mut seen: HashMap<Option<String>, Vec<String>> = HashMap::new();
    for q in fit {
        seen.entry(look(q)).or_default().push(numbered(q, &q.answer));
    }
    let fallback = most_common(fit.iter().map(|q| numbered(q, &q.answer)));
    let guess = |q: &Question| {
        let usual = seen.get(&look(q)).and_then(|answers| most_common(answers.iter().cloned()));
        let usual = usual.or_else(|| fallback.clone())?;
        q.choices.iter().find(|choice| numbered(q, choice) == usual).cloned()
    };
    test.iter().map(guess).collect()
}

/// The two terms of a conclusion, those in one premise only, in the order in which they are asked about.
fn end_terms(q: &Question) -> Option<[&str; 2]> {
    let mut terms: Vec<&str> = Vec::new();
    for claim in &q.needed {
        let Claim::Categorical { subject, predicate, .. } = claim else { return None };
        terms.extend([subject.as_str(), predicate.as_str()]);
    }
    let once = |term: &&&str| terms.iter().filter(|other| other == term).count() == 1;
    let mut ends: Vec<&str> = terms.iter().filter(once).copied().collect();
    match &q.conclusion {
        Some(Claim::Categorical { subject, .. }) => ends.sort_by_key(|term| term != subject),
        _ => ends.sort_by_key(|term| q.text.find(term)),
    }
    ends.try_into().ok()
}

/// A text with 1 and 2 in the place of what is asked about: what is left is the same for all terms.
fn numbered(q: &Question, text: &str) -> String {
    let numbers = |[first, second]: [&str; 2]| text.replace(first, "1").replace(second, "2");
    end_terms(q).map_or_else(|| text.to_owned(), numbers)
}

fn first_words(q: &Question) -> Option<String> {
    Some(numbered(q, &q.text).split_whitespace().take(FIRST_WORDS).collect::<Vec<_>>().join(" "))
}

/// The mood that is asked, empty where a question asks which.
fn asked_mood(q: &Question) -> Option<String> {
    match &q.conclusion {
        Some(Claim::Categorical { mood, .. }) => Some(format!("{mood:?}")),
        _ => end_terms(q).map(|_| String::new()),
    }
}

/// A premise as it looks without the other one: its mood and how it stands to what is asked, with the mood of that.
fn premise(q: &Question, claim: &Claim) -> Option<String> {
    let [first, second] = end_terms(q)?;
    let Claim::Categorical { subject, mood, predicate } = claim else { return None };
    let number = |term: &str| {
        if term == first {
            "1"
        } else if term == second {
            "2"
        } else {
            "M"
        }
    };
    Some(format!("{} {mood:?} {}, {}", number(subject), number(predicate), asked_mood(q)?))
}

/// The choice at each place, and at that which was right most often on A.
fn by_place(fit: &[Question], test: &[Question]) -> Vec<TriedRule> {
    let at = |place: usize| -> Guesses { test.iter().map(|q| q.choices.get(place).cloned()).collect() };
    let most = test.iter().map(|q| q.choices.len()).max().unwrap_or(0);
    let mut rules: Vec<TriedRule> = Vec::new();
    if most <= PLACES.len() {
        rules.extend(PLACES.iter().take(most).enumerate().map(|(place, rule)| (*rule, at(place))));
    }
    rules.push(("last choice", test.iter().map(|q| q.choices.last().cloned()).collect()));
    let right = |q: &Question| q.choices.iter().position(|choice| q.is_answered_by(choice));
    let usual = most_common(fit.iter().filter_map(right));
    rules.extend(usual.map(|place| ("position among the choices", at(place))));
    rules
}

/// The choice with the highest score; of several, the last.
fn best(q: &Question, score: impl Fn(&str) -> i64) -> Option<String> {
    q.choices.iter().max_by_key(|choice| score(choice)).cloned()
}

fn by_spelling(test: &[Question]) -> Vec<TriedRule> {
    let by = |score: &dyn Fn(&str) -> i64| -> Guesses { test.iter().map(|q| best(q, score)).collect() };
    let letters = |name: &str| name.chars().count() as i64;
    vec![
        ("longest choice", by(&letters)),
        ("shortest choice", by(&|choice| -letters(choice))),
        ("shares letters with the question", test.iter().map(shares_letters).collect()),
    ]
}

/// The choice most of whose pairs of letters stand in what is asked.
fn shares_letters(q: &Question) -> Option<String> {
    let asked = q.choices.iter().fold(q.text.clone(), |text, choice| text.replace(choice, "")).to_lowercase();
    let pairs: HashSet<&[u8]> = asked.as_bytes().windows(2).collect();
    best(q, |choice| choice.to_lowercase().as_bytes().windows(2).filter(|pair| pairs.contains(pair)).count() as i64)
}

/// Where choices, and words of questions, stand in the documents.
struct DocumentNames(DocumentWords);

impl DocumentNames {
    fn count(test: &[Question], documents: &[String]) -> Result<DocumentNames> {
        let choices = test.iter().flat_map(|q| q.choices.iter().map(|choice| choice.to_lowercase()));
        let asked = test.iter().flat_map(|q| words(&q.text).into_iter().map(|word| word.text));
        let names: BTreeSet<String> = choices.chain(asked).filter(|name| !name.is_empty()).collect();
        let names: Vec<String> = names.into_iter().collect();
        let search = AhoCorasick::builder().kind(Some(AhoCorasickKind::ContiguousNFA)).build(&names);
        let search = search.map_err(|error| {
            Error::invalid(
                "world.english",
                error.to_string(),
                "ask fewer questions about B (world.english.questions.b)",
            )
        })?;
        let mut counted = DocumentWords::default();
        for (number, document) in documents.iter().enumerate() {
            let text = document.to_lowercase();
            let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
            for found in search.find_overlapping_iter(&text) {
                let (before, behind) = (&text[..found.start()], &text[found.end()..]);
                if !letter(before.chars().next_back()) && !letter(behind.chars().next()) {
                    counted.count(&names[found.pattern().as_usize()], number);
                }
            }
        }
        Ok(DocumentNames(counted))
    }

    /// Rules that go by documents, where choices stand in some.
    fn rules(&self, test: &[Question]) -> Vec<TriedRule> {
        let DocumentNames(counted) = self;
        let small = |choice: &str| choice.to_lowercase();
        if !test.iter().any(|q| q.choices.iter().any(|choice| counted.of(&small(choice)) > 0)) {
            return Vec::new();
        }
        let by = |score: &dyn Fn(&str) -> i64| -> Guesses {
            test.iter().map(|q| best(q, |choice| score(&small(choice)))).collect()
        };
        vec![
            ("most frequent in the documents", by(&|name| counted.of(name))),
            ("rarest in the documents", by(&|name| -counted.of(name))),
            ("met first in the documents", by(&|name| -counted.first(name))),
            ("met most with other words of the question", test.iter().map(|q| self.beside(q)).collect()),
        ]
    }

    /// The choice that stands in most documents with words of the question. What facts are about is left out: that a subject
    /// and an object occur together is the fact itself.
    fn beside(&self, q: &Question) -> Option<String> {
        let mut known: HashSet<String> = HashSet::new();
        let mut note = |name: &str| known.extend(words(name).into_iter().map(|word| word.text));
        q.choices.iter().for_each(|choice| note(choice));
        for claim in &q.needed {
            let (Claim::Relation { subject: one, object: other, .. }
            | Claim::Categorical { subject: one, predicate: other, .. }) = claim;
            [one, other].into_iter().for_each(|name| note(name));
        }
        let others: BTreeSet<String> =
            words(&q.text).into_iter().map(|word| word.text).filter(|word| !known.contains(word)).collect();
        best(q, |choice| others.iter().map(|word| self.0.shared(&choice.to_lowercase(), word)).sum())
    }
}
