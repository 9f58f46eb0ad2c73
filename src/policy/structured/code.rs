//! What tokens are recognised by, and how a config spells it.

use serde::{Deserialize, Serialize};

/// What a token is recognised by after layer 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Code {
    /// The token itself: `own`.
    Own,
    /// The token so many places before it: `prev1`, `prev2`, …
    Previous(usize),
}

impl TryFrom<String> for Code {
    type Error = String;

    fn try_from(text: String) -> Result<Code, String> {
        let distance = text.strip_prefix("prev").and_then(|distance| distance.parse().ok());
        match (text.as_str(), distance) {
            ("own", _) => Ok(Code::Own),
            (_, Some(distance)) => Ok(Code::Previous(distance)),
            _ => Err(format!("unknown code {text:?}: own, prev1, prev2, … are allowed")),
        }
    }
}

impl From<Code> for String {
    fn from(code: Code) -> String {
        match code {
            Code::Own => "own".to_owned(),
            Code::Previous(distance) => format!("prev{distance}"),
        }
    }
}
