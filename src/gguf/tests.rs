//! A writer of small files, and what is wrong with them.

use super::*;

/// A file in the making.
#[derive(Clone)]
pub(crate) struct GgufWriter {
    keys: u64,
    metadata: Vec<u8>,
    count: u64,
    tensors: Vec<u8>,
    data: Vec<u8>,
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

impl GgufWriter {
    pub(crate) fn new() -> GgufWriter {
        GgufWriter { keys: 0, metadata: Vec::new(), count: 0, tensors: Vec::new(), data: Vec::new() }
    }

    /// A key with a value of this type, whose bytes are given.
    pub(crate) fn raw(mut self, key: &str, kind: u32, value: &[u8]) -> GgufWriter {
        self.keys += 1;
        self.metadata.extend([&text(key)[..], &kind.to_le_bytes(), value].concat());
        self
    }

    pub(crate) fn whole(self, key: &str, value: u32) -> GgufWriter {
        self.raw(key, 4, &value.to_le_bytes())
    }

    pub(crate) fn number(self, key: &str, value: f32) -> GgufWriter {
        self.raw(key, 6, &value.to_le_bytes())
    }

    pub(crate) fn flag(self, key: &str, value: bool) -> GgufWriter {
        self.raw(key, 7, &[value.into()])
    }

    pub(crate) fn text(self, key: &str, value: &str) -> GgufWriter {
        self.raw(key, 8, &text(value))
    }

    /// A list of values of this type, whose bytes are given.
    pub(crate) fn list(self, key: &str, kind: u32, values: &[Vec<u8>]) -> GgufWriter {
        let head = [&kind.to_le_bytes()[..], &(values.len() as u64).to_le_bytes()].concat();
        self.raw(key, 9, &[head, values.concat()].concat())
    }

    pub(crate) fn texts(self, key: &str, values: &[&str]) -> GgufWriter {
        self.list(key, 8, &values.iter().map(|value| text(value)).collect::<Vec<_>>())
    }

    pub(crate) fn wholes(self, key: &str, values: &[i32]) -> GgufWriter {
        self.list(key, 5, &values.iter().map(|value| value.to_le_bytes().to_vec()).collect::<Vec<_>>())
    }

    pub(crate) fn numbers(self, key: &str, values: &[f32]) -> GgufWriter {
        self.list(key, 6, &values.iter().map(|value| value.to_le_bytes().to_vec()).collect::<Vec<_>>())
    }

    /// What the header says of a tensor: its dimensions, the fastest one first, its type and where it begins.
    pub(crate) fn entry(mut self, name: &str, dimensions: &[u64], kind: u32, offset: u64) -> GgufWriter {
        self.count += 1;
        let sizes: Vec<u8> = dimensions.iter().flat_map(|size| size.to_le_bytes()).collect();
        let head = [&text(name)[..], &(dimensions.len() as u32).to_le_bytes(), &sizes].concat();
        self.tensors.extend([&head[..], &kind.to_le_bytes(), &offset.to_le_bytes()].concat());
        self
    }

    /// A tensor of this shape, row-major, in f32.
    pub(crate) fn tensor(self, name: &str, shape: &[usize], values: &[f32]) -> GgufWriter {
        let dimensions: Vec<u64> = shape.iter().rev().map(|size| *size as u64).collect();
        let offset = self.data.len() as u64;
        let mut file = self.entry(name, &dimensions, 0, offset);
        file.data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        file.data.resize(file.data.len().next_multiple_of(32), 0);
        file
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let head = [self.count.to_le_bytes(), self.keys.to_le_bytes()].concat();
        let mut bytes = [b"GGUF", &3u32.to_le_bytes()[..], &head, &self.metadata, &self.tensors].concat();
        bytes.resize(bytes.len().next_multiple_of(32), 0);
        bytes.extend(&self.data);
        bytes
    }

    /// The file, opened. It lies in a directory that has to be kept.
    pub(crate) fn open(&self) -> (Result<Gguf>, tempfile::TempDir) {
        opened(&self.bytes())
    }
}

fn opened(bytes: &[u8]) -> (Result<Gguf>, tempfile::TempDir) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("tiny.gguf");
    std::fs::write(&path, bytes).unwrap();
    (Gguf::open(&path), home)
}

fn message(file: &GgufWriter) -> String {
    let message = file.open().0.err().unwrap().to_string();
    assert!(message.contains("tiny.gguf: ") && !message.contains('\n'), "{message}");
    message
}

