"""Sources that are more than text: features beside tokens, and feature matrices whose content is known."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hf_seq2seq
from hf_seq2seq.cli.root import app
from hf_seq2seq.data.frames import matrix_row
from hf_seq2seq.errors import InputError
from hf_seq2seq.recipes import rnn, transformer
from hf_seq2seq.sections import build
from hf_seq2seq.task import Task
from hf_seq2seq.training.run import run

RECIPES = pytest.mark.parametrize("recipe", [rnn, transformer], ids=["rnn", "transformer"])
SIZES: dict[Any, dict[str, Any]] = {
    rnn: {"hidden_size": 32, "embedding_size": 32, "dropout": 0.0},
    transformer: {
        "d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32,
        "dropout": 0.0,
    },
}  # fmt: skip
SMALL: dict[str, Any] = {
    "tokenizer_type": "char", "max_target_length": 10, "metrics": "exact_match", "learning_rate": 5e-3,
    "max_tokens_per_batch": 600, "label_smoothing_factor": 0.0, "num_beams": 1,
}  # fmt: skip
LETTERS = "abcd"


def generate(*words: Any) -> None:
    """Runs the command."""
    assert not app(["generate", *map(str, words)], prog_name="hf-seq2seq", standalone_mode=False)


def spoken(text: str, random: np.random.Generator) -> np.ndarray:
    """Two frames per letter, with the letter's direction among numbers of very different size, and noise."""
    frames = [np.eye(4)[LETTERS.index(letter)] for letter in text for _ in range(2)]
    noisy = np.array(frames) + random.normal(0, 0.1, (len(frames), 4))
    return (noisy * [1, 10, 100, 1000] + [0, 5, -50, 1000]).astype(np.float32)


def write_frames(folder: Path, name: str, count: int, seed: int, as_files: bool = False) -> str:
    """Rows of such matrices, in the rows or in files beside them, and the text that each spells."""
    random, lines = np.random.default_rng(seed), []
    for number in range(count):
        text = "".join(random.permutation(list(LETTERS))[: random.integers(1, 4)])
        cell: Any = (frames := spoken(text, random)).tolist()
        if as_files:
            cell = f"{name}-{number}.npz"
            np.savez(folder / cell, frames)
        lines.append(json.dumps({"speech": cell, "text": text}) + "\n")
    path = folder / f"{name}.jsonl"
    path.write_text("".join(lines))
    return str(path)


@RECIPES
def test_a_model_reads_what_made_up_frames_spell(recipe: Any, tmp_path: Path) -> None:
    files = {
        "train_file": write_frames(tmp_path, "train", 120, 1),
        "validation_file": write_frames(tmp_path, "dev", 20, 2),
        "test_file": write_frames(tmp_path, "test", 30, 3, as_files=True),
    }
    values = SMALL | SIZES[recipe] | files | {"frames_column": "speech", "max_steps": 140, "eval_steps": 140}
    task: Task = recipe.prepare(build(recipe.Config, values | {"output_dir": str(tmp_path / "run")}))
    batch = task.batch(task.splits["train"], np.arange(3), torch.device("cpu"))
    assert batch["input_features"].shape[2] == 4
    assert (batch["attention_mask"].sum(1).numpy() == task.splits["train"].source.lengths[:3]).all()
    results = run(task)
    assert results["predict_exact_match"] >= 80

    model = hf_seq2seq.load(tmp_path / "run")
    frames = spoken("cab", np.random.default_rng(7))
    assert model.generate([frames]) == ["cab"]
    np.save(tmp_path / "one.npy", frames)
    out = tmp_path / "out.txt"
    generate(tmp_path / "run", tmp_path / "one.npy", "--output-file", out)
    assert out.read_text() == "cab\n"
    found = model.evaluate(test_file=files["test_file"])
    assert found["exact_match"] == pytest.approx(results["predict_exact_match"])
    with pytest.raises(InputError, match="row 1: 3 frames of 5 numbers: 5 numbers per frame, but the model reads 4"):
        model.generate([np.zeros((3, 5))])
    with pytest.raises(InputError, match="'cab' is neither a matrix nor an npz or npy file"):
        model.generate(["cab"])

    plain = model.network.generate(  # transformers' own search
        input_features=torch.from_numpy(frames)[None], attention_mask=torch.ones(1, len(frames), dtype=torch.long)
    )
    assert model.tokenizers.target.batch_decode(plain, skip_special_tokens=True) == ["cab"]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([[[1.0, 2.0]], [[1.0, 2.0, 3.0]]], "row 2, column 'speech': 3 numbers per frame, but row 1 has 2"),
        ([[[1.0, 2.0]], [[1.0], [2.0, 3.0]]], "row 2, column 'speech': is not a matrix of real numbers"),
        ([[[1.0, 2.0]], []], "row 2, column 'speech': has the shape 0; a feature matrix is frames × width"),
        (["a.npz", "b.npz"], "row 1, column 'speech': .*a.npz: no such file"),
        ([[[1.0, float("nan")]], [[1.0, 2.0]]], "row 1, column 'speech': has numbers that are not finite"),
    ],
)
def test_wrong_matrices(cells: list[Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps({"speech": cell, "text": "a"}) + "\n" for cell in cells))
    values = {"train_file": str(path), "frames_column": "speech", "output_dir": str(tmp_path / "run")}
    with pytest.raises(InputError, match=message):
        rnn.prepare(build(rnn.Config, SMALL | values))


