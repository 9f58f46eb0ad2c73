//! Patterns for the names of layers, as Python's `re` reads those in PEFT's files: whole expressions with look-around.

use fancy_regex::{Captures, Regex};
use indexmap::IndexMap;

/// A regular expression from a file.
pub(super) struct Pattern(Regex);

impl Pattern {
    /// One that has to match from the first character of a name to the last. What is wrong with it is the error.
    pub fn whole(text: &str) -> Result<Pattern, String> {
        Pattern::compile(&format!(r"\A(?:{text})\z"))
    }

    /// The key of `rank_pattern` or `alpha_pattern`, which the end of a name has to match.
    pub fn ending(text: &str) -> Result<Pattern, String> {
        Pattern::compile(&format!(r"\A(.*\.)?({text})\z"))
    }

    /// The number of a block behind what `layers_pattern` names.
    pub fn numbered(text: &str) -> Result<Pattern, String> {
        Pattern::compile(&format!(r"\A.*?\.{text}\.(\d+)\."))
    }

    fn compile(text: &str) -> Result<Pattern, String> {
        Regex::new(text).map(Pattern).map_err(|error| no_lines(&error.to_string()))
    }

    /// Whether a name matches; an expression that would take for ever is an error.
    pub fn matches(&self, name: &str) -> Result<bool, String> {
        self.0.is_match(name).map_err(|error| no_lines(&error.to_string()))
    }

    /// The number in the first group.
    pub fn number(&self, name: &str) -> Result<Option<usize>, String> {
        let number = |found: Captures| match found.get(1).map(|group| group.as_str().parse()) {
            Some(Ok(number)) => Ok(number),
            _ => Err("its first group is no number".to_owned()),
        };
        self.0.captures(name).map_err(|error| no_lines(&error.to_string()))?.map(number).transpose()
    }
}

fn no_lines(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Numbers by pattern, as `rank_pattern` and `alpha_pattern` hold them, in the order of the file: of several patterns that
/// match the first counts. As in Python's dictionaries, a key that comes again keeps its place.
pub(super) type OrderedPatterns = Option<IndexMap<String, f64>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_match_as_those_of_python_do() {
        let name = "model.layers.1.self_attn.q_proj";
        for (text, whole, ending) in [
            (r".*\.q_proj", true, true),
            ("q_proj", false, true),
            (r"layers\.1\.self_attn\.q_proj", false, true),
            ("proj", false, false),
            (r"(?!.*mlp).*_proj", true, true),
            ("k_proj|q_proj", false, true),
            (r"^model\.layers\.1\..*", true, true),
        ] {
            assert_eq!(Pattern::whole(text).unwrap().matches(name), Ok(whole), "{text}");
            assert_eq!(Pattern::ending(text).unwrap().matches(name), Ok(ending), "{text}");
        }
        assert_eq!(Pattern::numbered("layers").unwrap().number(name), Ok(Some(1)));
        assert_eq!(Pattern::numbered("blocks").unwrap().number(name), Ok(None));
        assert!(Pattern::whole("(").is_err_and(|error| !error.contains('\n')));
    }

    #[test]
    fn the_order_of_a_file_is_kept() {
        let found: OrderedPatterns = serde_json::from_str(r#"{"z": 1, "a": 2.5, "z": 3}"#).unwrap();
        assert!(found.unwrap().into_iter().eq([("z".to_owned(), 3.0), ("a".to_owned(), 2.5)]));
    }
}
