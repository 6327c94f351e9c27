"""`hf-seq2seq learning-curve RECIPE`: what more training rows would bring."""

from pathlib import Path
from typing import Any

from hf_seq2seq.cli.recipe_group import Request, recipe_group
from hf_seq2seq.cli.train import check_pipes
from hf_seq2seq.configs import Sources
from hf_seq2seq.sections import section_of
from hf_seq2seq.tuning.learning_curve_config import LearningCurveConfig


def build_command(name: str, help: str) -> Any:
    """The group of commands, one per recipe."""
    return recipe_group(name, help, learning_curve, LearningCurveConfig)


def learning_curve(request: Request) -> None:
    """Trains on growing shares of the rows, and prints the fitted law and its predictions."""
    from hf_seq2seq.tuning.learning_curve import PICTURE, lines
    from hf_seq2seq.tuning.learning_curve import learning_curve as run_curve

    check_pipes(section_of(request.config, Sources), "every size needs a file")
    run = request.config.run
    folder = Path(run.output_dir)
    found = run_curve(request.arguments[0], request.given, folder, run.overwrite_output_dir, request.own.curve)
    print("\n".join(lines(found)))
    print(f"picture  {folder / PICTURE}")
