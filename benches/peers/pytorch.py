"""PyTorch by hand: `pytorch.py train|decode MODEL eager|compiled f32|bf16`.

A decoder as one would write it for speed: query, key and value in one product, gate and up in another, fused
attention, RMSNorm and AdamW; decoding writes into a preallocated cache.
"""

import sys

import torch
import torch.nn.functional as F
from torch import nn

from shapes import (DECODE_BATCH, DECODE_NEW, DECODE_PROMPT, LEARNING_RATE, MODELS, THREADS, TRAIN_BATCH, TRAIN_LENGTH,
                    answer, rows)


def rotate(x, cos, sin):
    first, second = x.chunk(2, -1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)


class Layer(nn.Module):
    def __init__(self, shape, bias):
        super().__init__()
        width, inner = shape["hidden_size"], shape["intermediate_size"]
        self.heads = shape["num_attention_heads"]
        self.input_norm = nn.RMSNorm(width, 1e-6)
        self.attention_in = nn.Linear(width, 3 * width, bias=bias)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.post_norm = nn.RMSNorm(width, 1e-6)
        self.gate_up = nn.Linear(width, 2 * inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)

    def forward(self, x, cos, sin, cache=None, start=0):
        batch, length, width = x.shape
        heads = self.attention_in(self.input_norm(x)).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        query, key = rotate(query, cos, sin), rotate(key, cos, sin)
        if cache is not None:
            keys, values = cache
            keys[:, :, start : start + length] = key
            values[:, :, start : start + length] = value
            key, value = keys[:, :, : start + length], values[:, :, : start + length]
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=length > 1)
        x = x + self.attention_out(mixed.transpose(1, 2).reshape(batch, length, width))
        gate, up = self.gate_up(self.post_norm(x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


class Decoder(nn.Module):
    def __init__(self, shape):
        super().__init__()
        width, depth = shape["hidden_size"], shape["hidden_size"] // shape["num_attention_heads"]
        self.embedding = nn.Embedding(shape["vocab_size"], width)
        nn.init.normal_(self.embedding.weight, std=0.02)
        # Of the two only Qwen2, which the quickstart has, ties its embeddings and has biases.
        tied = shape["tie_word_embeddings"]
        self.layers = nn.ModuleList(Layer(shape, bias=tied) for _ in range(shape["num_hidden_layers"]))
        self.norm = nn.RMSNorm(width, 1e-6)
        self.head = nn.Linear(width, shape["vocab_size"], bias=False)
        if tied:
            self.head.weight = self.embedding.weight
        frequencies = 1e5 ** (-torch.arange(0, depth, 2) / depth)
        angles = torch.arange(shape["max_position_embeddings"])[:, None] * frequencies
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, tokens, caches=None, start=0):
        x = self.embedding(tokens)
        cos, sin = (table[start : start + tokens.shape[1]] for table in (self.cos, self.sin))
        for index, layer in enumerate(self.layers):
            x = layer(x, cos, sin, caches and caches[index], start)
        return self.head(self.norm(x if caches is None else x[:, -1:]))


def training(shape, compiled, bf16):
    """Forward, backward and AdamW on 32 sequences of 128 tokens."""
    model = Decoder(shape)
    tokens = torch.tensor(rows(shape["vocab_size"], TRAIN_BATCH, TRAIN_LENGTH))
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, fused=True)

    def loss():
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = model(tokens[:, :-1])
        return F.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten())

    forward = torch.compile(loss) if compiled else loss

    def step():
        optimizer.zero_grad(set_to_none=True)
        forward().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def decoding(shape, compiled, bf16):
    """128 new tokens after each of 64 prompts of 16, with the log-probability of every one."""
    kind = torch.bfloat16 if bf16 else torch.float32
    model = Decoder(shape).to(kind).eval()
    step = torch.compile(model, dynamic=True) if compiled else model
    prompts = torch.tensor(rows(shape["vocab_size"], DECODE_BATCH, DECODE_PROMPT))
    heads = shape["num_attention_heads"]
    size = (DECODE_BATCH, heads, DECODE_PROMPT + DECODE_NEW, shape["hidden_size"] // heads)
    caches = [(torch.zeros(size, dtype=kind), torch.zeros(size, dtype=kind)) for _ in model.layers]

    @torch.inference_mode()
    def sample():
        tokens, log_probs, start, read = [], [], 0, prompts
        for _ in range(DECODE_NEW):
            logits = step(read, caches, start)[:, -1].float()
            start += read.shape[1]
            log_prob = torch.log_softmax(logits, -1)
            # By the inverse of the distribution function: multinomial, with a random number per word, takes longer.
            below = log_prob.exp().cumsum(-1)
            drawn = torch.rand(DECODE_BATCH, 1) * below[:, -1:]
            read = torch.searchsorted(below, drawn, right=True).clamp_(max=shape["vocab_size"] - 1)
            tokens.append(read)
            log_probs.append(log_prob.gather(1, read))
        return torch.cat(tokens, 1), torch.cat(log_probs, 1)

    return sample


if __name__ == "__main__":
    figure, model, mode, precision = sys.argv[1:]
    torch.manual_seed(0)
    torch.set_num_threads(THREADS)
    make = {"train": training, "decode": decoding}[figure]
    measure = make(MODELS[model], mode == "compiled", precision == "bf16")
    for _ in range(2):
        measure()
    answer(measure)
