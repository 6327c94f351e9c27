"""The systems of `compare`: one run or several seeds each, with their predictions and costs."""

import json
import math
import struct
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from statistics import mean, median
from typing import Any

from hf_seq2seq.data.files.text_files import check_file
from hf_seq2seq.errors import InputError
from hf_seq2seq.evaluation.scored_files import BASELINE_PREDICTIONS, Texts, read_cells
from hf_seq2seq.folders import is_path, named_place
from hf_seq2seq.saved.model_paths import BASELINE_FILE
from hf_seq2seq.saved.run_settings import RUN_FILE, read_run
from hf_seq2seq.settings_files import read_json_object
from hf_seq2seq.training.state import LOG_FILE, read_log

UNWRITABLE = frozenset(("Cc", "Cs", "Zl", "Zp"))
"""Categories of characters that break a line, a terminal or a file."""
COSTS = {
    "parameters": "parameters",
    "train_seconds": "training, seconds",
    "train_cpu_seconds": "training, CPU seconds",
    "train_tokens_per_second": "training, tokens a second",
    "rows_per_second": "decoding, rows a second",
    "peak_memory_mb": "peak memory, MB",
}
"""What a run costs, by name; a system has those that the files of all its runs have."""
FASTER_IS_CHEAPER = ("train_tokens_per_second", "rows_per_second")
RESULTS = {
    "train_seconds": "train_runtime",
    "train_cpu_seconds": "train_cpu_time",
    "peak_memory_mb": "train_peak_memory_mb",
}
FILES = (".txt", ".json", ".jsonl", ".csv", ".tsv", ".gz")
"""A place that ends so is a file, not a folder or a Hub id."""
MODEL_FILES = ("config.json", "adapter_config.json")


@dataclass(frozen=True)
class ComparedRun:
    """A place with predictions, or with a model that can write them.

    Attributes:
        place: a folder, a file or a Hub id.
        predictions: the outputs, one per test row; None before the model has written them.
        settings: of its training run, by flat name; empty where none is known.
        costs: by the names of `COSTS`.
    """

    place: str
    predictions: list[str] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    costs: dict[str, float] = field(default_factory=dict)

    @property
    def has_model(self) -> bool:
        """Whether there may be a model, in the folder or on the Hub."""
        path = Path(self.place).expanduser()
        return any((path / name).is_file() for name in MODEL_FILES) if path.is_dir() else not path.is_file()


@dataclass(frozen=True)
class ComparedSystem:
    """A system of one or several runs, which differ by their seeds.

    Attributes:
        name: in tables.
        runs: at least one.
    """

    name: str
    runs: list[ComparedRun]

    @cached_property
    def costs(self) -> dict[str, float]:
        """The mean costs of the runs, as far as all have them."""
        known = [name for name in COSTS if all(name in run.costs for run in self.runs)]
        return {name: mean(run.costs[name] for run in self.runs) for name in known}


def read_systems(words: Sequence[str], encoding: str = "utf-8") -> list[ComparedSystem]:
    """The systems of a command line: `PLACE`, or `NAME=PLACE,PLACE` for the seeds of one system.

    Raises:
        InputError: fewer than two systems, one that is given twice, or a place that cannot be read.
    """
    named = [_named(word) for word in words]
    places = [place for _, found in named for place in found]
    if twice := next((place for place in places if places.count(place) > 1), None):
        raise InputError(f"compare: {twice} is given twice; compare different systems")
    return check_systems([ComparedSystem(name, [read_run_place(p, encoding) for p in found]) for name, found in named])


def given_systems(outputs: dict[str, list[list[str]]]) -> list[ComparedSystem]:
    """Systems whose outputs are in memory, by name; each has a list of texts per seed."""
    return check_systems([ComparedSystem(name, [ComparedRun(name, t) for t in runs]) for name, runs in outputs.items()])


