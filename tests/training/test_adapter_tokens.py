"""Adapters with new tokens: their rows are trained and saved, and plain transformers and PEFT load them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AutoPeftModelForSeq2SeqLM, PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from hf_seq2seq.recipes import seq2seq
from hf_seq2seq.saved.adapters import merge_adapter
from hf_seq2seq.saved.embeddings import resize_tokens
from hf_seq2seq.saved.loading import load_seq2seq
from hf_seq2seq.sections import build

TEXTS = ["abc dea", "cab abc"]


def values_of(place: str, folder: Path, **more: Any) -> seq2seq.Config:
    (folder / "rows.tsv").write_text("source\ttarget\nabc ab\tabc\nabc dea\tdea cab\n" * 4)
    (folder / "texts.txt").write_text("abc dea cab\nabc dea\n" * 3)
    values = {"model_name_or_path": place, "train_file": str(folder / "rows.tsv"), "output_dir": str(folder / "run")}
    values |= {"validation_split_percentage": 0, "max_steps": 4, "save_steps": 2, "save_total_limit": 9}
    values |= {"max_source_length": 16, "max_target_length": 16, "learning_rate": 1e-2, "weight_decay": 0.1}
    values |= {"use_cpu": True, "update_vocabulary": str(folder / "texts.txt"), "new_pieces": 5, "lora_r": 2}
    return build(seq2seq.Config, values | more)


def loss_of(model: Any, tokenizer: Any) -> float:
    batch = tokenizer(TEXTS, text_target=TEXTS, padding=True, return_tensors="pt")
    batch["labels"][batch["labels"] == tokenizer.pad_token_id] = -100
    with torch.no_grad():
        return float(model.eval()(**{name: value for name, value in batch.items() if name != "token_type_ids"}).loss)


def untied(place: str, folder: Path) -> str:
    """The same checkpoint with output weights of its own, as T5 1.1 has."""
    model = AutoModelForSeq2SeqLM.from_pretrained(place)
    model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight))
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(place).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("family", ["blenderbot", "nllb", "longt5", "untied", "bf16"])
def test_new_rows_are_trained_and_loaded_by_peft(family: str, tiny_family: Any, tmp_path: Path) -> None:
    place = tiny_family({"bf16": "blenderbot", "untied": "longt5"}.get(family, family))
    more: dict[str, Any] = {"bf16": True} if family == "bf16" else {}
    if family == "untied":
        place = untied(place, tmp_path / "base")
    if family == "nllb":
        more = {"source_lang": "eng_Latn", "target_lang": "kbd_Cyrl", "added_languages": "kbd_Cyrl"}
    run = tmp_path / "run"
    seq2seq.main(values_of(place, tmp_path, **more))
    model, tokenizers, _ = load_seq2seq(str(run))
    tokenizer: Any = tokenizers.source
    base = AutoModelForSeq2SeqLM.from_pretrained(place)
    old = base.get_input_embeddings().weight.detach()
    weight = model.get_input_embeddings().weight.detach()
    torch.testing.assert_close(weight[: len(old)], old, rtol=0, atol=0)
    started = seq2seq.prepare(values_of(place, tmp_path, overwrite_output_dir=True, **more)).model
    new = started.get_input_embeddings().weight.detach()[len(old) :]
    assert len(weight) == len(old) + len(new)
    assert (weight[len(old) :] - new).abs().max() > 1e-3
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert tied == (family != "untied")
    mine = loss_of(model, tokenizer)
    plain = AutoTokenizer.from_pretrained(run)
    resize_tokens(base, len(plain))
    assert loss_of(PeftModel.from_pretrained(base, run), plain) == pytest.approx(mine, abs=1e-6)
    if tied:  # otherwise transformers would tie the output weights where it resizes
        assert loss_of(AutoPeftModelForSeq2SeqLM.from_pretrained(run), plain) == pytest.approx(mine, abs=1e-6)
    alone = AutoModelForSeq2SeqLM.from_pretrained(place)
    resize_tokens(alone, len(plain))
    alone.load_adapter(str(run))
    assert loss_of(alone, plain) == pytest.approx(mine, abs=1e-6)
    merge_adapter(model)
    assert loss_of(model, tokenizer) == pytest.approx(mine, abs=1e-5)
    tokenizers.save(tmp_path / "merged")
    model.save_pretrained(tmp_path / "merged")
    assert loss_of(AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "merged"), plain) == pytest.approx(mine, abs=1e-5)


def test_a_resumed_run_ends_with_the_same_bits(tiny_family: Any, tmp_path: Path) -> None:
    place = tiny_family("blenderbot")
    seq2seq.main(values_of(place, tmp_path))
    whole = load_file(tmp_path / "run/adapter_model.safetensors")
    seq2seq.main(values_of(place, tmp_path, resume_from_checkpoint=str(tmp_path / "run/checkpoint-2")))
    resumed = load_file(tmp_path / "run/adapter_model.safetensors")
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    again: dict[str, Any] = {
        "model_name_or_path": str(tmp_path / "run"),
        "lora_r": None,
        "update_vocabulary": "",
        "new_pieces": 1000,
        "max_steps": 1,
    }
    seq2seq.main(values_of(place, tmp_path, **again, output_dir=str(tmp_path / "on")))
    size = len(load_seq2seq(str(tmp_path / "run"))[1].source)
    assert len(load_seq2seq(str(tmp_path / "on"))[0].get_input_embeddings().weight) == size
