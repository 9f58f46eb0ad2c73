//! Decides one completion: is the answer right, and is what was recited true?

use super::grounding::grounding;
use super::{Facts, Judgement, Recitation};
use crate::knowledge::{Claim, Question};
use crate::language::{Opening, Reading};

/// Sentences that may stand before an answer from a file: "Answer:", and what it answers.
const RESTATED: usize = 2;

/// Judges what a policy wrote after its prompt. `finished` says that it ended by itself, with the stop token.
///
/// Total and linear: any text has a judgement. `correct` asks for the right answer and an end, not for the format;
/// whether the format was kept stands beside it.
pub fn judge(facts: &dyn Facts, question: &Question, opening: Opening, completion: &str, finished: bool) -> Judgement {
    let reading = Reading::parse(completion, opening, &question.cue);
    let clauses = if facts.has_grammar() { facts.clauses(&reading.sentences) } else { Vec::new() };
    let said = clauses.into_iter().filter(|(clause, claim)| claim.is_some() || !facts.is_remark(clause));
    let recitations: Vec<Recitation> = said.map(|(clause, claim)| recitation(facts, question, clause, claim)).collect();
    let found = |needed| recitations.iter().any(|r| r.relevant && r.claim.as_ref() == Some(needed));
    let (answer, right) = reading.answer.map_or((None, false), |answer| read(question, answer));
    Judgement {
        answer: answer.map(String::from),
        correct: finished && right,
        well_formed: finished && reading.well_formed,
        needed_found: question.needed.iter().filter(|claim| found(claim)).count(),
        needed: question.needed.len(),
        grounding: grounding(facts, question, answer, &recitations),
        recitations,
    }
}

fn recitation(facts: &dyn Facts, question: &Question, clause: &str, claim: Option<Claim>) -> Recitation {
    let is_true = claim.as_ref().is_some_and(|claim| facts.holds(claim));
    let relevant = is_true && claim.as_ref().is_some_and(|claim| question.needed.contains(claim));
    Recitation { text: clause.to_string(), claim, is_true, relevant }
}

