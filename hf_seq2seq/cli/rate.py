"""`hf-seq2seq rate SYSTEM...`: a blind rating sheet, and the key that says who wrote what."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from hf_seq2seq.analysis.rating_criteria import CRITERIA, parse_scale
from hf_seq2seq.cli.flag_command import FlagCommand
from hf_seq2seq.cli.options import Argument, Values
from hf_seq2seq.errors import InputError
from hf_seq2seq.folders import check_folder, fill_folder, named_place
from hf_seq2seq.sections import LARGEST_SEED, Section, build, option

if TYPE_CHECKING:
    from hf_seq2seq.analysis.rating_sheet import Texts

SHEET, KEY = "rating_sheet.html", "rating_key.json"
PYRAMID = "pyramid_sheet.csv"
PREDICTIONS = "generated_predictions.txt"


@dataclass(frozen=True, kw_only=True)
class Questions(Section):
    """Questions: criteria and scale."""

    criteria: tuple[str, ...] = option(
        ("fluency", "adequacy"), "Criteria, separated by commas.", choices=tuple(CRITERIA)
    )
    pyramid: bool = option(
        False, f"Write {PYRAMID} instead, in which annotators list content units (Nenkova and Passonneau, 2004)."
    )
    scale: str = option("1-5", "Worst and best rating, such as 1-5, 1-7 or 0-100.")
    sample: int | None = option(None, "Sample at most this many rows; by default all.", at_least=1)
    seed: int = option(42, "Seed for sampling and shuffling.", at_least=0, at_most=LARGEST_SEED)


@dataclass(frozen=True, kw_only=True)
class Rows(Section):
    """Rows: sources and references of the texts."""

    source_file: str | None = option(None, "File of sources, text or a table as in training.")
    source_column: str = option("source", "Column of the source text, if there are several.")
    image_column: str | None = option(
        None, "Column of --source-file with the path of a picture, for captions; its text then needs --source-column."
    )
    references: tuple[str, ...] = option((), "File of references to show; several files give several per row.")
    encoding: str = option("utf-8", "Encoding of text files.")


@dataclass(frozen=True, kw_only=True)
class Output(Section):
    """Output."""

    output_dir: str = option("outputs/rating", f"Folder of {SHEET}, for raters, and {KEY}, for yourself.")
    overwrite_output_dir: bool = option(False, "Replace a sheet already in the folder.")


@dataclass(frozen=True)
class RateConfig:
    """The flags of `rate`."""

    questions: Questions = field(default_factory=Questions)
    rows: Rows = field(default_factory=Rows)
    output: Output = field(default_factory=Output)


Systems = Annotated[
    list[str],
    Argument(
        metavar="SYSTEM...", help=f"Predictions, each a file or a run's folder with {PREDICTIONS}; NAME=FILE names one."
    ),
]


def rate(systems: Systems, *, values: Values) -> None:
    """Writes a rating sheet and its key."""
    config = build(RateConfig, values, origin="rate")
    asked = config.questions
    criteria, scale = tuple(dict.fromkeys(asked.criteria)), parse_scale(asked.scale)
    sheet = PYRAMID if asked.pyramid else SHEET
    if asked.pyramid and not config.rows.references:
        raise InputError("--pyramid: content units are those of references; give --references, best several files")
    if not criteria:
        raise InputError(f"--criteria: none given; choose from {', '.join(CRITERIA)}")
    folder = Path(config.output.output_dir)
    files = system_files(systems)
    read = [*files.values(), *config.rows.references, config.rows.source_file or ""]
    check_folder(folder, config.output.overwrite_output_dir, [Path(file) for file in read if file], (sheet, KEY))
    texts = _read(files, config.rows, "source_column" in values)
    from hf_seq2seq.analysis.rating_sheet import make_sheet, render

    page, key = make_sheet(texts, criteria, scale, asked.sample, asked.seed)
    content = render(page)
    if asked.pyramid:
        from hf_seq2seq.analysis.pyramid_sheet import CRITERIA as SCORES
        from hf_seq2seq.analysis.pyramid_sheet import pyramid_table

        content, key = pyramid_table(page), key | {"criteria": list(SCORES), "low": 0, "high": 1, "pyramid": True}
    with fill_folder(folder) as draft:
        for name, text in ((KEY, json.dumps(key, indent=1) + "\n"), (sheet, content)):
            (draft / name).write_text(text, encoding="utf-8", newline="\n")
    rows, shown = len(page["rows"]), len(key["texts"])
    print(f"{folder / sheet}: {rows} rows, {shown} texts of {len(texts.systems)} systems; for raters")
    print(f"{folder / KEY}: which system wrote which text; only for you")


def system_files(systems: Sequence[str]) -> dict[str, str]:
    """The file of every system, keyed by its name: given, or else the end of its path.

    Raises:
        InputError: two systems have the same name, a file is given twice, or a folder has no predictions.
    """
    found: dict[str, str] = {}
    for system in systems:
        name, place = named_place(system)
        path = Path(place).expanduser()
        name = name or (path.name if path.is_dir() else path.stem) or place
        if path.is_dir() and not (path / PREDICTIONS).exists():
            raise InputError(f"{place}: contains no {PREDICTIONS}; give the file")
        file = str(path / PREDICTIONS if path.is_dir() else place)
        if file in found.values():
            raise InputError(f"rate: {file} is given twice; compare different systems")
        if name in found:
            raise InputError(f"rate: {found[name]} and {file} are both named {name!r}; name them: NAME={place}")
        found[name] = file
    return found


def _read(systems: dict[str, str], rows: Rows, names_source: bool) -> "Texts":
    from hf_seq2seq.analysis.rating_sheet import Texts
    from hf_seq2seq.evaluation.scored_files import Cell, read_cells

    if rows.source_file is None and not rows.references:
        raise InputError("rate: give --source-file or --references, so that raters know what a text should express")
    if rows.image_column is not None and rows.source_file is None:
        raise InputError("--image-column: is a column of --source-file; give both")
    shows_source = rows.source_file is not None and (rows.image_column is None or names_source)
    files = [(file, "prediction") for file in systems.values()]
    files += [(rows.source_file or "", rows.source_column)] if shows_source else []
    files += [(rows.source_file or "", rows.image_column)] if rows.image_column is not None else []
    files += [(file, "reference") for file in rows.references]
    columns: list[list[Cell]] = [list(read_cells(file, column, rows.encoding)) for file, column in files]
    for (file, column), cells in zip(files, columns, strict=True):
        if len(cells) != len(columns[0]):
            raise InputError(f"{file}: {len(cells)} {column}s for {len(columns[0])} in {files[0][0]}")
    others = columns[len(systems) :]
    sources = [str(cell) for cell in others.pop(0)] if shows_source else []
    paths = [str(cell) for cell in others.pop(0)] if rows.image_column is not None else []
    references = [
        [text for cell in row for text in ([cell] if isinstance(cell, str) else cell)]
        for row in zip(*others, strict=True)
    ]
    texts = {name: list(map(str, cells)) for name, cells in zip(systems, columns, strict=False)}
    from hf_seq2seq.analysis.rating_images import Pictures

    place = rows.source_file or ""
    return Texts(texts, sources, references, Pictures(paths, Path(place).expanduser().parent, place))


COMMAND = FlagCommand(rate, RateConfig)
build_command = COMMAND.build
