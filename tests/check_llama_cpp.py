"""Goes on by llama.cpp from what was recorded of the models of GGUF files, as transformers did.

    python tests/check_llama_cpp.py FILE.gguf RECORDED.json [FILE.gguf RECORDED.json ...]

Needs xllamacpp, which has llama.cpp in it.
"""

import json
import pathlib
import sys
import unicodedata
import urllib.request

import xllamacpp


def server(path, context):
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.n_ctx = context
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = 2
    parameters.warmup = False
    # Keys and values as they are: it rounds them to sixteen bits unless told.
    parameters.cache_type_k = parameters.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    return xllamacpp.Server(parameters)


def asked(model, path, **what):
    """What the model's server answers, as llama.cpp has it."""
    call = urllib.request.Request(
        f"{model.listening_address}/{path}", json.dumps(what).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(call, timeout=60) as answer:
        return json.load(answer)


def differences(path, recorded):
    golden = json.loads(pathlib.Path(recorded).read_text())
    longest = max(len(prompt) + len(new) for prompt, new in zip(golden["sequences"], golden["continuations"]))
    model = server(path, longest + 64)
    wrong = []
    for prompt, wanted in zip(golden["sequences"], golden["continuations"]):
        told = dict(prompt=prompt, n_predict=len(wanted), temperature=0.0, return_tokens=True, cache_prompt=False)
        found = asked(model, "completion", **told)["tokens"]
        # It stops at an end token, which transformers was told to go on from.
        if found != wanted[: len(found)] or not found:
            wrong.append(f"after {prompt}: {found}, not {wanted}")
    for text, ids in golden["texts"]:
        # It composes nothing, which the tokenizers of some models do.
        if unicodedata.normalize("NFC", text) != text:
            continue
        found = asked(model, "tokenize", content=text, add_special=False, parse_special=True)["tokens"]
        if found != ids:
            wrong.append(f"{text!r}: {found}, not {ids}")
    return wrong


def main():
    arguments = sys.argv[1:]
    wrong = 0
    for path, recorded in zip(arguments[::2], arguments[1::2]):
        found = differences(path, recorded)
        wrong += len(found)
        print(f"{path}: " + ("as transformers" if not found else "\n  ".join(["", *found])))
    sys.exit(1 if wrong else 0)


main()
