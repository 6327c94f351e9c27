"""`hf-seq2seq recipes`: list them, show one, or copy one to modify it."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from hf_seq2seq.api import recipe_files
from hf_seq2seq.cli.commands import make_group
from hf_seq2seq.drafts import open_draft
from hf_seq2seq.errors import InputError

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="A recipe of the package.", autocompletion=lambda: recipe_files.names())
]
Destination = Annotated[
    Path | None, typer.Argument(metavar="[DEST]", help="File or folder; by default the current folder.")
]


def build_command(name: str, help: str) -> Any:
    """The group of commands."""
    return make_group(name, help, {"list": list_recipes, "show": show_recipe, "copy": copy_recipe})


def list_recipes() -> None:
    """List all recipes with a description."""
    names = recipe_files.names()
    width = max((len(name) for name in names), default=0)
    for name in names:
        print(f"{name:{width}}  {recipe_files.describe(recipe_files.find(name))}")


def show_recipe(name: Name) -> None:
    """Print a recipe's source."""
    sys.stdout.write(recipe_files.find(name).read_text(encoding="utf-8"))


def copy_recipe(name: Name, destination: Destination = None) -> None:
    """Copy a recipe to a new file, to be run by `hf-seq2seq train ./FILE.py`."""
    source = recipe_files.find(name)
    target = destination or Path()
    target = target / source.name if target.is_dir() else target
    if target.suffix != ".py":
        raise InputError(f"{target}: a recipe's name ends in .py, unless it is an existing folder")
    if target.exists():
        raise InputError(f"{target}: already exists; give another file")
    if not target.parent.is_dir():
        raise InputError(f"{target}: there is no folder {str(target.parent)!r}")
    text = source.read_text(encoding="utf-8")
    try:
        with open_draft(target) as stream:
            stream.write(text)
    except OSError as error:
        raise InputError(f"{target}: cannot be written: {error.strerror}") from None
    print(f"{target}\nrun it:  hf-seq2seq train {target if target.is_absolute() else f'./{target}'} --help")
