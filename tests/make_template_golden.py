"""Renders chat templates with transformers' apply_chat_template, for tests/templates.rs to compare.

    python tests/make_template_golden.py [FILE]        # tests/templates.json, of the templates below
    python tests/make_template_golden.py --trl FILE    # FILE, of all templates that the installed TRL ships

Needs transformers, and TRL for its templates. Those are not ours: what is written from them is not to be committed.
"""

import datetime
import importlib.util
import json
import pathlib
import sys

import transformers.utils.chat_template_utils as utils
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

DAY = datetime.datetime(2025, 3, 4)
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}

# What real templates are made of, each construct at least once.
TEMPLATES = {
    "generation": "{% for m in messages %}\n{% if m.role == 'assistant' %}\n{%- generation -%}\n  [{{ m.content }}]\n"
    "{%- endgeneration %}\n{% else %}\n<{{ m.role }}>{{ m.content }}\n{% endif %}\n{% endfor %}\n"
    "{% if add_generation_prompt %}<assistant>{% endif %}",
    "generation, its spaces": "{% for m in messages %}\n    {% generation %}\n  x {{ m.content }} y  \n    {% endgeneration %}\n"
    "z{%+ generation %}  q {%- endgeneration -%}   \n{% endfor %}",
    "generation, its scope": "{% set x = 1 %}{% generation %}{% set x = 2 %}{{ x }}{% endgeneration %}{{ x }}"
    "{{ '{% generation %}' }}{# {% generation %} #}{% raw %}{% endgeneration %}{% endraw %}",
    "none": "{{ tools is none }} {{ tools is defined }} {{ documents is not none }} {% if tools %}x{% endif %}"
    "{{ tools }} {{ none }} {{ true }} {{ [none, true, 'a', 1.5, {'b': 'c'}] }} {{ none ~ '|' ~ false }} {{ nothing }}"
    "{{ nothing is defined }} {{ bos_token }} {{ eos_token + pad_token }} {{ unk_token is defined }} {{ x | default('y') }}",
    "undefined bos": "{{ unk_token + 'x' }}",
    "date": "{% if strftime_now is defined %}{{ strftime_now('%d %b %Y, %A') }}{% else %}26 Jul 2024{% endif %}",
    "json": "{{ {'b': [1, 2.0, none, true], 'a': 'é<&\\'\">\n\t'} | tojson }}{{ messages | tojson(indent=2) }}"
    "{{ messages[0] | tojson(separators=(',', ':')) }}{{ {'z': 1, 'a': {}} | tojson(sort_keys=true) }}"
    "{{ ['ü', '𝄞', []] | tojson(ensure_ascii=true) }}{{ 'x' | tojson }}{{ 1e20 | tojson }}",
    "enable thinking": "{% for m in messages %}{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}",
    "namespaces and loops": "{% set ns = namespace(last=-1, found=false) %}{% for m in messages[::-1] %}"
    "{% set i = (messages | length - 1) - loop.index0 %}{% if not ns.found and m.role == 'user' %}{% set ns.found = true %}"
    "{% set ns.last = i %}{% endif %}{% endfor %}{{ ns.last }}{% for m in messages %}{% if loop.index0 > 2 %}{% break %}{% endif %}"
    "{% if m.role == 'system' %}{% continue %}{% endif %}{{ loop.previtem.role if loop.previtem is defined else 'first' }}>"
    "{{ m.role }}>{{ loop.nextitem.role if not loop.last else 'last' }};{% else %}empty{% endfor %}",
    "strings": "{{ ' a b '.strip() + 'x'.upper() + 'ab'.replace('a', 'c') }}|{{ 'a,b,c'.split(',')[-1] }}|{{ 'a b  c'.split() }}|"
    "{{ 'abc'.startswith('ab') and 'abc'.endswith(('c', 'x')) }}|{{ 'xxabx'.lstrip('x').rstrip('x') }}|{{ 'abcdef'[1:-1:2] }}|"
    "{{ 'a-b-c'.partition('-') | list }}|{{ 'a-b-c'.rsplit('-', 1) }}|{{ 'think>x'.removeprefix('think>') }}|{{ 'hello world'.title() }}|"
    "{{ ', '.join(['a', 'b']) }}|{{ 'abc'.find('c') }}|{{ 'a\nb\n'.splitlines() }}|{{ 'aXb' | lower | capitalize }}|{{ 'x' * 3 }}|"
    "{{ '%s-%d' | format('a', 3) }}|{{ 'b' in 'abc' }}|{{ 'abc' | length }}|{{ 'abc' | first }}|{{ 'x'.isdigit() }}|{{ '{} {}'.format(1, 'b') }}",
    "dictionaries": "{% set d = {'b': 1, 'a': [1, 2]} %}{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}"
    "{% for k, v in d | dictsort %}{{ k }}={{ v }};{% endfor %}{% for k, v in d | items %}{{ k }};{% endfor %}{{ d.get('x', 'no') }}"
    "{{ d.keys() | list }}{{ 'a' in d }}{{ d }}{{ d.x is defined }}{{ dict(a=1) }}{{ d['b'] }}",
    "tests": "{{ 'a' is string }}{{ 'a' is sequence }}{{ 'a' is iterable }}{{ [1] is sequence }}{{ {} is mapping }}{{ {} is sequence }}"
    "{{ {} is iterable }}{{ 1 is iterable }}{{ none is iterable }}{{ nothing is iterable }}{{ 1 is number }}{{ true is boolean }}{{ none is none }}{{ false is false }}{{ 1 is true }}"
    "{{ 3 is odd }}{{ nothing is undefined }}{{ nothing is none }}{{ [] is mapping }}{{ 'a' is in ['a'] }}{{ (1, 2) is sequence }}",
    "macros": "{% macro turn(m, last=false) %}[{{ m.role }}{% if last %}!{% endif %}] {{ m.content | trim }}{{ caller() if caller }}"
    "{% endmacro %}{% for m in messages %}{{ turn(m, loop.last) }}{% endfor %}"
    "{% call turn(messages[0]) %} called{% endcall %}{% set block %}  b {{ 1 }}{% endset %}{{ block }}{% filter upper %}f{% endfilter %}",
    "filters": "{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list }}{{ messages | map(attribute='role') | unique | join(',') }}"
    "{{ [3, 1, 2] | sort }}{{ [1, 2, 3] | last }}{{ messages | rejectattr('role', 'eq', 'user') | list | length }}{{ 'a\nb' | indent(2) }}"
    "{{ 3.7 | int }}{{ '4' | int + 1 }}{{ 7 // 2 }}{{ 7 / 2 }}{{ 2 ** 3 }}{{ [1] + [2] }}{{ 1.0 }}{{ 5 | string }}{{ ('<a>' | safe) ~ '&' }}{{ '<' | e }}",
    "spaces": "  {% if true %}\n    a\n  {% endif %}\n\n{# c #}\nb {{- ' c' -}} \n d\n{%- if true -%}\n e \n{%- endif %}\n\n",
    "exception": "{% if messages[0].role != 'assistant' %}{{ raise_exception('assistants only') }}{% endif %}",
    "own thought": "{% for m in messages %}<{{ m.role }}>{{ m.content.split('</think>')[-1] }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant><think>\n{% endif %}",
    "list content": "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% elif m.content is iterable %}{% for c in m.content %}"
    "{% if c.type == 'text' %}{{ c.text }}{% endif %}{% endfor %}{% endif %}{% endfor %}",
    "tool calls": "{% for m in messages if m.tool_calls is defined and m.tool_calls %}{% for c in m.tool_calls %}{% set f = c.function %}"
    "{{ f.name }}: {{ f.arguments | tojson }}{% for k, v in f.arguments | items %}{{ k }}={{ v | tojson if v is mapping or v is sequence and v "
    "is not string else v | string }};{% endfor %}{% endfor %}{% endfor %}",
}