def test_matrices_have_no_text(tmp_path: Path) -> None:
    values = {"train_file": "x.jsonl", "frames_column": "speech", "source_prefix": "say: "}
    (tmp_path / "x.jsonl").write_text('{"speech": [[1.0]], "text": "a"}\n' * 2)
    values["train_file"] = str(tmp_path / "x.jsonl")
    with pytest.raises(InputError, match="--frames-column and --source-prefix: a feature matrix has no text"):
        rnn.prepare(build(rnn.Config, values))


@pytest.mark.parametrize("measure", ["rarity", "edit_distance", "pattern_distance"])
def test_measures_of_difficulty_that_read_texts_are_refused_for_matrices(measure: str, tmp_path: Path) -> None:
    values = SMALL | {"train_file": write_frames(tmp_path, "train", 20, 1), "frames_column": "speech"}
    values |= {"curriculum": "competence", "output_dir": str(tmp_path / "run"), "max_steps": 4}
    with pytest.raises(InputError, match=f"--difficulty {measure}: reads texts, and sources are feature matrices"):
        rnn.prepare(build(rnn.Config, values | SIZES[rnn] | {"difficulty": measure}))
    assert rnn.prepare(build(rnn.Config, values | SIZES[rnn] | {"difficulty": "length"})).training_rows.logged


@pytest.mark.parametrize("flags", [{"bpe_dropout": 0.1}], ids=["bpe_dropout"])
def test_what_changes_texts_is_refused(flags: dict[str, Any], tmp_path: Path) -> None:
    values = {"train_file": inflections(tmp_path, "train", 1), "feature_columns": "tags", "tokenizer_type": "bpe"}
    values |= {
        "source_column": "lemma",
        "target_column": "form",
        "vocab_size": 300,
        "output_dir": str(tmp_path / "run"),
    }
    with pytest.raises(InputError, match="--bpe-dropout: only changes texts, and sources are read with features"):
        rnn.prepare(build(rnn.Config, values | flags))


def inflections(folder: Path, name: str, seed: int, count: int = 60) -> str:
    """A word of three letters, and what its features ask for: in the past it ends in `d`, in the plural in `a`."""
    random, lines = np.random.default_rng(seed), ["lemma\tform\ttags\n"]
    for _ in range(count):
        lemma = "".join(random.choice(list("bc"), 3))
        tags = [tag for tag in ("PST", "PL") if random.random() < 0.5]
        lines.append(f"{lemma}\t{lemma}{'d' * ('PST' in tags)}{'a' * ('PL' in tags)}\tV;{';'.join(tags)}\n")
    path = folder / f"{name}.tsv"
    path.write_text("".join(lines))
    return str(path)


@pytest.mark.parametrize(("recipe", "joining"), [(rnn, "add"), (transformer, "concatenate")])
def test_features_of_a_row(recipe: Any, joining: str, tmp_path: Path) -> None:
    files = {
        f"{split}_file": inflections(tmp_path, split, n) for n, split in enumerate(("train", "validation", "test"))
    }
    values = SMALL | SIZES[recipe] | files | {"feature_columns": "tags", "feature_joining": joining, "max_steps": 100}
    values |= {"source_column": "lemma", "target_column": "form", "output_dir": str(tmp_path / "run")}
    results = run(recipe.prepare(build(recipe.Config, values | {"eval_steps": 100})))
    assert results["predict_exact_match"] > 80  # without the features, a quarter
    model = hf_seq2seq.load(tmp_path / "run")
    assert model.network.config.feature_names == ["tags=PL", "tags=PST", "tags=V"]
    found = model.generate(["bcb", "bcb"], features={"tags": ["V;PST", ["V", "PL"]]})
    assert found[0] != found[1]
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"lemma": "bcb", "tags": "V;PST"}\n{"lemma": "bcb", "tags": ["V", "PL"]}\n')
    out = tmp_path / "out.txt"
    generate(tmp_path / "run", "--input-file", rows, "--output-file", out)
    assert out.read_text().splitlines() == found
    rows.write_text('{"lemma": "bcb", "tag": "V;PST"}\n')
    with pytest.raises(InputError, match=r"no column 'tags' \(--feature-columns\); its columns are lemma, tag; did"):
        generate(tmp_path / "run", "--input-file", rows, "--output-file", out)


