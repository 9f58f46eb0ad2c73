//! Documents from files as training sequences.

use super::Jsonl;
use crate::Result;
use crate::knowledge::curriculum::TrainingSequence;
use crate::language::Tokenizer;
use crate::language::tokenizer::{BOS, EOS};

impl Jsonl {
    /// Each document from its beginning to its end, every token of it learned. One that is longer than `longest`
    /// tokens becomes several lessons.
    pub fn lessons(&self, tokenizer: &Tokenizer, longest: usize) -> Result<Vec<TrainingSequence>> {
        let mut lessons = Vec::with_capacity(self.documents.len());
        for document in &self.documents {
            let tokens = tokenizer.encode(&format!("{BOS} {document} {EOS}"))?;
            for piece in tokens[1..].chunks(longest.saturating_sub(1).max(1)) {
                let mut lesson = TrainingSequence { tokens: vec![tokens[0]], weights: vec![0.0] };
                for token in piece {
                    lesson.push(*token, 1.0);
                }
                lessons.push(lesson);
            }
        }
        Ok(lessons)
    }
}
