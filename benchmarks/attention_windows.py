"""Cost of an encoder that sees a window of the source against one that sees all of it.

    python benchmarks/attention_windows.py          # about 2 minutes

A Transformer with random weights, three layers of width 256 on the side of the source and one on that of the target;
the forward and backward pass of one source and 8 target tokens, one thread, each in a process of its own after a pass
on a short source: CPU seconds, and the peak of the resident memory above what was taken before.
"""

import json
import os
import time
from pathlib import Path

import torch
from cost_by_length import memory
from machine import describe, table

from hf_seq2seq.architectures.configuration_transformer import TransformerSeq2SeqConfig
from hf_seq2seq.architectures.modeling_transformer import TransformerForConditionalGeneration

LENGTHS = (512, 2048, 8192)
WINDOWS = (None, 256, 64)
VOCABULARY = 1000


def cost(window: int | None, length: int) -> list[float]:
    """CPU seconds and megabytes of one pass over a source."""
    receiver, sender = os.pipe()
    if not (child := os.fork()):
        sizes = {f"{side}_attention_heads": 4 for side in ("encoder", "decoder")}
        sizes |= {f"{side}_ffn_dim": 1024 for side in ("encoder", "decoder")}
        config = TransformerSeq2SeqConfig(
            vocab_size=VOCABULARY, d_model=256, encoder_layers=3, decoder_layers=1, attention_window=window, **sizes
        )
        model = TransformerForConditionalGeneration(config)
        step(model, 16)
        Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
        before, start = memory("VmRSS"), time.process_time()
        step(model, length)
        found = time.process_time() - start, (memory("VmHWM") - before) / 2**20
        os.write(sender, json.dumps(found).encode())
        os._exit(0)
    os.waitpid(child, 0)
    measured: list[float] = json.loads(os.read(receiver, 1000))
    return measured


def step(model: TransformerForConditionalGeneration, length: int) -> None:
    """The forward and backward pass; the last token is padding, so that there is a mask."""
    ids = torch.randint(5, VOCABULARY, (1, length))
    mask = torch.ones_like(ids)
    mask[0, -1] = 0
    model(input_ids=ids, attention_mask=mask, decoder_input_ids=ids[:, :8]).logits.sum().backward()
    model.zero_grad()


def main() -> None:
    """Prints a row per window."""
    torch.set_num_threads(1)
    rows = []
    for window in WINDOWS:
        costs = [cost(window, length) for length in LENGTHS]
        name = "all of the source" if window is None else f"{window} tokens to each side"
        rows.append([name, *(f"{seconds:.2f} s, {peak:,.0f} MB" for seconds, peak in costs)])
    print(describe(), end="\n\n")
    print(table(["the encoder sees", *(f"{length:,} tokens" for length in LENGTHS)], rows))


if __name__ == "__main__":
    main()
