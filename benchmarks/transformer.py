"""Training speed of the hand-built Transformer compared with transformers' BART of the same size, in one process.

    python benchmarks/transformer.py     # tokens per CPU second, about 2 minutes

Needs Multi30k, `multi30k/train.de.gz` and so on, in $HF_SEQ2SEQ_DATA or ../shared/data. Both models have width 256,
3 + 3 layers, 4 heads, inner width 1,024, GELU, dropout 0.1 and one table for source, target and output, and train
with this project's objective and optimizer on the same batches of its plan: 1,792 tokens, padding counted. Every batch
goes to both, in alternating order; the ratio is the median of the batches' ratios. Seconds are CPU seconds of forward
and backward pass and the optimizer's step, tokens those of source and target that are not padding.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from machine import describe, table
from training import WARM_UP, make_model, make_task

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from hf_seq2seq.task import Task

POSITIONS = ("sinusoidal", "learned", "rotary", "relative_bias")
BART = "transformers: BartForConditionalGeneration"


def main() -> None:
    """Trains all models side by side and prints the table."""
    import torch

    from hf_seq2seq.decoding.float32 import quick_float32
    from hf_seq2seq.training.run import longest

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40, help="batches that are timed")
    parser.add_argument("--seed", type=int, default=1, help="of the weights, the order and dropout")
    options = parser.parse_args()
    options.quality, options.contender, options.epochs = False, "float32", 1.0  # what make_task reads
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        task = make_task(options, Path(folder))
        with quick_float32(longest(task)):  # as a run does
            tokens, seconds = measure(task, options)
    print(describe(), f"{options.steps} batches, one thread", sep="\n", end="\n\n")
    rows = []
    for name, found in seconds.items():
        ratio = statistics.median(base / own for base, own in zip(seconds[BART], found, strict=True))
        rows.append([name, f"{sum(tokens) / sum(found):,.0f}", f"{ratio:.3f}"])
    print(table(["", "tokens / CPU s", "× BART"], rows))


def measure(task: "Task", options: argparse.Namespace) -> tuple[list[int], dict[str, list[float]]]:
    """Tokens of every batch, and every model's CPU seconds for it."""
    from hf_seq2seq.data.batches import BatchPlan
    from hf_seq2seq.objectives.cross_entropy import TokenCrossEntropy
    from hf_seq2seq.training.optimizers import make_optimizer

    words, optimization = len(task.tokenizers.target), task.config.optimization
    models = {BART: make_model(words, options.seed)}
    models |= {f"hf-seq2seq: Transformer, {kind}": make_transformer(words, kind, options.seed) for kind in POSITIONS}
    trained = {}
    for name, model in models.items():
        optimizer = make_optimizer(dict(model.named_parameters()), optimization)
        trained[name] = (TokenCrossEntropy(model.train()), optimizer)
    plan = BatchPlan(task.training_rows, optimization, 1, options.seed)
    tokens, seconds = [], {name: [] for name in models}
    for number, step in enumerate(plan.epoch(0)[: WARM_UP + options.steps]):
        batch = task.collate(task.splits["train"], step[0])
        names = list(models) if number % 2 else list(models)[::-1]
        for name in names:
            spent = train_on(batch, *trained[name])
            if number >= WARM_UP:
                seconds[name].append(spent)
        if number >= WARM_UP:
            tokens.append(int(batch["attention_mask"].sum() + (batch["labels"] != -100).sum()))
    return tokens, seconds


def make_transformer(vocab_size: int, positions: str, seed: int) -> "PreTrainedModel":
    """The hand-built Transformer at the size of `make_model`."""
    import torch

    from hf_seq2seq.architectures.configuration_transformer import TransformerSeq2SeqConfig
    from hf_seq2seq.architectures.modeling_transformer import TransformerForConditionalGeneration

    sizes = {"layers": 3, "attention_heads": 4, "ffn_dim": 1024}
    settings = TransformerSeq2SeqConfig(
        vocab_size=vocab_size,
        d_model=256,
        activation_function="gelu",
        position_embedding_type=positions,
        max_position_embeddings=256,
        share_embeddings=True,
        **{f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in sizes.items()},
    )
    torch.manual_seed(seed)
    return TransformerForConditionalGeneration(settings)


def train_on(batch: "dict[str, Tensor]", objective: Any, optimizer: Any) -> float:
    """One step; gives its CPU seconds."""
    started = time.process_time()
    (objective(batch) / objective.weight(batch)).backward()
    optimizer.step()
    optimizer.zero_grad()
    return time.process_time() - started


if __name__ == "__main__":
    main()
