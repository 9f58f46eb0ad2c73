"""Writes tests/golden-config/: what transformers makes of every key of a config.json of the supported families.

For each family a tiny checkpoint, and in keys.json all keys that transformers knows for it, with what the logits of one
sequence become when a key has another value: `same`, a few of them, or the error that transformers ends with. In
rotary.json are the rotary frequencies of real models, and cosines and sines at large positions.

Run again when transformers has new keys, from the root of the repository; with KEY only the changes of this one are
tried again:
    python tests/make_config_golden.py [KEY ...]   (needs torch and transformers)
"""

import dataclasses
import json
import pathlib
import shutil
import sys
import tempfile

import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding
from transformers.utils import logging

BASE = dict(
    vocab_size=24,
    hidden_size=16,
    intermediate_size=12,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
    rms_norm_eps=1e-6,
    rope_theta=1000.0,
    hidden_act="silu",
)
FAMILIES = {
    "llama": dict(BASE, architectures=["LlamaForCausalLM"], tie_word_embeddings=True),
    "mistral": dict(BASE, architectures=["MistralForCausalLM"], tie_word_embeddings=False, sliding_window=None),
    "qwen2": dict(BASE, architectures=["Qwen2ForCausalLM"], tie_word_embeddings=True),
    "qwen3": dict(BASE, architectures=["Qwen3ForCausalLM"], tie_word_embeddings=True, head_dim=4),
}
SEQUENCE = [(7 * i + i * i // 5 + 3) % 24 for i in range(40)]
# Logits after the last token that are recorded.
RECORDED = 10

# Keys that no dataclass lists: older names, and what is read with getattr.
UNLISTED = [
    "_attn_implementation", "_commit_hash", "_name_or_path", "add_cross_attention", "attention_chunk_size",
    "attn_implementation", "auto_map", "compression_config", "cross_attention_hidden_size", "decoder_start_token_id",
    "distributed_config", "experts_implementation", "finetuning_task", "fusion_config", "gradient_checkpointing",
    "is_causal", "is_decoder", "kv_sharing_modes", "model_type", "name_or_path", "num_labels",
    "original_max_position_embeddings", "output_attentions", "partial_rotary_factor", "per_layer_config", "prefix",
    "pruned_heads", "quantization_config", "rope_scaling", "rope_theta", "sep_token_id", "task_specific_params",
    "tie_encoder_decoder", "tie_last_hidden_states", "tokenizer_class", "torch_dtype", "torchscript",
    "temperature", "top_k", "max_length", "repetition_penalty", "transformers_weights", "use_bfloat16",
    # Of other families.
    "alibi", "attention_multiplier", "attn_logit_softcapping", "clip_qkv", "embedding_multiplier",
    "final_logit_softcapping", "logit_scale", "logits_scaling", "no_rope_layers", "query_pre_attn_scalar",
    "residual_multiplier", "scale_depth", "scale_emb", "use_qk_norm",
]
YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=16)
LLAMA3 = dict(
    rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16
)
LONG = dict(rope_type="longrope", short_factor=[1.0, 2.0], long_factor=[2.0, 4.0], original_max_position_embeddings=16)
ROTATIONS = [
    dict(rope_type="default"),
    dict(rope_type="linear", factor=3.0),
    dict(rope_type="linear"),
    dict(rope_type="dynamic", factor=3.0),
    LLAMA3,
    YARN,
    YARN | dict(factor=0.5),
    YARN | dict(factor=None),
    YARN | dict(attention_factor=1.5),
    YARN | dict(beta_fast=3, beta_slow=0.25),
    YARN | dict(beta_fast=0, beta_slow=None),
    YARN | dict(beta_fast=5.5, beta_slow=0.7, truncate=False),
    YARN | dict(beta_fast=5.5, beta_slow=0.7, truncate=None),
    YARN | dict(mscale=0.7, mscale_all_dim=1.3),
    YARN | dict(mscale=0.7),
    dict(rope_type="yarn", factor=4.0),
    LONG,
    dict(rope_type="proportional", factor=2.0),
    dict(rope_type="default", partial_rotary_factor=0.5),
    dict(rope_type="linear", factor=3.0, partial_rotary_factor=0.5),
    dict(rope_type="unheard-of"),
]
TYPED = [dict(type="linear", factor=3.0), dict(type="yarn", factor=4.0, original_max_position_embeddings=16)]
THETA = dict(rope_theta=50.0)
NESTED = {"full_attention": dict(rope_type="default", rope_theta=50.0)}

# Other values of each key. A dict of several keys stands for a change of all of them.
VALUES = {
    "_attn_implementation": ["sdpa"],
    "_commit_hash": ["0" * 40],
    "_name_or_path": ["somewhere/else"],
    "add_cross_attention": [True],
    "alibi": [True],
    "architectures": [None, [], ["LlamaForSequenceClassification"], ["Qwen2Model"], ["Qwen2ForRewardModel"]],
    "attention_bias": [True, False],
    "attention_chunk_size": [8],
    "attention_dropout": [0.5],
    "attention_multiplier": [2.0],
    "attn_implementation": ["sdpa"],
    "attn_logit_softcapping": [1.0],
    "auto_map": [{"AutoConfig": "configuration_x.XConfig", "AutoModelForCausalLM": "modeling_x.XForCausalLM"}],
    "bos_token_id": [3, None],
    "chunk_size_feed_forward": [4],
    "clip_qkv": [0.1],
    "compression_config": [{"format": "pack-quantized"}],
    "cross_attention_hidden_size": [8],
    "decoder_start_token_id": [3],
    "distributed_config": [{"tp_size": 1}],
    "dtype": ["bfloat16", "float16"],
    "embedding_multiplier": [2.0],
    "eos_token_id": [3, [3, 4], None],
    "experts_implementation": ["eager"],
    "final_logit_softcapping": [1.0],
    "finetuning_task": ["x"],
    "fusion_config": [{}],
    "gradient_checkpointing": [True],
    "head_dim": [None, 4, 8, 2],
    "hidden_act": ["swish", "gelu", "relu", "gelu_pytorch_tanh", "swiglu"],
    "hidden_size": [24, 8],
    "id2label": [{"0": "A", "1": "B", "2": "C"}],
    "initializer_range": [0.5],
    "intermediate_size": [8, 24],
    "is_causal": [False, True],
    "is_decoder": [True],
    "is_encoder_decoder": [True],
    "kv_sharing_modes": [["store", "reuse"]],
    "label2id": [{"A": 0}],
    "layer_types": [
        ["full_attention"] * 2,
        ["attention"] * 2,
        ["full_attention"],
        ["full_attention", "sliding_attention"],
        dict(layer_types=["full_attention", "sliding_attention"], use_sliding_window=True, sliding_window=8),
        dict(layer_types=["full_attention"] * 2, use_sliding_window=True, sliding_window=8, max_window_layers=0),
        ["chunked_attention"] * 2,
    ],
    "logit_scale": [2.0],
    "logits_scaling": [2.0],
    "max_position_embeddings": [128, 20, dict(max_position_embeddings=20, rope_scaling=dict(rope_type="dynamic", factor=3.0))],
    "max_length": [3],
    "max_window_layers": [0, dict(max_window_layers=1, use_sliding_window=True, sliding_window=8)],
    "mlp_bias": [True],
    "model_type": ["gemma", "mixtral"],
    "name_or_path": ["somewhere/else"],
    "no_rope_layers": [[0, 1]],
    "num_attention_heads": [2, 8, dict(num_attention_heads=8, num_key_value_heads=4), dict(num_attention_heads=8, num_key_value_heads=4, head_dim=2)],
    "num_hidden_layers": [1, 3],
    "num_key_value_heads": [None, 1, 4],
    "num_labels": [3],
    "original_max_position_embeddings": [
        8,
        dict(original_max_position_embeddings=8, rope_scaling=YARN),
        dict(original_max_position_embeddings=8, rope_scaling=LLAMA3),
        dict(original_max_position_embeddings=8, rope_scaling=dict(rope_type="dynamic", factor=3.0)),
    ],
    "output_attentions": [True],
    "output_hidden_states": [True],
    "pad_token_id": [3, None],
    "partial_rotary_factor": [0.5, 1.0],
    "per_layer_config": [{"1": {"rms_norm_eps": 0.5}}, {}],
    "prefix": ["x"],
    "pretraining_tp": [2],
    "problem_type": ["regression"],
    "pruned_heads": [{"0": [1]}],
    "quantization_config": [{"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm", "zero_point": True}],
    "query_pre_attn_scalar": [1.0],
    "residual_multiplier": [2.0],
    "repetition_penalty": [2.0],
    "return_dict": [False],
    "rms_norm_eps": [0.1, 1e-5],
    "rope_parameters": [r | THETA for r in ROTATIONS]
    + [r for r in ROTATIONS[:6]]
    + [THETA, {}, NESTED, dict(rope_parameters=THETA, rope_scaling=ROTATIONS[1])],
    "rope_scaling": ROTATIONS + TYPED + [r | THETA for r in TYPED] + [NESTED],
    "rope_theta": [50.0, 1, 1000000.0],
    "scale_depth": [2.0],
    "scale_emb": [2.0],
    "sep_token_id": [3],
    "sliding_window": [None, 8, 48, 64, 100],
    "task_specific_params": [{"x": {"temperature": 2.0}}],
    "tie_encoder_decoder": [True],
    "tie_last_hidden_states": [True],
    "temperature": [2.0],
    "tie_word_embeddings": [False, True],
    "tokenizer_class": ["LlamaTokenizer"],
    "top_k": [1],
    "torch_dtype": ["bfloat16"],
    "torchscript": [True],
    "transformers_version": ["4.30.0"],
    "transformers_weights": ["model.safetensors", "other.safetensors"],
    "use_bfloat16": [True],
    "use_cache": [False],
    "use_qk_norm": [True],
    "use_sliding_window": [
        True,
        dict(use_sliding_window=True, sliding_window=8, max_window_layers=1),
        dict(use_sliding_window=True, sliding_window=8, max_window_layers=2),
        dict(use_sliding_window=True, sliding_window=None, max_window_layers=0),
    ],
    "vocab_size": [20, 32],
}


def fill(model):
    """Away from 0 and 1, so that no norm or bias can be forgotten unnoticed."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(torch.randn_like(weight) * 0.5 + (1.0 if "norm" in name else 0.0))


def keys():
    """Of all families: who gives one of another family's to a model is to be told, or to be right."""
    configs = [type(AutoConfig.for_model(family)) for family in FAMILIES]
    return sorted({field.name for config in configs for field in dataclasses.fields(config)} | set(UNLISTED))


def load(folder):
    options = dict(dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    model, info = AutoModelForCausalLM.from_pretrained(folder, **options)
    if info["missing_keys"] or info["mismatched_keys"]:
        raise ValueError("weights are missing or of another shape")
    return model.eval()


def logits(folder):
    with torch.no_grad():
        return load(folder)(torch.tensor([SEQUENCE]), return_dict=True).logits[0, -1]


def line(error):
    return " ".join(str(error).split())[:70]


def changes(key):
    for value in VALUES[key]:
        is_change = isinstance(value, dict) and key in value
        change = value if is_change else {key: value}
        # With layer types transformers takes mistral for ministral, which has to be told these.
        yield {"head_dim": 4, "sliding_window": 64} | change if key == "layer_types" else change


def tried(folder, config, base, key, change):
    """What transformers makes of a change."""
    with tempfile.TemporaryDirectory() as copy:
        copy = pathlib.Path(copy)
        shutil.copy(folder / "model.safetensors", copy)
        (copy / "config.json").write_text(json.dumps(config | change))
        entry = {"key": key, "change": change}
        try:
            found = logits(copy)
            if found.shape == base.shape and (found - base).abs().max() < 2e-5:
                return entry | {"same": True}
            return entry | {"logits": [round(x, 5) for x in found[:RECORDED].tolist()]}
        except Exception as error:
            return entry | {"error": f"{type(error).__name__}: {line(error)}"}


def make_checkpoint(folder, family, config):
    folder.mkdir(parents=True)
    config = dict(config, model_type=family, dtype="bfloat16")
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder)).float()
    fill(model)
    tied = {"lm_head.weight"} if config["tie_word_embeddings"] else set()
    weights = {name: w.to(torch.bfloat16).contiguous() for name, w in model.state_dict().items() if name not in tied}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def family_golden(folder, only):
    config = json.loads((folder / "config.json").read_text())
    base = logits(folder)
    kept = json.loads((folder / "keys.json").read_text())["entries"] if only else []
    entries = []
    for key in keys():
        if only and key not in only:
            entries += [entry for entry in kept if entry["key"] == key]
        else:
            entries += [tried(folder, config, base, key, change) for change in changes(key)]
    golden = {
        "transformers": transformers.__version__,
        "sequence": SEQUENCE,
        "logits": [round(x, 5) for x in base[:RECORDED].tolist()],
        "keys": keys(),
        "entries": entries,
    }
    text = json.dumps(golden, separators=(",", ":")).replace('{"key"', '\n{"key"')
    (folder / "keys.json").write_text(text + "\n")


