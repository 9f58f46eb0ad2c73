"""Measures recollect on the card of this machine, beside transformers and TRL, and prints tables.

    benches/cuda/build                       # where Rust and the CUDA toolkit are: packs target/cuda-kit
    python3 benches/cuda/measure.py          # where the card is: needs target/cuda-kit and PyTorch; no Rust, no network

Parts, in this order: `check` (numbers and gradients of the card against the processor), `quickstart` (the same
accuracies from a card as from the processor), and for random weights in the shape of Qwen3-0.6B `decode`, `learn` and
`grpo`. Figures also go to target/cuda-figures.jsonl. Ends with 1 if something that was measured is wrong.
"""

import argparse
import json
import lzma
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KIT = ROOT / "target/cuda-kit"
FIGURES = ROOT / "target/cuda-figures.jsonl"
PEERS = [sys.executable, str(Path(__file__).parent / "peers.py")]
PARTS = ("check", "quickstart", "decode", "learn", "grpo")
# Dense bf16 products, in TFLOP/s, by a word in the name of the card.
PEAK = {"H200": 989, "H100": 989, "A100": 312, "L40": 362, "4090": 165}


def unpack(name):
    packed, program = KIT / f"{name}.xz", KIT / name
    if not program.exists() or program.stat().st_mtime < packed.stat().st_mtime:
        program.write_bytes(lzma.decompress(packed.read_bytes()))
        program.chmod(0o755)
    return str(program)


def environment():
    """The libraries of CUDA that come with PyTorch, where the system has none."""
    import torch

    libraries = Path(torch.__file__).parents[1] / "nvidia"
    folders = [str(folder) for folder in libraries.glob("*/lib")] + [os.environ.get("LD_LIBRARY_PATH", "")]
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(folders)}


