"""`analyze` on real small models of every family: what it writes, and that it shows what the model computes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hf_seq2seq
from hf_seq2seq.api.models import Model
from hf_seq2seq.errors import InputError
from hf_seq2seq.reports.report import choose_metric

TEXTS = ["ab ba", "abc cba", "bca acb", "ca ac", "bb aac", "c"]
ROWS = [{"source": text, "target": text[::-1]} for text in TEXTS]
FLAGS: dict[str, Any] = {"test_file": ROWS, "max_new_tokens": 8, "resamples": 100}
Checkpoint = Callable[[str, list[str]], str]


@pytest.fixture(scope="module")
def recurrent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sizes: dict[str, Any] = {"hidden_size": 16, "embedding_size": 16, "tokenizer_type": "char", "max_steps": 2}
    folder: Path = tmp_path_factory.mktemp("analyzed") / "run"
    hf_seq2seq.train("rnn", train_file=ROWS * 4, output_dir=folder, use_cpu=True, max_target_length=12, **sizes)
    return folder


def forward_pass(model: Model, text: str, output: list[int]) -> np.ndarray:
    """The attention of a plain forward pass, `(layers, heads, output, source)`."""
    ids = model.tokenizers.source([text], return_tensors="pt")["input_ids"]
    own = model.network.generation_config
    start = own.bos_token_id if own.decoder_start_token_id is None else own.decoder_start_token_id
    inputs = {"input_ids": ids, "decoder_input_ids": torch.tensor([[start, *output[:-1]]])}
    with torch.no_grad():
        return torch.cat(model.network(**inputs, output_attentions=True).cross_attentions).numpy()


@pytest.mark.parametrize("family", ["t5", "bart", "pegasus"])
def test_attention_is_what_the_model_computes(family: str, tiny_checkpoint: Checkpoint, tmp_path: Path) -> None:
    model = hf_seq2seq.load(tiny_checkpoint(family, TEXTS))
    before = model.network.config._attn_implementation
    found = model.analyze(output_dir=tmp_path / "report", show="2", num_beams=2, **FLAGS)
    assert model.network.config._attn_implementation == before
    heats = {heat.row: heat for heat in found.sections["attention"].heats}
    row = [json.loads(line) for line in (tmp_path / "report/rows.jsonl").read_text().splitlines()][1]
    ids = model.tokenizers.source([ROWS[1]["source"]], return_tensors="pt")["input_ids"]
    start = model.network.generation_config.decoder_start_token_id
    model.network.set_attn_implementation("eager")
    with torch.no_grad():
        inputs = {"input_ids": ids, "decoder_input_ids": torch.tensor([[start, *row["ids"][:-1]]])}
        right = model.network(**inputs, output_attentions=True).cross_attentions
    assert heats[1].why == "chosen"
    np.testing.assert_allclose(heats[1].weights, torch.cat(right).numpy(), atol=1e-5)
    assert len(heats[1].source) == ids.shape[1]
    assert len(heats[1].output) == len(row["tokens"]) == heats[1].weights.shape[2]


def test_a_recurrent_model(recurrent: Path) -> None:
    found = hf_seq2seq.load(recurrent).analyze(num_beams=3, **FLAGS)
    assert found.folder == recurrent / "analysis"
    figures = json.loads((found.folder / "analysis.json").read_text())
    assert figures["facts"]["beams"] == 3
    assert figures["facts"]["rows"] == len(ROWS)
    assert {"ledger", "failures", "attention", "rows"} <= set(figures["sections"])
    assert (found.folder / "ledger.svg").is_file()
    assert (found.folder / "saliency-row-1.svg").is_file()
    assert [heat.weights.shape[:2] for heat in found.sections["attention"].heats] == [(1, 1)] * len(ROWS)


@pytest.mark.parametrize("family", ["rnn", "transformer"])
def test_attention_of_hand_built_models(family: str, recurrent: Path, tmp_path: Path) -> None:
    sizes = {"d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "decoder_attention_heads": 2}
    sizes |= {"tokenizer_type": "char", "max_steps": 1, "encoder_attention_heads": 2}
    if family == "transformer":
        data: dict[str, Any] = {"train_file": ROWS * 4, "output_dir": tmp_path / "run", "max_target_length": 12}
        hf_seq2seq.train("transformer", **data, **sizes, use_cpu=True)
    model = hf_seq2seq.load(recurrent if family == "rnn" else tmp_path / "run")
    found = model.analyze(output_dir=tmp_path / "report", num_beams=2, **FLAGS)
    rows = [json.loads(line) for line in (tmp_path / "report/rows.jsonl").read_text().splitlines()]
    heats = [heat for heat in found.sections["attention"].heats if len(heat.output) > 1]
    assert heats
    assert {heat.weights.shape[:2] for heat in heats} == {(1, 1) if family == "rnn" else (2, 2)}
    model.network.eval()
    if family == "transformer":
        model.network.set_attn_implementation("eager")
    for heat in heats:
        right = forward_pass(model, TEXTS[heat.row], rows[heat.row]["ids"])
        np.testing.assert_allclose(heat.weights, right, atol=1e-5)


def test_rows_of_several_languages(tmp_path: Path) -> None:
    rows = [row | {"target_lang": code} for row, code in zip(ROWS, "xyxyxy", strict=True)]
    sizes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "max_steps": 2, "tokenizer_type": "char"}
    model = hf_seq2seq.train("transformer", train_file=rows, output_dir=tmp_path / "run", use_cpu=True, **sizes).model
    report = model.analyze(**FLAGS | {"test_file": rows}, show="1,2", output_dir=tmp_path / "report")
    heats = {heat.row: heat for heat in report.sections["attention"].heats}
    assert heats[0].source[0] == "<2x>"
    assert heats[1].source[0] == "<2y>"


def test_an_adapter(tiny_checkpoint: Checkpoint, tmp_path: Path) -> None:
    base = tiny_checkpoint("t5", TEXTS)
    data: dict[str, Any] = {"train_file": ROWS * 4, "output_dir": tmp_path / "run", "max_target_length": 12}
    flags = {"model_name_or_path": base, "lora_r": 4, "learning_rate": 0.1, "max_steps": 4, "use_cpu": True}
    hf_seq2seq.train("t5", **data, **flags)
    assert (tmp_path / "run/adapter_config.json").is_file()
    model = hf_seq2seq.load(tmp_path / "run")
    found = model.analyze(output_dir=tmp_path / "report", **FLAGS)
    row = json.loads((tmp_path / "report/rows.jsonl").read_text().splitlines()[1])
    heat = next(heat for heat in found.sections["attention"].heats if heat.row == 1)
    model.network.set_attn_implementation("eager")
    model.network.eval()
    np.testing.assert_allclose(heat.weights, forward_pass(model, TEXTS[1], row["ids"]), atol=1e-5)
    plain = hf_seq2seq.load(base)
    plain.network.set_attn_implementation("eager")
    assert np.abs(heat.weights - forward_pass(plain, TEXTS[1], row["ids"])).max() > 1e-3


def test_a_model_without_attention_says_so(tiny_checkpoint: Checkpoint, tmp_path: Path) -> None:
    model = hf_seq2seq.load(tiny_checkpoint("gpt2", TEXTS))
    found = model.analyze(output_dir=tmp_path / "report", **FLAGS)
    assert "no attention" in found.sections["attention"].left_out
    assert "no attention" in found.page.read_text()
    (heat,) = (each for each in found.sections["saliency"].heats if each.row == 1)
    assert heat.weights.shape == (1, 1, len(heat.output), len(heat.source))
    np.testing.assert_allclose(heat.weights.sum(-1), 1, atol=1e-5)
    assert 0 < found.sections["saliency"].numbers["share_of_earlier_output"] < 1
    assert "attention collapse" not in found.sections["failures"].numbers["rules"]


def test_outputs_and_scores_are_those_of_generate_and_evaluate(recurrent: Path, tmp_path: Path) -> None:
    model = hf_seq2seq.load(recurrent)
    found = model.analyze(output_dir=tmp_path, metric="chrf", num_beams=3, **FLAGS)
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    written = model.generate(TEXTS, num_beams=3, max_new_tokens=8, details=True)
    assert [row["output"] for row in rows] == [each.text for each in written]
    np.testing.assert_allclose(rows[0]["log_probs"], written[0].log_probs, atol=1e-4)
    right = model.evaluate(test_file=ROWS, metrics=["chrf"], num_beams=3, max_new_tokens=8)
    assert found.sections["ledger"].numbers["score"] == pytest.approx(right["chrf"])


def test_rows_do_not_depend_on_the_chunk(recurrent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = hf_seq2seq.load(recurrent)
    whole = model.analyze(output_dir=tmp_path / "a", **FLAGS).sections
    monkeypatch.setattr("hf_seq2seq.reports.reading.CHUNK", 2)
    parts = model.analyze(output_dir=tmp_path / "b", **FLAGS).sections
    assert (tmp_path / "a/rows.jsonl").read_text() == (tmp_path / "b/rows.jsonl").read_text()
    assert whole["ledger"].numbers == parts["ledger"].numbers


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"show": "7"}, "--show: '7' is not a row; the test set has rows 1 to 6"),
        ({"metric": "blue"}, "did you mean 'bleu'"),
        ({"metric": "cider"}, "does not score single rows"),
        ({"test_file": "a=x.tsv"}, "x.tsv"),
        ({"output_dir": "/dev/null/new"}, "--output-dir: /dev/null is a file"),
    ],
)
def test_bad_flags(recurrent: Path, tmp_path: Path, flags: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        hf_seq2seq.load(recurrent).analyze(**{"output_dir": tmp_path / "new"} | FLAGS | flags)
    assert not (tmp_path / "new").exists()


def test_the_command(recurrent: Path, tmp_path: Path) -> None:
    import contextlib
    import io

    from hf_seq2seq.cli.analyze import COMMAND

    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    line = [str(recurrent), "--test-file", str(tmp_path / "test.jsonl"), "--output-dir", str(tmp_path / "report")]
    with contextlib.redirect_stdout(io.StringIO()) as said:
        assert COMMAND.run_plain([*line, "--max-new-tokens", "8"])
    assert said.getvalue().splitlines()[-1] == str(tmp_path / "report/analysis.html")
    assert "-0.00" not in said.getvalue()
    figures = json.loads((tmp_path / "report/analysis.json").read_text())["sections"]["ledger"]
    assert said.getvalue().startswith(f"{figures['metric']} {figures['score']:.2f}\n")


def test_no_line_of_the_summary_ends_in_blanks(recurrent: Path, tmp_path: Path) -> None:
    rows = [*ROWS, {"source": "xyz", "target": "zyx"}]
    found = hf_seq2seq.load(recurrent).analyze(output_dir=tmp_path, **FLAGS | {"test_file": rows, "beam_rows": 0})
    unknown = next(line for line in found.summary() if line.startswith("unknown words"))
    assert unknown.endswith("1 row   14.3%  no gain: too few rows are left without these (under 20)")


def test_the_summary_says_what_to_do_about_the_first_fault(recurrent: Path, tmp_path: Path) -> None:
    rows = [*ROWS * 8, *[{"source": "xyz", "target": "zyx"}] * 8]
    found = hf_seq2seq.load(recurrent).analyze(output_dir=tmp_path, **FLAGS | {"test_file": rows, "beam_rows": 0})
    worst = next(line for line in found.sections["ledger"].numbers["lines"] if line["rows"])
    assert (worst["gain"] or 0) > 0
    assert f"to reduce the first of these: {worst['remedy']}" in found.summary()


def test_without_references_the_unsupervised_parts_are_left(recurrent: Path, tmp_path: Path) -> None:
    (tmp_path / "test.txt").write_text("\n".join(TEXTS) + "\n")
    flags = FLAGS | {"test_file": str(tmp_path / "test.txt"), "num_beams": 2, "max_new_tokens": 4}
    found = hf_seq2seq.load(recurrent).analyze(output_dir=tmp_path, **flags)
    assert list(found.sections) == ["ledger", "failures", "attention", "saliency", "confidence", "rows"]
    assert found.summary()[0].startswith("The test rows have no references: scores, the ledger,")
    assert found.summary()[0] in found.page.read_text()
    rules = found.sections["failures"].numbers["rules"]
    assert {"cut off", "loop", "attention collapse"} <= set(rules)
    assert not {"wrong script", "copy failure", "over-generation"} & set(rules)
    assert not any("reference" in rule["rule"] for rule in rules.values())
    confidences = [row["confidence"] for row in found.sections["rows"].numbers["rows"]]
    assert confidences == sorted(confidences)


def test_columns_that_cannot_be_told_apart_are_no_missing_references(recurrent: Path, tmp_path: Path) -> None:
    rows = [{"ein": "ab", "zwei": "ba", "drei": "b"}, {"ein": "b", "zwei": "a", "drei": "a"}]
    with pytest.raises(InputError, match="--source-column and --target-column"):
        hf_seq2seq.load(recurrent).analyze(output_dir=tmp_path, **FLAGS | {"test_file": rows})


def test_losses_after_own_prefixes_are_those_of_exposure(recurrent: Path, tmp_path: Path) -> None:
    from hf_seq2seq.evaluation.exposure_runs import Continuations, ExposureConfig, FewRows, model_exposure

    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    found = hf_seq2seq.load(recurrent).analyze(output_dir=tmp_path, num_beams=1, **FLAGS | {"max_new_tokens": 12})
    asked = ExposureConfig(Continuations(samples=2), FewRows(test_file=str(tmp_path / "test.jsonl")))
    right = model_exposure(str(recurrent), asked, {})
    places = found.sections["exposure"].numbers["positions"]
    assert places
    assert [each["own"] for each in places] == pytest.approx(right.own[: len(places)].tolist(), abs=1e-4)
    assert places[0]["reference"] == pytest.approx(right.reference[0], abs=1e-4)


def test_beam_sizes_are_those_of_evaluate(recurrent: Path, tmp_path: Path) -> None:
    model = hf_seq2seq.load(recurrent)
    sizes = model.analyze(output_dir=tmp_path, metric="chrf", num_beams=3, **FLAGS).sections["beam_sizes"].numbers
    assert [each["beams"] for each in sizes["sizes"]] == [1, 2, 3, 5, 10, 20, 50]
    for each in (sizes["sizes"][1], sizes["sizes"][-1]):
        right = model.evaluate(test_file=ROWS, metrics=["chrf"], num_beams=each["beams"], max_new_tokens=8)
        assert each["score"] == pytest.approx(right["chrf"])
    assert sizes["sizes"][-1]["search_errors"] <= sizes["sizes"][0]["search_errors"]
    none = model.analyze(output_dir=tmp_path, beam_rows=0, **FLAGS).sections["beam_sizes"]
    assert "--beam-rows 0" in none.left_out


def test_the_ledger_is_of_the_first_metric_that_grades_rows() -> None:
    assert choose_metric(None, ("word_error_rate", "phoneme_error_rate"))[0] == "phoneme_error_rate"
    assert choose_metric("word_error_rate", ())[0] == "word_error_rate"
