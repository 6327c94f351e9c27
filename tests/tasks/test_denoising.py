"""Pretraining by noise, then fine-tuning: two commands, the first one's folder feeding the second."""

import json
import random
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import Unigram
from tokenizers.pre_tokenizers import Metaspace
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from hf_seq2seq.configs import Denoising
from hf_seq2seq.errors import InputError
from hf_seq2seq.noising import NOISES
from hf_seq2seq.recipes import bart, pegasus, t5
from hf_seq2seq.sections import build
from hf_seq2seq.tasks.denoising import make_noise

OBJECTIVES = [
    (t5, "span_corruption"), (t5, "prefix_language_model"), (t5, "replaced_spans"), (t5, "dropped_tokens"),
    (t5, "deshuffling"), (bart, "text_infilling"), (bart, "sentence_permutation,text_infilling"),
    (bart, "token_masking"), (bart, "token_deletion"), (bart, "document_rotation"), (pegasus, "gap_sentences"),
]  # fmt: skip


@pytest.fixture
def text_files(tmp_path: Path) -> dict[str, str]:
    """Documents of sentences in which every word follows from the one before."""
    draw = random.Random(0)
    words = ["ba", "ce", "di", "fo", "gu", "ha", "je", "ki"]

    def sentence() -> str:
        first, length = draw.randrange(8), draw.randint(3, 5)
        return " ".join(words[(first + i) % 8] for i in range(length)) + "."

    for split, rows in (("train", 120), ("validation", 20)):
        lines = [" ".join(sentence() for _ in range(4)) for _ in range(rows)]
        (tmp_path / f"{split}.txt").write_text("\n".join(lines) + "\n")
    return {f"{split}_file": str(tmp_path / f"{split}.txt") for split in ("train", "validation")}


def values(text_files: dict[str, str], folder: Path, **changes: Any) -> dict[str, Any]:
    return text_files | {
        "from_scratch": True, "tokenizer_type": "word", "vocab_size": 200, "max_source_length": 40,
        "max_tokens_per_batch": 600, "learning_rate": 3e-3, "max_steps": 30, "logging_steps": 10,
        "label_smoothing_factor": 0.0, "config_overrides": "d_model=64", "output_dir": str(folder),
    } | changes  # fmt: skip


