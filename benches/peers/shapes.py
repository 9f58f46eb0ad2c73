"""The models of the comparison and what every side does with them. `recollect.rs` has the same numbers."""

import os
import resource
import sys
import time

THREADS = 2

MODELS = {
    # As in configs/quickstart.toml.
    "quickstart": dict(
        vocab_size=1060, hidden_size=128, intermediate_size=256, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=4, max_position_embeddings=512, tie_word_embeddings=True,
    ),
    # 4.26 million parameters.
    "4m": dict(
        vocab_size=2048, hidden_size=256, intermediate_size=704, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=4, max_position_embeddings=512, tie_word_embeddings=False,
    ),
    # SmolLM2-135M.
    "135m": dict(
        vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
        num_key_value_heads=3, max_position_embeddings=2048, tie_word_embeddings=True,
    ),
    # 0.85 million parameters.
    "grpo": dict(
        vocab_size=512, hidden_size=128, intermediate_size=336, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=4, max_position_embeddings=512, tie_word_embeddings=True,
    ),
}

TRAIN_BATCH, TRAIN_LENGTH = 32, 128
DECODE_BATCH, DECODE_PROMPT, DECODE_NEW = 64, 16, 128
# The large model has fewer sequences, and fewer new tokens, after as many prompts as the figure says.
LARGE_BATCH, LARGE_NEW, LARGE_DECODED = 8, 64, (16, 64)
GRPO_PROMPTS, GRPO_GROUP, GRPO_PROMPT, GRPO_NEW = 8, 8, 24, 46
LARGE_GRPO_NEW = 96
LEARNING_RATE = 1e-4


def rows(vocab_size, count, length):
    """Rows of token ids, the same on every side."""
    return [[(row * 7919 + at * 104729) % vocab_size for at in range(length)] for row in range(count)]


def say(line):
    print(line, file=sys.__stdout__, flush=True)


def next_request():
    """Waits for the driver to ask for one measurement; False at the end of the input."""
    return bool(sys.stdin.readline())


def say_peak():
    say(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def answer(measure):
    """One measurement for every line of the input, then the peak memory in MiB."""
    say("ready")
    while next_request():
        started = time.perf_counter()
        measure()
        say(time.perf_counter() - started)
    say_peak()


def quiet():
    """Libraries that chat must not disturb the answers."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    sys.stdout = sys.stderr
