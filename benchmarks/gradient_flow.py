"""How far gradients reach back: their norms at every step of the source, on a copy task by length.

    python benchmarks/gradient_flow.py               # a table, and the picture gradient_flow.svg beside this program
    python benchmarks/gradient_flow.py --steps 100 --lengths 10,20

Each model reads random symbols and learns to write them again. What is measured, at random weights and after training,
is the norm of the gradient of the loss at the state of each source position: for recurrent models the state of the
encoder's only layer (for an LSTM its output and memory cell together), for a Transformer the embedded symbol. All
directions but the one from left to right are left out, so that the first symbol is the farthest.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from machine import describe, table
from matplotlib.figure import Figure
from torch import Tensor

from hf_seq2seq.analysis.pictures import LINES
from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
from hf_seq2seq.architectures.configuration_transformer import TransformerSeq2SeqConfig
from hf_seq2seq.architectures.modeling_rnn import RnnForConditionalGeneration
from hf_seq2seq.architectures.modeling_transformer import TransformerForConditionalGeneration
from hf_seq2seq.training.gradient_flow import state_flows

SYMBOLS, SPECIAL, END = 20, 4, 1
WIDTH, ROWS, MEASURED, RATE = 64, 32, 8, 2e-3
PICTURE = Path(__file__).with_suffix(".svg")
IDS = {"vocab_size": SYMBOLS + SPECIAL, "source_vocab_size": SYMBOLS + SPECIAL, "dropout": 0.0}


def recurrent(cell: str, attention: str) -> Any:
    """One layer of each, from left to right."""
    options = {"cell": cell, "attention": attention, "bidirectional": False, "hidden_size": WIDTH}
    return RnnForConditionalGeneration(RnnSeq2SeqConfig(**IDS, **options))


def transformer() -> Any:
    """One layer of each."""
    sizes = {f"{side}_{name}": n for side in ("encoder", "decoder") for name, n in (("layers", 1), ("ffn_dim", 128))}
    heads = {f"{side}_attention_heads": 4 for side in ("encoder", "decoder")}
    return TransformerForConditionalGeneration(TransformerSeq2SeqConfig(**IDS, **sizes, **heads, d_model=WIDTH))


MODELS: dict[str, Callable[[], Any]] = {
    "plain RNN": lambda: recurrent("rnn", "none"),
    "LSTM": lambda: recurrent("lstm", "none"),
    "LSTM with attention": lambda: recurrent("lstm", "general"),
    "Transformer": transformer,
}


def draw(rows: int, length: int) -> dict[str, Tensor]:
    """Random rows, whose target is their source."""
    ids = torch.randint(SPECIAL, SPECIAL + SYMBOLS, (rows, length))
    ids = torch.cat([ids, torch.full((rows, 1), END)], 1)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids.clone()}


def train(model: Any, length: int, steps: int) -> float:
    """Trains a model, and returns its accuracy on new symbols in percent, each after the true ones before it."""
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    for _ in range(steps):
        optimizer.zero_grad()
        model(**draw(ROWS, length)).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    batch = draw(ROWS, length)
    with torch.no_grad():
        right = model(**batch).logits.argmax(-1) == batch["labels"]
    return 100 * float(right[:, :-1].float().mean())


def gradient_norms(model: Any, length: int) -> Tensor:
    """Mean norms over rows at every source position, `(length,)`, without the end of the source."""
    torch.manual_seed(2)
    found = [_norms(model, draw(1, length))[:length] for _ in range(MEASURED)]
    return torch.stack(found).mean(0)


def _norms(model: Any, batch: dict[str, Tensor]) -> Tensor:
    if not isinstance(model, TransformerForConditionalGeneration):
        flows = state_flows(model, batch, with_jacobians=False)
        flow = next(flow for name, flow in flows.items() if "encoder" in name)
        return torch.stack([gradient.norm() for gradient in flow.gradients])
    embedded = model.get_input_embeddings()(batch["input_ids"]).detach().requires_grad_()
    loss = model(inputs_embeds=embedded, attention_mask=batch["attention_mask"], labels=batch["labels"]).loss
    return torch.autograd.grad(loss, embedded)[0][0].norm(dim=-1)


def main() -> None:
    """Trains every model on every length, prints the table and draws the longest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300, help="of training")
    parser.add_argument("--lengths", default="10,20,40", help="symbols of a source, separated by commas")
    options = parser.parse_args()
    torch.set_num_threads(1)
    lengths, rows, drawn = [int(length) for length in options.lengths.split(",")], [], {}
    for name, make in MODELS.items():
        for length in lengths:
            torch.manual_seed(1)
            model = make()
            before = gradient_norms(model, length)
            accuracy = train(model, length, options.steps)
            after = gradient_norms(model, length)
            ratios = [f"{float(norms[0] / norms[-1]):.1e}" for norms in (before, after)]
            rows.append([name, str(length), *ratios, f"{accuracy:.0f}"])
            drawn[name] = before, after
            print(*rows[-1], flush=True)
    print(describe(), end="\n\n")
    print(table(["", "length", "first / last, random weights", "first / last, trained", "accuracy"], rows))
    picture(drawn, lengths[-1])


def picture(drawn: dict[str, tuple[Tensor, Tensor]], length: int) -> None:
    """Draws the norms of the longest sources relative to the last position's: dotted before training, solid after."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for color, (name, (before, after)) in zip(LINES, drawn.items(), strict=False):
        places = range(1, length + 1)
        axes.plot(places, before / before[-1], ":", color=color)
        axes.plot(places, after / after[-1], "-", color=color, label=name)
    axes.set_yscale("log")
    axes.set_ylim(bottom=1e-16)
    axes.set_xlabel(f"position in a source of {length} symbols")
    axes.set_ylabel("norm of the gradient / that at the last")
    axes.legend(frameon=False)
    axes.set_title("Copying: dotted at random weights, solid after training", fontsize="medium")
    figure.savefig(PICTURE, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
