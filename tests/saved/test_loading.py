"""Loading: what a run saved comes back, and what is no model is refused in a line or two."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from hf_seq2seq.configs import Decoding
from hf_seq2seq.data.encoding import encode_texts
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.decoding.generation import generate_texts
from hf_seq2seq.errors import InputError
from hf_seq2seq.saved.loading import is_classifier, load_classifier, load_config, load_seq2seq
from hf_seq2seq.saved.start_tokens import start_token


def copy(folder: Path, target: Path) -> Path:
    return Path(shutil.copytree(folder, target))


def rewrite(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


ALIASES = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))


@pytest.mark.parametrize("family", ["t5", "bart", "rnn"])
def test_a_saved_model_gives_the_same_texts(
    family: str, make_model: Callable[[str], Any], tokenizers: Tokenizers, texts: list[str], tmp_path: Path
) -> None:
    model = make_model(family)
    sources, _ = encode_texts(texts[:6], tokenizers.source, 64)
    expected = generate_texts(model, tokenizers, sources, Decoding(), 10)
    model.save_pretrained(tmp_path)
    tokenizers.save(tmp_path)
    loaded, found, _ = load_seq2seq(str(tmp_path))
    assert not loaded.training
    assert loaded.dtype == torch.float32
    assert generate_texts(loaded, found, sources, Decoding(), 10) == expected


def test_half_precision_weights_are_loaded_in_single_precision(saved_model: Path, tmp_path: Path) -> None:
    model, tokenizers, _ = load_seq2seq(str(saved_model))
    model.half().save_pretrained(tmp_path)
    tokenizers.save(tmp_path)
    assert load_seq2seq(str(tmp_path))[0].dtype == torch.float32


def test_settings_come_from_the_run(saved_model: Path, tmp_path: Path) -> None:
    folder = copy(saved_model, tmp_path / "run")
    run = {"recipe": "t5", "source_prefix": "say: ", "max_source_length": 33, "max_target_length": 44, "num_beams": 5}
    (folder / "run.yaml").write_text(yaml.safe_dump(run))
    settings = load_seq2seq(str(folder))[2]
    assert (settings.prefix, settings.max_source_length, settings.max_target_length) == ("say: ", 33, 44)
    assert settings.decoding["num_beams"] == 5
    assert settings.run == run


def test_no_length_exceeds_the_positions(
    make_model: Callable[[str], Any], tokenizers: Tokenizers, tmp_path: Path
) -> None:
    make_model("bart").save_pretrained(tmp_path)
    tokenizers.save(tmp_path)
    (tmp_path / "run.yaml").write_text("max_source_length: 1000\nmax_target_length: 2000\n")
    settings = load_seq2seq(str(tmp_path))[2]
    assert (settings.max_source_length, settings.max_target_length, settings.positions) == (64, 64, 64)


def test_generation_settings_win_where_they_name_a_length(saved_model: Path, tmp_path: Path) -> None:
    folder = copy(saved_model, tmp_path / "run")
    (folder / "run.yaml").write_text("max_target_length: 44\n")
    rewrite(folder / "generation_config.json", max_new_tokens=77, num_beams=3)
    settings = load_seq2seq(str(folder))[2]
    assert settings.max_target_length == 77
    assert settings.decoding["num_beams"] == 3


def test_settings_of_a_model_that_another_tool_saved(
    make_model: Callable[[str], Any], tokenizers: Tokenizers, tmp_path: Path
) -> None:
    model = make_model("bart")
    model.generation_config.max_length = 20
    model.save_pretrained(tmp_path)
    tokenizers.save(tmp_path)
    settings = load_seq2seq(str(tmp_path))[2]
    assert settings.prefix == ""
    assert (settings.max_source_length, settings.max_target_length) == (64, 64)  # the table of positions
    t5 = make_model("t5")
    t5.generation_config.max_length = 20
    t5.save_pretrained(tmp_path)
    settings = load_seq2seq(str(tmp_path))[2]
    assert settings.max_target_length == 128  # not the 20 that the library writes by default
    assert settings.max_source_length == 256  # the tokenizer's own


def test_the_nearest_checkpoint_is_named(saved_model: Path, tmp_path: Path) -> None:
    for step in (20, 100):
        copy(saved_model, tmp_path / "run" / f"checkpoint-{step}")
    with pytest.raises(InputError, match=r"run: contains no model; did you mean '.*run/checkpoint-100'\?"):
        load_seq2seq(str(tmp_path / "run"))
    state = tmp_path / "run" / "checkpoint-100" / "trainer_state.json"
    state.write_text('{"best_model_checkpoint": "checkpoint-20"}')
    with pytest.raises(
        InputError, match=r"did you mean '.*run/checkpoint-20'\? Its run has not ended; .*checkpoint last"
    ):
        load_seq2seq(str(tmp_path / "run"))
    state.write_text('{"best_model_checkpoint": null}')
    with pytest.raises(InputError, match=r"did you mean '.*run/checkpoint-100'\? Its run has not ended"):
        load_seq2seq(str(tmp_path / "run"))


def test_places_without_a_model_are_refused(saved_model: Path, tmp_path: Path) -> None:
    copy(saved_model, tmp_path / "outputs" / "best")
    empty = tmp_path / "empty"
    empty.mkdir()
    baseline = tmp_path / "near"
    baseline.mkdir()
    (baseline / "baseline.yaml").write_text("baseline: nearest\n")
    for place, message in {
        baseline: "near: is a baseline, which keeps predictions and no model; `hf-seq2seq evaluate --predictions",
        empty: "contains no model: it has no config.json",
        tmp_path / "outputs" / "bst": "no such folder; did you mean .*outputs/best",
        tmp_path / "nowhere" / "at" / "all": "no such folder",
        saved_model / "config.json": "a file, not a model folder",
    }.items():
        with pytest.raises(InputError, match=message):
            load_seq2seq(str(place))


def test_a_path_beside_a_folder_is_no_name_on_the_hub(
    saved_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy(saved_model, tmp_path / "outputs" / "best")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="outputs/bst: no such folder; did you mean 'outputs/best'"):
        load_seq2seq("outputs/bst")


def test_a_name_on_the_hub_while_offline() -> None:
    with pytest.raises(InputError) as caught:
        load_seq2seq("google-t5/t5-small")
    assert "google-t5/t5-small: no such folder, and not among the downloaded models; HF_HUB_OFFLINE is set" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "model.safetensors").write_bytes(b"\x10" * 40), "the weights are damaged"),
        (lambda f: (f / "model.safetensors").unlink(), "no file named model.safetensors"),
        (lambda f: (f / "config.json").write_text("{"), "not a valid JSON"),
        (lambda f: (f / "config.json").write_text('{"model_type": "nonesuch"}'), "nonesuch"),
        (lambda f: [p.unlink() for p in f.glob("tokenizer*")], "contains a model, but no tokenizer"),
        (lambda f: rewrite(f / "config.json", d_ff=48), "the weights do not fit"),
        (lambda f: (f / "run.yaml").write_text("a: [1"), "run.yaml:1: not YAML"),
        (lambda f: (f / "run.yaml").write_text(ALIASES), "run.yaml: expands to more than 1,000,000 values"),
        (lambda f: (f / "run.yaml").write_text("- 1"), "run.yaml: needs lines such as"),
    ],
)
def test_a_damaged_folder_is_refused(
    damage: Callable[[Path], Any], message: str, saved_model: Path, tmp_path: Path
) -> None:
    folder = copy(saved_model, tmp_path / "model")
    damage(folder)
    with pytest.raises(InputError, match=message) as caught:
        load_seq2seq(str(folder))
    assert str(caught.value).count("\n") <= 1
    assert str(folder) in str(caught.value)


def test_missing_weights_are_refused(saved_model: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = copy(saved_model, tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if "decoder.block.1" in name)
    save_file({n: w for n, w in weights.items() if n != name}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=f"lacks 1 of the model's weights, such as {name}"):
        load_seq2seq(str(folder))


def save_bert(folder: Path, tokenizers: Tokenizers, head: bool) -> Path:
    from transformers import BertConfig, BertForSequenceClassification, BertModel

    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = BertConfig(vocab_size=len(tokenizers.source), id2label={0: "no", 1: "yes"}, **shape)
    (BertForSequenceClassification if head else BertModel)(config).save_pretrained(folder)
    tokenizers.save(folder)
    return folder


def test_models_of_another_kind_are_refused(saved_model: Path, tokenizers: Tokenizers, tmp_path: Path) -> None:
    classifier = save_bert(tmp_path / "classifier", tokenizers, head=True)
    encoder = save_bert(tmp_path / "encoder", tokenizers, head=False)
    with pytest.raises(InputError, match=r"BertForSequenceClassification, not an encoder-decoder.*classify` reads it"):
        load_seq2seq(str(classifier))
    with pytest.raises(InputError, match=r"BertModel, not an encoder-decoder that generates text$"):
        load_seq2seq(str(encoder))
    with pytest.raises(InputError, match=r"T5ForConditionalGeneration, not a classifier.*generate` reads it"):
        load_classifier(str(saved_model))
    with pytest.raises(InputError, match=r"lacks 2 of the model's weights, such as classifier.bias; not a classifier"):
        load_classifier(str(encoder))
    assert is_classifier(load_config(str(classifier)))
    assert not is_classifier(load_config(str(saved_model)))


def test_refusals_say_nothing_else(
    saved_model: Path,
    tokenizers: Tokenizers,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The libraries' own reports and progress bars stay off the terminal."""
    encoder = str(save_bert(tmp_path / "encoder", tokenizers, head=False))
    capfd.readouterr()
    load_seq2seq(str(saved_model))
    with pytest.raises(InputError):
        load_classifier(encoder)
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


