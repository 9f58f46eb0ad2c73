"""Loads checkpoints that recollect has saved with transformers, and compares their logits.

    python tests/check_saved.py FOLDER ...

Each folder holds a checkpoint and a logits.json with the sequences and the logits that it has to give. Needs torch and
transformers.
"""

import json
import pathlib
import sys

import torch
from transformers import AutoModelForCausalLM

TOLERANCE = 1e-4


def farthest(model, golden):
    """The largest difference of two logits."""
    pairs = zip(golden["sequences"], golden["logits"])
    with torch.no_grad():
        return max((model(torch.tensor([tokens])).logits[0] - torch.tensor(rows)).abs().max().item() for tokens, rows in pairs)


def main():
    failed = False
    for folder in map(pathlib.Path, sys.argv[1:]):
        model, info = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
        )
        strange = {kind: names for kind, names in info.items() if names}
        apart = farthest(model.eval(), json.loads((folder / "logits.json").read_text()))
        print(f"{folder.name}: {type(model).__name__}, logits within {apart:.1e}", strange or "")
        failed |= apart > TOLERANCE or bool(strange)
    sys.exit(failed)


if __name__ == "__main__":
    main()
