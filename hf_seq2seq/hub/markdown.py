"""Markdown with escaping for arbitrary text."""

import re
from collections.abc import Sequence

LONGEST_CELL = 200  # characters


def code(text: object) -> str:
    """Text in monospace on one line."""
    line = " ".join(str(text).split())
    ticks = _longer_than("`", line, least=1)
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{ticks}{space}{line}{space}{ticks}"


def cell(text: str) -> str:
    """A text for a cell of a table, cut where it is long."""
    short = text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…"
    return code(short) if short.strip() else "(nothing)"


def fence(text: str, language: str = "") -> str:
    """A block of code."""
    ticks = _longer_than("`", text, least=3)
    return f"{ticks}{language}\n{text.rstrip()}\n{ticks}"


def table(header: Sequence[str], rows: Sequence[Sequence[object]], texts: int = 1) -> str:
    """A table; the columns after the first `texts` are aligned right."""
    rule = ["---"] * texts + ["---:"] * (len(header) - texts)
    lines = [header, rule, *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def folded(summary: str, text: str) -> str:
    """A collapsible section."""
    return f"<details>\n<summary>{summary}</summary>\n\n{text}\n\n</details>"


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def _longer_than(tick: str, text: str, least: int) -> str:
    runs = [len(run) for run in re.findall(f"{tick}+", text)]
    return tick * max([least, *(run + 1 for run in runs if run >= least)])
