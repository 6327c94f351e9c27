"""Decoding with CTranslate2 follows the flags and the model's own generation settings as decoding with PyTorch does."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import GenerationConfig

from hf_seq2seq.configs import Decoding
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.decoding.ctranslate2_engine import CTranslate2TextGenerator, beam_remark, search_options
from hf_seq2seq.decoding.ctranslate2_loading import load_ctranslate2
from hf_seq2seq.decoding.search_options import Search
from hf_seq2seq.decoding.text_generator import TextGenerator
from hf_seq2seq.errors import InputError
from hf_seq2seq.hub.export import export_model
from hf_seq2seq.hub.export_check import Subject
from hf_seq2seq.saved.run_settings import RunSettings

pytest.importorskip("ctranslate2", reason="needs the extra [export]")
LONGEST = 12


@pytest.fixture(scope="module")
def bart(make_model: Callable[[str], Any]) -> Any:
    model = make_model("bart")
    model.final_logits_bias[0, 1] = 2  # or it never ends
    return model


@pytest.fixture(scope="module")
def folder(bart: Any, tokenizers: Tokenizers, texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("exports") / "bart"
    subject = Subject(bart, tokenizers, RunSettings(max_target_length=LONGEST), texts)
    export_model(str(folder.parent), subject, folder, "ctranslate2", "float32")
    return folder


SETTINGS: dict[str, dict[str, Any]] = {
    "forced first token": {"forced_bos_token_id": 7},
    "forced last token": {"forced_eos_token_id": 1},
    "shortest length": {"min_new_tokens": 9},
    "shortest length, the start counted": {"min_length": 9},
    "forbidden tokens": {"suppress_tokens": [5, 6, 7, 8], "bad_words_ids": [[9], [10]]},
}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("ngram", [0, 2])
def test_generation_settings(
    folder: Path, bart: Any, tokenizers: Tokenizers, texts: list[str], name: str, ngram: int
) -> None:
    model, saved, _ = load_ctranslate2(str(folder))
    decoding = Decoding(no_repeat_ngram_size=ngram)
    plain = TextGenerator(bart, tokenizers, Decoding(), LONGEST)(texts)
    before = {option: getattr(bart.generation_config, option) for option in SETTINGS[name]}
    try:
        for settings in (bart.generation_config, model.generation_config):
            settings.update(**SETTINGS[name])
        wanted = TextGenerator(bart, tokenizers, decoding, LONGEST)(texts)
        assert wanted != plain or name == "forced last token", "the setting changes nothing, so it is not tested"
        assert CTranslate2TextGenerator(model, saved, decoding, LONGEST)(texts) == wanted
    finally:
        bart.generation_config.update(**before)


def test_rows_keep_their_order_and_empty_texts_stay_empty(folder: Path, texts: list[str]) -> None:
    model, tokenizers, _ = load_ctranslate2(str(folder))
    one = CTranslate2TextGenerator(model, tokenizers, Decoding(per_device_eval_batch_size=3), LONGEST)
    done: list[int] = []
    one.advance = done.append
    mixed = [texts[0], "", *texts[1:], " "]
    alone = [one([text])[0] if text.strip() else "" for text in mixed]
    done.clear()
    assert one(mixed) == alone
    assert sum(done) == len(texts)


@pytest.mark.parametrize("stop_early", [False, True])
def test_beams(folder: Path, bart: Any, tokenizers: Tokenizers, texts: list[str], stop_early: bool) -> None:
    model, saved, _ = load_ctranslate2(str(folder))
    decoding = Decoding(num_beams=4)
    before = bart.generation_config.early_stopping
    try:
        for settings in (bart.generation_config, model.generation_config):
            settings.early_stopping = stop_early
        wanted = TextGenerator(bart, tokenizers, decoding, LONGEST)(texts)
    finally:
        bart.generation_config.early_stopping = before
    assert wanted != TextGenerator(bart, tokenizers, Decoding(), LONGEST)(texts)
    assert CTranslate2TextGenerator(model, saved, decoding, LONGEST)(texts) == wanted


def test_several_outputs_best_first(folder: Path, texts: list[str]) -> None:
    model, tokenizers, _ = load_ctranslate2(str(folder))
    search = Search(num_beams=4, num_return_sequences=3)
    generator = CTranslate2TextGenerator(model, tokenizers, search, LONGEST, details=("score",))
    assert generator.several
    for outputs in generator.outputs(texts):
        scores = [output.details["score"] for output in outputs]
        assert len(scores) == 3
        assert scores == sorted(scores, reverse=True)
    alone = CTranslate2TextGenerator(model, tokenizers, Decoding(num_beams=4), LONGEST)
    assert generator(texts) == alone(texts)


FLAGS: dict[str, dict[str, Any]] = {
    "shortest length": {"min_new_tokens": 9},
    "first token": {"forced_bos_token": "red"},
    "early stopping": {"num_beams": 4, "early_stopping": "true"},
}


@pytest.mark.parametrize("name", FLAGS)
def test_flags(folder: Path, bart: Any, tokenizers: Tokenizers, texts: list[str], name: str) -> None:
    model, saved, _ = load_ctranslate2(str(folder))
    wanted = TextGenerator(bart, tokenizers, Search(**FLAGS[name]), LONGEST)(texts)
    assert CTranslate2TextGenerator(model, saved, Search(**FLAGS[name]), LONGEST)(texts) == wanted


def test_a_first_token_that_is_not_there(folder: Path, texts: list[str]) -> None:
    model, tokenizers, _ = load_ctranslate2(str(folder))
    with pytest.raises(InputError, match="--forced-bos-token: 'reed' is not in the vocabulary; did you mean 'red'"):
        CTranslate2TextGenerator(model, tokenizers, Search(forced_bos_token="reed"), LONGEST)(texts)


@pytest.mark.parametrize("flags", [{"do_sample": True}, {"min_length_ratio": 0.5}, {"early_stopping": "never"}])
def test_flags_that_ctranslate2_cannot_follow(flags: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="--" + next(iter(flags)).replace("_", "-")):
        search_options(GenerationConfig(), Search(**flags))


def test_long_sources_are_cut_and_counted(folder: Path, bart: Any, tokenizers: Tokenizers, texts: list[str]) -> None:
    model, saved, _ = load_ctranslate2(str(folder))
    wanted = TextGenerator(bart, tokenizers, Decoding(), LONGEST, max_source_length=5)
    found = CTranslate2TextGenerator(model, saved, Decoding(), LONGEST, max_source_length=5)
    assert found(texts) == wanted(texts)
    assert found(texts).counts == wanted(texts).counts
    assert found(texts).counts.truncated > 0


def test_what_ctranslate2_cannot_follow_is_refused() -> None:
    for name, value in {"begin_suppress_tokens": [3], "bad_words_ids": [[3, 4]], "repetition_penalty": 1.5}.items():
        with pytest.raises(InputError, match=name):
            search_options(GenerationConfig(decoder_start_token_id=1, eos_token_id=1, **{name: value}), Search())


def test_a_folder_without_an_export(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(InputError, match="contains no CTranslate2 model"):
        load_ctranslate2(str(tmp_path))
    with pytest.raises(InputError, match="no such folder"):
        load_ctranslate2(str(tmp_path / "none"))
    (tmp_path / "model.bin").write_bytes(b"")
    (tmp_path / "export_report.json").write_text(json.dumps({"format": "ctranslate2"}))
    with pytest.raises(InputError, match="a classifier"):
        load_ctranslate2(str(tmp_path))


BEAMS: dict[str, dict[str, Any]] = {
    "--min-new-tokens": {"min_new_tokens": 6},
    "--no-repeat-ngram-size": {"no_repeat_ngram_size": 2},
    "--length-penalty 2": {"length_penalty": 2.0},
    "--num-return-sequences": {"num_return_sequences": 3},
}


@pytest.mark.parametrize("name", BEAMS)
def test_beams_that_are_not_those_of_pytorch_are_reported(
    folder: Path, bart: Any, tokenizers: Tokenizers, texts: list[str], name: str
) -> None:
    model, saved, _ = load_ctranslate2(str(folder))
    search = Search(num_beams=4, **BEAMS[name])
    remark = beam_remark(model.generation_config, search)
    assert remark is not None
    assert name in remark
    wanted = TextGenerator(bart, tokenizers, search, LONGEST, details=("score",)).outputs(texts)
    found = CTranslate2TextGenerator(model, saved, search, LONGEST, details=("score",)).outputs(texts)
    assert [[each.text for each in row] for row in wanted] != [[each.text for each in row] for row in found]


RULES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "shortest length": ({"min_new_tokens": 6}, {}),
    "ngrams": ({"no_repeat_ngram_size": 2, "length_penalty": 0.5}, {}),
    "first token": ({"forced_bos_token": "red"}, {}),
    "last token": ({"min_new_tokens": 3}, {"forced_eos_token_id": 1}),
    "forbidden tokens": ({}, {"suppress_tokens": [5, 6, 7, 8]}),
}


@pytest.mark.parametrize("name", RULES)
def test_scores_under_rules_are_those_of_pytorch(
    folder: Path, bart: Any, tokenizers: Tokenizers, texts: list[str], name: str
) -> None:
    model, saved, _ = load_ctranslate2(str(folder))
    flags, own = RULES[name]
    search = Search(num_beams=4, **flags)
    before = {option: getattr(bart.generation_config, option) for option in own}
    try:
        for settings in (bart.generation_config, model.generation_config):
            settings.update(**own)
        wanted = TextGenerator(bart, tokenizers, search, LONGEST, details=("score",)).outputs(texts)
        found = CTranslate2TextGenerator(model, saved, search, LONGEST, details=("score",)).outputs(texts)
    finally:
        bart.generation_config.update(**before)
    pairs = [
        (ours.details["score"], theirs.details["score"])
        for one, other in zip(wanted, found, strict=True)
        for ours in one
        for theirs in other
        if ours.text == theirs.text and "<" not in ours.text
    ]
    assert len(pairs) >= len(texts) / 2
    close = [abs(ours - theirs) < 1e-3 for ours, theirs in pairs]
    assert sum(close) >= len(close) - 1  # special tokens, which no text shows, may tell two outputs apart
    assert all(len(outputs) == search.num_return_sequences for outputs in found)


def test_beams_without_a_warning() -> None:
    assert beam_remark(GenerationConfig(), Search(num_beams=4)) is None
    assert beam_remark(GenerationConfig(), Search(num_beams=4, length_penalty=0.0, early_stopping="true")) is None
    assert beam_remark(GenerationConfig(), Search(min_new_tokens=6, no_repeat_ngram_size=2)) is None
    assert "suppress_tokens" in str(beam_remark(GenerationConfig(suppress_tokens=[4]), Search(num_beams=4)))
