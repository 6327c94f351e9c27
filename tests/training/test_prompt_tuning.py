"""Prompt tuning: what is trained, saved and generated is what PEFT's own model has and generates."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

import hf_seq2seq
from hf_seq2seq.errors import InputError
from hf_seq2seq.recipes import gpt, seq2seq
from hf_seq2seq.saved.adapters import merge_adapter
from hf_seq2seq.saved.loading import load_seq2seq
from hf_seq2seq.saved.positions import longest_sequence
from hf_seq2seq.sections import build

TEXTS = ["abcde", "ba", "dea cab"]


def values_of(place: str, folder: Path, recipe: Any = seq2seq, **more: Any) -> Any:
    (folder / "rows.tsv").write_text("source\ttarget\nabc ab\tabc\ndea\tdea cab\n" * 4)
    values = {"model_name_or_path": place, "train_file": str(folder / "rows.tsv"), "output_dir": str(folder / "run")}
    values |= {"validation_split_percentage": 0, "max_steps": 4, "save_steps": 2, "save_total_limit": 9}
    values |= {"max_source_length": 16, "max_target_length": 8, "learning_rate": 0.3, "use_cpu": True}
    return build(recipe.Config, values | {"prompt_tokens": 3} | more)


def peft_of(place: str, run: Path) -> Any:
    return PeftModel.from_pretrained(AutoModelForSeq2SeqLM.from_pretrained(place), run).eval()


def loss_of(model: Any, tokenizer: Any) -> float:
    batch = tokenizer(TEXTS, text_target=TEXTS, padding=True, return_tensors="pt")
    batch["labels"][batch["labels"] == tokenizer.pad_token_id] = -100
    with torch.no_grad():
        return float(model(**{name: value for name, value in batch.items() if name != "token_type_ids"}).loss)


@pytest.mark.parametrize("family", ["byt5", "blenderbot", "nllb"])
def test_the_prompt_is_pefts(family: str, tiny_family: Any, tmp_path: Path) -> None:
    place, run = tiny_family(family), tmp_path / "run"
    more = {"source_lang": "eng_Latn", "target_lang": "deu_Latn"} if family == "nllb" else {}
    if more:  # without its only layer, nothing would depend on the prompt
        more["config_overrides"] = "encoder_layerdrop=0,decoder_layerdrop=0"
    seq2seq.main(values_of(place, tmp_path, **more))
    start = seq2seq.prepare(values_of(place, tmp_path, overwrite_output_dir=True, **more)).model
    saved = load_file(run / "adapter_model.safetensors")
    assert [*saved] == ["prompt_embeddings"]
    assert (saved["prompt_embeddings"] - start.source_prompt.weight).abs().max() > 0.1
    model = load_seq2seq(str(run))[0]
    tokenizer: Any = AutoTokenizer.from_pretrained(run)
    peft, plain = peft_of(place, run), AutoModelForSeq2SeqLM.from_pretrained(place).eval()
    assert loss_of(model, tokenizer) == pytest.approx(loss_of(peft, tokenizer), abs=1e-5)
    assert loss_of(plain, tokenizer) != pytest.approx(loss_of(peft, tokenizer), abs=1e-3)
    settings = {"num_beams": 2, "max_new_tokens": 8, "no_repeat_ngram_size": 2}
    found = hf_seq2seq.load(str(run)).generate(TEXTS, **settings)
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
    forced = {"forced_bos_token_id": model.generation_config.forced_bos_token_id} if family == "nllb" else {}
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    ids = peft.generate(**inputs, **settings, **forced)
    assert list(found) == [text.strip() for text in tokenizer.batch_decode(ids, skip_special_tokens=True)]
    weights = model(**inputs, decoder_input_ids=inputs["input_ids"][:, :2], output_attentions=True).cross_attentions
    assert not weights or weights[0].shape[-1] == inputs["input_ids"].shape[1]


def test_a_resumed_prompt_ends_with_the_same_bits(tiny_family: Any, tmp_path: Path) -> None:
    place = tiny_family("blenderbot")
    seq2seq.main(values_of(place, tmp_path))
    whole = load_file(tmp_path / "run/adapter_model.safetensors")
    seq2seq.main(values_of(place, tmp_path, resume_from_checkpoint=str(tmp_path / "run/checkpoint-2")))
    assert torch.equal(
        *(each["prompt_embeddings"] for each in (whole, load_file(tmp_path / "run" / "adapter_model.safetensors")))
    )
    model = load_seq2seq(str(tmp_path / "run"))[0]
    assert longest_sequence(model, "encoder") == 61
    assert longest_sequence(model, "decoder") == 64
    with pytest.raises(InputError, match="its adapter is a prompt, which cannot be merged into weights"):
        merge_adapter(model)


REFUSED = {
    "led": ({}, "PEFT cannot put a prompt in front of the sources of 'led'; --lora-r trains it"),
    "blenderbot": ({"lora_r": 2}, "--prompt-tokens and --lora-r are two adapters; leave out one of them"),
    "nllb": ({"merge_adapter": True}, "--merge-adapter: the prompt of --prompt-tokens cannot be merged into weights"),
    "mbart50": ({"added_tokens": "<X>", "resize_embeddings": True}, "a prompt is saved without the embeddings of new"),
}


def test_a_prompt_shorter_than_its_configuration_says(tiny_family: Any, tmp_path: Path) -> None:
    seq2seq.main(values_of(tiny_family("byt5"), tmp_path))
    config = tmp_path / "run" / "adapter_config.json"
    config.write_text(config.read_text().replace('"num_virtual_tokens": 3', '"num_virtual_tokens": 5'))
    with pytest.raises(InputError, match=r"has 3 vectors, but adapter_config\.json names 5"):
        load_seq2seq(str(tmp_path / "run"))


def test_a_prompt_that_leaves_no_room(tiny_family: Any, tmp_path: Path) -> None:
    line = "--prompt-tokens: 600 are too many beside --max-source-length 16; the model has [0-9]+ positions"
    with pytest.raises(InputError, match=line):
        seq2seq.prepare(values_of(tiny_family("blenderbot"), tmp_path, prompt_tokens=600))


@pytest.mark.parametrize("family", REFUSED)
def test_refusals(family: str, tiny_family: Any, tmp_path: Path) -> None:
    more, line = REFUSED[family]
    languages = {"source_lang": "de_DE", "target_lang": "en_XX"} if family == "mbart50" else {}
    with pytest.raises(InputError, match=line):
        seq2seq.prepare(values_of(tiny_family(family), tmp_path, **more, **languages))


def test_a_decoder_alone_is_refused(tiny_family: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--prompt-tokens: a prompt in front of sources needs an encoder-decoder"):
        gpt.prepare(values_of(tiny_family("gpt2"), tmp_path, gpt))
