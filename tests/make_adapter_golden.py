"""Writes tests/adapters.json: what PEFT makes of every key of an adapter_config.json.

Each case is the plain adapter below with some keys changed; beside it stand the layers that PEFT then adapts with their
ranks, and its logits after a short sequence, or that it refuses the file. The matrices are drawn from their names, so that
the file needs none; the checkpoints that adapters belong to are those under tests/golden/.

Run again only to add a case or for another PEFT, from the root of the repository:
    python tests/make_adapter_golden.py   (needs torch, transformers, peft and scipy for LoftQ)
"""

import dataclasses
import json
import pathlib
import tempfile
import warnings

import peft
import torch
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

BASE = "tests/golden/qwen2-tied"
TOKENS = [1, 5, 8, 0, 33]
LAYER = "model.layers.{}.{}".format
PATTERNS = {"alpha_pattern": {"layers\\.1\\..*": 1, "q_proj": 9}, "rank_pattern": {"^model.layers.0.*q_proj": 1, "v_proj": 3}}
CASES = [
    {},
    {"alora_invocation_tokens": [5]},
    {"alpha_pattern": {"q_proj": 3}},
    {"alpha_pattern": {"layers\\.1\\..*": 1, ".*q_proj": 9}},
    {"alpha_pattern": {".*q_proj": 9, "layers\\.1\\..*": 1}},
    {"alpha_pattern": {"proj": 9, "model.layers.0.self_attn.v_proj": 0}},
    {"arrow_config": {"top_k": 1}},
    {"auto_mapping": {"base_model_class": "Qwen2ForCausalLM", "parent_library": "transformers"}},
    {"base_model_name_or_path": "tests/golden/qwen2-untied-bf16"},
    {"bias": "all"},
    {"bias": "lora_only"},
    {"corda_config": {"corda_method": "kpm"}},
    {"ensure_weight_tying": True},
    {"eva_config": {"rho": 1.5}},
    {"exclude_modules": ["v_proj"]},
    {"exclude_modules": ["layers.0.self_attn.q_proj"]},
    {"exclude_modules": r".*layers\.0\..*"},
    {"exclude_modules": []},
    {"fan_in_fan_out": True},
    {"inference_mode": False},
    *({"init_lora_weights": way} for way in [False, "gaussian", "orthogonal", "eva", "lora_ga", "mica"]),
    *({"init_lora_weights": way} for way in ["pissa", "pissa_niter_2", "olora", "corda", "no_such_way"]),
    {"init_lora_weights": "loftq", "loftq_config": {"loftq_bits": 4, "loftq_iter": 1}},
    {"kasa_config": {"beta": 0.001}},
    {"layer_replication": [[0, 2], [1, 2]]},
    {"layers_pattern": "layers", "layers_to_transform": [1]},
    {"layers_pattern": ["blocks"], "layers_to_transform": [1]},
    {"layers_pattern": ["blocks", "l.*s"], "layers_to_transform": 0},
    {"layers_pattern": "layers"},
    {"layers_to_transform": [1]},
    {"layers_to_transform": 0},
    {"layers_to_transform": []},
    {"layers_to_transform": [7]},
    {"layers_to_transform": [1], "target_modules": ["q_proj", LAYER(0, "self_attn.v_proj")]},
    {"layers_to_transform": [1], "target_modules": ".*q_proj"},
    {"loftq_config": {"loftq_bits": 4}},
    {"lora_alpha": 3},
    {"lora_alpha": -1.5},
    {"lora_bias": True},
    {"lora_dropout": 0.5},
    {"lora_ga_config": {"direction": "ArBr"}},
    {"megatron_config": {"tensor_model_parallel_size": 1}},
    {"megatron_core": "another.core"},
    {"modules_to_save": []},
    {"modules_to_save": ["lm_head"]},
    {"monteclora_config": {"num_samples": 2}},
    {"peft_type": "ADALORA"},
    {"peft_version": "0.5.0"},
    {"qalora_group_size": 4},
    {"r": 3},
    {"rank_pattern": {"v_proj": 1}},
    {"rank_pattern": {"v_proj": 1}, "use_rslora": True},
    {"revision": "main"},
    {"runtime_config": {"ephemeral_gpu_offload": True}},
    {"target_modules": "all-linear"},
    {"target_modules": [LAYER(block, f"self_attn.{name}_proj") for block in range(2) for name in "qkvo"]},
    {"target_modules": [LAYER(0, "mlp.up_proj"), "k_proj", "c_attn"]},
    {"target_modules": ["mlp.down_proj", "proj"]},
    {"target_modules": r".*\.layers\.\d+\.(self_attn\.(q|k)_proj|mlp\.up_proj)"},
    {"target_modules": r"(?!.*layers\.0).*\b(?:gate|down)_proj"},
    {"target_modules": r"model\.layers\.1\.mlp"},
    {"target_modules": "q_proj"},
    {"target_modules": ["lm_head", "q_proj"]},
    {"target_modules": ["embed_tokens", "q_proj"]},
    {"target_modules": ["norm"]},
    {"target_parameters": ["mlp.up_proj.weight"]},
    {"task_type": None},
    {"task_type": "FEATURE_EXTRACTION"},
    {"trainable_token_indices": [1, 2]},
    {"use_bdlora": {"target_modules_bd_a": ["q_proj"], "nblocks": 2}},
    {"use_dora": True},
    {"use_qalora": True},
    {"use_rslora": True},
    {"use_rslora": True, "target_modules": "all-linear", **PATTERNS},
    {"velora_config": {"num_groups": 2}},
]


