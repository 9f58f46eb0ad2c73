//! Takes a completion apart: the sentences of its trace, and its answer.
//!
//! A completion is whatever a policy wrote, so every text has a reading, found in linear time. What is not where
//! the format wants it makes the reading malformed; it never makes it fail.

use super::Opening;

/// A completion in its parts, all of them slices of its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading<'a> {
    /// What was written before `</think>`, a sentence each. The last one may lack its full stop.
    pub sentences: Vec<&'a str>,
    /// What was answered, without the restated cue. Never empty.
    pub answer: Option<&'a str>,
    /// Every marker stands where it should and the cue was restated.
    pub well_formed: bool,
}

const MARKERS: [&str; 5] = ["<bos>", "<question>", "<think>", "</think>", "<answer>"];

impl<'a> Reading<'a> {
    /// Reads a completion. `cue` is what the answer restates before its colon, or empty where the answer stands
    /// alone. What follows the first `<eos>` is not part of the completion; the `<eos>` itself may be missing.
    ///
    /// If there are several answers, the last one counts. An `<answer>` inside a thought is none: where there is a
    /// `</think>`, answers stand behind it. A `</answer>` closes an answer and is not part of it.
    pub fn parse(completion: &'a str, opening: Opening, cue: &str) -> Reading<'a> {
        let (text, behind) = completion.split_once("<eos>").unwrap_or((completion, ""));
        let (trace, answer, in_place) = match opening {
            Opening::Answer => ("", Some(text), true),
            Opening::Think => split(text),
        };
        let answer = answer.map(|text| closed(text.rsplit_once("<answer>").map_or(text, |(_, last)| last)));
        let sentences = sentences(trace);
        let (answer, cue_restated) = answer.map_or((None, false), |text| without_cue(text, cue));
        let well_formed = in_place
            && behind.trim().is_empty()
            && cue_restated
            && sentences.last().is_none_or(|sentence| ends_a_sentence(sentence))
            && MARKERS.iter().all(|marker| text.matches(marker).count() == expected(marker, opening));
        Reading { sentences, answer, well_formed }
    }
}

/// How often a marker stands in a well-formed completion.
fn expected(marker: &str, opening: Opening) -> usize {
    usize::from(opening == Opening::Think && matches!(marker, "</think>" | "<answer>"))
}

/// The trace, the text after `<answer>`, and whether the two markers between them stand side by side.
fn split(text: &str) -> (&str, Option<&str>, bool) {
    let Some((trace, rest)) = text.split_once("</think>") else {
        return text.split_once("<answer>").map_or((text, None, false), |(trace, answer)| (trace, Some(answer), false));
    };
    match rest.split_once("<answer>") {
        Some((between, answer)) => (trace, Some(answer), between.trim().is_empty()),
        None => (trace, None, false),
    }
}

/// An answer without the tags that close it.
fn closed(mut answer: &str) -> &str {
    while let Some(before) = without_closing_tag(answer) {
        answer = before;
    }
    answer
}

/// What stands before `</answer>`, in any case, with white space in it or a full stop behind it.
fn without_closing_tag(answer: &str) -> Option<&str> {
    let text = answer.trim_end();
    let tagged = text.strip_suffix('.').map_or(text, str::trim_end).strip_suffix('>')?;
    let (before, name) = tagged.rsplit_once("</")?;
    name.trim().eq_ignore_ascii_case("answer").then_some(before)
}

/// What follows the last colon, and whether exactly the cue stands before it. Without a cue the whole is the
/// answer, colons and all.
fn without_cue<'a>(text: &'a str, cue: &str) -> (Option<&'a str>, bool) {
    let whole = text.trim();
    let (before, answer) = match last_word(whole, ":") {
        _ if cue.is_empty() => ("", whole),
        Some(start) => (&whole[..start], whole[start + 1..].trim()),
        None => return (None, false),
    };
    let answer = Some(answer).filter(|answer| !answer.is_empty());
    (answer, answer.is_some() && same_words(before, cue))
}

/// The sentences of a trace. One ends at a full stop that is a word of its own; what follows the last is one, too.
fn sentences(trace: &str) -> Vec<&str> {
    let mut sentences = Vec::new();
    let mut start = 0;
    for (stop, _) in trace.match_indices('.').filter(|(at, _)| is_word(trace, *at, 1)) {
        sentences.push(&trace[start..=stop]);
        start = stop + 1;
    }
    sentences.push(&trace[start..]);
    sentences.into_iter().map(str::trim).filter(|sentence| !sentence.is_empty()).collect()
}

/// Whether nothing was broken off. In free text the full stop is glued to a word, and quotes may follow it.
fn ends_a_sentence(sentence: &str) -> bool {
    sentence.trim_end_matches(['"', '\'', ')', '”', '’']).ends_with(['.', '!'])
}

/// Where a word stands for the last time.
fn last_word(text: &str, word: &str) -> Option<usize> {
    text.rmatch_indices(word).map(|(at, _)| at).find(|at| is_word(text, *at, word.len()))
}

