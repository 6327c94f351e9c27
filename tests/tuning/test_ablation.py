"""`ablate`: grids, real runs that resume, and what it refuses."""

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from hf_seq2seq.errors import InputError
from hf_seq2seq.evaluation.comparison_scores import Draws, Resampling, Scored, part_worth
from hf_seq2seq.metrics import TEXT_METRICS
from hf_seq2seq.recipes import rnn
from hf_seq2seq.tuning.ablation import ablate
from hf_seq2seq.tuning.grid import combinations, describe, folder_name, parse_grid

pytestmark = pytest.mark.usefixtures("forked")

ROWS = "word\tphonemes\n" + "".join(f"{w}\t{' '.join(w).upper()}\n" for w in ("ab", "ba", "aab", "bb", "abab", "baa"))


def test_a_grid_has_every_combination() -> None:
    texts = ("attention=none", "dot", "encoder_layers=1", "2", "num_beams=1", "4")  # as a list of flags has them
    grid = parse_grid(texts, rnn.Config, [42, 43], 100)
    assert (grid.runs, list(grid.training), list(grid.decoding)) == (8, ["attention", "encoder_layers"], ["num_beams"])
    assert str(grid).startswith(
        "8 runs: attention none|dot × encoder_layers 1|2 × 2 seeds; each decoded with num_beams"
    )
    found = list(combinations(grid.training))
    assert describe(found[1]) == "attention=none, encoder_layers=2"
    assert folder_name(found[1]) == "attention-none_encoder_layers-2"
    assert len({folder_name(settings) for settings in found}) == 4
    assert list(combinations({})) == [{}]


def test_what_a_part_is_worth_is_the_mean_over_the_rest() -> None:
    texts = [f"row {n}" for n in range(40)]
    right = {("a", 1): 40, ("a", 2): 30, ("b", 1): 20, ("b", 2): 16}  # of 40 rows
    settings = {f"{x}{y}": {"x": x, "y": y} for x, y in right}
    systems = [
        Scored(name, n, [texts[:count] + [""] * (40 - count)], [[t] for t in texts], {"e": TEXT_METRICS["exact_match"]})
        for n, (name, count) in enumerate(zip(settings, right.values(), strict=True))
    ]
    x, y = part_worth(list(settings), settings, Draws(systems, Resampling(resamples=500)), ["exact_match"])
    assert (x["setting"], x["value"], x["against"], x["pairs"]) == ("x", "b", "a", 2)
    assert x["scores"]["exact_match"]["difference"] == pytest.approx(100 * np.mean([20 - 40, 16 - 30]) / 40)
    assert y["scores"]["exact_match"]["difference"] == pytest.approx(100 * np.mean([30 - 40, 16 - 20]) / 40)
    assert x["scores"]["exact_match"]["high"] < 0


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("train", "validation", "test"):
        (tmp_path / f"{name}.tsv").write_text(ROWS)
    flags = {"recipe": "rnn", "hidden_size": 8, "embedding_size": 8, "max_steps": 2, "tokenizer_type": "char"}
    flags |= {f"{name}_file": f"{name}.tsv" for name in ("train", "validation", "test")}
    flags |= {"max_target_length": 8, "num_beams": 2, "metrics": "chrf", "use_cpu": "true"}
    (tmp_path / "base.yaml").write_text("".join(f"{name}: {value}\n" for name, value in flags.items()))
    return tmp_path / "base.yaml"


