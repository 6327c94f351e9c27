"""Memory and CPU time of the chunked loss head compared with plain cross-entropy.

    python benchmarks/loss_head.py     # about a minute

One forward and backward pass of an output layer and its cross-entropy: 4,096 target positions of width 512, 32,000
words, float32, one thread. Every measurement is of a fresh process, in turn, and the table holds medians. Memory is
how far the process's peak rises above what it held before the pass; CPU time holds the user's and the system's.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

from machine import describe, table

WORDS, POSITIONS, WIDTH = 32_000, 4_096, 512
WAYS = {"plain": "torch: logits, then cross_entropy", "chunked": "hf-seq2seq: chunked_cross_entropy"}


def main() -> None:
    """Measures each way several times and prints the table; with `--way`, is one measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="times that each way is measured")
    parser.add_argument("--way", choices=tuple(WAYS), help="measure one way here, and print JSON")
    options = parser.parse_args()
    if options.way:
        print(json.dumps(measure(options.way)))
        return
    results: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(options.rounds):
        for way in WAYS:
            results[way].append(start(way))
    medians = {
        way: {name: statistics.median(r[name] for r in found) for name in found[0]} for way, found in results.items()
    }
    print(describe(), f"{WORDS:,} words × {POSITIONS:,} positions × width {WIDTH}, float32, one thread", sep="\n")
    difference = abs(medians["plain"]["loss"] - medians["chunked"]["loss"])
    print(f"{options.rounds} rounds; losses differ by {difference:.1e}", end="\n\n")
    rows = []
    for way, title in WAYS.items():
        found, base = medians[way], medians["plain"]
        shares = [f"1/{base['megabytes'] / found['megabytes']:.1f}", f"{found['seconds'] / base['seconds']:.2f}"]
        rows.append([title, f"{found['megabytes']:,.0f}", f"{found['seconds']:.2f}", *shares])
    print(table(["", "peak memory, MB", "CPU s", "memory, × plain", "time, × plain"], rows))


def start(way: str) -> dict[str, float]:
    """Measures one way in a fresh process."""
    command = [sys.executable, __file__, "--way", way]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return json.loads(subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout)


def measure(way: str) -> dict[str, float]:
    """Runs one pass; gives megabytes, CPU seconds and the mean loss."""
    import torch
    from torch.nn import functional as F

    from hf_seq2seq.objectives.cross_entropy import chunked_cross_entropy

    torch.set_num_threads(1)
    torch.manual_seed(0)
    hidden = torch.randn(POSITIONS, WIDTH, requires_grad=True)
    weight = torch.randn(WORDS, WIDTH).div_(WIDTH**0.5).requires_grad_()
    labels = torch.randint(WORDS, (POSITIONS,))
    torch.mm(hidden[:8], weight[:8].T).sum().backward()  # loads the libraries
    hidden.grad = weight.grad = None
    before, started = peak_megabytes(), time.process_time()
    if way == "plain":
        loss = F.cross_entropy(hidden @ weight.T, labels, reduction="sum")
    else:
        loss = chunked_cross_entropy(hidden, weight, labels)
    loss.backward()
    seconds = time.process_time() - started
    return {"megabytes": peak_megabytes() - before, "seconds": seconds, "loss": loss.item() / POSITIONS}


def peak_megabytes() -> float:
    """The most memory that this process has held, in MB (10**6 bytes)."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


if __name__ == "__main__":
    main()
