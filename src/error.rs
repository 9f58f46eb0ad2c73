//! The one error type of the library. Every message names the place (file, key, row), what was found there,
//! and what is allowed or what to do next.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::files;

/// Result of everything in recollect that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong. The text of each variant is one line that a user can act on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory could not be read, written or made.
    #[error("{path}: cannot {action}: {source}", path = path.display())]
    Io { path: PathBuf, action: &'static str, source: std::io::Error },
    /// There is not enough room where a file is to be written.
    #[error("{path}: {found}; make room, and the same command goes on from what is whole", path = path.display())]
    NoRoom { path: PathBuf, found: String },
    /// A value that a user gave (config key, file content, row) is not allowed.
    #[error("{place}: {found}; {remedy}")]
    Invalid { place: String, found: String, remedy: String },
    /// Tensors: a shape or device error inside candle, which is a bug unless a checkpoint is at fault.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
    /// One part of the program waited for another for too long.
    #[error("{waiter} waited {seconds} s for {awaited}; it is stuck or far too slow, and the run was ended")]
    Timeout { waiter: String, awaited: String, seconds: u64 },
    /// The user asked to stop; everything finished so far is saved.
    #[error("interrupted; {0}")]
    Interrupted(String),
    /// A check of the science refused to go on (a shortcut, a leak).
    #[error("refused: {0}")]
    Refused(String),
    /// Several things are wrong at once, a line each.
    #[error("{}", .0.iter().map(Error::to_string).collect::<Vec<_>>().join("\n"))]
    Several(Vec<Error>),
}

impl Error {
    /// An input/output error with the path and the verb ("read", "write", "create").
    pub fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.to_path_buf();
        move |source| match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
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

    /// A value that is not allowed: where it stands, what was found, what to do about it.
    pub fn invalid(place: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Error {
        Error::Invalid { place: place.into(), found: found.into(), remedy: remedy.into() }
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
