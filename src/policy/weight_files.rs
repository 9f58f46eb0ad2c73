//! The weights of a checkpoint on disk: `model.safetensors`, the shards that `model.safetensors.index.json` names, or the
//! tensors of a GGUF file.
//!
//! Files are mapped into memory, so that a checkpoint of many gigabytes is never held twice: each tensor is widened to
//! f32 straight from the file.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};

use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors, View};
use serde::Deserialize;

use super::{Weight, gguf_file};
use crate::gguf::{self, Gguf};
use crate::{Error, Result, files};

/// The one file of a small checkpoint.
pub(super) const WEIGHTS: &str = "model.safetensors";
/// What says in which file of a large one a tensor lies.
pub(super) const INDEX: &str = "model.safetensors.index.json";
/// Weights that only Python can read.
const PICKLED: [&str; 2] = ["pytorch_model.bin", "pytorch_model.bin.index.json"];

/// Where each tensor of a sharded checkpoint lies.
#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

/// A tensor of a checkpoint, which is read when it is wanted.
pub(super) trait StoredTensor {
    /// As Hugging Face has it.
    fn shape(&self) -> &[usize];

    /// Its numbers as f32. `place` and `name` stand for the file and the tensor in errors.
    fn decode(&self, place: &str, name: &str) -> Result<Weight>;
}

impl StoredTensor for TensorView<'_> {
    fn shape(&self) -> &[usize] {
        self.shape()
    }

    fn decode(&self, place: &str, name: &str) -> Result<Weight> {
        decode(place, name, self)
    }
}

/// Hands every tensor in a folder, or in a GGUF file, to `take`: the file it lies in, its name, and the tensor. Gives the
/// file that a missing tensor is to be blamed on.
pub(super) fn each_tensor<F>(folder: &Path, mut take: F) -> Result<String>
where
    F: FnMut(&str, &str, &dyn StoredTensor) -> Result<()>,
{
    if gguf::is_file(folder) {
        return gguf_file::each_tensor(&Gguf::open(folder)?, take);
    }
    let (single, index) = (folder.join(WEIGHTS), folder.join(INDEX));
    if single.exists() || !index.exists() {
        if let Some(pickled) = PICKLED.iter().find(|name| !single.exists() && folder.join(name).exists()) {
            let found = format!("the weights are in {pickled}, which is not read");
            let remedy = format!("load them with transformers and save_pretrained them as {WEIGHTS}");
            return Err(Error::invalid(folder.display().to_string(), found, remedy));
        }
        let place = single.display().to_string();
        let map = map(&single)?;
        let tensors = parse(&place, &map)?;
        let mut tensors: Vec<(&str, TensorView)> = tensors.iter().collect();
        // In a file they come in any order; of several that are wrong the same one is named every time.
        tensors.sort_by_key(|(name, _)| *name);
        tensors.iter().try_for_each(|(name, view)| take(&place, name, view))?;
        return Ok(place);
    }
    sharded(folder, &index, take)
}

/// The files of the weights in a folder; a GGUF file is its own.
pub(super) fn paths(folder: &Path) -> Result<Vec<PathBuf>> {
    if gguf::is_file(folder) {
        return Ok(vec![folder.to_path_buf()]);
    }
    let (single, index) = (folder.join(WEIGHTS), folder.join(INDEX));
    if single.exists() || !index.exists() {
        return Ok(vec![single]);
    }
    let shards = ShardIndex::read(&index)?.weight_map.into_values().collect::<BTreeSet<_>>();
    Ok(shards.into_iter().map(|shard| folder.join(shard)).chain([index]).collect())
}

impl ShardIndex {
    /// Reads an index whose shards are all there.
    fn read(path: &Path) -> Result<ShardIndex> {
        let refuse = |found: String| Err(incomplete(path, found));
        let index: ShardIndex = match serde_json::from_str(&files::read_text(path)?) {
            Ok(index) => index,
            Err(error) => return refuse(format!("no index of weights ({error})")),
        };
        for shard in index.weight_map.values().collect::<BTreeSet<_>>() {
            // An index may only name its neighbours.
            if !matches!(Path::new(shard).components().collect::<Vec<_>>()[..], [Component::Normal(_)]) {
                return refuse(format!("it names {shard:?}, which is no name of a file beside it"));
            }
            if !path.with_file_name(shard).exists() {
                return refuse(format!("it names {shard}, which is not there"));
            }
        }
        Ok(index)
    }
}

