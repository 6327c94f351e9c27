"""A baseline trained on a run's rows and scored as models are: configuration, run and files."""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, make_dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from hf_seq2seq import strict_json
from hf_seq2seq.baselines import BASELINES
from hf_seq2seq.baselines.baseline import Baseline, LabelledTexts
from hf_seq2seq.configs import LabelledData, PairData
from hf_seq2seq.data.evaluation_sets import RESULTS, kind_of, learned_by_heart, name_of, sets_of
from hf_seq2seq.data.sources import OpenShare
from hf_seq2seq.errors import InputError, nearest
from hf_seq2seq.evaluation.scored_files import (
    BASELINE_LIKELIHOODS,
    BASELINE_PREDICTIONS,
    read_likelihoods,
)
from hf_seq2seq.evaluation.scoring import Found, check_others, read_others, score_rows
from hf_seq2seq.evaluation.significance import Significance as AnySignificance
from hf_seq2seq.folders import check_folder, fill_folder
from hf_seq2seq.inference import DEFAULT_METRICS
from hf_seq2seq.saved.model_paths import BASELINE_FILE
from hf_seq2seq.sections import Section, flatten, option

FILES = (BASELINE_FILE, "all_results.json", "eval_results.json", "predict_results.json")
PROBLEMS = ("single_label", "multi_label", "regression")
MOST_CLASSES = 0.5
"""Classes per row beyond which labels are taken for targets."""


@dataclass(frozen=True, kw_only=True)
class Significance(AnySignificance):
    """Significance: how sure the scores are, for every metric."""

    confidence: float | None = option(95.0, "Intervals that hold this percentage, by bootstrap.", at_least=1)


@dataclass(frozen=True, kw_only=True)
class Problem(Section):
    """Problem: what a label is."""

    problem_type: str = option("single_label", "What a label is.", choices=PROBLEMS)


@dataclass(frozen=True, kw_only=True)
class Output(Section):
    """Output: what is measured, and where it goes."""

    metrics: tuple[str, ...] = option((), "Metrics, separated by commas; by default those of the task.")
    output_dir: str | None = option(None, "Folder of the predictions and the results.")
    overwrite_output_dir: bool = option(False, "Write into a folder that holds something.")
    json: bool = option(False, "Print one JSON object.")


@dataclass(frozen=True, kw_only=True)
class RawText(PairData):
    """Data: raw text, of which each row is a document."""

    one_document: bool = option(False, "A file is one document, not each of its lines one.")


SECTIONS: dict[str, dict[str, type]] = {
    "pairs": {"data": PairData},
    "labels": {"data": LabelledData, "problem": Problem},
    "text": {"data": RawText},
}
"""The sections of a baseline's configuration by its task, besides its own options."""


@dataclass(frozen=True)
class Outcome:
    """What a baseline did.

    Attributes:
        found: the report of every validation and test set, by split.
        predictions: lines of every set, as they are written: texts, or objects with a label.
        predict: the trained baseline.
        train: rows that it was trained on, and seconds that it took.
        metrics: names of those that it was scored by.
    """

    found: dict[str, Found]
    predictions: dict[str, list[Any]]
    predict: Callable[..., Any]
    train: dict[str, float]
    metrics: tuple[str, ...]

    @property
    def results(self) -> dict[str, float]:
        """All scores, as `all_results.json` has them."""
        scores: dict[str, float] = {f"train_{key}": value for key, value in self.train.items()}
        for split, found in self.found.items():
            parts = [RESULTS[kind_of(split)], *filter(None, [name_of(split)])]
            scores |= {"_".join([*parts, k]): v for k, v in found.items() if isinstance(v, int | float)}
        return scores

    @property
    def shown(self) -> Found:
        """The report of the test sets, or without any of the validation sets; names of sets stand before theirs."""
        kind = "test" if sets_of(self.found, "test") else "validation"
        return {
            f"{name_of(split)}_{key}" if name_of(split) else key: value
            for split in sets_of(self.found, kind)
            for key, value in self.found[split].items()
        }


def find(name: str) -> Baseline:
    """The baseline of a name.

    Raises:
        InputError: there is none; names the nearest.
    """
    found = BASELINES.get(name.replace("-", "_"))
    if found is None:
        raise InputError(f"unknown baseline {name!r}{nearest(name.replace('-', '_'), BASELINES)}")
    return found


def config_class(baseline: Baseline) -> type:
    """All options of a baseline, as sections."""
    sections = {"options": baseline.options, **SECTIONS[baseline.task], "significance": Significance, "output": Output}
    fields = [(name, section, field(default_factory=section)) for name, section in sections.items()]
    return make_dataclass("BaselineConfig", fields, frozen=True, kw_only=True)


