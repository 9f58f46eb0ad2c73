//! Directories that are whole or not there: the digest of every file, taken when it was written and looked at before it
//! is used.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::{Error, Result, files};

/// The file of a finished directory that holds the digests of all others, among what else is known of it.
pub const MARKER: &str = "complete.json";

/// What every marker has.
#[derive(Deserialize)]
struct Sealed {
    files: Digests,
}

/// Digest of each file, by its path inside the directory.
pub type Digests = BTreeMap<String, String>;

/// Puts every file of a directory on disk and takes its digest.
pub fn digests(dir: &Path) -> Result<Digests> {
    let mut digests = BTreeMap::new();
    collect(dir, "", &mut digests)?;
    Ok(digests)
}

/// The first file that is gone or is not what it was, and which of both.
pub fn damage(dir: &Path, digests: &Digests) -> Result<Option<(PathBuf, &'static str)>> {
    for (file, expected) in digests {
        let path = dir.join(file);
        if !path.exists() {
            return Ok(Some((path, "missing")));
        }
        if files::digest_file(&path)? != *expected {
            return Ok(Some((path, "changed")));
        }
    }
    Ok(None)
}

/// Refuses a directory, or one inside of another, that was sealed when it was finished and in which a file is gone or is
/// not what it was. What comes from elsewhere has no marker and nothing to be compared with.
pub fn verify(dir: &Path) -> Result<()> {
    check(dir, dir)?;
    let whole = dir.canonicalize().map_err(Error::io(dir, "read"))?;
    whole.ancestors().skip(1).try_for_each(|around| check(around, &whole))
}

/// Compares the files below `dir` with the marker of `sealed`, which is `dir` or lies around it.
fn check(sealed: &Path, dir: &Path) -> Result<()> {
    let path = sealed.join(MARKER);
    let Ok(text) = fs::read(&path) else { return Ok(()) };
    let marker: Sealed = match serde_json::from_slice(&text) {
        Ok(marker) => marker,
        // Whose file this is nobody can tell.
        Err(_) if sealed != dir => return Ok(()),
        Err(error) => {
            let remedy = "use another directory; one that recollect did not make has no such file";
            return Err(Error::invalid(path.display().to_string(), format!("damaged ({error})"), remedy));
        }
    };
    let below = marker.files.into_iter().filter(|(file, _)| sealed.join(file).starts_with(dir)).collect();
    match damage(sealed, &below)? {
        None => Ok(()),
        Some((file, what)) => {
            let found = format!("{what} since it was finished");
            let remedy = "put it back; what was made elsewhere or was changed on purpose belongs into a directory without \
                          complete.json";
            Err(Error::invalid(file.display().to_string(), found, remedy))
        }
    }
}

/// Removes a directory; that there is none is no error.
pub fn remove(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io(path, "remove")(error)),
        _ => Ok(()),
    }
}

/// A rename is safe against a crash only once the directory that holds the name is on disk.
pub fn sync_dir(path: &Path) -> Result<()> {
    #[cfg(unix)]
    File::open(path).and_then(|dir| dir.sync_all()).map_err(Error::io(path, "write"))?;
    Ok(())
}

fn collect(dir: &Path, prefix: &str, digests: &mut Digests) -> Result<()> {
    for entry in fs::read_dir(dir).map_err(Error::io(dir, "read"))? {
        let path = entry.map_err(Error::io(dir, "read"))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            return Err(Error::invalid(path.display().to_string(), "a name that is no text", "rename the file"));
        };
        let name = format!("{prefix}{name}");
        if path.is_dir() {
            collect(&path, &format!("{name}/"), digests)?;
            sync_dir(&path)?;
        } else {
            File::open(&path).and_then(|file| file.sync_all()).map_err(Error::io(&path, "write"))?;
            digests.insert(name, files::digest_file(&path)?);
        }
    }
    Ok(())
}
