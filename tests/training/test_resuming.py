"""Resuming a run: damaged checkpoints are skipped, other models and vocabularies refused."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from hf_seq2seq.cli.root import app
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.errors import InputError
from hf_seq2seq.saved.run_settings import read_run
from hf_seq2seq.training.damage import damage, file_sizes
from hf_seq2seq.training.resuming import find_checkpoint

OLDER, NEWER = "checkpoint-4", "checkpoint-8"
FLAGS = {"tokenizer-type": "char", "hidden-size": "8", "embedding-size": "8", "metrics": "exact_match", "seed": "3"}
FLAGS |= {"max-steps": "8", "save-steps": "4", "eval-steps": "4", "logging-steps": "2"}
FLAGS |= {"per-device-train-batch-size": "8", "max-target-length": "12", "learning-rate": "0.0005"}


def train(pairs: dict[str, str], output: Path, *more: str, **changes: str) -> None:
    given = FLAGS | {name.replace("_", "-"): value for name, value in (pairs | changes).items()}
    words = [text for name, value in given.items() for text in (f"--{name}", value)]
    app(["train", "rnn", *words, "--output-dir", str(output), *more], standalone_mode=False)


RESUME = ("--resume-from-checkpoint", "last")


@pytest.fixture(scope="module")
def trained(pairs: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    train(pairs, folder)
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def test_every_file_of_a_checkpoint_is_missed(run: Path) -> None:
    """Each file is cut in half, emptied and deleted in turn."""
    newest = run / NEWER
    names = list(file_sizes(newest))
    assert {"model.safetensors", "optimizer.safetensors", "trainer_state.json", "tokenizer.json", "run.yaml"} < {*names}
    for name in names:
        path, whole = newest / name, (newest / name).read_bytes()
        for content in (whole[: len(whole) // 2], b"", None):
            path.unlink()
            if content is not None:
                path.write_bytes(content)
            told: list[str] = []
            assert find_checkpoint(run, "last", told.append) == run / OLDER, name
            assert len(told) == 1
            assert str(newest) in told[0]
            assert name.rsplit("/")[-1] in told[0]
            with pytest.raises(InputError, match=rf"the newest complete one is .*{OLDER}"):
                find_checkpoint(run, str(newest))
            path.write_bytes(whole)
    assert find_checkpoint(run, "last") == newest


def test_a_run_from_a_model_resumes_with_what_the_model_said(
    pairs: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The number of heads, the cell and the feeding, which no flag gives, are read from the model."""
    train(pairs, tmp_path / "start", "--cell", "gru", "--input-feeding")
    start = ("--model-name-or-path", str(tmp_path / "start"), "--save-steps", "2", "--max-steps", "4")
    words = [text for name, value in pairs.items() for text in (f"--{name.replace('_', '-')}", value)]
    for output, more in ((tmp_path / "whole", ()), (tmp_path / "part", ()), (tmp_path / "part", RESUME)):
        if more:
            shutil.rmtree(output / "checkpoint-4")
            (output / "model.safetensors").unlink()
        app(["train", "rnn", *words, *start, "--output-dir", str(output), *more], standalone_mode=False)
    whole, part = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "part"))
    assert whole == part
    assert "changed" not in capsys.readouterr().err