def run(name: str, config: Any) -> Outcome:
    """Reads the rows, trains the baseline, scores it and, where a folder is given, writes what it found.

    Raises:
        InputError: rows that cannot be read, that are not of the baseline's task, or none to score.
    """
    baseline, name = find(name), name.replace("-", "_")
    if config.output.output_dir is not None:
        inputs = [getattr(config.data, f"{role}_file") for role in ("train", "validation", "test")]
        paths = [Path(part.rpartition("=")[2]) for value in filter(None, inputs) for part in value.split(",")]
        folder = Path(config.output.output_dir)
        check_folder(folder, config.output.overwrite_output_dir, paths, _replaced(folder))
    for line in learned_by_heart(flatten(config)):
        print(line, file=sys.stderr)
    held_out: list[float] = []
    outcome = RUNS[baseline.task](name, baseline, config, partial(_share, held_out))
    if held_out:
        config = replace(config, data=replace(config.data, validation_split_percentage=held_out[0]))
    if config.output.output_dir is not None:
        config = replace(config, output=replace(config.output, metrics=outcome.metrics))
        save(Path(config.output.output_dir), name, config, outcome)
    return outcome


def _share(taken: list[float], rows: int, available: int) -> float | None:
    """The share of the training rows that `train` holds out, where there is no validation set; told, and noted."""
    from hf_seq2seq.defaults.choosing import validation_choices

    for choice in validation_choices(rows, available):
        print(f"{choice.name} {choice.value:g}: {choice.reason}", file=sys.stderr)
        taken.append(choice.value)
    return taken[0] if taken else None


def _score_pairs(name: str, baseline: Baseline, config: Any, share: OpenShare) -> Outcome:
    from hf_seq2seq.data.pairs import read_pairs
    from hf_seq2seq.data.sources import load_splits
    from hf_seq2seq.data.tabbed_text import split_at_tabs
    from hf_seq2seq.metrics import check_metrics, metrics_for
    from hf_seq2seq.metrics.metric import with_sources

    check_metrics(config.output.metrics, metrics_for("seq2seq"))
    pairs = read_pairs(load_splits(config.data, arrange=split_at_tabs, share=share), config.data)
    sets = _evaluated(pairs)
    chosen = check_metrics(config.output.metrics or _usual_metrics(pairs["train"]), metrics_for("seq2seq"))
    others = read_others(config.significance.compare, config.data.encoding)
    tests = sets_of(sets, "test") or list(sets)
    check_others(others, [len(sets[split]) for split in tests])
    write, train = _timed(baseline, len(pairs["train"]), pairs["train"].sources, pairs["train"].targets, config.options)
    predictions = {split: write(rows.sources) for split, rows in sets.items()}
    found = {
        split: score_rows(
            chosen,
            predictions[split],
            with_sources(rows.references, rows.sources),
            config.significance,
            others if split in tests else None,
        )
        for split, rows in sets.items()
    }
    return Outcome(found, predictions, write, train, tuple(chosen))


def _usual_metrics(rows: Any) -> tuple[str, ...]:
    """The metrics that a model of these pairs is measured by where none are asked for."""
    from hf_seq2seq.defaults.pairs import metric_choices

    source, target = rows.sides
    found = next(iter(metric_choices(source, target, validated=False)))
    return tuple(found.value) if isinstance(found.value, tuple) else DEFAULT_METRICS


def _score_labels(name: str, baseline: Baseline, config: Any, share: OpenShare) -> Outcome:
    from hf_seq2seq.metrics import LABEL_DEFAULTS, check_metrics, metrics_for

    problem = config.problem.problem_type
    if problem not in baseline.problems:
        others = [other for other, each in BASELINES.items() if each.task == "labels" and problem in each.problems]
        raise InputError(f"baseline {name}: not for --problem-type {problem}; for it there are {', '.join(others)}")
    if config.significance.compare:
        raise InputError("--compare: for labels give files of both systems to evaluate: --predictions, --references")
    chosen = check_metrics(config.output.metrics or LABEL_DEFAULTS[problem], metrics_for(problem))
    splits, names = _read_labels(name, config.data, problem, share)
    sets, rows = _evaluated(splits), splits["train"]
    training = LabelledTexts(rows.texts, rows.pairs, rows.labels, max(len(names), 1), problem)
    classify, train = _timed(baseline, len(rows), training, config.options)
    logits = {split: classify(rows.texts, rows.pairs) for split, rows in sets.items()}
    found = {split: score_rows(chosen, logits[split], rows.labels, config.significance) for split, rows in sets.items()}
    predictions = {split: [_label_row(row, names, problem) for row in rows] for split, rows in logits.items()}
    return Outcome(found, predictions, classify, train, tuple(chosen))


