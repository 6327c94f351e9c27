"""The notebooks run: the code cells of each in one new process, of few training steps, and with a tiny checkpoint."""

import json
import re
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def program(name: str, **values: Any) -> str:
    """A notebook's code, with some of the constants that it defines replaced."""
    cells = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    assert all(not cell["outputs"] for cell in cells if cell["cell_type"] == "code")
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    for constant, value in values.items():
        code, count = re.subn(rf"^{constant} = .*$", f"{constant} = {value!r}", code, flags=re.M)
        assert count == 1, constant
    return "import matplotlib\nmatplotlib.use('agg')\n" + code


def test_train_and_look(hub_command: Callable[..., Any], tmp_path: Path) -> None:
    done = hub_command(program=program("train_and_look", STEPS=2))
    assert done.code == 0, done.err
    assert "predict_phoneme_error_rate" in json.loads((tmp_path / "outputs/pronunciation/all_results.json").read_text())


def test_finetune_and_publish(
    hub_command: Callable[..., Any], loopback_hub: Any, tiny_checkpoint: Callable[[str, list[str]], str]
) -> None:
    model = tiny_checkpoint("t5", [string.ascii_letters + " :"])
    done = hub_command(program=program("finetune_and_publish", MODEL=model, REPOSITORY="me/tiny", STEPS=2))
    assert done.code == 0, done.err
    (repository,) = loopback_hub.repos.values()
    assert {"README.md", "model.safetensors", "run.yaml"} <= set(repository.files())
