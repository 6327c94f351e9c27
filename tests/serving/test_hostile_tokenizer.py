"""A server whose models have tokenizers that give up on some texts."""

import json
import shutil
from pathlib import Path

import httpx

from hf_seq2seq.api.models import load
from tests.serving.conftest import running


def hostile(folder: Path, copy: Path) -> Path:
    """The same model, with a pattern that tries endless ways to match a text."""
    shutil.copytree(folder, copy)
    for file in copy.rglob("tokenizer.json"):
        tokenizer = json.loads(file.read_text())
        pattern = {"type": "Split", "pattern": {"Regex": "(a+)+b"}, "behavior": "Isolated", "invert": False}
        file.write_text(json.dumps(tokenizer | {"pre_tokenizer": pattern}))
    return copy


def test_a_text_that_a_tokenizer_gives_up_on_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    models = {name: load(hostile(folders[name], tmp_path / name)) for name in ("rnn", "labels")}
    with running(models) as (place, _), httpx.Client(base_url=place, timeout=60) as client:
        for path, name in (("/generate", "rnn"), ("/classify", "labels")):
            answer = client.post(path, json={"model": name, "text": "a" * 60 + "c"})
            assert answer.status_code == 400
            message = answer.json()["error"]["message"]
            assert message.startswith("the tokenizer cannot read this text: Onig: Regex search error")
            assert client.post(path, json={"model": name, "text": "the dog"}).status_code == 200
