//! The header of a file: metadata, and where each tensor lies. It is read here rather than by candle, which divides by an
//! alignment of zero, takes the last of two keys of one name, and does not say which tensor it cannot read.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::damaged;
use super::tensor::{self, TensorEntry};
use super::value::{MetaList, MetaValue, ValueKind};
use crate::{Error, Result};

const MAGIC: &[u8] = b"GGUF";
/// Where tensors begin is a multiple of this, unless the file says otherwise.
const ALIGNMENT: usize = 32;
/// More than any page.
const MOST_ALIGNED: i128 = 1 << 20;
const ALIGNMENT_KEY: &str = "general.alignment";
/// Lists in lists: no known key has any.
const DEEPEST: usize = 4;
/// Dimensions of a tensor.
const MOST_DIMENSIONS: u32 = 4;

type Header = (BTreeMap<String, MetaValue>, BTreeMap<String, TensorEntry>);

/// Reads the header of a file that consists of these bytes; `place` stands for it in errors.
pub(super) fn read(place: &str, bytes: &[u8]) -> Result<Header> {
    let mut cursor = Cursor { place, bytes, at: 0 };
    if !bytes.starts_with(MAGIC) {
        let remedy = "name a GGUF file, or a directory in the Hugging Face layout";
        return Err(Error::invalid(place, "no GGUF file: it does not begin with these four letters", remedy));
    }
    cursor.take(MAGIC.len() as u64)?;
    let version = cursor.u32()?;
    if !(2..=3).contains(&version) {
        let found = if (2..=3).contains(&version.swap_bytes()) {
            "a GGUF file of big-endian numbers".to_owned()
        } else {
            format!("a GGUF file of version {version}")
        };
        return Err(Error::invalid(place, found, "versions 2 and 3 are read, little-endian; convert the model anew"));
    }
    let (tensors, keys) = (cursor.u64()?, cursor.u64()?);
    let metadata = cursor.each(keys, "key", |cursor, _| {
        let kind = cursor.u32()?;
        cursor.value(kind, 0)
    })?;
    let entries = cursor.each(tensors, "tensor", |cursor, name| cursor.tensor(name))?;
    let start = cursor.at.next_multiple_of(alignment(place, &metadata)?);
    let mut placed = BTreeMap::new();
    let mut together = 0usize;
    for (name, (shape, kind, offset)) in entries {
        let Some(entry) = TensorEntry::new(shape, kind, start, offset) else {
            return Err(damaged(place, format!("{name} has a size that no tensor has")));
        };
        if entry.bytes.end > bytes.len() {
            let found = format!("{name} ends at byte {} of a file of {}", entry.bytes.end, bytes.len());
            return Err(damaged(place, found));
        }
        together = together.saturating_add(entry.bytes.len());
        placed.insert(name, entry);
    }
    // Otherwise a small file could ask for any number of large tensors.
    if together > bytes.len() {
        return Err(damaged(place, format!("its tensors take {together} bytes, in a file of {}", bytes.len())));
    }
    Ok((metadata, placed))
}

fn alignment(place: &str, metadata: &BTreeMap<String, MetaValue>) -> Result<usize> {
    match metadata.get(ALIGNMENT_KEY) {
        None => Ok(ALIGNMENT),
        Some(MetaValue::Whole(whole @ 1..=MOST_ALIGNED)) if whole.count_ones() == 1 => Ok(*whole as usize),
        Some(other) => Err(damaged(place, format!("{ALIGNMENT_KEY} is {other}, no power of two up to {MOST_ALIGNED}"))),
    }
}

/// A place in the bytes of a file.
struct Cursor<'a> {
    place: &'a str,
    bytes: &'a [u8],
    at: usize,
}

/// What is said of a tensor: shape, the number of its type, and where it begins among all tensors.
type RawTensor = (Vec<usize>, u32, u64);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: u64) -> Result<&'a [u8]> {
        let left = &self.bytes[self.at..];
        match usize::try_from(length).ok().and_then(|length| left.get(..length)) {
            Some(bytes) => {
                self.at += bytes.len();
                Ok(bytes)
            }
            None => {
                let found = format!("it ends at byte {}, within its header", self.bytes.len());
                Err(damaged(self.place, found))
            }
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let place = self.place;
        self.take(N as u64)?.try_into().map_err(|_| damaged(place, "a number is cut off"))
    }

    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Result<&'a str> {
        let length = self.u64()?;
        let (begin, place) = (self.at, self.place);
        std::str::from_utf8(self.take(length)?).map_err(|_| damaged(place, format!("no text at byte {begin}")))
    }

    /// So many entries, each of a name and what `read` makes of the bytes behind it. No name comes twice.
    fn each<T>(
        &mut self,
        count: u64,
        what: &str,
        mut read: impl FnMut(&mut Self, &str) -> Result<T>,
    ) -> Result<BTreeMap<String, T>> {
        let mut all = BTreeMap::new();
        for _ in 0..count {
            let name = self.text()?;
            let value = read(self, name)?;
            match all.entry(name.to_owned()) {
                Entry::Vacant(free) => drop(free.insert(value)),
                Entry::Occupied(_) => return Err(damaged(self.place, format!("the {what} {name:?} is there twice"))),
            }
        }
        Ok(all)
    }

    fn kind(&self, number: u32) -> Result<ValueKind> {
        ValueKind::from_number(number)
            .ok_or_else(|| damaged(self.place, format!("values of type {number} at byte {}", self.at)))
    }

    fn value(&mut self, kind: u32, depth: usize) -> Result<MetaValue> {
        let (begin, place) = (self.at, self.place);
        match self.kind(kind)? {
            ValueKind::Text => Ok(MetaValue::Text(self.text()?.to_owned())),
            ValueKind::List => self.list(depth).map(MetaValue::List),
            kind => {
                let bytes = self.take(kind.width().unwrap_or_default() as u64)?;
                kind.decode(bytes).ok_or_else(|| damaged(place, format!("{bytes:?} at byte {begin} is no {kind:?}")))
            }
        }
    }

    /// Goes past the values of a list, each of which is there.
    fn list(&mut self, depth: usize) -> Result<MetaList> {
        if depth == DEEPEST {
            return Err(damaged(self.place, format!("lists in lists at byte {}", self.at)));
        }
        let number = self.u32()?;
        let (kind, count) = (self.kind(number)?, self.u64()?);
        let begin = self.at;
        match kind.width() {
            Some(width) => drop(self.take(count.saturating_mul(width as u64))?),
            // Every value takes bytes, so that this ends with the file at the latest.
            None => (0..count).try_for_each(|_| self.value(number, depth + 1).map(drop))?,
        }
        Ok(MetaList { kind, count: count as usize, bytes: begin..self.at })
    }

    fn tensor(&mut self, name: &str) -> Result<RawTensor> {
        let dimensions = self.u32()?;
        if dimensions > MOST_DIMENSIONS {
            return Err(damaged(self.place, format!("{name} has {dimensions} dimensions")));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            let size = self.u64()?;
            let size = usize::try_from(size).ok().filter(|size| *size > 0);
            shape.push(size.ok_or_else(|| damaged(self.place, format!("{name} has an empty dimension")))?);
        }
        // The one that runs fastest stands first in the file.
        shape.reverse();
        let kind = self.u32()?;
        tensor::demand_readable(self.place, name, kind)?;
        Ok((shape, kind, self.u64()?))
    }
}
