"""`hf-seq2seq preview RECIPE`: what a recipe would train on."""

from hf_seq2seq.cli.recipe_group import Request


def preview(request: Request) -> None:
    """Prints."""