def test_weights_are_read_from_safetensors_alone(tiny_checkpoint, tmp_path: Path) -> None:
    folder = Path(tiny_checkpoint("bart", ["abc"]))
    from safetensors.torch import load_file

    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"contains no safetensors, but pytorch_model\.bin, which could run code"):
        load_seq2seq(str(folder))


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("ran",)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "PYTORCH_MODEL.BIN", "weights.pickle"])
def test_a_pickle_alone_is_one_line_and_runs_nothing(
    tiny_checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = Path(tiny_checkpoint("bart", ["abc"]))
    (folder / "model.safetensors").unlink()
    torch.save({"weight": Evil()}, folder / name)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as refused:
        load_seq2seq(str(folder))
    said = str(refused.value)
    assert said.startswith(f"{folder}: contains ")
    assert (
        "could run code and is not loaded; if you trust its author, convert it in Python: safetensors.torch.save_file("
        in said
    )
    assert "\n" not in said
    assert not (tmp_path / "ran").exists()


def test_a_model_whose_target_tokenizer_is_gone_is_refused(
    make_model: Callable[[str], Any], tokenizers: Tokenizers, tmp_path: Path
) -> None:
    make_model("rnn").save_pretrained(tmp_path)
    tokenizers.save(tmp_path)
    (tmp_path / "run.yaml").write_text("tokenizer_type: char\ntarget_tokenizer_type: word\n")
    shutil.rmtree(tmp_path / "target_tokenizer", ignore_errors=True)
    with pytest.raises(InputError, match=r"has no target_tokenizer, though its run.yaml names a vocabulary of targets"):
        load_seq2seq(str(tmp_path))


def test_the_start_token_is_read_where_it_is(make_model: Callable[[str], Any]) -> None:
    model = make_model("t5")
    expected = start_token(model)
    model.generation_config.decoder_start_token_id = model.generation_config.bos_token_id = None
    assert start_token(model) == expected
    model.config.decoder_start_token_id = None
    with pytest.raises(InputError, match="decoder_start_token_id: neither"):
        start_token(model)


def test_weights_that_are_no_numbers_are_refused(
    make_model: Callable[[str], Any], tokenizers: Tokenizers, tmp_path: Path
) -> None:
    model = make_model("t5")
    with torch.no_grad():
        next(model.decoder.parameters())[0, 0] = float("nan")
    model.save_pretrained(tmp_path)
    tokenizers.save(tmp_path)
    with pytest.raises(InputError, match="has values that are not finite numbers"):
        load_seq2seq(str(tmp_path))


def test_weights_without_a_place_are_told(
    make_model: Callable[[str], Any], tokenizers: Tokenizers, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = make_model("bart")
    layers = model.config.decoder_layers
    model.save_pretrained(tmp_path)
    tokenizers.save(tmp_path)
    load_seq2seq(str(tmp_path))
    assert "are not used" not in caplog.text
    rewrite(tmp_path / "config.json", decoder_layers=layers - 1)
    load_seq2seq(str(tmp_path))
    assert "of its weights are not used, such as model.decoder.layers." in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"num_beams": 5, "eos_', "generation_config.json: is not valid JSON"),
        ("", "generation_config.json: is not valid JSON"),
        ('{"suppress_tokens": [1000000000]}', "suppress_tokens: 1000000000 is not the id of one of"),
        ('{"forced_eos_token_id": 1000000}', "forced_eos_token_id: 1000000 is not the id of one of"),
        ('{"stop_strings": 5}', "stop_strings: 5 is not a text or a list of texts"),
    ],
)
def test_damaged_generation_settings_are_named(saved_model: Path, tmp_path: Path, text: str, message: str) -> None:
    folder = copy(saved_model, tmp_path / "run")
    (folder / "generation_config.json").write_text(text)
    with pytest.raises(InputError, match=message):
        load_seq2seq(str(folder))
