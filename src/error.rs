//! The one error type of the library. Every message names the place (file, key, row), what was found there,
//! and what is allowed or what to do next.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::{files, text};

/// Result of everything in recollect that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong. The text of each variant is one line that a user can act on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory could not be read, written or made.
    #[error("{path}: cannot {action}: {source}", path = Short(&path.to_string_lossy()))]
    Io { path: PathBuf, action: &'static str, source: std::io::Error },
    /// There is not enough room where a file is to be written.
    #[error("{path}: {found}; make room, and the same command goes on from what is whole", path = Short(&path.to_string_lossy()))]
    NoRoom { path: PathBuf, found: String },
    /// A value that a user gave (config key, file content, row) is not allowed.
    #[error("{}: {}; {}", Short(place), Short(found), Short(remedy))]
    Invalid { place: String, found: String, remedy: String },
    /// Tensors: a shape or device error inside candle, which is a bug unless a checkpoint is at fault.
    #[error("tensor operation failed: {}", Short(&.0.to_string()))]
    Tensor(#[from] candle_core::Error),
    /// One part of the program waited for another for too long.
    #[error("{waiter} waited {seconds} s for {awaited}; it is stuck or far too slow, and the run was ended")]
    Timeout { waiter: String, awaited: String, seconds: u64 },
    /// The user asked to stop; everything finished so far is saved.
    #[error("interrupted; {}", Short(.0))]
    Interrupted(String),
    /// A check of the science refused to go on (a shortcut, a leak).
    #[error("refused: {}", Short(.0))]
    Refused(String),
    /// Several things are wrong at once, a line each.
    #[error("{}", self.lines().join("\n"))]
    Several(Vec<Error>),
}

/// The most characters of a part of a message: whatever a file holds, a person can read what is wrong with it.
const LONGEST_PART: usize = 600;
/// The most lines of one error.
const MOST_LINES: usize = 24;

/// A part of a message as it is shown: in one line, which no terminal obeys, and short.
struct Short<'a>(&'a str);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&text::short_line(self.0, LONGEST_PART))
    }
}

impl Error {
    /// An input/output error with the path and the verb ("read", "write", "create").
    pub fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.to_path_buf();
        move |source| match source.kind() {
            // What a device takes has nothing to do with the disk that its name stands on.
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded if files::is_on_disk(&path) => {
                let free = files::free(&path).map(|free| format!(" ({} are free)", files::megabytes(free)));
                let found = format!("no room is left to {action} it{}: {source}", free.unwrap_or_default());
                Error::NoRoom { path, found }
            }
            ErrorKind::FileTooLarge => {
                let found = format!("the system lets no file become so large (`ulimit -f` says how large): {source}");
                Error::NoRoom { path, found }
            }
            _ => Error::Io { path, action, source },
        }
    }

    /// An output that goes wherever this process was told, which may be no disk, and that could not be written.
    pub fn stream(name: &str) -> impl FnOnce(std::io::Error) -> Error {
        let path = PathBuf::from(name);
        move |source| Error::Io { path, action: "write", source }
    }

    /// A value that is not allowed: where it stands, what was found, what to do about it.
    pub fn invalid(place: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Error {
        Error::Invalid { place: place.into(), found: found.into(), remedy: remedy.into() }
    }

    /// The same, of something that belongs to `whose`.
    pub fn attributed_to(self, whose: &str) -> Error {
        match self {
            Error::Invalid { place, found, remedy } => Error::invalid(format!("{whose}: {place}"), found, remedy),
            other => other,
        }
    }

    /// What a person reads: a line for each thing that is wrong, and of very many the first of them.
    pub fn lines(&self) -> Vec<String> {
        let Error::Several(errors) = self else { return vec![self.to_string()] };
        let mut lines: Vec<String> = errors.iter().take(MOST_LINES).flat_map(Error::lines).collect();
        lines.truncate(MOST_LINES);
        if let more @ 1.. = errors.len().saturating_sub(lines.len()) {
            lines.push(format!("and {more} more"));
        }
        lines
    }

    /// Nothing if the list is empty, else the one error or all of them together.
    pub fn all(mut errors: Vec<Error>) -> Result<()> {
        match errors.pop() {
            None => Ok(()),
            Some(only) if errors.is_empty() => Err(only),
            Some(last) => {
                errors.push(last);
                Err(Error::Several(errors))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::tests::HOSTILE;

    #[test]
    fn a_message_is_one_short_line_whatever_it_is_about() {
        let long = format!("{HOSTILE} {}", "question ".repeat(40_000));
        let errors = [
            Error::invalid(format!("{long}/q.jsonl: line 7"), &long, &long),
            Error::io(Path::new(&long), "read")(std::io::Error::other("gone")),
            Error::Refused(long.clone()),
            Error::Interrupted(long.clone()),
            Error::Tensor(candle_core::Error::Msg(long.clone())),
        ];
        for error in &errors {
            let line = error.to_string();
            assert!(!line.chars().any(text::is_hidden), "{line:?}");
            assert!(line.chars().count() < 2000, "{} characters", line.chars().count());
        }
        assert!(errors[0].to_string().contains("/q.jsonl: line 7: "), "the end of a place says where it is");
        let usual = "rewards/mine.toml: line 3, column 1: term 1: kind";
        assert_eq!(Error::invalid(usual, "found x", "try y").to_string(), format!("{usual}: found x; try y"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn free_room_is_told_of_where_the_place_is_on_a_disk() {
        let full = || std::io::Error::from(ErrorKind::StorageFull);
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        std::fs::write(&file, "").unwrap();
        for place in [file.as_path(), home.path(), &home.path().join("none/yet"), Path::new("none-yet")] {
            let message = Error::io(place, "write")(full()).to_string();
            assert!(
                message.contains(": no room is left to write it (") && message.contains(" MB are free)"),
                "{message}"
            );
        }
        let device = Error::io(Path::new("/dev/full"), "write")(full()).to_string();
        let stream = Error::stream("standard output")(full()).to_string();
        assert_eq!(device, format!("/dev/full: cannot write: {}", full()));
        assert_eq!(stream, format!("standard output: cannot write: {}", full()));
    }

    #[test]
    fn of_very_many_errors_the_first_are_told() {
        let many = |count: usize| {
            let errors = (0..count).map(|n| Error::Refused(n.to_string())).collect();
            Error::all(errors).unwrap_err().to_string()
        };
        assert_eq!(many(2), "refused: 0\nrefused: 1");
        let lines = many(5000);
        assert_eq!(lines.lines().count(), MOST_LINES + 1);
        assert_eq!(lines.lines().last(), Some("and 4976 more"));
        let inner = |n| Error::Several(vec![Error::Refused(format!("{n}")), Error::Refused(format!("{n}"))]);
        assert_eq!(Error::Several((0..3).map(inner).collect()).lines().len(), 6);
    }
}
