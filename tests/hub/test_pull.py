"""Bringing models from a real server: what arrives, what stays there, and what a refusal leaves."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

HubCommand = Callable[..., Any]
FILES = {
    "config.json": json.dumps({"architectures": ["MT5ForConditionalGeneration"], "model_type": "mt5"}).encode(),
    "model.safetensors": b"weights",
    "pytorch_model.bin": b"pickle",
    "sub/tokenizer.json": b"{}",
}


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
        "here/model: MT5ForConditionalGeneration; "
        "`hf-seq2seq train t5 --model-name-or-path here/model` trains on from it\n"
    )
    said = hub_command("pull", "me/other", "here/model")
    assert (said.code, said.err) == (2, "error: here/model: is there already; give a new folder\n")


def test_refusals_are_one_line_and_leave_nothing(loopback_hub: Any, hub_command: HubCommand, tmp_path: Path) -> None:
    loopback_hub.add("model", "me/pickle", {name: FILES[name] for name in ("config.json", "pytorch_model.bin")})
    refused = {
        ("me/nothing",): "no such repository",
        ("me/pickle",): "holds no model as safetensors",
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
    assert said.err == f"error: me/pickle: the Hub does not answer ({loopback_hub.url})\n"