def losses(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "train_log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


@pytest.mark.parametrize(("recipe", "objective"), OBJECTIVES)
def test_every_epoch_is_renoised_and_within_its_bounds(
    recipe: ModuleType, objective: str, text_files: dict[str, str], tmp_path: Path
) -> None:
    # A single span would always be a row's end.
    spans = {"mean_noise_span_length": 1} if {"span_corruption", "text_infilling"} & {*objective.split(",")} else {}
    chosen = values(text_files, tmp_path / "out", objective=objective, **spans)
    task = recipe.prepare(build(recipe.Config, chosen))
    first, again, second = map(task.training_rows.of_epoch, (0, 0, 1))
    assert len(first) == len(second) == len(task.training_rows.lengths)
    assert np.array_equal(first.source.values, again.source.values)
    changed = not np.array_equal(first.source.values, second.source.values)
    assert changed or objective == "gap_sentences"  # principal sentences are always the same
    for examples in (first, second):
        assert (examples.lengths <= task.training_rows.lengths).all()
        assert examples.target is not None
        eos = task.tokenizers.source.eos_token_id
        assert {int(row[-1]) for row in examples.source} == {int(row[-1]) for row in examples.target} == {eos}


@pytest.mark.parametrize(
    ("recipe", "objective"), [(t5, "span_corruption"), (bart, "text_infilling"), (pegasus, "gap_sentences")]
)
def test_pretrain_then_fine_tune(
    recipe: ModuleType, objective: str, text_files: dict[str, str], tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    recipe.main(build(recipe.Config, values(text_files, first, objective=objective)))
    assert losses(first)[-1] < losses(first)[0]
    results = json.loads((first / "all_results.json").read_text())
    assert results["eval_loss"] > 0
    assert "eval_bleu" not in results
    assert "restores noised text" in (first / "README.md").read_text()
    rows = "".join(f"{a}\t{a[::-1]}\n" for a in ("ba ce di", "fo gu ha", "je ki ba") * 10)
    (tmp_path / "pairs.tsv").write_text("source\ttarget\n" + rows)
    tuning = {
        "model_name_or_path": str(first), "train_file": str(tmp_path / "pairs.tsv"), "output_dir": str(second),
        "max_steps": 3, "max_source_length": 40, "metrics": "chrf",
    }  # fmt: skip
    recipe.main(build(recipe.Config, tuning))
    assert (second / "model.safetensors").exists()


def test_the_encoder_predicts_masked_tokens_between_gaps(text_files: dict[str, str], tmp_path: Path) -> None:
    chosen = values(text_files, tmp_path / "out", objective="gap_sentences", gap_masked_tokens=True, max_steps=6)
    task = pegasus.prepare(build(pegasus.Config, chosen))
    examples, tokenizer = task.splits["train"], task.tokenizers.source
    assert examples.source_labels is not None
    gap, mask = tokenizer.convert_tokens_to_ids(["<mask_1>", "<mask_2>"])
    masked = 0
    for ids, labels in zip(examples.source, examples.source_labels, strict=True):
        chosen_places = labels != -100
        assert (ids == gap).sum() == 1  # of four sentences
        assert not chosen_places[(ids == gap) | (ids == tokenizer.eos_token_id)].any()
        assert chosen_places.sum() == max(1, round(0.15 * (len(ids) - 2)))
        masked += int((ids == mask).sum())
    assert abs(masked / (examples.source_labels.values != -100).sum() - 0.8) < 0.1
    pegasus.main(build(pegasus.Config, chosen))
    results = json.loads((tmp_path / "out" / "all_results.json").read_text())
    assert min(results[f"eval_{name}"] for name in ("target_loss", "masked_loss")) < results["eval_loss"]
    assert results["eval_loss"] < max(results[f"eval_{name}"] for name in ("target_loss", "masked_loss"))


def test_a_resumed_run_sees_the_same_noise(text_files: dict[str, str], tmp_path: Path) -> None:
    from safetensors.torch import load_file
    from torch import equal

    whole = values(
        text_files, tmp_path / "whole", objective="span_corruption", max_steps=12, save_steps=5, eval_steps=5
    )
    t5.main(build(t5.Config, whole))
    expected = load_file(tmp_path / "whole" / "checkpoint-10" / "model.safetensors")
    again = whole | {"resume_from_checkpoint": str(tmp_path / "whole" / "checkpoint-5")}
    t5.main(build(t5.Config, again))
    found = load_file(tmp_path / "whole" / "checkpoint-10" / "model.safetensors")
    assert all(equal(value, found[name]) for name, value in expected.items())


@pytest.mark.parametrize(
    ("recipe", "changes", "message"),
    [
        (t5, {"objective": "span_coruption"}, "is not one of t5; did you mean 'span_corruption'"),
        (t5, {"objective": "gap_sentences"}, "'gap_sentences' is not one of t5"),
        (t5, {"objective": "span_corruption,deshuffling"}, "name one of supervised"),
        (t5, {"objective": "span_corruption", "metrics": "chrf"}, "--metrics compare texts"),
        (bart, {"objective": "text_infilling,sentence_permutation"}, "must be the first noise"),
        (t5, {"objective": "span_corruption", "max_source_length": 2}, "leaves no room"),
        (
            pegasus,
            {"objective": "supervised", "gap_masked_tokens": True},
            "--gap-masked-tokens needs --objective",
        ),
    ],
)
def test_what_cannot_be_is_refused(
    recipe: ModuleType, changes: dict[str, Any], message: str, text_files: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        recipe.prepare(build(recipe.Config, values(text_files, tmp_path / "out", **changes)))


def test_text_without_sentences_has_no_gaps(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("no mark at all\nnor here\n")
    with pytest.raises(InputError, match="train: no row has two sentences"):
        pegasus.prepare(
            build(
                pegasus.Config, values({"train_file": str(tmp_path / "train.txt")}, tmp_path, objective="gap_sentences")
            )
        )


def test_a_tokenizer_without_sentinels_is_refused(text_files: dict[str, str], tmp_path: Path) -> None:
    bart.main(build(bart.Config, values(text_files, tmp_path / "bart", objective="text_infilling", max_steps=1)))
    chosen = values(text_files, tmp_path / "t5", objective="span_corruption", tokenizer_name=str(tmp_path / "bart"))
    with pytest.raises(InputError, match="no sentinels"):
        t5.prepare(build(t5.Config, chosen))


def test_sentinels_that_are_pieces_of_text_are_found() -> None:
    """As mT5's are, whose last piece is the first sentinel."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁a", -1.0), ("b", -2.0)]
    pieces += [(f"▁<extra_id_{number}>", -9.0) for number in (2, 1, 0)]
    rust = Tokenizer(Unigram(pieces, unk_id=2))
    rust.pre_tokenizer = Metaspace()
    rust.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    named = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=rust, **named)
    noise = make_noise(NOISES["t5"], Denoising(objective=("span_corruption",)), tokenizer)
    assert noise.noise.sentinels == (7, 6, 5)


HINDI, ENGLISH = "यह पहला है। यह दूसरा है।", "One is here. Two is there."


def test_what_is_left_out_is_counted_and_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "train.txt"
    path.write_text("\n".join([HINDI, ENGLISH, "no second sentence", "x"] * 30) + "\n")
    rows = {"train_file": str(path), "validation_split_percentage": "0"}
    chosen = values(rows, tmp_path / "out", objective="gap_sentences", max_steps=1)
    pegasus.main(build(pegasus.Config, chosen))
    assert "120 texts in 60 rows; 60 dropped, of fewer than two sentences" in capsys.readouterr().err
    for recipe, objective in ((t5, "span_corruption"), (bart, "text_infilling")):
        chosen = values(rows, tmp_path / "two", objective=objective)
        made_of = recipe.prepare(build(recipe.Config, chosen)).splits["train"].made_of
        assert str(made_of) == "120 texts in 90 rows; 30 dropped, of fewer than two tokens"


def test_noise_that_changes_nothing_is_refused_or_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "train.txt"
    chosen = values({"train_file": str(path)}, tmp_path / "out", objective="sentence_permutation")
    path.write_text("one sentence alone\n" * 20)
    with pytest.raises(InputError, match="train: --objective changes no row, so that the model would learn to copy"):
        bart.prepare(build(bart.Config, chosen))
    path.write_text("one sentence alone\n" * 15 + f"{HINDI}\n" * 10)
    bart.prepare(build(bart.Config, chosen))
    assert "train: --objective leaves" in caplog.text
    caplog.clear()
    path.write_text(" ".join(HINDI.split() * 8) + "\n" + f"{' '.join([HINDI] * 4)}\n" * 40)
    bart.prepare(build(bart.Config, chosen))
    assert not caplog.text
