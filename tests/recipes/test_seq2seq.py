"""The recipe for any encoder-decoder: each family trains, resumes, generates, saves, and reloads in transformers."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from hf_seq2seq.data.annotated_text import AnnotatedText
from hf_seq2seq.data.collation import source_batch
from hf_seq2seq.data.inputs import searched
from hf_seq2seq.data.tokenizers.languages import language_codes
from hf_seq2seq.decoding.search_options import Search
from hf_seq2seq.decoding.text_generator import TextGenerator
from hf_seq2seq.errors import InputError
from hf_seq2seq.hub.export import export_model
from hf_seq2seq.hub.export_check import Subject
from hf_seq2seq.recipes import seq2seq
from hf_seq2seq.saved.loading import load_seq2seq
from hf_seq2seq.sections import build
from hf_seq2seq.task import Task
from hf_seq2seq.training.loop import Loop

SMALL: dict[str, Any] = {
    **{"max_tokens_per_batch": 200, "max_target_length": 12, "max_source_length": 20, "metrics": "chrf"},
    **{"max_steps": 2, "save_steps": 1, "eval_steps": 2, "logging_steps": 1, "learning_rate": 1e-3},
}
LANGUAGES = {"m2m_100": ("de", "en"), "nllb": ("deu_Latn", "eng_Latn"), "mbart50": ("de", "en_XX")}
FAMILIES = (
    *("marian", "m2m_100", "nllb", "nllb_moe", "mbart50", "led", "longt5", "umt5", "switch_transformers"),
    *("prophetnet", "blenderbot", "t5gemma", "t5gemma2", "byt5", "bert+gpt2", "bert+bert", "gpt2+bert"),
)
Find = Callable[[str], str]


@pytest.fixture(scope="module")
def few_pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    words = ["abc", "de", "caba", "eda", "bad", "ceed", "ab", "dceab", "ea", "bb", "cadd", "eeb"]
    files = {}
    for name, part in (("train_file", words), ("validation_file", words[:3])):
        path = tmp_path_factory.mktemp("pairs") / f"{name}.tsv"
        path.write_text("source\ttarget\n" + "".join(f"{word}\t{word[::-1]}\n" for word in part))
        files[name] = str(path)
    return files | {"source_column": "source", "target_column": "target"}


def start_of(family: str, find: Find) -> dict[str, Any]:
    """The options that name a start."""
    if "+" in family:
        return dict(zip(("encoder", "decoder"), map(find, family.split("+")), strict=True))
    given = {"model_name_or_path": find(family)}
    languages = LANGUAGES.get(family.replace("nllb_moe", "nllb"))
    return given | (dict(zip(("source_lang", "target_lang"), languages, strict=True)) if languages else {})


def run(values: dict[str, Any], folder: Path, resume: str | None = None) -> Task:
    """Trains a task without its final scores and card."""
    task = seq2seq.prepare(build(seq2seq.Config, values | {"output_dir": str(folder)}))
    folder.mkdir(exist_ok=True)
    Loop(task, Accelerator(cpu=True), folder, resume).run()
    return task


def plain_outputs(folder: Path, texts: list[str], beams: int) -> tuple[list[str], list[float]]:
    """What transformers alone generates, and the scores of beam search."""
    reads = writes = AutoTokenizer.from_pretrained(folder)
    if (folder / "target_tokenizer").is_dir():
        writes = AutoTokenizer.from_pretrained(folder, subfolder="target_tokenizer")
    model, report = AutoModelForSeq2SeqLM.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    found, scores = [], []
    search = {"num_beams": beams, "do_sample": False, "return_dict_in_generate": True, "output_scores": True}
    for text in texts:
        inputs = {name: reads(text, return_tensors="pt")[name] for name in ("input_ids", "attention_mask")}
        if model.config.model_type == "led":
            inputs["global_attention_mask"] = (torch.arange(inputs["input_ids"].shape[1]) == 0).long()[None]
        outputs = model.generate(**inputs, **search)
        found.append(writes.decode(outputs.sequences[0], skip_special_tokens=True))
        scores += outputs.sequences_scores.tolist() if beams > 1 else [0.0]
    return found, scores


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family(family: str, tiny_family: Find, few_pairs: dict[str, str], tmp_path: Path) -> None:
    values = SMALL | few_pairs | start_of(family, tiny_family)
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    task = run(values, whole)
    shutil.copytree(whole / "checkpoint-1", resumed / "checkpoint-1")
    torch.manual_seed(5)
    run(values | {"resume_from_checkpoint": "last"}, resumed, "last")
    first, second = (load_file(folder / "checkpoint-2" / "model.safetensors") for folder in (whole, resumed))
    assert first.keys() == second.keys()
    for name, weight in first.items():
        assert torch.equal(weight, second[name]), name
    start = AutoModelForSeq2SeqLM.from_pretrained(whole / "checkpoint-1").state_dict()
    assert any(not torch.equal(start[name], weight) for name, weight in first.items()), "nothing was learned"

    model, tokenizers, settings = load_seq2seq(str(whole / "checkpoint-2"))
    assert settings.max_target_length == 12
    texts = ["abc", "ed", "bacad", "eeabc"]
    for beams in (1, 3):
        decoding = Search(num_beams=beams, per_device_eval_batch_size=4)
        ours = [found[0] for found in TextGenerator(model, tokenizers, decoding, 12, details=("score",)).outputs(texts)]
        plain, scores = plain_outputs(whole / "checkpoint-2", texts, beams)
        assert [output.text for output in ours] == plain
    assert [output.details["score"] for output in ours] == pytest.approx(scores, rel=1e-4)
    assert len({round(score, 5) for score in scores}) > 2, "a model that does not read is no test"
    batch = source_batch(task.splits["train"].source, [0], tokenizers.source.pad_token_id)
    again = source_batch(TextGenerator(model, tokenizers, decoding, 12).encode(["abc"])[0], [0], 0)
    assert batch["input_ids"].tolist() == again["input_ids"].tolist(), "a source is not read as in training"


@pytest.mark.parametrize("family", ["marian", "m2m_100", "nllb", "mbart50", "byt5"])
def test_export(family: str, tiny_family: Find, few_pairs: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("ctranslate2", reason="needs the extra [export]")
    run(SMALL | few_pairs | start_of(family, tiny_family), tmp_path / "run")
    place = str(tmp_path / "run" / "checkpoint-2")
    texts = ["abc", "ed", "bacad", "eeabc"]
    subject = Subject(*load_seq2seq(place), texts)
    report = export_model(place, subject, tmp_path / "out", "ctranslate2", "float32")
    assert report["equal"] == report["rows"] == 4


def test_a_run_ends_with_scores_and_a_card_whose_program_runs(
    tiny_family: Find, few_pairs: dict[str, str], tmp_path: Path, fresh_process: Callable[[str], str]
) -> None:
    out = tmp_path / "out"
    values = SMALL | few_pairs | {"test_file": few_pairs["validation_file"], "output_dir": str(out)}
    seq2seq.main(build(seq2seq.Config, values | start_of("led", tiny_family)))
    program = re.search(r"```python\n(.*?)```", (out / "README.md").read_text(), re.S)[1]
    assert "global_attention_mask" in program
    text = re.search(r"texts = \['(\w+)'\]", program)[1]
    assert fresh_process(program).strip() == str(plain_outputs(out, [text], 1)[0])
    assert "predict_chrf" in json.loads((out / "all_results.json").read_text())


def test_tied_halves_stay_tied(tiny_family: Find, few_pairs: dict[str, str], tmp_path: Path) -> None:
    tied = start_of("bert+bert", tiny_family) | {"tie_encoder_decoder": True}
    task = run(SMALL | few_pairs | tied, tmp_path / "run")
    layer = "encoder.layer.0.attention.self.query.weight"
    assert task.model.get_parameter(f"encoder.{layer}") is task.model.get_parameter(f"decoder.bert.{layer}")
    saved = load_file(tmp_path / "run" / "checkpoint-2" / "model.safetensors")
    assert torch.equal(saved[f"encoder.{layer}"], saved[f"decoder.bert.{layer}"])
    assert plain_outputs(tmp_path / "run" / "checkpoint-2", ["abc"], 1)
    again = {"model_name_or_path": str(tmp_path / "run" / "checkpoint-2")}
    model = seq2seq.prepare(build(seq2seq.Config, SMALL | few_pairs | again)).model
    assert model.get_parameter(f"encoder.{layer}") is model.get_parameter(f"decoder.bert.{layer}")
    untied = seq2seq.prepare(build(seq2seq.Config, SMALL | few_pairs | start_of("bert+bert", tiny_family))).model
    count = lambda found: sum(p.numel() for p in found.parameters() if p.requires_grad)  # noqa: E731
    assert count(model) < count(untied)


def test_an_adapter_of_a_pair_is_merged(tiny_family: Find, few_pairs: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    values = SMALL | few_pairs | {"test_file": few_pairs["validation_file"], "output_dir": str(out)}
    adapted = {"lora_r": 2, "merge_adapter": True}
    seq2seq.main(build(seq2seq.Config, values | start_of("bert+gpt2", tiny_family) | adapted))
    written = (out / "generated_predictions.txt").read_text().split("\n")[:-1]
    assert [text.replace("\n", " ") for text in plain_outputs(out, ["abc", "de", "caba"], 1)[0]] == written


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ({}, "seq2seq: give --model-name-or-path, or --encoder and --decoder"),
        ({"encoder": "bert"}, "--encoder: also give --decoder"),
        ({"encoder": "bert", "decoder": "gpt2", "model_name_or_path": "led"}, "two starts; give one"),
        ({"encoder": "led", "decoder": "gpt2"}, r"--encoder: .*led is an encoder-decoder itself \(led\)"),
        ({"encoder": "bert", "decoder": "llama"}, "--decoder: .*'llama', which cannot attend to a source; bert,"),
        ({"encoder": "bert", "decoder": "gpt2", "tie_encoder_decoder": True}, "differ in architecture or sizes"),
        (
            {"encoder": "bert", "decoder": "gpt2", "lora_r": 2},
            "--lora-r: an adapter names one base, and a pair has two",
        ),
        (
            {"encoder": "bert", "decoder": "gpt2", "ia3": True},
            "--ia3: an adapter names one base, and a pair has two",
        ),
        ({"model_name_or_path": "led", "tie_encoder_decoder": True}, "needs --encoder and --decoder"),
        ({"model_name_or_path": "gpt2"}, "contains GPT2LMHeadModel, not an encoder-decoder that generates text"),
        ({"model_name_or_path": "nllb", "source_lang": "deu", "target_lang": "eng_Lat"}, "did you mean 'eng_Latn'"),
        ({"model_name_or_path": "nllb", "source_lang": "deu"}, "--target-lang: this checkpoint needs a language"),
        ({"model_name_or_path": "led", "max_target_length": 65}, "--max-target-length: 65 is too large; .* 48 pos"),
    ],
)
def test_wrong_starts_are_refused(
    tiny_family: Find,
    tiny_checkpoint: Callable[[str, list[str]], str],
    few_pairs: dict[str, str],
    start: dict[str, Any],
    message: str,
) -> None:
    names = ("encoder", "decoder", "model_name_or_path")
    find = lambda name: tiny_checkpoint(name, ["abcde"]) if name == "llama" else tiny_family(name)  # noqa: E731
    given = {name: find(value) if name in names else value for name, value in start.items()}
    with pytest.raises(InputError, match=message):
        seq2seq.prepare(build(seq2seq.Config, SMALL | few_pairs | given))


def test_the_encoder_of_led_reads_more_than_its_decoder_writes(tiny_family: Find, few_pairs: dict[str, str]) -> None:
    values = SMALL | few_pairs | {"model_name_or_path": tiny_family("led"), "max_source_length": 64}
    assert seq2seq.prepare(build(seq2seq.Config, values)).config.tokens.max_source_length == 64


def test_a_mixture_in_many_languages_from_start_to_end(
    tiny_family: Find, few_pairs: dict[str, str], tmp_path: Path
) -> None:
    train, dev = few_pairs["train_file"], few_pairs["validation_file"]
    lines = [f"  train_file: {train}", f"  validation_file: {dev}", f"  test_file: {dev}"]
    directions = {"one": ("deu_Latn", "eng_Latn"), "two": ("eng_Latn", "fra_Latn"), "three": ("fra_Latn", "deu_Latn")}
    tasks = []
    for name, (source, target) in directions.items():
        weight = ["  mixing_weight: 2"] * (name == "two")
        tasks += [f"{name}:", *lines, f"  source_lang: {source}", f"  target_lang: {target}", *weight]
    (tmp_path / "tasks.yaml").write_text("\n".join(tasks) + "\n")
    kept = {name: value for name, value in SMALL.items() if name not in ("source_lang", "target_lang")}
    values = kept | {"model_name_or_path": tiny_family("nllb"), "mixture": str(tmp_path / "tasks.yaml")}
    out = tmp_path / "out"
    seq2seq.main(build(seq2seq.Config, values | {"output_dir": str(out), "metrics": ["chrf"]}))
    results = json.loads((out / "all_results.json").read_text())
    assert {f"predict_{name}_chrf" for name in directions} <= set(results)
    assert re.search(r"\| `two` \|.*\| 12 \| 18 \| 50.00 % \|", (out / "README.md").read_text())
    codes = language_codes(AutoTokenizer.from_pretrained(out))
    network, tokenizers, *_ = load_seq2seq(str(out))
    texts = [AnnotatedText("abc", "eng_Latn", code) for code in ("deu_Latn", "fra_Latn")]
    encoded = TextGenerator(network, tokenizers, Search(num_beams=1), 12).encode(texts)[0]
    assert [ids[0] for ids in (encoded[0], encoded[1])] == [codes["eng_Latn"]] * 2
    assert searched(encoded, np.array([0, 1]))["first_tokens"].tolist() == [codes["deu_Latn"], codes["fra_Latn"]]
