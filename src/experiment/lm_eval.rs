//! A world as tasks of lm-evaluation-harness (<https://github.com/EleutherAI/lm-evaluation-harness>): the questions about B of each
//! form as rows, and a task file for each way of asking them, so that any model that it drives can be asked the same.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::start::knowledge;
use crate::config::Config;
use crate::knowledge::{Form, Knowledge, Question, Set};
use crate::language::{Opening, PromptConfig, prompt};
use crate::{Error, Result, files};

/// A question as these tasks read it.
#[derive(Serialize)]
struct TaskRow {
    id: u64,
    question: String,
    answer: String,
    /// What can be chosen from, and which of it is right.
    choices: Vec<String>,
    gold: usize,
    /// The question as it is put to be thought about, to be answered at once, and at once with its documents in front.
    think: String,
    direct: String,
    in_context: String,
    /// The second, up to where a choice follows.
    before_choice: String,
}

/// A way of asking, and what tells its task from the others.
struct TaskKind {
    suffix: &'static str,
    /// The key of the rows that is the prompt.
    prompt: &'static str,
    about: &'static str,
}

const GENERATED: [TaskKind; 3] = [
    TaskKind { suffix: "", prompt: "think", about: "after a chain of thought" },
    TaskKind { suffix: "_direct", prompt: "direct", about: "at once" },
    TaskKind { suffix: "_in_context", prompt: "in_context", about: "at once, with the documents in the prompt" },
];

/// Writes a group of tasks, `recollect`, into a directory: `lm_eval --include_path DIR --tasks recollect`.
///
/// # Errors
/// A world that cannot be made or is refused; a file that cannot be written.
pub fn export_lm_eval(config: &Config, dir: &Path) -> Result<Vec<PathBuf>> {
    let knowledge = knowledge(config)?;
    files::create_dir(dir)?;
    // Task files name their rows by where they are: the harness would look for them in the working directory.
    let home = dir.canonicalize().map_err(Error::io(dir, "find"))?;
    let questions = knowledge.questions(Set::B);
    let forms: BTreeSet<Form> = questions.iter().map(|question| question.form).collect();
    let (mut written, mut tasks) = (Vec::new(), Vec::new());
    let mut write = |name: String, text: String| -> Result<()> {
        let path = dir.join(name);
        files::write_atomic(&path, text.as_bytes())?;
        written.push(path);
        Ok(())
    };
    let chats = matches!(knowledge, Knowledge::Files(_));
    for form in forms {
        let name = plain(form.name);
        let of_form = || questions.iter().filter(|question| question.form == form);
        let rows: Vec<TaskRow> = of_form().map(|question| row(question, &config.prompt, chats)).collect();
        let file = format!("recollect_{name}.jsonl");
        let place = home.join(&file);
        write(file, String::from_utf8_lossy(&files::to_jsonl(&place, &rows)?).into_owned())?;
        for kind in &GENERATED {
            let task = format!("recollect_{name}{}", kind.suffix);
            write(format!("{task}.yaml"), generated(&task, form, kind, &place, config, chats)?)?;
            tasks.push(task);
        }
        if rows.iter().all(|row| row.choices.len() > 1) {
            let task = format!("recollect_{name}_choices");
            write(format!("{task}.yaml"), chosen(&task, form, &place, chats)?)?;
            tasks.push(task);
        }
    }
    let listed: String = tasks.iter().map(|task| format!("  - {task}\n")).collect();
    write("recollect.yaml".into(), format!("group: recollect\ntask:\n{listed}"))?;
    Ok(written)
}

/// A name that every file system and command line takes.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

fn row(question: &Question, prompts: &PromptConfig, chats: bool) -> TaskRow {
    let asked = |context: &[String], opening| {
        if chats { prompts.content(context, &question.text, opening) } else { prompt(context, &question.text, opening) }
    };
    let direct = asked(&[], Opening::Answer);
    let before_choice = if question.cue.is_empty() { direct.clone() } else { format!("{direct} {} :", question.cue) };
    let right = |choice: &String| question.is_answered_by(choice);
    TaskRow {
        id: question.id,
        question: question.text.clone(),
        answer: question.answer.clone(),
        gold: question.choices.iter().position(right).unwrap_or(0),
        choices: if question.choices.iter().any(right) { question.choices.clone() } else { Vec::new() },
        think: asked(&[], Opening::Think),
        in_context: asked(&question.context, Opening::Answer),
        direct,
        before_choice,
    }
}

/// What all task files begin with. JSON is YAML.
fn head(task: &str, form: Form, about: &str, rows: &Path) -> Result<String> {
    let quoted = |text: &str| serde_json::to_string(text).map_err(files::unwritable(task));
    Ok(format!(
        "# {}: {}, {about}. Questions about set B.\ntask: {task}\ndataset_path: json\ndataset_kwargs:\n  data_files:\n    test: {}\n\
         test_split: test\nmetadata:\n  version: 1.0\n",
        form.task,
        form.title,
        quoted(&rows.display().to_string())?,
    ))
}

