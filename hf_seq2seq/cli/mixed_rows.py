"""Real pairs mixed with synthetic ones, and the command that trains on them."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_seq2seq.configs import PairData
from hf_seq2seq.data.cleaning.options import SIDES
from hf_seq2seq.data.rows import json_line
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import flag

if TYPE_CHECKING:
    from hf_seq2seq.cli.synthetic_rows import Noise, Rows

FROM_SCRATCH = ("transformer", "rnn")
"""Recipes that train from scratch without further flags."""


def check_mixed(options: "Rows") -> None:
    """Rejects a mixture without real pairs, and one over a file that it is made of.

    Raises:
        InputError: the flags conflict.
    """
    if options.mixed_file is None:
        if options.upsample > 1:
            raise InputError(f"--upsample {options.upsample}: add --mixed-file and --train-file, the real pairs")
        return
    if options.train_file is None:
        raise InputError(f"--mixed-file {options.mixed_file}: add --train-file, the real pairs")
    if Path(options.mixed_file).suffix not in (".jsonl", ".ndjson"):
        raise InputError(f"--mixed-file {options.mixed_file}: is written as JSON lines; let its name end in .jsonl")
    for other in (options.input_file, options.output_file, options.train_file):
        if Path(options.mixed_file).resolve() == Path(str(other)).resolve():
            raise InputError(f"--mixed-file {options.mixed_file}: is read, or written by another flag")


def write_mixed(options: "Rows") -> tuple[int, int]:
    """Writes the real pairs, each `upsample` times, and then the synthetic ones.

    Returns:
        The number of real and of synthetic rows.

    Raises:
        InputError: the real pairs cannot be read, or the file cannot be written.
    """
    from hf_seq2seq.cli.rows import open_output
    from hf_seq2seq.data.cleaning.pair_rows import read_pair_rows

    real = PairData(train_file=options.train_file, source_lang=options.source_lang, target_lang=options.target_lang)
    source, target = options.names
    made = PairData(train_file=options.output_file, source_column=source, target_column=target)
    counts = []
    with open_output(str(options.mixed_file), None) as stream:
        for data, times in ((real, options.upsample), (made, 1)):
            read, count = read_pair_rows(data), 0
            for row in read.rows:
                line = json_line(dict(zip((source, target), read.pair(row), strict=True)))
                stream.write((line + "\n") * times)
                count += times
            counts.append(count)
    return counts[0], counts[1]


def training_command(options: "Rows", noise: "Noise", run: Mapping[str, Any]) -> str:
    """The command that trains on the mixed rows, or on the synthetic ones alone.

    Args:
        options: the flags.
        noise: the flags of noise.
        run: configuration of the reverse model's run; empty for a model from elsewhere.
    """
    recipe = run.get("recipe") if run.get("recipe") in FROM_SCRATCH else FROM_SCRATCH[0]
    file = options.mixed_file or options.output_file
    flags = {"train_file": file}
    for side, name in zip(SIDES, options.names, strict=True):
        flags[f"{side}_lang" if name == getattr(options, f"{side}_lang") else f"{side}_column"] = name
    if marks := [options.tag] * bool(options.tag) + [noise.blank_token] * noise.noise:
        flags["added_tokens"] = ",".join(marks)
    flags["output_dir"] = f"outputs/{Path(str(file)).stem}"
    return f"hf-seq2seq train {recipe} {' '.join(f'{flag(name)} {shlex.quote(str(v))}' for name, v in flags.items())}"
