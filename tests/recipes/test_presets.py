"""Every preset parses, builds its task from what it names, and is found by its recipe."""

from pathlib import Path

import pytest
import yaml

from hf_seq2seq.data.evaluation_sets import kind_of
from hf_seq2seq.recipes import gpt, rnn, t5
from hf_seq2seq.sections import build

PRESETS = sorted((Path(__file__).parents[2] / "recipes" / "configs").glob("*.yaml"))
RECIPES = {"gpt": gpt, "rnn": rnn, "t5": t5}
# What a preset does not name itself, for the text is no part of the package: the file, and the splits it gives.
FILES = {"tinyshakespeare": ("lm/tinyshakespeare.txt", {"train", "validation"})}


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_preset(path: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("monkeypatch").chdir(path.parents[2])  # where its command is typed
    values = yaml.safe_load(path.read_text())
    splits = {"train", "validation", "test"}
    if path.stem in FILES:
        file, splits = FILES[path.stem]
        values["train_file"] = str(request.getfixturevalue("shared_data") / file)
    recipe = RECIPES[values.pop("recipe")]
    task = recipe.prepare(build(recipe.Config, values | {"output_dir": str(tmp_path / "out")}))
    assert splits == set(map(kind_of, task.splits))
    assert task.splits["train"].truncated == (0, 0)
