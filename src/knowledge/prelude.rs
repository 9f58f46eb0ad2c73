//! What the files of a task need of everything else.

pub use std::collections::{BTreeSet, HashMap, HashSet};
pub use std::sync::Arc;

pub use rand::Rng;
pub use rand::seq::{IndexedRandom, SliceRandom};

pub use super::argument::{categorical, decided};
pub use super::config::{KnownConfig, SetSize, multiple};
pub use super::curriculum::cot_style::CotStyle;
pub use super::curriculum::lesson_question::{LessonQuestion, Thought};
pub use super::facts::{Facts, looked_up};
pub use super::form::{Form, FormInfo, TaskId, TaskInfo};
pub use super::lexicon::{Lexicon, NameKind, Vocabulary, Word, half_reserved, one_of, reserved, syllable};
pub use super::logic::{Import, MAX_TERMS, Statement, Verdict, verdict};
pub use super::pools::{Pools, too_few};
pub use super::question::{CANDIDATES as SHOWN, Claim, Mood, Question};
pub use super::sentence::{Sentence, Slot, Stated, object_first, read_relation, relation, words};
pub use super::shortcut::{Guesses, Tried, most_common};
pub use super::task::{GeneratedTask, QuestionDraft, SetMaker, Task, TaskData};
pub use super::training_text::{LeakKind, TrainingWord};
pub use crate::language::tokenizer::{PAD, SPECIAL};
pub use crate::random::Stream;
pub use crate::{Error, Result};
