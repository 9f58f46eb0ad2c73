//! `recollect reward init`.

use std::path::{Path, PathBuf};

use recollect::{Error, Result, shipped};

use crate::cli::init::write_new;
use crate::cli::output;

/// Begin a reward of your own
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct RewardInitArgs {
    /// The directory to write, made if it is not there
    dir: PathBuf,
    /// With a judge in Python, which is asked about many completions at once, and a test of it
    #[arg(long)]
    python: bool,
}

const HELP: &str = "\
No file that is there is written over.

Examples:
  recollect reward init mine              mine/reward.toml, to change it
  recollect reward init mine --python     and mine/judge.py with mine/test_judge.py";

const JUDGED: &str = include_str!("../../../assets/start/judged.toml");
const JUDGE: &str = include_str!("../../../assets/start/judge.py");
const TEST: &str = include_str!("../../../assets/start/test_judge.py");

pub fn init(args: &RewardInitArgs) -> Result<()> {
    let files = if args.python {
        let judge = args.dir.join("judge.py");
        let path = judge.to_str().filter(|path| !path.contains(['"', '\\'])).ok_or_else(|| {
            let found = "a name that a reward file cannot hold";
            Error::invalid(judge.display().to_string(), found, "name a directory without quotes and backslashes")
        })?;
        vec![
            ("reward.toml", JUDGED.replace("JUDGE", path)),
            ("judge.py", JUDGE.to_owned()),
            ("test_judge.py", TEST.to_owned()),
        ]
    } else {
        vec![("reward.toml", shipped::reward_text(Path::new("recall"))?)]
    };
    write_new(&args.dir, &files)?;
    let reward = output::shown(&args.dir.join("reward.toml"));
    output::say(&format!(
        "\n  recollect reward explain {reward}    what it pays for twenty completions from perfect to hostile\n  \
         recollect run quickstart --set train.reward={reward} --set run.dir=runs/mine"
    ))
}
