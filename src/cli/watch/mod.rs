//! `recollect watch`: a terminal page of a run that goes on or is over.

mod chart;
mod page;
mod text;
mod trace;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use recollect::store::watched::WatchedRun;
use recollect::{Error, Result};

use super::output;
use page::WatchPage;

/// Watch a run: curves, numbers and what the policy writes
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct WatchArgs {
    /// The directory of the run
    run: PathBuf,
    /// Print how it is now as plain text, and end; so it is where standard output is no terminal
    #[arg(long)]
    once: bool,
}

const HELP: &str = "\
Reads what the run writes, from another terminal or another machine that sees its directory; the run does not
notice. Only what changed is drawn, so a slow line will do.

Keys:
  left, right   another metric in the right chart
  up, down      another completion of the last step
  w             only completions with a wrong answer, or all again
  space         hold still, or go on
  q             leave; the run goes on

Examples:
  recollect watch runs/quickstart
  recollect watch runs/quickstart --once";

/// Between two looks at the files.
const EVERY: Duration = Duration::from_secs(1);

pub fn main(args: &WatchArgs) -> Result<()> {
    let watched = WatchedRun::open(&args.run)?;
    if args.once || !io::stdout().is_terminal() {
        return output::say(&text::summary(&watched));
    }
    let shown = |source| Error::Io { path: "the terminal".into(), action: "draw on", source };
    let mut terminal = ratatui::try_init().map_err(shown)?;
    let outcome = show(&mut terminal, WatchPage::new(watched));
    // The terminal is given back as it was before anything is said about what went wrong.
    ratatui::try_restore().map_err(shown)?;
    outcome
}

fn show(terminal: &mut ratatui::DefaultTerminal, mut page: WatchPage) -> Result<()> {
    let shown = |source| Error::Io { path: "the terminal".into(), action: "draw on", source };
    let mut looked = Instant::now();
    loop {
        terminal.draw(|frame| page.draw(frame)).map_err(shown)?;
        let wait = EVERY.saturating_sub(looked.elapsed());
        if event::poll(wait).map_err(shown)? {
            if let Event::Key(key) = event::read().map_err(shown)?
                && key.kind != KeyEventKind::Release
            {
                match key.code {
                    KeyCode::Char('q') | KeyCode::Esc => return Ok(()),
                    KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Ok(()),
                    code => page.press(code),
                }
            }
            continue;
        }
        looked = Instant::now();
        page.look()?;
    }
}
