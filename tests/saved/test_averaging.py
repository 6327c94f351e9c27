"""The mean of checkpoints."""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from hf_seq2seq.errors import InputError
from hf_seq2seq.saved.averaging import average_checkpoints, check_target


def checkpoint(folder: Path, value: float, **more: torch.Tensor) -> Path:
    folder.mkdir()
    tensors = {"weight": torch.full((2, 3), value), "half": torch.full((2,), value, dtype=torch.bfloat16)}
    save_file(tensors | {"count": torch.tensor([int(value)])} | more, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"value": value}))
    (folder / "optimizer.safetensors").write_bytes(b"")
    (folder / "trainer_state.json").write_text("{}")
    return folder


def test_weights_are_averaged_and_the_last_s_files_are_kept(tmp_path: Path) -> None:
    folders = [checkpoint(tmp_path / str(n), value) for n, value in enumerate((1.0, 2.0, 6.0))]
    average_checkpoints(folders, tmp_path / "mean")
    found = load_file(tmp_path / "mean" / "model.safetensors")
    assert found["weight"].tolist() == [[3.0] * 3] * 2
    assert found["half"].dtype == torch.bfloat16
    assert found["count"].item() == 6
    assert json.loads((tmp_path / "mean" / "config.json").read_text()) == {"value": 6.0}
    assert sorted(path.name for path in (tmp_path / "mean").iterdir()) == ["config.json", "model.safetensors"]


def test_weights_in_several_files(tmp_path: Path) -> None:
    whole, parts = checkpoint(tmp_path / "a", 1.0), checkpoint(tmp_path / "b", 3.0)
    tensors = load_file(parts / "model.safetensors")
    (parts / "model.safetensors").unlink()
    for name, tensor in tensors.items():
        save_file({name: tensor}, parts / f"{name}.safetensors")
    index = {"weight_map": {name: f"{name}.safetensors" for name in tensors}}
    (parts / "model.safetensors.index.json").write_text(json.dumps(index))
    average_checkpoints([whole, parts], tmp_path / "mean")
    assert load_file(tmp_path / "mean" / "model.safetensors")["weight"].tolist() == [[2.0] * 3] * 2


def test_checkpoints_that_do_not_fit(tmp_path: Path) -> None:
    good, odd = checkpoint(tmp_path / "good", 1.0), checkpoint(tmp_path / "odd", 1.0, more=torch.ones(1))
    wide = checkpoint(tmp_path / "wide", 1.0, weight=torch.ones(2, 4))
    (tmp_path / "empty").mkdir()
    broken = checkpoint(tmp_path / "broken", 1.0)
    (broken / "model.safetensors").write_bytes(b"no")
    for other, message in [
        (odd, "odd: different weights than .*good, such as more"),
        (wide, r"wide: weight is \(2, 4\); in .*good \(2, 3\)"),
        (tmp_path / "empty", "empty: contains no model.safetensors"),
        (broken, "broken.*cannot be read"),
    ]:
        with pytest.raises(InputError, match=message):
            average_checkpoints([good, other], tmp_path / "mean")
        assert not (tmp_path / "mean").exists()


def test_a_folder_with_anything_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    folders = [checkpoint(tmp_path / "run" / name, 1.0) for name in ("a", "b")]
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "chapter1.txt").write_text("x")
    with pytest.raises(InputError, match="not empty"):
        check_target(folders, thesis, overwrite=False)
    check_target(folders, thesis, overwrite=True)
    average_checkpoints(folders, thesis)
    assert sorted(p.name for p in thesis.iterdir()) == ["chapter1.txt", "config.json", "model.safetensors"]
    modes = {(thesis / name).stat().st_mode for name in ("config.json", "model.safetensors")}
    assert len(modes) == 1
    for target in (tmp_path / "run", folders[0]):
        with pytest.raises(InputError, match="contains the input"):
            check_target(folders, target, overwrite=True)


def test_a_model_is_replaced_with_its_folders(tmp_path: Path) -> None:
    folders = [checkpoint(tmp_path / name, value) for name, value in (("a", 1.0), ("b", 3.0))]
    (folders[1] / "target_tokenizer").mkdir()
    (folders[1] / "target_tokenizer" / "tokenizer.json").write_text("{}")
    (folders[1] / "config.json").unlink()
    for value in (2.0, 3.0):
        average_checkpoints(folders, tmp_path / "mean")
        assert load_file(tmp_path / "mean" / "model.safetensors")["weight"][0, 0] == value
        folders[0] = folders[1]
    assert (tmp_path / "mean" / "target_tokenizer" / "tokenizer.json").read_text() == "{}"


@pytest.mark.parametrize("name", ["model.safetensors.index.json", "adapter_config.json"])
def test_other_weights_that_would_hide_the_mean_are_refused(tmp_path: Path, name: str) -> None:
    folders = [checkpoint(tmp_path / letter, 1.0) for letter in "ab"]
    (tmp_path / "mean").mkdir()
    (tmp_path / "mean" / name).write_text("{}")
    with pytest.raises(InputError, match=name):
        check_target(folders, tmp_path / "mean", overwrite=True)


@pytest.mark.parametrize("kind", ["pipe", "broken link", "circle"])
def test_what_cannot_be_copied_is_named(tmp_path: Path, kind: str) -> None:
    folders = [checkpoint(tmp_path / name, 1.0) for name in ("a", "b")]
    odd = folders[-1] / "odd"
    if kind == "pipe":
        os.mkfifo(odd)
    else:
        odd.symlink_to("nowhere" if kind == "broken link" else ".")
    with pytest.raises(InputError, match=r"/b: odd.* cannot be copied: ") as refused:
        average_checkpoints(folders, tmp_path / "mean")
    assert len(str(refused.value)) < 500
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_a_mean_of_no_weights_or_of_no_numbers_is_refused(tmp_path: Path) -> None:
    good, none = checkpoint(tmp_path / "good", 1.0), checkpoint(tmp_path / "none", 1.0)
    lost = checkpoint(tmp_path / "lost", 1.0, weight=torch.tensor([[1.0, float("nan"), 2.0]] * 2))
    save_file({}, none / "model.safetensors")
    with pytest.raises(InputError, match="lost: weight contains NaN"):
        average_checkpoints([lost, good], tmp_path / "mean")
    with pytest.raises(InputError, match="none: its safetensors files contain no weights"):
        average_checkpoints([none, none], tmp_path / "mean")
    assert not (tmp_path / "mean").exists()


def test_models_whose_ids_stand_for_other_tokens_are_refused(tmp_path: Path) -> None:
    folders = [checkpoint(tmp_path / name, 1.0) for name in ("a", "b", "c")]
    for folder, words in zip(folders, ("xy", "xy", "yx"), strict=True):
        vocabulary = {word: number for number, word in enumerate(words)}
        Tokenizer(WordLevel(vocabulary, unk_token="x")).save(str(folder / "tokenizer.json"))
    average_checkpoints(folders[:2], tmp_path / "mean")
    with pytest.raises(InputError, match=r"c/tokenizer.json: different tokens than .*a/tokenizer.json"):
        average_checkpoints(folders, tmp_path / "mean of all")
