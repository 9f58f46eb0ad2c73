//! The values of metadata.

use std::fmt;
use std::ops::Range;

/// How a value is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueKind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
    Bool,
    Text,
    List,
}

impl ValueKind {
    /// The kind of this number in a file.
    pub(super) fn from_number(number: u32) -> Option<ValueKind> {
        use ValueKind::*;
        const KINDS: [ValueKind; 13] = [U8, I8, U16, I16, U32, I32, F32, Bool, Text, List, U64, I64, F64];
        KINDS.get(number as usize).copied()
    }

    /// Bytes of a value, where all have the same number of them.
    pub(super) fn width(self) -> Option<usize> {
        match self {
            ValueKind::U8 | ValueKind::I8 | ValueKind::Bool => Some(1),
            ValueKind::U16 | ValueKind::I16 => Some(2),
            ValueKind::U32 | ValueKind::I32 | ValueKind::F32 => Some(4),
            ValueKind::U64 | ValueKind::I64 | ValueKind::F64 => Some(8),
            ValueKind::Text | ValueKind::List => None,
        }
    }

    /// A value of fixed width from its bytes.
    pub(super) fn decode(self, bytes: &[u8]) -> Option<MetaValue> {
        let whole = |number: i128| Some(MetaValue::Whole(number));
        match self {
            ValueKind::U8 => whole(u8::from_le_bytes(bytes.try_into().ok()?).into()),
            ValueKind::I8 => whole(i8::from_le_bytes(bytes.try_into().ok()?).into()),
            ValueKind::U16 => whole(u16::from_le_bytes(bytes.try_into().ok()?).into()),
            ValueKind::I16 => whole(i16::from_le_bytes(bytes.try_into().ok()?).into()),
            ValueKind::U32 => whole(u32::from_le_bytes(bytes.try_into().ok()?).into()),
            ValueKind::I32 => whole(i32::from_le_bytes(bytes.try_into().ok()?).into()),
            ValueKind::U64 => whole(u64::from_le_bytes(bytes.try_into().ok()?).into()),
            ValueKind::I64 => whole(i64::from_le_bytes(bytes.try_into().ok()?).into()),
            ValueKind::F32 => Some(MetaValue::Number(as_written(f32::from_le_bytes(bytes.try_into().ok()?)))),
            ValueKind::F64 => Some(MetaValue::Number(f64::from_le_bytes(bytes.try_into().ok()?))),
            ValueKind::Bool => match bytes {
                [0] => Some(MetaValue::Flag(false)),
                [1] => Some(MetaValue::Flag(true)),
                _ => None,
            },
            ValueKind::Text | ValueKind::List => None,
        }
    }
}

/// The shortest decimal number that is this one in f32: `1e-5` was written as that, and not as 9.999999747378752e-6.
fn as_written(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::from(number))
}

/// A value of metadata.
#[derive(Clone, Debug, PartialEq)]
pub enum MetaValue {
    Flag(bool),
    Whole(i128),
    Number(f64),
    Text(String),
    List(MetaList),
}

/// A list of values of one kind, which stay in the file until they are asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct MetaList {
    pub(super) kind: ValueKind,
    pub(super) count: usize,
    /// Where in the file the values are.
    pub(super) bytes: Range<usize>,
}

impl MetaValue {
    /// Whether it says nothing: what is off, zero or empty.
    pub fn is_neutral(&self) -> bool {
        match self {
            MetaValue::Flag(flag) => !flag,
            MetaValue::Whole(number) => *number == 0,
            MetaValue::Number(number) => *number == 0.0,
            MetaValue::Text(text) => text.is_empty(),
            MetaValue::List(list) => list.count == 0,
        }
    }
}

impl fmt::Display for MetaValue {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            MetaValue::Flag(flag) => write!(f, "{flag}"),
            MetaValue::Whole(number) => write!(f, "{number}"),
            MetaValue::Number(number) => write!(f, "{number}"),
            MetaValue::Text(text) => write!(f, "{text:?}"),
            MetaValue::List(list) => write!(f, "a list of {}", list.count),
        }
    }
}
