//! Directories that are whole or not there: written under another name, with the digest of every file in a marker that is
//! written last, and renamed. The digests are looked at before anything in there is used.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, files};

/// The file of a finished directory that holds the digests of all others, among what else is known of it.
pub const MARKER: &str = "complete.json";

/// Digest of each file, by its path inside the directory.
pub type Digests = BTreeMap<String, String>;

/// What stands in the marker.
#[derive(Serialize, Deserialize)]
pub struct Marker<T> {
    /// What whoever made the directory says of it.
    #[serde(flatten)]
    pub about: T,
    pub files: Digests,
}

impl<T: DeserializeOwned> Marker<T> {
    /// That of a directory; `None` where there is none, because the directory was not finished or is none of recollect's.
    ///
    /// # Errors
    /// A marker that cannot be read, with what to do about it.
    pub fn read(dir: &Path, remedy: &str) -> Result<Option<Self>> {
        let path = dir.join(MARKER);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(Error::io(&path, "read")(error)),
        };
        let damaged = |error| Error::invalid(path.display().to_string(), format!("damaged ({error})"), remedy);
        serde_json::from_slice(&text).map(Some).map_err(damaged)
    }
}

impl<T> Marker<T> {
    /// Refuses a directory in which a file is gone or is not what it was, in words that end with `since`, and with what to
    /// do about it.
    ///
    /// # Errors
    /// That, and a file that cannot be read.
    pub fn demand_whole(&self, dir: &Path, since: &str, remedy: &str) -> Result<()> {
        self.demand_whole_below(dir, dir, since, remedy)
    }

    /// The same of the files below a directory inside.
    fn demand_whole_below(&self, dir: &Path, inside: &Path, since: &str, remedy: &str) -> Result<()> {
        for (file, expected) in &self.files {
            let path = dir.join(file);
            if !path.starts_with(inside) {
                continue;
            }
            let what = match path.exists() {
                false => "missing",
                true if files::digest_file(&path)? != *expected => "changed",
                true => continue,
            };
            return Err(Error::invalid(path.display().to_string(), format!("{what} since {since}"), remedy));
        }
        Ok(())
    }
}

/// Makes a directory: `make` writes its files into the empty directory that it is given, and `about` says what stands in
/// the marker beside their digests, which is written by `to_json`. Whatever had the name goes as soon as it is whole; if
/// it does not become whole, nothing is left behind.
///
/// # Errors
/// Those of `make`; a file that cannot be written.
pub fn seal<T>(
    dir: &Path,
    make: impl FnOnce(&Path) -> Result<()>,
    about: impl FnOnce() -> T,
    to_json: fn(&Marker<T>) -> serde_json::Result<Vec<u8>>,
) -> Result<()> {
    let partial = partial(dir);
    remove(&partial)?;
    files::create_dir(&partial)?;
    let finish = || {
        make(&partial)?;
        let files = digests(&partial)?;
        let text = to_json(&Marker { about: about(), files })
            .map_err(|error| Error::invalid(dir.display().to_string(), error.to_string(), "its marker must be JSON"))?;
        files::write_atomic(&partial.join(MARKER), &text)?;
        sync_dir(&partial)
    };
    if let Err(error) = finish() {
        remove(&partial)?;
        return Err(error);
    }
    remove(dir)?;
    // The name appears only when everything under it is whole.
    fs::rename(&partial, dir).map_err(Error::io(dir, "write"))?;
    dir.parent().map_or(Ok(()), sync_dir)
}

/// Where a directory is written until it is whole.
pub fn partial(dir: &Path) -> PathBuf {
    let mut name = dir.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

/// Puts every file of a directory on disk and takes its digest.
fn digests(dir: &Path) -> Result<Digests> {
    let mut digests = BTreeMap::new();
    collect(dir, "", &mut digests)?;
    Ok(digests)
}

/// Refuses a directory, or one inside of another, that was sealed when it was finished and in which a file is gone or is
/// not what it was. What comes from elsewhere has no marker and nothing to be compared with.
///
/// # Errors
/// That, and a file that cannot be read.
pub fn verify(dir: &Path) -> Result<()> {
    let other = "use another directory; one that recollect did not make has no such file";
    let back = "put it back; what was made elsewhere or was changed on purpose belongs into a directory without \
                complete.json";
    let whole = |marker: Option<Marker<IgnoredAny>>, sealed: &Path, inside: &Path| {
        marker.map_or(Ok(()), |marker| marker.demand_whole_below(sealed, inside, "it was finished", back))
    };
    whole(Marker::read(dir, other)?, dir, dir)?;
    let real = dir.canonicalize().map_err(Error::io(dir, "read"))?;
    // Whose file a marker further out is, if it is none of ours, nobody can tell.
    real.ancestors().skip(1).try_for_each(|around| whole(Marker::read(around, other).ok().flatten(), around, &real))
}

/// Removes a directory; that there is none is no error.
///
/// # Errors
/// A directory that cannot be removed.
pub fn remove(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io(path, "remove")(error)),
        _ => Ok(()),
    }
}

/// A rename is safe against a crash only once the directory that holds the name is on disk.
fn sync_dir(path: &Path) -> Result<()> {
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
