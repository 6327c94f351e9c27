"""`hf-seq2seq preview RECIPE`: what a recipe would train on, and its cost."""

from typing import Any

from hf_seq2seq.api.previews import preview_run
from hf_seq2seq.cli.recipe_group import Request, recipe_group


def build_command(name: str, help: str) -> Any:
    """The group of commands, one per recipe."""
    return recipe_group(name, help, preview)


def preview(request: Request) -> None:
    """Prints rows, columns, lengths, a few examples, parameters and memory."""
    print(preview_run(request.recipe, request.config))
