"""A checkpoint gets a language: a code or a tag that starts at the mean of others, kept by tokenizer and model."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, T5TokenizerFast

from hf_seq2seq.data.tokenizers.languages import language_codes, language_tags
from hf_seq2seq.errors import InputError
from hf_seq2seq.recipes import seq2seq
from hf_seq2seq.sections import build
from hf_seq2seq.tasks.new_languages import add_languages


def values_of(place: str, folder: Path, **more: Any) -> seq2seq.Config:
    (folder / "rows.tsv").write_text("source\ttarget\nab\tba\nabc\tcba\n")
    values = {"model_name_or_path": place, "train_file": str(folder / "rows.tsv"), "source_lang": "eng_Latn"}
    values |= {"output_dir": str(folder / "run"), "max_source_length": 16, "max_target_length": 8, "max_steps": 1}
    values |= {"validation_split_percentage": 0, "target_lang": "kbd_Cyrl"}
    return build(seq2seq.Config, values | more)


@pytest.mark.parametrize("like", ["", "=rus_Cyrl+kaz_Cyrl"])
def test_a_code_of_nllb(like: str, tiny_family: Any, tmp_path: Path) -> None:
    place = tiny_family("nllb")
    base = AutoModelForSeq2SeqLM.from_pretrained(place).get_input_embeddings().weight.detach()
    codes = language_codes(AutoTokenizer.from_pretrained(place))
    task = seq2seq.prepare(values_of(place, tmp_path, add_language=f"kbd_Cyrl{like}"))
    new = task.tokenizers.target.convert_tokens_to_ids("kbd_Cyrl")
    models = like[1:].split("+") if like else [*codes]
    weight = task.model.get_input_embeddings().weight.detach()
    torch.testing.assert_close(weight[new], base[[codes[code] for code in models]].mean(0))
    torch.testing.assert_close(weight[: len(base)], base)
    assert task.model.generation_config.forced_bos_token_id == new
    assert task.splits["train"].target[0][0] == new
    task.tokenizers.target.save_pretrained(tmp_path / "kept")
    task.model.save_pretrained(tmp_path / "kept")
    assert language_codes(AutoTokenizer.from_pretrained(tmp_path / "kept")) == codes | {"kbd_Cyrl": new}
    with torch.no_grad():
        weight[new] += 1  # as training would
    task.model.save_pretrained(tmp_path / "kept")
    again = seq2seq.prepare(values_of(str(tmp_path / "kept"), tmp_path, add_language="kbd_Cyrl"))
    torch.testing.assert_close(again.model.get_input_embeddings().weight.detach()[new], weight[new])


def test_a_tag_starts_at_the_mean_of_tags() -> None:
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("a", -1.0)]
    tokenizer = T5TokenizerFast(vocab=pieces, extra_ids=0)
    with pytest.raises(InputError, match="--add-language: this checkpoint has neither codes nor tags of languages"):
        add_languages(tokenizer, ["fr"])
    tokenizer.add_tokens(["<2de>", "<2en>"])
    ids = tokenizer.convert_tokens_to_ids(["<2de>", "<2en>"])
    assert add_languages(tokenizer, ["fr", "it=de"]) == {"<2fr>": ids, "<2it>": ids[:1]}
    assert language_tags(tokenizer) == ["de", "en", "fr", "it"]
    assert add_languages(tokenizer, ["fr"]) == {}


REFUSED = {
    "kbd": r"--add-language: 'kbd' does not have the form of this tokenizer's codes, such as deu_Latn",
    "kbd_Cyrl=rus_Cyr": r"--add-language kbd_Cyrl: 'rus_Cyr' is not a language of this tokenizer; did you mean",
    "k b": r"--add-language: 'k b' is not the code of a language",
}


@pytest.mark.parametrize("asked", REFUSED)
def test_refusals(asked: str, tiny_family: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=REFUSED[asked]):
        seq2seq.prepare(values_of(tiny_family("nllb"), tmp_path, add_language=asked))


def test_fixed_languages_are_refused(tiny_family: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the languages of MBart50 are fixed; checkpoints of NLLB take new ones"):
        seq2seq.prepare(values_of(tiny_family("mbart50"), tmp_path, add_language="kbd_Cyrl"))
