"""Recipes are files: the package's own by name, others by path."""

import ast
import importlib
import importlib.util
import sys
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, cast

from hf_seq2seq.configs import RunConfig
from hf_seq2seq.errors import InputError, nearest, shorten

if TYPE_CHECKING:
    from hf_seq2seq.task import Task

FOLDER = Path(__file__).resolve().parents[1] / "recipes"


class Recipe(Protocol):
    """The interface of a recipe's module: a dataclass of sections, and functions that prepare and run it."""

    Config: type[RunConfig]

    def prepare(self, config: Any) -> "Task":
        """Builds model, tokenizers and data: a `Task`."""

    def main(self, config: Any) -> None:
        """Trains, evaluates and saves."""


def names() -> list[str]:
    """The names of the package's recipes, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))


def find(name: str) -> Path:
    """The file of a recipe, given by name (`rnn`) or by path (`./my_recipe.py`).

    Raises:
        InputError: there is no such recipe; names the nearest one.
    """
    if not isinstance(name, str):
        raise InputError(f"recipe {shorten(repr(name))}: is no name, and no path of a file")
    if name.endswith(".py"):
        if Path(name).is_file():
            return Path(name)
        raise InputError(f"recipe {name!r}: no such file")
    if name.replace("-", "_") in names():
        return FOLDER / f"{name.replace('-', '_')}.py"
    raise InputError(f"unknown recipe {name!r}{nearest(name, names())} (a recipe of your own: a path ending in .py)")


def load(name: str) -> Recipe:
    """Imports a recipe.

    Raises:
        InputError: there is no such recipe, or its file cannot be imported or lacks `Config`, `prepare` or `main`.
    """
    path = find(name)
    module = _import_file(path) if name.endswith(".py") else importlib.import_module(f"hf_seq2seq.recipes.{path.stem}")
    for part in ("Config", "prepare", "main"):
        if not hasattr(module, part):
            raise InputError(f"{path}: a recipe needs {part!r}; `hf-seq2seq recipes copy` creates a template")
    return cast(Recipe, module)


def _import_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"recipe_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses resolve annotations there
    try:
        spec.loader.exec_module(module)
    except InputError:
        raise
    except Exception as error:  # arbitrary code
        lines = [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == spec.origin]
        line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
        place = f"{path}:{line}" if line else str(path)
        first = (str(error).splitlines() or [""])[0]
        raise InputError(f"{place}: the recipe cannot be imported: {type(error).__name__}: {first}") from error
    return module


def describe(path: Path) -> str:
    """The first line of a recipe's docstring, read without importing it."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.split("\n")[0]
