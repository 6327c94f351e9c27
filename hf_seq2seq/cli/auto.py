"""`hf-seq2seq auto`: find and train a good model for some rows within a given time."""

import shlex
import sys

from hf_seq2seq.cli.flag_command import FlagCommand
from hf_seq2seq.cli.options import Values
from hf_seq2seq.tuning.auto_config import AutoConfig


def run(*, values: Values) -> None:
    """Tries families, sizes, tokenizers and learning rates, and trains the best."""
    from hf_seq2seq.tuning.auto import auto

    auto(shlex.join(["hf-seq2seq", *sys.argv[1:]]), **values)


COMMAND = FlagCommand(run, AutoConfig)
build_command = COMMAND.build
