"""Bringing models from a real server: what arrives, what stays there, and what a refusal leaves."""

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hf_seq2seq.hub.pull import what_next
from hf_seq2seq.saved.pickles import is_left_there, is_pickle

HubCommand = Callable[..., Any]
FILES = {
    "config.json": json.dumps({"architectures": ["MT5ForConditionalGeneration"], "model_type": "mt5"}).encode(),
    "model.safetensors": b"weights",
    "pytorch_model.bin": b"pickle",
    "sub/tokenizer.json": b"{}",
}
PICKLE = pickle.dumps({"a": 1})


def test_a_model_of_another_tool(loopback_hub: Any, hub_command: HubCommand, tmp_path: Path) -> None:
    repo = loopback_hub.add("model", "me/other", FILES)
    repo.branches["old"] = repo.branches["main"]
    repo.commit("main", {}, "emptied")
    said = hub_command("pull", "me/other", "here/model", "--revision", "old", token=None)
    assert said.code == 0, said.err
    place = tmp_path / "here" / "model"
    found = {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}
    assert found == {name: data for name, data in FILES.items() if name != "pytorch_model.bin"}
    assert said.err == (
        "skipped, as pickles or for other tools: pytorch_model.bin\n"
        "here/model: MT5ForConditionalGeneration; "
        "`hf-seq2seq train t5 --model-name-or-path here/model` fine-tunes it\n"
    )
    said = hub_command("pull", "me/other", "here/model")
    assert (said.code, said.err) == (2, "error: here/model: already exists; give a new folder\n")


def test_refusals_are_one_line_and_leave_nothing(loopback_hub: Any, hub_command: HubCommand, tmp_path: Path) -> None:
    loopback_hub.add("model", "me/pickle", {name: FILES[name] for name in ("config.json", "pytorch_model.bin")})
    refused = {
        ("me/nothing",): "no such repository",
        ("me/pickle",): "contains no model in safetensors format",
        ("me/pickle", "--revision", "v9"): "no such revision",
        ("a/b/c",): "not the name of a repository",
    }
    for (name, *options), message in refused.items():
        said = hub_command("pull", name, "model", *options)
        assert (said.code, len(said.err.splitlines())) == (2, 1), said.err
        assert said.err.startswith(f"error: {name}: ")
        assert message in said.err
        assert not [path for path in tmp_path.iterdir() if path.name.startswith("model")]
    loopback_hub.dies_at = "."
    said = hub_command("pull", "me/pickle", "model")
    assert said.err == f"error: me/pickle: the Hub does not respond ({loopback_hub.url})\n"


NAMES = {
    "PYTORCH_MODEL.BIN": True,
    "x.pickle": True,
    "sub/a.Pkl.gz": True,
    "model.joblib": True,
    "old.CKPT": True,
    "pytorch_model.bin.index.json": True,
    "tf_model.h5": True,
    "model.safetensors": False,
    "bin.v1.safetensors": False,
    "spiece.model": False,
    "pickle.txt": False,
    "README.md": False,
}


@pytest.mark.parametrize("name", NAMES)
def test_names_that_are_left_there(name: str) -> None:
    assert is_left_there(name) == NAMES[name]


def saved(array: Any, save: Callable[..., None] = np.save) -> bytes:
    stream = io.BytesIO()
    save(stream, array)
    return stream.getvalue()


def zipped(name: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, b"x")
    return stream.getvalue()


BYTES = {
    "a pickle": (PICKLE, True),
    "an old pickle": (pickle.dumps([1], protocol=2), True),
    "PyTorch's archive": (zipped("archive/data.pkl"), True),
    "a broken archive": (zipped("a.txt")[:40], True),
    "objects": (saved(np.array([{}], dtype=object)), True),
    "a record with objects": (saved(np.zeros(1, dtype=[("a", "i4"), ("b", "O")])), True),
    "objects in an archive": (saved(np.array([{}], dtype=object), np.savez), True),
    "numbers": (saved(np.ones(3)), False),
    "numbers in an archive": (saved(np.ones(3), np.savez), False),
    "another archive": (zipped("notes.txt"), False),
    "JSON": (b"{}", False),
    "nothing": (b"", False),
}


@pytest.mark.parametrize("name", BYTES)
def test_pickles_are_recognized_by_their_bytes(tmp_path: Path, name: str) -> None:
    content, expected = BYTES[name]
    (tmp_path / "file").write_bytes(content)
    assert is_pickle(tmp_path / "file") == expected


def test_what_is_no_part_of_the_model_stays_there(loopback_hub: Any, hub_command: HubCommand, tmp_path: Path) -> None:
    hidden = {"PYTORCH_MODEL.BIN": PICKLE, "x.pickle": PICKLE, "vectors.npy": saved(np.array([{}], dtype=object))}
    hidden |= {"notes.txt": PICKLE, "odd[1].bin": PICKLE}
    loopback_hub.add("model", "me/other", FILES | hidden | {"odd[1].txt": b"kept"})
    (tmp_path / "model").mkdir()
    said = hub_command("pull", "me/other", "model", token=None)
    assert said.code == 0, said.err
    found = {str(path.relative_to(tmp_path / "model")) for path in (tmp_path / "model").rglob("*") if path.is_file()}
    assert found == {*FILES, "odd[1].txt"} - {"pytorch_model.bin"}
    assert said.err.startswith("skipped, as pickles or for other tools: PYTORCH_MODEL.BIN, notes.txt, odd[1].bin, ")
    modes = {path.stat().st_mode for path in (tmp_path / "model").rglob("*") if path.is_file()}
    assert len(modes) == 1
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_broken_download_is_taken_up_without_another_s_files(
    loopback_hub: Any, hub_command: HubCommand, tmp_path: Path
) -> None:
    loopback_hub.add("model", "me/other", FILES)
    draft = tmp_path / ".model.pull"
    draft.mkdir()
    (draft / "thesis.txt").write_text("mine")
    said = hub_command("pull", "me/other", "model", token=None)
    assert (said.code, "blocks the download" in said.err) == (2, True)
    assert (draft / "thesis.txt").read_text() == "mine"
    (draft / ".cache").mkdir()
    (draft / "added_tokens.json").write_text("of another model")
    assert hub_command("pull", "me/other", "model", token=None).code == 0
    assert not (tmp_path / "model" / "added_tokens.json").exists()
    assert not draft.exists()


def test_a_pickle_alone_says_how_it_is_converted(loopback_hub: Any, hub_command: HubCommand) -> None:
    loopback_hub.add("model", "me/pickle", {"config.json": FILES["config.json"], "PyTorch_Model.BIN": PICKLE})
    said = hub_command("pull", "me/pickle", "model")
    assert said.err.startswith(
        "error: me/pickle: contains no model in safetensors format, but PyTorch_Model.BIN, which could run"
    )
    assert "https://huggingface.co/spaces/safetensors/convert converts it" in said.err


def test_what_next_after_files_of_any_content(tmp_path: Path) -> None:
    for config in (b"[1]", b"[" * 100_000, b'{"architectures": [1]}', b'{"architectures": "x"}', b"\xff"):
        (tmp_path / "config.json").write_bytes(config)
        (tmp_path / "run.yaml").write_bytes(b"\xff\nrecipe: rnn\n")
        assert what_next(tmp_path).startswith(f"{tmp_path}: a model; `hf-seq2seq train rnn ")
