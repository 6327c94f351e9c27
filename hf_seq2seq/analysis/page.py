"""The report's files: one self-contained HTML page, the same figures as JSON, and the pictures as SVG.

The page is complete without its script, which adds tabs, sorting, filters and the attention's links. Texts are escaped,
and the page's policy allows its own script and style alone and no request at all.
"""

import base64
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from hf_seq2seq import strict_json
from hf_seq2seq.analysis.characters import allowed
from hf_seq2seq.analysis.page_parts import NUMBER, embedded, read_part, table, themed, write_files
from hf_seq2seq.analysis.policy import policy_hash
from hf_seq2seq.analysis.records import Heat, Marked, Record, Section, Table
from hf_seq2seq.analysis.svg import heat, standalone

LARGEST_HEATS = 600_000
"""Weights on a page, two bytes each: with more, heads are averaged, then layers, and then texts are cut shorter."""
LARGEST_SIDE = 150
"""Tokens per side of a map on the page; longer texts are cut."""
LARGEST_MAP = 60
"""Tokens a side of a picture that is drawn without the script."""
FACTS = {
    "kind": "architecture",
    "attends": "attention on the source",
    "texts": "texts are shown",
    "falling": "undertrained",
    "references": "with references",
    "confidence": "intervals, %",
    "max_source_length": "source tokens at most",
    "max_new_tokens": "output tokens at most",
}
"""Facts by other names than their own."""
UNSHOWN = ("key", "higher_is_better", "task")
PRINTED = 1
"""Heat maps that are also drawn without the script, which repeats their weights."""


def write_report(folder: Path, record: Record, sections: Mapping[str, Section], page: str, figures: str) -> None:
    """Writes the page, the figures and the pictures; what only the earlier report had is removed.

    Args:
        folder: an existing folder.
        record: what was read.
        sections: by name.
        page: name of the HTML file.
        figures: name of the JSON file.

    Raises:
        OSError: a file cannot be written.
    """
    made = pictures(sections)
    numbers = as_json(record, sections) | {"pictures": sorted(made)}
    texts = {folder / f"{name}.svg": allowed(standalone(picture)) for name, picture in made.items()}
    texts[folder / figures] = strict_json.dumps(numbers, ensure_ascii=False, indent=1) + "\n"
    write_files(texts | {folder / page: allowed(render(record, sections))}, folder / figures, made)


def pictures(sections: Mapping[str, Section]) -> dict[str, str]:
    """All pictures by name, with the mean attention of every row that is shown."""
    found = {name: picture for section in sections.values() for name, picture in section.pictures.items()}
    for name, section in sections.items():
        found |= {f"{name}-row-{each.row + 1}": mean_picture(each, name) for each in section.heats}
    return found


def mean_picture(each: Heat, name: str = "attention") -> str:
    """The attention, or saliency, of a row, averaged over layers and heads; long texts are cut."""
    down, across = each.output[:LARGEST_MAP], each.source[:LARGEST_MAP]
    every = ", all layers and heads" if each.weights[:, :, 0, 0].size > 1 else ""
    return heat(each.weights.mean((0, 1)), down, across, f"{name} of row {each.row + 1}{every}")


def as_json(record: Record, sections: Mapping[str, Section]) -> dict[str, Any]:
    """The figures of the report: facts, and the numbers and tables of every section."""
    found = {
        name: {
            "title": section.title,
            "text": list(section.text),
            **({"left_out": section.left_out} if section.left_out else {}),
            **section.numbers,
            "tables": [{"caption": t.caption, "columns": list(t.columns), "rows": t.rows} for t in section.tables],
        }
        for name, section in sections.items()
    }
    return {"facts": record.facts, "sections": plain(found)}


def plain(value: Any) -> Any:
    """A value with numpy's numbers and arrays as Python's."""
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else str(key): plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


