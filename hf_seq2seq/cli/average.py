"""`hf-seq2seq average CHECKPOINT...`: checkpoint averaging."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from hf_seq2seq.cli.flag_command import FlagCommand
from hf_seq2seq.cli.options import Argument, Values
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import Section, build, option


@dataclass(frozen=True, kw_only=True)
class Output(Section):
    """Output."""

    output_dir: str = option("outputs/average", "Folder of the new model.")
    overwrite_output_dir: bool = option(False, "Replace the files of a model already in the folder.")


@dataclass(frozen=True)
class AverageConfig:
    """The flags of `average`."""

    output: Output = field(default_factory=Output)


Folders = Annotated[list[str], Argument(metavar="CHECKPOINT...", help="Folders of one run's checkpoints.")]


def average(checkpoints: Folders, *, values: Values) -> None:
    """Averages the weights of several checkpoints."""
    output = build(AverageConfig, values, origin="average").output
    target = Path(output.output_dir)
    if len(checkpoints) < 2:
        raise InputError(f"average: one checkpoint, {checkpoints[0]}; give two or more")
    from hf_seq2seq.saved.averaging import average_checkpoints, check_target

    folders = [Path(folder) for folder in checkpoints]
    check_target(folders, target, output.overwrite_output_dir)
    average_checkpoints(folders, target)
    print(f"{target}: the average of {len(checkpoints)} checkpoints")


COMMAND = FlagCommand(average, AverageConfig)
build_command = COMMAND.build
