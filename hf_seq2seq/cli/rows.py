"""Output of commands: a stream of text or JSON lines."""

import io
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from hf_seq2seq.data.files.lines import one_line
from hf_seq2seq.data.rows import Row, json_line
from hf_seq2seq.drafts import FULL, open_draft
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import flag

if TYPE_CHECKING:
    from hf_seq2seq.data.tokenizers.unknown import Unknown
    from hf_seq2seq.decoding.counts import Counts
    from hf_seq2seq.decoding.languages import Languages


OF_MODELS = (".json", ".yaml", ".safetensors", ".model")
"""Endings of the files that a model's folder is read from."""


@contextmanager
def open_output(
    file: str | None, source: str | None, live: bool = False, flag: str = "--output-file"
) -> Iterator[TextIO]:
    """Standard output, or a file that appears once complete.

    Args:
        file: None is standard output.
        source: the file being read.
        live: whether to flush after each line.
        flag: that names the file, for errors.

    Raises:
        InputError: the file cannot be written, or is the input file.
    """
    if file is None:
        yield _by_lines(sys.stdout, live)
        sys.stdout.flush()
        return
    path = Path(file)
    if source and path.exists() and path.samefile(source):
        raise InputError(f"{flag} {file}: is the input file")
    if path.is_dir():
        raise InputError(f"{flag} {file}: is a folder")
    if path.suffix in OF_MODELS and path.exists() and (path.parent / "config.json").exists():
        raise InputError(f"{flag} {file}: is in the folder of a model, which may read it; name another file")
    stream = None
    try:
        with open_draft(path) as stream:
            yield _by_lines(stream, live)
    except OSError as error:
        if stream is not None and error.errno not in FULL:
            raise  # raised by something that the block reads, such as a model
        raise InputError(f"{flag} {file}: cannot be written: {error.strerror}") from None


def _by_lines(stream: TextIO, live: bool) -> TextIO:
    if live and isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(line_buffering=True)
    return stream


def write_json(stream: TextIO, row: Row) -> None:
    """Writes a row as a line of JSON, as `json_line` does."""
    stream.write(json_line(row) + "\n")


def with_columns(own: Row, others: Row) -> Row:
    """A command's results for a row, and the row's other columns; name clashes become `input_NAME`."""
    found = dict(own)
    for name, value in others.items():
        free = name
        while free in own or (free != name and free in others):
            free = f"input_{free}"
        found[free] = value
    return found


def write_text(stream: TextIO, *cells: str) -> int:
    """Writes a line of tab-separated cells; line breaks inside a cell become spaces, so that a line is a row.

    Returns:
        The number of cells with line breaks.
    """
    lines = [one_line(text) for text in cells]
    stream.write("\t".join(lines) + "\n")
    return sum(line != text for line, text in zip(lines, cells, strict=True))


def report_languages(known: "Languages | None", given: tuple[str | None, str | None], run: Mapping[str, Any]) -> None:
    """Prints to standard error which flags of languages have no effect, as `vain_languages` says."""
    from hf_seq2seq.decoding.languages import vain_languages

    for line in vain_languages(known, (flag("source_lang"), flag("target_lang")), given, run):
        print(line, file=sys.stderr)


def report_joined(count: int) -> None:
    """Prints to standard error how many outputs had line breaks that were written as spaces."""
    if count:
        print(f"{count} outputs have line breaks, written as spaces; --json-lines keeps them", file=sys.stderr)


def report_outputs(counts: "Counts", limit: int) -> None:
    """Prints to standard error how many outputs are missing, shorter than requested, or cut off.

    Args:
        counts: the counts of the texts.
        limit: maximum output length in tokens.
    """
    rows = counts.read
    if counts.impossible:
        print(
            f"{counts.impossible} of {rows} texts have no output: the constraints of the search allow none",
            file=sys.stderr,
        )
    if counts.conflicting:
        detail = "--max-length-ratio allows fewer tokens than --min-new-tokens requires"
        print(f"{counts.conflicting} of {rows} texts: {detail}", file=sys.stderr)
    if counts.unended:
        print(f"{counts.unended} of {rows} outputs are cut off at {limit} tokens (--max-new-tokens)", file=sys.stderr)


def report_split(counts: "Counts", again: bool) -> None:
    """Prints to standard error how many texts were read in pieces; `again` if the outputs were read once more."""
    if counts.split:
        more = ", and the outputs of the pieces again as one text" if again else ""
        print(
            f"{counts.split} of {counts.texts} texts were read in pieces, {counts.pieces} in all{more}", file=sys.stderr
        )


def report_cut(cut: int, limit: int | None, rows: int, name: str = "") -> None:
    """Prints to standard error how many texts were truncated; `name` is the system, if there are several."""
    if cut:
        owner = f"{name}: " if name else ""
        print(f"{owner}{cut} of {rows} texts were truncated to {limit} tokens (--max-source-length)", file=sys.stderr)


def report_unknown(unknown: "Unknown", side: str = "source") -> None:
    """Prints to standard error how many tokens are unknown."""
    if unknown.tokens:
        what = "which the model cannot read" if side == "source" else "which likelihoods do not count"
        print(f"{unknown} of the {side} tokens are unknown: they stand for text, {what}", file=sys.stderr)
