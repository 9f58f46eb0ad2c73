"""transformers and TRL on a card, with what recollect.rs does: `peers.py decode|learn|grpo …`, one or more of them. A
figure is one JSON object on a line. Random weights in the shape of Qwen3-0.6B; weights that are trained are f32,
products bf16."""

import json
import os
import statistics
import sys
import tempfile
import time

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

BATCHES = (1, 16, 64, 256)
PROMPT, NEW = 128, 128
SEQUENCES, LENGTH = 32, 512
QUESTIONS, GROUP, COMPLETION = 16, 16, 256
SHAPE = dict(
    vocab_size=151_936, hidden_size=1024, intermediate_size=3072, num_hidden_layers=28, num_attention_heads=16,
    num_key_value_heads=8, head_dim=128, rms_norm_eps=1e-6, max_position_embeddings=4096, tie_word_embeddings=True,
    # No token ends a completion.
    bos_token_id=None, eos_token_id=None,
)


def say(**figure):
    print(json.dumps(figure), flush=True)


def rows(count, length):
    return [[(row * 7919 + at * 104729) % SHAPE["vocab_size"] for at in range(length)] for row in range(count)]


def model(lora=False):
    torch.manual_seed(0)
    with torch.device("cuda"):
        network = Qwen3ForCausalLM(Qwen3Config(**SHAPE, rope_theta=1e6))
    if lora:
        network = network.to(torch.bfloat16)
    return network


def adapters():
    from peft import LoraConfig

    layers = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    return LoraConfig(r=16, lora_alpha=32, target_modules=layers)


def median(times, work):
    seconds = []
    for _ in range(times):
        torch.cuda.synchronize()
        began = time.perf_counter()
        work()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def peak():
    return torch.cuda.max_memory_allocated() / 2**30


def decode(batch):
    network = model().to(torch.bfloat16).eval()
    prompts = torch.tensor(rows(batch, PROMPT), device="cuda")
    mask = torch.ones_like(prompts)

    @torch.inference_mode()
    def sample():
        network.generate(
            prompts, attention_mask=mask, do_sample=True, top_k=0, min_new_tokens=NEW, max_new_tokens=NEW,
            pad_token_id=0,
        )

    sample()
    say(figure="decode", batch=batch, tokens_per_second=batch * NEW / median(3, sample))


def learn(lora):
    network = model(lora)
    if lora:
        from peft import get_peft_model

        network = get_peft_model(network, adapters())
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, 1e-5, fused=True)
    tokens = torch.tensor(rows(SEQUENCES, LENGTH), device="cuda")

    def step(parts, checkpoint):
        if checkpoint:
            network.gradient_checkpointing_enable({"use_reentrant": False})
            network.train()
        optimizer.zero_grad(set_to_none=True)
        for part in tokens.chunk(parts):
            with torch.autocast("cuda", torch.bfloat16):
                loss = network(input_ids=part, labels=part, use_cache=False).loss
            (loss / parts).backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()

    for checkpoint in (False, True):
        # As few parts as fit: logits of 16k tokens alone are 10 GB.
        for parts in (1, 2, 4, 8, 16):
            try:
                step(parts, checkpoint)
                break
            except torch.OutOfMemoryError:
                torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        seconds = median(5, lambda: step(parts, checkpoint))
        say(
            figure="learn", adapters=lora, recomputed=checkpoint, parts=parts,
            tokens_per_second=SEQUENCES * LENGTH / seconds, peak_gib=peak(),
        )


def grpo(lora):
    from datasets import Dataset
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    words = {f"w{index}": index for index in range(SHAPE["vocab_size"])}
    spelling = Tokenizer(models.WordLevel(words, unk_token="w0"))
    spelling.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=spelling, eos_token="w1", pad_token="w0")
    prompts = [" ".join(f"w{token}" for token in prompt) for prompt in rows(QUESTIONS, PROMPT)]
    seconds = []

    def even(completion_ids, **_):
        return [sum(token % 2 == 0 for token in tokens) / len(tokens) for tokens in completion_ids]

    class Clock(TrainerCallback):
        def on_step_begin(self, args, state, control, **_):
            torch.cuda.synchronize()
            if state.global_step == 1:
                torch.cuda.reset_peak_memory_stats()
            self.began = time.perf_counter()

        def on_step_end(self, args, state, control, **_):
            torch.cuda.synchronize()
            seconds.append(time.perf_counter() - self.began)

    with tempfile.TemporaryDirectory() as scratch:
        config = GRPOConfig(
            output_dir=scratch, bf16=True, gradient_checkpointing=False, report_to="none", disable_tqdm=True,
            save_strategy="no", logging_strategy="no", learning_rate=1e-6, num_generations=GROUP,
            per_device_train_batch_size=32, gradient_accumulation_steps=QUESTIONS * GROUP // 32,
            max_completion_length=COMPLETION, beta=0.0, max_steps=4,
            generation_kwargs={"min_new_tokens": COMPLETION},
        )
        GRPOTrainer(
            model(lora), even, config, Dataset.from_dict({"prompt": prompts}), processing_class=tokenizer,
            callbacks=[Clock()], peft_config=adapters() if lora else None,
        ).train()
    middle = statistics.median(seconds[1:])
    tokens = QUESTIONS * GROUP * COMPLETION
    say(figure="grpo", adapters=lora, seconds=middle, tokens_per_second=tokens / middle, peak_gib=peak())


if __name__ == "__main__":
    for what in sys.argv[1:]:
        if what == "decode":
            for batch in BATCHES:
                decode(batch)
        else:
            for lora in (False, True):
                {"learn": learn, "grpo": grpo}[what](lora)
                torch.cuda.empty_cache()