def _read_labels(
    name: str, data: LabelledData, problem: str, share: OpenShare
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The labelled rows of every split, and the names of the classes.

    Raises:
        InputError: also for targets of pairs in the place of labels.
    """
    from hf_seq2seq.data.labelled_sources import load_labelled_splits
    from hf_seq2seq.data.labels import read_labelled

    splits = load_labelled_splits(data, problem, share=share)
    if "train" in splits and problem == "single_label":
        alone, names = read_labelled(splits.only(["train"]), data, problem)
        rows, column = len(alone["train"]), alone["train"].columns["label"]
        if len(names) > max(MOST_CLASSES * rows, 20):
            pairs = ", ".join(other for other, each in BASELINES.items() if each.task == "pairs")
            raise InputError(
                f"baseline {name}: column {column!r} has {len(names)} different texts in {rows} rows, which are no "
                f"classes; for pairs of texts there are {pairs}"
            )
    return read_labelled(splits, data, problem)


def _label_row(logits: np.ndarray, names: tuple[str, ...], problem: str) -> dict[str, Any]:
    if problem == "regression":
        return {"prediction": float(logits[0])}
    if problem == "multi_label":
        return {"predictions": [name for name, value in zip(names, logits, strict=True) if value > 0]}
    return {"prediction": names[int(logits.argmax())]}


def _score_text(name: str, baseline: Baseline, config: Any, share: OpenShare) -> Outcome:
    from hf_seq2seq.data.documents import read_documents
    from hf_seq2seq.metrics import check_metrics, metrics_for

    known = metrics_for("likelihood")
    chosen = check_metrics(config.output.metrics or tuple(known), known)
    documents = read_documents(config.data, config.data.one_document, share=share)[0]
    sets, significance = _evaluated(documents), config.significance
    tests = sets_of(sets, "test") or list(sets)
    others = {place: np.array(read_likelihoods(place)) for place in significance.compare}
    check_others(others, [len(sets[split]) for split in tests])
    if min(map(len, sets.values())) == 1:  # which cannot be drawn again
        if others:
            raise InputError("--compare: documents are drawn again, and the test rows are one document")
        significance = replace(significance, confidence=None)
    read, train = _timed(baseline, len(documents["train"]), documents["train"], config.options)
    likelihoods = {split: read(texts) for split, texts in sets.items()}
    found = {
        split: score_rows(
            chosen, likelihoods[split], [[text] for text in texts], significance, others if split in tests else None
        )
        for split, texts in sets.items()
    }
    rows = {split: [{"log_probability": p, "tokens": int(n)} for p, n in likelihoods[split].tolist()] for split in sets}
    return Outcome(found, rows, read, train, tuple(chosen))


RUNS: dict[str, Callable[[str, Baseline, Any, OpenShare], Outcome]] = {
    "pairs": _score_pairs,
    "labels": _score_labels,
    "text": _score_text,
}


def _evaluated(splits: Mapping[str, Any]) -> dict[str, Any]:
    """The validation and test sets.

    Raises:
        InputError: there are none, or no training rows.
    """
    if "train" not in splits:
        raise InputError("no training rows: give --train-file or --dataset-name")
    found = {split: rows for split, rows in splits.items() if split != "train"}
    if not found:
        raise InputError(
            "no rows to score: give --test-file, --validation-file or --validation-split-percentage, such as 10"
        )
    return found


def _timed(baseline: Baseline, rows: int, *args: Any) -> tuple[Any, dict[str, float]]:
    started = time.perf_counter()
    trained = baseline.train(*args)
    return trained, {"samples": rows, "runtime": time.perf_counter() - started}


def save(folder: Path, name: str, config: Any, outcome: Outcome) -> None:
    """Writes flags, results and predictions, which `evaluate --compare` reads as another system's.

    Raises:
        InputError: they cannot be written.
    """
    from hf_seq2seq.data.files.lines import one_line

    with fill_folder(folder, stale=_replaced(folder)) as draft:
        flags = {"baseline": name} | flatten(config)
        (draft / BASELINE_FILE).write_text(yaml.safe_dump(flags, sort_keys=False, allow_unicode=True))
        results = outcome.results
        for file, start in (("all", ""), ("eval", "eval_"), ("predict", "predict_")):
            found = {key: value for key, value in results.items() if key.startswith(start)}
            if found:
                text = strict_json.dumps(found, indent=2, ensure_ascii=False) + "\n"
                (draft / f"{file}_results.json").write_text(text, encoding="utf-8")
        kind = "test" if sets_of(outcome.predictions, "test") else "validation"
        for split in sets_of(outcome.predictions, kind):
            rows = outcome.predictions[split]
            texts = isinstance(rows[0], str)
            lines = [one_line(row) if texts else strict_json.dumps(row, ensure_ascii=False) for row in rows]
            if joined := sum(line != row for line, row in zip(lines, rows, strict=True)) if texts else 0:
                print(f"{joined} predictions have line ends, which are spaces in the file", file=sys.stderr)
            file = predictions_file(split, find(name).task)
            (draft / file).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _replaced(folder: Path) -> list[str]:
    """The files of an earlier baseline that go."""
    patterns = (*BASELINE_PREDICTIONS, BASELINE_LIKELIHOODS)
    return [*FILES, *(path.name for pattern in patterns for path in folder.glob(pattern))]


def predictions_file(split: str, task: str) -> str:
    """The name of the file of a set's predictions, which is that of a run's, or of its likelihoods."""
    suffix = f"_{name_of(split)}" if name_of(split) else ""
    names = {"pairs": "generated_predictions{}.txt", "labels": "predictions{}.jsonl", "text": "likelihoods{}.jsonl"}
    return names[task].format(suffix)
