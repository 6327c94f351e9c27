"""`hf-seq2seq distill TEACHER --train-file FILE --output-file FILE`: sequence-level knowledge distillation.

The teacher's own outputs become the targets of the training rows, and a student is trained on them like on any other
file. So teacher and student may have different tokenizers and be of different families.

Paper: Kim and Rush, 2016, sections 3.2 (distillation) and 3.3 (interpolation), https://aclanthology.org/D16-1139
"""

import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from hf_seq2seq.cli.distilled_rows import (
    Distilled,
    DistillRows,
    Item,
    find_target,
    read_items,
    read_training_rows,
    with_languages,
)
from hf_seq2seq.cli.flag_command import FlagCommand
from hf_seq2seq.cli.options import Argument, Values
from hf_seq2seq.cli.output_paths import check_outputs
from hf_seq2seq.cli.progress import counted
from hf_seq2seq.cli.rows import report_cut, report_outputs, report_unknown
from hf_seq2seq.cli.source_rows import named_columns, source_flags
from hf_seq2seq.data.rows import json_line
from hf_seq2seq.decoding.pipeline import Ensemble, Model, load_model, load_others, make_generator
from hf_seq2seq.decoding.search_options import Search, check_search
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import build, flag

if TYPE_CHECKING:
    from hf_seq2seq.data.resumable import ResumableFile
    from hf_seq2seq.decoding.text_generator import TextGenerator

BEAMS = 5
"""Beams by default, as in the paper."""
BLOCK = 1024
"""Rows per block, of which at most one is lost when the command is killed."""
STUDENTS = ("transformer", "rnn")
"""Recipes that train from scratch without further flags."""
SPEED = ("per_device_eval_batch_size", "max_tokens_per_batch")
"""Settings that do not change an output: a run may continue with others."""


@dataclass(frozen=True)
class DistillConfig:
    """The flags of `distill`."""

    rows: DistillRows = field(default_factory=DistillRows)
    model: Model = field(default_factory=Model)
    ensemble: Ensemble = field(default_factory=Ensemble)
    decoding: Search = field(default_factory=Search)


Teacher = Annotated[str, Argument(metavar="TEACHER", help="Folder of a run or a checkpoint, or a Hub id.")]


def distill(teacher: Teacher, *, values: Values) -> None:
    """Writes the training rows with a teacher's outputs as targets; after a kill, the same command continues.

    By default the best of 5 beams is written; several --num-return-sequences are as many rows.
    """
    values = with_beams(values)
    config = build(DistillConfig, values, origin="distill")
    check(config, values)
    from hf_seq2seq.data.messages import is_dialogue
    from hf_seq2seq.saved.run_settings import numbered_columns, trained_names

    options = config.rows
    names = [*named_columns(options), options.target_column, *trained_names(teacher)]
    rows, sample = read_training_rows(options, names, numbered_columns(teacher))
    network, tokenizers, settings = load_model(teacher, config.model)
    if is_dialogue(settings.run):
        raise InputError(f"{teacher}: replies to conversations; only models of pairs are distilled")
    options = with_languages(options, sample)
    items = read_items(rows, sample, options, settings)
    target = find_target(sample, options, settings)
    others, settings = load_others(teacher, network, tokenizers, settings, config)
    spoken = options.source_lang, options.target_lang
    generator = make_generator(config, values, network, tokenizers, settings, languages=spoken)
    generator.others, generator.average = others, config.ensemble.ensemble_average
    distilled = Distilled(target, options.keep_reference, options.nearest_to_reference, options.input_file)
    with _open(config, teacher, generator) as file, counted("texts") as generator.advance:
        _write(file, items, generator, distilled)
    _report(file.state, generator)
    if not (lines := file.state.get("lines", 0)):
        print(f"{options.output_file}: 0 rows; there is nothing to train a student on")
        return
    columns = source_flags(sample, options, settings) | {"target_column": target}
    add = "" if settings.run.get("validation_file") else " (add --validation-file with real targets)"
    print(f"{options.output_file}: {lines} rows; to train a student on them{add}:")
    print("  " + train_command(str(options.output_file), columns, settings.run))


def with_beams(values: Mapping[str, Any]) -> Values:
    """The flags, with beam search where nothing is said of it, and as many outputs as there are to choose from."""
    sampling = str(values.get("do_sample", False)).lower() == "true"
    values = dict(values) if sampling else {"num_beams": BEAMS, **values}
    if values.get("nearest_to_reference") and not sampling:
        values = {"num_return_sequences": values["num_beams"], **values}
    return values


