"""Writes tests/losses.json: what TRL's GRPOTrainer makes of a small batch, for each loss type and option.

Run again only to add a case: python tests/make_loss_golden.py (needs torch, transformers, datasets and trl 1.16).

The trainer is a real one, made from a GRPOConfig, so that its own checks and defaults count. Only its forward pass is
replaced: it hands out prepared log-probabilities and entropies, and the gradients are taken with respect to these.
"""

import json
import pathlib
import tempfile

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM
from trl import GRPOConfig, GRPOTrainer

LONGEST = 8
LENGTHS = [1, 5, 8, 3, 6, 2]
# In the last case one completion counts nowhere, as one that was cut off does.
MASKED = 2
CASES = {
    "grpo": dict(loss_type="grpo"),
    "grpo-kl": dict(loss_type="grpo", beta=0.3),
    "grpo-kl-unbiased": dict(loss_type="grpo", beta=0.3, unbiased_kl=True),
    "dapo": dict(loss_type="dapo"),
    "dapo-kl": dict(loss_type="dapo", beta=0.3),
    "dapo-clip-higher": dict(loss_type="dapo", epsilon=0.2, epsilon_high=0.28),
    "dapo-dual": dict(loss_type="dapo", delta=1.4),
    "dapo-entropy": dict(loss_type="dapo", entropy_coef=0.05),
    "dapo-importance": dict(loss_type="dapo", beta=0.3, importance=1.1),
    "dapo-masked": dict(loss_type="dapo", beta=0.3, masked=True),
    "grpo-masked": dict(loss_type="grpo", masked=True),
    "dr_grpo": dict(loss_type="dr_grpo"),
    "dr_grpo-kl": dict(loss_type="dr_grpo", beta=0.3),
    "bnpo": dict(loss_type="bnpo"),
    "bnpo-kl": dict(loss_type="bnpo", beta=0.3),
    "cispo": dict(loss_type="cispo", epsilon_high=1.15),
    "cispo-kl": dict(loss_type="cispo", epsilon_high=1.15, beta=0.3),
    "gspo": dict(loss_type="grpo", importance_sampling_level="sequence", epsilon=0.05, epsilon_high=0.08),
    "gspo-kl": dict(loss_type="grpo", importance_sampling_level="sequence", epsilon=0.05, epsilon_high=0.08, beta=0.3),
    "gspo-kl-unbiased": dict(
        loss_type="grpo", importance_sampling_level="sequence", epsilon=0.05, epsilon_high=0.08, beta=0.3, unbiased_kl=True,
    ),
    "luspo": dict(loss_type="luspo", importance_sampling_level="sequence", epsilon=0.05, epsilon_high=0.08),
}


def batch(masked):
    generator = torch.Generator().manual_seed(7)
    shape = (len(LENGTHS), LONGEST)
    draw = lambda: torch.randn(shape, generator=generator, dtype=torch.float64)
    before = -1.5 - draw().abs()
    mask = torch.tensor([[float(at < length) for at in range(LONGEST)] for length in LENGTHS])
    if masked:
        mask[MASKED] = 0.0
    return dict(
        # Far enough apart that ratios leave every range on both sides.
        now=before + 0.3 * draw(), before=before, sampled=before + 0.1 * draw(), reference=before + 0.4 * draw(),
        entropy=draw().abs(), mask=mask, advantages=torch.tensor([0.7, -1.2, 1.5, -0.4, -0.9, 0.3], dtype=torch.float64),
    )


def loss_of(scratch, data, importance=0.0, masked=False, unbiased_kl=False, **options):
    spelling = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a"))
    trainer = GRPOTrainer(
        f"{scratch}/model",
        lambda completions, **_: [0.0] * len(completions),
        GRPOConfig(
            output_dir=scratch, use_cpu=True, bf16=False, report_to="none", per_device_train_batch_size=len(LENGTHS),
            num_generations=2, max_completion_length=LONGEST,
            use_bias_correction_kl=unbiased_kl, **options,
        ),
        Dataset.from_dict({"prompt": ["a"] * len(LENGTHS)}),
        processing_class=PreTrainedTokenizerFast(tokenizer_object=spelling, eos_token="b", pad_token="a"),
    )
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.train()
    now, entropy = (data[name].clone().requires_grad_() for name in ("now", "entropy"))
    trainer._get_per_token_logps_and_entropies = lambda *_, **__: (now, entropy, None)
    ids = torch.zeros(len(LENGTHS), LONGEST, dtype=torch.long)
    inputs = dict(
        prompt_ids=ids[:, :1], prompt_mask=torch.ones_like(ids[:, :1]), completion_ids=ids, completion_mask=data["mask"],
        advantages=data["advantages"], old_per_token_logps=data["before"], ref_per_token_logps=data["reference"],
        num_items_in_batch=data["mask"].sum(),
    )
    if importance:
        # What the trainer does where vLLM samples.
        trainer.use_vllm = True
        trainer.vllm_importance_sampling_correction = True
        inputs["importance_sampling_ratio"] = torch.exp(data["before"] - data["sampled"]).clamp(max=importance)
    loss = trainer._compute_loss(trainer.model, inputs)
    loss.backward()
    zeros = torch.zeros_like(now)
    return loss.item(), now.grad, zeros if entropy.grad is None else entropy.grad


def rows(tensor):
    return [[round(value, 9) for value in row[:length]] for row, length in zip(tensor.tolist(), LENGTHS)]


def main():
    golden = {"longest": LONGEST, "lengths": LENGTHS, "masked": MASKED}
    data = batch(masked=False)
    golden |= {name: rows(data[name]) for name in ("now", "before", "sampled", "reference", "entropy")}
    golden["advantages"] = data["advantages"].tolist()
    golden["cases"] = {}
    sizes = dict(vocab_size=2, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
    with tempfile.TemporaryDirectory() as scratch:
        # It is never asked anything, but the reference that some cases need is loaded from its directory.
        Qwen2ForCausalLM(Qwen2Config(**sizes, num_key_value_heads=1)).save_pretrained(f"{scratch}/model")
        for name, options in CASES.items():
            loss, gradient, of_entropy = loss_of(scratch, batch(options.get("masked", False)), **options)
            golden["cases"][name] = {"options": options, "loss": round(loss, 9), "gradient": rows(gradient)}
            if of_entropy.any():
                golden["cases"][name]["entropy_gradient"] = rows(of_entropy)
    text = json.dumps(golden).replace('], "', '],\n"').replace('}, "', '},\n"')
    (pathlib.Path(__file__).parent / "losses.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
