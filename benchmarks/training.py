"""Training speed and quality compared with transformers' Seq2SeqTrainer: one model, one data set, one thread, one run.

    python benchmarks/training.py             # tokens per CPU second, about 10 minutes
    python benchmarks/training.py --quality   # validation loss after one epoch each, about 15 minutes

Needs Multi30k, `multi30k/train.de.gz` and so on, in $HF_SEQ2SEQ_DATA or ../shared/data. Every contender runs in a
fresh process, in turn, several times; the table holds medians. Tokens are those of source and target that are not
padding. A step of either side has about the same number of them: 64 examples, or a budget that holds as many. Seconds
are CPU seconds of the whole process between two steps, so they hold collation, the optimizer and all else a step does.
"""

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from machine import describe, table

from hf_seq2seq import configs

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from hf_seq2seq.task import Task

DATA = Path(os.environ.get("HF_SEQ2SEQ_DATA", Path(__file__).parents[2] / "shared" / "data")) / "multi30k"
CONTENDERS = {
    "trainer": "Seq2SeqTrainer, 64 examples",
    "grouped": "Seq2SeqTrainer, 64 examples, group_by_length",
    "float32": "hf-seq2seq, token budget",
    "bf16": "hf-seq2seq, token budget, --bf16",
}
EXAMPLES = 64
TOKENS = 1792  # 64 examples hold 1,690 tokens of Multi30k on average, and 6 % of such batches is padding
WARM_UP = 3
LEARNING_RATE = 5e-4


@dataclass(frozen=True)
class Config:
    """The sections that a task reads."""

    data: configs.PairData = field(default_factory=configs.PairData)
    tokens: configs.NewTokenizer = field(default_factory=configs.NewTokenizer)
    optimization: configs.Optimization = field(default_factory=configs.Optimization)
    schedule: configs.Schedule = field(default_factory=configs.Schedule)
    decoding: configs.Decoding = field(default_factory=configs.Decoding)
    evaluation: configs.Evaluation = field(default_factory=lambda: configs.Evaluation(metrics=()))
    run: configs.Run = field(default_factory=lambda: configs.Run(use_cpu=True))


class Meter:
    """Notes the CPU time at which every step takes its batch, and the batch's tokens."""

    def __init__(self) -> None:
        self._seconds: list[float] = []
        self._tokens: list[int] = []

    def mark(self, batch: "dict[str, Tensor]") -> None:
        """Called once per step."""
        self._tokens.append(int(batch["attention_mask"].sum() + (batch["labels"] != -100).sum()))
        self._seconds.append(time.process_time())

    @property
    def speed(self) -> float:
        """Tokens per CPU second from the end of the warm-up to the start of the last step."""
        return sum(self._tokens[WARM_UP:-1]) / (self._seconds[-1] - self._seconds[WARM_UP])


