"""A judge for recollect: says what completions are worth, many at once.

recollect writes one JSON object a line (id, prompt, completion, expected, answer, correct, tokens) and reads one for each,
{"id": 7, "value": 0.5}, in any order. A value is a number from 0 to 1, or null where there is none to give. Standard output is
for these replies alone; print whatever else there is to say to standard error.

    python3 -m unittest test_judge      whether it judges as you mean it
"""

import json
import queue
import sys
import threading

# As many as in_flight in reward.toml: whatever is waiting is judged together.
LARGEST_BATCH = 64


def judge(batch):
    """A value from 0 to 1, or None, for each completion of a batch. Replace this: ask a model, run a test, look something up."""
    return [brevity(one["completion"]) for one in batch]


def brevity(completion):
    """1 for a thought of up to 30 words, falling to 0 at 120."""
    words = len(completion.split("</think>")[0].split())
    return min(1.0, max(0.0, (120 - words) / 90))


def read_into(lines):
    for line in sys.stdin:
        lines.put(line)
    lines.put(None)


def next_batch(lines):
    """The next line, and those that are there already; None at the end."""
    first = lines.get()
    if first is None:
        return None
    batch = [first]
    while len(batch) < LARGEST_BATCH:
        try:
            line = lines.get_nowait()
        except queue.Empty:
            break
        if line is None:
            lines.put(None)
            break
        batch.append(line)
    return [json.loads(line) for line in batch]


def main():
    lines = queue.Queue()
    threading.Thread(target=read_into, args=(lines,), daemon=True).start()
    while (batch := next_batch(lines)) is not None:
        for one, value in zip(batch, judge(batch)):
            print(json.dumps({"id": one["id"], "value": value}))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
