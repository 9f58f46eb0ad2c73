//! Files that are either whole or absent: written beside, synced, renamed.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::Read;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// The most bytes of a file that people write: config, reward, the description of a model.
const LARGEST_SMALL: u64 = 64_000_000;
/// How the names of files begin that are being written.
const UNFINISHED: &str = ".unfinished-";

/// Writes a file so that a reader sees either the old content or the new one, also after a crash.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    demand_room(path, bytes.len() as u64)?;
    write_atomic_with(path, |beside| fs::write(beside, bytes).map_err(Error::io(path, "write")))
}

/// The same where `write` fills the file at the path that it is given: for what is too large to be held as bytes.
pub fn write_atomic_with(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_dir(folder)?;
    let beside = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder).map_err(Error::io(path, "write"))?;
    write(beside.path())?;
    // Opened again: the one who wrote may have put another file in its place.
    File::open(beside.path()).and_then(|file| file.sync_all()).map_err(Error::io(path, "write"))?;
    // A temporary file is private; what it becomes should be as readable as any other file.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(beside.path(), fs::Permissions::from_mode(0o644)).map_err(Error::io(path, "write"))?;
    }
    beside.persist(path).map_err(|error| Error::io(path, "write")(error.error))?;
    Ok(())
}

/// Refuses what does not fit on the disk any more, before anything of it is written.
pub fn demand_room(path: &Path, bytes: u64) -> Result<()> {
    match free(path) {
        Some(free) if free < bytes => {
            let [needed, free, missing] = [bytes, free, bytes - free].map(megabytes);
            let found = format!("it takes {needed} and {free} are free, so that {missing} are missing");
            Err(Error::NoRoom { path: path.into(), found })
        }
        _ => Ok(()),
    }
}

/// Whether what stands under a path, or will, takes room on a disk: no device and no pipe does.
pub fn is_on_disk(path: &Path) -> bool {
    fs::metadata(path).map_or(true, |data| data.is_file() || data.is_dir())
}

/// Bytes that are free where a path lies, or will. `None` where the system does not tell.
pub fn free(path: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let place = path.ancestors().map(|place| if place == Path::new("") { Path::new(".") } else { place });
        let disk = rustix::fs::statvfs(place.into_iter().find(|place| place.exists())?).ok()?;
        // A disk of no size is one that does not say.
        (disk.f_blocks > 0).then(|| disk.f_bavail.saturating_mul(disk.f_frsize))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

/// A size for people.
pub fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// Whether this is the name of a file that is being written, or was when its process was killed.
pub fn is_unfinished(name: &OsStr) -> bool {
    name.to_string_lossy().starts_with(UNFINISHED)
}

/// Removes what processes that were killed while they wrote have left in a directory, if there is one. Nobody may be
/// writing there.
pub fn remove_unfinished(folder: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    let unfinished = entries.flatten().filter(|entry| is_unfinished(&entry.file_name()));
    unfinished.map(|entry| entry.path()).try_for_each(|path| fs::remove_file(&path).map_err(Error::io(&path, "remove")))
}

/// Opens a file to read it. Only a regular one: a named pipe would keep the program waiting for whoever writes into it,
/// and a device may have no end.
pub fn open(path: &Path) -> Result<File> {
    // Looked at before it is opened, because opening alone may do something to a device, and once more afterwards,
    // because it may have been replaced.
    demand_regular(path, &fs::metadata(path).map_err(Error::io(path, "read"))?)?;
    let file = options().read(true).open(path).map_err(Error::io(path, "read"))?;
    demand_regular(path, &file.metadata().map_err(Error::io(path, "read"))?)?;
    Ok(file)
}

/// Opens a file that a process locks and writes its number into, made if there is none. Never through a symbolic link,
/// which would have the number written into any file that it names.
pub fn open_lock(path: &Path) -> Result<File> {
    let mut options = options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW | libc::O_NONBLOCK);
    if fs::symlink_metadata(path).is_ok_and(|data| data.is_symlink()) {
        let found = "a symbolic link where a lock is kept, which is not followed";
        return Err(Error::invalid(path.display().to_string(), found, "remove it"));
    }
    let options = options.create(true).read(true).write(true).truncate(false);
    let file = options.open(path).map_err(Error::io(path, "write"))?;
    demand_regular(path, &file.metadata().map_err(Error::io(path, "read"))?)?;
    Ok(file)
}

/// How to open without waiting for anybody.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    options
}

fn demand_regular(path: &Path, data: &Metadata) -> Result<()> {
    if data.is_file() {
        return Ok(());
    }
    let found = format!("{}, not a file", kind(data));
    Err(Error::invalid(path.display().to_string(), found, "name a file that can be read from its beginning to its end"))
}

