"""Real pairs mixed with synthetic ones, and the command that trains on them."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_seq2seq.configs import PairData
from hf_seq2seq.data.cleaning.options import SIDES
from hf_seq2seq.data.rows import json_line
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import flag

if TYPE_CHECKING:
    from hf_seq2seq.cli.synthetic_rows import Noise, Rows
    from hf_seq2seq.data.cleaning.pair_rows import PairRows

FROM_SCRATCH = ("transformer", "rnn")
"""Recipes that train from scratch without further flags."""
PASSES = 10
"""Passes over the synthetic pairs, after which a run by the file of stages ends."""


def check_mixed(options: "Rows") -> None:
    """Rejects a mixture without real pairs.

    Raises:
        InputError: the flags conflict.
    """
    if options.mixed_file is None and options.stages_file is None and options.upsample > 1:
        raise InputError(f"--upsample {options.upsample}: add --mixed-file or --stages-file, and --train-file")
    for name, suffixes in (("mixed_file", (".jsonl", ".ndjson")), ("stages_file", (".yaml", ".yml"))):
        path = getattr(options, name)
        if path is None:
            continue
        if options.train_file is None:
            raise InputError(f"{flag(name)} {path}: add --train-file, the real pairs")
        if Path(path).suffix not in suffixes:
            raise InputError(f"{flag(name)} {path}: let its name end in {suffixes[0]}")


def write_stages(options: "Rows", synthetic: int) -> str:
    """Writes the file of one stage, in which each real pair comes `upsample` times per pass over the synthetic ones.

    Args:
        options: the flags.
        synthetic: number of synthetic pairs.

    Returns:
        The text of the file.

    Raises:
        InputError: the real pairs cannot be read, there is no synthetic pair, or the file cannot be written.
    """
    from hf_seq2seq.cli.rows import open_output

    if not synthetic:
        raise InputError(f"--stages-file {options.stages_file}: no synthetic pair is kept")
    real = sum(1 for _ in real_pairs(options).rows) * options.upsample
    share = round(real / (real + synthetic), 6)
    files = {"real": str(options.train_file), "synthetic": str(options.output_file)}
    lines = ["datasets:", *(f"  {name}: {json.dumps(file, ensure_ascii=False)}" for name, file in files.items())]
    lines += ["stages: [mixed]", "mixed:", f"  - real {share:g}", f"  - synthetic {1 - share:g}"]
    lines += [f"  - until synthetic {PASSES}  # passes; --max-steps ends the run before"]
    text = "".join(f"{line}\n" for line in lines)
    with open_output(str(options.stages_file), None, flag="--stages-file") as stream:
        stream.write(text)
    return text


def real_pairs(options: "Rows") -> "PairRows":
    """The real pairs, by given names of the synthetic columns if they have them; stages read both by the same flags.

    Raises:
        InputError: they cannot be read.
    """
    from hf_seq2seq.data.cleaning.pair_rows import read_pair_rows

    languages = {f"{side}_lang": getattr(options, f"{side}_lang") for side in SIDES}
    names: dict[str, Any] = {f"{side}_column": name for side, name in zip(SIDES, options.names, strict=True)}
    asked = {key: name for key, name in names.items() if options.stages_file or getattr(options, key)}
    named = {key: name for key, name in asked.items() if name not in languages.values()}
    data = PairData(train_file=options.train_file, **languages)
    try:
        return read_pair_rows(replace(data, **named))
    except InputError as error:
        if options.stages_file:
            advice = "--source-column and --target-column name the synthetic columns; give those of the real pairs"
            raise InputError(f"--stages-file {options.stages_file}: {error}\n{advice}") from None
        if not named:
            raise
    return read_pair_rows(data)


def write_mixed(options: "Rows") -> tuple[int, int]:
    """Writes the real pairs, each `upsample` times, and then the synthetic ones.

    Returns:
        The number of real and of synthetic rows.

    Raises:
        InputError: the real pairs cannot be read, or the file cannot be written.
    """
    from hf_seq2seq.cli.rows import open_output
    from hf_seq2seq.data.cleaning.pair_rows import read_pair_rows

    source, target = options.names
    made = PairData(train_file=options.output_file, source_column=source, target_column=target)
    counts = []
    with open_output(str(options.mixed_file), None, flag="--mixed-file") as stream:
        for read, times in ((real_pairs(options), options.upsample), (read_pair_rows(made), 1)):
            count = 0
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
    file = options.mixed_file or options.stages_file or options.output_file
    flags = {"stages" if file == options.stages_file else "train_file": file}
    for side, name in zip(SIDES, options.names, strict=True):
        flags[f"{side}_lang" if name == getattr(options, f"{side}_lang") else f"{side}_column"] = name
    if marks := [options.tag] * bool(options.tag) + [noise.blank_token] * noise.noise:
        flags["added_tokens"] = ",".join(marks)
    flags["output_dir"] = f"outputs/{Path(str(file)).stem}"
    return f"hf-seq2seq train {recipe} {' '.join(f'{flag(name)} {shlex.quote(str(v))}' for name, v in flags.items())}"
