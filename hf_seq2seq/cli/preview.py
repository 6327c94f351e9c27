"""`hf-seq2seq preview RECIPE`: what a recipe would train on, and its cost."""

from typing import Any

from hf_seq2seq.api.previews import preview_run
from hf_seq2seq.cli.recipe_group import Request, recipe_group
from hf_seq2seq.configs import Sources
from hf_seq2seq.data.evaluation_sets import check_files
from hf_seq2seq.sections import section_of


def build_command(name: str, help: str) -> Any:
    """The group of commands, one per recipe."""
    return recipe_group(name, help, preview)


def preview(request: Request) -> None:
    """Prints rows, columns, lengths, a few examples, parameters and memory."""
    check_files(section_of(request.config, Sources))
    print(preview_run(request.recipe, request.config))