def test_a_loss_of_rewards_resumes_beside_metrics_without_its_own(
    pairs: dict[str, str], run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [text for name, value in pairs.items() for text in (f"--{name.replace('_', '-')}", value)]
    words += ["--model-name-or-path", str(run), "--loss-type", "self_critical", "--loss-args", "samples=2"]
    words += ["--metrics", "exact_match", "--save-steps", "2", "--max-steps", "4", "--output-dir", str(tmp_path / "b")]
    app(["train", "rnn", *words], standalone_mode=False)
    whole = read_run(tmp_path / "b" / "run.yaml")
    assert whole["metric_for_best_model"] == "bleu"
    shutil.rmtree(tmp_path / "b" / "checkpoint-4")
    (tmp_path / "b" / "model.safetensors").unlink()
    app(["train", "rnn", *words, *RESUME], standalone_mode=False)
    assert "changed" not in capsys.readouterr().err
    again = read_run(tmp_path / "b" / "run.yaml")
    assert {**again, "resume_from_checkpoint": None} == whole


def test_a_checkpoint_has_a_path_or_a_name_in_the_folder_of_the_run(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_checkpoint(run, OLDER) == run / OLDER
    assert find_checkpoint(run, str(run / OLDER)) == run / OLDER
    with pytest.raises(
        InputError, match=rf"cannot resume from {run}/checkpoint-7: .*the newest complete one is .*{NEWER}"
    ):
        find_checkpoint(run, "checkpoint-7")
    monkeypatch.chdir(run)
    assert find_checkpoint(Path(), OLDER) == Path(OLDER)


STATES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "empty": lambda state: {},
    "a list": lambda state: [state],
    "a word": lambda state: "x",
    "unknown name": lambda state: state | {"is_world_process_zero": True},
    "step is text": lambda state: state | {"global_step": "8"},
    "step is below 0": lambda state: state | {"global_step": -1},
    "an epoch without steps": lambda state: state | {"steps_per_epoch": 0},
    "step is true": lambda state: state | {"max_steps": True},
    "sum is null": lambda state: state | {"train_loss_sum": None},
    "best is a number": lambda state: state | {"best_model_checkpoint": 4},
    "history is a number": lambda state: state | {"log_history": 4},
    "history of numbers": lambda state: state | {"log_history": [1, 2]},
    "a scalar is text": lambda state: state | {"optimizer_scalars": {"0.step": "x"}},
    "data is a number": lambda state: state | {"data": {"train": 3}},
    "rows are text": lambda state: state | {"data": {"train": ["a", "b"]}},
    "data is short": lambda state: state | {"data": {"train": []}},
    "a size is text": lambda state: state | {"files": {"model.safetensors": "y"}},
    "no step": lambda state: {name: value for name, value in state.items() if name != "global_step"},
}


@pytest.mark.parametrize("change", STATES.values(), ids=STATES)
def test_states_that_are_none(run: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = run / NEWER / "trainer_state.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    assert damage(run / NEWER).startswith("trainer_state.json")
    assert find_checkpoint(run, "last") == run / OLDER


@pytest.mark.parametrize("name", ["trainer_state.json", "config.json"])
def test_json_that_is_nested_too_deep(run: Path, name: str) -> None:
    (run / NEWER / name).write_text("[" * 200_000)
    state = run / NEWER / "trainer_state.json"
    if name != state.name:
        state.write_text(json.dumps(json.loads(state.read_text()) | {"files": {}}))
    assert damage(run / NEWER) == f"{name} is not JSON"


def test_a_pipe_in_a_checkpoint_is_not_waited_for(run: Path) -> None:
    for name in ("a.json", "a.safetensors"):
        os.mkfifo(run / NEWER / name)
    assert not damage(run / NEWER)


def test_a_checkpoint_of_an_earlier_version_is_read(run: Path) -> None:
    """It has no sizes of its files, and its state lacks what came later."""
    path = run / NEWER / "trainer_state.json"
    state = json.loads(path.read_text())
    path.write_text(json.dumps({n: v for n, v in state.items() if n not in ("files", "data")}))
    assert find_checkpoint(run, "last") == run / NEWER
    (run / NEWER / "config.json").write_text("{")
    assert "config.json is not JSON" in damage(run / NEWER)


def test_a_damaged_checkpoint_and_a_file_called_one_are_passed_over(
    run: Path, pairs: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The run resumes from the older one, past a garbage line of the log, and ends with the same weights."""
    expected = load_file(run / NEWER / "model.safetensors")
    (run / NEWER / "optimizer.safetensors").write_bytes(b"")
    (run / "checkpoint-60").write_text("mine")
    log = run / "train_log.jsonl"
    log.write_bytes(b'\xff{"loss"\n[1]\n{"step": "x"}\n{}\n' + log.read_bytes() + b'{"step": 9')
    train(pairs, run, *RESUME)
    said = capsys.readouterr().err
    assert "skipped: " in said
    assert "checkpoint-60: not a folder" in said
    assert f"resuming from {run / OLDER}" in said
    found = load_file(run / NEWER / "model.safetensors")
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
    steps = [json.loads(line)["step"] for line in log.read_text().splitlines()]
    assert steps == sorted(steps)
    assert (run / "checkpoint-60").read_text() == "mine"


def test_a_file_stands_where_a_checkpoint_goes(run: Path, pairs: dict[str, str]) -> None:
    shutil.rmtree(run / NEWER)
    (run / NEWER).write_text("mine")
    train(pairs, run, *RESUME)
    assert (run / NEWER).is_dir()
    assert (run / f"{NEWER}.old").read_text() == "mine"


def test_no_checkpoint_is_whole(run: Path, pairs: dict[str, str]) -> None:
    for name in (OLDER, NEWER):
        (run / name / "config.json").unlink()
    with pytest.raises(InputError, match=r"(?s)no checkpoint is complete: .*config.json is missing.*--overwrite"):
        train(pairs, run, *RESUME)


def test_the_best_checkpoint_is_gone(run: Path, pairs: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    path = run / NEWER / "trainer_state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"best_model_checkpoint": "checkpoint-2"}))
    train(pairs, run, *RESUME, max_steps="10")
    assert "unusable and will be selected again: checkpoint-2: not a folder" in capsys.readouterr().err


def best_of(run: Path, step: int) -> tuple[str, float]:
    found = json.loads((run / f"checkpoint-{step}" / "trainer_state.json").read_text())
    return found["best_model_checkpoint"], found["best_metric"]


def test_another_metric_judges_earlier_evaluations_again(run: Path, pairs: dict[str, str]) -> None:
    path = run / NEWER / "trainer_state.json"
    state = json.loads(path.read_text())
    for entry, (loss, matches) in zip(state["log_history"], ((1.0, 60.0), (2.0, 80.0)), strict=True):
        entry |= {"eval_loss": loss, "eval_exact_match": matches}
    path.write_text(json.dumps(state | {"best_model_checkpoint": OLDER, "best_metric": 1.0}))
    settings = run / NEWER / "run.yaml"
    settings.write_text(re.sub("(?m)^metric_for_best_model: .*", "metric_for_best_model: loss", settings.read_text()))
    train(pairs, run, *RESUME, max_steps="9", metric_for_best_model="exact_match")
    assert best_of(run, 9) == (NEWER, 80.0)


def test_evaluations_of_other_rows_are_not_compared(
    run: Path, pairs: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run / NEWER / "trainer_state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"best_model_checkpoint": OLDER, "best_metric": 1e9}))
    fewer = tmp_path / "fewer.tsv"
    fewer.write_text("".join(Path(pairs["validation_file"]).read_text().splitlines(keepends=True)[:-1]))
    train(pairs, run, *RESUME, max_steps="10", validation_file=str(fewer))
    assert "the best checkpoint is selected among those to come" in capsys.readouterr().err
    assert best_of(run, 10)[0] == "checkpoint-10"


def test_more_patience_goes_on_where_less_had_stopped(run: Path, pairs: dict[str, str], tmp_path: Path) -> None:
    output = tmp_path / "patient"
    train(pairs, output, max_steps="20", eval_steps="1", learning_rate="0.9", early_stopping_patience="1")
    stopped = json.loads(
        sorted(output.glob("checkpoint-*"), key=lambda p: int(p.name[11:]))[-1]
        .joinpath("trainer_state.json")
        .read_text()
    )
    assert stopped["stopped_early"]
    again = ["--resume-from-checkpoint", "last"]
    train(pairs, output, *again, max_steps="20", eval_steps="1", learning_rate="0.9", early_stopping_patience="100")
    assert (output / "checkpoint-20").is_dir()


def test_another_run_is_not_written_over_by_a_foreign_checkpoint(
    run: Path, pairs: dict[str, str], trained: Path, tmp_path: Path
) -> None:
    before = (run / "model.safetensors").read_bytes()
    with pytest.raises(
        InputError, match=r"checkpoint-4 is of another folder than --output-dir .*run, which contains a"
    ):
        train(pairs, run, "--resume-from-checkpoint", str(trained / OLDER))
    assert (run / "model.safetensors").read_bytes() == before
    train(pairs, tmp_path / "new", "--resume-from-checkpoint", str(trained / OLDER))
    assert (tmp_path / "new" / NEWER).is_dir()


REFUSED = {
    "hidden_size": ("16", r"--hidden-size 8 \(not 16\)"),
    "cell": ("gru", r"--cell lstm \(not gru\)"),
    "optim": ("adafactor", r"--optim adamw \(not adafactor\)"),
    "attention": ("dot", r"--attention location \(not dot\)"),
    "residual": ("true", r"--residual False \(not True\)"),
    "tokenizer_type": ("bpe", r"--tokenizer-type char \(not bpe\)"),
    "vocab_size": ("9", r"--vocab-size 8000 \(not 9\)"),
    "objective": ("dialogue", r"--objective supervised \(not dialogue\)"),
    "max_steps": ("6", r"--max-steps: 6 is less than the 8 steps that .* has done"),
    "per_device_train_batch_size": ("4", r"steps per epoch, this run has"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_run_may_not_change(run: Path, pairs: dict[str, str], name: str) -> None:
    value, message = REFUSED[name]
    before = file_sizes(run)
    with pytest.raises(InputError, match=message) as error:
        train(pairs, run, *RESUME, **{name: value})
    assert len(str(error.value).splitlines()) <= 2
    assert file_sizes(run) == before


def test_fewer_epochs_than_done(run: Path, pairs: dict[str, str]) -> None:
    given = ["--num-train-epochs", "0.1"]
    flags = [text for name, value in FLAGS.items() if name != "max-steps" for text in (f"--{name}", value)]
    files = ["--train-file", pairs["train_file"], "--validation-file", pairs["validation_file"]]
    with pytest.raises(InputError, match=r"has 8 steps done; this run ends at 2"):
        app(["train", "rnn", *flags, *files, *given, *RESUME, "--output-dir", str(run)], standalone_mode=False)


def test_what_has_changed_is_said(run: Path, pairs: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    train(pairs, run, *RESUME, max_steps="9", seed="4", learning_rate="0.01", dropout="0.3")
    said = capsys.readouterr().err
    for change in ("--seed 4 (was 3)", "--learning-rate 0.01 (was 0.0005)", "--max-steps 9 (was 8)", "--dropout 0.3"):
        assert f"changed: {change}" in said
    assert "--output-dir" not in said
    assert "-30 steps" not in said
    train(pairs, run, *RESUME, max_steps="10", seed="4", learning_rate="0.01", dropout="0.1")
    card = (run / "README.md").read_text().split("## Training")[1]
    assert "this command alone does not repeat it" in card
    assert "- at step 8: --dropout 0.3 (was" in card
    assert "- at step 9: --dropout 0.1 (was 0.3)" in card


@pytest.mark.parametrize("change", ["shape", "index", "name", "lacks", "empty"])
def test_the_state_of_another_optimizer(run: Path, pairs: dict[str, str], change: str) -> None:
    """Of the same size in bytes or not: sizes are not compared where the checkpoint did not note them."""
    state = json.loads((run / NEWER / "trainer_state.json").read_text())
    (run / NEWER / "trainer_state.json").write_text(json.dumps(state | {"files": {}}))
    path = run / NEWER / "optimizer.safetensors"
    tensors = load_file(path)
    if change == "shape":
        tensors["0.exp_avg"] = tensors["0.exp_avg"].t().contiguous().reshape(-1)
    elif change == "index":
        tensors["999.exp_avg"] = tensors["0.exp_avg"].clone()
    elif change == "name":
        tensors["0.momentum"] = tensors["0.exp_avg"].clone()
    elif change == "empty":
        tensors.clear()
    else:
        del tensors["0.exp_avg_sq"]
    save_file(tensors, path)
    with pytest.raises(InputError, match=r"optimizer.safetensors: .*(0\.exp_avg|999\.|0\.momentum|no state)"):
        train(pairs, run, *RESUME)


def test_weights_of_another_model(run: Path, pairs: dict[str, str]) -> None:
    state = json.loads((run / NEWER / "trainer_state.json").read_text())
    (run / NEWER / "trainer_state.json").write_text(json.dumps(state | {"files": {}}))
    path = run / NEWER / "model.safetensors"
    tensors = load_file(path)
    name = next(iter(tensors))
    save_file(tensors | {name: torch.zeros(2, 3)}, path, {"format": "pt"})
    with pytest.raises(InputError, match=r"contains another model: .* has the shape \(2, 3\)"):
        train(pairs, run, *RESUME)
    del tensors[name]
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(InputError, match=f"contains another model: it lacks {name}"):
        train(pairs, run, *RESUME)


def edited(pairs: dict[str, str], folder: Path) -> dict[str, str]:
    """The training file with a tenth of its rows in other letters, of which some are new and some rarer than before."""
    lines = Path(pairs["train_file"]).read_text().splitlines()
    for row in range(1, 10):
        lines[row] = lines[row].translate(str.maketrans("abcdefghij", "zyxabcdefg"))
    (folder / "edited.tsv").write_text("\n".join(lines) + "\n")
    return pairs | {"train_file": str(folder / "edited.tsv")}


def test_edited_rows_leave_the_vocabulary_as_it_was(
    run: Path, trained: Path, pairs: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(edited(pairs, tmp_path), run, *RESUME, max_steps="9")
    before, after = (Tokenizers.load(folder).source.get_vocab() for folder in (trained, run))
    assert before == after
    said = capsys.readouterr().err
    assert "changed: train: changed content in its 90 rows" in said
    assert "changed: validation" not in said


def test_last_begins_where_nothing_is_saved_yet(
    pairs: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that was killed before its first checkpoint left a log, or nothing at all."""
    for name, left in (("killed", True), ("new", False)):
        if left:
            (tmp_path / name).mkdir()
            (tmp_path / name / "train_log.jsonl").write_text('{"step": 2, "epoch": 0.1, "loss": 9.0}\n')
        train(pairs, tmp_path / name, *RESUME, max_steps="2")
        assert "contains no checkpoint yet; starting at the first step" in capsys.readouterr().err
        assert (tmp_path / name / "checkpoint-2").is_dir()
        assert (tmp_path / name / "train_log.jsonl").read_text().count('"loss"') == 1


def test_last_does_not_begin_over_a_finished_model(run: Path, pairs: dict[str, str]) -> None:
    for name in (OLDER, NEWER):
        shutil.rmtree(run / name)
    with pytest.raises(InputError, match="contains a finished model and no checkpoint"):
        train(pairs, run, *RESUME)


TINY_T5 = ("--from-scratch", "--config-overrides", "d_model=16,d_kv=8,d_ff=16,num_layers=1,num_heads=2")
TINY_BERT = "hidden_size=16,intermediate_size=16,num_hidden_layers=1,num_attention_heads=2"
TINY_BART = "d_model=16,encoder_layers=1,decoder_layers=1,encoder_ffn_dim=16,decoder_ffn_dim=16"
STARTS = {
    "rnn": ("--hidden-size", "8", "--embedding-size", "8", "--separate-vocabularies"),
    "transformer": ("--d-model", "16", "--encoder-layers", "1", "--decoder-layers", "1"),
    "t5": TINY_T5,
    "t5 on raw text": (*TINY_T5, "--objective", "span_corruption"),
    "bart": ("--from-scratch", "--config-overrides", TINY_BART),
    "gpt": ("--from-scratch", "--hidden-size", "16", "--num-hidden-layers", "1", "--num-attention-heads", "2"),
    "bert_classifier": ("--from-scratch", "--config-overrides", TINY_BERT, "--objective", "masked_language_model"),
}


@pytest.mark.parametrize("name", STARTS)
def test_every_recipe_keeps_its_vocabulary(name: str, pairs: dict[str, str], tmp_path: Path) -> None:
    recipe, _, raw = name.partition(" ")
    raw = raw or ("text" if recipe == "bert_classifier" else "")
    flags = ["--tokenizer-type", "char", "--num-train-epochs", "1", "--save-steps", "3", *STARTS[name]]
    flags += ["--output-dir", str(tmp_path / "run"), "--max-source-length", "16"]
    files = [pairs["train_file"], edited(pairs, tmp_path)["train_file"]]
    found = []
    for number, file in enumerate(files):
        if raw:
            text = tmp_path / f"{number}.txt"
            text.write_text("\n".join(line.split("\t")[0] for line in Path(file).read_text().splitlines()[1:]))
            file = str(text)
        more = [*RESUME, "--learning-rate", "0.0001"] if number else []
        app(["train", recipe, "--train-file", file, *flags, *more], standalone_mode=False)
        folder = tmp_path / "run"
        tokenizers = Tokenizers.load(folder)
        found.append((tokenizers.source.get_vocab(), tokenizers.target.get_vocab()))
    assert found[0] == found[1]


def test_a_classifier_keeps_the_ids_of_its_labels(tmp_path: Path) -> None:
    flags = ["train", "bert_classifier", "--tokenizer-type", "char", "--save-steps", "1", "--class-weights", "balanced"]
    flags += ["--from-scratch", "--config-overrides", TINY_BERT, "--output-dir", str(tmp_path / "run")]

    def go_on(labels: str, *more: str) -> dict[str, str]:
        rows = "".join(f"text {letter},{letter}\n" for letter in labels * 5)
        (tmp_path / "train.csv").write_text("text,label\n" + rows)
        app([*flags, "--train-file", str(tmp_path / "train.csv"), *more], standalone_mode=False)
        names: dict[str, str] = json.loads((tmp_path / "run" / "config.json").read_text())["id2label"]
        return names

    assert go_on("bbcd", "--max-steps", "2") == {"0": "b", "1": "c", "2": "d"}
    assert go_on("cccd", "--max-steps", "3", *RESUME) == {"0": "b", "1": "c", "2": "d"}
    kept = [load_file(tmp_path / "run" / f"checkpoint-{n}" / "training_head.safetensors") for n in (2, 3)]
    assert (
        kept[0]["class_weights"].tolist() == kept[1]["class_weights"].tolist() == pytest.approx([2 / 3, 4 / 3, 4 / 3])
    )
    with pytest.raises(InputError, match="label 'a' was not seen in training"):
        go_on("acd", *RESUME)
