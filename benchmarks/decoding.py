"""Speed of beam search compared with transformers' `generate`, with the same outputs: one process, one thread.

    python benchmarks/decoding.py outputs/learning/multi30k-transformer     # about 4 minutes

Needs a model trained on Multi30k from German to English, such as `python benchmarks/learning.py multi30k transformer`
leaves, and `multi30k/test_2016_flickr.de.gz` in $HF_SEQ2SEQ_DATA or ../shared/data. Contenders decode the same
sentences with beam 5 and take turns: `generate` a sentence at a time; `generate` in batches of like lengths, padded
no more than ours; and this package in the same batches. Measured are the CPU seconds of encoding and search; the ids
that come out are compared sentence by sentence.
"""

import argparse
import gzip
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from machine import describe, table

DATA = Path(os.environ.get("HF_SEQ2SEQ_DATA", Path(__file__).parents[2] / "shared" / "data"))
BEAMS, LONGEST = 5, 80
Outputs = list[list[int]]


def main() -> None:
    """Measures the contenders and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a trained model")
    parser.add_argument("--rounds", type=int, default=2, help="times that each contender runs")
    parser.add_argument("--sentences", type=int, default=1000, help="of the test set")
    parser.add_argument("--batch", type=int, default=64, help="sentences per batch")
    options = parser.parse_args()
    torch.set_num_threads(1)
    contenders = build(options.model, options.sentences, options.batch)
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    outputs: dict[str, Outputs] = {}
    for _ in range(options.rounds):
        for name, decode in contenders.items():
            started = time.process_time()
            outputs[name] = decode()
            seconds[name].append(time.process_time() - started)
    alone, batched, ours = contenders
    rows = []
    for name, found in seconds.items():
        median = statistics.median(found)
        ratios = [f"{statistics.median(seconds[other]) / median:.2f}" for other in (alone, batched)]
        same = sum(a == b for a, b in zip(outputs[name], outputs[ours], strict=True))
        spread = f"{min(found):.1f}–{max(found):.1f}"
        rows.append([name, f"{median:.1f}", spread, *ratios, f"{same:,} of {options.sentences:,}"])
    print(describe(), f"beam {BEAMS}, {options.rounds} rounds, one thread", sep="\n", end="\n\n")
    print(table(["", "CPU s", "range", "× alone", "× batched", "same outputs"], rows))


def build(folder: str, sentences: int, size: int) -> dict[str, Callable[[], Outputs]]:
    """The contenders by name: transformers alone, transformers in batches, this package."""
    from hf_seq2seq.data.batches import ordered_batches
    from hf_seq2seq.data.collation import source_batch
    from hf_seq2seq.data.encoding import encode_texts
    from hf_seq2seq.decoding.generation import generate_hypotheses
    from hf_seq2seq.decoding.library import generate_ids
    from hf_seq2seq.decoding.search import Searcher
    from hf_seq2seq.decoding.search_options import Search
    from hf_seq2seq.saved.loading import load_seq2seq

    model, tokenizers, _ = load_seq2seq(folder)
    texts = gzip.decompress((DATA / "multi30k/test_2016_flickr.de.gz").read_bytes()).decode().splitlines()[:sentences]
    sources, _ = encode_texts(texts, tokenizers.source, 256)
    search = Search(num_beams=BEAMS, per_device_eval_batch_size=size)

    def library(rows_a_batch: int) -> Outputs:
        found: Outputs = [[] for _ in texts]
        for rows in ordered_batches(sources.lengths[:, None], rows_a_batch):
            batch = source_batch(sources, rows, tokenizers.source.pad_token_id)
            for row, ids in zip(rows, generate_ids(model, batch, search, LONGEST), strict=True):
                found[row] = ids
        return found

    def own() -> Outputs:
        found = generate_hypotheses(Searcher(model, search, LONGEST), sources, tokenizers.source)
        return [outputs[0].ids for outputs in found]

    return {
        "generate, a sentence at a time": lambda: library(1),
        f"generate, {size} sentences per batch": lambda: library(size),
        f"hf-seq2seq, {size} sentences per batch": own,
    }


if __name__ == "__main__":
    main()