#[test]
fn values_are_what_was_written() {
    let file = GgufWriter::new()
        .whole("size", 7)
        .number("epsilon", 1e-5)
        .flag("flag", true)
        .text("name", "größer")
        .texts("texts", &["a", "", "b c"])
        .wholes("types", &[3, -1])
        .wholes("alike", &[4, 4])
        .numbers("scores", &[0.5, -2.0])
        .raw("large", 10, &u64::MAX.to_le_bytes())
        .tensor("one", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
        .tensor("two", &[1], &[7.0]);
    let (file, _home) = file.open();
    let file = file.unwrap();
    assert_eq!(file.size("size").unwrap(), Some(7));
    assert_eq!(file.number("epsilon").unwrap(), Some(1e-5));
    assert_eq!(file.flag("flag").unwrap(), Some(true));
    assert_eq!(file.text("name").unwrap(), Some("größer"));
    assert_eq!(file.texts("texts").unwrap().unwrap(), ["a", "", "b c"]);
    assert_eq!(file.wholes("types").unwrap().unwrap(), [3, -1]);
    assert_eq!(file.size("alike").unwrap(), Some(4));
    assert_eq!(file.numbers("scores").unwrap().unwrap(), [0.5, -2.0]);
    assert_eq!(file.get("large"), Some(&MetaValue::Whole(u64::MAX.into())));
    assert_eq!((file.shape("one").unwrap(), file.read("one").unwrap().len()), (&[2, 3][..], 6));
    assert_eq!(file.read("two").unwrap(), [7.0]);
    let refused = |error: Option<Error>| error.unwrap().to_string();
    assert!(refused(file.size("name").err()).contains("name is \"größer\"; it has to be a whole number"));
    assert!(refused(file.size("types").err()).contains("types is different in different layers"));
    assert!(refused(file.texts("types").err()).contains("types is a list of values of type I32"));
    assert!(refused(file.flag("size").err()).contains("size is 7; it has to be true or false"));
    assert!(refused(file.read("three").err()).contains("the tensor three is missing"));
}

#[test]
fn a_tensor_of_many_parts_is_whole() {
    let values: Vec<f32> = (0..(1 << 20) + 5).map(|i| i as f32).collect();
    let (file, _home) = GgufWriter::new().tensor("long", &[values.len()], &values).open();
    assert_eq!(file.unwrap().read("long").unwrap(), values);
}

#[test]
fn sizes_that_are_not_there_are_not_believed() {
    let whole = || GgufWriter::new().whole("a", 1).tensor("one", &[4], &[1.0; 4]);
    for count in [1 << 20, 1 << 60, u64::MAX] {
        let bytes = count.to_le_bytes();
        assert!(message(&GgufWriter { keys: count, ..whole() }).contains("damaged"));
        assert!(message(&GgufWriter { count, ..whole() }).contains("damaged"));
        let long = GgufWriter::new().raw("a", 8, &bytes);
        assert!(message(&long).contains("within its header"));
        for kind in [0u32, 8, 12] {
            let list = [&kind.to_le_bytes()[..], &bytes].concat();
            assert!(message(&GgufWriter::new().raw("a", 9, &list)).contains("within its header"));
        }
        assert!(message(&whole().entry("two", &[count], 0, 0)).contains("two"));
        assert!(message(&whole().entry("two", &[count, count], 0, 0)).contains("two"));
        assert!(message(&whole().entry("two", &[4], 0, count)).contains("two"));
    }
    // Ten times the same bytes.
    let one = GgufWriter::new().tensor("one", &[1024], &[1.0; 1024]);
    let many = (0..9).fold(one, |file, number| file.entry(&format!("again-{number}"), &[1024], 0, 0));
    assert!(message(&many).contains("its tensors take 40960 bytes, in a file of"));
}

#[test]
fn what_cannot_be_read_is_named() {
    let tensor = || GgufWriter::new().tensor("one", &[4], &[1.0; 4]);
    assert!(message(&tensor().entry("two", &[256], 23, 0)).contains("two is stored as IQ4_XS; F32, F16, BF16, Q4_0"));
    assert!(message(&tensor().entry("two", &[256], 99, 0)).contains("two is of type 99"));
    assert!(message(&tensor().entry("two", &[4], 2, 0)).contains("two has a size"), "no whole block");
    assert!(message(&tensor().entry("two", &[1; 5], 0, 0)).contains("two has 5 dimensions"));
    assert!(message(&tensor().entry("two", &[4, 0], 0, 0)).contains("two has an empty dimension"));
    assert!(message(&tensor().entry("one", &[1], 0, 0)).contains("the tensor \"one\" is there twice"));
    assert!(message(&tensor().whole("a", 1).whole("a", 2)).contains("the key \"a\" is there twice"));
    for alignment in [0, 3, 1 << 30] {
        let found = message(&tensor().whole("general.alignment", alignment));
        assert!(found.contains(&format!("general.alignment is {alignment}, no power of two")), "{found}");
    }
    assert!(message(&tensor().raw("a", 13, &[0])).contains("values of type 13"));
    assert!(message(&tensor().raw("a", 7, &[2])).contains("no Bool"));
    assert!(message(&tensor().raw("a", 8, &[1, 0, 0, 0, 0, 0, 0, 0, 0xff])).contains("no text at byte"));
    let nested = [9u32.to_le_bytes().to_vec(), 1u64.to_le_bytes().to_vec()].concat().repeat(40);
    assert!(message(&tensor().raw("a", 9, &nested)).contains("lists in lists"));
    let mut bytes = tensor().bytes();
    for (version, part) in [(1u32, "version 1"), (3u32.swap_bytes(), "big-endian")] {
        bytes[4..8].copy_from_slice(&version.to_le_bytes());
        assert!(opened(&bytes).0.err().unwrap().to_string().contains(part));
    }
    assert!(opened(b"").0.err().unwrap().to_string().contains("no GGUF file"));
}
