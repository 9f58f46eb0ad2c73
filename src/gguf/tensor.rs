//! Tensors: where they lie, and their numbers, which candle takes out of their blocks.

use std::io::Cursor;
use std::ops::Range;

use candle_core::quantized::{GgmlDType, gguf_file};
use candle_core::{Device, Shape};

use super::Gguf;
use crate::{Error, Result};

/// What a tensor can be stored as, by its number in a file.
const READABLE: [(u32, GgmlDType); 13] = [
    (0, GgmlDType::F32),
    (1, GgmlDType::F16),
    (2, GgmlDType::Q4_0),
    (3, GgmlDType::Q4_1),
    (6, GgmlDType::Q5_0),
    (7, GgmlDType::Q5_1),
    (8, GgmlDType::Q8_0),
    (10, GgmlDType::Q2K),
    (11, GgmlDType::Q3K),
    (12, GgmlDType::Q4K),
    (13, GgmlDType::Q5K),
    (14, GgmlDType::Q6K),
    (30, GgmlDType::BF16),
];
/// What others are called.
const UNREADABLE: [(u32, &str); 20] = [
    (9, "Q8_1"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
    (40, "NVFP4"),
];
/// Numbers that are taken out of their blocks at once; a multiple of what the largest block holds.
const AT_ONCE: usize = 1 << 20;

/// A tensor that has not been read.
#[derive(Clone, Debug)]
pub(super) struct TensorEntry {
    /// Row-major: the dimension that runs fastest comes last.
    pub(super) shape: Vec<usize>,
    dtype: GgmlDType,
    /// Where in the file it lies.
    pub(super) bytes: Range<usize>,
}

/// Refuses a tensor that is stored as candle does not read it.
pub(super) fn demand_readable(place: &str, name: &str, kind: u32) -> Result<()> {
    if dtype(kind).is_some() {
        return Ok(());
    }
    let known = UNREADABLE.iter().find(|(number, _)| *number == kind);
    let found = known.map_or(format!("of type {kind}"), |(_, known)| format!("stored as {known}"));
    let remedy = "F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 and Q2_K to Q6_K can be read; take a file with these";
    Err(Error::invalid(place, format!("{name} is {found}"), remedy))
}

fn dtype(kind: u32) -> Option<GgmlDType> {
    READABLE.iter().find(|(number, _)| *number == kind).map(|(_, dtype)| *dtype)
}

impl TensorEntry {
    /// A tensor `offset` bytes behind `start`. None where its size is no number, or a row no whole number of blocks.
    pub(super) fn new(shape: Vec<usize>, kind: u32, start: usize, offset: u64) -> Option<TensorEntry> {
        let dtype = dtype(kind)?;
        let elements = shape.iter().try_fold(1usize, |product, size| product.checked_mul(*size))?;
        if !shape.last().unwrap_or(&1).is_multiple_of(dtype.block_size()) {
            return None;
        }
        let length = (elements / dtype.block_size()).checked_mul(dtype.type_size())?;
        let begin = start.checked_add(usize::try_from(offset).ok()?)?;
        Some(TensorEntry { shape, dtype, bytes: begin..begin.checked_add(length)? })
    }
}

impl Gguf {
    /// The names of all tensors, sorted.
    pub fn tensors(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Whether there is a tensor of this name.
    pub fn has_tensor(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The shape of a tensor, row-major.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn shape(&self, name: &str) -> Result<&[usize]> {
        Ok(&self.entry(name)?.shape)
    }

    /// The numbers of a tensor, row-major, in f32 whatever it is stored as.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn read(&self, name: &str) -> Result<Vec<f32>> {
        let entry = self.entry(name)?;
        let (block, width) = (entry.dtype.block_size(), entry.dtype.type_size());
        let mut values = Vec::with_capacity(entry.shape.iter().product());
        for bytes in self.map[entry.bytes.clone()].chunks(AT_ONCE / block * width) {
            let part = gguf_file::TensorInfo {
                ggml_dtype: entry.dtype,
                shape: Shape::from(bytes.len() / width * block),
                offset: 0,
            };
            let part = part.read(&mut Cursor::new(bytes), 0, &Device::Cpu)?.dequantize(&Device::Cpu)?;
            values.extend(part.to_vec1::<f32>()?);
        }
        Ok(values)
    }

    fn entry(&self, name: &str) -> Result<&TensorEntry> {
        self.tensors.get(name).ok_or_else(|| {
            let remedy = "the file is not that of a whole model; fetch it again";
            Error::invalid(self.place(), format!("the tensor {name} is missing"), remedy)
        })
    }
}
