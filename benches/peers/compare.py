"""Runs recollect beside its peers and prints a table of medians and ratios.

Both sides of a pair are processes that live as long as the pair and measure when they are told to, in turn: whatever
else the machine does meets both. A ratio is taken within each turn, and the median of those is what the table shows.
"""

import argparse
import queue
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

from shapes import (DECODE_BATCH, DECODE_NEW, GRPO_GROUP, GRPO_NEW, GRPO_PROMPTS, LARGE_BATCH, LARGE_DECODED,
                    LARGE_GRPO_NEW, LARGE_NEW, TRAIN_BATCH, TRAIN_LENGTH)

HERE = Path(__file__).parent
OURS = HERE.parents[1] / "target/release/examples/recollect-side"

# torch.compile takes a minute, a step of TRL with the large model two, and more under a loaded machine.
PATIENCE = 600
# Threads that wait for work by spinning have gone to sleep after this.
PAUSE = 0.2

TOKENS = {
    "train": TRAIN_BATCH * TRAIN_LENGTH,
    "decode": DECODE_BATCH * DECODE_NEW,
    "grpo": GRPO_PROMPTS * GRPO_GROUP * GRPO_NEW,
    "train 135m": LARGE_BATCH * TRAIN_LENGTH,
    "grpo 135m": GRPO_PROMPTS * GRPO_GROUP * LARGE_GRPO_NEW,
    **{f"decode 135m×{batch}": batch * LARGE_NEW for batch in LARGE_DECODED},
}


def pytorch(figure, model, mode, precision):
    return f"PyTorch {mode} {precision}", [sys.executable, HERE / "pytorch.py", figure, model, mode, precision]


def hugging_face(name, *arguments):
    return name, [sys.executable, HERE / "hugging_face.py", *arguments]


def pairs():
    """(figure, model, our arguments, peer's name, peer's command)"""
    for figure in ("train", "decode"):
        for model in ("quickstart", "4m"):
            for mode in ("eager", "compiled"):
                for precision in ("f32", "bf16"):
                    # Training meets like with like; there is one way of sampling.
                    ours = f"train-{model}-{precision}" if figure == "train" else f"decode-{model}"
                    yield figure, model, [ours], *pytorch(figure, model, mode, precision)
            if figure == "decode":
                yield figure, model, [f"{figure}-{model}"], *hugging_face("transformers generate", figure, model)
    for mode in ("eager", "compiled"):
        yield "train", "135m", ["train-135m-f32"], *hugging_face(f"transformers {mode} f32", "train", "135m", mode)
    for batch in LARGE_DECODED:
        ours = "decode", f"135m×{batch}", [f"decode-135m-{batch}"]
        yield *ours, *hugging_face("transformers generate", "decode", "135m", str(batch))
        yield *ours, "llama.cpp f32", [sys.executable, HERE / "llama_cpp.py", str(batch)]
    yield "grpo", "135m", ["grpo-135m-f32"], *hugging_face("TRL GRPO f32", "grpo", "135m", "f32")
    for figure in ("grpo", "start"):
        for precision in ("f32", "bf16"):
            peer = hugging_face(f"TRL GRPO {precision}", "grpo", "grpo", precision)
            yield figure, "0.85m", [f"grpo-0.85m-{precision}"], *peer


class Skipped(Exception):
    """A side that cannot run here."""


class Side:
    """A process that answers a line with the seconds of one measurement."""

    def __init__(self, command):
        self.began = time.perf_counter()
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, bufsize=1)
        self.lines, self.complaints = queue.Queue(), []
        self.readers = [
            threading.Thread(target=self.read, daemon=True),
            threading.Thread(target=lambda: self.complaints.extend(self.process.stderr), daemon=True),
        ]
        for reader in self.readers:
            reader.start()
        self.hear()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.strip())
        self.lines.put(None)

    def hear(self):
        try:
            line = self.lines.get(timeout=PATIENCE)
        except queue.Empty:
            self.end()
            raise Skipped(f"nothing for {PATIENCE} s") from None
        if line is None:
            self.readers[1].join(1)
            self.end()
            raise Skipped((self.complaints or ["no reason given"])[-1].strip())
        return line

    def measure(self):
        time.sleep(PAUSE)
        self.process.stdin.write("\n")
        return float(self.hear())

    def first(self):
        """Seconds from the start of the process to the end of its first measurement."""
        self.process.stdin.write("\n")
        self.hear()
        return time.perf_counter() - self.began

    def finish(self):
        """Ends the process and gives its peak memory in MiB."""
        self.process.stdin.close()
        peak = int(self.hear())
        self.end()
        return peak

    def end(self):
        self.process.kill()
        self.process.wait()


def alternate(ours, peer, turns):
    """Seconds of both sides in every turn, and the peak memory of each."""
    sides = []
    try:
        for command in (ours, peer):
            sides.append(Side(command))
        times = [[side.measure() for side in sides] for _ in range(turns)]
        return times, [side.finish() for side in sides]
    finally:
        for side in sides:
            side.end()


def start_again(ours, peer, turns):
    """The same for processes that are started anew in every turn."""
    times, peaks = [], []
    for _ in range(turns):
        turn, memory = [], []
        for command in (ours, peer):
            side = Side(command)
            turn.append(side.first())
            memory.append(side.finish())
        times.append(turn)
        peaks.append(memory)
    return times, [max(side) for side in zip(*peaks)]


def speed(figure, model, seconds):
    tokens = TOKENS.get(f"{figure} {model}", TOKENS.get(figure))
    return f"{seconds:.2f} s" if figure == "start" else f"{tokens / seconds:,.0f} tok/s"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5, help="measurements of each side of a pair (default 5)")
    parser.add_argument("--only", default="", help="pairs whose line has all these words, as in 'decode 4m'")
    options = parser.parse_args()
    row = "{:8}{:12}{:24}{:>16}{:>16}{:>9}{:>15}{:>11}{:>9}".format
    print(row("figure", "model", "peer", "peer", "recollect", "faster", "(least, most)", "MiB", "ours"), flush=True)
    for figure, model, ours, name, peer in pairs():
        if not set(options.only.split()) <= set(f"{figure} {model} {name}".split()):
            continue
        try:
            measure = start_again if figure == "start" else alternate
            times, (our_peak, peer_peak) = measure([OURS, *ours], peer, options.turns)
        except Skipped as reason:
            print(f"{figure:8}{model:12}{name:24}skipped: {reason}", flush=True)
            continue
        ratios = [peer / ours for ours, peer in times]
        ours, peer = (statistics.median(side) for side in zip(*times))
        print(row(
            figure, model, name, speed(figure, model, peer), speed(figure, model, ours), f"{statistics.median(ratios):.2f}x",
            f"({min(ratios):.2f}, {max(ratios):.2f})", f"{peer_peak:,}", f"{our_peak:,}",
        ), flush=True)


if __name__ == "__main__":
    main()