class Bench:
    def __init__(self, patience, only_ours):
        self.environment, self.patience, self.only_ours = environment(), patience, only_ours
        self.wrong = []

    def run(self, side, command, seconds):
        """The figures that a command prints; what goes wrong is told of and does not end the others."""
        if side != "recollect" and self.only_ours:
            return []
        began = time.monotonic()
        seconds = min(seconds, self.patience)
        try:
            done = subprocess.run(
                command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=seconds
            )
            output, code, complaint = done.stdout, done.returncode, done.stderr
        except subprocess.TimeoutExpired as late:
            output = late.stdout.decode() if isinstance(late.stdout, bytes) else late.stdout or ""
            code, complaint = 124, f"not done after {seconds} s"
        self.patience = max(30, self.patience - (time.monotonic() - began))
        figures = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        if code != 0:
            last = (complaint.strip().splitlines() or ["no reason given"])[-1]
            print(f"  {side}: {' '.join(map(str, command[1:]))}: {last}", flush=True)
            if side == "recollect":
                self.wrong.append(last)
        with FIGURES.open("a") as file:
            for figure in figures:
                file.write(json.dumps({"side": side, **figure}) + "\n")
        return figures

    def check(self):
        print("\ncard against processor: distance relative to the norm, worst gradient, tokens that are the same")
        for row in self.run("recollect", [unpack("recollect-cuda"), "check"], 300):
            word = "ok" if row["right"] else "WRONG"
            print(f"  {row['model']:22}{row['precision']:6}logits {row['logits']:.1e}  gradient {row['gradient']:.1e} "
                  f"({row['of']})  same tokens {row['same_tokens']:.0%}  at most {row['allowed']:.0e}: {word}", flush=True)

    def quickstart(self):
        program = unpack("recollect")
        runs = {}
        for device in ("cpu", "cuda:0"):
            home = ROOT / "target/cuda-runs" / device.replace(":", "-")
            command = [program, "run", "configs/quickstart.toml", "--set", f"run.device={device}", "--set",
                       f"run.dir={home}"]
            began = time.monotonic()
            self.run("recollect", command, 400)
            report = home / "report.json"
            runs[device] = json.loads(report.read_text())["arms"] if report.exists() else []
            print(f"\nquickstart on {device}: {time.monotonic() - began:.0f} s", flush=True)
        key = lambda row: (row["arm"], row["task"], row.get("form"), row["set"], row["step"])
        other = {key(row): row for row in runs["cuda:0"]}
        for row in runs["cpu"]:
            if key(row) not in other or row["set"] not in ("b", "B"):
                continue
            found = other[key(row)]
            # Two runs of other last bits differ by a few questions; intervals that do not even meet are another matter.
            apart = found["high"] < row["low"] or row["high"] < found["low"]
            if apart:
                self.wrong.append(f"quickstart: {key(row)}")
            print(f"  {row['arm']:22}{row['task']} {row.get('form') or ''}: processor {row['accuracy']:.0%} "
                  f"[{row['low']:.0%}, {row['high']:.0%}], card {found['accuracy']:.0%} "
                  f"[{found['low']:.0%}, {found['high']:.0%}]{'  APART' if apart else ''}", flush=True)

    def decode(self):
        print("\ndecoding, 128 new tokens after 128: tokens per second", flush=True)
        ours, peers = self.both("decode", 120, 180)
        for row in ours:
            peer = [other for other in peers if other["batch"] == row["batch"]]
            print(f"  batch {row['batch']:4}  recollect {speed([row])}  transformers {speed(peer)}{ratio([row], peer)}", flush=True)

    def learn(self):
        import torch

        name = torch.cuda.get_device_name()
        peak = next((peak for word, peak in PEAK.items() if word in name), None)
        print(f"\nlearning from 16,384 tokens on {name}: tokens per second, share of the card's peak, peak GiB", flush=True)
        ours, peers = self.both("learn", 120, 180)
        for row in ours:
            same = lambda other: all(other[key] == row[key] for key in ("adapters", "recomputed"))
            peer = [other for other in peers if same(other)]
            share = f"{row['teraflops'] / peak:.0%}" if peak else "?"
            what = f"{adapters(row)} {'recomputed' if row['recomputed'] else 'kept':11}"
            print(f"  {what}recollect {speed([row])} {share} {gib([row])}  transformers {speed(peer)} {gib(peer)}"
                  f"{ratio([row], peer)}", flush=True)

    def grpo(self):
        print("\nGRPO steps, 16 prompts x 16 completions of 256: seconds, completion tokens per second, peak GiB", flush=True)
        ours, peers = self.both("grpo", 180, 300)
        for row in ours:
            peer = [other for other in peers if other["adapters"] == row["adapters"]]
            of = lambda rows: f"{rows[0]['seconds']:.2f} s" if rows else "-"
            print(f"  {adapters(row)} recollect {of([row])} {speed([row])} {gib([row])}  TRL {of(peer)} {speed(peer)} "
                  f"{gib(peer)}{ratio([row], peer)}", flush=True)

    def both(self, what, ours, theirs):
        """The figures of both sides, each within so many seconds."""
        rows = self.run("recollect", [unpack("recollect-cuda"), what], ours)
        return rows, self.run("TRL" if what == "grpo" else "transformers", [*PEERS, what], theirs)


def adapters(row):
    return "lora" if row["adapters"] else "full"


def speed(rows):
    return f"{rows[0]['tokens_per_second']:,.0f} tok/s" if rows else "-"


def gib(rows):
    return f"{rows[0]['peak_gib']:.1f} GiB" if rows else "-"


def ratio(ours, peer):
    return f"  {ours[0]['tokens_per_second'] / peer[0]['tokens_per_second']:.2f}x" if ours and peer else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="which (default: all)")
    parser.add_argument("--minutes", type=float, default=60, help="for everything together (default 60)")
    parser.add_argument("--only-ours", action="store_true", help="without transformers and TRL")
    options = parser.parse_args()
    FIGURES.parent.mkdir(exist_ok=True)
    bench = Bench(60 * options.minutes, options.only_ours)
    for part in options.parts or PARTS:
        getattr(bench, part)()
    for wrong in bench.wrong:
        print(f"wrong: {wrong}")
    sys.exit(bool(bench.wrong))


if __name__ == "__main__":
    main()
