"""Writes tests/values.json: generalised advantages, whitening and the clipped value loss as PyTorch computes them.

Run again only to add a case: python tests/make_value_golden.py (needs torch).

Nothing here is taken step by step from the Rust side: advantages are computed from their definition, as a sum over all
later surprises rather than by recursion, means and variances by torch, and gradients by autograd.
"""

import json
import pathlib

import torch

LENGTHS = [1, 7, 4, 12, 2]
GAES = [(1.0, 0.95), (1.0, 1.0), (0.99, 0.9), (0.9, 0.0)]
LOSSES = [(0.5, 0.2), (1.0, 0.0), (0.1, 0.05)]


def advantages(rewards, values, gamma, discount):
    """sum over l of (gamma lambda)^l (r + gamma V' - V), l tokens later."""
    after = torch.cat([values[1:], torch.zeros(1, dtype=values.dtype)])
    surprises = rewards + gamma * after - values
    count = len(values)
    powers = torch.tensor([[discount ** (b - a) if b >= a else 0.0 for b in range(count)] for a in range(count)])
    return powers.double() @ surprises


def main():
    generator = torch.Generator().manual_seed(11)
    draw = lambda length: torch.randn(length, generator=generator, dtype=torch.float64)
    # As they are where a divergence is charged token by token and the reward comes last.
    rewards = [0.05 * draw(length) for length in LENGTHS]
    for each in rewards:
        each[-1] += draw(1)[0] + 1.0
    # What Rust gets is f32.
    values = [draw(length).float().double() for length in LENGTHS]
    golden = {"rewards": [each.tolist() for each in rewards], "values": [each.tolist() for each in values], "gaes": []}
    for gamma, smoothing in GAES:
        each = [advantages(r, v, gamma, gamma * smoothing) for r, v in zip(rewards, values)]
        returns = [a + v for a, v in zip(each, values)]
        flat = torch.cat(each)
        white = (flat - flat.mean()) * torch.rsqrt(flat.var(unbiased=True) + 1e-8)
        target, foretold = torch.cat(returns), torch.cat(values)
        golden["gaes"].append({
            "gamma": gamma, "lambda": smoothing, "advantages": flat.tolist(), "returns": target.tolist(),
            "whitened": white.tolist(), "explained": (1 - (target - foretold).var() / target.var()).item(),
        })
    before = torch.cat(values)
    returned = before + draw(len(before))
    now = (before + 0.3 * draw(len(before))).requires_grad_()
    weights = draw(len(before)).abs() * (torch.rand(len(before), generator=generator) < 0.8)
    golden |= {"now": now.tolist(), "returned": returned.tolist(), "weights": weights.tolist(), "normaliser": 17.0}
    golden["losses"] = []
    for weight, clip in LOSSES:
        now.grad = None
        error = torch.nn.functional.mse_loss(now, returned, reduction="none")
        if clip:
            held = torch.minimum(torch.maximum(now, before - clip), before + clip)
            error = torch.max(error, torch.nn.functional.mse_loss(held, returned, reduction="none"))
        loss = weight * 0.5 * (error * weights).sum() / golden["normaliser"]
        loss.backward()
        golden["losses"].append({"weight": weight, "clip": clip, "loss": loss.item(), "gradient": now.grad.tolist()})
    shorten = lambda found: json.loads(json.dumps(found), parse_float=lambda text: round(float(text), 10))
    text = json.dumps(shorten(golden)).replace('], "', '],\n"').replace('}, {', '},\n{')
    (pathlib.Path(__file__).parent / "values.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
