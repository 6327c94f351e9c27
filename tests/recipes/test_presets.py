"""Every preset parses, builds its task from what it names, and is found by its recipe."""

from pathlib import Path

import pytest
import yaml

from hf_seq2seq.configs import build
from hf_seq2seq.recipes import rnn

PRESETS = sorted((Path(__file__).parents[2] / "recipes" / "configs").glob("*.yaml"))
RECIPES = {"rnn": rnn}


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_preset(path: Path, tmp_path: Path) -> None:
    values = yaml.safe_load(path.read_text())
    recipe = RECIPES[values.pop("recipe")]
    task = recipe.prepare(build(recipe.Config, values | {"output_dir": str(tmp_path / "out")}))
    assert {"train", "validation", "test"} == set(task.splits)
    assert task.splits["train"].truncated == (0, 0)
