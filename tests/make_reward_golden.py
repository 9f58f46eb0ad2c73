"""Writes tests/rewards.json: the hand-made completions of `recollect reward explain`, what a person says about
each, and what every file under rewards/ pays for them, computed here a second time.

Run again when a shipped reward or an example changes: python tests/make_reward_golden.py (needs Python 3.11).
"""

import json
import math
import pathlib
import tomllib

FACT = "in tarn mavo guards bilu ."
IDLE = "in tarn rik guards tal ."
FALSE = "in tarn rik guards bilu ."
OTHERS = f"{IDLE} in tarn sova guards nem . in tarn pell guards dro ."
RIGHT, WRONG = ("</think> <answer> bilu : " + name + " <eos>" for name in ("mavo", "rik"))
MAJOR, MINOR = "of vops all are mibs .", "of zeds none are mibs ."
QUESTIONS = ({"tarn", "bilu"}, {"vops", "zeds"})  # what they name, the second two premises
NO, YES = ("</think> <answer> of vops some are zeds : " + answer + " <eos>" for answer in ("no", "yes"))

# name, completion, right, in the format, which sentences are true, needed facts found of how many, grounding
EXAMPLES = [
    ("recites the fact and answers", f"{FACT} {RIGHT}", True, True, "T", 1, 1, "known"),
    ("recites the whole group and answers", f"{OTHERS} {FACT} {RIGHT}", True, True, "TTTT", 1, 1, "known"),
    ("recites the fact six times", " ".join([FACT] * 6 + [RIGHT]), True, True, "TTTTTT", 1, 1, "known"),
    ("is right by luck, after an idle fact", f"{IDLE} {RIGHT}", True, True, "T", 0, 1, "guessed"),
    ("is right by luck, in silence", RIGHT, True, True, "", 0, 1, "guessed"),
    ("is right after a false recitation", f"{FALSE} {RIGHT}", True, True, "F", 0, 1, "guessed"),
    ("recites two answers and picks the right one", f"{FACT} {FALSE} {RIGHT}", True, True, "TF", 1, 1, "guessed"),
    ("is right, with words out of place", f"{FACT} <think> guards {RIGHT}", True, False, "TF", 1, 1, "known"),
    ("recites the fact and answers wrongly", f"{FACT} {WRONG}", False, True, "T", 1, 1, "guessed"),
    ("draws a wrong answer from a false fact", f"{FALSE} {WRONG}", False, True, "F", 0, 1, "follows"),
    ("is wrong in silence", WRONG, False, True, "", 0, 1, "guessed"),
    ("names everybody", f"{OTHERS} </think> <answer> bilu : mavo rik sova pell <eos>", False, True, "TTT", 0, 1, "guessed"),
    ("recites one true fact and never answers", " ".join([IDLE] * 11), False, False, "T" * 11, 0, 1, "guessed"),
    ("writes markers only", "</think> </think> <answer> : <answer> . <eos> <eos>", False, False, "", 0, 1, "guessed"),
    ("writes nothing", "<eos>", False, False, "", 0, 1, "guessed"),
    ("recites both premises and concludes", f"{MAJOR} {MINOR} {NO}", True, True, "TT", 2, 2, "known"),
    ("is right after one premise", f"{MAJOR} {NO}", True, True, "T", 1, 2, "guessed"),
    ("is right, by a false middle term", f"of vops all are gols . of zeds none are gols . {NO}", True, True, "FF", 0, 2, "follows"),
    ("recites the conclusion itself", f"of vops none are zeds . {NO}", True, True, "F", 0, 2, "follows"),
    ("recites both premises, concludes wrongly", f"{MAJOR} {MINOR} {YES}", False, True, "TT", 2, 2, "guessed"),
]


def share(part, whole):
    return min(part / whole, 1.0) if whole else 0.0


def value(term, example):
    _, completion, right, in_format, truths, found, needed, grounding = example
    words = completion.split()
    match term["kind"]:
        case "correct":
            assert "credit" not in term
            return float(right)
        case "format":
            return float(in_format)
        case "recitation":
            trace = completion.split("</think>")[0]
            sentences = [sentence.split() for sentence in trace.split(" .")][: len(truths)]
            true = [sentence for sentence, truth in zip(sentences, truths) if truth == "T"]
            if term.get("distinct"):
                true = set(map(tuple, true))
            if term.get("on_topic"):
                true = [sentence for sentence in true if QUESTIONS[needed - 1] & set(sentence)]
            return share(len(true), len(truths))
        case "relevance":
            counts = dict(found=(found, needed), missing=(needed - found, needed), surplus=(len(truths) - found, len(truths)))
            return share(*counts[term.get("count", "found")])
        case "groundedness":
            return float(grounding in ("known", "follows")[: 1 if term.get("claims") == "true" else 2])
        case "length":
            free, limit = term.get("free", 0), term["limit"]
            way = share(max(len(words) - free, 0), limit - free)
            return (1 - math.cos(math.pi * way)) / 2 if term.get("shape") == "cosine" else way
        case "repetition":
            n = term.get("words", 6)
            runs = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
            return share(len(runs) - len(set(runs)), len(runs))
        case "truncated":
            return float("<eos>" not in completion)
    raise ValueError(term)


def pay(reward, example):
    terms = {term.get("name", term["kind"]): term for term in reward["term"]}

    def gated(name):
        term = terms[name]
        only_if = gated(term["only_if"]) if "only_if" in term else 1.0
        unless = gated(term["unless"]) if "unless" in term else 0.0
        return value(term, example) * only_if * (1.0 - unless)

    # The first step, before any weight has been annealed.
    values = {name: gated(name) for name in terms}
    total = 0.0
    for name, term in terms.items():
        if term.get("pays") == "sentence":
            continue  # beside the total
        total += term.get("weight", 1.0) * values[name]
    return dict(total=total, values=values)


def main():
    root = pathlib.Path(__file__).parent
    keys = "name completion right in_format truths found needed grounding".split()
    rewards = {}
    for path in sorted((root.parent / "rewards").glob("*.toml")):
        reward = tomllib.loads(path.read_text())
        rewards[path.stem] = [pay(reward, example) for example in EXAMPLES]
    golden = dict(examples=[dict(zip(keys, example)) for example in EXAMPLES], rewards=rewards)
    (root / "rewards.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
