"""Loads what recollect has saved, checkpoints with transformers and adapters with PEFT, and compares logits.

    python tests/check_saved.py FOLDER ...

Each folder holds a checkpoint and a logits.json with the sequences and the logits that it has to give. Needs torch,
transformers and peft.
"""

import json
import pathlib
import sys
import warnings

import torch
from peft import PeftConfig, PeftModel
from transformers import AutoModelForCausalLM

TOLERANCE = 1e-4


def farthest(model, golden):
    """The largest difference of two logits."""
    pairs = zip(golden["sequences"], golden["logits"])
    with torch.no_grad():
        return max((model(torch.tensor([tokens])).logits[0] - torch.tensor(rows)).abs().max().item() for tokens, rows in pairs)


def load(folder):
    """A model, and what was strange about its weights."""
    options = dict(dtype=torch.float32, attn_implementation="eager")
    if (folder / "adapter_config.json").exists():
        base = AutoModelForCausalLM.from_pretrained(PeftConfig.from_pretrained(folder).base_model_name_or_path, **options)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            return PeftModel.from_pretrained(base, folder), [str(w.message) for w in caught if "adapter keys" in str(w.message)]
    model, info = AutoModelForCausalLM.from_pretrained(folder, **options, output_loading_info=True)
    return model, {kind: names for kind, names in info.items() if names}


def main():
    failed = False
    for folder in map(pathlib.Path, sys.argv[1:]):
        model, strange = load(folder)
        apart = farthest(model.eval(), json.loads((folder / "logits.json").read_text()))
        print(f"{folder.name}: {type(model).__name__}, logits within {apart:.1e}", strange or "")
        failed |= apart > TOLERANCE or bool(strange)
    sys.exit(failed)


if __name__ == "__main__":
    main()
