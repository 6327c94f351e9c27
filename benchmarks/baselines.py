"""Figures of the classical baselines on real data, each with the published figures on the same rows.

    pip install 'hf-seq2seq[baselines]'
    python benchmarks/baselines.py                # all, about three CPU minutes
    python benchmarks/baselines.py --task dutch   # one of them

Needs, in $HF_SEQ2SEQ_DATA or ../shared/data, `g2p/`, `classification/`, `multi30k/` and `lm/`.
"""

import argparse
import gzip
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import describe, table

from hf_seq2seq import baseline

DATA = Path(os.environ.get("HF_SEQ2SEQ_DATA", Path(__file__).parents[2] / "shared" / "data"))
LANGUAGES = {"dutch": "dut", "french": "fre", "italian": "ita", "english": "eng_us"}
LINEAR = [
    ("majority", {}),
    ("naive_bayes", {}),
    ("naive_bayes", {"features": "one_hot"}),
    ("logistic_regression", {"ngram_order": 1, "features": "one_hot"}),
    ("logistic_regression", {}),
]
HELD_OUT = 0.1
"""Share of Shakespeare's end that is the validation set."""


def files(task: str, folder: Path) -> dict[str, Any]:
    """The flags that name the rows of a task."""
    if task in LANGUAGES:
        return {f"{s}_file": str(DATA / "g2p" / f"{LANGUAGES[task]}_{s}.tsv") for s in ("train", "test")}
    if task == "trec":
        names = {s: DATA / "classification" / f"TREC.{s}.all" for s in ("train", "test")}
        return {f"{s}_file": str(path) for s, path in names.items()} | {"encoding": "latin-1"}
    if task == "sst2":
        return {f"{s}_file": str(DATA / "classification" / f"stsa.binary.{s}") for s in ("train", "test")}
    return shakespeare(folder) if task == "shakespeare" else captions(folder)


def shakespeare(folder: Path) -> dict[str, Any]:
    text = (DATA / "lm" / "tinyshakespeare.txt").read_text(encoding="utf-8")
    end = round(len(text) * (1 - HELD_OUT))
    for name, part in (("train", text[:end]), ("test", text[end:])):
        (folder / f"{name}.txt").write_text(part, encoding="utf-8")
    return {f"{s}_file": str(folder / f"{s}.txt") for s in ("train", "test")} | {"one_document": True}


def captions(folder: Path) -> dict[str, Any]:
    for split, name in (("train", "train"), ("test", "test_2016_flickr")):
        text = gzip.decompress((DATA / "multi30k" / f"{name}.en.gz").read_bytes())
        (folder / f"{split}.txt").write_bytes(text)
    return {f"{s}_file": str(folder / f"{s}.txt") for s in ("train", "test")}


RUNS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    **{language: [("nearest", {}), ("joint_ngram", {})] for language in LANGUAGES},
    "trec": LINEAR,
    "sst2": LINEAR,
    "captions": [("ngram_lm", {}), ("ngram_lm", {"units": "characters"})],
    "shakespeare": [("ngram_lm", {"units": "characters"})],
}
METRICS = dict.fromkeys(LANGUAGES, "word_error_rate") | {"trec": "accuracy", "sst2": "accuracy"}
PUBLISHED = {"dutch": "14.7", "french": "8.5", "italian": "19", "english": "41.94", "trec": "92.8", "sst2": "87.0"}


def row(task: str, name: str, flags: dict[str, Any], rows: dict[str, Any]) -> list[str]:
    """A line of the table."""
    metric = METRICS.get(task, "bits_per_byte")
    if name == "nearest":
        flags = flags | {"max_predict_samples": 1000}
    started = time.process_time()
    found = baseline(name, metrics=metric, **flags, **rows).results
    seconds = time.process_time() - started
    low, high = (found.get(f"predict_{metric}_{end}") for end in ("low", "high"))
    interval = f"{low:.1f}–{high:.1f}" if low is not None and metric != "bits_per_byte" else ""
    told = " ".join(f"--{key.replace('_', '-')} {value}" for key, value in flags.items())
    score = f"{found[f'predict_{metric}']:.{3 if metric == 'bits_per_byte' else 1}f}"
    return [
        f"{task}, {metric}",
        f"`{name}{' ' * bool(told)}{told}`",
        score,
        interval,
        PUBLISHED.get(task, ""),
        f"{seconds:.0f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--task", choices=list(RUNS), action="append")
    found = []
    for task in parser.parse_args().task or RUNS:
        with tempfile.TemporaryDirectory() as folder:
            rows = files(task, Path(folder)) | {"validation_split_percentage": 0}  # all rows, as those published had
            found += [row(task, name, flags, rows) for name, flags in RUNS[task]]
    print(describe())
    print(table(["task", "baseline", "score", "95 % interval", "published", "CPU s"], found))


if __name__ == "__main__":
    main()