ROTARY = [
    dict(rope_theta=10000.0, rope_type="default"),
    dict(rope_theta=100000.0, rope_type="default"),
    dict(rope_theta=1000000.0, rope_type="default"),
    dict(rope_theta=10000.0, rope_type="linear", factor=3.0),
    dict(rope_theta=10000.0, rope_type="dynamic", factor=3.0),
    dict(LLAMA3, rope_theta=500000.0, factor=8.0, original_max_position_embeddings=8192),
    dict(YARN, rope_theta=1000000.0, original_max_position_embeddings=32768),
    dict(YARN, rope_theta=10000.0, factor=40, original_max_position_embeddings=4096, mscale=0.707, mscale_all_dim=1.0),
    dict(YARN, rope_theta=150000.0, factor=32.0, original_max_position_embeddings=4096, truncate=False, beta_slow=1.5),
]
POSITIONS = [0, 1, 517, 4095, 20011, 40000]


def rotary_golden(root):
    entries = []
    for parameters in ROTARY:
        def table(head_dim):
            config = LlamaConfig(head_dim=head_dim, max_position_embeddings=131072, rope_parameters=dict(parameters))
            return LlamaRotaryEmbedding(config)

        narrow = table(16)
        cos, sin = narrow(torch.zeros(1), torch.tensor([POSITIONS]))
        entries.append({
            "rope_parameters": parameters,
            # As f32 prints: exact.
            "frequencies": [float(f"{x:.9g}") for x in table(128).inv_freq.tolist()],
            "cosines": [[round(x, 6) for x in row[:8]] for row in cos[0].tolist()],
            "sines": [[round(x, 6) for x in row[:8]] for row in sin[0].tolist()],
        })
    golden = {"transformers": transformers.__version__, "positions": POSITIONS, "entries": entries}
    text = json.dumps(golden, separators=(",", ":")).replace('{"rope_parameters"', '\n{"rope_parameters"')
    (root / "rotary.json").write_text(text + "\n")


def main():
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    root, only = pathlib.Path(__file__).parent / "golden-config", sys.argv[1:]
    if not only:
        shutil.rmtree(root, ignore_errors=True)
        for family, config in FAMILIES.items():
            make_checkpoint(root / family, family, config)
        rotary_golden(root)
    for family in FAMILIES:
        family_golden(root / family, only)
    print(sum(path.stat().st_size for path in root.rglob("*") if path.is_file()), "bytes")


if __name__ == "__main__":
    main()
