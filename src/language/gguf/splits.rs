//! How a text is taken apart before merges are looked up, by the names that llama.cpp has for it.

/// The name of llama.cpp under which a byte-level tokenizer splits.
pub(super) struct Split {
    names: &'static [&'static str],
    /// Expressions that each take apart what those before have left.
    pub(super) expressions: &'static [&'static str],
    /// A piece that is a token is taken whole, whatever its merges.
    pub(super) ignores_merges: bool,
    /// Texts begin with a token of their own unless the file says otherwise.
    pub(super) begins: bool,
    /// Texts are composed first, as transformers has it; llama.cpp does without.
    pub(super) composes: bool,
}

/// Digits stand alone.
pub(super) const DIGIT: &str = r"\p{N}";
pub(super) const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|",
    r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const DEFAULT: [&str; 4] = [
    r"[\p{P}\$\+<=>\^~\|]+",
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)",
    r"\p{N}+",
    "[0-9][0-9][0-9]",
];

const PLAIN: Split = Split { names: &[], expressions: &[], ignores_merges: false, begins: false, composes: false };

const SPLITS: [Split; 7] = [
    Split { names: &["default"], expressions: &DEFAULT, ..PLAIN },
    Split { names: &["gpt-2", "phi-2", "mpt", "olmo"], expressions: &[GPT2], ..PLAIN },
    Split {
        names: &["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone"],
        expressions: &[DIGIT, GPT2],
        ..PLAIN
    },
    Split {
        names: &["llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral"],
        expressions: &[LLAMA3],
        ignores_merges: true,
        begins: true,
        composes: false,
    },
    Split { names: &["smaug-bpe", "dbrx"], expressions: &[LLAMA3], ..PLAIN },
    Split { names: &["qwen2"], expressions: &[QWEN2], composes: true, ..PLAIN },
    Split { names: &["tekken"], expressions: &[TEKKEN], ignores_merges: true, begins: true, composes: false },
];

/// The split of this name.
pub(super) fn by_name(name: &str) -> Option<&'static Split> {
    const ALL: &[Split] = &SPLITS;
    ALL.iter().find(|split| split.names.contains(&name))
}

/// What llama.cpp calls the split with these expressions.
pub(super) fn by_parts(expressions: &[&str], ignores_merges: bool) -> Option<&'static str> {
    const ALL: &[Split] = &SPLITS;
    let same = |split: &&Split| split.expressions == expressions && split.ignores_merges == ignores_merges;
    ALL.iter().find(same)?.names.first().copied()
}

/// The names of all.
pub(super) fn names() -> String {
    SPLITS.iter().flat_map(|split| split.names).copied().collect::<Vec<_>>().join(", ")
}