QUESTION = {"role": "user", "content": "Who wrote Glass Harbour?\n\nWrite <answer> and nothing but the answer."}
SYSTEM = {"role": "system", "content": "  Be brief. "}
THOUGHT = {"role": "assistant", "content": "<think>\nIt was her.\n</think>\n\nDaphne", "reasoning_content": "It was her."}
CALL = {"type": "function", "function": {"name": "look_up", "arguments": {"title": "Glass <Harbour>", "best": 2.0, "all": [1, None, True]}}}
CONVERSATIONS = [
    [QUESTION],
    [SYSTEM, QUESTION],
    [SYSTEM, QUESTION, {"role": "assistant", "content": "Daphne"}, {"role": "user", "content": "Surely?"}],
    [QUESTION, THOUGHT, {"role": "user", "content": "é “Surely”?"}],
    [QUESTION, {"role": "assistant", "content": "", "tool_calls": [CALL]}, {"role": "tool", "name": "look_up", "content": "{\"by\": \"Daphne\"}"}],
    [{"role": "user", "content": [{"type": "text", "text": "Who?"}]}],
]


class Frozen(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return DAY


def render(tokenizer, template, messages, thinking, generate):
    try:
        return tokenizer.apply_chat_template(
            messages, chat_template=template, tokenize=False, add_generation_prompt=generate, enable_thinking=thinking
        )
    except Exception:
        return None


def record(templates, conversations):
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>")), **TOKENS)
    utils.datetime = Frozen
    cases = []
    for name, template in templates.items():
        renders = [
            dict(conversation=number, thinking=thinking, generate=generate, text=render(tokenizer, template, messages, thinking, generate))
            for number, messages in enumerate(conversations)
            for thinking, generate in [(True, True), (False, True), (True, False)]
        ]
        cases.append(dict(name=name, template=template, renders=renders))
    return dict(date=str(DAY.date()), tokens=TOKENS, conversations=conversations, cases=cases)


def main():
    # As a template sees them: transformers gives a message's reasoning under every name that templates know.
    conversations = [utils._alias_reasoning_fields(json.loads(json.dumps(messages))) for messages in CONVERSATIONS]
    if sys.argv[1:2] == ["--trl"]:
        # Found and not imported: trl wants PyTorch.
        folder = pathlib.Path(importlib.util.find_spec("trl").origin).parent / "chat_templates"
        golden = record({path.stem: path.read_text() for path in sorted(folder.glob("*.jinja"))}, conversations)
        pathlib.Path(sys.argv[2]).write_text(json.dumps(golden))
    else:
        path = pathlib.Path(sys.argv[1]) if sys.argv[1:] else pathlib.Path(__file__).parent / "templates.json"
        # A line for each case, so that a change can be read.
        golden = json.dumps(record(TEMPLATES, conversations), ensure_ascii=False)
        path.write_text(golden.replace('{"name":', '\n{"name":') + "\n")


if __name__ == "__main__":
    main()
