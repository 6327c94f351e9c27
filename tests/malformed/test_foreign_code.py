"""Code that comes with a model or a file: none of it runs unless somebody typed that it may; else it is told."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from hf_seq2seq.data import chat

EVIL = "from pathlib import Path\nPath('ran').touch()\n"


@pytest.fixture
def bring_code(place: Path) -> Any:
    """Gives a model code of its own, under every name by which a library would load it."""

    def bring(kind: str) -> None:
        (place / kind / "evil.py").write_text(EVIL)
        (place / "evil.py").write_text(EVIL)
        names = ("AutoConfig", "AutoModel", "AutoModelForSeq2SeqLM", "AutoModelForSequenceClassification")
        code = {"auto_map": dict.fromkeys((*names, "AutoModelForCausalLM"), "evil.Evil")}
        for file, values in {
            "config.json": code | {"model_type": "evil", "custom_pipelines": {"a": {"impl": "evil.Evil"}}},
            "tokenizer_config.json": {"auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}},
            "generation_config.json": {"custom_generate": "evil"},
        }.items():
            path = place / kind / file
            settings = json.loads(path.read_text()) if path.exists() else {}
            path.write_text(json.dumps(settings | values))

    return bring


def test_a_model_that_brings_code(refused: Any, bring_code: Any, place: Path) -> None:
    bring_code("model")
    bring_code("labels")
    train = ["train", "t5", "--train-file", "good.tsv", "--output-dir", "out", "--model-name-or-path", "model"]
    calls = [
        (["generate", "model", "ab"], "--trust-remote-code"),
        (["evaluate", "model", "--test-file", "good.tsv"], "--trust-remote-code"),
        (["export", "model", "new", "--format", "safetensors"], "--trust-remote-code"),
        (["classify", "labels", "ab"], "--trust-remote-code"),
        (train, "--trust-remote-code"),
    ]
    files = ["--predictions", "lines.txt", "--references", "lines.txt"]
    calls.append((["evaluate", *files, "--metrics", "bertscore:labels"], "runs its own code"))
    for call, hint in calls:
        assert hint in refused(*call, stdin=b"y\n" * 9)
    assert not (place / "ran").exists()


def test_a_tokenizer_that_brings_code(attempt: Any, bring_code: Any, place: Path) -> None:
    kept = (place / "labels" / "config.json").read_text()
    bring_code("labels")
    (place / "labels" / "config.json").write_text(kept)
    attempt("classify", "labels", "ab", stdin=b"y\n" * 9)
    files = ["--predictions", "lines.txt", "--references", "lines.txt"]
    attempt("evaluate", *files, "--metrics", "bertscore:labels", stdin=b"y\n" * 9)
    attempt("tokenizer", "show", "labels", "ab", stdin=b"y\n" * 9)
    assert not (place / "ran").exists()


def test_an_adapter_that_names_a_module(refused: Any, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(place))
    (place / "evil.py").write_text(EVIL)
    (place / "adapter").mkdir()
    shutil.copy(place / "model" / "tokenizer.json", place / "adapter")
    settings = {"base_model_name_or_path": "model", "peft_type": "LORA", "r": 2, "target_modules": ["q"]}
    settings |= {"megatron_config": {"a": 1}, "megatron_core": "evil"}
    (place / "adapter" / "adapter_config.json").write_text(json.dumps(settings))
    assert "names a Python module" in refused("generate", "adapter", "ab")
    assert not (place / "ran").exists()


TEMPLATES = {
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}": "does not terminate",
    "{{ raise_exception('no') }}": "rejects it: no",
    "{{ 1 / 0 }}": "fails on it (ZeroDivisionError",
    "{{ messages[0].content + 3 }}": "fails on it (TypeError",
    "{{ range(10 ** 9) }}": "fails on it (OverflowError",
    "{% for": "rejects it",
    "{{ messages.__class__.__mro__ }}{{ ''.__class__.__base__.__subclasses__() }}": "rejects it",
}


@pytest.mark.parametrize("template", TEMPLATES)
def test_chat_templates(refused: Any, place: Path, monkeypatch: pytest.MonkeyPatch, template: str) -> None:
    monkeypatch.setattr(chat, "TEMPLATE_SECONDS", 0.5)
    path = place / "decoder" / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"chat_template": template}))
    (place / "chats.jsonl").write_text('{"messages": [{"role": "user", "content": "ab"}]}\n')
    said = refused("generate", "decoder", "--input-file", "chats.jsonl", "--output-file", "o")
    assert TEMPLATES[template] in said


def test_a_file_of_flags_that_lets_code_run_is_reported(attempt: Any, place: Path) -> None:
    (place / "mine.py").write_text("import nothing_of_this_name\n")
    (place / "a.yaml").write_text("train_file: good.tsv\nrecipe: ./mine.py\n")
    assert "a.yaml:2: runs the code of the recipe ./mine.py" in _told(attempt, "train", "-c", "a.yaml")
    code = "model_name_or_path: nowhere/model\ntrain_file: good.tsv\n"
    (place / "b.yaml").write_text(f"{code}trust_remote_code: true\nmetrics: [bleu, ./m.py]\n")
    said = _told(attempt, "train", "t5", "-c", "b.yaml")
    assert "b.yaml:3: trust_remote_code: runs the model" in said
    assert "b.yaml:4: runs the code of the metric ./m.py" in said
    said = _told(attempt, "train", "t5", "-c", "b.yaml", "--trust-remote-code", "--metrics", "bleu")
    assert "runs the" not in said


def test_every_metric_that_runs_code_is_reported(attempt: Any, place: Path) -> None:
    """In a folder, without a suffix, or behind a colon."""
    (place / "mine").mkdir()
    for path in ("mine/mine.py", "parser"):
        (place / path).write_text("import nothing_of_this_name\n")
    for metric in ("./mine", "mine/", "spice:parser", "spice:mine/mine.py"):
        (place / "c.yaml").write_text(f"train_file: good.tsv\nmetrics: [bleu, '{metric}']\n")
        assert f"c.yaml:2: runs the code of the metric {metric}" in _told(attempt, "train", "t5", "-c", "c.yaml")
    (place / "c.yaml").write_text("train_file: good.tsv\nmetrics: ['bertscore:nobody/model', 'bleu:char']\n")
    assert "runs the code" not in _told(attempt, "train", "t5", "-c", "c.yaml")


def _told(attempt: Any, *call: str) -> str:
    code, said = attempt(*call, "--output-dir", "out", told=True)
    assert code == 2
    return str(said)


RECIPES = {
    "import nothing_of_this_name\n": "mine.py:1: the recipe cannot be imported: ModuleNotFoundError",
    "\n\ndef f(:\n": "mine.py:3: the recipe cannot be imported: SyntaxError",
    "a = 1\n1 / 0\n": "mine.py:2: the recipe cannot be imported: ZeroDivisionError",
    "\0": "mine.py",
    "class Config: pass\n": "a recipe needs 'prepare'",
}


@pytest.mark.parametrize("text", RECIPES)
def test_recipes_that_are_broken(refused: Any, place: Path, text: str) -> None:
    (place / "mine.py").write_text(text)
    for command in ("train", "preview"):
        assert RECIPES[text] in refused(command, "./mine.py", "--train-file", "good.tsv")
