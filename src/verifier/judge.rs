//! Decides one completion: is the answer right, and is what was recited true?

use super::grounding::grounding;
use super::{Facts, Judgement, Recitation};
use crate::knowledge::{Form, Question};
use crate::language::reading::same_words;
use crate::language::{Opening, Reading};

/// Judges what a policy wrote after its prompt. `finished` says that it ended by itself, with the stop token.
///
/// Total and linear: any text has a judgement. `correct` asks for the right answer and an end, not for the format;
/// whether the format was kept stands beside it.
pub fn judge(facts: &dyn Facts, question: &Question, opening: Opening, completion: &str, finished: bool) -> Judgement {
    let reading = Reading::of(completion, opening, &question.cue);
    let readable = reading.sentences.iter().filter(|_| facts.has_grammar());
    let recitations: Vec<Recitation> = readable.map(|sentence| recitation(facts, question, sentence)).collect();
    let found = |needed| recitations.iter().any(|r| r.relevant && r.claim.as_ref() == Some(needed));
    Judgement {
        answer: reading.answer.map(String::from),
        correct: finished && reading.answer.is_some_and(|answer| is_right(question, answer)),
        well_formed: finished && reading.well_formed,
        needed_found: question.needed.iter().filter(|claim| found(claim)).count(),
        needed: question.needed.len(),
        grounding: grounding(facts, question, reading.answer, &recitations),
        recitations,
    }
}

fn recitation(facts: &dyn Facts, question: &Question, sentence: &str) -> Recitation {
    let claim = facts.read(sentence);
    let is_true = claim.as_ref().is_some_and(|claim| facts.holds(claim));
    let relevant = is_true && claim.as_ref().is_some_and(|claim| question.needed.contains(claim));
    Recitation { text: sentence.to_string(), claim, is_true, relevant }
}

