"""Export to a Space: its page, run with a stub in place of Gradio, answers as the model does."""

import dataclasses
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from hf_seq2seq.architectures import register
from hf_seq2seq.decoding.classification import TextClassifier, probabilities, windows_of
from hf_seq2seq.decoding.pipeline import Model, load_model
from hf_seq2seq.decoding.text_generator import TextGenerator
from hf_seq2seq.hub.export import export_model
from hf_seq2seq.hub.export_check import greedy
from hf_seq2seq.saved.run_settings import read_settings
from tests.hub.test_export import FAMILIES, make_subject

register()
TEXTS = ["the red dog", "a cat sees the old house", ""]


def run_page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], list[Any]]:
    """What the program of a Space defines, and what it asks of Gradio."""
    asked: list[Any] = []
    names = ("Textbox", "Label", "Interface", "ChatInterface")
    stub = {name: lambda *args, name=name, **named: asked.append((name, args, named)) for name in names}
    monkeypatch.setitem(sys.modules, "gradio", SimpleNamespace(**stub))
    return runpy.run_path(str(folder / "app.py")), asked


@pytest.mark.parametrize("family", ["t5", "transformer", "gpt2"])
def test_outputs_are_the_models(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = make_subject(*FAMILIES[family], tmp_path / "run", separate=family == "transformer")
    report = export_model(str(tmp_path / "run"), subject, tmp_path / "space", "space", "float32")
    assert report["equal"] == report["rows"]
    front, _, _ = (tmp_path / "space" / "README.md").read_text().removeprefix("---\n").partition("---\n")
    assert yaml.safe_load(front)["app_file"] == "app.py"
    needed = (tmp_path / "space" / "requirements.txt").read_text().split("\n")
    assert any(line.startswith("transformers==") for line in needed)
    page, asked = run_page(tmp_path / "space", monkeypatch)
    assert asked[-1][0] == "Interface"
    model, tokenizers, own = load_model(str(tmp_path / "space" / "model"), Model())
    lengths = {"max_new_tokens": own.max_target_length, "max_source_length": own.max_source_length}
    expected = TextGenerator(model, tokenizers, greedy(subject), **lengths)(TEXTS)
    assert [page["generate"](text) for text in TEXTS] == expected


def test_labels_and_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = make_subject(*FAMILIES["bert"], tmp_path / "run")
    export_model(str(tmp_path / "run"), subject, tmp_path / "space", "space", "float32")
    page, asked = run_page(tmp_path / "space", monkeypatch)
    fields = ["Textbox"] * (2 if subject.pairs else 1)
    assert [name for name, _, _ in asked] == [*fields, "Label", "Interface"]
    scores = page["classify"]("the red dog")
    assert list(scores) == ["LABEL_0", "LABEL_1", "LABEL_2"]
    assert sum(scores.values()) == pytest.approx(1)
    assert page["plain"]([{"type": "text", "text": "hi "}, "there"]) == "hi there"


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_a_classifier_reads_long_texts_in_its_windows(
    pooling: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = dataclasses.replace(make_subject(*FAMILIES["bert"], tmp_path / "run"), pairs=None)
    said = f"stride: 2\nmax_source_length: 8\nwindow_pooling: {pooling}\n"
    (tmp_path / "run" / "run.yaml").write_text(said)
    settings = read_settings(str(tmp_path / "run"), subject.model, subject.tokenizers.source)
    subject = dataclasses.replace(subject, settings=settings)
    export_model(str(tmp_path / "run"), subject, tmp_path / "space", "space", "float32")
    page, asked = run_page(tmp_path / "space", monkeypatch)
    assert asked[-1][2]["description"] == "Texts of more than 8 tokens are read in windows."
    text = "the red dog sees the old house and a cat near the green tree by the old house"
    windows = windows_of(subject.tokenizers.source, 8, settings.run)
    classify = TextClassifier(subject.model, subject.tokenizers.source, 8, windows=windows)
    expected = probabilities(classify.logits([text]), "single_label")[0]
    assert list(page["classify"](text).values()) == pytest.approx(list(expected), abs=1e-5)
