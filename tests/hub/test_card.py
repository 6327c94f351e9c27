"""Model cards of tiny real models: front matter, figures, and the program in the card run in a fresh process."""

import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import ModelCard
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PreTrainedModel,
    T5Config,
    T5ForConditionalGeneration,
)

from hf_seq2seq.data.collation import LabelCollator, Seq2SeqCollator
from hf_seq2seq.data.encoding import encode_labelled, encode_pairs
from hf_seq2seq.data.labelled_texts import Labelled
from hf_seq2seq.data.pairs import Pairs
from hf_seq2seq.data.tokenizers.special_tokens import BERT
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers, train_tokenizers
from hf_seq2seq.hub.card import write_card
from hf_seq2seq.metrics import TEXT_METRICS, check_metrics
from hf_seq2seq.objectives.classification import Classification
from hf_seq2seq.objectives.cross_entropy import TokenCrossEntropy
from hf_seq2seq.problems import LABEL_PROBLEMS
from hf_seq2seq.problems.seq2seq import Seq2SeqProblem
from hf_seq2seq.recipes import bert_classifier, rnn, t5
from hf_seq2seq.sections import build
from hf_seq2seq.task import Task
from hf_seq2seq.training.files import write_model

pytestmark = pytest.mark.usefixtures("forked")

WORDS = ["ein mann fährt rad", "zwei hunde rennen `schnell`", "eine frau liest", "der zug kommt"]
TARGETS = ["a man rides a bike", "two dogs run fast", "a woman reads", "the train comes"]
PAIRS = {
    "train": Pairs(WORDS * 5, [[target] for target in TARGETS * 5], ("de", "en")),
    "validation": Pairs(WORDS[:2], [["a man cycles", "a man rides"], ["two dogs"]], ("de", "en")),
    "test": Pairs(["zwei ``` männer\n'lesen' \"laut\""], [["two men read aloud"]], ("de", "en")),
}


def t5_task(separate: bool = False, **options) -> Task:
    base = {"tokenizer_type": "char", "max_source_length": 20, "max_target_length": 12, "source_prefix": "übersetze: "}
    config = build(t5.Config, base | {"from_scratch": True, "separate_vocabularies": separate} | options)
    tokenizers = train_tokenizers(PAIRS["train"].sources, TARGETS, config.tokens)
    size = max(len(tokenizers.source), len(tokenizers.target))
    settings = T5Config(vocab_size=size, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    settings.pad_token_id, settings.eos_token_id, settings.decoder_start_token_id = 0, 1, 0
    model = T5ForConditionalGeneration(settings)
    return pair_task("t5", config, model, tokenizers)


def rnn_task() -> Task:
    options = {"tokenizer_type": "char", "target_tokenizer_type": "word", "embedding_size": 8, "hidden_size": 8}
    config = build(rnn.Config, options | {"max_target_length": 6})
    tokenizers = train_tokenizers(PAIRS["train"].sources, TARGETS, config.tokens)
    return pair_task("rnn", config, rnn.build_model(config, tokenizers), tokenizers)


def pair_task(recipe: str, config: Any, model: PreTrainedModel, tokenizers: Tokenizers) -> Task:
    prefix = config.data.source_prefix
    return Task(
        recipe=recipe,
        config=config,
        model=model,
        tokenizers=tokenizers,
        splits={name: encode_pairs(rows, tokenizers, config.tokens, prefix) for name, rows in PAIRS.items()},
        columns={"source": "de", "target": "en"},
        objective=TokenCrossEntropy(model, 0.0),
        collate=Seq2SeqCollator(0),
        metrics=("bleu", "rouge"),
        problem=Seq2SeqProblem(config.decoding, config.tokens.max_target_length),
    )


def bert_task(problem: str = "single_label", pairs: bool = False, labels: np.ndarray | None = None) -> Task:
    config = build(bert_classifier.Config, {"problem_type": problem, "max_source_length": 16})
    names = () if problem == "regression" else ("neg|ative", "neutral", "positive")
    options = build(t5.Config, {"tokenizer_type": "word"}).tokens
    tokenizer = train_tokenizers(WORDS, [], options, specials=BERT).source
    labels = np.array([0, 1, 2, 2]) if labels is None else labels
    columns = {"text": "sentence", "label": "label"} | ({"text_pair": "other"} if pairs else {})
    rows = Labelled(WORDS, TARGETS if pairs else None, labels, columns)
    model = BertForSequenceClassification(
        BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            num_labels=max(1, len(names)),
            **({"id2label": dict(enumerate(names))} if names else {}),
        )
    )
    examples = encode_labelled(rows, tokenizer, config.tokens)
    return Task(
        recipe="bert_classifier",
        config=config,
        model=model,
        tokenizers=Tokenizers(tokenizer, tokenizer),
        splits={"train": examples, "validation": examples},
        columns=columns,
        objective=Classification(model, None, 0.0),
        collate=LabelCollator(tokenizer.pad_token_id),
        metrics=("accuracy", "macro_f1", "matthews") if problem == "single_label" else (),
        problem=LABEL_PROBLEMS[problem],
        label_names=names,
    )


