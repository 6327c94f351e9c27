"""Pretraining of encoders by masked tokens, then classification: the first command's folder feeds the second."""

import dataclasses
import json
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from hf_seq2seq.data.examples import Examples
from hf_seq2seq.errors import InputError
from hf_seq2seq.recipes import bert_classifier
from hf_seq2seq.sections import build
from hf_seq2seq.task import Task
from hf_seq2seq.tasks.masked_lm import word_starts
from hf_seq2seq.training.loop import Loop

WORDS = ["bale", "ceno", "dima", "fotu", "guse", "halo", "jeri", "kita"]


@pytest.fixture
def text_files(tmp_path: Path) -> dict[str, str]:
    """Documents of sentences in which every word follows from the one before."""
    draw = random.Random(0)

    def sentence() -> str:
        first, length = draw.randrange(8), draw.randint(3, 9)
        return " ".join(WORDS[(first + i) % 8] for i in range(length)) + "."

    for split, rows in (("train", 120), ("validation", 20)):
        lines = [" ".join(sentence() for _ in range(draw.randint(2, 7))) for _ in range(rows)]
        (tmp_path / f"{split}.txt").write_text("\n".join(lines) + "\n")
    return {f"{split}_file": str(tmp_path / f"{split}.txt") for split in ("train", "validation")}


def values(text_files: dict[str, str], folder: Path, **changes: Any) -> dict[str, Any]:
    return text_files | {
        "objective": "masked_language_model", "from_scratch": True, "vocab_size": 45, "max_source_length": 48,
        "learning_rate": 3e-3, "max_steps": 30, "logging_steps": 10, "config_overrides": "hidden_size=32",
        "output_dir": str(folder),
    } | changes  # fmt: skip


def prepared(text_files: dict[str, str], folder: Path, **changes: Any) -> Task:
    return bert_classifier.prepare(build(bert_classifier.Config, values(text_files, folder, **changes)))


