"""Writes the tiny checkpoints under tests/golden/, as transformers saves them, and the adapters under
tests/golden-adapters/, as PEFT saves them; each with what these compute from it: logits of a few sequences, and greedy
continuations.

Run again only to add a case, from the root of the repository (adapters name their base from there):
    python tests/make_checkpoint_golden.py [CASE ...]   (needs torch, transformers and peft)
"""

import json
import pathlib
import sys

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

SIZES = dict(
    vocab_size=40,
    hidden_size=16,
    intermediate_size=10,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
    rms_norm_eps=1e-6,
)
LLAMA3 = dict(
    rope_type="llama3",
    rope_theta=1000.0,
    factor=4.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=16,
)
LINEAR = dict(rope_type="linear", rope_theta=10000.0, factor=2.0)


class Case:
    def __init__(self, model, config, tied, dtype=torch.float32, shard=None, **changes):
        self.model, self.dtype, self.shard = model, dtype, shard
        self.config = config(**SIZES | changes, tie_word_embeddings=tied)


CASES = {
    "llama-untied": Case(LlamaForCausalLM, LlamaConfig, False, rope_theta=500000.0),
    "llama-tied": Case(LlamaForCausalLM, LlamaConfig, True, num_key_value_heads=4),
    "llama3-scaled-f16": Case(LlamaForCausalLM, LlamaConfig, False, torch.float16, head_dim=8, rope_parameters=LLAMA3),
    "llama-linear-bias": Case(LlamaForCausalLM, LlamaConfig, False, attention_bias=True, rope_parameters=LINEAR),
    # SmolLM2 is a Llama: tied, three heads to a group, in bf16.
    "smollm2-bf16": Case(
        LlamaForCausalLM, LlamaConfig, True, torch.bfloat16, hidden_size=24, num_attention_heads=6, rope_theta=100000.0
    ),
    "mistral-window": Case(MistralForCausalLM, MistralConfig, False, sliding_window=32),
    "mistral-sharded-bf16": Case(
        MistralForCausalLM, MistralConfig, False, torch.bfloat16, "5KB", head_dim=6, sliding_window=None
    ),
    "qwen2-tied": Case(Qwen2ForCausalLM, Qwen2Config, True, rope_theta=1000.0),
    "qwen2-untied-bf16": Case(Qwen2ForCausalLM, Qwen2Config, False, torch.bfloat16),
    "qwen3-tied": Case(Qwen3ForCausalLM, Qwen3Config, True, head_dim=6, rope_theta=1e6),
    "qwen3-untied-f16": Case(Qwen3ForCausalLM, Qwen3Config, False, torch.float16, head_dim=4),
    "qwen3-bias-sharded": Case(Qwen3ForCausalLM, Qwen3Config, False, shard="12KB", head_dim=4, attention_bias=True),
}
# The checkpoint below, and the adapters.
ALL_LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ADAPTERS = {
    "qwen2-attention": ("qwen2-tied", LoraConfig(r=2, lora_alpha=6, target_modules=["q_proj", "v_proj"])),
    "llama-all": ("llama-linear-bias", LoraConfig(r=3, lora_alpha=3, target_modules=ALL_LINEAR)),
    "qwen3-uneven": (
        "qwen3-tied",
        LoraConfig(
            r=2,
            lora_alpha=3,
            use_rslora=True,
            target_modules="all-linear",
            exclude_modules=r".*layers\.1\.mlp.*",
            rank_pattern={"q_proj": 1, "down_proj": 3},
            alpha_pattern={r"layers\.0\..*": 1},
        ),
    ),
}
# One sequence of a single token, one of odd length, and one that passes the first context of the scaled case.
SEQUENCES = [[3], [1, 5, 8, 0, 5, 5, 2, 33], [(11 * i + 7) % 40 for i in range(17)]]
NEW_TOKENS = 12


def fill(model):
    """Away from 0 and 1, so that no norm or bias can be forgotten unnoticed."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if not weight.requires_grad:
                continue
            weight.copy_(torch.randn_like(weight) * 0.4 + (1.0 if "norm" in name else 0.0))


def greedy(model, tokens):
    """The likeliest tokens, one after the other, without a cache; and by how much the closest call was won."""
    tokens, start, margin = list(tokens), len(tokens), float("inf")
    for _ in range(NEW_TOKENS):
        first, second = model(torch.tensor([tokens])).logits[0, -1].topk(2).values.tolist()
        margin = min(margin, first - second)
        tokens.append(model(torch.tensor([tokens])).logits[0, -1].argmax().item())
    return tokens[start:], margin


def write_checkpoint(case, folder):
    model = case.model(case.config).eval()
    fill(model)
    options = {} if case.shard is None else {"max_shard_size": case.shard}
    model.to(case.dtype).save_pretrained(folder, **options)
    # Read again rather than widened: narrowing rounded the rotary frequencies too.
    return case.model.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")


def write_adapters(base, config, folder):
    base = f"tests/golden/{base}"
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), config)
    fill(model)
    model.save_pretrained(folder)
    base = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager")
    return PeftModel.from_pretrained(base, folder)


def write(write_model, folder, seed):
    """False where two tokens are so close that rounding could decide between them."""
    for old in folder.glob("*"):
        old.unlink()
    torch.manual_seed(seed)
    model = write_model(folder).eval()
    with torch.no_grad():
        logits = [model(torch.tensor([sequence])).logits[0].tolist() for sequence in SEQUENCES]
        continuations, margins = zip(*(greedy(model, sequence) for sequence in SEQUENCES))
    if min(margins) < 1e-2:
        return False
    for unused in ["generation_config.json", "README.md"]:
        (folder / unused).unlink(missing_ok=True)
    golden = {
        "sequences": SEQUENCES,
        "logits": [[[round(x, 5) for x in row] for row in rows] for rows in logits],
        "continuations": continuations,
    }
    (folder / "logits.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    return True


def main():
    root = pathlib.Path(__file__).parent
    for name in sys.argv[1:] or CASES | ADAPTERS:
        if name in CASES:
            folder, write_model = root / "golden" / name, lambda to: write_checkpoint(CASES[name], to)
        else:
            folder, write_model = root / "golden-adapters" / name, lambda to: write_adapters(*ADAPTERS[name], to)
        next(seed for seed in range(100) if write(write_model, folder, seed))


if __name__ == "__main__":
    main()
