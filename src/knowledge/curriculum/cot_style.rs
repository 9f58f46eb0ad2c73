//! What chains of thought of lessons are like.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What chains of thought of lessons are like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CotStyle {
    /// Share of a thought's sentences that are about the candidates, where the question shows some.
    pub candidates: f64,
    /// The same for members of the group that the question names.
    pub group: f64,
    /// Share that start with a premise that the question needs.
    pub premise: f64,
    /// How often such a premise is followed by the next one.
    pub follow: f64,
    /// How often a thought, instead of its next sentence, brings back all that the answer needs and ends: each of these
    /// sentences first with everything masked that the question does not name, where it names something in each. For a model
    /// that learns from masked documents.
    #[serde(skip_serializing_if = "is_off")]
    pub restoring: f64,
    /// How often a sentence is picked among those not said yet.
    pub distinct: f64,
    /// Sentences in the longest thought.
    pub longest: usize,
    /// Share of made-up arguments that have one premise.
    pub single: f64,
    /// Share of made-up arguments that are not balanced, so that one premise tells something by itself.
    pub free: f64,
    /// How much restating the question counts, before an answer.
    pub restated: f32,
    /// Share of documents in which sentences stand behind words that have nothing to do with them.
    pub distracted: f64,
    /// Share of lessons that are about codes, where the base is to know what a code is.
    pub codes: f64,
    /// Share of lessons that are about kinds, where the base is to know what a kind is.
    pub kinds: f64,
    /// The same of each further task.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tasks: BTreeMap<String, f64>,
}

/// Left out where there is none, so that what was made before there was such a share is still told to be the same.
pub(super) fn is_off(share: &f64) -> bool {
    *share == 0.0
}

impl Default for CotStyle {
    fn default() -> Self {
        Self {
            candidates: 0.6,
            group: 0.6,
            premise: 0.5,
            follow: 0.75,
            restoring: 0.0,
            distinct: 1.0,
            longest: 12,
            single: 0.05,
            free: 0.35,
            restated: 0.3,
            distracted: 0.8,
            codes: 0.2,
            kinds: 0.3,
            tasks: BTreeMap::new(),
        }
    }
}
