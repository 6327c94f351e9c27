"""A learning curve of a tiny model, trained for real, and continued."""

import json
from pathlib import Path

import pytest

import hf_seq2seq
from hf_seq2seq.errors import InputError
from hf_seq2seq.settings_files import read_settings
from hf_seq2seq.tuning.learning_curve import DATA, PICTURE, TABLE, learning_curve, lines
from hf_seq2seq.tuning.learning_curve_config import LearningCurve

pytestmark = pytest.mark.usefixtures("forked")


def test_runs_of_growing_sizes_are_trained_and_kept(tmp_path: Path) -> None:
    words = ["".join(chr(97 + (row * step) % 7) for step in range(1, 5)) for row in range(36)]
    for name, part in (("train.tsv", words[:32]), ("dev.tsv", words[32:])):
        (tmp_path / name).write_text("source\ttarget\n" + "".join(f"{word}\t{word.upper()}\n" for word in part))
    values = {"train_file": str(tmp_path / "train.tsv"), "validation_file": str(tmp_path / "dev.tsv")}
    values |= {"hidden_size": 4, "embedding_size": 4, "max_steps": 1, "metrics": "edit_accuracy"}
    folder, asked = tmp_path / "curve", LearningCurve(sizes=4, gain=1.0)
    with pytest.raises(InputError, match=r"--sizes: 6 need 64 training rows, but there are 32"):
        learning_curve("rnn", values, folder, False, LearningCurve(sizes=6))
    assert not (folder / "1of8").exists()
    curve = hf_seq2seq.learning_curve("rnn", sizes=4, gain=1.0, output_dir=str(folder), **values)
    found = curve.figures
    assert (curve.folder, curve.picture, curve.lines) == (folder, folder / PICTURE, lines(found))
    seeds = [read_settings(str(folder / name / "run.yaml"))["train_samples_seed"].value for name in ("1of8", "1of1")]
    assert seeds == [42, 42]
    assert [(size["run"], size["rows"]) for size in found["sizes"]] == [
        ("1of8", 4), ("1of4", 8), ("1of2", 16), ("1of1", 32)
    ]  # fmt: skip
    logged = [json.loads((folder / name / "train_results.json").read_text()) for name in ("1of8", "1of1")]
    assert [results["train_samples"] for results in logged] == [4, 32]
    assert found["metric"] == "edit_accuracy"
    assert json.loads((folder / DATA).read_text()) == json.loads(json.dumps(found))
    assert (folder / TABLE).read_text().splitlines() == lines(found)
    assert (folder / PICTURE).read_bytes().startswith(b"\x89PNG")
    before = (folder / "1of1/train_results.json").stat().st_mtime_ns
    (folder / DATA).unlink()
    assert learning_curve("rnn", values, folder, False, asked) == found
    assert (folder / "1of1/train_results.json").stat().st_mtime_ns == before
    with pytest.raises(InputError, match=r"another --hidden-size: 4 \(now 8\)"):
        learning_curve("rnn", values | {"hidden_size": 8}, folder, False, asked)


@pytest.mark.parametrize(
    ("flags", "message"),
    [({"gain": -1.0}, "--gain: -1 is no improvement"), ({"curve_confidence": 100.0}, "must be below 100"),
     ({"sizes": 3}, "--sizes")],
)  # fmt: skip
def test_bad_flags(flags: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        LearningCurve(**flags)


def test_what_is_said_of_more_rows() -> None:
    found = {
        "metric": "chrf", "greater_is_better": True, "confidence": 95.0, "held_out": None,
        "sizes": [{"rows": 1000, "score": 40.0, "fitted": 40.1}],
        "law": {"asymptote": 60.0, "factor": 90.0, "exponent": 0.2, "exponent_low": 0.1, "exponent_high": 0.3},
        "twice_the_rows": {"change": 1.0, "change_low": 0.5, "change_high": 1.5},
        "gain": {"score": 2.0, "more_rows": 40123.0, "more_rows_low": 25040.0, "more_rows_high": 89900.0},
    }  # fmt: skip
    assert lines(found)[-1] == "+2 chrf takes about 40,000 more rows (95 %: 25,000 to 90,000)"
    found["gain"] |= {"more_rows_high": None}
    assert lines(found)[-1].endswith("(95 %: from 25,000, without an upper bound)")
    found["gain"] |= {"more_rows": None}
    assert lines(found)[-1] == "+2 chrf is beyond this law's limit (95 %: at least 25,000 more rows)"
    found["law"] |= {"factor": 0.0}  # all scores are equal
    assert lines(found)[-1] == "no law fits: chrf does not get better with more rows; train longer, or try more rows"