/// What stands under a name that is no file.
fn kind(data: &Metadata) -> &'static str {
    if data.is_dir() {
        return "a directory";
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if data.file_type().is_fifo() {
            return "a named pipe";
        }
        if data.file_type().is_socket() {
            return "a socket";
        }
    }
    "a device"
}

/// Opens a file to read; one whose name ends in `.zst` is decompressed on the way.
pub fn open_text(path: &Path) -> Result<Box<dyn Read>> {
    let file = open(path)?;
    if !is_compressed(path) {
        return Ok(Box::new(file));
    }
    let decoder = zstd::Decoder::new(file).map_err(Error::io(path, "read"))?;
    Ok(Box::new(decoder))
}

/// Whether a file is compressed, by its name.
pub fn is_compressed(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "zst")
}

/// How many bytes of text a file holds: of a compressed one what its beginning says.
pub fn text_size(path: &Path) -> Result<u64> {
    let mut file = open(path)?;
    let there = file.metadata().map_err(Error::io(path, "read"))?.len();
    if !is_compressed(path) {
        return Ok(there);
    }
    let mut header = Vec::new();
    file.by_ref().take(32).read_to_end(&mut header).map_err(Error::io(path, "read"))?;
    Ok(zstd::zstd_safe::get_frame_content_size(&header).ok().flatten().unwrap_or(there))
}

/// Text as it stands in a compressed file.
pub fn compressed(path: &Path, text: &[u8]) -> Result<Vec<u8>> {
    zstd::bulk::compress(text, zstd::DEFAULT_COMPRESSION_LEVEL).map_err(Error::io(path, "write"))
}

/// Reads a whole file as text.
pub fn read_text(path: &Path) -> Result<String> {
    let (mut file, mut text) = (open_text(path)?, String::new());
    file.read_to_string(&mut text).map_err(Error::io(path, "read"))?;
    Ok(text)
}

/// The same of a file that people write, such as a config: one that is far too large is refused before it is read.
pub fn read_small(path: &Path) -> Result<String> {
    let size = open(path)?.metadata().map_err(Error::io(path, "read"))?.len();
    if size > LARGEST_SMALL {
        let [found, most] = [size, LARGEST_SMALL].map(megabytes);
        let found = format!("{found}, which is no file of its kind");
        return Err(Error::invalid(path.display().to_string(), found, format!("allowed are {most}")));
    }
    read_text(path)
}

/// Reads a whole file.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    let (mut file, mut bytes) = (open(path)?, Vec::new());
    file.read_to_end(&mut bytes).map_err(Error::io(path, "read"))?;
    Ok(bytes)
}

/// A value as JSON; `place` stands for it in the error.
pub fn to_json(place: &str, value: &(impl Serialize + ?Sized)) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(unwritable(place))
}

/// Rows as JSON, a line each.
pub fn to_jsonl(path: &Path, rows: impl IntoIterator<Item = impl Serialize>) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut text, &row).map_err(unwritable(&path.display().to_string()))?;
        text.push(b'\n');
    }
    Ok(text)
}

/// Writes a value as JSON in one line.
pub fn write_json(path: &Path, value: &(impl Serialize + ?Sized)) -> Result<()> {
    write_atomic(path, &to_json(&path.display().to_string(), value)?)
}

/// The same for people to read.
pub fn write_json_pretty(path: &Path, value: &(impl Serialize + ?Sized)) -> Result<()> {
    let text = serde_json::to_vec_pretty(value).map_err(unwritable(&path.display().to_string()))?;
    write_atomic(path, &text)
}

/// Writes rows as JSON, a line each.
pub fn write_jsonl(path: &Path, rows: impl IntoIterator<Item = impl Serialize>) -> Result<()> {
    write_atomic(path, &to_jsonl(path, rows)?)
}

/// What is said of a value that JSON does not have.
pub fn unwritable(place: &str) -> impl FnOnce(serde_json::Error) -> Error {
    move |error| Error::invalid(place, error.to_string(), "it cannot be written as JSON")
}

/// Reads a value from JSON; `remedy` says what to do about a file that holds something else.
pub fn read_json<T: DeserializeOwned>(path: &Path, remedy: &str) -> Result<T> {
    serde_json::from_str(&read_text(path)?)
        .map_err(|error| Error::invalid(path.display().to_string(), error.to_string(), remedy))
}

/// The same of a file that need not be there.
pub fn read_json_if_there<T: DeserializeOwned>(path: &Path, remedy: &str) -> Result<Option<T>> {
    path.exists().then(|| read_json(path, remedy)).transpose()
}

/// Reads rows from JSON, a line each: `what` they should be, and what to do about one that is not.
pub fn read_jsonl<T: DeserializeOwned>(path: &Path, what: &str, remedy: &str) -> Result<Vec<T>> {
    read_text(path)?.lines().enumerate().map(|(at, line)| row(path, at, line.as_bytes(), what, remedy)).collect()
}

