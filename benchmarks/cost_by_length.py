"""Time and memory per token by the length of the source: LSTM, LSTM with attention, Transformer.

    python benchmarks/cost_by_length.py [--picture docs/cost-by-length.svg]     # about 4 minutes

Random weights, one thread, float32. Source and target have the same length, of random tokens. Training is the forward
and backward pass of a batch of 2,048 tokens per side, of as many rows as that makes; decoding is greedy search for 8
rows, whatever their length, that may not end before the target's length, with cached states. Each
figure is measured in a process of its own, after a pass on one short row: CPU seconds, and the peak of the resident
memory above what was taken before. An exponent is the slope of a least-squares line through the logarithms of the cost
per token and of the length, over the longest four lengths: 0 is linear in the length, 1 quadratic.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from machine import describe, table
from torch import Tensor
from transformers import PreTrainedModel

from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
from hf_seq2seq.architectures.configuration_transformer import TransformerSeq2SeqConfig
from hf_seq2seq.architectures.modeling_rnn import RnnForConditionalGeneration
from hf_seq2seq.architectures.modeling_transformer import TransformerForConditionalGeneration
from hf_seq2seq.decoding.search import Searcher
from hf_seq2seq.decoding.search_options import Search

LENGTHS = (32, 64, 128, 256, 512, 1024, 2048)
TOKENS = 2048  # per side of a training batch
ROWS = 8  # decoded together
FITTED = 4  # longest lengths
VOCABULARY, WIDTH = 1000, 128
MODELS = ("LSTM", "LSTM with attention", "Transformer")
COSTS = {
    "training": ("µs", "training time per token"),
    "decoding": ("µs", "decoding time per token"),
    "training memory": ("KB", "peak memory of training per token"),
    "decoding memory": ("KB", "peak memory of decoding per token"),
}
COLORS = ("#3D8FD1", "#D55E00", "#009E73")


def make(name: str) -> PreTrainedModel:
    """A model with random weights, about as wide as the others."""
    torch.manual_seed(0)
    if name == "Transformer":
        sizes = {f"{side}_layers": 2 for side in ("encoder", "decoder")}
        sizes |= {f"{side}_attention_heads": 4 for side in ("encoder", "decoder")}
        sizes |= {f"{side}_ffn_dim": 4 * WIDTH for side in ("encoder", "decoder")}
        return TransformerForConditionalGeneration(
            TransformerSeq2SeqConfig(vocab_size=VOCABULARY, d_model=WIDTH, dropout=0.0, **sizes)
        )
    attention = "general" if "attention" in name else "none"
    sizes = {"hidden_size": WIDTH, "embedding_size": WIDTH}
    return RnnForConditionalGeneration(
        RnnSeq2SeqConfig(vocab_size=VOCABULARY, attention=attention, dropout=0.0, **sizes)
    )


def batch_of(length: int, rows: int) -> dict[str, Tensor]:
    """Random sources of one length, `(rows, length)`."""
    ids = torch.randint(5, VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(length))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def train(model: PreTrainedModel, batch: dict[str, Tensor]) -> None:
    """The forward and backward pass of one batch."""
    model.train()
    model(**batch, labels=batch["input_ids"].flip(1)).loss.backward()
    model.zero_grad()


def decode(model: PreTrainedModel, batch: dict[str, Tensor]) -> None:
    """Greedy search for outputs of the source's length."""
    model.eval()
    rows, length = batch["input_ids"].shape
    with torch.inference_mode():
        found = Searcher(model, Search(min_new_tokens=length), length)(batch, range(rows))
    assert all(len(outputs[0].ids) == length for outputs in found)


def memory(name: str) -> int:
    """A figure of this process's memory in bytes: VmRSS now, VmHWM at its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(name)))


def cost(name: str, work: Callable[[PreTrainedModel, dict[str, Tensor]], None], length: int, rows: int) -> list[float]:
    """CPU microseconds and peak kilobytes per token of a side, measured in a process of its own."""
    receiver, sender = os.pipe()
    if not (child := os.fork()):
        model, batch = make(name), batch_of(length, rows)
        work(model, batch_of(8, 1))
        Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
        before, start = memory("VmRSS"), time.process_time()
        work(model, batch)
        found = time.process_time() - start, memory("VmHWM") - before
        os.write(sender, json.dumps(found).encode())
        os._exit(0)
    os.waitpid(child, 0)
    seconds, peak = json.loads(os.read(receiver, 1000))
    return [1e6 * seconds / (rows * length), peak / 1024 / (rows * length)]


def exponent(values: list[float]) -> float:
    """The slope of logarithms over the longest lengths."""
    logs = np.log(np.array([LENGTHS[-FITTED:], values[-FITTED:]]))
    return float(np.polyfit(*logs, 1)[0])


def measured() -> dict[str, dict[str, list[float]]]:
    """Costs per token of a side by model and length: microseconds and kilobytes."""
    found: dict[str, dict[str, list[float]]] = {name: {cost: [] for cost in COSTS} for name in MODELS}
    for name in MODELS:
        for length in LENGTHS:
            for kind, work, rows in (("training", train, TOKENS // length), ("decoding", decode, ROWS)):
                seconds, peak = cost(name, work, length, rows)
                found[name][kind].append(seconds)
                found[name][f"{kind} memory"].append(peak)
    return found


def tables(found: dict[str, dict[str, list[float]]]) -> str:
    """A table for each kind of cost, with the fitted exponents."""
    parts = []
    for kind, (unit, title) in COSTS.items():
        head = [f"{title}, {unit}", *(f"{length:,}" for length in LENGTHS), "exponent"]
        rows = [
            [
                name,
                *(f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in found[name][kind]),
                f"{exponent(found[name][kind]):.2f}",
            ]
            for name in MODELS
        ]
        parts.append(table(head, rows))
    return "\n\n".join(parts)


def draw(found: dict[str, dict[str, list[float]]], picture: str) -> None:
    """Plots all costs on logarithmic axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 7), layout="constrained")
    for axes, (kind, (unit, title)) in zip(figure.subplots(2, 2).flat, COSTS.items(), strict=True):
        for name, color in zip(MODELS, COLORS, strict=True):
            values = found[name][kind]
            axes.plot(LENGTHS, values, "o-", color=color, label=f"{name} ({exponent(values):+.2f})")
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(LENGTHS, [f"{length:,}" for length in LENGTHS])
        axes.set_xlabel("tokens of the source")
        axes.set_ylabel(f"{title}, {unit}")
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.legend(frameon=False, title="exponent")
    figure.savefig(picture, metadata={"Date": None})


def main() -> None:
    """Prints the tables, and draws the picture if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", help="SVG file to write")
    picture = parser.parse_args().picture
    torch.set_num_threads(1)
    print(describe(), end="\n\n")
    found = measured()
    print(tables(found))
    if picture:
        draw(found, picture)


if __name__ == "__main__":
    main()
