"""Sizes of models that no machine holds, and what checking them must not change."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from hf_seq2seq.tasks.fresh import build_fresh

PAIRS = ["--train-file", "good.tsv", "--output-dir", "out", "--tokenizer-type", "char"]
SCRATCH = [*PAIRS, "--from-scratch"]
CALLS = [
    ["train", "rnn", *PAIRS, "--hidden-size", "200000"],
    ["train", "rnn", *PAIRS, "--hidden-size", "2000000000"],
    ["train", "rnn", *PAIRS, "--embedding-size", "2000000000"],
    ["preview", "rnn", *PAIRS, "--hidden-size", "2000000"],
    ["train", "rnn", *PAIRS, "--encoder-layers", "100000"],
    ["train", "transformer", *PAIRS, "--d-model", "2000000"],
    ["train", "transformer", *PAIRS, "--encoder-ffn-dim", "2000000000"],
    ["train", "transformer", *PAIRS, "--decoder-layers", "100000"],
    ["train", "t5", *SCRATCH, "--config-overrides", "d_model=99999999"],
    ["train", "t5", *SCRATCH, "--config-overrides", "num_layers=999999999"],
    ["train", "t5", *SCRATCH, "--config-overrides", "d_model=[3"],
    ["train", "t5", *SCRATCH, "--config-overrides", "d_model=x"],
    ["train", "bart", *SCRATCH, "--config-overrides", "max_position_embeddings=99999999999"],
    ["train", "bart", *SCRATCH, "--max-source-length", "2147483647"],
    ["train", "pegasus", *SCRATCH, "--config-overrides", "d_model=2097152"],
    ["train", "gpt", *SCRATCH, "--hidden-size", "9999992"],
    ["train", "gpt", *SCRATCH, "--num-hidden-layers", "99999999"],
    ["train", "gpt", *SCRATCH, "--max-source-length", "2147483000"],
]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: " ".join([call[1], *call[-2:]]))
def test_huge_sizes(refused: Any, place: Any, call: list[str]) -> None:
    refused(*call)


@pytest.mark.parametrize("build", [lambda: nn.LSTM(3, 4), lambda: nn.Transformer(8, 2, 1, 1, 8)])
def test_the_look_draws_no_random_number(build: Callable[[], nn.Module]) -> None:
    torch.manual_seed(3)
    plain = list(build().parameters())
    torch.manual_seed(3)
    looked_at = list(build_fresh(build).parameters())
    assert all(torch.equal(a, b) for a, b in zip(plain, looked_at, strict=True))
