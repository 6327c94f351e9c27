"""Questions about a text, with several right answers: from SQuAD's rows to scores and to generated answers."""

import json
from pathlib import Path
from typing import Any

import pytest

from hf_seq2seq.cli.root import app
from hf_seq2seq.errors import InputError
from hf_seq2seq.recipes import gpt, t5
from hf_seq2seq.sections import build

PLACES = ["paris", "rome", "oslo", "bonn"]
SMALL: dict[str, Any] = {
    "from_scratch": True, "tokenizer_type": "char", "max_steps": 2, "max_target_length": 8, "max_source_length": 96,
    "config_overrides": "d_model=32,num_layers=1,d_ff=32", "metrics": "squad", "context_column": "context",
}  # fmt: skip


@pytest.fixture
def rows(tmp_path: Path) -> str:
    """As the Hub's SQuAD has them, once without an answer's beginning."""
    lines = []
    for number, place in enumerate(PLACES * 4):
        answers = {"text": [place, f"in {place}"], "answer_start": [9, 6]}
        row = {"id": str(number), "title": "Homes", "context": f"Ann is in {place}.", "question": "Where is Ann?"}
        lines.append(json.dumps(row | {"answers": answers}) + "\n")
    (tmp_path / "squad.jsonl").write_text("".join(lines))
    return str(tmp_path / "squad.jsonl")


def test_from_rows_to_answers(rows: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "out")
    values = SMALL | {"train_file": rows, "test_file": rows, "output_dir": folder}
    task = t5.prepare(build(t5.Config, values))
    train = task.splits["train"]
    text = "question: Where is Ann? context: Ann is in paris."
    assert train.texts[0] == text
    assert task.tokenizers.source.decode(train.source[0], skip_special_tokens=True) == text
    assert train.references is not None
    assert train.references[0] == ["paris", "in paris"]
    assert task.columns == {"source": "question, context", "target": "answers.text"}
    t5.main(build(t5.Config, values))
    results = json.loads((tmp_path / "out" / "all_results.json").read_text())
    assert {"predict_squad_exact_match", "predict_squad_f1"} <= results.keys()
    capsys.readouterr()
    app(["evaluate", folder, "--json"], standalone_mode=False)
    assert json.loads(capsys.readouterr().out)["squad_f1"] == pytest.approx(results["predict_squad_f1"])
    app(["generate", folder, "--input-file", rows, "--json-lines"], standalone_mode=False)
    written = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert written[0]["source"] == text
    predictions = (tmp_path / "out" / "generated_predictions.txt").read_text().splitlines()
    assert [row["prediction"] for row in written] == predictions


def test_a_decoder_reads_questions_too(rows: str) -> None:
    values = SMALL | {"train_file": rows, "config_overrides": "n_layer=1"}
    task = gpt.prepare(build(gpt.Config, values))
    assert task.splits["train"].texts[1] == "question: Where is Ann? context: Ann is in rome."


def test_a_context_that_is_not_there_is_refused(rows: str) -> None:
    with pytest.raises(InputError, match=r"no column 'contxt' \(--context-column\).*did you mean 'context'"):
        t5.prepare(build(t5.Config, SMALL | {"train_file": rows, "context_column": "contxt"}))
