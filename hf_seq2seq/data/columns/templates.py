"""Sources composed of several columns: `--source-template "{lemma}{features:tags}"`."""

import re
from collections.abc import Mapping, Sequence
from string import Formatter
from typing import Any

from hf_seq2seq.data.columns.finding import cell
from hf_seq2seq.errors import InputError

TAGS = "tags"
"""Behind a column's name: its features become tags, as `as_tags` writes them."""
INSTRUCTIONS = "{instruction}\n\n{input}"
"""For instruction data in Alpaca's format; without an input, the source is the instruction alone."""


def template_columns(template: str) -> list[str]:
    """The columns used in a template, each once; `{{` and `}}` are literal braces.

    Raises:
        InputError: it has no columns, or its braces do not match.
    """
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise InputError(f"--source-template: {template!r}: {error}; write {{{{ and }}}} for braces") from error
    found: list[str] = []
    for _, name, spec, conversion in parts:
        if name is None:
            continue
        if not name or spec not in ("", TAGS) or conversion:
            raise InputError(
                f"--source-template: {template!r}: write a column's name in braces, as in {{lemma}}; "
                f"behind it may stand :{TAGS} alone, as in {{features:{TAGS}}}"
            )
        found.append(name)
    if not found:
        raise InputError(f"--source-template: {template!r} names no column, as {{lemma}} does")
    return list(dict.fromkeys(found))


def usual_template(names: Sequence[str]) -> str | None:
    """The template for well-known sets of columns; None for others."""
    return INSTRUCTIONS if {"instruction", "input", "output"} <= set(names) else None


def fill(template: str, row: Mapping[str, Any], place: str) -> str:
    """The source of a row; a list of texts is joined by spaces, and blanks at the ends are dropped.

    Args:
        template: contains column names; a dotted name refers to a value in an object.
        row: the cells of the row.
        place: the file and the row, for errors.

    Raises:
        InputError: a cell is neither text nor a list of texts.
    """
    written = []
    for literal, name, spec, _ in Formatter().parse(template):
        written.append(literal)
        if name is not None:
            text = _text(cell(row, name), f"{place}, column {name!r}")
            written.append(as_tags(text) if spec == TAGS else text)
    return "".join(written).strip()


def as_tags(text: str) -> str:
    """Features such as `V;IND;PL` or `V IND PL` as tags, which character tokenizers keep whole: `⟨V⟩⟨IND⟩⟨PL⟩`."""
    return "".join(f"⟨{part}⟩" for part in re.split(r"[;|\s⟨⟩]+", text) if part)


def _text(value: Any, place: str) -> str:
    parts = value if isinstance(value, list) else [value]
    wrong = next((part for part in parts if not isinstance(part, str)), None)
    if wrong is not None or value is None:
        detail = "null" if wrong is None else repr(wrong)
        raise InputError(f"{place}: {detail} where --source-template needs a text or a list of texts")
    return " ".join(parts)


def about(question: str, context: str) -> str:
    """A question and its context as one text.

    Paper: Raffel et al., 2020, appendix D.15, https://arxiv.org/abs/1910.10683
    """
    return f"question: {question} context: {context}"