def logged(folder: Path, name: str) -> list[float]:
    lines = [json.loads(line) for line in (folder / "train_log.jsonl").read_text().splitlines()]
    return [line[name] for line in lines if name in line]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"next_sentence_prediction": True, "whole_word_masking": True},
        {"architecture": "transformer-encoder"},
    ],
    ids=["bert", "pairs", "own"],
)
def test_pretrain_then_classify(
    changes: dict[str, Any], text_files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    bert_classifier.main(build(bert_classifier.Config, values(text_files, first, **changes)))
    assert logged(first, "loss")[-1] < logged(first, "loss")[0]
    results = json.loads((first / "all_results.json").read_text())
    paired = "next_sentence_prediction" in changes
    assert results["eval_perplexity"] == pytest.approx(np.exp(results["eval_masked_loss" if paired else "eval_loss"]))
    assert 0 <= results["eval_masked_accuracy"] <= 100
    assert ("eval_next_sentence_accuracy" in results) == paired
    card = (first / "README.md").read_text()
    program = re.search(r"```python\n(.*?)```", card, re.DOTALL)
    assert program is not None
    capsys.readouterr()
    exec(program[1], {})
    assert re.fullmatch(r"\['[^']+'\]\n", capsys.readouterr().out)
    assert "Accuracy of masked tokens ↑" in card
    rows = "".join(f"{w} {v}\t{w < 'g'}\n" for w in WORDS for v in WORDS)
    (tmp_path / "labels.tsv").write_text("text\tlabel\n" + rows)
    tuning = {"model_name_or_path": str(first), "train_file": str(tmp_path / "labels.tsv"), "output_dir": str(second)}
    config = build(bert_classifier.Config, tuning | {"max_steps": 2, "max_source_length": 20})
    start = bert_classifier.prepare(config).model.state_dict()
    weights = load_file(first / "model.safetensors")
    kept = [name for name in weights if "embeddings" in name or ".layer" in name]
    assert len(kept) > 10
    assert all(torch.equal(start[name], weights[name]) for name in kept)
    bert_classifier.main(config)
    assert (second / "model.safetensors").exists()


def test_classify_from_scratch(tmp_path: Path) -> None:
    rows = "".join(f"{w} {v}\t{w < 'g'}\n" for w in WORDS for v in WORDS)
    for split in ("train", "test"):
        (tmp_path / f"{split}.tsv").write_text("text\tlabel\n" + rows)
    chosen = {f"{split}_file": str(tmp_path / f"{split}.tsv") for split in ("train", "test")} | {
        "from_scratch": True, "tokenizer_type": "word", "output_dir": str(tmp_path / "out"), "learning_rate": 3e-3,
        "max_steps": 30, "max_source_length": 16,
    }  # fmt: skip
    bert_classifier.main(build(bert_classifier.Config, chosen))
    assert json.loads((tmp_path / "out" / "all_results.json").read_text())["predict_accuracy"] > 95


def within(count: int, total: int, share: float) -> bool:
    """Whether a count is within five standard deviations of a binomial distribution."""
    return abs(count - total * share) < 5 * (total * share * (1 - share)) ** 0.5


@pytest.mark.parametrize("paired", [False, True])
def test_shares_are_berts(paired: bool, text_files: dict[str, str], tmp_path: Path) -> None:
    task = prepared(text_files, tmp_path, next_sentence_prediction=paired)
    tokenizer, epochs = task.tokenizers.source, [task.training_rows.of_epoch(epoch) for epoch in range(20)]
    assert len({examples.source.values.tobytes() for examples in epochs}) == 20
    assert np.array_equal(epochs[3].source.values, task.training_rows.of_epoch(3).source.values)
    masked = ordinary = 0
    shares = np.zeros(3, dtype=int)
    follows: list[int] = []
    for examples in epochs:
        assert (examples.lengths <= task.training_rows.lengths).all()
        assert examples.lengths.max() <= 48
        assert examples.source_labels is not None
        source, labels = examples.source.values, examples.source_labels.values
        chosen = labels != -100
        clean = np.where(chosen, labels, source)
        assert not np.isin(clean[chosen], tokenizer.all_special_ids).any()
        masked += int(chosen.sum())
        ordinary += int((~np.isin(clean, tokenizer.all_special_ids)).sum())
        kinds = source[chosen] == tokenizer.mask_token_id, source[chosen] == labels[chosen]
        shares += [int(kinds[0].sum()), int(kinds[1].sum()), int((~kinds[0] & ~kinds[1]).sum())]
        follows += [] if examples.labels is None else examples.labels.tolist()
        for row in examples.source:
            assert row[0] == tokenizer.cls_token_id
            assert row[-1] == tokenizer.sep_token_id
    assert abs(masked / ordinary - 0.15) < 0.01  # a rounded share of each row, not a draw
    same = 0.1 / (len(tokenizer) - 5)  # a random token may be the same one
    assert [within(int(n), masked, p) for n, p in zip(shares, (0.8, 0.1 + same, 0.1 - same), strict=True)] == [True] * 3
    assert bool(follows) == paired
    if paired:
        assert within(sum(follows), len(follows), 0.5)
        assert len({tuple(examples.labels) for examples in epochs if examples.labels is not None}) == 20


def test_pairs_are_of_their_documents(text_files: dict[str, str], tmp_path: Path) -> None:
    """Of every document one pair or more; the second stretch follows in the text where the label says so."""
    task = prepared(text_files, tmp_path, next_sentence_prediction=True, max_source_length=500)
    examples, tokenizer = task.splits["train"], task.tokenizers.source
    assert examples.labels is not None
    assert examples.token_types is not None
    assert examples.source_labels is not None
    assert len(set(examples.texts)) == 120
    for row in range(len(examples)):
        labels, second = examples.source_labels[row], examples.token_types[row] == 1
        clean = np.where(labels != -100, labels, examples.source[row])
        whole = tokenizer(examples.texts[row], add_special_tokens=False)["input_ids"]
        a, b = clean[1 : int(second.argmax()) - 1].tolist(), clean[second][:-1].tolist()
        text = " ".join(map(str, whole))
        assert " ".join(map(str, a)) in text
        assert (" ".join(map(str, a + b)) in text) == (examples.labels[row] == 0)


def test_words_are_masked_whole(text_files: dict[str, str], tmp_path: Path) -> None:
    task = prepared(text_files, tmp_path, whole_word_masking=True)
    tokenizer, examples = task.tokenizers.source, task.splits["train"]
    assert examples.source_labels is not None
    pieces = 0
    for ids, labels in zip(examples.source, examples.source_labels, strict=True):
        clean = tokenizer.convert_ids_to_tokens(np.where(labels != -100, labels, ids).tolist())
        chosen = labels != -100
        assert chosen.any()
        for place in range(2, len(clean)):  # a row may begin inside a word
            if clean[place].startswith("##"):
                assert chosen[place] == chosen[place - 1]
                pieces += 1
    assert pieces > 100


@pytest.mark.parametrize(("kind", "start", "inside"), [("bpe", "Ġceno", "e"), ("unigram", "▁", "e")])
def test_word_starts_of_other_tokenizers(
    kind: str, start: str, inside: str, text_files: dict[str, str], tmp_path: Path
) -> None:
    task = prepared(text_files, tmp_path, tokenizer_type=kind, vocab_size=300)
    starts, ids = word_starts(task.tokenizers.source), task.tokenizers.source.get_vocab()
    found = [token for token in ids if token.startswith(start)]
    assert found
    assert starts[[ids[token] for token in found]].all()
    assert starts[ids["[SEP]"]]
    assert not starts[ids[inside]]


@pytest.mark.parametrize("paired", [False, True])
def test_accumulation_and_padding_change_nothing(paired: bool, text_files: dict[str, str], tmp_path: Path) -> None:
    def trained(name: str, size: int, accumulation: int) -> tuple[dict[str, torch.Tensor], list[float]]:
        chosen = {
            "per_device_train_batch_size": size, "gradient_accumulation_steps": accumulation, "max_steps": 4,
            "logging_steps": 1, "adam_epsilon": 1e-3, "next_sentence_prediction": paired,
            "config_overrides": "hidden_size=32,hidden_dropout_prob=0,attention_probs_dropout_prob=0",
        }  # fmt: skip
        task = prepared(text_files, tmp_path / name, **chosen)
        task = dataclasses.replace(task, splits={"train": task.splits["train"]})
        (tmp_path / name).mkdir()
        Loop(task, Accelerator(cpu=True), tmp_path / name).run()
        return task.model.state_dict(), logged(tmp_path / name, "loss")

    one, cut = trained("one", 12, 1), trained("cut", 3, 4)
    assert one[1] == pytest.approx(cut[1], rel=1e-5)
    for name, weight in one[0].items():
        torch.testing.assert_close(weight, cut[0][name], rtol=1e-5, atol=1e-5, msg=name)


def test_a_steps_loss_is_the_mean_over_its_masked_tokens(text_files: dict[str, str], tmp_path: Path) -> None:
    """Against cross-entropies in float64 of rows that are read alone."""
    chosen = {"gradient_accumulation_steps": 3, "per_device_train_batch_size": 5, "logging_steps": 1, "max_steps": 1}
    chosen |= {"config_overrides": "hidden_size=32,hidden_dropout_prob=0,attention_probs_dropout_prob=0"}
    task = prepared(text_files, tmp_path, **chosen)
    loop = Loop(task, Accelerator(cpu=True), tmp_path)
    examples: Examples = task.training_rows.of_epoch(0)
    assert examples.source_labels is not None
    lost, count = 0.0, 0
    for row in np.concatenate(loop.plan.epoch(0)[0]):
        with torch.no_grad():
            logits = task.model(torch.from_numpy(examples.source[row].astype(np.int64))[None]).logits[0].double()
        for place, label in enumerate(examples.source_labels[row].tolist()):
            if label != -100:
                lost -= float(logits[place].log_softmax(-1)[label])
                count += 1
    loop.run()
    assert logged(tmp_path, "loss")[0] == pytest.approx(lost / count, rel=1e-5)


def test_a_resumed_run_sees_the_same_masks(text_files: dict[str, str], tmp_path: Path) -> None:
    whole = values(
        text_files, tmp_path / "whole", max_steps=12, save_steps=5, eval_steps=5, next_sentence_prediction=True
    )
    bert_classifier.main(build(bert_classifier.Config, whole))
    expected = load_file(tmp_path / "whole" / "checkpoint-10" / "model.safetensors")
    again = whole | {"resume_from_checkpoint": str(tmp_path / "whole" / "checkpoint-5")}
    bert_classifier.main(build(bert_classifier.Config, again))
    found = load_file(tmp_path / "whole" / "checkpoint-10" / "model.safetensors")
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label_column": "label"}, "--label-column is about labels; --objective masked_language_model reads raw text"),
        ({"problem_type": "regression"}, "--problem-type is about labels"),
        ({"class_weights": "balanced"}, "--class-weights is about labels"),
        ({"r_drop": 1.0}, "--r-drop is about labels"),
        ({"objective": "supervised", "problem_type": "regression", "r_drop": 1.0}, "--r-drop is about one label"),
        ({"metrics": "accuracy"}, "--metrics score labels"),
        ({"objective": "masked_language"}, "unknown value 'masked_language'; did you mean 'masked_language_model'"),
        ({"objective": "supervised", "whole_word_masking": True}, "--whole-word-masking is about raw text; it needs"),
        ({"objective": "supervised", "mlm_probability": 0.2}, "--mlm-probability is about raw text; it needs"),
        ({"from_scratch": False}, "give either --model-name-or-path or --from-scratch"),
        ({"freeze": "encoder"}, "--freeze: freezes weights, which are random"),
        (
            {"from_scratch": False, "model_name_or_path": "x", "vocab_size": 8000, "freeze": "all_but_head"},
            "--freeze all_but_head: the head",
        ),
        (
            {"architecture": "transformer-encoder", "next_sentence_prediction": True},
            "--next-sentence-prediction: a 'transformer-encoder' has no head for it",
        ),
        ({"tokenizer_type": "char", "whole_word_masking": True}, "--whole-word-masking: the tokens of this tokenizer"),
        ({"max_source_length": 3}, "train: --max-source-length: 3 leaves no room"),
        ({"config_overrides": "hiden_size=8"}, "bert has no 'hiden_size'; did you mean 'hidden_size'"),
        ({"config_overrides": "hidden_size=33"}, "--config-overrides: The hidden size"),
    ],
)
def test_what_cannot_be_is_refused(
    changes: dict[str, Any], message: str, text_files: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        prepared(text_files, tmp_path / "out", **changes)


def test_pairs_need_documents_of_two_sentences(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("no mark at all\nnor here\n")
    files = {"train_file": str(tmp_path / "train.txt")}
    with pytest.raises(InputError, match="train: no document has two sentences"):
        prepared(files, tmp_path, next_sentence_prediction=True)
    (tmp_path / "train.txt").write_text("One mark. Two marks.\n")
    with pytest.raises(InputError, match="train: next-sentence prediction needs two documents: one is given"):
        prepared(files, tmp_path, next_sentence_prediction=True)


def test_a_checkpoint_without_what_is_needed_is_refused(text_files: dict[str, str], tmp_path: Path) -> None:
    from transformers import RobertaConfig, RobertaModel

    task = prepared(text_files, tmp_path)
    tokenizer = task.tokenizers.source
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    RobertaModel(RobertaConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(tmp_path / "roberta")
    tokenizer.save_pretrained(tmp_path / "roberta")
    start = {"from_scratch": False, "model_name_or_path": str(tmp_path / "roberta"), "config_overrides": ""}
    start["vocab_size"] = 8000  # none is trained
    with pytest.raises(InputError, match="is a 'roberta' checkpoint; --next-sentence-prediction trains bert"):
        prepared(text_files, tmp_path, next_sentence_prediction=True, **start)
    assert prepared(text_files, tmp_path, **start).model.config.model_type == "roberta"
    tokenizer.mask_token = None
    tokenizer.save_pretrained(tmp_path / "roberta")
    with pytest.raises(InputError, match="this tokenizer has no token '<mask>'"):
        prepared(text_files, tmp_path, **start)


CHINESE = "他们在公园里看见一只小狗它跑得很快孩子们都笑了老师说今天的天气真好我们明天再去吧"
JAPANESE = "かれらはこうえんでちいさないぬをみました先生は今日の天気がいいと言いました"
THAI = "พวกเขาเห็นสุนัขตัวเล็กในสวนและมันวิ่งเร็วมากเด็กทุกคนหัวเราะ"
SPACED = "they saw a little dog in the park and it ran fast so that all the children laughed"


def shuffled_lines(path: Path, text: str) -> dict[str, str]:
    """Lines of the text's parts in random order, so that a vocabulary of pieces is worth while."""
    draw = random.Random(0)
    parts = text.split() if " " in text else [text[at : at + 3] for at in range(0, len(text), 3)]
    join = " " if " " in text else ""
    path.write_text("".join(join.join(draw.sample(parts, len(parts))) + "\n" for _ in range(300)))
    return {"train_file": str(path)}


@pytest.mark.parametrize("kind", ["unigram", "bpe", "wordpiece"])
@pytest.mark.parametrize("text", [CHINESE, JAPANESE, THAI, SPACED], ids=["zh", "ja", "th", "en"])
def test_whole_words_take_about_the_share_that_is_asked_for_in_every_script(
    text: str, kind: str, tmp_path: Path
) -> None:
    chosen = {"whole_word_masking": True, "tokenizer_type": kind, "vocab_size": 400, "mlm_probability": 0.15}
    task = prepared(shuffled_lines(tmp_path / "train.txt", text), tmp_path / "out", **chosen)
    examples = task.splits["train"]
    special = np.isin(
        examples.source.values, [task.tokenizers.source.cls_token_id, task.tokenizers.source.sep_token_id]
    )
    assert examples.source_labels is not None
    share = (examples.source_labels.values[~special] != -100).mean()
    assert 0.1 < share < 0.2
    assert examples.source.values.max() < len(task.tokenizers.source)


def test_text_without_words_is_refused(tmp_path: Path) -> None:
    draw = random.Random(0)
    path = tmp_path / "train.txt"
    path.write_text("".join("".join(draw.choices("ACGT", k=200)) + "\n" for _ in range(50)))
    chosen = {"whole_word_masking": True, "tokenizer_type": "unigram", "vocab_size": 60}
    with pytest.raises(
        InputError, match="train: --whole-word-masking: 100% of the tokens would be masked instead of 15%"
    ):
        prepared({"train_file": str(path)}, tmp_path / "out", **chosen)
