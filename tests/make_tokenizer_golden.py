"""Reads small tokenizers with transformers' AutoTokenizer, each with one key of a file beside it changed, and writes
tests/tokenizers.json: the ids and texts that come of it, for tests/tokenizers.rs to compare, and all keys that this
transformers knows, so that none of them is forgotten.

    python tests/make_tokenizer_golden.py [FILE]

Needs transformers, and nothing else.
"""

import ast
import inspect
import json
import pathlib
import sys
import tempfile

import transformers.models.auto.tokenization_auto as auto
import transformers.models.llama.tokenization_llama as llama
import transformers.models.qwen2.tokenization_qwen2 as qwen2
import transformers.tokenization_utils_base as base
import transformers.tokenization_utils_tokenizers as fast
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, GenerationConfig

WORDS = "<unk> <s> </s> <pad> <stop> who wrote glass harbour ? . daphne is n't ' it she".split()
TEXTS = ["who wrote glass harbour ?", "<s> daphne . </s>", "is n't it <stop> she . <new> who", "daphne unheard"]


def words(pre_tokenizer):
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.add_special_tokens(WORDS[:4])
    return tokenizer


def byte_level():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = [AddedToken(token, special=True) for token in WORDS[:4]]
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=special, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS * 3, trainer)
    return tokenizer


MODEL = dict(model_type="llama", architectures=["LlamaForCausalLM"], vocab_size=320)
CONFIG = dict(tokenizer_class="PreTrainedTokenizerFast", bos_token="<s>", eos_token="</s>", unk_token="<unk>")
TEMPLATE = "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}{% if pad_token is defined %}{{ pad_token }}{% endif %}"
NEW = {"content": "<new>", "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}

# What stands in the files beside the tokenizer: a name, and changes of tokenizer_config.json, or other files.
CASES = [
    ("as it is", {}, {}),
    ("eos_token, another", dict(eos_token="<stop>"), {}),
    ("eos_token with what it is", dict(eos_token={"content": "<stop>", "__type": "AddedToken", "lstrip": True, "normalized": False, "rstrip": False, "single_word": False}), {}),
    ("eos_token, one that is new", dict(eos_token="<new>"), {}),
    ("bos_token, another", dict(bos_token="<stop>"), {}),
    ("bos_token, none", dict(bos_token=None), {}),
    ("pad_token", dict(pad_token="<pad>"), {}),
    ("unk_token, one that is new", dict(unk_token="<new>"), {}),
    ("added_tokens_decoder", dict(added_tokens_decoder={"4": {**NEW, "content": "<stop>"}, "17": NEW}, eos_token="<new>"), {}),
    ("added_tokens_decoder, in disorder", dict(added_tokens_decoder={"20": {**NEW, "content": "<later>"}, "19": NEW}), {}),
    ("added_tokens_decoder, of a word", dict(added_tokens_decoder={"6": {**NEW, "content": "wrote", "special": False}}), {}),
    ("special_tokens_map.json", dict(eos_token=None), {"special_tokens_map.json": dict(eos_token="<stop>", pad_token=NEW)}),
    ("special_tokens_map.json comes first", {}, {"special_tokens_map.json": dict(eos_token="<stop>")}),
    ("special_tokens_map.json, where tokens are listed", dict(added_tokens_decoder={"2": {**NEW, "content": "</s>"}}), {"special_tokens_map.json": dict(eos_token="<stop>")}),
    ("added_tokens.json", {}, {"added_tokens.json": {"<new>": 17, "<stop>": 4}}),
    ("additional_special_tokens", dict(additional_special_tokens=["<stop>", "<new>"]), {}),
    ("extra_special_tokens", dict(extra_special_tokens=["<new>"]), {}),
    ("extra_special_tokens with names", dict(extra_special_tokens={"image_token": "<new>"}), {}),
    ("model_specific_special_tokens", dict(model_specific_special_tokens={"image_token": "<new>"}), {}),
    ("a token with a name of its own", dict(image_token="<new>"), {}),
    ("mask_token", dict(mask_token="<stop>", sep_token="<new>", cls_token="<s>"), {}),
    ("chat_template", dict(chat_template=TEMPLATE, pad_token="<pad>"), {}),
    ("chat_template, several", dict(chat_template=[dict(name="tool_use", template="no"), dict(name="default", template=TEMPLATE)]), {}),
    ("chat_template.jinja comes first", dict(chat_template="no"), {"chat_template.jinja": TEMPLATE + "!\n"}),
    ("clean_up_tokenization_spaces", dict(clean_up_tokenization_spaces=True), {}),
    ("split_special_tokens", dict(split_special_tokens=True), {}),
    ("add_bos_token", dict(add_bos_token=True), {}),
    ("add_eos_token", dict(add_eos_token=True), {}),
    ("add_prefix_space", dict(add_prefix_space=True), {}),
    ("legacy", dict(legacy=False), {}),
    ("do_lower_case", dict(do_lower_case=True), {}),
    ("model_max_length", dict(model_max_length=2), {}),
    ("padding_side", dict(padding_side="left", truncation_side="left"), {}),
    ("tokenizer_class", dict(tokenizer_class="TokenizersBackend"), {}),
    ("spaces_between_special_tokens", dict(spaces_between_special_tokens=False), {}),
    ("errors", dict(errors="ignore", sp_model_kwargs={}, use_default_system_prompt=True), {}),
]


def record(kind, tokenizer, name, config, files):
    files = {"config.json": MODEL, "tokenizer_config.json": {**CONFIG, **config}, **files}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        tokenizer.save(str(folder / "tokenizer.json"))
        for file, content in files.items():
            (folder / file).write_text(content if isinstance(content, str) else json.dumps(content))
        read = AutoTokenizer.from_pretrained(folder)
        ids = [read(text, add_special_tokens=False)["input_ids"] for text in TEXTS]
        case = dict(name=f"{kind}: {name}", tokenizer=kind, files=files, ids=ids)
        case["decoded"] = [read.decode(one) for one in ids]
        case |= dict(eos=read.eos_token_id, bos=read.bos_token_id, pad=read.pad_token_id)
        if read.chat_template:
            case["chat"] = read.apply_chat_template([dict(role="user", content="who ?")], tokenize=False)
        return case


def named_in(*functions):
    """The keys that these functions look up, take out or put in, and their own named arguments."""
    keys = set()
    for function in functions:
        keys |= {name for name, p in inspect.signature(function).parameters.items() if p.kind == p.POSITIONAL_OR_KEYWORD}
        for node in ast.walk(ast.parse("if 1:\n" + inspect.getsource(function))):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="pop" | "get" | "setdefault"), args=[ast.Constant(value=str(key)), *_]):
                    keys |= {key} if "kwargs" in name else set()
                case ast.Compare(left=ast.Constant(value=str(key)), ops=[ast.In() | ast.NotIn()], comparators=[ast.Name(id=name)]):
                    keys |= {key} if "kwargs" in name else set()
    return keys


