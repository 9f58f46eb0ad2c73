//! Stages that all runs of a machine share: what comes before reinforcement learning, so that another reward begins with its
//! first step. A run keeps its own name of every file, by hard links where both are on one disk, and needs the cache no more.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::de::IgnoredAny;

use super::seal::{self, MARKER, Marker};
use crate::{Error, Result, files};

/// The variable that names the directory, or says `off`.
pub const VARIABLE: &str = "RECOLLECT_CACHE";

/// The stages that are shared.
const SHARED: [&str; 7] = ["base", "own-text", "finetune", "warmup", "recall", "perplexity", "baseline"];

/// The directory by convention: what `RECOLLECT_CACHE` names, or `recollect` among the caches of the user. `None` where it is
/// switched off, or nobody knows where caches are.
pub fn directory() -> Option<PathBuf> {
    let named = |variable: &str| env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    match env::var_os(VARIABLE) {
        Some(value) if value.is_empty() || value == "off" => None,
        Some(value) => Some(PathBuf::from(value)),
        None => {
            let caches = named("XDG_CACHE_HOME").filter(|path| path.is_absolute());
            let caches = caches.or_else(|| Some(named("HOME").or_else(|| named("USERPROFILE"))?.join(".cache")));
            caches.map(|caches| caches.join("recollect"))
        }
    }
}

/// Whether a stage of this name is shared.
pub(super) fn shares(stage: &str) -> bool {
    SHARED.contains(&stage)
}

/// Gives a finished directory another name: every file that its marker knows, and the marker. There may be one already.
///
/// # Errors
/// A file that cannot be linked or copied; then nothing is left behind.
pub(super) fn link(from: &Path, to: &Path) -> Result<()> {
    let Some(marker) = Marker::<IgnoredAny>::read(from, "make it again")? else { return Ok(()) };
    if to.join(MARKER).exists() {
        return Ok(());
    }
    // Several processes may give the same name at once.
    let partial = to.with_extension(format!("{}.partial", std::process::id()));
    seal::remove(&partial)?;
    let all = marker.files.keys().map(String::as_str).chain([MARKER]);
    let outcome = all.into_iter().try_for_each(|name| link_file(&from.join(name), &partial.join(name)));
    let renamed = outcome.and_then(|()| {
        seal::remove(to)?;
        fs::rename(&partial, to).map_err(Error::io(to, "write"))
    });
    match renamed {
        Err(_) if to.join(MARKER).exists() => seal::remove(&partial),
        Err(error) => {
            seal::remove(&partial)?;
            Err(error)
        }
        Ok(()) => Ok(()),
    }
}

fn link_file(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        files::create_dir(folder)?;
    }
    fs::hard_link(from, to).or_else(|_| fs::copy(from, to).map(drop)).map_err(Error::io(to, "write"))
}

/// Notes that a stage was used, for whoever removes those that nobody has used for long.
pub(super) fn touch(dir: &Path) {
    let now = fs::FileTimes::new().set_modified(SystemTime::now());
    // It is worth no error: then it is thought to be older than it is.
    drop(fs::OpenOptions::new().append(true).open(dir.join(MARKER)).and_then(|file| file.set_times(now)));
}

/// A stage in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedStage {
    /// `finetune-0123456789abcdef`.
    pub name: String,
    pub dir: PathBuf,
    /// Of all its files, some of which may be those of a run as well.
    pub bytes: u64,
    /// Since it was made or used.
    pub unused: Duration,
}

/// What is in the cache, the newest first.
///
/// # Errors
/// A directory that cannot be read.
pub fn list(cache: &Path) -> Result<Vec<CachedStage>> {
    if !cache.exists() {
        return Ok(Vec::new());
    }
    let mut all = Vec::new();
    for entry in fs::read_dir(cache).map_err(Error::io(cache, "read"))? {
        let dir = entry.map_err(Error::io(cache, "read"))?.path();
        let Ok(Some(marker)) = Marker::<IgnoredAny>::read(&dir, "remove it") else { continue };
        let size = |name: &str| fs::metadata(dir.join(name)).map_or(0, |file| file.len());
        let bytes = marker.files.keys().map(|name| size(name)).sum::<u64>() + size(MARKER);
        let used = fs::metadata(dir.join(MARKER)).and_then(|file| file.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        let unused = SystemTime::now().duration_since(used).unwrap_or_default();
        let name = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        all.push(CachedStage { name, dir, bytes, unused });
    }
    all.sort_by(|a, b| a.unused.cmp(&b.unused).then(a.name.cmp(&b.name)));
    Ok(all)
}

/// Removes stages that were not used for so long, and gives them. Runs keep theirs.
///
/// # Errors
/// A directory that cannot be removed.
pub fn remove(cache: &Path, unused_for: Duration) -> Result<Vec<CachedStage>> {
    let mut old = list(cache)?;
    old.retain(|stage| stage.unused >= unused_for);
    old.iter().try_for_each(|stage| seal::remove(&stage.dir))?;
    Ok(old)
}
