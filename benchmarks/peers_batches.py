"""OpenNMT-py's recurrent model and this project's on the very same batches: what is learned from an update.

    python benchmarks/peers.py rnn --steps 1 --seeds 1 --contenders peer   # once, makes the peer's environment
    python benchmarks/peers_batches.py                                     # about 2 CPU minutes a seed
    python benchmarks/peers_batches.py ours-transfer ours-uniform          # ours with one thing changed

Both models are trained in one process, by the same Adam at a constant rate unless a schedule is named, on batches of
about 1,600 target tokens of eng_us, in the same order; the peer's class is built and initialised as its command does,
with its gradient per sentence clipped at 5. The loss is that of the validation set per target token. Needs `g2p/` in
$HF_SEQ2SEQ_DATA or ../shared/data. Unlike `peers.py`, which compares whole commands, this leaves models, initial values
and schedules alone to differ.
"""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import describe, table
from peers import make_environment
from torch import Tensor, nn
from torch.nn import functional as F

DATA = Path(os.environ.get("HF_SEQ2SEQ_DATA", Path(__file__).parents[2] / "shared" / "data"))
BUDGET, DROPOUT, RATE = 1750, 0.2, 2e-3
PAD, EOS, UNK, BOS = range(4)
CONTENDERS: dict[str, dict[str, Any]] = {  # what is changed in the configuration, or beside it
    "peer": {},
    "ours": {},
    "ours-linear": {"schedule": "linear"},
    "ours-stable-decay": {"schedule": "warmup_stable_decay"},
    "ours-transfer": {"decoder_start": "transfer"},
    "ours-uniform": {"uniform": 0.1},  # initial values of everything, as the peer's
    "ours-bias": {"output_bias": True},
    "ours-embeddings-1": {"initializer_range": 1.0},
}
Row = tuple[list[int], list[int]]


class Peer(nn.Module):
    """OpenNMT-py's bidirectional LSTM with general attention and input feeding, as its command builds it.

    Args:
        sizes: source and target vocabulary.
        width: of embeddings, encoder and decoder.
    """

    def __init__(self, sizes: tuple[int, int], width: int) -> None:
        super().__init__()
        packages = make_environment().parent / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
        sys.path.append(str(packages))
        from onmt.decoders.decoder import InputFeedRNNDecoder
        from onmt.encoders.rnn_encoder import RNNEncoder
        from onmt.modules import Embeddings

        source, target = (
            Embeddings(word_vec_size=width, word_vocab_size=size, word_padding_idx=PAD, dropout=DROPOUT)
            for size in sizes
        )
        self.encoder = RNNEncoder("LSTM", True, 1, width, DROPOUT, source)
        self.decoder = InputFeedRNNDecoder("LSTM", True, 1, width, "general", dropout=DROPOUT, embeddings=target)
        self.generator = nn.Linear(width, sizes[1])
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1)

    def forward(self, sources: Tensor, labels: Tensor) -> Tensor:
        """Logits, `(batch, target, vocabulary)`."""
        lengths = (sources != PAD).sum(1)
        inputs = torch.cat([torch.full((len(sources), 1), BOS), labels[:, :-1].clamp(min=0)], 1)
        outputs, state, _ = self.encoder(sources[..., None], lengths)
        self.decoder.init_state(sources, outputs, state)
        return self.generator(self.decoder(inputs[..., None], outputs, src_len=lengths)[0])


class Ours(nn.Module):
    """This project's model.

    Args:
        sizes: source and target vocabulary.
        width: of embeddings, encoder and decoder.
        changes: of the configuration; "uniform" is the bound of all initial values.
    """

    def __init__(self, sizes: tuple[int, int], width: int, changes: dict[str, Any]) -> None:
        super().__init__()
        from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
        from hf_seq2seq.architectures.modeling_rnn import RnnForConditionalGeneration

        known = {name: value for name, value in changes.items() if hasattr(RnnSeq2SeqConfig, name)}
        settings = {"source_vocab_size": sizes[0], "vocab_size": sizes[1], "hidden_size": width, "dropout": DROPOUT}
        self.model = RnnForConditionalGeneration(RnnSeq2SeqConfig(**settings, input_feeding=True, **known))
        if bound := changes.get("uniform"):
            for parameter in self.parameters():
                nn.init.uniform_(parameter, -bound, bound)

    def forward(self, sources: Tensor, labels: Tensor) -> Tensor:
        """Logits, `(batch, target, vocabulary)`."""
        return self.model(input_ids=sources, attention_mask=(sources != PAD).long(), labels=labels).logits


