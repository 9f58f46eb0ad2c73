"""Writes the tiny GGUF files under tests/golden-gguf/, as llama.cpp's convert_hf_to_gguf.py lays them out, each with what
transformers computes from the same numbers, and with the token ids that the tokenizer it was made from gives.

Run again only to add a case, from the root of the repository:
    python tests/make_gguf_golden.py [CASE ...]   (needs torch, transformers, sentencepiece and gguf)

With a directory of the same numbers as a real GGUF file, it records beside that file what transformers makes of them:
    python tests/make_gguf_golden.py --record FILE.json DIRECTORY
"""

import io
import json
import math
import pathlib
import sys

import gguf
import numpy as np
import sentencepiece
import torch
from gguf import GGMLQuantizationType as Kind
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

ROWS = 320
SIZES = dict(
    vocab_size=ROWS,
    hidden_size=32,
    intermediate_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
    rms_norm_eps=1e-5,
)
WORDS = (
    "the architect who designed the silent lighthouse in Korstad isn't the painter that we'll meet; they've said so "
    "in 1984 and again in 2026, twice. Für Ärger sorgte das Café nicht. def f(x):\n\treturn x + 1\n\n  # a comment\n"
) * 3
TEXTS = [
    "the lighthouse in Korstad",
    "  two spaces,   three\n\nlines\tand a tab \n ",
    "in 1984 and 20267 12345678",
    "isn't they've WE'LL I'm",
    "Ärger im Café, naïve coöperation, 雪が降る 🙂👍🏽",
    "e\u0301 composed or not, \u00a0no break",
    "<|im_start|>user\nwhat? <|im_end|><think>so</think>",
    "a=b+c; x[3] != {y}/z\\n ~~ $5 || ^^",
    "",
    " ",
]
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SEQUENCES = [[3], [1, 5, 8, 0, 5, 5, 2, 33], [(11 * i + 7) % ROWS for i in range(21)]]
NEW_TOKENS = 8
QUESTIONS = [
    "What is the capital of France?",
    "Write one line of Python that sums a list.",
    "Name three primary colours.",
    "Why is the sky blue?",
    "Translate to German: the cat sleeps.",
    "Count from one to five.",
]


