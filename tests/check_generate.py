"""Loads what recollect has saved, as anybody would: AutoTokenizer gives the same ids and texts, and generate() goes on as
recollect does and stops where it stops.

    python tests/check_generate.py [--light] FOLDER ...

Each folder holds a checkpoint or adapters, and a generated.json with texts and their ids, prompts and how recollect went
on, and the end tokens. Needs torch, transformers and peft; with --light transformers alone, for tokenizers and end tokens.
"""

import json
import pathlib
import sys

from transformers import AutoTokenizer, GenerationConfig


def differences(folder, light):
    """What is not as recollect has it, and how many completions ended by themselves."""
    golden = json.loads((folder / "generated.json").read_text())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    wrong = []

    def compare(what, found, wanted):
        if found != wanted:
            wrong.append(f"{what}: {found!r}, not {wanted!r}")

    for text, ids in golden["texts"]:
        compare(text, tokenizer(text, add_special_tokens=False)["input_ids"], ids)
    ends = GenerationConfig.from_pretrained(folder).eos_token_id
    compare("end tokens", sorted([ends] if isinstance(ends, int) else ends), sorted(golden["ends"]))
    compare("the tokenizer's own", tokenizer.eos_token_id in golden["ends"], True)
    for completion in golden["completions"]:
        written = [token for token in completion["tokens"] if token not in golden["ends"]]
        compare("text", tokenizer.decode(written), completion["written"])
    if not light:
        model = load(folder)
        for completion in golden["completions"]:
            compare(completion["text"], generated(model, completion), completion["tokens"])
    return wrong, sum(completion["tokens"][-1] in golden["ends"] for completion in golden["completions"])


def load(folder):
    import torch
    from peft import PeftConfig, PeftModel
    from transformers import AutoModelForCausalLM

    options = dict(dtype=torch.float32, attn_implementation="eager")
    if (folder / "adapter_config.json").exists():
        base = AutoModelForCausalLM.from_pretrained(PeftConfig.from_pretrained(folder).base_model_name_or_path, **options)
        base.generation_config = GenerationConfig.from_pretrained(folder)
        return PeftModel.from_pretrained(base, folder).eval()
    return AutoModelForCausalLM.from_pretrained(folder, **options).eval()


def generated(model, completion):
    import torch

    prompt = torch.tensor([completion["prompt"]])
    told = dict(do_sample=False, max_new_tokens=completion["limit"], attention_mask=torch.ones_like(prompt))
    return model.generate(input_ids=prompt, **told)[0, prompt.shape[1] :].tolist()


def main():
    folders = [argument for argument in sys.argv[1:] if argument != "--light"]
    failed = 0
    for folder in map(pathlib.Path, folders):
        wrong, ended = differences(folder, "--light" in sys.argv)
        print(f"{folder}: {f'{len(wrong)} differ, first {wrong[0]}' if wrong else 'the same'}, {ended} ended by themselves")
        failed += bool(wrong)
    print(f"{len(folders) - failed} of {len(folders)} folders are the same")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