/// The same words in the same order. A completed sentence may or may not end in a full stop.
fn is_right(question: &Question, answer: &str) -> bool {
    let bare = |text| match question.form {
        Form::Completion => str::trim_end_matches(text, |c: char| c == '.' || c.is_whitespace()),
        _ => text,
    };
    let (answer, right) = (bare(answer), bare(question.answer.as_str()));
    !right.trim().is_empty() && same_words(answer, right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::{Claim, Set, Task};
    use proptest::prelude::*;
    /// Sentences "in G X guards Y ." of which those in town dop hold.
    struct Toy;

    impl Facts for Toy {
        fn read(&self, sentence: &str) -> Option<Claim> {
            let words: Vec<&str> = sentence.split_whitespace().take(7).collect();
            let ["in", group, subject, "guards", object, "."] = words[..] else { return None };
            Some(claim(group, subject, object))
        }

        fn holds(&self, claim: &Claim) -> bool {
            matches!(claim, Claim::Relation { group, .. } if group == "dop")
        }
    }

    fn claim(group: &str, subject: &str, object: &str) -> Claim {
        let [group, subject, relation, object] = [group, subject, "guards", object].map(String::from);
        Claim::Relation { group, subject, relation, object }
    }

    fn question() -> Question {
        Question {
            id: 1,
            task: Task::Reversal,
            form: Form::Open,
            set: Set::A,
            text: "who in dop guards bilu ?".into(),
            cue: "bilu".into(),
            answer: "mavo".into(),
            choices: vec![],
            needed: vec![claim("dop", "mavo", "bilu")],
            context: vec![],
            chance: 0.2,
        }
    }

    fn think(text: &str) -> Judgement {
        judge(&Toy, &question(), Opening::Think, text, true)
    }

    #[test]
    fn recited_facts_are_told_apart() {
        let judgement = think(
            "in dop mavo guards bilu . in dop rik guards tal . in zud rik guards tal . rik rik . \
             in dop mavo guards bilu . </think> <answer> bilu : mavo <eos>",
        );
        assert!(judgement.correct && judgement.well_formed);
        assert_eq!((judgement.needed_found, judgement.needed), (1, 1));
        let kinds: Vec<(bool, bool, bool)> =
            judgement.recitations.iter().map(|r| (r.claim.is_some(), r.is_true, r.relevant)).collect();
        let (useful, idle, wrong, noise) =
            ((true, true, true), (true, true, false), (true, false, false), (false, false, false));
        assert_eq!(kinds, [useful, idle, wrong, noise, useful]);
    }

    #[test]
    fn only_an_answer_that_ended_is_correct() {
        let text = "</think> <answer> bilu : mavo";
        assert!(!judge(&Toy, &question(), Opening::Think, text, false).correct);
        assert!(judge(&Toy, &question(), Opening::Think, text, true).correct);
        assert!(!think("bilu : mavo <eos>").correct, "an answer inside the trace is none");
        assert!(!think("</think> <answer> bilu : mavo rik <eos>").correct, "no hedging");
        assert!(judge(&Toy, &question(), Opening::Answer, "bilu : mavo <eos>", true).correct);
    }

    #[test]
    fn a_false_claim_is_never_relevant_even_if_the_question_asks_for_it() {
        let mut question = question();
        question.needed.push(claim("zud", "rik", "bilu"));
        let judgement = judge(&Toy, &question, Opening::Think, "in zud rik guards bilu . </think>", true);
        assert_eq!((judgement.needed_found, judgement.needed), (0, 2));
    }

    #[test]
    fn a_completion_from_a_file_may_lack_its_full_stop() {
        let file =
            Question { form: Form::Completion, cue: String::new(), answer: " Uriah Hawthorne".into(), ..question() };
        let judged = |text| judge(&Toy, &file, Opening::Answer, text, true).correct;
        assert!(judged(" Uriah  Hawthorne.<eos>") && judged("Uriah Hawthorne"));
        assert!(!judged("uriah hawthorne") && !judged("Hawthorne") && !judged(""));
        let empty = Question { answer: " . ".into(), ..file };
        assert!(!judge(&Toy, &empty, Opening::Answer, ".", true).correct);
    }

    #[test]
    fn where_nothing_can_be_read_nothing_was_recited() {
        struct FreeText;
        impl Facts for FreeText {
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
        let file = Question { form: Form::Completion, cue: String::new(), needed: vec![], ..question() };
        let text = "He composed \"Abyssal Melodies.\"</think><answer> mavo.<eos>";
        let judgement = judge(&FreeText, &file, Opening::Think, text, true);
        assert!(judgement.correct && judgement.well_formed && judgement.recitations.is_empty());
    }

    /// What a policy, or somebody who wishes the verifier ill, may write.
    fn hostile() -> impl Strategy<Value = String> {
        let word = prop::sample::select(vec![
            "in",
            "dop",
            "zud",
            "mavo",
            "rik",
            "guards",
            "bilu",
            ".",
            ":",
            "..",
            ". .",
            "yes",
            "<bos>",
            "<eos>",
            "<question>",
            "<think>",
            "</think>",
            "<answer>",
            "<",
            ">",
            "</",
            "\u{0}",
            "\u{feff}",
            "\u{a0}",
            "é",
            "👩‍👩‍👧",
            "",
        ]);
        let soup = |separator: &'static str| {
            prop::collection::vec(word.clone(), 0..60).prop_map(move |words| words.join(separator))
        };
        let sentence = "in (dop|zud) (mavo|rik|bilu) guards (mavo|rik|bilu) \\. ";
        let grammar =
            prop::collection::vec(sentence, 0..9).prop_map(|s| s.concat() + "</think> <answer> bilu : mavo <eos>");
        let unicode = prop::collection::vec(any::<char>(), 0..80).prop_map(String::from_iter);
        let repeated = (word.clone(), 0..200usize).prop_map(|(word, times)| word.repeat(times));
        prop_oneof![soup(" "), soup(""), grammar, unicode, repeated]
    }

    /// Twenty thousand cases, or as many as `RECOLLECT_CASES` says.
    fn cases() -> ProptestConfig {
        let cases = std::env::var("RECOLLECT_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000);
        ProptestConfig { cases, ..ProptestConfig::default() }
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn every_text_has_a_judgement(text in hostile(), thinks in any::<bool>(), finished in any::<bool>()) {
            let opening = if thinks { Opening::Think } else { Opening::Answer };
            let judgement = judge(&Toy, &question(), opening, &text, finished);
            prop_assert!(judgement.needed_found <= judgement.needed);
            prop_assert!(finished || !(judgement.correct || judgement.well_formed));
            prop_assert!(!judgement.correct || judgement.answer.as_deref() == Some("mavo"));
            prop_assert!(!judgement.well_formed || judgement.answer.is_some());
            prop_assert!(judgement.answer.as_deref().is_none_or(|a| !a.is_empty() && text.contains(a)));
            let length: usize = judgement.recitations.iter().map(|r| r.text.len()).sum();
            prop_assert!(length <= text.len());
            for recitation in &judgement.recitations {
                prop_assert!(!recitation.relevant || recitation.is_true);
                prop_assert!(!recitation.is_true || recitation.claim.is_some());
            }
        }
    }

    #[test]
    fn long_completions_come_to_an_end() {
        for piece in
            [". ", ": ", "</think>", "<answer>", "<", "<answer", "in dop mavo guards bilu . ", "<answer> : ", ".", ":"]
        {
            // Work that grew with the square of the length would take hours.
            let text = format!("</think> <answer> {}", piece.repeat(3_000_000 / piece.len()));
            judge(&Toy, &question(), Opening::Think, &text, true);
            judge(&Toy, &question(), Opening::Think, &text[17..], true);
        }
    }
}