fn incomplete(index: &Path, found: String) -> Error {
    let remedy = "fetch the whole checkpoint again: all of its files are needed";
    Error::invalid(index.display().to_string(), found, remedy)
}

fn sharded<F>(folder: &Path, index: &Path, mut take: F) -> Result<String>
where
    F: FnMut(&str, &str, &dyn StoredTensor) -> Result<()>,
{
    let ShardIndex { weight_map } = ShardIndex::read(index)?;
    for shard in weight_map.values().collect::<BTreeSet<_>>() {
        let path = folder.join(shard);
        let (place, map) = (path.display().to_string(), map(&path)?);
        let tensors = parse(&place, &map)?;
        for (name, _) in weight_map.iter().filter(|(_, file)| *file == shard) {
            match tensors.tensor(name) {
                Ok(view) => take(&place, name, &view)?,
                Err(_) => {
                    return Err(incomplete(index, format!("it says that {name} lies in {shard}, where it is not")));
                }
            }
        }
    }
    Ok(index.display().to_string())
}

pub(super) fn map(path: &Path) -> Result<Mmap> {
    let file = files::open(path)?;
    // SAFETY: the map is only read, and dropped before the load ends. Nobody but the user could change the file
    // meanwhile; recollect itself never writes into a file, it replaces it (`files::write_atomic`).
    unsafe { Mmap::map(&file) }.map_err(Error::io(path, "read"))
}

pub(super) fn parse<'a>(place: &str, bytes: &'a [u8]) -> Result<SafeTensors<'a>> {
    SafeTensors::deserialize(bytes).map_err(|error| {
        let remedy = "the file is damaged or was not written to its end; fetch or save it again";
        Error::invalid(place, format!("no safetensors ({error})"), remedy)
    })
}

/// A tensor as f32.
pub(super) fn decode(place: &str, name: &str, view: &TensorView) -> Result<Weight> {
    let bytes = view.data();
    let values = match view.dtype() {
        Dtype::F32 => bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        Dtype::BF16 => bytes.as_chunks().0.iter().map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect(),
        Dtype::F16 => bytes.as_chunks().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect(),
        other => {
            let remedy = "f32, bf16 and f16 can be loaded; take a checkpoint that is not quantised";
            return Err(Error::invalid(place, format!("{name} is stored as {other:?}"), remedy));
        }
    };
    Ok(Weight { shape: view.shape().to_vec(), values })
}

/// How the numbers of a checkpoint are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StoredPrecision {
    /// As they are computed with.
    #[default]
    F32,
    /// Rounded to eight bits of mantissa, in half of the room.
    Bf16,
}

impl StoredPrecision {
    /// As `config.json` has it.
    pub fn dtype(self) -> &'static str {
        match self {
            StoredPrecision::F32 => "float32",
            StoredPrecision::Bf16 => "bfloat16",
        }
    }
}

/// A weight as it is written.
struct StoredWeight<'a> {
    weight: &'a Weight,
    precision: StoredPrecision,
}

/// Writes weights in the order of their names, one after the other; the file is whole or not there.
pub(super) fn write(path: &Path, weights: &BTreeMap<String, Weight>, precision: StoredPrecision) -> Result<()> {
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let written = || weights.iter().map(|(name, weight)| (name, StoredWeight { weight, precision }));
    files::demand_room(path, written().map(|(_, one)| (&one).data_len() as u64).sum())?;
    let all: BTreeMap<&String, StoredWeight> = written().collect();
    files::write_atomic_with(path, |beside| {
        safetensors::serialize_to_file(&all, Some(metadata), beside).map_err(|error| match error {
            SafeTensorError::IoError(source) => Error::io(path, "write")(source),
            error => Error::invalid(path.display().to_string(), error.to_string(), "the weights cannot be written"),
        })
    })
}

impl View for &StoredWeight<'_> {
    fn dtype(&self) -> Dtype {
        match self.precision {
            StoredPrecision::F32 => Dtype::F32,
            StoredPrecision::Bf16 => Dtype::BF16,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.weight.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let values = self.weight.values.iter();
        match self.precision {
            StoredPrecision::F32 => values.flat_map(|value| value.to_le_bytes()).collect(),
            StoredPrecision::Bf16 => values.flat_map(|value| bf16::from_f32(*value).to_le_bytes()).collect(),
        }
    }

    fn data_len(&self) -> usize {
        let bytes = match self.precision {
            StoredPrecision::F32 => size_of::<f32>(),
            StoredPrecision::Bf16 => size_of::<bf16>(),
        };
        self.weight.values.len() * bytes
    }
}
