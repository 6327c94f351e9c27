"""`hf-seq2seq exposure MODEL`: what a model's own prefixes cost, and how its errors accumulate."""

from typing import Annotated

from hf_seq2seq import strict_json
from hf_seq2seq.cli.flag_command import FlagCommand
from hf_seq2seq.cli.options import Argument, Values
from hf_seq2seq.evaluation.exposure_runs import ExposureConfig, model_exposure
from hf_seq2seq.sections import build

Model = Annotated[str, Argument(metavar="MODEL", help="Folder of a run or a checkpoint, or a Hub id.")]


def exposure(model: Model, *, values: Values) -> None:
    """Prints, by position, the losses after the reference and after the own output, and accumulated errors."""
    from hf_seq2seq.cli.progress import counted

    config = build(ExposureConfig, values, origin="exposure")
    with counted("rows") as advance:
        found = model_exposure(model, config, values, advance)
    if config.continuations.json:
        print(strict_json.dumps(found.as_json()))
        return
    print("\n".join(found.lines()))


COMMAND = FlagCommand(exposure, ExposureConfig)
build_command = COMMAND.build
