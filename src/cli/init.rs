//! `recollect init`.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use recollect::{Error, Result, files, shipped};

use super::output;

/// Begin an experiment of your own: a config with comments, a reward, and what else it needs
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct InitArgs {
    /// The directory to write, made if it is not there
    dir: PathBuf,
    /// What to begin with
    #[arg(long, value_enum, default_value_t = Beginning::Quickstart)]
    from: Beginning,
}

#[derive(Clone, Copy, ValueEnum)]
enum Beginning {
    /// A generated world and the base that ships: nothing to download, minutes on two cores
    Quickstart,
    /// Documents, questions, facts and lessons in files, a small example of each, for a checkpoint from elsewhere
    Documents,
    /// A world in English for a checkpoint from elsewhere
    Checkpoint,
}

const HELP: &str = "\
No file that is there is written over.

Examples:
  recollect init mine                      the quickstart, to change it
  recollect init mine --from documents     your own documents: replace the examples by yours
  recollect init mine --from checkpoint    a real language model and a world in English";

/// The reward, in a directory that was begun so.
const REWARD: &str = "reward.toml";

/// What `--from documents` begins with.
const DOCUMENTS: [(&str, &str); 5] = [
    ("documents.toml", include_str!("../../assets/start/documents.toml")),
    ("documents.jsonl", include_str!("../../assets/start/documents.jsonl")),
    ("questions.jsonl", include_str!("../../assets/start/questions.jsonl")),
    ("facts.jsonl", include_str!("../../assets/start/facts.jsonl")),
    ("lessons.jsonl", include_str!("../../assets/start/lessons.jsonl")),
];

pub fn main(args: &InitArgs) -> Result<()> {
    let config = match args.from {
        Beginning::Quickstart => "quickstart.toml",
        Beginning::Documents => DOCUMENTS[0].0,
        Beginning::Checkpoint => "smollm2.toml",
    };
    let beginning = match args.from {
        Beginning::Quickstart => of_shipped(config, "enumerate")?,
        Beginning::Checkpoint => of_shipped(config, "english")?,
        Beginning::Documents => {
            let reward = shipped::reward_text(Path::new("english"))?;
            let files = DOCUMENTS.map(|(name, text)| (name, text.to_owned()));
            files.into_iter().chain([(REWARD, reward)]).collect()
        }
    };
    write_new(&args.dir, &beginning)?;
    let config = output::shown(&args.dir.join(config));
    output::say(&format!(
        "\n  recollect run {config} --dry-run    what it takes, and whether everything is there\n  recollect run {config}"
    ))
}

/// Writes files into a directory, and none where one of them is there.
pub fn write_new(dir: &Path, beginning: &[(&str, String)]) -> Result<()> {
    let there = beginning.iter().map(|(name, _)| dir.join(name)).filter(|path| path.symlink_metadata().is_ok());
    let refused = |path: PathBuf| {
        Error::invalid(path.display().to_string(), "there already", "name another directory, or move it away")
    };
    Error::all(there.map(refused).collect())?;
    files::create_dir(dir)?;
    for (name, text) in beginning {
        let path = dir.join(name);
        files::write_atomic(&path, text.as_bytes())?;
        output::wrote(&path)?;
    }
    Ok(())
}

/// A config that ships, with its reward beside it.
fn of_shipped(config: &'static str, reward: &str) -> Result<Vec<(&'static str, String)>> {
    let text = shipped::config_text(Path::new(config))?;
    let own = text.replace(&format!("\"rewards/{reward}.toml\""), &format!("\"{REWARD}\""));
    let own = own.replace(&format!("cargo run --release -- run configs/{config}"), &format!("recollect run {config}"));
    Ok(vec![(config, own), (REWARD, shipped::reward_text(Path::new(reward))?)])
}