fn generated(task: &str, form: Form, kind: &TaskKind, rows: &Path, config: &Config, chats: bool) -> Result<String> {
    let thinks = kind.prompt == "think";
    // Behind what is restated, and before whatever closes an answer. The markers of the plain format are special tokens, which
    // the harness takes out of what is written.
    let pattern = match (thinks, chats) {
        (true, true) => r"<answer>\s*([^<]*?)\s*(?:<|$)",
        (true, false) => r":\s*([^:<]*?)\s*(?:<|$)",
        (false, true) => r"^\s*([^<]*?)\s*(?:<|$)",
        (false, false) => r"^\s*(?:[^<]*:\s*)?([^:<]*?)\s*(?:<|$)",
    };
    let until = if thinks { r#"["<eos>"]"# } else { r#"["<eos>", "\n"]"# };
    // A turn of the model begins there; in the plain format it is the end of the prompt.
    let begun = if chats && !thinks { "gen_prefix: \"<answer>\"\n" } else { "" };
    let quoted = serde_json::to_string(pattern).map_err(files::unwritable(task))?;
    Ok(head(task, form, kind.about, rows)?
        + &format!(
            "output_type: generate_until\ndoc_to_text: \"{{{{{}}}}}\"\ndoc_to_target: \"{{{{answer}}}}\"\n{begun}generation_kwargs:\n  \
             until: {until}\n  max_gen_toks: {}\n  do_sample: false\nfilter_list:\n  - name: answer\n    filter:\n      \
             - function: regex\n        regex_pattern: {quoted}\n        group_select: -1\n      - function: take_first\n\
             metric_list:\n  - metric: exact_match\n    aggregation: mean\n    higher_is_better: true\n    ignore_case: true\n    \
             ignore_punctuation: true\n",
            kind.prompt, config.evaluation.max_new_tokens,
        ))
}

/// By which choice is the likeliest to follow.
fn chosen(task: &str, form: Form, rows: &Path, chats: bool) -> Result<String> {
    let begun = if chats { "gen_prefix: \"<answer>\"\n" } else { "" };
    Ok(head(task, form, "by the likelihood of its choices", rows)?
        + &format!(
            "output_type: multiple_choice\ndoc_to_text: \"{{{{before_choice}}}}\"\ndoc_to_choice: \"{{{{choices}}}}\"\n\
             doc_to_target: \"{{{{gold}}}}\"\n{begun}metric_list:\n  - metric: acc\n    aggregation: mean\n    higher_is_better: true\n"
        ))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn exported(set: &[&str]) -> (tempfile::TempDir, Vec<String>) {
        let home = tempfile::tempdir().unwrap();
        let set: Vec<String> = set.iter().map(|text| (*text).to_owned()).collect();
        let config = Config::parse("", "x", "x", &set).unwrap();
        let written = export_lm_eval(&config, home.path()).unwrap();
        let names = written.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
        (home, names)
    }

    #[test]
    fn every_form_has_its_rows_and_its_tasks() {
        let (home, names) = exported(&["world.b.facts=10", "world.b.chains=4"]);
        for name in [
            "recollect.yaml",
            "recollect_candidates.jsonl",
            "recollect_open_in_context.yaml",
            "recollect_entailment_choices.yaml",
        ] {
            assert!(names.iter().any(|there| there == name), "{name} is missing among {names:?}");
        }
        let group = fs::read_to_string(home.path().join("recollect.yaml")).unwrap();
        assert_eq!(
            group.matches("  - recollect_").count(),
            names.iter().filter(|name| name.ends_with(".yaml")).count() - 1
        );
        let rows = fs::read_to_string(home.path().join("recollect_candidates.jsonl")).unwrap();
        for line in rows.lines() {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let choices = row["choices"].as_array().unwrap();
            assert_eq!(choices[row["gold"].as_u64().unwrap() as usize], row["answer"]);
            let text = |key: &str| row[key].as_str().unwrap().to_owned();
            assert!(text("think").ends_with("<think>") && text("direct").ends_with("<answer>"));
            assert!(text("before_choice").ends_with(" :") && text("in_context").len() > text("direct").len());
        }
        let task = fs::read_to_string(home.path().join("recollect_candidates.yaml")).unwrap();
        assert!(task.contains("doc_to_text: \"{{think}}\"") && !task.contains("gen_prefix"), "{task}");
    }

    #[test]
    fn questions_in_english_are_turns_of_a_user() {
        let (home, _) = exported(&[
            "world.language=english",
            "finetune.replay=0",
            "train.replay_tokens=0",
            "train.forms=[\"completion\"]",
        ]);
        let rows = fs::read_to_string(home.path().join("recollect_candidates.jsonl")).unwrap();
        let row: serde_json::Value = serde_json::from_str(rows.lines().next().unwrap()).unwrap();
        assert!(row["think"].as_str().unwrap().contains("\n\nThink first") && !rows.contains("<bos>"));
        let task = fs::read_to_string(home.path().join("recollect_candidates_direct.yaml")).unwrap();
        assert!(task.contains("gen_prefix: \"<answer>\""), "{task}");
    }
}
