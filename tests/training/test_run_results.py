"""What a run leaves: results by their names, predictions by their sets, the model's own settings."""

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from accelerate import Accelerator

from hf_seq2seq.configs import Decoding
from hf_seq2seq.data.shared_rows import hint_on_shared
from hf_seq2seq.problems import LABEL_PROBLEMS
from hf_seq2seq.problems.seq2seq import Seq2SeqProblem
from hf_seq2seq.task import Task
from hf_seq2seq.training import run as run_module
from hf_seq2seq.training.output_folder import make_room
from hf_seq2seq.training.run import describe_start, longest, run, train_results, write_predictions
from hf_seq2seq.training.state import State
from hf_seq2seq.training.weights.precision import FASTER

MakeTask = Callable[..., Task]
SMALL = {"config_overrides": "num_layers=1,num_decoder_layers=1,d_model=32,d_ff=32,num_heads=2,d_kv=16"}


@pytest.fixture
def two_tests(pairs: dict[str, str], tmp_path: Path) -> dict[str, str]:
    lines = Path(pairs["validation_file"]).read_text().splitlines()
    for name, rows in (("de", lines[1:6]), ("en", lines[6:9])):
        (tmp_path / f"{name}.tsv").write_text("\n".join([lines[0], *rows]) + "\n")
    return {"test_file": f"de={tmp_path / 'de.tsv'},en={tmp_path / 'en.tsv'}"}


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text())


def test_a_run_leaves_its_results_by_name(make_task: MakeTask, two_tests: dict[str, str], tmp_path: Path) -> None:
    task = make_task(**SMALL, **two_tests, max_steps=4, logging_steps=3, eval_steps=2, metrics="exact_match,chrf")
    results = run(task)
    folder = tmp_path / "run"
    every = read(folder, "all_results.json")
    assert every == results
    kinds = {prefix: read(folder, f"{prefix}_results.json") for prefix in ("train", "eval", "predict")}
    for prefix, found in kinds.items():
        assert found == {k: v for k, v in every.items() if k.startswith(f"{prefix}_")} | {"epoch": every["epoch"]}
    assert set(every) == set().union(*kinds.values())
    assert {"predict_de_chrf", "predict_en_loss", "predict_chrf", "eval_loss", "train_loss"} <= set(every)
    assert (every["predict_samples"], every["eval_samples"], every["train_samples"]) == (8, 17, 90)
    state = read(folder, "trainer_state.json")
    assert state["global_step"] == every["train_steps"] == 4
    assert every["train_loss"] == pytest.approx(state["train_loss_sum"] / state["target_tokens_seen"])
    assert [entry["step"] for entry in state["log_history"]] == [2, 4]
    assert read(folder, "generation_config.json")["max_new_tokens"] == 12
    for name, rows in (("de", 5), ("en", 3)):
        assert len((folder / f"generated_predictions_{name}.txt").read_text().splitlines()) == rows
    assert not (folder / "generated_predictions.txt").exists()  # those of the validation rows are not written, too


def test_without_test_rows_those_of_validation_are_predicted(make_task: MakeTask, tmp_path: Path) -> None:
    run(make_task(**SMALL, max_steps=1))
    assert len((tmp_path / "run" / "generated_predictions.txt").read_text().splitlines()) == 17
    assert not (tmp_path / "run" / "predict_results.json").exists()


def test_time_is_that_of_every_process(make_task: MakeTask) -> None:
    state = State(global_step=3, train_runtime=10.0, train_cpu_time=8.0, train_loss_sum=6.0, train_loss_weight=4.0)
    found = train_results(make_task(**SMALL), state, 2)
    assert (found["train_runtime"], found["train_cpu_time"], found["train_processes"]) == (10.0, 16.0, 2)
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    assert found["train_peak_memory_mb"] == pytest.approx(int(peak.split()[1]) * 1024 / 1e6, rel=0.01)


