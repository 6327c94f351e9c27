"""When a curriculum helps: short and long sources, clean targets and a third of wrong ones, beside plain training.

    python benchmarks/curricula.py --seeds 1,2,3

A small GRU learns spelling → phonemes from 600 rows of French, in 200 steps. Long sources are three words in a row; a
wrong target is that of another row. Each run has the same steps, batches and first weights; scores are those of the
last step on 300 clean test rows, as phoneme error rates. The loss is that of the plain run's model.

Needs $HF_SEQ2SEQ_DATA or ../shared/data.
"""

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from machine import describe, table

from hf_seq2seq.recipes import rnn
from hf_seq2seq.sections import build
from hf_seq2seq.training.evaluation import evaluate_and_predict
from hf_seq2seq.training.files import write_model
from hf_seq2seq.training.loop import Loop

DATA = Path(os.environ.get("HF_SEQ2SEQ_DATA", Path(__file__).parents[2] / "shared" / "data")) / "g2p"
TRAIN, TEST, WRONG = 600, 300, 1 / 3
MODEL = {
    "cell": "gru",
    "hidden_size": 64,
    "embedding_size": 32,
    "tokenizer_type": "char",
    "target_tokenizer_type": "word",
    "max_steps": 200,
    "per_device_train_batch_size": 32,
    "learning_rate": 5e-3,
    "warmup_steps": 0,
    "lr_scheduler_type": "warmup_stable_decay",
    "num_beams": 1,
    "metrics": "phoneme_error_rate",
    "metric_for_best_model": "loss",
    "validation_split_percentage": 0,
    "logging_steps": 1000,
    "use_cpu": True,
}
# By `--curriculum competence`, to all rows in half of the run. 1 % are 6 rows, 20 % are 120, about the default. Of 400
# steps 200 are taken, and 79 % of the rows take part in the end.
CURRICULA: dict[str, dict[str, Any]] = {
    "plain": {},
    "length, from 1 %": {"difficulty": "length", "initial_competence": 0.01},
    "length, from 20 %": {"difficulty": "length", "initial_competence": 0.2},
    "loss, from 1 %": {"difficulty": "loss", "initial_competence": 0.01},
    "loss, from 50 %, 400 steps": {"difficulty": "loss", "initial_competence": 0.5, "curriculum_steps": 400},
}


def main() -> None:
    """Trains every setting on every kind of rows for every seed, and prints the error rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="1,2,3", help="separated by commas")
    seeds = [int(seed) for seed in parser.parse_args().seeds.split(",")]
    torch.set_num_threads(1)
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for name, words, wrong in (
            *(("short, clean", 1, 0.0), ("short, noisy", 1, WRONG)),
            *(("long, clean", 3, 0.0), ("long, noisy", 3, WRONG)),
        ):
            found: dict[str, list[float]] = {curriculum: [] for curriculum in CURRICULA}
            for seed in seeds:
                for curriculum, score in scores(Path(folder) / f"{name}-{seed}", words, wrong, seed):
                    found[curriculum].append(score)
                    print(name, curriculum, seed, f"{score:.1f}", f"{time.process_time():.0f} s", flush=True)
            for curriculum, values in found.items():
                each = ", ".join(f"{value:.1f}" for value in values)
                lines.append([name, curriculum, f"{statistics.mean(values):.1f}", each])
    print(describe(), end="\n\n")
    print(table(["rows", "order", "mean", "each seed"], lines))


def scores(folder: Path, words: int, wrong: float, seed: int) -> Iterator[tuple[str, float]]:
    """Each curriculum with its phoneme error rate."""
    folder.mkdir()
    write(folder / "train.tsv", rows("train", TRAIN, words, seed), wrong, seed)
    write(folder / "test.tsv", rows("test", TEST, words, 0), 0.0, 0)
    files = {"train_file": str(folder / "train.tsv"), "test_file": str(folder / "test.tsv")}
    for name, flags in CURRICULA.items():
        model = {"difficulty_model": str(folder / "plain")} if flags.get("difficulty") == "loss" else {}
        order = {"curriculum": "competence"} | flags if flags else {}
        place = folder / name
        place.mkdir()
        task = rnn.prepare(build(rnn.Config, MODEL | files | order | model | {"seed": seed, "output_dir": str(place)}))
        accelerator = Accelerator(cpu=True)
        Loop(task, accelerator, place).run()
        write_model(place, task, task.model.state_dict())
        yield name, evaluate_and_predict(task, "test", accelerator, "predict")[0]["predict_phoneme_error_rate"]


def rows(split: str, count: int, words: int, seed: int) -> list[tuple[str, str]]:
    """Rows of so many words each, drawn from a split."""
    lines = (DATA / f"fre_{split}.tsv").read_text().splitlines()
    drawn = random.Random(seed).sample(lines, count * words)
    pairs = [line.split("\t")[:2] for line in drawn]
    parts = [pairs[start : start + words] for start in range(0, len(pairs), words)]
    return [(" ".join(s for s, _ in part), " | ".join(t for _, t in part)) for part in parts]


def write(path: Path, pairs: list[tuple[str, str]], wrong: float, seed: int) -> None:
    """Writes rows, of which a share has the targets of others."""
    chosen = random.Random(seed).sample(range(len(pairs)), int(wrong * len(pairs)))
    targets = [target for _, target in pairs]
    for row, other in zip(chosen, chosen[1:] + chosen[:1], strict=True):
        targets[row] = pairs[other][1]
    path.write_text("source\ttarget\n" + "".join(f"{s}\t{t}\n" for (s, _), t in zip(pairs, targets, strict=True)))


if __name__ == "__main__":
    main()