/// One of these rows, with `at` before it.
pub fn row<T: DeserializeOwned>(path: &Path, at: usize, line: &[u8], what: &str, remedy: &str) -> Result<T> {
    serde_json::from_slice(line).map_err(|error| {
        let place = format!("{}, line {}", path.display(), at + 1);
        Error::invalid(place, format!("not {what} ({error})"), remedy)
    })
}

/// Makes a directory and its parents.
pub fn create_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(Error::io(path, "create"))
}

/// The SHA-256 of a file of any size, in hexadecimal.
pub fn digest_file(path: &Path) -> Result<String> {
    let mut file = open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).map_err(Error::io(path, "read"))? {
            0 => break,
            length => hasher.update(&buffer[..length]),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The SHA-256 of a value as JSON, in hexadecimal; `place` stands for it in the error.
pub fn digest_json(place: &str, value: &(impl Serialize + ?Sized)) -> Result<String> {
    Ok(digest(&to_json(place, value)?))
}

/// The SHA-256 of some bytes, in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn what_does_not_fit_is_refused_before_it_is_written() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("deep/inside/file");
        let there = free(&path).unwrap();
        assert!(there > 0 && demand_room(&path, 1).is_ok());
        let message = demand_room(&path, u64::MAX).unwrap_err().to_string();
        assert!(message.contains("are missing; make room, and the same command goes on"), "{message}");
        assert!(!message.contains('\n') && message.starts_with(&path.display().to_string()), "{message}");
        assert!(free(Path::new("no/such/folder")).is_some(), "relative to where we are");
    }

    #[test]
    #[cfg(unix)]
    fn only_files_are_read_and_nobody_is_waited_for() {
        let home = tempfile::tempdir().unwrap();
        let [pipe, socket, large] = ["pipe", "socket", "large"].map(|name| home.path().join(name));
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let line = |path: &Path| {
            let all = [
                read_text(path).unwrap_err(),
                read_small(path).unwrap_err(),
                read_bytes(path).unwrap_err(),
                digest_file(path).unwrap_err(),
            ];
            let all = all.map(|error| error.to_string());
            assert!(all.iter().all(|line| *line == all[0]), "{all:?}");
            all[0].clone()
        };
        for (path, what) in [
            (pipe.as_path(), "a named pipe"),
            (&socket, "a socket"),
            (home.path(), "a directory"),
            (Path::new("/dev/zero"), "a device"),
        ] {
            let expected = format!("{}: {what}, not a file; name a file that", path.display());
            assert!(line(path).starts_with(&expected), "{}", line(path));
        }
        File::create(&large).unwrap().set_len(10_000_000_000).unwrap();
        let message = read_small(&large).unwrap_err().to_string();
        assert!(message.contains("10000.0 MB, which is no file of its kind; allowed are 64.0 MB"), "{message}");
        assert!(read_text(Path::new("no/such/file")).unwrap_err().to_string().contains("cannot read"));
    }

    #[test]
    #[cfg(unix)]
    fn a_lock_is_never_taken_through_a_link() {
        let home = tempfile::tempdir().unwrap();
        let [target, link, dangling, pipe] =
            ["thesis", "run.lock", "dangling", "pipe"].map(|name| home.path().join(name));
        fs::write(&target, "years of work").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        std::os::unix::fs::symlink(home.path().join("made"), &dangling).unwrap();
        for path in [&link, &dangling] {
            let message = open_lock(path).unwrap_err().to_string();
            assert!(message.contains("a symbolic link where a lock is kept"), "{message}");
        }
        assert_eq!(fs::read(&target).unwrap(), b"years of work");
        assert!(!home.path().join("made").exists());
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(open_lock(&pipe).unwrap_err().to_string().contains("a named pipe"));
        assert!(open_lock(&home.path().join("fresh")).is_ok());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_disk_that_is_full_is_told_of_and_leaves_nothing_behind() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("weights");
        write_atomic(&path, b"before").unwrap();
        // What is written there always finds the disk full.
        let full = |_: &Path| fs::write("/dev/full", b"after").map_err(Error::io(&path, "write"));
        let message = write_atomic_with(&path, full).unwrap_err().to_string();
        assert!(
            message.contains("weights: no room is left to write it (") && message.contains("make room"),
            "{message}"
        );
        assert_eq!(fs::read(&path).unwrap(), b"before");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }

    proptest::proptest! {
        #[test]
        fn numbers_are_read_as_they_were_written(bits: u64) {
            let number = f64::from_bits(bits);
            if number.is_finite() {
                let text = to_json("number", &number).unwrap();
                proptest::prop_assert_eq!(serde_json::from_slice::<f64>(&text).unwrap().to_bits(), bits);
            }
        }
    }
}
