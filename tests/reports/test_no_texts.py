"""`analyze`: a report is written whole or not at all; with `--no-texts` no word of a row stands in any of its files."""

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import hf_seq2seq
from hf_seq2seq.api.models import Model

SOURCES = ["zorblax", "quimber", "fjortwyn", "übelkrän", "жуковка"]
TARGETS = ["vexmora", "plundrik", "gwystle", "ökzerna", "мышлятр"]
ROWS = [
    {"source": f"{SOURCES[n]} {SOURCES[(n + k) % 5]}", "target": f"{TARGETS[n]} {TARGETS[(n + k) % 5]}"}
    for n in range(5)
    for k in (0, 1, 2)
]
FLAGS: dict[str, Any] = {"max_new_tokens": 4, "resamples": 100, "num_beams": 2, "show": "1"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    sizes: dict[str, Any] = {"hidden_size": 16, "embedding_size": 16, "tokenizer_type": "word", "max_steps": 20}
    flags: dict[str, Any] = {"learning_rate": 0.02, "use_cpu": True, "separate_vocabularies": True}
    folder = tmp_path_factory.mktemp("model") / "run"
    return hf_seq2seq.train("rnn", train_file=ROWS, output_dir=folder, **sizes, **flags).model


def found_in(folder: Path, words: list[str]) -> set[str]:
    """The words that stand in a file of the folder, written out or escaped."""
    text = "\n".join(path.read_text().lower() for path in folder.rglob("*") if path.is_file())
    return {word for word in words if word in text or json.dumps(word)[1:-1] in text}


def figures(folder: Path) -> Any:
    """The figures of the report by section, without tables."""
    sections = json.loads((folder / "analysis.json").read_text())["sections"]
    return {name: {key: each for key, each in found.items() if key != "tables"} for name, found in sections.items()}


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Lets no file grow beyond a size, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_leaves_the_report_before(model: Model, tmp_path: Path) -> None:
    folder = tmp_path / "report"
    model.analyze(output_dir=folder, test_file=ROWS, **FLAGS)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    size = len(before["analysis.html"])
    assert size > max(len(content) for name, content in before.items() if name != "analysis.html")
    with largest_file(size // 2), pytest.raises(OSError, match=r"File too large.*analysis\.html"):
        model.analyze(output_dir=folder, test_file=ROWS[:8], **FLAGS)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_no_word_of_a_row_is_in_any_file(model: Model, tmp_path: Path) -> None:
    train_file = tmp_path / "train.jsonl"
    train_file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    flags = FLAGS | {"test_file": ROWS, "train_file": str(train_file)}
    whole = model.analyze(output_dir=tmp_path / "report", **flags)
    written = {word for row in whole.sections["rows"].numbers["rows"] for word in row["output"].split()}
    assert len(written & set(TARGETS)) > 1
    assert found_in(tmp_path / "report", [*SOURCES, *TARGETS]) == {*SOURCES, *TARGETS}
    before = figures(tmp_path / "report")

    found = model.analyze(output_dir=tmp_path / "report", no_texts=True, show_worst=2, **flags)
    assert not found_in(tmp_path / "report", [*SOURCES, *TARGETS])
    assert found.sections["ngrams"].left_out
    rows = [json.loads(line) for line in (tmp_path / "report/rows.jsonl").read_text().splitlines()]
    assert len(rows) == len(ROWS)
    assert set(rows[0]) == {"score", "confidence", "log_prob", "reference_log_prob", "log_probs"}
    after = figures(tmp_path / "report")
    for name in ("ledger", "lengths", "exposure", "beam_sizes", "confidence", "frequencies"):
        assert after[name] == before[name]
    assert after["failures"]["rules"] == before["failures"]["rules"]
    assert after["failures"]["rules"]["identical outputs"]["rows"]
    heats = {heat.row: heat for heat in found.sections["attention"].heats}
    assert heats[0].source == [str(n + 1) for n in range(heats[0].weights.shape[3])]
    pictures = {path.stem for path in (tmp_path / "report").glob("attention-row-*.svg")}
    assert pictures == {f"attention-row-{row + 1}" for row in heats}
    assert "texts" in found.page.read_text()


@pytest.mark.parametrize("labels", [["x", "y"], [0.5, 2.0]])
def test_classes_stay(tmp_path: Path, labels: list[Any]) -> None:
    rows = [{"text": text, "label": label} for text, label in zip(SOURCES, [*labels * 2, labels[0]], strict=True)]
    flags: dict[str, Any] = {"from_scratch": True, "model_size": "tiny", "max_steps": 1, "use_cpu": True}
    kind = {"problem_type": "regression"} if labels != ["x", "y"] else {}
    made = hf_seq2seq.train("bert_classifier", train_file=rows * 4, output_dir=tmp_path / "run", **flags, **kind).model
    train_file = tmp_path / "train.jsonl"
    train_file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    flags = {"test_file": rows, "train_file": str(train_file), "output_dir": tmp_path / "report", "resamples": 100}
    made.analyze(**flags)
    assert found_in(tmp_path / "report", SOURCES) == set(SOURCES)
    found = made.analyze(no_texts=True, **flags)
    assert not found_in(tmp_path / "report", SOURCES)
    (table,) = found.sections["overlap"].tables
    assert table.columns == ("row", "training row", "similarity", "same label")
    assert {"output", "references"} <= set(found.sections["rows"].tables[0].columns)
    rows = [json.loads(line) for line in (tmp_path / "report/rows.jsonl").read_text().splitlines()]
    assert all("references" in row and "source" not in row for row in rows)
