"""transformers and TRL: `hugging_face.py decode MODEL` or `hugging_face.py grpo f32|bf16`."""

import sys
import tempfile
import time

from shapes import (DECODE_BATCH, DECODE_NEW, DECODE_PROMPT, GRPO_GROUP, GRPO_NEW, GRPO_PROMPT, GRPO_PROMPTS,
                    LEARNING_RATE, MODELS, THREADS, answer, next_request, quiet, rows, say, say_peak)

quiet()

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM


def decoding(name):
    """`generate` on 64 prompts of 16 tokens, 128 new ones each."""
    config, model = {"quickstart": (Qwen2Config, Qwen2ForCausalLM), "4m": (LlamaConfig, LlamaForCausalLM)}[name]
    shape = MODELS[name]
    model = model(config(**shape)).eval()
    prompts = torch.tensor(rows(shape["vocab_size"], DECODE_BATCH, DECODE_PROMPT))
    mask = torch.ones_like(prompts)

    @torch.inference_mode()
    def sample():
        model.generate(
            prompts, attention_mask=mask, do_sample=True, top_k=0, min_new_tokens=DECODE_NEW,
            max_new_tokens=DECODE_NEW, pad_token_id=0,
        )

    sample()
    answer(sample)


def reinforcement(precision):
    """GRPOTrainer: 8 prompts of 24 tokens, groups of 8, completions of 46; the reward is the share of even tokens."""
    from datasets import Dataset
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    shape = MODELS["grpo"]
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
            per_device_train_batch_size=GRPO_PROMPTS * GRPO_GROUP, num_generations=GRPO_GROUP,
            max_completion_length=GRPO_NEW, beta=0.0, max_steps=1_000_000,
            # No completion ends early, so that all sides do the same work.
            generation_kwargs={"min_new_tokens": GRPO_NEW},
        )
        GRPOTrainer(
            Qwen3ForCausalLM(Qwen3Config(**shape, head_dim=32)), even, config, Dataset.from_dict({"prompt": prompts}),
            processing_class=tokenizer, callbacks=[OneStepAtATime()],
        ).train()


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(THREADS)
    if sys.argv[1] == "grpo":
        reinforcement(sys.argv[2])
    else:
        decoding(sys.argv[2])
