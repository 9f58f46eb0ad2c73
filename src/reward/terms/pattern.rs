//! Is something written as a pattern says?

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::strict_toml::Problem;
use crate::text::excerpt;

/// Bytes that a pattern may take where it is ready to be looked for.
const LARGEST: usize = 1 << 20;

/// 1 where a regular expression is found. It is looked for in linear time, whatever a policy writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegexTerm {
    /// In the syntax of the crate `regex`, which is that of most languages without looking around and back. It may stand
    /// anywhere in the text: `^` and `$` hold it to the ends.
    pub pattern: SearchPattern,
    /// The part of a completion that is looked at.
    #[serde(default)]
    pub of: MatchedPart,
}

/// A part of a completion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MatchedPart {
    /// Everything that was written.
    #[default]
    Completion,
    /// What stands before `</think>`.
    Trace,
    /// What was answered; nothing is found where there is no answer.
    Answer,
}

/// A regular expression, or what is wrong with it.
#[derive(Clone, Debug)]
pub struct SearchPattern {
    text: String,
    ready: Result<Regex, String>,
}

impl SearchPattern {
    fn new(text: &str) -> SearchPattern {
        let ready = RegexBuilder::new(text).size_limit(LARGEST).build().map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "too large".to_owned(),
            // The last line says why; those above draw the pattern.
            error => error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
        });
        SearchPattern { text: text.to_owned(), ready }
    }
}

impl PartialEq for SearchPattern {
    fn eq(&self, other: &SearchPattern) -> bool {
        self.text == other.text
    }
}

impl Serialize for SearchPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for SearchPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SearchPattern, D::Error> {
        Ok(SearchPattern::new(&String::deserialize(deserializer)?))
    }
}

impl RegexTerm {
    /// The value of a completion, from which this was read as its answer.
    pub fn value(&self, completion: &str, answer: Option<&str>) -> f64 {
        let Ok(pattern) = &self.pattern.ready else { return 0.0 };
        let found = match self.of {
            MatchedPart::Completion => pattern.is_match(completion),
            MatchedPart::Trace => {
                let trace = completion.split_once("</think>").map_or(completion, |(trace, _)| trace);
                pattern.is_match(trace)
            }
            MatchedPart::Answer => answer.is_some_and(|answer| pattern.is_match(answer)),
        };
        f64::from(found)
    }

    /// What is wrong with the pattern.
    pub(in crate::reward) fn problems(&self) -> Vec<Problem> {
        let problem = |why: &String| {
            let found = format!("found \"{}\": {why}", excerpt(&self.pattern.text));
            Problem::new("pattern", found, "allowed is a regular expression without looking around and back")
        };
        self.pattern.ready.as_ref().err().map(problem).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(pattern: &str, of: MatchedPart, completion: &str, answer: Option<&str>) -> f64 {
        RegexTerm { pattern: SearchPattern::new(pattern), of }.value(completion, answer)
    }

    #[test]
    fn a_pattern_is_found_in_the_part_that_is_meant() {
        let said = "I recall. Mara built it. </think> <answer> Mara";
        for (pattern, of, expected) in [
            ("built", MatchedPart::Completion, 1.0),
            ("built", MatchedPart::Trace, 1.0),
            ("built", MatchedPart::Answer, 0.0),
            ("^Mara$", MatchedPart::Answer, 1.0),
            ("^Mara$", MatchedPart::Completion, 0.0),
            ("<answer>", MatchedPart::Trace, 0.0),
            (r"(?i)\bMARA\b", MatchedPart::Trace, 1.0),
            ("", MatchedPart::Completion, 1.0),
        ] {
            assert_eq!(value(pattern, of, said, Some("Mara")), expected, "{pattern} in {of:?}");
        }
        assert_eq!(value(".", MatchedPart::Answer, said, None), 0.0);
        assert_eq!(value("still", MatchedPart::Trace, "still thinking", None), 1.0, "a thought without an end");
    }

    #[test]
    fn what_is_no_pattern_is_told_in_a_line() {
        for (pattern, why) in
            [("(", "unclosed group"), ("(?=a)", "look-around"), ("[[:alpha:]]{1000}{1000}", "too large")]
        {
            let term = RegexTerm { pattern: SearchPattern::new(pattern), of: MatchedPart::Trace };
            let problems = term.problems();
            assert_eq!((problems.len(), term.value("a", None)), (1, 0.0));
            assert!(problems[0].found.contains(why) && !problems[0].found.contains('\n'), "{}", problems[0].found);
        }
    }

    #[test]
    fn no_text_takes_more_than_linear_time() {
        let hostile = "a".repeat(200_000);
        assert_eq!(value("(a|aa)+$", MatchedPart::Completion, &format!("{hostile}b"), None), 0.0);
    }
}