def drawn(name, shape):
    """Numbers between -0.4 and 0.4 that follow from a name: the same in Rust."""
    hashed = 0
    for byte in name.encode():
        hashed = (hashed * 31 + byte) % 2**32
    count = shape[0] * shape[1]
    numbers = [((hashed + i * 2654435761) % 2**32 / 2**32 - 0.5) * 0.8 for i in range(count)]
    return torch.tensor(numbers, dtype=torch.float32).reshape(shape)


def config(changes):
    plain = LoraConfig(r=2, lora_alpha=6, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM", inference_mode=True)
    fields = plain.to_dict() | {"base_model_name_or_path": BASE} | changes
    return json.dumps(fields, default=lambda value: sorted(value) if isinstance(value, set) else str(value.value))


def answer(folder, changes):
    """What PEFT makes of a case: its adapters, and its logits after TOKENS."""
    (folder / "adapter_config.json").write_text(config(changes))
    read = PeftConfig.from_pretrained(folder)
    base = lambda: AutoModelForCausalLM.from_pretrained(read.base_model_name_or_path, dtype=torch.float32)
    fresh = get_peft_model(base(), read)
    layers, tensors = {}, {}
    for name, weight in fresh.named_parameters():
        before, _, part = name.partition(".lora_")
        if part.endswith("default.weight") and weight.dim() == 2:
            part = f"lora_{part[0]}.weight"
            layer = before.removeprefix("base_model.model.")
            layers.setdefault(layer, weight.shape[0] if part[5] == "A" else weight.shape[1])
            tensors[f"{before}.{part}"] = drawn(f"{layer}.{part}", weight.shape)
    save_file(tensors, folder / "adapter_model.safetensors")
    with torch.no_grad():
        logits = PeftModel.from_pretrained(base(), folder).eval()(torch.tensor([TOKENS])).logits[0, -1]
    return {"layers": layers, "logits": [round(x, 4) for x in logits.tolist()]}


def main():
    warnings.simplefilter("ignore")
    cases = []
    for changes in CASES:
        with tempfile.TemporaryDirectory() as folder:
            try:
                found = answer(pathlib.Path(folder), changes)
            except Exception as error:  # Whatever it is, PEFT does not load the file.
                found = {"refused": type(error).__name__}
                print(changes, "is refused:", " ".join(str(error).split())[:120])
        cases.append({"changes": changes} | found)
    golden = {
        "peft": peft.__version__,
        "keys": sorted(field.name for field in dataclasses.fields(LoraConfig)),
        "tokens": TOKENS,
        "plain": json.loads(config({})),
    }
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    head = json.dumps(golden, separators=(",", ":"))[:-1]
    (pathlib.Path(__file__).parent / "adapters.json").write_text(f'{head},"cases":[\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
