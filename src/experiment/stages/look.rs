//! A world as text: what a person can look at, and what other programs can read.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::generated;
use crate::experiment::Config;
use crate::experiment::base::Base;
use crate::knowledge::audit::{self, Shortcut};
use crate::knowledge::{Set, World};
use crate::{Error, Result, files};

/// A part of a world that can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WorldPart {
    Documents,
    Questions,
    Answers,
    Audit,
}

/// Parts of the world as text, at most `limit` entries of each set.
pub fn world(config: &Config, parts: &[WorldPart], limit: usize) -> Result<String> {
    let world = generated(config, &Base::load(config.base.dir())?)?;
    let mut text = String::new();
    for part in parts {
        match part {
            WorldPart::Audit => text += &table(&audit::audit(&world)),
            _ => {
                for set in [Set::A, Set::B] {
                    lines(&world, *part, set).into_iter().take(limit).for_each(|line| {
                        let _ = writeln!(text, "{set}  {line}");
                    });
                }
            }
        }
        text.push('\n');
    }
    // A world with a shortcut can be looked at; the exit code still says what it is.
    if parts.contains(&WorldPart::Audit) {
        audit::check(&world)?;
    }
    Ok(text)
}

fn lines(world: &World, part: WorldPart, set: Set) -> Vec<String> {
    match part {
        WorldPart::Documents => {
            world.documents().iter().filter(|d| d.set == set).map(|document| world.text(document)).collect()
        }
        WorldPart::Questions => world.questions(set).into_iter().map(|question| question.text).collect(),
        _ => world.questions(set).into_iter().map(|q| format!("{}  ->  {}", q.text, q.answer)).collect(),
    }
}

fn table(shortcuts: &[Shortcut]) -> String {
    let mut text = format!("{:<12} {:<44} {:>9} {:>8} {:>15}\n", "form", "shortcut", "on B", "chance", "interval");
    for s in shortcuts {
        let share = s.correct as f64 / s.n.max(1) as f64;
        let interval = format!("{:.2} to {:.2}", s.low, s.high);
        let verdict = if s.passes() { "" } else { "  WORKS" };
        let form = s.form.to_string();
        let _ = writeln!(text, "{form:<12} {:<44} {share:>9.2} {:>8.2} {interval:>15}{verdict}", s.rule, s.chance);
    }
    text
}

#[derive(Serialize)]
struct DocumentRow {
    set: Set,
    text: String,
}

/// Writes documents, questions (with answers, context and what they need) and the audit into a directory.
pub fn export_world(config: &Config, dir: &Path) -> Result<Vec<PathBuf>> {
    let world = generated(config, &Base::load(config.base.dir())?)?;
    let documents = world.documents().iter().map(|d| DocumentRow { set: d.set, text: world.text(d) });
    let questions = [Set::A, Set::B].iter().flat_map(|set| world.questions(*set));
    Ok(vec![
        jsonl(&dir.join("documents.jsonl"), documents)?,
        jsonl(&dir.join("questions.jsonl"), questions)?,
        jsonl(&dir.join("audit.jsonl"), audit::audit(&world).into_iter())?,
    ])
}

fn jsonl<T: Serialize>(path: &Path, rows: impl Iterator<Item = T>) -> Result<PathBuf> {
    let mut text = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut text, &row).map_err(|error| {
            Error::invalid(path.display().to_string(), error.to_string(), "a row cannot be written")
        })?;
        text.push(b'\n');
    }
    files::write_atomic(path, &text)?;
    Ok(path.to_path_buf())
}
