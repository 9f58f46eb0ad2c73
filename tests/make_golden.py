"""Writes the tiny checkpoints under tests/golden/, each with the logits that transformers computes for it.

Run again only to add a case: python tests/make_golden.py (needs torch and transformers).
"""

import json
import pathlib

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

SIZES = dict(
    vocab_size=13,
    hidden_size=16,
    intermediate_size=10,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
    rms_norm_eps=1e-6,
)
CASES = {
    "llama-untied": (LlamaForCausalLM, LlamaConfig(**SIZES, rope_theta=500000.0, tie_word_embeddings=False), torch.float32),
    "llama-tied": (LlamaForCausalLM, LlamaConfig(**SIZES | dict(num_key_value_heads=4), tie_word_embeddings=True), torch.float32),
    "qwen2-tied": (Qwen2ForCausalLM, Qwen2Config(**SIZES, rope_theta=1000.0, tie_word_embeddings=True), torch.float32),
    "qwen2-untied-bf16": (Qwen2ForCausalLM, Qwen2Config(**SIZES, tie_word_embeddings=False), torch.bfloat16),
    "qwen3-tied": (Qwen3ForCausalLM, Qwen3Config(**SIZES, head_dim=6, rope_theta=1e6, tie_word_embeddings=True), torch.float32),
    "qwen3-untied-f16": (Qwen3ForCausalLM, Qwen3Config(**SIZES, head_dim=4, tie_word_embeddings=False), torch.float16),
}
# One sequence of a single token, and two of odd length.
SEQUENCES = [[3], [1, 5, 8, 0, 5, 5, 2], [7, 6, 4, 9, 9, 12, 11, 10, 2, 3, 1, 0, 8]]


def main():
    root = pathlib.Path(__file__).parent / "golden"
    for seed, (name, (model_class, config, dtype)) in enumerate(CASES.items()):
        torch.manual_seed(seed)
        model = model_class(config).eval()
        with torch.no_grad():
            # Away from 0 and 1, so that no norm or bias can be forgotten unnoticed.
            for key, weight in model.named_parameters():
                weight.copy_(torch.randn_like(weight) * 0.4 + (1.0 if "norm" in key else 0.0))
            model.to(dtype).save_pretrained(root / name)
            # Read again rather than widened: narrowing rounded the rotary frequencies too.
            model = model_class.from_pretrained(root / name, dtype=torch.float32).eval()
            logits = [model(torch.tensor([sequence])).logits[0].tolist() for sequence in SEQUENCES]
        (root / name / "generation_config.json").unlink(missing_ok=True)
        golden = {"sequences": SEQUENCES, "logits": [[[round(x, 6) for x in row] for row in rows] for rows in logits]}
        (root / name / "logits.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
