"""Calls that are wrong in one place, made in this process in a folder where all else is right."""

import io
import os
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from hf_seq2seq.cli.app import main

GOOD = "source\ttarget\nab\tba\nabc\tcba\nbca\tacb\nca\tac\n"
LABELLED = "text,label\nab,x\nba,y\nabc,x\ncba,y\n"
MEMORY = 16 << 30
"""Bytes of address space: a call that asks for more must be refused, not fill the machine."""
WORDS = ("ab", "ba", "abc", "cba", "bca", "acb", "ca", "ac")

Attempt = Callable[..., tuple[int, str]]
Refused = Callable[..., str]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with good files and three small models: `model` of pairs, `labels` and `decoder`."""
    folder: Path = tmp_path_factory.mktemp("made")
    (folder / "good.tsv").write_text(GOOD)
    (folder / "lines.txt").write_text("ab\nba\nabc\ncba\n")
    (folder / "labels.csv").write_text(LABELLED)
    (folder / "raw.txt").write_text("ab ba\nabc cba\n" * 20)
    for name in ("model", "labels", "decoder"):
        _save_model(folder / name, name)
    return folder


def _save_model(folder: Path, kind: str) -> None:
    import transformers as hf

    from hf_seq2seq.configs import NewTokenizer
    from hf_seq2seq.data.tokenizers.special_tokens import BERT, GPT, SEQ2SEQ
    from hf_seq2seq.data.tokenizers.vocabulary import train_tokenizers

    specials = {"model": SEQ2SEQ, "labels": BERT, "decoder": GPT}[kind]
    tokenizer = train_tokenizers(WORDS, [], NewTokenizer(tokenizer_type="char"), specials=specials).source
    torch.manual_seed(0)
    sizes = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    ends = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id}
    width = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 64}
    if kind == "model":
        t5 = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
        start = {"decoder_start_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
        model = hf.T5ForConditionalGeneration(hf.T5Config(**t5, **sizes, **start))
    elif kind == "decoder":
        model = hf.GPT2LMHeadModel(hf.GPT2Config(**width, **sizes, **ends))
    else:
        names = {"id2label": {0: "x", 1: "y"}, "label2id": {"x": 0, "y": 1}}
        model = hf.BertForSequenceClassification(hf.BertConfig(**width, **sizes, intermediate_size=16, **names))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    """The folder of the calls, with all that is good in it."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def own_process() -> Iterator[None]:
    """Bounds this process's memory, and restores its environment, which a call changes for the processes it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, hard))
    environment = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(environment)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.fixture
def attempt(
    tmp_path: Path, own_process: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Attempt:
    """Makes a call that may go well, and returns its exit code and what it said; if refused, it is so as all are.

    What else may be told before the error is there where `told`.
    """
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, stdin: bytes = b"", told: bool = False) -> tuple[int, str]:
        before = _written(tmp_path)
        monkeypatch.setattr(sys, "argv", ["hf-seq2seq", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr().err.strip()
        if not ended.value.code:
            return 0, said
        assert ended.value.code == 2, said
        error = said[said.rindex("error: ") :] if told else said
        assert error.startswith("error: "), said
        assert 1 <= len(error.splitlines()) <= 2, said
        assert len(said) < 600, said
        assert _written(tmp_path) == before, "something was written"
        return 2, said

    return run


@pytest.fixture
def refused(attempt: Attempt) -> Refused:
    """Makes a call that must be refused, and returns the error."""

    def run(*arguments: str, stdin: bytes = b"") -> str:
        code, said = attempt(*arguments, stdin=stdin)
        assert code == 2, said
        return said

    return run


def _written(folder: Path) -> dict[Path, int]:
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}
