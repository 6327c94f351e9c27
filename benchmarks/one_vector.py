"""What passes through the context of a recurrent model without attention, in bits, and what that costs.

    python benchmarks/one_vector.py

First a source whose entropy is known: 2^8 equally likely strings, which are written again from a context of few
numbers, rounded to few bits. Then pronunciation (the part of CMUdict that the package ships): an LSTM writes phonemes
from a context of so many numbers, and a second decoder reads the word back from the same frozen context. Figures are of
test words. Where c is rounded, decoders are trained on for a few steps with it rounded.
"""

import argparse
import gzip
import itertools
import json
import random
import sys
import time
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import torch
from machine import describe, table
from torch import Tensor

from hf_seq2seq.analysis.bottleneck import Fitting, Narrow, Sizes, bits_per_row, fit, padded
from hf_seq2seq.metrics import TEXT_METRICS

BITS = (32, 8, 4, 2)
KNOWN_BITS = 8
HIDDEN = 96


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=("known", "words"), nargs="+", default=("known", "words"))
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--widths", type=int, nargs="+", default=(2, 8, 32))
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(describe())
    began = time.process_time()
    if "known" in options.part:
        print(f"\n{KNOWN_BITS} bits that are known:\n\n{known(options.steps)}")
    if "words" in options.part:
        print(f"\nPronunciation:\n\n{words(options.widths, options.steps)}")
    print(f"\n{time.process_time() - began:.0f} CPU s")


