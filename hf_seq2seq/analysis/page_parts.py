"""Parts of the pages: frames, styles on the theme that all pages share, scripts, and data in a script."""

import json
import re
from collections.abc import Container, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from hf_seq2seq.drafts import write_together
from hf_seq2seq.errors import InputError
from hf_seq2seq.settings_files import read_json_object


def read_part(name: str) -> str:
    """A file of this package."""
    return files("hf_seq2seq.analysis").joinpath(name).read_text(encoding="utf-8")


def themed(style: str) -> str:
    """A style with the theme before it: colors, light and dark."""
    return read_part("theme.css") + style


NUMBER = ' class="number"'


def table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table that scrolls sideways; headings of numbers are aligned as these are.

    Args:
        caption: what it shows.
        columns: the headings.
        rows: cells as HTML, those of numbers with the class `number`.
    """
    numeric = [any(cell.startswith(f"<td{NUMBER}") for cell in column) for column in zip(*rows, strict=True)]
    kinds = [NUMBER if number else "" for number in numeric] or [""] * len(columns)
    head = "".join(f'<th scope="col"{k}>{escape(c)}</th>' for c, k in zip(columns, kinds, strict=True))
    body = "\n".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    caption = f"<caption><span>{escape(caption)}</span></caption>"
    return f'<div class="scroll"><table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def embedded(value: Any) -> str:
    """JSON that can stand in a script: its texts cannot end the script or inject markup."""
    found = json.dumps(value)
    for letter in "<>&":
        found = found.replace(letter, f"\\u{ord(letter):04x}")
    return found


def write_files(texts: Mapping[Path, str], figures: Path, made: Container[str]) -> None:
    """Writes the files of a report together, and removes the pictures that only the earlier one had.

    Args:
        texts: of every file.
        figures: the file among them that lists the pictures.
        made: names of the new pictures.

    Raises:
        OSError: a file cannot be written; all are as they were.
    """
    stale = _stale_pictures(figures, made)
    write_together(texts)
    for path in stale:
        path.unlink(missing_ok=True)


def _stale_pictures(figures: Path, made: Container[str]) -> list[Path]:
    """The pictures that an earlier report's figures list and the new one does not make."""
    try:
        names = read_json_object(figures).get("pictures", [])
    except InputError:
        return []
    named = [name for name in names if isinstance(name, str) and re.fullmatch(r"[\w-]+", name)]
    return [figures.with_name(f"{name}.svg") for name in named if name not in made]