def test_the_grid_is_trained_once_and_compared(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machines = "num_machines: 2\nmachine_rank: 1\nmain_process_ip: 127.0.0.1\nmachine_timeout: 1\n"
    base.write_text(base.read_text() + machines)  # runs are made here
    asked: dict[str, Any] = {"vary": "attention=none,general,num_beams=1,2", "resamples": 100}
    found = ablate(str(base), asked).figures
    names = [f"attention={a}, num_beams={b}" for a in ("none", "general") for b in (1, 2)]
    assert [system["name"] for system in found["systems"]] == names
    assert {part["setting"]: part["pairs"] for part in found["parts"]} == {"attention": 2, "num_beams": 2}
    folders = sorted(path.parent.name for path in base.parent.glob("ablation/*/run.yaml"))
    assert folders == ["attention-general_seed-42", "attention-none_seed-42"]
    results = json.loads((base.parent / "ablation/attention-none_seed-42/all_results.json").read_text())
    assert found["systems"][1]["scores"]["chrf"]["score"] == pytest.approx(results["predict_chrf"])
    assert "2 runs: attention none|general; each decoded with num_beams 1|2" in capsys.readouterr().err
    times = {path: path.stat().st_mtime_ns for path in base.parent.glob("ablation/*/model.safetensors")}
    again = ablate(str(base), asked).figures
    assert again["systems"][0]["scores"] == found["systems"][0]["scores"]
    assert times == {path: path.stat().st_mtime_ns for path in base.parent.glob("ablation/*/model.safetensors")}
    page = (base.parent / "ablation/comparison/comparison.html").read_text()
    assert "<title>Comparison of 4 systems</title>" in page
    assert '<td class="name" dir="auto">attention=none, num_beams=1</td>' in page
    assert "is replaced" not in capsys.readouterr().err
    ablate(str(base), asked | {"vary": "attention=none,num_beams=1,2"})
    said = capsys.readouterr().err
    assert "comparison is replaced by a comparison of the present settings" in said
    assert "without attention=general, num_beams=1 and 1 more" in said
    text = base.read_text()
    base.write_text(text.replace("hidden_size: 8", "hidden_size: 16"))
    with pytest.raises(InputError, match=r"holds runs with another --hidden-size: 8 \(now 16\)"):
        ablate(str(base), asked)
    base.write_text(text)
    train = Path(yaml.safe_load(text)["train_file"])
    train.write_text(train.read_text() + train.read_text())
    with pytest.raises(InputError, match=r"holds runs with other rows: .* had [\d,]+, digest \w+ \(now "):
        ablate(str(base), asked)


def test_every_combination_has_a_folder_of_its_own() -> None:
    values = ["x:", "x;", "runs/a", "runs-a", "a" * 200, "a" * 201, "plain"]
    names = [folder_name({"source_prefix": value}) for value in values]
    assert len(set(names)) == len(values)
    assert names[-1] == "source_prefix-plain"
    assert max(map(len, names)) < 150
    assert folder_name({}) == "base"


@pytest.mark.parametrize(
    ("vary", "more", "message"),
    [
        ("atention=none,dot", {}, "--vary: unknown flag '--atention'; did you mean '--attention'"),
        ("attention=", {}, "--vary: attention= lacks a value"),
        ("attention", {}, "'attention' is not NAME=VALUES"),
        ("attention=none,none", {}, "--vary: attention: none is listed twice; list each value once"),
        ("attention=none", {}, "nothing varies: attention is only none; give a flag and two values or more"),
        ("", {}, "nothing varies"),
        ("attention=none,nun", {}, "--vary: .*attention.*'nun'"),
        ("dropout=0.1..0.3", {}, "is a range; list the values"),
        ("train_file=a,b", {}, "--train-file is the same for every run, .* in the file of -c"),
        ("attention=none,dot", {"metrics": "blue"}, "--metrics: unknown metric 'blue'; did you mean 'bleu'"),
        ("attention=none,dot,attention=general", {}, "--attention is named twice"),
        ("attention=none,dot,encoder_layers=1,2,3", {"seeds": 20}, "120 runs: .* × 20 seeds; that is more than"),
        (
            "lr_power=1,2,lr_scheduler_type=polynomial,linear",
            {},
            "--vary: lr_power=2.0, lr_scheduler_type=linear: --lr",
        ),
        ("seed=1,2", {"seeds": 2}, "--seed varies, and so it does by --seeds"),
    ],
)
def test_what_cannot_be_a_grid(base: Path, vary: str, more: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        ablate(str(base), {"vary": vary} | more)
    assert len(str(error.value).splitlines()) == 1
    assert not (base.parent / "ablation").exists()


def test_a_damaged_folder_is_named(base: Path) -> None:
    (base.parent / "ablation").mkdir()
    (base.parent / "ablation" / "ablation.json").write_text("[]")
    with pytest.raises(InputError, match=r"ablation\.json: not a JSON object"):
        ablate(str(base), {"vary": "attention=none,dot"})


def test_a_base_without_a_recipe(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("train_file: a.tsv\n")
    with pytest.raises(InputError, match="has no line 'recipe: NAME'"):
        ablate(str(tmp_path / "my.yaml"), {"vary": "dropout=0,1"})


def test_a_run_that_is_refused_ends_it(base: Path) -> None:
    base.write_text(base.read_text().replace("train.tsv", "nowhere.tsv"))
    with pytest.raises(InputError, match=r"attention=none, seed 42: nowhere\.tsv: no such file"):
        ablate(str(base), {"vary": "attention=none,general"})
    with contextlib.suppress(FileNotFoundError):
        assert not (base.parent / "ablation/comparison").exists()