def main() -> None:
    """Trains the contenders and prints their validation losses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contenders", nargs="*", help=f"some of {', '.join(CONTENDERS)}; by default the first two")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--width", type=int, default=128)
    options = parser.parse_args()
    names = options.contenders or list(CONTENDERS)[:2]
    if unknown := [name for name in names if name not in CONTENDERS]:
        parser.error(f"{unknown[0]!r} is no contender: {', '.join(CONTENDERS)}")
    torch.set_num_threads(1)
    train, development, sizes = read()
    rows = []
    for name in names:
        for seed in options.seeds:
            started = time.process_time()
            losses = learn(name, seed, train, development, sizes, options)
            rows.append([name, str(seed), *(f"{loss:.4f}" for loss in losses), f"{time.process_time() - started:.0f}"])
    print(describe(), end="\n\n")
    heads = [f"loss after {options.steps * part // 4}" for part in (1, 2, 4)]
    print(table(["", "seed", *heads, "CPU s"], rows))


def read() -> tuple[list[Row], list[Row], tuple[int, int]]:
    """Training and validation rows as ids, and the sizes of both vocabularies."""
    texts = {}
    for split in ("train", "dev"):
        lines = (DATA / f"g2p/eng_us_{split}.tsv").read_text(encoding="utf-8").splitlines()
        texts[split] = [(list(word), spoken.split()) for word, spoken in (line.split("\t")[:2] for line in lines)]
    known: list[dict[str, int]] = [{}, {}]
    for pair in texts["train"]:
        for ids, tokens in zip(known, pair, strict=True):
            for token in tokens:
                ids.setdefault(token, len(ids) + BOS + 1)
    sides = {
        split: [
            tuple([ids.get(t, UNK) for t in tokens] for ids, tokens in zip(known, pair, strict=True)) for pair in all_
        ]
        for split, all_ in texts.items()
    }
    return sides["train"], sides["dev"], (len(known[0]) + BOS + 1, len(known[1]) + BOS + 1)  # type: ignore[return-value]


def batches(rows: list[Row], budget: int, draw: np.random.Generator | None) -> list[tuple[Tensor, Tensor]]:
    """Sources and labels of batches of like lengths, at random where there is a generator."""
    order = list(range(len(rows)) if draw is None else draw.permutation(len(rows)))
    order.sort(key=lambda row: (len(rows[row][0]), len(rows[row][1])))
    found: list[list[int]] = []
    longest = 0
    for row in order:
        length = max(len(rows[row][0]), len(rows[row][1]) + 1)
        longest = max(longest, length)
        if not found or longest * (len(found[-1]) + 1) > budget:
            found.append([])
            longest = length
        found[-1].append(row)
    turns = range(len(found)) if draw is None else draw.permutation(len(found))
    return [tensors([rows[row] for row in sorted(found[turn], key=lambda row: -len(rows[row][0]))]) for turn in turns]


def tensors(rows: list[Row]) -> tuple[Tensor, Tensor]:
    """Padded sources and labels, `(batch, length)`."""
    sources = [torch.tensor(source) for source, _ in rows]
    labels = [torch.tensor([*target, EOS]) for _, target in rows]
    return tuple(  # type: ignore[return-value]
        nn.utils.rnn.pad_sequence(side, batch_first=True, padding_value=value)
        for side, value in ((sources, PAD), (labels, -100))
    )


def learn(
    name: str, seed: int, train: list[Row], development: list[Row], sizes: tuple[int, int], options: argparse.Namespace
) -> list[float]:
    """Trains a contender; its validation losses after a quarter, a half and all of the updates."""
    from hf_seq2seq.configs import Schedule
    from hf_seq2seq.training.schedules import learning_rate_factor

    torch.manual_seed(seed)
    draw, changes, queue = np.random.default_rng(seed), CONTENDERS[name], []
    schedule = Schedule(lr_scheduler_type=changes.get("schedule", "constant"))
    model = Peer(sizes, options.width) if name == "peer" else Ours(sizes, options.width, changes)
    optimizer = torch.optim.Adam(model.parameters(), RATE)
    found = []
    for step in range(options.steps):
        queue = queue or batches(train, BUDGET, draw)[::-1]
        sources, labels = queue.pop()
        optimizer.param_groups[0]["lr"] = RATE * learning_rate_factor(step, schedule, options.steps)
        loss = total_loss(model, sources, labels) / (len(sources) if name == "peer" else int((labels != -100).sum()))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0 if name == "peer" else 1.0)
        optimizer.step()
        if step + 1 in (options.steps // 4, options.steps // 2, options.steps):
            found.append(evaluate(model, development))
    return found


def total_loss(model: nn.Module, sources: Tensor, labels: Tensor) -> Tensor:
    """The summed loss of a batch in nats."""
    return F.cross_entropy(model(sources, labels).flatten(0, 1), labels.flatten(), ignore_index=-100, reduction="sum")


@torch.no_grad()
def evaluate(model: nn.Module, rows: list[Row]) -> float:
    """The loss per target token."""
    model.eval()
    total = sum(float(total_loss(model, *batch)) for batch in batches(rows, 2 * BUDGET, None))
    model.train()
    return total / sum(len(target) + 1 for _, target in rows)


if __name__ == "__main__":
    main()