def keys():
    tokenizer = named_in(
        base.PreTrainedTokenizerBase.__init__, base.PreTrainedTokenizerBase._from_pretrained, fast.TokenizersBackend.__init__,
        qwen2.Qwen2Tokenizer.__init__, llama.LlamaTokenizer.__init__,
    )
    # What is passed by callers and stands in no file.
    inside = {"self", "cls", "resolved_vocab_files", "pretrained_model_name_or_path", "init_configuration", "token", "cache_dir",
              "_is_local", "vocab", "merges", "post_processor", "tokenizer", "tokenizer_object", "tokenizer_padding", "tokenizer_truncation",
              "_json_truncation", "_json_padding", "_spm_precompiled_charsmap"}
    tokenizer |= set(base.PreTrainedTokenizerBase.SPECIAL_TOKENS_ATTRIBUTES) | {"tokenizer_class", "auto_map", "fast_tokenizer_files"}
    return {"tokenizer_config.json": sorted(tokenizer - inside), "generation_config.json": sorted(vars(GenerationConfig()))}


def main():
    kinds = {"words": words(pre_tokenizers.WhitespaceSplit()), "bytes": byte_level()}
    cases = [record(kind, tokenizer, *case) for kind, tokenizer in kinds.items() for case in CASES]
    tokenizers = {kind: json.loads(tokenizer.to_str()) for kind, tokenizer in kinds.items()}
    golden = json.dumps(dict(texts=TEXTS, keys=keys(), tokenizers=tokenizers, cases=cases), ensure_ascii=False)
    path = pathlib.Path(sys.argv[1]) if sys.argv[1:] else pathlib.Path(__file__).parent / "tokenizers.json"
    # A line for each case, so that a change can be read.
    path.write_text(golden.replace('{"name": "words: ', '\n{"name": "words: ').replace('{"name": "bytes: ', '\n{"name": "bytes: ') + "\n")


if __name__ == "__main__":
    main()
