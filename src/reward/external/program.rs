//! Which file a command would run, found out without running it.

use std::env;
use std::path::{Path, PathBuf};

/// The file that a program names: itself where there is a separator in it, else the first of this name that may be run
/// on the search path. An error says in a few words what is wrong with it.
pub fn find(program: &str) -> Result<PathBuf, String> {
    let named = Path::new(program);
    if named.components().count() > 1 || program.contains(std::path::MAIN_SEPARATOR) {
        return runnable(named)
            .map(|()| named.to_path_buf())
            .map_err(|why| format!("cannot start {program:?} ({why})"));
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let mut found = env::split_paths(&path).map(|folder| folder.join(program));
    let missing = || match runnable(named) {
        Ok(()) => format!("cannot start {program:?} (not on the PATH; write \"./{program}\" for the file here)"),
        Err(_) => format!("cannot start {program:?} (not on the PATH)"),
    };
    found.find(|path| runnable(path).is_ok()).ok_or_else(missing)
}

/// Whether this process may run a file.
#[cfg(unix)]
fn runnable(path: &Path) -> Result<(), String> {
    let metadata = path.metadata().map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("no file".into());
    }
    rustix::fs::access(path, rustix::fs::Access::EXEC_OK)
        .map_err(|_| "not executable: chmod +x, or name its interpreter first".into())
}

/// Whether this process may run a file; what ending it needs is known to the system alone.
#[cfg(not(unix))]
fn runnable(path: &Path) -> Result<(), String> {
    let with_ending =
        ["", "exe", "bat", "cmd"].iter().any(|ending| path.with_extension(ending).is_file() || path.is_file());
    if with_ending { Ok(()) } else { Err("no such file".into()) }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_cannot_be_run_is_told_without_running_anything() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("score.sh");
        let mark = folder.path().join("ran");
        fs::write(&script, format!("#!/bin/sh\ntouch {}\n", mark.display())).unwrap();
        let mode = |mode| fs::set_permissions(&script, fs::Permissions::from_mode(mode)).unwrap();
        mode(0o755);
        assert_eq!(find(script.to_str().unwrap()), Ok(script.clone()));
        assert!(!mark.exists());
        mode(0o644);
        let error = find(script.to_str().unwrap()).unwrap_err();
        assert!(error.starts_with("cannot start ") && error.contains("not executable"), "{error}");
        assert!(find("sh").unwrap().ends_with("sh"));
        assert!(find("no-such-program-here").unwrap_err().contains("not on the PATH"));
        assert!(find("no/such/program").unwrap_err().contains("No such file"));
        assert!(find(folder.path().to_str().unwrap()).unwrap_err().contains("no file"));
    }
}
