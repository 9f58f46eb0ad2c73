//! A world as text: what a person can look at, and what other programs can read.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::start::{knowledge, notes};
use crate::config::Config;
use crate::knowledge::curriculum::lesson::{ANSWER, END_THINK, EOS, QUESTION, THINK};
use crate::knowledge::english::{Proposal, propose};
use crate::knowledge::jsonl::{Lesson, LessonRow, WorldOrigin};
use crate::knowledge::shortcut::Shortcut;
use crate::knowledge::{Jsonl, Knowledge, Set, World, audit, leak};
use crate::text::one_line;
use crate::{Error, Result, files, random};

/// More than anyone reads: they are drawn and never come to an end.
const REHEARSED: usize = 10_000;

/// A part of a world that can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum WorldPart {
    Documents,
    Questions,
    Answers,
    /// Of set C: how a question is thought about
    Lessons,
    Audit,
}

/// Parts of the world as text, at most `limit` entries of each set.
///
/// # Errors
/// A world that cannot be made or is refused.
pub fn world(config: &Config, parts: &[WorldPart], limit: usize) -> Result<String> {
    let knowledge = knowledge(config)?;
    let mut text = String::new();
    for part in parts {
        match part {
            WorldPart::Audit => match audit::shortcuts(&knowledge)? {
                Some(shortcuts) => text += &table(&shortcuts),
                None => text += "no audit: what would be a shortcut in text from files is not known\n",
            },
            WorldPart::Lessons => lessons(config, &knowledge, limit).into_iter().for_each(|lesson| text += &lesson),
            _ => {
                for set in [Some(Set::A), Some(Set::B), None] {
                    lines(&knowledge, *part, set).into_iter().take(limit).for_each(|line| {
                        let _ =
                            writeln!(text, "{}  {}", set.map_or("-".into(), |set| set.to_string()), one_line(&line));
                    });
                }
            }
        }
        text.push('\n');
    }
    notes(&knowledge).into_iter().for_each(|note| text += &format!("{note}\n"));
    // Files are refused as a run refuses them; the message says where to look.
    if matches!(knowledge, Knowledge::Files(_)) {
        leak::check(&knowledge)?;
    }
    // A world with a shortcut can be looked at; the exit code still says what it is.
    if parts.contains(&WorldPart::Audit) {
        audit::check(&knowledge)?;
    }
    Ok(text)
}

/// Lessons, each with what is read and asked, the thought and the answer.
fn lessons(config: &Config, knowledge: &Knowledge, limit: usize) -> Vec<String> {
    let files = match knowledge {
        Knowledge::Files(files) => files,
        Knowledge::Generated(world) => return rehearsed(config, world, limit),
    };
    let told = |lesson: &Lesson| {
        let LessonRow { prompt, thought, answer, context } = &lesson.row;
        let read = context.iter().map(|passage| format!("     {}\n", one_line(passage))).collect::<String>();
        let thought = thought.as_ref().map_or(String::new(), |thought| format!("  …  {}\n", one_line(thought)));
        format!("C  {}\n{read}{thought}  →  {}\n", one_line(prompt), one_line(answer))
    };
    files.lessons().iter().take(limit).map(told).collect()
}

/// Thoughts as fine-tuning rehearses them beside the documents, drawn anew in each step.
fn rehearsed(config: &Config, world: &World, limit: usize) -> Vec<String> {
    let curriculum = config.finetune.curriculum(world);
    let mut random = random::stream(config.finetune.seed, &[]);
    let mut told = || {
        let tokens = curriculum.think(&mut random).tokens;
        let place = |mark| tokens.iter().position(|token| *token == mark).unwrap_or(tokens.len());
        let part = |from: usize, to: usize| world.grammar.lexicon.text(tokens.get(from..to).unwrap_or_default());
        let (thought, thought_out) = (place(THINK), place(END_THINK));
        let (asked, said) = (part(place(QUESTION) + 1, thought), part(thought + 1, thought_out));
        let answer = part(place(ANSWER) + 1, place(EOS));
        format!("C  {asked}\n  …  {said}\n  →  {answer}\n")
    };
    (0..limit.min(REHEARSED)).map(|_| told()).collect()
}