/// What was answered, and whether it is right. An answer to a question from a file, which has no cue, may restate what it
/// answers first.
fn read<'a>(question: &Question, answer: &'a str) -> (Option<&'a str>, bool) {
    let mut answer = answer;
    for _ in 0..RESTATED {
        if !question.form.task.free_text || question.is_answered_by(answer) {
            break;
        }
        match question.without_restated(answer) {
            Some(rest) => answer = rest,
            None => break,
        }
    }
    let right = question.is_answered_by(answer) || question.is_stated_by(answer);
    (Some(answer), right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::Match;
    use crate::knowledge::jsonl::task::COMPLETION;
    use crate::knowledge::reversal::OPEN;
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
            text: "who in dop guards bilu ?".into(),
            cue: "bilu".into(),
            answer: "mavo".into(),
            needed: vec![claim("dop", "mavo", "bilu")],
            ..Question::blank(OPEN)
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

    /// A question from a file.
    fn file(text: &str, answer: &str, matching: Match) -> Question {
        Question { text: text.into(), answer: answer.into(), matching, ..Question::blank(COMPLETION) }
    }

    #[test]
    fn an_answer_from_a_file_is_compared_as_its_question_says() {
        let asked = "Who wrote La for\u{ea}t ?";
        let judged = |matching, answer: &str, text: &str| {
            judge(&Toy, &file(asked, answer, matching), Opening::Answer, text, true).correct
        };
        let normalised = |text: &str| judged(Match::Normalised, " Jos\u{e9} T\u{e9}llez", text);
        for right in [
            "Jose\u{301}  Te\u{301}llez.<eos>",
            "jos\u{e9} t\u{e9}llez </answer>",
            "\u{201c}Jos\u{e9} T\u{e9}llez\u{201d}",
            "La for\u{ea}t : Jos\u{e9} T\u{e9}llez",
            "Answer: Jos\u{e9} T\u{e9}llez",
            "**Answer:** Jos\u{e9} T\u{e9}llez",
            "The answer is: la for\u{ea}t: Jos\u{e9} T\u{e9}llez",
        ] {
            assert!(normalised(right), "{right}");
        }
        for wrong in [
            "T\u{e9}llez",
            "",
            ".",
            "Jose Tellez",
            "Jos\u{e9} T\u{e9}llez or Rik Dop",
            "Rik Dop: Jos\u{e9} T\u{e9}llez",
            "Jos\u{e9} T\u{e9}llez: La for\u{ea}t",
            "Jos\u{e9} T\u{e9}llez </answer> Rik Dop",
            "Answer: Answer: Answer: Jos\u{e9} T\u{e9}llez",
        ] {
            assert!(!normalised(wrong), "{wrong}");
        }
        assert!(
            judged(Match::Exact, "Paris", "La for\u{ea}t: Paris </answer>") && !judged(Match::Exact, "Paris", "paris")
        );
        assert!(!judged(Match::Exact, "Paris", "Answer: Paris") && !judged(Match::Exact, "Paris", "Paris."));
        assert!(!judged(Match::Normalised, " . ", "."));
        let list = Question { aliases: vec!["the Owl".into()], ..file(asked, "Rik Dop", Match::AnyOf) };
        let any = |text: &str| judge(&Toy, &list, Opening::Answer, text, true).correct;
        assert!(any("Owl") && any("rik dop") && !any("Rik Dop, the Owl"));
    }

    #[test]
    fn what_is_restated_is_not_part_of_the_answer_that_is_shown() {
        let sum = file("What is 7 + 5?", "12", Match::Number);
        let judged = |question: &Question, text: &str| {
            let judgement = judge(&Toy, question, Opening::Answer, text, true);
            (judgement.answer.unwrap(), judgement.correct)
        };
        assert_eq!(judged(&sum, "7 + 5 = 12.0"), ("12.0".into(), true));
        assert_eq!(judged(&sum, "= $12"), ("= $12".into(), true));
        assert_eq!(judged(&sum, "13 = 12"), ("13 = 12".into(), false));
        assert_eq!(judged(&sum, "12 or 13"), ("12 or 13".into(), false));
        let who = file("who in dop guards bilu ?", "mavo", Match::Normalised);
        assert_eq!(judged(&who, "bilu : mavo <eos>"), ("mavo".into(), true));
        assert_eq!(judged(&who, "bilu : rik <eos>"), ("rik".into(), false));
        assert_eq!(judged(&who, "tal : mavo <eos>"), ("tal : mavo".into(), false));
        let time = file("When is 12 ?", "30", Match::Normalised);
        assert!(!judged(&time, "12:30").1);
    }

    #[test]
    fn only_what_is_answered_behind_the_thought_counts() {
        let city = file("Where?", "Rome", Match::Normalised);
        let thinking = |text: &str| judge(&Toy, &city, Opening::Think, text, true);
        let quoted = thinking("I should write <answer> Paris </answer> . </think> <answer> Rome </answer>");
        assert_eq!((quoted.answer.as_deref(), quoted.correct), (Some("Rome"), true));
        let none = thinking("I should write <answer> Rome </answer> . </think> That is it.");
        assert_eq!((none.answer, none.correct), (None, false));
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
        let file = file("Who?", "mavo", Match::Normalised);
        let text = "He composed \"Abyssal Melodies.\"</think><answer> mavo.<eos>";
        let judgement = judge(&FreeText, &file, Opening::Think, text, true);
        assert!(judgement.correct && judgement.well_formed && judgement.recitations.is_empty());
    }

    /// What a policy, or somebody who wishes the verifier ill, may write.
    fn hostile() -> impl Strategy<Value = String> {
        const WORDS: &str = "in dop zud mavo rik guards bilu . : .. yes <bos> <eos> <question> <think> </think> <answer> \
                             < > </ \0 \u{feff} é 👩‍👩‍👧";
        let words: Vec<&str> = WORDS.split(' ').chain([". .", "\u{a0}", ""]).collect();
        let word = prop::sample::select(words);
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
        fn a_right_answer_from_a_file_is_the_answer_and_nothing_more(text in hostile(), matching in 0..Match::ALL.len()) {
            let question = file("who in dop guards bilu ?", "mavo", Match::ALL[matching]);
            let judgement = judge(&Toy, &question, Opening::Think, &text, true);
            if judgement.correct {
                // Closing tags at its end do not matter.
                let answer = judgement.answer.unwrap().replace("</mavo>", "").replace("</rik>", "").replace("</bilu>", "");
                prop_assert!(answer.matches("mavo").count() == 1 && !answer.contains("rik"));
                // "mavo guards bilu" says it, and "bilu guards mavo" does not.
                prop_assert!(answer.find("bilu").is_none_or(|at| at > answer.find("mavo").unwrap()));
            }
        }

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
        const PIECES: &str =
            "<answer> <answer </think> </answer> </a> < . : $ ** \\text{ 1,000 1, - ' e\u{301} \u{301}";
        let spaced = [". ", ": ", "<answer> : ", "in dop mavo guards bilu . ", "bilu : ", "bilu ", "= "];
        for piece in PIECES.split(' ').chain(spaced) {
            // Work that grew with the square of the length would take hours.
            let text = format!("</think> <answer> {}", piece.repeat(3_000_000 / piece.len()));
            judge(&Toy, &question(), Opening::Think, &text, true);
            judge(&Toy, &question(), Opening::Think, &text[17..], true);
            let shorter = format!("</think> <answer> {}", piece.repeat(200_000 / piece.len()));
            for matching in Match::ALL {
                let long = file(&"bilu ".repeat(10_000), &piece.repeat(10_000), matching);
                judge(&Toy, &long, Opening::Think, &shorter, true);
            }
        }
    }
}
