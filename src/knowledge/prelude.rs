//! What the files of a task need of everything else.

pub use std::collections::{BTreeSet, HashMap, HashSet};
pub use std::sync::Arc;

pub use rand::Rng;
pub use rand::seq::{IndexedRandom, SliceRandom};

pub use super::config::{KnownConfig, SetSize, multiple};
pub use super::curriculum::cot_style::CotStyle;
pub use super::draft::{QuestionDraft, Thought};
pub use super::facts::{Facts, looked_up};
pub use super::form::{Form, FormInfo, TaskId, TaskInfo};
pub use super::lexicon::{Lexicon, NameKind, Vocabulary, Word, half_reserved, one_of, reserved, syllable};
pub use super::logic::{Import, MAX_TERMS, Statement, Verdict, categorical, decided, verdict};
pub use super::pools::{Pools, too_few};
pub use super::question::{CANDIDATES as SHOWN, Claim, Mood, Question};
pub use super::sentence::{
    Sentence, Slot, Stated, categorical_claim, gathered, object_first, read_categorical, read_relation, relation,
    relation_claim, stated, words,
};
pub use super::shortcut::{Guesses, Tried, most_common};
pub use super::task::{GeneratedTask, SetMaker, Task, TaskData};
pub use super::training_text::{LeakKind, TrainingWord};
pub use crate::language::tokenizer::{PAD, SPECIAL};
pub use crate::random::Stream;
pub use crate::{Error, Result};
