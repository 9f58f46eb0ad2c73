//! GGUF, the one file in which llama.cpp keeps a model: metadata by key, tensors by name, quantised in blocks.
//!
//! This room reads the file and knows nothing of models: `policy/gguf_file/` makes a config and weights of it, `language/gguf/`
//! a tokenizer. Nothing that a file says of its own sizes is believed: what is allocated is bounded by the bytes that are
//! there.

mod header;
mod metadata;
mod tensor;
mod value;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use self::tensor::TensorEntry;
pub use self::value::{MetaList, MetaValue};
use crate::{Error, Result, files};

/// Whether a checkpoint is a file of this kind rather than a directory. What it is called does not matter.
pub fn is_file(path: &Path) -> bool {
    path.is_file()
}

/// A file, opened: its header is read, its tensors are not.
pub struct Gguf {
    path: PathBuf,
    /// The path, for messages.
    place: String,
    map: Mmap,
    metadata: BTreeMap<String, MetaValue>,
    tensors: BTreeMap<String, TensorEntry>,
}

impl Gguf {
    /// Reads the header of a file.
    ///
    /// # Errors
    /// What is no GGUF file of version 2 or 3, is damaged or cut off, or has tensors of a type that cannot be read.
    pub fn open(path: &Path) -> Result<Gguf> {
        let place = path.display().to_string();
        let file = files::open(path)?;
        // SAFETY: the map is only read. Nobody but the user could change the file meanwhile; recollect itself never writes
        // into a file, it replaces it (`files::write_atomic`).
        let map = unsafe { Mmap::map(&file) }.map_err(Error::io(path, "read"))?;
        let (metadata, tensors) = header::read(&place, &map)?;
        Ok(Gguf { path: path.to_path_buf(), place, map, metadata, tensors })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The same, as it begins a message.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// An error about what stands under a key.
    pub fn refuse(&self, key: &str, found: impl std::fmt::Display, remedy: &str) -> Error {
        Error::invalid(&self.place, format!("{key} is {found}"), remedy)
    }
}

/// What is said of a file that does not hold what its header says.
fn damaged(place: &str, found: impl Into<String>) -> Error {
    Error::invalid(place, found, "the file is damaged or was not written to its end; fetch it again")
}

#[cfg(test)]
pub(crate) mod tests;