def check(config: DistillConfig, values: Mapping[str, Any]) -> None:
    """Rejects flags before anything is read.

    Raises:
        InputError: files are missing or unsuitable, flags conflict, or there is no such metric.
    """
    options, search = config.rows, config.decoding
    for name in ("train_file", "output_file"):
        if getattr(options, name) is None:
            raise InputError(
                f"{flag(name)}: is missing; name the {'rows to read' if name[0] == 't' else 'file to write'}"
            )
    path = Path(str(options.output_file))
    if path.suffix not in (".jsonl", ".ndjson"):
        raise InputError(f"--output-file {path}: is written as JSON lines; give it a name that ends in .jsonl")
    languages = options.source_lang, options.target_lang
    check_outputs([("output_file", path)], {"train_file": options.train_file}, languages)
    check_search(search, values)
    if (metric := options.nearest_to_reference) is None:
        return
    if search.mbr_metric:
        raise InputError("--nearest-to-reference and --mbr-metric: both choose one of the outputs; give only one")
    if search.num_return_sequences == 1:
        raise InputError("--nearest-to-reference: there is nothing to choose from; add --num-return-sequences above 1")
    from hf_seq2seq.metrics.single_rows import row_scorer

    row_scorer(metric)


def _open(config: DistillConfig, teacher: str, generator: "TextGenerator") -> "ResumableFile[Item]":
    """The output, which is only continued by the same teacher with the same settings."""
    from hf_seq2seq.data.resumable import ResumableFile
    from hf_seq2seq.saved.integrity import weights_digest

    networks = [generator.model, *generator.others]
    settings: dict[str, Any] = {"teacher": teacher, "weights": [weights_digest(each) for each in networks]}
    settings |= {name: value for name, value in asdict(config.rows).items() if name != "output_file"}
    settings |= {name: value for name, value in asdict(generator.decoding).items() if name not in SPEED}
    for name in ("max_new_tokens", "max_source_length", "prefix", "average"):
        settings[name] = getattr(generator, name)
    return ResumableFile(Path(str(config.rows.output_file)), settings, BLOCK)


def _write(file: "ResumableFile[Item]", items: Iterator[Item], generator: "TextGenerator", rows: Distilled) -> None:
    from hf_seq2seq.decoding.counts import Counts

    state = file.state or {"counts": asdict(Counts()), "lines": 0, "left_out": 0}
    for block in file.blocks(items):
        found = generator.outputs([item.source for item in block], first=file.done)
        lines: list[str] = []
        for number, (item, outputs) in enumerate(zip(block, found, strict=True), start=file.done + 1):
            written = rows.of(item.row, [output.text for output in outputs], number)
            state["left_out"] += not written
            lines += map(json_line, written)
        state["lines"] += len(lines)
        state["counts"] = asdict(Counts.of(state["counts"]) + found.counts)
        file.commit(lines, state)


def _report(state: Mapping[str, Any], generator: "TextGenerator") -> None:
    from hf_seq2seq.decoding.counts import Counts

    counts = Counts.of(state["counts"])
    report_cut(counts.truncated, generator.max_source_length, counts.texts)
    report_outputs(counts, generator.max_new_tokens)
    report_unknown(counts.unknown)
    if state["left_out"]:
        print(f"{state['left_out']} of {counts.texts} rows have no output and are left out", file=sys.stderr)


def train_command(file: str, columns: Mapping[str, str], run: Mapping[str, Any]) -> str:
    """The command that trains a student.

    Args:
        file: the rows to train on.
        columns: their columns, by option.
        run: configuration of the teacher's run; empty for a model from elsewhere.
    """
    recipe = run.get("recipe") if run.get("recipe") in STUDENTS else STUDENTS[0]
    flags = {"train_file": file, **columns, "validation_file": run.get("validation_file")}
    flags |= {"output_dir": f"outputs/{Path(file).stem}-student"}
    spelled = [f"{flag(name)} {shlex.quote(str(value))}" for name, value in flags.items() if value]
    return f"hf-seq2seq train {recipe} {' '.join(spelled)}"


COMMAND = FlagCommand(distill, DistillConfig)
build_command = COMMAND.build
