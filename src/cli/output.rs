//! What the user sees: text on stdout, errors on stderr, exit codes.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use recollect::Error;
use recollect::experiment::history::Damaged;
use recollect::experiment::stages::Reported;
use recollect::report::table;
use recollect::strict_toml::one_line;

/// The exit code of a run that was stopped by Ctrl-C, by custom 128 and the number of the signal.
pub const INTERRUPTED: u8 = 130;

/// Prints text. A reader that went away (`recollect world … | head`) is no error.
pub fn say(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{}", text.trim_end()).and_then(|()| stdout.flush());
}

/// Prints what a report says and where it was written.
pub fn reported(report: &Reported) {
    say(&table(&report.summary, io::stdout().is_terminal()));
    for path in &report.files {
        say(&format!("wrote {}", path.display()));
    }
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
    for line in lines(error) {
        let _ = writeln!(stderr, "error: {line}");
    }
    ExitCode::from(if matches!(error, Error::Interrupted(_)) { INTERRUPTED } else { 1 })
}

fn lines(error: &Error) -> Vec<String> {
    match error {
        Error::Several(errors) => errors.iter().flat_map(lines).collect(),
        error => vec![one_line(&error.to_string())],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_and_several_are_several() {
        let one = || Error::Refused("a\nb".into());
        assert_eq!(lines(&one()), ["refused: a b"]);
        assert_eq!(lines(&Error::Several(vec![one(), one()])).len(), 2);
    }
}
