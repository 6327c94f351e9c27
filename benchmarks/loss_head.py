"""Memory and CPU time of the loss of 4,096 target tokens over 32,000 words, beside the plain way.

    python benchmarks/loss_head.py

The plain way is a linear layer and `torch.nn.functional.cross_entropy`. Each measurement is a fresh process with one
thread; memory is what its peak grows by beyond inputs and weights, so it holds the weight's gradient in both.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

from machine import describe, table

TARGETS, WORDS, WIDTH = 4096, 32_000, 512
RUNS = 5


def measure(way: str) -> None:
    import torch
    from torch.nn import functional as F

    from hf_seq2seq.objectives.cross_entropy import chunked_cross_entropy

    torch.set_num_threads(1)
    torch.manual_seed(0)
    hidden = torch.randn(TARGETS, WIDTH, requires_grad=True)
    weight = torch.randn(WORDS, WIDTH).mul_(0.05).requires_grad_()
    labels = torch.randint(0, WORDS, (TARGETS,))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(3):
        hidden.grad = weight.grad = None
        started = time.process_time()
        if way == "plain":
            loss = F.cross_entropy(F.linear(hidden, weight), labels, reduction="sum")
        else:
            loss = chunked_cross_entropy(hidden, weight, labels)
        loss.backward()
        seconds.append(time.process_time() - started)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps({"loss": loss.item(), "seconds": statistics.median(seconds), "mib": grown}))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--way", choices=["plain", "chunked"])
    if way := parser.parse_args().way:
        measure(way)
        return
    found: dict[str, list[dict[str, float]]] = {"plain": [], "chunked": []}
    for _ in range(RUNS):
        for way, runs in found.items():
            done = subprocess.run([sys.executable, __file__, "--way", way], check=True, capture_output=True, text=True)
            runs.append(json.loads(done.stdout))
    plain, chunked = (
        {name: statistics.median(run[name] for run in runs) for name in ("loss", "seconds", "mib")}
        for runs in found.values()
    )
    rows = [[way, f"{r['mib']:.0f}", f"{r['seconds']:.2f}"] for way, r in (("plain", plain), ("chunked", chunked))]
    rows.append(
        ["chunked / plain", f"1/{plain['mib'] / chunked['mib']:.1f}", f"{chunked['seconds'] / plain['seconds']:.2f}"]
    )
    print(describe())
    print(table(["loss", "MiB", "CPU s"], rows))
    print(f"relative difference of the losses: {abs(plain['loss'] - chunked['loss']) / plain['loss']:.1e}")


if __name__ == "__main__":
    main()
