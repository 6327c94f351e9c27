"""`hf-seq2seq train RECIPE`: train, evaluate, save."""

import os
from typing import Any

from hf_seq2seq.cli.accelerate_config import USE_DEEPSPEED, apply_launch_file
from hf_seq2seq.cli.launch import launch, processes, rank, show_only
from hf_seq2seq.cli.recipe_group import Request, recipe_group
from hf_seq2seq.configs import Hub


def build_command(name: str, help: str) -> Any:
    """The group of one command a recipe."""
    return recipe_group(name, help, train)


def train(request: Request) -> None:
    """Runs the recipe here, or in as many processes as the configuration asks for."""
    run, hub = apply_launch_file(request.config.run), getattr(request.config, "hub", Hub())
    if hub.push_to_hub and not rank():
        from hf_seq2seq.hub.push import check_publication

        check_publication(hub)  # not only after hours of training
    count = processes(run)
    in_group = rank() is None and USE_DEEPSPEED in os.environ  # it wants a group even of one process
    if count > 1 or in_group:
        launch(["train", *request.arguments], count, run)
    else:
        show_only(run)
        request.recipe.main(request.config)
