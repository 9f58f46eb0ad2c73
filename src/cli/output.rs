//! What the user sees: text on stdout, errors on stderr, exit codes.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::process::{self, ExitCode};

use recollect::evaluate::Reported;
use recollect::interrupt::Interrupt;
use recollect::report::{percent, table};
use recollect::store::history::Damaged;
use recollect::text::{one_line, printable};
use recollect::{Error, Result};

/// The exit code of a run that was stopped by Ctrl-C, by custom 128 and the number of the signal.
pub const INTERRUPTED: u8 = 130;

/// What Ctrl-C raises; a second one ends the process at once.
pub fn interruptible() -> Result<Interrupt> {
    Interrupt::install(|| process::exit(i32::from(INTERRUPTED)))
}

/// Prints text, whatever it was made from: nothing in it steers a terminal. A reader that went away
/// (`recollect world … | head`) is no error, an output that cannot be written is.
pub fn say(text: &str) -> Result<()> {
    write(&printable(text.trim_end()))
}

/// The same of text with bold type, where standard output is a terminal.
pub fn say_styled(text: &str) -> Result<()> {
    write(&styles(text.trim_end()))
}

/// What is printable, and what sets the type.
fn styles(text: &str) -> String {
    // The pieces behind an escape begin with the rest of what sets the type, which alone goes through.
    let mut pieces = text.split('\u{1b}');
    let mut shown = printable(pieces.next().unwrap_or_default()).into_owned();
    for piece in pieces {
        let style = piece.strip_prefix('[').and_then(|rest| Some(rest.split_once('m')?.0));
        if style.is_some_and(|style| style.chars().all(|c| c.is_ascii_digit() || c == ';')) {
            shown.push('\u{1b}');
        }
        shown.push_str(&printable(piece));
    }
    shown
}

fn write(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::stream("standard output")(error)),
        _ => Ok(()),
    }
}

/// Says that a file was written.
pub fn wrote(path: &Path) -> Result<()> {
    say(&format!("wrote {}", shown(path)))
}

/// A path as part of a line.
pub fn shown(path: &Path) -> String {
    one_line(&path.to_string_lossy())
}

/// Prints what a report says and where it was written.
pub fn reported(report: &Reported) -> Result<()> {
    say_styled(&table(&report.summary, io::stdout().is_terminal()))?;
    report.files.iter().try_for_each(|path| wrote(path))?;
    let Some(policy) = &report.policy else { return Ok(()) };
    say(&format!("the policy after RL is in {}", shown(policy)))?;
    let Some((step, share)) = report.best else { return Ok(()) };
    say(&format!("of those on the way, the one after step {step} (@{step}) answered most about A: {}", percent(share)))
}

/// Tells of files that are not what they were when they were written.
pub fn damaged(files: &[Damaged]) {
    let mut stderr = io::stderr().lock();
    for file in files {
        let _ = writeln!(stderr, "{}", one_line(&file.words()));
    }
}

/// Prints an error, a line for each thing that is wrong, and says how the process should end.
pub fn fail(error: &Error) -> ExitCode {
    let mut stderr = io::stderr().lock();
    for line in error.lines() {
        let _ = writeln!(stderr, "error: {}", one_line(&line));
    }
    ExitCode::from(if matches!(error, Error::Interrupted(_)) { INTERRUPTED } else { 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bold_type_alone_goes_through() {
        let styled = "\u{1b}[1mbold\u{1b}[0m \u{1b}]0;title\u{7}\u{1b}[2J\u{202e}";
        assert_eq!(styles(styled), "\u{1b}[1mbold\u{1b}[0m ]0;title\u{fffd}[2J\u{fffd}");
    }
}