def card_of(folder: Path, task: Task, results: dict[str, float]) -> str:
    folder.mkdir(exist_ok=True)
    write_model(folder, task, task.model.state_dict())
    write_card(folder, task, results, "hf-seq2seq train t5 -c `run`.yaml")
    return (folder / "README.md").read_text(encoding="utf-8")


def run_programs(cards: list[str], folder: Path) -> list[str]:
    """Runs the program of every card in one fresh process, for the time that imports take; returns what each prints."""
    found = [re.search(r"^(`{3,})python\n(.*?)^\1$", card, re.MULTILINE | re.DOTALL) for card in cards]
    code = "".join(f"exec({match.group(2)!r}, {{}})\nprint('-' * 9)\n" for match in found)
    done = subprocess.run(
        [sys.executable, "-W", "error::FutureWarning", "-c", code],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("-" * 9 + "\n")[:-1]


RESULTS = {
    "eval_loss": 1.25,
    "eval_bleu": 31.4159265,
    "eval_samples": 2,
    "eval_runtime": 0.5,
    "predict_loss": math.nan,
    "predict_bleu": 27.1828,
    "predict_rouge1": 50.0,
    "train_runtime": 75.2,
    "train_steps": 1200,
    "epoch": 3.0,
}


def test_the_program_in_the_card_of_a_seq2seq_model_gives_its_outputs(tmp_path):
    tasks = [t5_task(separate, num_beams=2, no_repeat_ngram_size=2) for separate in (False, True)] + [rnn_task()]
    cards = [card_of(tmp_path / f"run{i}", task, RESULTS) for i, task in enumerate(tasks)]
    assert ['subfolder="target_tokenizer"' in card for card in cards] == [False, True, True]
    assert ["trust_remote_code=True)" in card for card in cards] == [False, False, True]
    for task, printed in zip(tasks, run_programs(cards, tmp_path), strict=True):
        settings, search = task.config.tokens, task.config.decoding
        text = task.config.data.source_prefix + PAIRS["test"].sources[0]
        source = task.tokenizers.source(
            [text], return_tensors="pt", truncation=True, max_length=settings.max_source_length
        )
        outputs = task.model.eval().generate(
            **source,
            max_new_tokens=settings.max_target_length,
            num_beams=search.num_beams,
            no_repeat_ngram_size=search.no_repeat_ngram_size,
        )
        assert printed.strip() == str(task.tokenizers.target.batch_decode(outputs, skip_special_tokens=True))


def test_the_program_in_the_card_of_a_classifier_runs(tmp_path):
    class_name = r"'(neg\|ative|neutral|positive)'"
    cases = [
        (bert_task(), rf"\[{class_name}\]"),
        (bert_task(pairs=True), rf"\[{class_name}\]"),
        (bert_task("multi_label", labels=np.ones((4, 3), dtype=np.float32)), rf"\[({class_name}(, )?)*\]"),
        (bert_task("regression", labels=np.ones(4, dtype=np.float32)), r"\[-?\d+\.\d+\]"),
    ]
    cards = [card_of(tmp_path / f"run{i}", task, {"eval_loss": 0.5}) for i, (task, _) in enumerate(cases)]
    assert ["tokenizer(texts, other_texts," in card for card in cards] == [False, True, False, False]
    for (_, expected), printed in zip(cases, run_programs(cards, tmp_path), strict=True):
        assert re.fullmatch(expected, printed.strip())


def test_front_matter_says_what_the_hub_reads(tmp_path):
    card_of(tmp_path / "run", t5_task(), RESULTS)
    data = ModelCard.load(tmp_path / "run" / "README.md").data
    assert (data.library_name, data.pipeline_tag, data.language) == ("transformers", "translation", ["de", "en"])
    assert data.tags == ["hf-seq2seq", "t5", "text2text-generation"]
    assert data.metrics == ["bleu", "rouge"]
    assert (data.base_model, data.datasets, data.license) == (None, None, None)
    found = {(r.dataset_split, r.metric_type): r.metric_value for r in data.eval_results}
    # Loss of the test split is not a number, and runtimes are no scores.
    assert found == {
        ("validation", "loss"): 1.25,
        ("validation", "bleu"): 31.4159,
        ("test", "bleu"): 27.1828,
        ("test", "rouge"): 50.0,
    }
    assert {r.verified for r in data.eval_results} == {False}


def test_license_and_languages_are_what_the_user_says(tmp_path):
    card_of(tmp_path / "run", t5_task(license="cc-by-4.0", language="nds,en"), RESULTS)
    data = ModelCard.load(tmp_path / "run" / "README.md").data
    assert (data.license, data.language) == ("cc-by-4.0", ["nds", "en"])


def test_names_on_the_hub_are_linked_and_folders_are_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "local").mkdir()
    hub = {"from_scratch": False, "model_name_or_path": "google-t5/t5-small", "dataset_name": "bentrevett/multi30k"}
    card_of(tmp_path / "run", t5_task(**hub, dataset_revision="abc", test_split="flickr"), RESULTS)
    data = ModelCard.load(tmp_path / "run" / "README.md").data
    assert (data.base_model, data.datasets) == ("google-t5/t5-small", ["bentrevett/multi30k"])
    assert {(r.dataset_type, r.dataset_revision) for r in data.eval_results} == {("bentrevett/multi30k", "abc")}
    assert {r.dataset_split for r in data.eval_results} == {"validation", "flickr"}
    refs = tmp_path / "cache" / "datasets--bentrevett--multi30k" / "refs"
    refs.mkdir(parents=True)
    (refs / "main").write_text("f" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    card_of(tmp_path / "run", t5_task(**hub), RESULTS)
    data = ModelCard.load(tmp_path / "run" / "README.md").data
    assert {r.dataset_revision for r in data.eval_results} == {"f" * 40}
    local = {"from_scratch": False, "model_name_or_path": "local", "dataset_name": "./local"}
    card_of(tmp_path / "run", t5_task(**local), RESULTS)
    data = ModelCard.load(tmp_path / "run" / "README.md").data
    assert (data.base_model, data.datasets) == (None, None)
    assert {(r.dataset_type, r.dataset_name) for r in data.eval_results} == {("local", "local")}


def test_the_body_gives_results_data_and_training(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "loss.png").write_bytes(b"")
    task = t5_task(train_file="data/train.de,data/train.en", test_file="data/test.tsv")
    card = card_of(folder, task, RESULTS)
    assert "| Score | validation | test |" in card
    assert "| BLEU ↑ | 31.42 | 27.18 |" in card
    assert "| Loss ↓ | 1.2500 | nan |" in card
    assert "nrefs:1|case:mixed" in card  # the test rows have one reference each
    assert "![loss](loss.png)" in card
    assert "confusion.png" not in card
    cut = task.splits["train"].truncated
    assert 0 < cut[0] <= 20
    assert f"| train | 20 | source | 20 | 20 | 20 | 20 | 20 | {100 * cut[0] / 20:.2f} % |" in card
    assert "1,200 optimizer steps, 3.00 epochs; " in card
    assert "Training took 75 seconds on the CPU (1 process)." in card
    assert "hf-seq2seq train t5 -c `run`.yaml" in card
    assert "max_source_length: 20\n" in card
    assert f"- {100 * cut[0] / 20:.1f} % of the training sources were truncated" in card
    assert "`data/train.de,data/train.en`" in card
    assert f"{sum(p.numel() for p in task.model.parameters()):,} parameters" in card


def test_intervals_accompany_their_scores(tmp_path):
    task = t5_task()
    (tmp_path / "run").mkdir()
    predictions = {"validation": ["a man cycles with a dog", "two cats"], "test": ["two men"]}
    write_card(tmp_path / "run", task, RESULTS, "hf-seq2seq", predictions)
    card = (tmp_path / "run" / "README.md").read_text(encoding="utf-8")
    # Two rows can be drawn in three ways, each likelier than what lies outside the interval.
    rows = list(zip(predictions["validation"], PAIRS["validation"].references, strict=True))
    draws = [[rows[first], rows[second]] for first, second in ((0, 0), (0, 1), (1, 1))]
    scores = [check_metrics(["bleu"], TEXT_METRICS)["bleu"].compute(*zip(*draw, strict=True))["bleu"] for draw in draws]
    assert min(scores) < max(scores)
    assert f"| BLEU ↑ | 31.42 ({min(scores):.2f}–{max(scores):.2f}) | 27.18 (" in card
    assert "| Loss ↓ | 1.2500 | nan |" in card
    assert "In brackets" in card
    assert "## Examples\n\nThe best 1 of 1 test rows by chrF:" in card
    assert "| `two men` | `two men read aloud` |" in card


def test_misleading_scores_are_reported(tmp_path, monkeypatch):
    monkeypatch.setitem(PAIRS, "test", Pairs(["ein mann"], [["今天天气很好"]], ("de", "zh")))
    (tmp_path / "run").mkdir()
    predictions = {"validation": ["a man", "two cats"], "test": ["今天天气很好"]}
    write_card(tmp_path / "run", t5_task(), RESULTS, "hf-seq2seq", predictions)
    card = (tmp_path / "run" / "README.md").read_text(encoding="utf-8")
    assert "\n- test, bleu: in 1 of 1 rows text is written without spaces, so that its words are not found;" in card
    assert "validation, bleu: in" not in card


def test_results_on_training_rows_are_called_so(tmp_path):
    card = card_of(tmp_path / "run", t5_task(train_file="a.tsv", test_file="a.tsv", validation_file="b.tsv"), RESULTS)
    results = card.partition("## Results")[2].partition("\n## ")[0]
    assert "\n--test-file: is the --train-file, too; scores on it say nothing of new rows.\n" in results
    assert "--validation-file" not in results


def test_a_run_without_evaluation_says_so(tmp_path):
    card = card_of(tmp_path / "run", t5_task(), {"train_runtime": 3.0})
    assert "Nothing was evaluated" in card
    assert "not evaluated on unseen rows" in card
    assert ModelCard.load(tmp_path / "run" / "README.md").data.eval_results is None


def test_rows_that_selected_the_checkpoint_are_distinguished_from_others(tmp_path):
    chosen = "evaluated only on the validation rows, which also selected the checkpoint"
    seen = {prefix: {k: v for k, v in RESULTS.items() if not k.startswith(prefix)} for prefix in ("eval_", "predict_")}
    assert chosen in card_of(tmp_path / "a", t5_task(), seen["predict_"])
    assert chosen not in card_of(tmp_path / "b", t5_task(), seen["eval_"])
    assert chosen not in card_of(tmp_path / "c", t5_task(), RESULTS)


def test_labels_are_listed_with_their_rows(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "confusion.png").write_bytes(b"")
    results = {"eval_loss": 0.5, "eval_accuracy": 75.0, "eval_matthews": 0.5}
    card = card_of(tmp_path / "run", bert_task(), results)
    assert "| neg\\|ative | 1 | `ein mann fährt rad` |" in card
    assert "| positive | 2 | `eine frau liest` |" in card
    assert "| Matthews correlation ↑ | 0.5000 |" in card
    assert "![confusion matrix](confusion.png)" in card
    data = ModelCard.load(tmp_path / "run" / "README.md").data
    assert (data.pipeline_tag, data.metrics) == ("text-classification", ["accuracy", "matthews_correlation"])