/// The lines of one set, or those that belong to none.
fn lines(knowledge: &Knowledge, part: WorldPart, set: Option<Set>) -> Vec<String> {
    let questions = || set.map_or(Vec::new(), |set| knowledge.questions(set)).into_iter();
    match part {
        WorldPart::Documents => {
            documents(knowledge).into_iter().filter(|row| row.set == set).map(|row| row.text).collect()
        }
        WorldPart::Questions => questions().map(|question| question.text).collect(),
        _ => questions().map(|q| format!("{}  ->  {}", q.text, q.answer)).collect(),
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
    /// Documents from files are about both sets.
    #[serde(skip_serializing_if = "Option::is_none")]
    set: Option<Set>,
    text: String,
}

fn documents(knowledge: &Knowledge) -> Vec<DocumentRow> {
    match knowledge {
        Knowledge::Generated(world) => {
            world.documents().iter().map(|d| DocumentRow { set: Some(d.set), text: world.text(d) }).collect()
        }
        Knowledge::Files(files) => {
            files.documents_in_sets().map(|(text, set)| DocumentRow { set, text: text.to_owned() }).collect()
        }
    }
}

/// Writes documents, questions (with answers, context and what they need), facts and lessons where there are any, and, of a
/// generated world, the audit and what it is made from into a directory.
///
/// # Errors
/// A world that cannot be made or is refused; a file that cannot be written.
pub fn export_world(config: &Config, dir: &Path) -> Result<Vec<PathBuf>> {
    let knowledge = knowledge(config)?;
    if matches!(knowledge, Knowledge::Files(_)) {
        leak::check(&knowledge)?;
    }
    let questions = [Set::A, Set::B].iter().flat_map(|set| knowledge.questions(*set));
    let mut written = vec![
        jsonl(dir.join("documents.jsonl"), documents(&knowledge))?,
        jsonl(dir.join("questions.jsonl"), questions)?,
    ];
    let origin = match &knowledge {
        Knowledge::Generated(world) => {
            Some(WorldOrigin { known: world.known.clone(), world: config.world.generated() })
        }
        Knowledge::Files(jsonl) => jsonl.origin().cloned(),
    };
    if let Some(origin) = origin {
        written.push(origin.write(dir)?);
    }
    if let Some(shortcuts) = audit::shortcuts(&knowledge)? {
        written.push(jsonl(dir.join("audit.jsonl"), shortcuts)?);
    }
    if let Knowledge::Files(files) = &knowledge {
        if !files.fact_rows().is_empty() {
            written.push(jsonl(dir.join("facts.jsonl"), files.fact_rows())?);
        }
        if !files.forward().is_empty() {
            written.push(jsonl(dir.join("forward.jsonl"), files.forward())?);
        }
        if !files.lessons().is_empty() {
            written.push(jsonl(dir.join("lessons.jsonl"), files.lessons().iter().map(|lesson| &lesson.row))?);
        }
    }
    Ok(written)
}

fn jsonl(path: PathBuf, rows: impl IntoIterator<Item = impl Serialize>) -> Result<PathBuf> {
    files::write_jsonl(&path, rows)?;
    Ok(path)
}

/// What the documents of a config seem to state, as rows of a file of facts for a person to check.
///
/// # Errors
/// A world that is generated, whose facts are known; documents that cannot be read.
pub fn propose_facts(config: &Config) -> Result<Proposal> {
    if config.world.is_jsonl() {
        return Ok(propose(&Jsonl::texts(&config.world.jsonl.documents)?));
    }
    let remedy = "nothing needs to be proposed; facts are proposed for documents of your own (world.jsonl.documents)";
    Err(Error::invalid("world", "it is generated, and what it states is known", remedy))
}

/// Writes proposed facts into a file, for `world.jsonl.facts`. What somebody has checked is not overwritten.
///
/// # Errors
/// There is no fact; a file that says something else is there; it cannot be written.
pub fn write_facts(proposal: &Proposal, path: &Path) -> Result<()> {
    let place = || path.display().to_string();
    if proposal.facts == 0 {
        let found = format!("no fact was found in {} sentences", proposal.sentences);
        return Err(Error::invalid(place(), found, "write the facts by hand, as configs/README.md says"));
    }
    let rows = files::to_jsonl(path, &proposal.rows)?;
    if path.symlink_metadata().is_ok() {
        if files::read_bytes(path)? == rows {
            return Ok(());
        }
        return Err(Error::invalid(place(), "there is another file of this name", "name another one, or remove it"));
    }
    files::write_atomic(path, &rows)
}

/// A proposal as text: at most `limit` of its rows, unless they were written into a file, and of the sentences in which nothing
/// was found; and what to do next.
///
/// # Errors
/// What cannot be written as JSON.
pub fn proposed(proposal: &Proposal, file: Option<&Path>, limit: usize) -> Result<String> {
    let Proposal { rows, relations, facts, sentences, stating, others } = proposal;
    let mut text = String::new();
    let more = |all: usize| if all > limit { format!("  and {} more\n", all - limit) } else { String::new() };
    if file.is_none() {
        for row in rows.iter().take(limit) {
            text += &format!("{}\n", one_line(&String::from_utf8_lossy(&files::to_json("facts", row)?)));
        }
        text += &format!("{}\n", more(rows.len()));
    }
    if !others.is_empty() {
        text += "nothing was found in\n";
        others.iter().take(limit).for_each(|other| text += &format!("  {}\n", one_line(other)));
        text += &format!("{}\n", more(others.len()));
    }
    text += &format!("{facts} facts (relations: {relations}), stated in {stating} of {sentences} sentences; ");
    text += &match file {
        _ if *facts == 0 => "write them by hand, as configs/README.md says\n".to_owned(),
        Some(file) => {
            let name = one_line(&file.to_string_lossy());
            format!("look through them, then set world.jsonl.facts = [\"{name}\"]\n")
        }
        None => "write them with --propose-facts FILE, look through them, then set world.jsonl.facts = [\"FILE\"]\n"
            .to_owned(),
    };
    Ok(text)
}