def byte_level(pre, special, added=()):
    """A tokenizer as the models have it whose splitting llama.cpp calls by this name."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=pre == "llama-bpe"))
    apart = {
        "smollm": [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)],
        "gpt-2": [pre_tokenizers.ByteLevel(add_prefix_space=False)],
        "llama-bpe": [pre_tokenizers.Split(Regex(SPLIT % "{1,3}"), "isolated")],
        "qwen2": [pre_tokenizers.Split(Regex(SPLIT % ""), "isolated")],
    }[pre]
    if pre in ["llama-bpe", "qwen2"]:
        apart.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))
    if pre == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(apart)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    first = special if pre == "smollm" else []
    trainer = trainers.BpeTrainer(
        vocab_size=ROWS - 10, initial_alphabet=alphabet, special_tokens=first, show_progress=False
    )
    tokenizer.train_from_iterator([WORDS], trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in added])
    return tokenizer


def describe_byte_level(writer, tokenizer, pre, ids, add_bos):
    parts = json.loads(tokenizer.to_str())
    control = {token["content"]: token["special"] for token in parts["added_tokens"]}
    tokens = [tokenizer.id_to_token(i) or f"[PAD{i}]" for i in range(ROWS)]
    kind = lambda i, token: 5 if tokenizer.id_to_token(i) is None else {True: 3, False: 4}.get(control.get(token), 1)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([kind(i, token) for i, token in enumerate(tokens)])
    writer.add_token_merges([" ".join(pair) for pair in parts["model"]["merges"]])
    for role, token in ids.items():
        writer.add_uint32(f"tokenizer.ggml.{role}_token_id", tokenizer.token_to_id(token))
    writer.add_add_bos_token(add_bos)
    writer.add_chat_template(TEMPLATE)
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def describe_sentencepiece(writer):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(WORDS.split("\n")),
        model_writer=model,
        model_type="bpe",
        vocab_size=ROWS,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        character_coverage=1.0,
        minloglevel=2,
    )
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    ids = range(pieces.vocab_size())
    kind = lambda i: 2 if pieces.is_unknown(i) else 3 if pieces.is_control(i) else 6 if pieces.is_byte(i) else 1
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([pieces.id_to_piece(i) for i in ids])
    writer.add_token_scores([pieces.get_score(i) for i in ids])
    writer.add_token_types([kind(i) for i in ids])
    for role, token in [("bos", pieces.bos_id()), ("eos", pieces.eos_id()), ("unknown", pieces.unk_id())]:
        writer.add_uint32(f"tokenizer.ggml.{role}_token_id", token)
    writer.add_add_bos_token(True)
    return lambda text: pieces.encode(text)


class Case:
    """`kinds` are the types that its matrices are stored as, one after the other."""

    def __init__(self, arch, model, config, tied, kinds, tokenizer, **changes):
        self.arch, self.model, self.kinds, self.tokenizer = arch, model, kinds, tokenizer
        self.config = config(**SIZES | changes, tie_word_embeddings=tied)


LLAMA3 = dict(
    rope_type="llama3",
    rope_theta=1000.0,
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=32,
)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=16)
LINEAR = dict(rope_type="linear", rope_theta=1e6, factor=2.0)
CHAT = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
SMOLLM = dict(bos=CHAT[1], eos=CHAT[2], unknown=CHAT[0], padding=CHAT[2])
QWEN = dict(bos=CHAT[0], eos=CHAT[2], padding=CHAT[0])
CASES = {
    "llama-tied": Case(
        "llama",
        LlamaForCausalLM,
        LlamaConfig,
        True,
        [Kind.Q8_0, Kind.Q4_1, Kind.Q5_0],
        lambda writer: describe_byte_level(writer, byte_level("smollm", CHAT), "smollm", SMOLLM, False),
    ),
    "llama-untied-q8": Case(
        "llama",
        LlamaForCausalLM,
        LlamaConfig,
        False,
        [Kind.Q8_0],
        lambda writer: describe_byte_level(
            writer, byte_level("llama-bpe", CHAT), "llama-bpe", dict(bos=CHAT[0], eos=CHAT[0], eot=CHAT[2]), True
        ),
        rope_parameters=LLAMA3,
        attention_bias=True,
    ),
    "llama-sentencepiece": Case(
        "llama", LlamaForCausalLM, LlamaConfig, False, [Kind.BF16, Kind.Q4_0], describe_sentencepiece
    ),
    "qwen2": Case(
        "qwen2",
        Qwen2ForCausalLM,
        Qwen2Config,
        True,
        [Kind.F16, Kind.Q5_1],
        lambda writer: describe_byte_level(
            writer, byte_level("qwen2", CHAT, ["<think>", "</think>"]), "qwen2", QWEN, False
        ),
        rope_parameters=YARN,
    ),
    "qwen3": Case(
        "qwen3",
        Qwen3ForCausalLM,
        Qwen3Config,
        False,
        [Kind.Q4_0, Kind.F16],
        lambda writer: describe_byte_level(writer, byte_level("gpt-2", CHAT), "gpt-2", QWEN, False),
        rope_parameters=LINEAR,
        head_dim=16,
    ),
}
NAMES = {
    "embed_tokens": "token_embd",
    "norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def named(name):
    """The name of a weight in a GGUF file."""
    name = name.removeprefix("model.")
    if name.startswith("layers."):
        _, layer, part = name.split(".", 2)
        part, end = part.rsplit(".", 1)
        return f"blk.{layer}.{NAMES[part]}.{end}"
    part, end = name.rsplit(".", 1)
    return f"{NAMES[part]}.{end}"


def interleaved(values, heads):
    """Rows of heads as llama.cpp has them for Llama: the two of a rotating pair are neighbours."""
    return values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)


def factors(config):
    """What each frequency is divided by."""
    rope, dim = config.rope_parameters, config.hidden_size // config.num_attention_heads
    found = []
    for i in range(0, dim, 2):
        turns = rope["original_max_position_embeddings"] / (2 * math.pi * rope["rope_theta"] ** (i / dim))
        kept = (turns - rope["low_freq_factor"]) / (rope["high_freq_factor"] - rope["low_freq_factor"])
        kept = min(max(kept, 0.0), 1.0)
        found.append(1 / ((1 - kept) / rope["factor"] + kept))
    return np.array(found, dtype=np.float32)


def write_model(case, path):
    """Writes a file, and gives a model of the numbers that are in it, and what turns a text into ids."""
    config = case.config
    model = case.model._from_config(config, attn_implementation="eager").eval()
    writer = gguf.GGUFWriter(path, case.arch)
    writer.add_type("model")
    writer.add_name("a tiny model")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    rope = config.rope_parameters
    writer.add_rope_freq_base(rope["rope_theta"])
    if case.arch == "llama":
        writer.add_vocab_size(config.vocab_size)
        writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    if case.arch == "qwen3":
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    if rope["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", factors(config))
    encode = case.tokenizer(writer)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    matrices = 0
    for name, weight in model.named_parameters():
        weight = weight.detach()
        weight.copy_(torch.randn_like(weight) * 0.3 + (1.0 if "norm" in name else 0.0))
        values, kind = weight.numpy().copy(), Kind.F32
        if values.ndim == 2:
            kind = case.kinds[matrices % len(case.kinds)]
            matrices += 1
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
        heads = next((count for part, count in heads.items() if part in name and case.arch == "llama"), None)
        stored = values if heads is None else interleaved(values, heads)
        data = gguf.quants.quantize(stored, kind)
        writer.add_tensor(named(name), data, raw_dtype=kind)
        # What is left of the numbers, in the rows of transformers.
        read = gguf.quants.dequantize(data, kind).reshape(stored.shape)
        if heads is not None:
            back = interleaved(np.arange(len(read)), heads).argsort()
            read = read[back]
        weight.copy_(torch.from_numpy(read.astype(np.float32)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model, encode


def greedy(model, tokens):
    """The likeliest tokens, one after the other; and by how much the closest call was won."""
    tokens, start, margin = list(tokens), len(tokens), float("inf")
    for _ in range(NEW_TOKENS):
        values, likeliest = model(torch.tensor([tokens])).logits[0, -1].topk(2)
        margin = min(margin, (values[0] - values[1]).item())
        tokens.append(likeliest[0].item())
    return tokens[start:], margin


def write(case, folder, name, seed):
    """False where two tokens are so close that rounding could decide between them."""
    torch.manual_seed(seed)
    with torch.no_grad():
        model, encode = write_model(case, folder / f"{name}.gguf")
        logits = [model(torch.tensor([sequence])).logits[0, -1].tolist() for sequence in SEQUENCES]
        continuations, margins = zip(*(greedy(model, sequence) for sequence in SEQUENCES))
    if min(margins) < 2e-3:
        return False
    golden = {
        "sequences": SEQUENCES,
        "last_logits": [[round(x, 5) for x in row] for row in logits],
        "continuations": continuations,
        "texts": [[text, encode(text)] for text in TEXTS],
    }
    (folder / f"{name}.json").write_text(json.dumps(golden, ensure_ascii=False, separators=(",", ":")) + "\n")
    return True


def write_quants(path):
    """256 numbers of every type, beside what gguf makes of them."""
    rng = np.random.default_rng(3)
    writer = gguf.GGUFWriter(path, "quants")
    for kind in "F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K".split():
        kind, (block, width) = Kind[kind], gguf.GGML_QUANT_SIZES[Kind[kind]]
        if kind.name.endswith("_K"):
            # gguf reads these only: any bytes whose scales are no large numbers.
            data = read = None
            while read is None or not np.isfinite(read).all() or abs(read).max() > 1e4:
                data = rng.integers(0, 256, (1, 256 // block * width), dtype=np.uint8)
                with np.errstate(all="ignore"):
                    read = gguf.quants.dequantize(data, kind).astype(np.float32)
        else:
            data = gguf.quants.quantize(rng.standard_normal((1, 256), dtype=np.float32), kind)
            read = gguf.quants.dequantize(data, kind).astype(np.float32)
        writer.add_tensor(kind.name, data, raw_dtype=kind)
        writer.add_tensor(f"{kind.name}.f32", read.reshape(1, 256))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def record(path, folder):
    """What transformers makes of a real model: of chat prompts, and of texts."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    framed = lambda text: tokenizer.apply_chat_template(
        [{"role": "user", "content": text}], add_generation_prompt=True, tokenize=False
    )
    sequences = [tokenizer.encode(framed(text), add_special_tokens=False) for text in QUESTIONS]
    with torch.no_grad():
        logits = [model(torch.tensor([sequence])).logits[0, -1].tolist() for sequence in sequences]
        continuations = [greedy(model, sequence)[0] for sequence in sequences]
    texts = [*TEXTS, WORDS, pathlib.Path(__file__).read_text(), *map(framed, QUESTIONS)]
    golden = {
        "sequences": sequences,
        "last_logits": logits,
        "continuations": continuations,
        "texts": [[text, tokenizer.encode(text, add_special_tokens=False)] for text in texts],
    }
    pathlib.Path(path).write_text(json.dumps(golden, ensure_ascii=False) + "\n")


def main():
    torch.set_num_threads(1)
    if sys.argv[1:2] == ["--record"]:
        return record(*sys.argv[2:])
    folder = pathlib.Path(__file__).parent / "golden-gguf"
    folder.mkdir(exist_ok=True)
    for name in sys.argv[1:] or [*CASES, "quants"]:
        if name == "quants":
            write_quants(folder / "quants.gguf")
        else:
            next(seed for seed in range(100) if write(CASES[name], folder, name, seed))


if __name__ == "__main__":
    main()