def test_a_signal_ends_the_run_by_its_number(
    make_task: MakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published: list[Any] = []
    monkeypatch.setattr(run_module, "publish", published.append)

    class Stopped(run_module.Loop):
        def _step(self, step: Any, number: int) -> int:
            return super()._step(step, signal.SIGTERM)

    monkeypatch.setattr(run_module, "Loop", Stopped)
    with pytest.raises(SystemExit) as ended:
        run(make_task(**SMALL))
    assert ended.value.code == 128 + signal.SIGTERM
    assert (tmp_path / "run" / "checkpoint-1" / "model.safetensors").exists()
    assert not (tmp_path / "run" / "all_results.json").exists()
    assert published == []


def test_no_process_continues_before_there_is_room(make_task: MakeTask, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others would write or read in a folder that the first one is still clearing."""
    events: list[str] = []
    wait = Accelerator.wait_for_everyone
    monkeypatch.setattr(Accelerator, "wait_for_everyone", lambda self: events.append("wait") or wait(self))
    make = run_module.make_room
    monkeypatch.setattr(run_module, "make_room", lambda *given: events.append("room") or make(*given))

    class Noted(run_module.Loop):
        def run(self) -> State:
            events.append("train")
            return super().run()

    monkeypatch.setattr(run_module, "Loop", Noted)
    run(make_task(**SMALL, max_steps=1))
    assert events[: events.index("train") + 1] == ["room", "wait", "train"]


def test_the_start_says_how_many_steps_are_left(make_task: MakeTask, capsys: pytest.CaptureFixture[str]) -> None:
    task = make_task(**SMALL)
    plan = type("Plan", (), {"padding": 0.25, "__len__": lambda self: 9})()
    describe_start(task, plan, State(global_step=1200, max_steps=3000), 2)
    said = capsys.readouterr().err
    assert "rows: train 90, validation 17" in said
    assert "1,800 steps of 3,000 on 2 processes, 9 per epoch, 25.0% of the tokens are padding" in said
    assert f"t5: {task.model.num_parameters():,} parameters train" in said
    assert f"\nfolder  {task.config.run.output_dir}\n" in said
    assert longest(task) == 10


@pytest.mark.parametrize(
    ("steps", "bf16", "able", "told"),
    [(3000, False, True, True), (3000, True, True, False), (300, False, True, False), (3000, False, False, False)],
)
def test_a_long_run_learns_of_a_faster_precision(
    steps: int, bf16: bool, able: bool, told: bool, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx512_bf16": able})
    task = make_task(**SMALL)
    config = replace(task.config, optimization=replace(task.config.optimization, bf16=bf16))
    plan = type("Plan", (), {"padding": 0.25, "__len__": lambda self: 9})()
    describe_start(replace(task, config=config), plan, State(max_steps=steps), 1)
    assert (f"{FASTER}\n" in capsys.readouterr().err) == told


def test_the_start_names_evaluation_sets_that_are_training_rows(
    make_task: MakeTask, capsys: pytest.CaptureFixture[str]
) -> None:
    task = make_task(**SMALL)
    data = replace(task.config.data, train_file="rows.csv", validation_file="other.csv", test_file="rows.csv")
    task = replace(task, config=replace(task.config, data=data))
    plan = type("Plan", (), {"padding": 0.25, "__len__": lambda self: 9})()
    describe_start(task, plan, State(max_steps=3000), 1)
    said = capsys.readouterr().err
    assert "--test-file: is the --train-file, too; scores on it say nothing of new rows\n" in said
    assert "--validation-file" not in said


def test_the_start_counts_evaluated_rows_that_are_trained_on(
    make_task: MakeTask, capsys: pytest.CaptureFixture[str]
) -> None:
    task = make_task(**SMALL)
    task = replace(task, splits=task.splits | {"test": task.splits["train"]})
    plan = type("Plan", (), {"padding": 0.25, "__len__": lambda self: 9})()
    describe_start(task, plan, State(max_steps=3000), 1)
    assert "warning: 90 of 90 test rows are also train rows; `clean --against` drops them\n" in capsys.readouterr().err
    own = replace(task.config.data, validation_file=None)
    assert hint_on_shared(replace(task.config, data=own)) == "--deduplicate leaves no row twice"
    replies = replace(task.config.denoising, objective=("dialogue",))
    assert hint_on_shared(replace(task.config, denoising=replies)) == ""


def labelled(problem: str, names: tuple[str, ...]) -> Any:
    found = LABEL_PROBLEMS[problem] if names else Seq2SeqProblem(Decoding(), 9)
    return SimpleNamespace(problem=found, label_names=names, splits={})


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        ("multi_label", [{"predictions": ["b"]}, {"predictions": ["a", "c"]}, {"predictions": []}]),
        ("regression", [{"prediction": -1.0}, {"prediction": 0.5}, {"prediction": -2.0}]),
        ("single_label", [{"prediction": "b"}, {"prediction": "c"}, {"prediction": "b"}]),
    ],
)
def test_predictions_of_labels(problem: str, expected: list[dict[str, Any]], tmp_path: Path) -> None:
    logits = np.array([[-1.0, 0.5, -0.1], [0.5, -3.0, 0.7], [-2.0, -0.5, -0.75]])
    task = labelled(problem, ("a", "b", "c"))
    task.splits["test"] = SimpleNamespace(labels=np.array([0, 1, 2]))
    write_predictions(tmp_path, task, {"validation": logits[:1], "test": logits})
    found = (tmp_path / "predictions.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in found] == expected
    assert (tmp_path / "confusion.png").exists() == (problem == "single_label")


def test_a_prediction_is_one_line(tmp_path: Path) -> None:
    write_predictions(tmp_path, labelled("seq2seq", ()), {"test": ["a\nb", "", "c\u2028d"]})
    assert (tmp_path / "generated_predictions.txt").read_text() == "a b\n\nc\u2028d\n"


def test_what_an_earlier_run_left_goes(tmp_path: Path) -> None:
    kept = ["notes.txt", "train.tsv"]
    gone = [
        "all_results.json",
        "trainer_state.json",
        "train_log.jsonl",
        "model.safetensors",
        "generated_predictions.txt",
    ]
    for name in (*kept, *gone):
        (tmp_path / name).write_text("")
    (tmp_path / "checkpoint-5").mkdir()
    make_room(tmp_path, resumes=True)
    assert len(list(tmp_path.iterdir())) == len(kept) + len(gone) + 1
    make_room(tmp_path, resumes=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_the_longest_of_any_split_and_side() -> None:
    splits = {
        name: SimpleNamespace(lengths=np.array(lengths)) for name, lengths in (("train", [[3, 9]]), ("test", [[12, 2]]))
    }
    task: Any = SimpleNamespace(splits=splits)
    assert longest(task) == 12
