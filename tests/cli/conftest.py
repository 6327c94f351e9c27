"""The command line in this process, and a small recipe of one's own."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from hf_seq2seq.cli.app import main


class Result(NamedTuple):
    code: int
    out: str
    err: str


Command = Callable[..., Result]

RECIPE = '''"""Says what it was told.

More about it.
"""

import os
from dataclasses import dataclass, field

from hf_seq2seq import configs
from hf_seq2seq.sections import Section, flatten
from hf_seq2seq.sections import option
from hf_seq2seq.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Talk(Section):
    """Talk: how it speaks."""

    word: str = option("hello", "The word [in brackets].", aliases=("term",))
    tone: str = option("plain", "The tone.", choices=("plain", "loud"))
    count: int = option(1, "How often.", at_least=1)
    pitch: float | None = option(None, "How high.")
    loud: bool = option(False, "Whether it shouts.")
    echo: bool = option(True, "Whether it repeats.")
    langs: tuple[str, ...] = option(("de", "en"), "Languages.")


@dataclass(frozen=True)
class Config:
    talk: Talk = field(default_factory=Talk)
    run: configs.Run = field(default_factory=configs.Run)


def prepare(config):
    raise InputError("nothing to prepare")


def main(config):
    print(flatten(config))
'''


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `hf-seq2seq` with some arguments and bytes on standard input."""

    def run(*arguments: str | Path, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "argv", ["hf-seq2seq", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return Result(int(ended.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # where its run's folder is made
    path = tmp_path / "talk.py"
    path.write_text(RECIPE)
    return path


WORDS = ["the", "a", "small", "big", "red", "green", "house", "dog", "cat", "runs", "sees", "likes", "old", "new"]


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with a random model that answers differently to different texts."""
    from transformers import BartConfig, BartForConditionalGeneration

    from hf_seq2seq.configs import NewTokenizer
    from hf_seq2seq.data.tokenizers.vocabulary import train_tokenizers

    folder: Path = tmp_path_factory.mktemp("run") / "bart"
    texts = [" ".join(np.random.default_rng(row).choice(WORDS, size=6)) for row in range(40)]
    tokenizers = train_tokenizers(texts, [], NewTokenizer(tokenizer_type="word", max_source_length=64))
    layers = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 4, "decoder_attention_heads": 4}
    widths = {"d_model": 32, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_position_embeddings": 64}
    ids = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 3, "decoder_start_token_id": 1}
    torch.manual_seed(0)
    config = BartConfig(vocab_size=len(tokenizers.source), forced_eos_token_id=None, **layers, **widths, **ids)
    model = BartForConditionalGeneration(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(12)
    model.save_pretrained(folder)
    tokenizers.save(folder)
    (folder / "run.yaml").write_text("recipe: bart\nsource_column: question\nmax_target_length: 10\n")
    return folder
