"""The program in every family's card, run where this package is not, gives what this package gives."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import BertConfig, BertModel

from hf_seq2seq.cli.generate import GenerateConfig
from hf_seq2seq.data.tokenizers.special_tokens import BERT
from hf_seq2seq.data.tokenizers.vocabulary import train_tokenizers
from hf_seq2seq.decoding.classification import TextClassifier
from hf_seq2seq.decoding.pipeline import make_generator
from hf_seq2seq.hub.card import write_card
from hf_seq2seq.recipes import bart, bert_classifier, gpt, pegasus, rnn, seq2seq, t5, transformer
from hf_seq2seq.saved.loading import load_classifier, load_seq2seq
from hf_seq2seq.sections import build
from hf_seq2seq.task import Task
from hf_seq2seq.training.files import write_model

RunAlone = Callable[[list[str]], list[str]]
WORDS = ["ein mann fährt rad", "zwei hunde rennen schnell", "eine frau liest", "der zug kommt"]
SIDES = {"encoder_layers": 1, "decoder_layers": 1}
NARROW = "d_model=16,encoder_layers=1,decoder_layers=1,encoder_ffn_dim=16,decoder_ffn_dim=16"
SCRATCH = {"from_scratch": True, "tokenizer_type": "word"}
HALVES = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
WRITERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "rnn": (rnn, {"hidden_size": 16, "embedding_size": 8, "separate_vocabularies": True, "tokenizer_type": "char"}),
    "transformer": (transformer, {"d_model": 16, "tokenizer_type": "char", "num_beams": 2, **SIDES, **HALVES}),
    "t5": (t5, SCRATCH | {"config_overrides": "d_model=16,num_layers=1,d_ff=16", "source_prefix": "übersetze: "}),
    "bart": (bart, SCRATCH | {"config_overrides": NARROW, "no_repeat_ngram_size": 2}),
    "pegasus": (pegasus, SCRATCH | {"config_overrides": NARROW, "num_beams": 2, "length_penalty": 0.5}),
    "gpt": (gpt, SCRATCH | {"hidden_size": 16, "num_hidden_layers": 1}),
    "gpt, own": (gpt, SCRATCH | {"hidden_size": 16, "num_hidden_layers": 1, "architecture": "transformer-decoder"}),
    "gpt, causal": (gpt, SCRATCH | {"hidden_size": 16, "num_hidden_layers": 1, "objective": "causal"}),
}


@pytest.fixture
def prepare(tmp_path: Path, loopback_hub: Any) -> Callable[..., Task]:
    """What a recipe makes of four rows."""
    pairs = "".join(f"{word}\t{word[::-1]}\n" for word in WORDS)
    labelled = "".join(f"{word}\t{label}\n" for word, label in zip(WORDS, "wxyz", strict=True))
    files = {"pairs.tsv": f"source\ttarget\n{pairs}", "labels.tsv": f"text\tlabel\n{labelled}", "text.txt": pairs}
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    def make(recipe: Any, **options: Any) -> Task:
        name = "pairs.tsv"
        usual = {"max_target_length": 6, "max_source_length": 16, "metrics": "chrf"}
        if recipe is bert_classifier:
            name, usual = "labels.tsv", {"max_source_length": 16}
        if options.get("objective") in ("causal", "masked_language_model"):
            name = "text.txt"
            usual.pop("metrics", None)
        return recipe.prepare(build(recipe.Config, usual | {"train_file": str(tmp_path / name)} | options))

    return make


def widened(task: Task) -> Task:
    """Weights at which a random model writes more than one token for ever."""
    for parameter in task.model.parameters():
        if parameter.ndim > 1:
            parameter.data.mul_(8)
    return task


def program_of(folder: Path, task: Task) -> str:
    folder.mkdir()
    write_model(folder, task, task.model.state_dict())
    write_card(folder, task, {"eval_loss": 1.5, "predict_loss": 2.5}, "hf-seq2seq train")
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert sys.modules["loopback_hub"].card_errors(card) == []
    return re.search(r"^(`{3,})python\n(.*?)^\1$", card, re.MULTILINE | re.DOTALL).group(2)


@pytest.fixture
def run_alone(transformers_processes: Any, tmp_path: Path) -> RunAlone:
    """Runs programs in one new process in which this package cannot be imported."""

    def run(programs: list[str]) -> list[str]:
        code = "import sys, warnings\nwarnings.simplefilter('error', FutureWarning)\nsys.modules['hf_seq2seq'] = None\n"
        code += "".join(f"exec({text!r}, {{}})\nprint('-' * 9)\n" for text in programs)
        done = transformers_processes.run(program=code, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return [text.strip() for text in done.stdout.split("-" * 9 + "\n")[:-1]]

    return run


def text_of(program: str) -> str:
    found: str = eval(re.search(r"^texts = \[(.*)\]$", program, re.MULTILINE).group(1))
    return found


def ours(folder: Path, text: str) -> list[str]:
    network, tokenizers, settings = load_seq2seq(str(folder))
    return make_generator(GenerateConfig(), {}, network, tokenizers, settings)([text])


def test_models_that_write(prepare: Callable[..., Task], tmp_path: Path, run_alone: RunAlone) -> None:
    places = {name: tmp_path / name for name in WRITERS}
    programs = {
        name: program_of(places[name], widened(prepare(recipe, **options)))
        for name, (recipe, options) in WRITERS.items()
    }
    base, programs["adapter"] = places["bart"], ""
    places["adapter"] = tmp_path / "adapter"
    adapted = prepare(bart, model_name_or_path=str(base), lora_r=2)
    programs["adapter"] = program_of(places["adapter"], widened(adapted))
    places["own adapter"] = tmp_path / "own_adapter"
    adapted = prepare(seq2seq, model_name_or_path=str(places["transformer"]), lora_r=2, num_beams=1)
    programs["own adapter"] = program_of(places["own adapter"], widened(adapted))
    assert "trust_remote_code=True" in programs["transformer"]
    assert "trust_remote_code" not in programs["t5"]
    answers = {name: str(ours(places[name], text_of(program))) for name, program in programs.items()}
    assert dict(zip(programs, run_alone(list(programs.values())), strict=True)) == answers
    assert len(set(answers.values())) > len(programs) // 2  # they say something


def test_classifiers(prepare: Callable[..., Task], tmp_path: Path, run_alone: RunAlone) -> None:
    tokenizer = train_tokenizers(WORDS, [], build(t5.Config, {"tokenizer_type": "word"}).tokens, specials=BERT).source
    small = BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    BertModel(small).save_pretrained(tmp_path / "encoder")
    tokenizer.save_pretrained(tmp_path / "encoder")
    options = {"model_name_or_path": str(tmp_path / "encoder")}
    tasks = {
        "whole": prepare(bert_classifier, **options),
        "adapter": prepare(bert_classifier, **options, lora_r=2),  # of a model without labels
        "mean": prepare(bert_classifier, **options, pooling="mean"),
        "last": prepare(bert_classifier, **options, pooling="last", lora_r=2),
    }
    programs = {name: program_of(tmp_path / name, widened(task)) for name, task in tasks.items()}
    for name, printed in zip(tasks, run_alone(list(programs.values())), strict=True):
        classifier = TextClassifier(*load_classifier(str(tmp_path / name))[:2], batch_size=1)
        logits = classifier.logits([text_of(programs[name])])
        assert classifier.label_names == ("w", "x", "y", "z")
        assert printed == str([classifier.label_names[int(logits.argmax())]])
    card = (tmp_path / "mean" / "README.md").read_text()
    assert "Its head sees the mean over all tokens (`pooling` in config.json)" in card
    assert "pooling` in config" not in (tmp_path / "whole" / "README.md").read_text()


def test_masked_language_models(prepare: Callable[..., Task], tmp_path: Path, run_alone: RunAlone) -> None:
    options = SCRATCH | {"objective": "masked_language_model", "max_source_length": 16}
    tasks = {kind: prepare(bert_classifier, **options, architecture=kind) for kind in ("bert", "transformer-encoder")}
    programs = {kind: program_of(tmp_path / kind, widened(task)) for kind, task in tasks.items()}
    printed = run_alone(list(programs.values()))
    for (kind, program), found in zip(programs.items(), printed, strict=True):
        tokenizer, model = tasks[kind].tokenizers.source, tasks[kind].model.eval()
        inputs = tokenizer([text_of(program)], return_tensors="pt")
        masked = inputs.input_ids == tokenizer.mask_token_id
        assert masked.sum() == 1
        best = model(**inputs).logits[masked].argmax(dim=-1)
        assert found == str(tokenizer.convert_ids_to_tokens(best))