def main() -> None:
    """Runs the contenders in turn and prints the table; with `--contender`, is one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quality", action="store_true", help="compare validation losses in place of speeds")
    parser.add_argument("--rounds", type=int, default=3, help="times that each contender runs (speed)")
    parser.add_argument("--steps", type=int, default=50, help="steps that are timed (speed)")
    parser.add_argument("--epochs", type=float, default=1.0, help="epochs (quality)")
    parser.add_argument("--seed", type=int, default=1, help="of the weights, the order and dropout")
    parser.add_argument("--contender", choices=tuple(CONTENDERS), help="be one contender, and print JSON")
    options = parser.parse_args()
    if options.contender:
        print(json.dumps(contend(options)))
    elif options.quality:
        compare_quality(options)
    else:
        compare_speed(options)


def compare_speed(options: argparse.Namespace) -> None:
    """Prints medians of tokens per CPU second, and ratios."""
    speeds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for number in range(1, options.rounds + 1):
        for name in CONTENDERS:
            speeds[name].append(start(name, options)["speed"])
            print(f"round {number}: {CONTENDERS[name]}: {speeds[name][-1]:,.0f} tokens/s", file=sys.stderr)
    medians = {name: statistics.median(found) for name, found in speeds.items()}
    rows = []
    for name, title in CONTENDERS.items():
        spread = f"{min(speeds[name]):,.0f}–{max(speeds[name]):,.0f}"
        ratios = [f"{medians[name] / medians[other]:.2f}" for other in ("trainer", "grouped")]
        rows.append([title, f"{medians[name]:,.0f}", spread, *ratios])
    print(describe(), f"{options.rounds} rounds of {options.steps} steps, one thread", sep="\n", end="\n\n")
    print(table(["", "tokens / CPU s", "range", "× plain Trainer", "× grouped"], rows))


def compare_quality(options: argparse.Namespace) -> None:
    """Prints the validation losses after the same number of target tokens."""
    names = ("trainer", "float32")
    results = {name: start(name, options) for name in names}
    rows = []
    for name in names:
        found, ratio = results[name], results[name]["loss"] / results["trainer"]["loss"]
        rows.append([CONTENDERS[name], f"{found['steps']:,}", f"{found['seconds']:,.0f}", f"{found['loss']:.4f}"])
        rows[-1].append(f"{ratio:.4f}")
    print(describe(), f"{options.epochs:g} epochs, seed {options.seed}, one thread", sep="\n", end="\n\n")
    print(table(["", "steps", "CPU s", "validation loss (nats per target token)", "ratio"], rows))


def start(contender: str, options: argparse.Namespace) -> dict[str, Any]:
    """Runs one contender in a fresh process."""
    command = [sys.executable, __file__, "--contender", contender]
    for name in ("steps", "epochs", "seed"):
        command += [f"--{name}", str(getattr(options, name))]
    if options.quality:
        command.append("--quality")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def contend(options: argparse.Namespace) -> dict[str, Any]:
    """Trains as one contender; gives its speed, or with `--quality` its validation loss."""
    import torch

    torch.set_num_threads(1)
    meter = Meter()
    with tempfile.TemporaryDirectory() as folder:
        task = make_task(options, Path(folder))
        if not options.quality:
            task = replace(task, splits={"train": task.splits["train"]})
        started = time.process_time()
        train = train_with_loop if options.contender in ("float32", "bf16") else train_with_trainer
        steps = train(task, meter, options)
        seconds = time.process_time() - started
        return {"steps": steps, "seconds": seconds} | (
            {"loss": validation_loss(task)} if options.quality else {"speed": meter.speed}
        )


def make_task(options: argparse.Namespace, folder: Path) -> "Task":
    """Multi30k from German to English, a tokenizer trained on it, a model with random weights."""
    from hf_seq2seq.data.pairs import Pairs
    from hf_seq2seq.data.tokenizers.vocabulary import train_tokenizers
    from hf_seq2seq.tasks.pairs import pair_task

    steps = None if options.quality else WARM_UP + options.steps + 1
    config = Config(
        optimization=configs.Optimization(
            max_tokens_per_batch=TOKENS, learning_rate=LEARNING_RATE, bf16=options.contender == "bf16"
        ),
        schedule=configs.Schedule(max_steps=steps, num_train_epochs=options.epochs, warmup_ratio=0.1),
        run=configs.Run(output_dir=str(folder), use_cpu=True, seed=options.seed),
    )
    pairs = {
        split: Pairs(read(name, "de"), [[line] for line in read(name, "en")], ("de", "en"))
        for split, name in (("train", "train"), ("validation", "val"))
    }
    tokenizers = train_tokenizers(pairs["train"].sources, pairs["train"].targets, config.tokens)
    return pair_task("bart", config, make_model(len(tokenizers.target), options.seed), tokenizers, pairs)


def read(name: str, language: str) -> list[str]:
    """The lines of a file of Multi30k."""
    path = DATA / f"{name}.{language}.gz"
    if not path.exists():
        sys.exit(f"error: {path}: no such file; HF_SEQ2SEQ_DATA names the folder that holds multi30k/")
    return gzip.open(path, "rt", encoding="utf-8").read().splitlines()


def make_model(vocab_size: int, seed: int) -> "PreTrainedModel":
    """BART's architecture at width 256 with 3 + 3 layers."""
    import torch
    from transformers import BartConfig, BartForConditionalGeneration

    sizes = {"layers": 3, "attention_heads": 4, "ffn_dim": 1024}
    settings = BartConfig(
        vocab_size=vocab_size,
        d_model=256,
        max_position_embeddings=256,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=3,
        decoder_start_token_id=3,
        forced_eos_token_id=1,
        **{f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in sizes.items()},
    )
    torch.manual_seed(seed)
    return BartForConditionalGeneration(settings)


def train_with_loop(task: "Task", meter: Meter, options: argparse.Namespace) -> int:
    """Trains with this project's loop; returns the optimizer steps."""
    from hf_seq2seq.decoding.float32 import quick_float32
    from hf_seq2seq.training.loop import Loop
    from hf_seq2seq.training.run import longest, make_accelerator

    def collate(*arguments: Any) -> "dict[str, Tensor]":
        batch = task.collate(*arguments)
        meter.mark(batch)
        return batch

    loop = Loop(replace(task, collate=collate), make_accelerator(task.config), Path(task.config.run.output_dir))
    with quick_float32(longest(task)):  # as a run does
        return loop.run().global_step


def train_with_trainer(task: "Task", meter: Meter, options: argparse.Namespace) -> int:
    """Trains with Seq2SeqTrainer as its documentation does, with nothing logged or saved; returns the steps."""
    from transformers import DataCollatorForSeq2Seq, Seq2SeqTrainer, Seq2SeqTrainingArguments

    class Metered(Seq2SeqTrainer):
        def training_step(self, model: Any, inputs: Any, *rest: Any) -> Any:
            meter.mark(inputs)
            return super().training_step(model, inputs, *rest)

    train = task.splits["train"]
    assert train.target is not None
    rows = [
        {"input_ids": source.tolist(), "attention_mask": [1] * len(source), "labels": target.tolist()}
        for source, target in zip(train.source, train.target, strict=True)
    ]
    arguments = Seq2SeqTrainingArguments(
        output_dir=task.config.run.output_dir,
        per_device_train_batch_size=EXAMPLES,
        train_sampling_strategy="group_by_length" if options.contender == "grouped" else "random",
        learning_rate=LEARNING_RATE,
        warmup_steps=0.1,  # a share of all steps, as warmup_ratio is in the other contender
        max_steps=task.config.schedule.max_steps or -1,
        num_train_epochs=options.epochs,
        seed=options.seed,
        use_cpu=True,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    collator = DataCollatorForSeq2Seq(task.tokenizers.source, model=task.model)
    trainer = Metered(
        model=task.model,
        args=arguments,
        train_dataset=rows,
        data_collator=collator,
        processing_class=task.tokenizers.source,
    )
    return trainer.train().global_step


def validation_loss(task: "Task") -> float:
    """Nats a target token over the validation rows."""
    from hf_seq2seq.training.evaluation import evaluate_and_predict
    from hf_seq2seq.training.run import make_accelerator

    return evaluate_and_predict(task, "validation", make_accelerator(task.config), "eval")[0]["eval_loss"]


if __name__ == "__main__":
    main()