/// Whether there is space or nothing on both sides of a slice.
fn is_word(text: &str, start: usize, length: usize) -> bool {
    let before = text[..start].chars().next_back();
    let after = text[start + length..].chars().next();
    before.is_none_or(char::is_whitespace) && after.is_none_or(char::is_whitespace)
}

/// Whether two texts have the same words, however these are spaced.
pub fn same_words(one: &str, other: &str) -> bool {
    one.split_whitespace().eq(other.split_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn think(text: &str) -> Reading<'_> {
        Reading::parse(text, Opening::Think, "bilu")
    }

    #[test]
    fn a_completion_as_it_should_be() {
        let reading = think("in dop mavo guards bilu . in dop rik guards tal . </think> <answer> bilu : mavo <eos>");
        assert_eq!(reading.sentences, ["in dop mavo guards bilu .", "in dop rik guards tal ."]);
        assert_eq!((reading.answer, reading.well_formed), (Some("mavo"), true));
        let direct = Reading::parse("bilu : mavo <eos>", Opening::Answer, "bilu");
        assert_eq!((direct.answer, direct.well_formed, direct.sentences.len()), (Some("mavo"), true, 0));
        let syllogism = Reading::parse("of vop all are zed : yes", Opening::Answer, "of vop all are zed");
        assert_eq!((syllogism.answer, syllogism.well_formed), (Some("yes"), true));
    }

    #[test]
    fn an_answer_without_a_cue_may_hold_colons() {
        let reading = Reading::parse(" the work : a journey. <eos>", Opening::Answer, "");
        assert_eq!((reading.answer, reading.well_formed), (Some("the work : a journey."), true));
        assert_eq!(Reading::parse(" <eos>", Opening::Answer, "").answer, None);
    }

    #[test]
    fn a_closing_tag_is_not_part_of_an_answer() {
        for text in [
            "Paris </answer> <eos>",
            "Paris</answer>\n</answer>",
            "<answer>Paris</answer>",
            "Paris </ANSWER>.",
            "Paris </ answer > .\n",
        ] {
            let reading = Reading::parse(text, Opening::Answer, "");
            assert_eq!(reading.answer, Some("Paris"), "{text}");
        }
        assert_eq!(Reading::parse("Paris </answer> Rome", Opening::Answer, "").answer, Some("Paris </answer> Rome"));
        assert_eq!(Reading::parse("</answer>", Opening::Answer, "").answer, None);
        assert_eq!(Reading::parse("x > y.", Opening::Answer, "").answer, Some("x > y."));
        let quoted = Reading::parse("write <answer> Paris . </think> <answer> Rome <eos>", Opening::Think, "");
        assert_eq!((quoted.sentences, quoted.answer), (vec!["write <answer> Paris ."], Some("Rome")));
    }

    #[test]
    fn markers_need_no_space_around_them() {
        let reading = think("a b .</think><answer>bilu : mavo<eos>");
        assert_eq!((reading.sentences, reading.answer, reading.well_formed), (vec!["a b ."], Some("mavo"), true));
    }

    #[test]
    fn what_is_out_of_place_is_malformed_and_still_read() {
        for (text, answer) in [
            ("bilu : mavo <eos>", None),
            ("</think> bilu : mavo <eos>", None),
            ("a . <answer> bilu : mavo <eos>", Some("mavo")),
            ("a . <answer> bilu : mavo </think> <eos>", None),
            ("a <answer> bilu : rik </think> <answer> bilu : mavo <eos>", Some("mavo")),
            ("a . </think> so <answer> bilu : mavo <eos>", Some("mavo")),
            ("a </think> <answer> bilu : mavo <eos>", Some("mavo")),
            ("a . </think> <answer> tal : mavo <eos>", Some("mavo")),
            ("a . </think> <answer> mavo <eos>", None),
            ("a . </think> <answer> bilu : <eos>", None),
            ("a . </think> <answer> bilu : rik <answer> bilu : mavo <eos>", Some("mavo")),
            ("a . </think> b . </think> <answer> bilu : mavo <eos>", Some("mavo")),
            ("<think> a . </think> <answer> bilu : mavo <eos>", Some("mavo")),
            ("a . </think> <answer> bilu : mavo <eos> and more", Some("mavo")),
            ("", None),
        ] {
            let reading = think(text);
            assert_eq!((reading.answer, reading.well_formed), (answer, false), "{text}");
        }
        assert!(think("</think> <answer> bilu : mavo <eos>").well_formed, "an empty trace is a trace");
        assert!(think("He wrote \"A b.\" </think> <answer> bilu : mavo <eos>").well_formed, "free text");
    }

    #[test]
    fn a_full_stop_inside_a_word_ends_nothing() {
        assert_eq!(sentences("a 3.5 b . c.d . . e"), ["a 3.5 b .", "c.d .", ".", "e"]);
        assert_eq!(sentences(" \n "), Vec::<&str>::new());
    }
}