def render(record: Record, sections: Mapping[str, Section]) -> str:
    """The HTML page."""
    style, script = themed(read_part("page.css")), read_part("page.js")
    budget = LARGEST_HEATS // max(1, sum(bool(section.heats) for section in sections.values()))
    heats = {name: packed(section.heats, budget) for name, section in sections.items() if section.heats}
    body = "\n".join(_section(name, section) for name, section in sections.items())
    return Template(read_part("page.html")).substitute(
        title=escape(f"Analysis of {record.facts['model']}"),
        facts=_facts(record),
        body=body,
        data=embedded(heats),
        style=style,
        script=script,
        style_hash=policy_hash(style),
        script_hash=policy_hash(script),
    )


def packed(heats: Sequence[Heat], most: int = LARGEST_HEATS) -> list[dict[str, Any]]:
    """Heat maps for the page: weights as base64 of little-endian 16-bit parts of 65,535.

    Where they would be too many, heads are averaged, and then layers.
    """
    budget, found = most / max(1, len(heats)), []
    side = min(LARGEST_SIDE, math.isqrt(int(budget)))
    for each in heats:
        weights = each.weights[:, :, :side, :side]
        cut = weights.shape[2:] != each.weights.shape[2:]
        for axis in (1, 0):
            if weights.size > budget:
                weights = weights.mean(axis, keepdims=True)
        parts = np.rint(np.clip(weights, 0, 1) * 65535).astype("<u2")
        shown = {"row": each.row + 1, "why": each.why, "cut": cut}
        shown |= {"source": each.source[:side], "output": each.output[:side]}
        averaged = weights.shape[:2] != each.weights.shape[:2]
        shown |= {"shape": list(weights.shape), "averaged": averaged, "alignment": each.alignment}
        found.append(shown | {"weights": base64.b64encode(parts.tobytes()).decode()})
    return found


def _facts(record: Record) -> str:
    shown = {name: value for name, value in record.facts.items() if name not in UNSHOWN and value not in (None, [])}
    names = {name: FACTS.get(name, name.replace("_", " ")) for name in shown}
    cells = (f"<div><dt>{escape(names[name])}</dt><dd>{_cell(value)}</dd></div>" for name, value in shown.items())
    return f'<dl class="facts">{"".join(cells)}</dl>'


def _section(name: str, section: Section) -> str:
    parts = [f'<section id="{escape(name)}" class="panel" aria-labelledby="{escape(name)}-title">']
    parts.append(f'<h2 id="{escape(name)}-title" tabindex="-1">{escape(section.title)}</h2>')
    parts += [f"<p>{escape(text)}</p>" for text in section.text]
    if section.left_out:
        parts.append(f'<p class="left-out">{escape(section.left_out)}</p>')
    parts += [f"<figure>{picture}</figure>" for picture in section.pictures.values()]
    if section.heats:
        parts.append(f'<div class="heats" data-heats="{escape(name)}"></div>')
        parts += [f'<figure class="printed">{mean_picture(each, name)}</figure>' for each in section.heats[:PRINTED]]
    parts += map(_marked, section.marked)
    parts += map(_table, section.tables)
    return "\n".join([*parts, "</section>"])


def _marked(each: Marked) -> str:
    """A text whose tokens are marked by strength, in steps of a fifth of the largest share."""
    most = float(np.abs(each.shares).max(initial=0)) or 1.0
    words = []
    for token, share in zip(each.tokens, each.shares, strict=True):
        step = int(np.rint(5 * abs(share) / most))
        kind = f"{'for' if share > 0 else 'against'} step-{step}" if step else ""
        words.append(f'<mark class="{kind}" title="{share:+.3g}">{escape(token)}</mark>')
    head = escape(f"Row {each.row + 1} ({each.why}): {each.decision}")
    return f'<h3 dir="auto">{head}</h3><p class="marked" dir="auto">{" ".join(words)}</p>'


def _table(shown: Table) -> str:
    return table(shown.caption, shown.columns, [list(map(_td, row)) for row in shown.rows])


def _td(value: Any) -> str:
    if isinstance(value, str) or value is None:
        return f'<td dir="auto">{_cell(value)}</td>'
    return f'<td{NUMBER} data-value="{value}">{_cell(value)}</td>'


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    return f"{value:z,.4g}" if isinstance(value, float | np.floating) else escape(str(value))
