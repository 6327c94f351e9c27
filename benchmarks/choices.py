"""Outputs from a closed list of 100,000 entries, beside plain beam search: the best of it, and CPU time per token.

    python benchmarks/choices.py outputs/g2p --input-file words.txt --column 1 --entries 100000

Needs a trained model and a file of sources. The list has what five beams of the plain search write for the sources, and
as many others made of them by putting other words in some places, so that the best of the list is at least as good.
One thread.
"""

import argparse
import random
import resource
import tempfile
import time
from pathlib import Path

import torch
from machine import describe, table

from hf_seq2seq import load


def main() -> None:
    """Measures both searches and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a trained model")
    parser.add_argument("--input-file", required=True, help="sources, one per line")
    parser.add_argument("--column", type=int, default=1, help="of the lines, separated by tabs")
    parser.add_argument("--sources", type=int, default=200, help="so many of the lines")
    parser.add_argument("--entries", type=int, default=100_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = Path(options.input_file).read_text(encoding="utf-8").splitlines()[: options.sources]
    texts = [line.split("\t")[options.column - 1] for line in lines]
    model = load(options.model)
    plain, seconds = timed(lambda: model.generate(texts, num_beams=5, details=True))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "choices.txt"
        file.write_text("\n".join(entries(model, texts, options.entries)) + "\n", encoding="utf-8")
        chosen, more = timed(lambda: model.generate(texts, choices=str(file), details=True))
    rows = []
    for name, found, spent in (("plain, 5 beams", plain, seconds), ("--choices", chosen, more)):
        tokens = sum(len(output.tokens) for output in found)
        same = sum(one.text == other.text for one, other in zip(plain, found, strict=True))
        worse = sum(one.score < other.score - 1e-4 for one, other in zip(found, plain, strict=True))
        rows.append([name, f"{spent:.1f}", f"{1000 * spent / tokens:.2f}", f"{same} of {len(texts)}", str(worse)])
    print(
        describe(), f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:,.0f} MiB", sep="\n", end="\n\n"
    )
    print(table([f"{options.entries:,} entries", "CPU s", "ms per token", "same as plain", "worse than plain"], rows))


def timed(work):
    """A function's result and its CPU seconds."""
    started = time.process_time()
    found = work()
    return found, time.process_time() - started


def entries(model, texts: list[str], count: int) -> list[str]:
    """A list of outputs that has what plain search finds, and others with some of its words in other places."""
    found = dict.fromkeys(text for row in model.generate(texts, num_beams=5, num_return_sequences=5) for text in row)
    draw, known = random.Random(1), [text.split() for text in found]
    words = sorted({word for row in known for word in row})
    while len(found) < count:
        row = list(draw.choice(known))
        for _ in range(draw.randint(1, 3)):
            row[draw.randrange(len(row))] = draw.choice(words)
        found[" ".join(row)] = None
    return list(found)[:count]


if __name__ == "__main__":
    main()
