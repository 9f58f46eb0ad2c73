//! Recorded rollouts on disk: which files are meant, and their lines in pieces of about equal size.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::reward::Record;
use crate::{Error, Result, files};

/// Bytes of a piece: some two hundred rollouts.
const PIECE: usize = 1 << 18;
/// Most bytes of a line.
const LONGEST_LINE: u64 = 1 << 24;

/// Whole lines of one file.
pub struct Piece {
    file: Arc<PathBuf>,
    /// Which of the files it is from, and the number of the line before its first.
    pub index: usize,
    before: usize,
    text: Vec<u8>,
}

/// The files that are meant: a file is itself, a directory stands for its `step-*.jsonl` or those of its `rollouts/`,
/// in the order of their names.
pub fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let inner = path.join("rollouts");
        let folder = if inner.is_dir() { &inner } else { path };
        let mut steps: Vec<PathBuf> = fs::read_dir(folder)
            .map_err(Error::io(folder, "read"))?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| is_step(path))
            .collect();
        if steps.is_empty() {
            let remedy = "name a run directory, its rollouts/ or a file of it";
            return Err(Error::invalid(path.display().to_string(), "no rollouts/step-*.jsonl in it", remedy));
        }
        steps.sort();
        files.append(&mut steps);
    }
    Ok(files)
}

fn is_step(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("step-") && [".jsonl", ".jsonl.zst"].iter().any(|ending| name.ends_with(ending))
}

/// The bytes of the text of all files together.
pub fn size(files: &[PathBuf]) -> Result<u64> {
    files.iter().map(|path| files::text_size(path)).sum()
}

/// Cuts the files into pieces and hands them on until `take` has enough.
pub fn pieces(files: &[PathBuf], mut take: impl FnMut(Piece) -> bool) -> Result<()> {
    for (index, path) in files.iter().enumerate() {
        let file = Arc::new(path.clone());
        let mut reader = BufReader::with_capacity(PIECE, files::open_text(path)?);
        let (mut before, mut lines) = (0, 0);
        let mut text = Vec::with_capacity(PIECE + 4096);
        loop {
            let read = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut text);
            let read = read.map_err(Error::io(path, "read"))?;
            lines += 1;
            if read as u64 == LONGEST_LINE && !text.ends_with(b"\n") {
                let place = format!("{}, line {lines}", path.display());
                return Err(Error::invalid(place, "a line of more than 16 MiB", "name a file of rollouts"));
            }
            if text.len() >= PIECE || read == 0 {
                let room = if read == 0 { 0 } else { PIECE + 4096 };
                let text = std::mem::replace(&mut text, Vec::with_capacity(room));
                if !text.is_empty() && !take(Piece { file: file.clone(), index, before, text }) {
                    return Ok(());
                }
                before = lines;
            }
            if read == 0 {
                break;
            }
        }
    }
    Ok(())
}

impl Piece {
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// The rollouts of its lines. Empty lines are passed over.
    pub fn records(&self) -> impl Iterator<Item = Result<Record>> + '_ {
        let lines = self.text.split(|byte| *byte == b'\n').enumerate();
        lines.filter(|(_, line)| !line.trim_ascii().is_empty()).map(|(at, line)| {
            files::row(&self.file, self.before + at, line, "a rollout", "name files that training wrote")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_files_are_read_like_others() {
        let folder = tempfile::tempdir().unwrap();
        let text = "one\ntwo\n".repeat(1000);
        let paths = ["step-000001.jsonl", "step-000002.jsonl.zst"].map(|name| folder.path().join(name));
        fs::write(&paths[0], &text).unwrap();
        fs::write(&paths[1], files::compressed(&paths[1], text.as_bytes()).unwrap()).unwrap();
        assert!(fs::metadata(&paths[1]).unwrap().len() < 200);
        let found = find(&[folder.path().to_path_buf()]).unwrap();
        assert_eq!(found, paths);
        assert_eq!(size(&found).unwrap(), 2 * text.len() as u64);
        assert_eq!(files::read_text(&paths[1]).unwrap(), text);
        let mut seen = [Vec::new(), Vec::new()];
        pieces(&found, |piece| {
            seen[piece.index].extend(piece.text);
            true
        })
        .unwrap();
        assert!(seen.iter().all(|bytes| bytes == text.as_bytes()));
        fs::write(&paths[1], "no frame").unwrap();
        assert!(pieces(&found, |_| true).is_err() && files::read_text(&paths[1]).is_err());
    }

    #[test]
    fn lines_stay_whole_and_keep_their_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("step-1.jsonl");
        let line = format!("{}\n", "x".repeat(100_000));
        fs::write(&path, line.repeat(7) + "tail").unwrap();
        let mut seen = Vec::new();
        pieces(&[path], |piece| {
            let lines: Vec<usize> = piece.text.split(|b| *b == b'\n').map(<[u8]>::len).filter(|l| *l > 0).collect();
            seen.push((piece.before, lines));
            true
        })
        .unwrap();
        assert_eq!(seen, [(0, vec![100_000; 3]), (3, vec![100_000; 3]), (6, vec![100_000, 4])]);
    }

    #[test]
    fn a_run_directory_stands_for_its_steps_in_order() {
        let home = tempfile::tempdir().unwrap();
        let error = find(&[home.path().into()]).unwrap_err().to_string();
        assert!(error.contains("no rollouts/step-*.jsonl in it"), "{error}");
        let rollouts = home.path().join("rollouts");
        fs::create_dir(&rollouts).unwrap();
        for name in ["step-000010.jsonl", "step-000009.jsonl", "notes.txt"] {
            fs::write(rollouts.join(name), "").unwrap();
        }
        let names = ["step-000009.jsonl", "step-000010.jsonl"].map(|name| rollouts.join(name)).to_vec();
        assert_eq!(find(&[home.path().into()]).unwrap(), names);
        assert_eq!(find(std::slice::from_ref(&rollouts)).unwrap(), names);
        assert_eq!(find(&names[..1]).unwrap(), names[..1]);
    }
}