@RECIPES
def test_features_of_words_stay_with_their_words(recipe: Any, tmp_path: Path) -> None:
    path = tmp_path / "train.tsv"
    rows = ["the old dog\tx\tDET ADJ NOUN\n", "dogs run\ty\tNOUN VERB\n"] * 8
    path.write_text("source\ttarget\tpos\n" + "".join(rows))
    values = SIZES[recipe] | {"train_file": str(path), "feature_columns": "pos", "tokenizer_type": "bpe"}
    values |= {"source_prefix": "tag: ", "vocab_size": 300, "output_dir": str(tmp_path / "run")}
    task: Task = recipe.prepare(build(recipe.Config, values))
    assert task.model.config.feature_of_words == ["pos"]
    names = ["", *task.model.config.feature_names]
    batch = task.batch(task.splits["train"], np.array([0]), torch.device("cpu"))
    tokens = task.tokenizers.source.convert_ids_to_tokens(batch["input_ids"][0].tolist())
    told: dict[str, str] = {}
    for token, number in zip(tokens, batch["feature_ids"][0, :, 0].tolist(), strict=True):
        if names[number]:
            told[names[number]] = told.get(names[number], "") + token.replace("Ġ", "")
    assert told == {"pos=DET": "the", "pos=ADJ": "old", "pos=NOUN": "dog"}
    assert batch["feature_ids"][0, -1, 0] == 0  # EOS

    path.write_text("source\ttarget\tpos\nthe old dog\tx\tA B C D E\na b\tc\tD E\n")
    with pytest.raises(InputError, match="--feature-columns pos: 5 features for the 4 words"):
        recipe.prepare(build(recipe.Config, values | {"feature_level": "word"}))


def test_columns_without_features(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "train.jsonl"
    values = {"train_file": str(path), "feature_columns": "tags", "output_dir": str(tmp_path / "run")}
    cells = {"a": "V", "b": "", "c": " "}
    lines = [json.dumps({"source": text, "target": "a", "tags": tags}) for text, tags in cells.items()]
    path.write_text("\n".join(lines * 2) + "\n")
    rnn.prepare(build(rnn.Config, SMALL | values))
    assert "column tags is empty in 4 of 6 rows" in caplog.text
    path.write_text("\n".join(lines[1:] * 2) + "\n")
    with pytest.raises(InputError, match="--feature-columns tags: no training row has a feature in this column"):
        rnn.prepare(build(rnn.Config, SMALL | values))


def array_files(folder: Path) -> Iterator[str]:
    """Files that hold no matrix of numbers, or are damaged."""
    objects = np.array([[{"a": 1}]], dtype=object)
    np.save(folder / "objects.npy", objects, allow_pickle=True)
    np.savez(folder / "objects.npz", a=objects)
    (folder / "empty.npy").write_bytes(b"")
    np.savez(folder / "whole.npz", a=np.arange(4000.0).reshape(40, 100))
    np.savez_compressed(folder / "packed.npz", a=np.random.default_rng(0).normal(size=(40, 100)))
    for name in ("whole", "packed"):
        content = bytearray((folder / f"{name}.npz").read_bytes())
        content[300:600] = bytes(255 - byte for byte in content[300:600])
        (folder / f"{name}-flipped.npz").write_bytes(content)
    yield from ("objects.npy", "objects.npz", "empty.npy", "whole-flipped.npz", "packed-flipped.npz")


def test_files_without_numbers_are_not_read(tmp_path: Path) -> None:
    for name in array_files(tmp_path):
        with pytest.raises(InputError, match=f"row 1: .*{name}: not an array file of numbers, or a damaged one"):
            matrix_row(name, "row 1", tmp_path)
    np.save(tmp_path / "complex.npy", np.ones((2, 2)) + 1j)
    with pytest.raises(InputError, match=r"complex\.npy: is not a matrix of real numbers, frames by width"):
        matrix_row("complex.npy", "row 1", tmp_path)
