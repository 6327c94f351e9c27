"""Byte tokenizers from scratch, and ByT5's."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from accelerate import Accelerator
from transformers import AutoTokenizer

from hf_seq2seq.decoding.text_generator import TextGenerator
from hf_seq2seq.defaults.choosing import settle
from hf_seq2seq.errors import InputError
from hf_seq2seq.recipes import bart, rnn, t5, transformer
from hf_seq2seq.saved.loading import load_seq2seq
from hf_seq2seq.sections import Choice, build
from hf_seq2seq.training.loop import Loop

BYTES: dict[str, Any] = {"tokenizer_type": "byte", "metrics": "chrf", "max_steps": 1, "per_device_train_batch_size": 4}
STARTS: list[tuple[ModuleType, dict[str, Any]]] = [
    (rnn, {"hidden_size": 8, "embedding_size": 8}),
    (transformer, {"d_model": 8, "encoder_ffn_dim": 8, "decoder_ffn_dim": 8}),
    (t5, {"from_scratch": True, "config_overrides": "d_model=8,d_ff=8,num_layers=1"}),
    (bart, {"from_scratch": True, "config_overrides": "d_model=8,encoder_ffn_dim=8,decoder_ffn_dim=8"}),
]


@pytest.fixture
def greek(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "pairs.tsv"
    path.write_text("source\ttarget\n" + "λόγος\tлогос\n漢字 x\tça </s>\n" * 4, encoding="utf-8")
    return {"train_file": str(path)}


@pytest.mark.parametrize(("recipe", "start"), STARTS, ids=lambda part: getattr(part, "__name__", "").split(".")[-1])
def test_from_scratch(recipe: ModuleType, start: dict[str, Any], greek: dict[str, str], tmp_path: Path) -> None:
    task = recipe.prepare(build(recipe.Config, BYTES | greek | start | {"output_dir": str(tmp_path / "run")}))
    first = len(task.tokenizers.target) - 256 - (100 if recipe is t5 else 0)
    source = task.splits["train"].source
    offset = int(source[0][0]) - "λ".encode()[0]
    assert source[0].tolist()[:-1] == [offset + byte for byte in "λόγος".encode()]
    assert first <= offset
    assert task.tokenizers.target.unk_token_id not in task.splits["train"].target.values
    (tmp_path / "run").mkdir()
    Loop(task, Accelerator(cpu=True), tmp_path / "run").run()
    model, tokenizers, _ = load_seq2seq(str(tmp_path / "run" / "checkpoint-1"))
    assert len(TextGenerator(model, tokenizers, task.config.decoding, 6)(["νέος"])) == 1
    plain = AutoTokenizer.from_pretrained(tmp_path / "run" / "checkpoint-1")
    assert plain.decode(plain("ça </s> 漢")["input_ids"][:-1]) == "ça </s> 漢"


def test_byt5_is_fine_tuned_as_a_t5(tiny_family: Callable[[str], str], greek: dict[str, str], tmp_path: Path) -> None:
    values = {"model_name_or_path": tiny_family("byt5"), "metrics": "chrf", "output_dir": str(tmp_path / "run")}
    task = t5.prepare(build(t5.Config, values | greek))
    assert task.splits["train"].source[0].tolist() == [3 + byte for byte in "λόγος".encode()] + [1]
    assert task.tokenizers.target.decode(task.splits["train"].target[1][:-1]) == "ça </s>"


@pytest.mark.parametrize("option", ["vocab_size", "min_frequency", "target_vocab_size"])
def test_what_would_change_nothing_is_refused(option: str) -> None:
    with pytest.raises(InputError, match=f"--{option.replace('_', '-')}: a byte tokenizer has one token for each"):
        build(rnn.Config, {"tokenizer_type": "byte", option: 300})


def test_no_size_is_chosen_for_bytes(greek: dict[str, str]) -> None:
    size = [Choice("vocab_size", 700, "many words")]
    for given, sizes in (({"tokenizer_type": "byte"}, []), ({"tokenizer_type": "bpe"}, [700])):
        config = build(rnn.Config, given | greek)
        object.__setattr__(config, "given", frozenset(given))
        assert [choice.value for choice in settle(config, size).derived] == sizes


def test_bytes_have_no_merges_to_leave_out(greek: dict[str, str]) -> None:
    with pytest.raises(InputError, match="--bpe-dropout: the source tokenizer is of the kind byte"):
        rnn.prepare(build(rnn.Config, BYTES | greek | {"bpe_dropout": 0.1}))