def check_systems(systems: list[ComparedSystem]) -> list[ComparedSystem]:
    """The systems, which must be two or more.

    Raises:
        InputError: fewer, or a name that stands twice or cannot be written into a table.
    """
    if len(systems) < 2:
        raise InputError("compare: give two systems or more: folders of runs, files of predictions, Hub ids")
    names = [system.name for system in systems]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"compare: two systems are called {twice}; name them: one=PLACE other=PLACE")
    if odd := next((name for name in names if UNWRITABLE & set(map(unicodedata.category, name))), None):
        raise InputError(f"compare: the name {odd!a} has control characters or broken bytes; give another: NAME=PLACE")
    return systems


def _named(word: str) -> tuple[str, list[str]]:
    """The name of a system, and its places."""
    name, rest = named_place(word)
    if name is None:
        return _usual_name(word), [word]
    places = [rest] if is_path(rest) else [place.strip() for place in rest.split(",")]
    if not name.strip() or not all(places):
        raise InputError(f"compare: {word!r} is not NAME=PLACE or NAME=PLACE,PLACE, as in lstm=out/lstm-1,out/lstm-2")
    return name.strip(), places


def _usual_name(place: str) -> str:
    return place.rstrip("/") or place


def read_run_place(place: str, encoding: str = "utf-8") -> ComparedRun:
    """What is known at a place: predictions, settings and costs.

    Raises:
        InputError: it has neither predictions nor a model, or several files of predictions.
    """
    if isinstance(place, Texts):
        return ComparedRun(place, [str(cell) for cell in place.cells])
    path = Path(place).expanduser()
    if path.is_file():
        return ComparedRun(place, [str(cell) for cell in read_cells(str(path), "prediction", encoding)])
    if not path.is_dir():
        if path.suffix in FILES:
            check_file(path)
        from hf_seq2seq.saved.model_paths import find_model

        find_model(place)
        return ComparedRun(place)
    files = sorted(file for pattern in BASELINE_PREDICTIONS for file in path.glob(pattern))
    settings = read_run(path / RUN_FILE) or read_run(path / BASELINE_FILE)
    run = ComparedRun(place, None, settings, read_costs(path))
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise InputError(f"{place}: predictions of several test sets: {names}; give one of these files")
    if files:
        return replace(run, predictions=[str(cell) for cell in read_cells(str(files[0]), "prediction", encoding)])
    if not run.has_model:
        raise InputError(f"{place}: contains neither predictions nor a model; give the folder of a finished run")
    return run


def read_costs(folder: Path) -> dict[str, float]:
    """The costs that the files of a run have."""
    results = read_json_object(folder / "all_results.json") if (folder / "all_results.json").is_file() else {}
    found = {name: results[key] for name, key in RESULTS.items() if key in results}
    if results.get("predict_runtime") and results.get("predict_samples"):
        found["rows_per_second"] = results["predict_samples"] / results["predict_runtime"]
    if speed := _training_speed(folder / LOG_FILE):
        found["train_tokens_per_second"] = speed
    if count := count_parameters(folder):
        found["parameters"] = count
    return {name: float(value) for name, value in found.items() if _is_cost(value)}


def _is_cost(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0


def _training_speed(log: Path) -> float | None:
    """The median of the tokens a second that a run's log has."""
    if not log.is_file():
        return None
    name = "tokens_per_second"
    found = [line[name] for line in read_log(log) if _is_cost(line.get(name))]
    return median(found) if found else None


def count_parameters(folder: Path) -> int:
    """The numbers in a folder's weights, from the headers of its files; 0 where there are none that can be read."""
    files = sorted(folder.glob("*.safetensors"))
    models = [f for f in files if f.name.startswith("model")] or [f for f in files if f.name.startswith("adapter")]
    total = 0
    for file in models:
        try:
            with file.open("rb") as stream:
                (size,) = struct.unpack("<Q", stream.read(8))
                header = json.loads(stream.read(min(size, 100_000_000)))
            total += sum(math.prod(each["shape"]) for name, each in header.items() if name != "__metadata__")
        except (OSError, ValueError, struct.error, KeyError, TypeError, AttributeError):
            return 0
    return total
