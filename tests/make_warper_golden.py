"""Writes tests/warpers.json: log-probabilities as transformers draws from them, under its warpers of logits.

    python tests/make_warper_golden.py        # needs torch and transformers
"""

import json
import pathlib

import torch
from transformers.generation import logits_process as warpers

VOCABULARY = 60
ROWS = 5
CASES = [
    {"temperature": 1.0},
    {"temperature": 0.7, "top_k": 8},
    {"temperature": 1.3, "top_p": 0.9},
    {"temperature": 1.0, "top_p": 0.35},
    {"temperature": 1.0, "min_p": 0.1},
    {"temperature": 0.8, "top_k": 20, "top_p": 0.8, "min_p": 0.15},
    {"temperature": 1.5, "top_k": 1},
    {"temperature": 0.9, "repetition_penalty": 1.4, "top_p": 0.95},
    {"temperature": 1.0, "no_repeat_ngram_size": 1, "top_p": 0.95},
    {"temperature": 0.8, "no_repeat_ngram_size": 2},
]


def warped(case, said, logits):
    chain = []
    if "repetition_penalty" in case:
        chain.append(warpers.RepetitionPenaltyLogitsProcessor(case["repetition_penalty"]))
    if "no_repeat_ngram_size" in case:
        chain.append(warpers.NoRepeatNGramLogitsProcessor(case["no_repeat_ngram_size"]))
    chain.append(warpers.TemperatureLogitsWarper(case["temperature"]))
    if "top_k" in case:
        chain.append(warpers.TopKLogitsWarper(case["top_k"]))
    if "top_p" in case:
        chain.append(warpers.TopPLogitsWarper(case["top_p"]))
    if "min_p" in case:
        chain.append(warpers.MinPLogitsWarper(case["min_p"]))
    scores = logits.clone()
    for one in chain:
        scores = one(said, scores)
    return torch.log_softmax(scores, -1)


def main():
    torch.manual_seed(3)
    logits = (torch.randn(ROWS, VOCABULARY) * 2.5).float()
    said = torch.randint(0, VOCABULARY, (ROWS, 12))
    cases = []
    for case in CASES:
        rows = warped(case, said, logits)
        rows = [[None if value == float("-inf") else round(value, 7) for value in row] for row in rows.tolist()]
        cases.append({"sampling": case, "log_probs": rows})
    golden = {"logits": logits.tolist(), "said": said.tolist(), "cases": cases}
    pathlib.Path(__file__).with_name("warpers.json").write_text(json.dumps(golden) + "\n")


main()