def known(steps: int) -> str:
    """Bits of equally likely strings that pass, by width and rounding."""
    strings = padded([list(letters) for letters in itertools.product((3, 4, 5, 6), repeat=KNOWN_BITS // 2)])
    rows = []
    for width in (1, 2, 4, 8):
        model = trained(Sizes(7, 7, width, HIDDEN // 2), strings, strings, steps)
        found = [read_at(model, bits, (strings, strings), (strings, strings), steps // 4) for bits in BITS]
        cells = [
            f"{KNOWN_BITS - each:.2f} of {min(KNOWN_BITS, width * bits)}"
            for bits, each in zip(BITS, found, strict=True)
        ]
        rows.append([str(width), *cells])
    return table(["numbers", *(f"{bits} bits each" for bits in BITS)], rows)


def words(widths: Sequence[int], steps: int) -> str:
    """Bits of words and phonemes that pass, errors and reconstruction, by width and rounding."""
    train, test, right, symbols = pronunciations()
    sizes = [len(each) + 3 for each in symbols]
    entropies = [alone(sizes[side], train[side], test[side], steps) for side in (0, 1)]
    print(
        f"Entropies, estimated by models that read nothing: words {entropies[0]:.1f} bits, phonemes {entropies[1]:.1f}"
    )
    rows = []
    for width in widths:
        model = trained(Sizes(sizes[0], sizes[1], width, HIDDEN), *train, steps)
        reader = Narrow(Sizes(sizes[0], sizes[0], width, HIDDEN))
        fit(reader, train[0], train[0], Fitting(steps), codes_of(model, train[0]))
        for bits in BITS:
            more = 0 if bits == BITS[0] else steps // 8
            back = read_at(model, bits, (train[0], train[0]), (test[0], test[0]), more, reader)
            spoken = read_at(model, bits, train, test, more)
            model.bits = bits
            said, back_words = written(model, reader, test)
            errors = error_rate(said, right, symbols[1])
            whole = 100 * sum(a == b for a, b in zip(back_words, plain(test[0]), strict=True)) / len(back_words)
            model.bits = BITS[0]
            cells = [f"{entropies[0] - back:.1f}", f"{entropies[1] - spoken:.1f}"]
            rows.append([f"{width} × {bits}", f"{width * bits:,}", *cells, f"{whole:.1f}", f"{errors:.1f}"])
            print(rows[-1], file=sys.stderr)
    head = ["c: numbers × bits", "bound", "I(X;c)", "I(c;Y)", "words read back, %", "phoneme error rate, %"]
    return table(head, rows)


def trained(sizes: Sizes, sources: Tensor, targets: Tensor, steps: int) -> Narrow:
    """A model from the seed that all have."""
    torch.manual_seed(1)
    model = Narrow(sizes)
    fit(model, sources, targets, Fitting(steps))
    return model


def codes_of(model: Narrow, sources: Tensor) -> Tensor:
    """The contexts of all sources."""
    return torch.cat([model.code(part) for part in sources.split(1000)])


Sides = tuple[Tensor, Tensor]


def read_at(model: Narrow, bits: int, train: Sides, test: Sides, steps: int, reader: Narrow | None = None) -> float:
    """Bits per row that a decoder of the rounded, frozen context needs for the test targets.

    Args:
        model: whose encoder makes the context.
        bits: to which it is rounded.
        train: sources and targets.
        test: the same.
        steps: for which the decoder is trained on.
        reader: the decoder; by default the model's own.
    """
    model.bits = bits
    codes, held = codes_of(model, train[0]), codes_of(model, test[0])
    model.bits = BITS[0]
    own = model if reader is None else reader
    decoder = Narrow(own.sizes)
    decoder.load_state_dict(own.state_dict())
    if steps:
        fit(decoder, *train, Fitting(steps, rate=1e-3), codes)
    return bits_per_row(decoder, *test, held)


def alone(size: int, train: Tensor, test: Tensor, steps: int) -> float:
    """Bits per row of a model that reads nothing."""
    torch.manual_seed(1)
    model = Narrow(Sizes(size, size, 1, HIDDEN))
    fit(model, train, train, Fitting(steps), torch.zeros(len(train), 1))
    return bits_per_row(model, test, test, torch.zeros(len(test), 1))


def written(model: Narrow, reader: Narrow, test: Sides) -> tuple[list[list[int]], list[list[int]]]:
    """The phonemes of each word, and the word as it is read back from the same context, greedily."""
    said = model.write(test[0], test[1].shape[1] + 5)
    return said, reader.write(test[0], test[0].shape[1] + 5, model.code(test[0]))


def plain(rows: Tensor) -> list[list[int]]:
    """Rows of ids without padding and end."""
    return [[each for each in row if each > 2] for row in rows.tolist()]


def error_rate(said: list[list[int]], right: list[list[str]], symbols: Sequence[str]) -> float:
    """The phoneme error rate in percent, against all pronunciations of a word."""
    texts = [" ".join(symbols[each - 3] for each in row) for row in said]
    return TEXT_METRICS["phoneme_error_rate"].compute(texts, right)["phoneme_error_rate"]


def pronunciations() -> tuple[Sides, Sides, list[list[str]], list[list[str]]]:
    """Training and test rows as ids, all pronunciations of the test words, and the symbols of both sides."""
    train, test = sample("cmudict.train.tsv.gz"), sample("cmudict.test.jsonl.gz")
    texts = [[(row["word"], row["phonemes"].split()) for row in train]]
    letters, phonemes = (sorted({each for row in texts[0] for each in row[side]}) for side in (0, 1))
    test = [row for row in test if set(row["word"]) <= set(letters)]
    right = [[row["phonemes"]] if isinstance(row["phonemes"], str) else row["phonemes"] for row in test]
    texts.append([(row["word"], every[0].split()) for row, every in zip(test, right, strict=True)])
    random.Random(1).shuffle(texts[0])
    ids = [{symbol: number + 3 for number, symbol in enumerate(own)} for own in (letters, phonemes)]
    sides = [[padded([[ids[n][each] for each in row[n]] for row in part]) for n in (0, 1)] for part in texts]
    return (sides[0][0], sides[0][1]), (sides[1][0], sides[1][1]), right, [letters, phonemes]


def sample(name: str) -> list[dict[str, Any]]:
    """Rows of a file that the package ships."""
    lines = gzip.decompress(files("hf_seq2seq.data.samples").joinpath(name).read_bytes()).decode().splitlines()
    if ".jsonl" in name:
        return [json.loads(line) for line in lines]
    head = lines[0].split("\t")
    return [dict(zip(head, line.split("\t"), strict=True)) for line in lines[1:]]


if __name__ == "__main__":
    main()
