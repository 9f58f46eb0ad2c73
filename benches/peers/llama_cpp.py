"""llama.cpp: `llama_cpp.py BATCH` samples after so many prompts at once, from the GGUF file that RECOLLECT_GGUF names (one in
f32: `recollect export models/SmolLM2-135M-Instruct.Q4_1.gguf smollm2.gguf --dtype f32`)."""

import json
import os
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from shapes import DECODE_PROMPT, LARGE_NEW, MODELS, THREADS, answer, quiet, rows

quiet()
if "RECOLLECT_GGUF" not in os.environ:
    sys.exit("RECOLLECT_GGUF names no file")

import xllamacpp

batch = int(sys.argv[1])
parameters = xllamacpp.CommonParams()
parameters.model.path = os.environ["RECOLLECT_GGUF"]
parameters.n_ctx = batch * 128
parameters.n_parallel = batch
parameters.cpuparams.n_threads = THREADS
parameters.cpuparams_batch.n_threads = THREADS
parameters.warmup = False
parameters.cache_type_k = parameters.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
server = xllamacpp.Server(parameters)
threads = ThreadPoolExecutor(batch)


def completed(prompt):
    asked = dict(prompt=prompt, n_predict=LARGE_NEW, ignore_eos=True, temperature=1.0, samplers=["temperature"],
                 cache_prompt=False)
    call = urllib.request.Request(
        f"{server.listening_address}/completion", json.dumps(asked).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(call, timeout=300) as response:
        assert json.load(response)["tokens_predicted"] == LARGE_NEW


def sample():
    list(threads.map(completed, rows(MODELS["135m"]["vocab_size"], batch, DECODE_PROMPT)))


sample()
answer(sample)
os._exit(0)
