"""transformers and TRL: `hugging_face.py decode MODEL [BATCH]`, `train MODEL eager|compiled` or `grpo MODEL f32|bf16`."""

import sys
import tempfile
import time

from shapes import (DECODE_BATCH, DECODE_NEW, DECODE_PROMPT, GRPO_GROUP, GRPO_NEW, GRPO_PROMPT, GRPO_PROMPTS,
                    LARGE_BATCH, LARGE_GRPO_NEW, LARGE_NEW, LEARNING_RATE, MODELS, THREADS, TRAIN_LENGTH, answer,
                    next_request, quiet, rows, say, say_peak)

quiet()

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM


def made(name):
    config, model = (Qwen2Config, Qwen2ForCausalLM) if name == "quickstart" else (LlamaConfig, LlamaForCausalLM)
    return model(config(**MODELS[name]))


def training(name, mode):
    """Forward, backward and AdamW on 8 sequences of 128 tokens."""
    model = made(name).train()
    tokens = torch.tensor(rows(MODELS[name]["vocab_size"], LARGE_BATCH, TRAIN_LENGTH))
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, fused=True)
    forward = torch.compile(model) if mode == "compiled" else model

    def step():
        optimizer.zero_grad(set_to_none=True)
        forward(input_ids=tokens, labels=tokens, use_cache=False).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    step()
    answer(step)


def decoding(name, batch=None):
    """`generate` on 64 prompts of 16 tokens, 128 new ones each; 64 after as many as told with the large model."""
    model = made(name).eval()
    count, new = (int(batch), LARGE_NEW) if batch else (DECODE_BATCH, DECODE_NEW)
    prompts = torch.tensor(rows(MODELS[name]["vocab_size"], count, DECODE_PROMPT))
    mask = torch.ones_like(prompts)

    @torch.inference_mode()
    def sample():
        model.generate(
            prompts, attention_mask=mask, do_sample=True, top_k=0, min_new_tokens=new,
            max_new_tokens=new, pad_token_id=0,
        )

    sample()
    answer(sample)


def reinforcement(name, precision):
    """GRPOTrainer: 8 prompts of 24 tokens, groups of 8, completions of 46 (96 of the large model, in parts of 8 completions,
    as its logits would not fit otherwise); the reward is the share of even tokens."""
    from datasets import Dataset
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    shape, large = MODELS[name], name == "135m"
    new, part = (LARGE_GRPO_NEW, GRPO_GROUP) if large else (GRPO_NEW, GRPO_PROMPTS * GRPO_GROUP)
    model = made(name) if large else Qwen3ForCausalLM(Qwen3Config(**shape, head_dim=32))
    words = {f"w{index}": index for index in range(shape["vocab_size"])}
    spelling = Tokenizer(models.WordLevel(words, unk_token="w0"))
    spelling.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=spelling, eos_token="w1", pad_token="w0")
    prompts = rows(shape["vocab_size"], GRPO_PROMPTS, GRPO_PROMPT)
    prompts = [" ".join(f"w{token}" for token in prompt) for prompt in prompts]

    def even(completion_ids, **_):
        return [sum(token % 2 == 0 for token in tokens) / len(tokens) for tokens in completion_ids]

    class OneStepAtATime(TrainerCallback):
        """The clock runs from the start of a step, before sampling, to the end of its optimizer step."""

        def on_train_begin(self, args, state, control, **_):
            say("ready")

        def on_step_begin(self, args, state, control, **_):
            if not next_request():
                say_peak()
                sys.exit()
            self.started = time.perf_counter()

        def on_step_end(self, args, state, control, **_):
            say(time.perf_counter() - self.started)

    with tempfile.TemporaryDirectory() as scratch:
        config = GRPOConfig(
            output_dir=scratch, use_cpu=True, bf16=precision == "bf16", gradient_checkpointing=False, report_to="none",
            disable_tqdm=True, save_strategy="no", logging_strategy="no", learning_rate=LEARNING_RATE,
            per_device_train_batch_size=part, gradient_accumulation_steps=GRPO_PROMPTS * GRPO_GROUP // part,
            num_generations=GRPO_GROUP, max_completion_length=new, beta=0.0, max_steps=1_000_000,
            # No completion ends early, so that all sides do the same work.
            generation_kwargs={"min_new_tokens": new},
        )
        GRPOTrainer(
            model, even, config, Dataset.from_dict({"prompt": prompts}), processing_class=tokenizer,
            callbacks=[OneStepAtATime()],
        ).train()


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(THREADS)
    figure, *told = sys.argv[1:]
    {"train": training, "decode": decoding, "grpo": reinforcement}[figure](*told)
