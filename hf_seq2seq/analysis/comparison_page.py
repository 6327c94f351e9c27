"""The files of a comparison: a self-contained HTML page, a Markdown table, the figures as JSON, and pictures as SVG.

The page has the frame, style and script of the page of `analyze`. Texts are escaped, and the page makes no request.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from hf_seq2seq import strict_json
from hf_seq2seq.analysis.characters import allowed
from hf_seq2seq.analysis.page_parts import NUMBER, read_part, table, themed, write_files
from hf_seq2seq.analysis.policy import policy_hash
from hf_seq2seq.analysis.system_charts import curves, pareto

PAGE, FIGURES, TABLE = "comparison.html", "comparison.json", "comparison.md"
LONGEST_TITLE = 60
LONGEST_WORD = 40
"""Characters of a system's name that stay on one line, so that its column is at least as wide."""
Found = Mapping[str, Any]
Pieces = Sequence[tuple[str, bool]]
"""A text in pieces, each with whether the other system's text lacks it."""


class Marked(str):
    """A cell that is HTML, of escaped texts."""

    __slots__ = ()


class Name(str):
    """A cell that is the name of a system."""

    __slots__ = ()


class Figure(str):
    """A cell that is a number with more text, and is sorted by the number.

    Args:
        text: what is shown.
        value: the number.
    """

    value: float

    def __new__(cls, text: str, value: float) -> "Figure":
        """A text with a number attached."""
        found = super().__new__(cls, text)
        found.value = value
        return found


def write_comparison(folder: Path, found: Found) -> None:
    """Writes page, table, figures and pictures.

    Args:
        folder: an existing folder.
        found: the figures, as of `reports.comparing`.

    Raises:
        OSError: a file cannot be written.
    """
    drawn = pictures(found)
    texts = {folder / f"{name}.svg": allowed(on_white(picture)) for name, picture in drawn.items()}
    figures = dict(found) | {"pictures": sorted(drawn)}
    texts[folder / FIGURES] = strict_json.dumps(figures, ensure_ascii=False, indent=1) + "\n"
    texts[folder / TABLE] = "\n".join(markdown(found)) + "\n"
    write_files(texts | {folder / PAGE: allowed(render(found, drawn))}, folder / FIGURES, drawn)


def on_white(picture: str) -> str:
    """A picture as a file of its own, on white."""
    start = picture.index(">") + 1
    ground = '<rect width="100%" height="100%" fill="#ffffff"/><g color="#1b1b1b">'
    return f"{picture[:start]}{ground}{picture[start:].replace('</svg>', '</g></svg>')}\n"


def markdown(found: Found) -> list[str]:
    """The lines of the table of systems, and of what it says."""
    tables = [score_table(found), part_table(found)] if "parts" in found else [score_table(found)]
    return [line for table in tables for line in (*_markdown_table(*table), "")] + notes(found)


def _markdown_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    cells = [[_plain(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in [columns, *rows]]
    widths = [max(len(row[place]) for row in cells) for place in range(len(columns))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in cells]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]


def notes(found: Found) -> list[str]:
    """What the table's figures mean, and what is missing."""
    level = found["resampling"]["confidence"]
    said = [
        f"{found['rows']:,} rows of {found['test_set']}. [low, high]: {level:g} % bootstrap interval; Δ: difference to "
        f"{found['systems'][0]['name']}, with its two-sided p-value, by paired bootstrap over rows and seeds."
    ]
    several = [system["name"] for system in found["systems"] if len(system["runs"]) > 1]
    if several:
        said.append("±: standard deviation between the seeds of a system, whose score is the mean of its runs.")
    if len(several) < len(found["systems"]):
        said.append(
            "A system of one run: its interval is that of these weights; how far another seed would differ is unknown."
        )
    if found["row_metric"] != found["first_metric"]:
        said.append(f"The score of a single row is its {found['row_metric']}.")
    return said


def score_table(found: Found) -> tuple[list[str], list[list[Any]]]:
    """Headings and rows: a system's scores, what sets it apart from the first one, and its costs."""
    keys = list(found["metrics"])
    costs = [name for name in found["costs"] if any(name in system["costs"] for system in found["systems"])]
    columns = ["system"]
    for key in keys:
        columns += [f"{key} {'↑' if found['metrics'][key] else '↓'}", f"Δ {key}"]
    columns += [found["costs"][name] for name in costs]
    against = {pair["first"]: pair for pair in found["pairs"] if pair["second"] == found["systems"][0]["name"]}
    rows = [_system_row(system, keys, costs, against.get(system["name"])) for system in found["systems"]]
    return columns, rows


def _system_row(system: Found, keys: Sequence[str], costs: Sequence[str], pair: Found | None) -> list[Any]:
    seeds = len(system["runs"])
    row: list[Any] = [Name(system["name"] + (f" ({seeds} seeds)" if seeds > 1 else ""))]
    for key in keys:
        row.append(score_text(system["scores"][key]))
        row.append("" if pair is None else difference_text(pair["scores"][key]))
    return [*row, *(system["costs"].get(name) for name in costs)]


def part_table(found: Found) -> tuple[list[str], list[list[Any]]]:
    """Headings and rows: what each value of a setting is worth, on average over the others."""
    keys = list(found["metrics"])
    rows = [
        [part["setting"], _plain(part["value"]), _plain(part["against"]), part["pairs"]]
        + [difference_text(part["scores"][key]) for key in keys]
        for part in found["parts"]
    ]
    return ["setting", "value", "against", "pairs", *(f"Δ {key}" for key in keys)], rows


def score_text(score: Found) -> Figure:
    """A score with its interval and the spread between seeds: `34.20 [33.10, 35.30] ± 0.41`."""
    spread = f" ± {score['seeds_sd']:.2f}" if "seeds_sd" in score else ""
    return Figure(f"{score['score']:.2f} [{score['low']:.2f}, {score['high']:.2f}]{spread}", score["score"])


def difference_text(found: Found) -> Figure:
    """A difference with its interval and p-value: `+1.20 [+0.40, +2.00] p = 0.004`."""
    p = f"p = {found['p']:.3f}" if found["p"] >= 0.001 else "p < 0.001"
    text = f"{found['difference']:+z.2f} [{found['low']:+z.2f}, {found['high']:+z.2f}] {p}"
    return Figure(text, found["difference"])


def pictures(found: Found) -> dict[str, str]:
    """All pictures by name."""
    drawn = {}
    key = found["first_key"]
    names = [system["name"] for system in found["systems"]]
    if groups := found["by_length"]["groups"]:
        series = {name: [_point(group["systems"][name]) for group in groups] for name in names}
        unit = f"length of the {found['by_length']['text']} in {found['by_length']['unit']}"
        drawn["quality-by-length"] = curves([group["length"] for group in groups], series, key, unit)
    if groups := found["by_frequency"]["groups"]:
        bare = {name: [(group["systems"][name], math.nan, math.nan) for group in groups] for name in names}
        place = found["by_frequency"]["counted_in"].partition(", since")[0]  # the page says why
        unit = f"frequency of the word in {place}"
        drawn["quality-by-frequency"] = curves([group["frequency"] for group in groups], bare, "F1 of words", unit)
    for name, label in found["costs"].items():
        known = {
            system["name"]: (system["costs"][name], system["scores"][key]["score"])
            for system in found["systems"]
            if name in system["costs"]
        }
        if len({cost for cost, _ in known.values()}) > 1:  # equal costs say nothing beside the table
            greater, cheap = found["metrics"][key], name not in found["more_is_cheaper"]
            drawn[f"score-against-{name.replace('_', '-')}"] = pareto(known, key, label, greater, cheap)
    return drawn


def _point(score: Found) -> tuple[float, float, float]:
    return score["score"], score["low"], score["high"]


def render(found: Found, drawn: Mapping[str, str]) -> str:
    """The HTML page."""
    style, script = themed(read_part("page.css") + read_part("comparison.css")), read_part("page.js")
    names = " and ".join(system["name"] for system in found["systems"])
    many = len(found["systems"]) > 2 or len(names) > LONGEST_TITLE
    title = f"Comparison of {len(found['systems'])} systems" if many else f"Comparison of {names}"
    return Template(read_part("page.html")).substitute(
        title=escape(title),
        facts=_facts(found),
        body="\n".join(_sections(found, drawn)),
        data="[]",
        style=style,
        script=script,
        style_hash=policy_hash(style),
        script_hash=policy_hash(script),
    )


def _facts(found: Found) -> str:
    shown = {"test set": found["test_set"], "rows": f"{found['rows']:,}"}
    shown |= {name: f"{value:g}" for name, value in found["resampling"].items()}
    shown |= {system["name"]: ", ".join(run["place"] for run in system["runs"]) for system in found["systems"]}
    shown |= {f"signature of {name}": text for name, text in found["signatures"].items()}
    cells = (f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in shown.items())
    return f'<dl class="facts">{"".join(cells)}</dl>'


def _sections(found: Found, drawn: Mapping[str, str]) -> Iterator[str]:
    front = [picture for name, picture in drawn.items() if name.startswith("score-against")]
    columns, rows = score_table(found)
    parts = _table("What each part is worth", *part_table(found)) if "parts" in found else ""
    pairs = _table("All pairs", *_pair_table(found)) if len(found["systems"]) > 2 else ""
    yield _panel("scores", "Scores", notes(found), [parts, _table("Systems", columns, rows), pairs, *_figures(front)])
    shown = _figures([drawn[name] for name in ("quality-by-length",) if name in drawn])
    text = f"Rows in groups of about equal size. Δ is the difference to {found['systems'][0]['name']}."
    yield _panel("lengths", "Length", [text], [*shown, _table("Score by length", *_length_table(found))])
    shown = _figures([drawn[name] for name in ("quality-by-frequency",) if name in drawn])
    text = f"F1 of words, in percent, by how often they stand in {found['by_frequency']['counted_in']}."
    yield _panel("frequencies", "Word frequency", [text], [*shown, _table("Words", *_frequency_table(found))])
    if any(each["ngrams"] for each in found["apart"]):
        said = ["How often each system writes an n-gram that the reference has; of several seeds, the mean."]
        yield _panel("ngrams", "N-grams", said, [_table(_versus(each), *_ngram_table(each)) for each in found["apart"]])
    said = ["The rows with the largest differences; of several seeds, the first. Marked words are only in one output."]
    yield _panel("rows", "Rows", said, [_table(_versus(each), *_row_table(each, found)) for each in found["apart"]])
    said = [
        "Shares of rows in percent. Right means that the output is a reference. The correlation is Pearson's, of the "
        f"rows' {found['row_metric']}: high where both fail in the same rows."
    ]
    yield _panel("agreement", "Agreement", said, [_table("Pairs of systems", *_agreement_table(found))])


def _panel(name: str, title: str, said: Sequence[str], parts: Sequence[str]) -> str:
    head = f'<section id="{name}" class="panel" aria-labelledby="{name}-title">'
    head += f'<h2 id="{name}-title" tabindex="-1">{escape(title)}</h2>'
    return "\n".join([head, *(f"<p>{escape(text)}</p>" for text in said), *parts, "</section>"])


def _figures(shown: Sequence[str]) -> list[str]:
    return [f"<figure>{picture}</figure>" for picture in shown]


def _versus(each: Found) -> str:
    return f"{each['first']} against {each['second']}"


def _pair_table(found: Found) -> tuple[list[str], list[list[Any]]]:
    keys = list(found["metrics"])
    columns = ["system", "minus", *(name for key in keys for name in (f"Δ {key}", f"p of {key}, Holm"))]
    rows = [
        [Name(pair["first"]), Name(pair["second"])]
        + [cell for key in keys for cell in (difference_text(pair["scores"][key]), pair["scores"][key]["p_holm"])]
        for pair in found["pairs"]
    ]
    return columns, rows


def _length_table(found: Found) -> tuple[list[str], list[list[Any]]]:
    names = [system["name"] for system in found["systems"]]
    columns = [found["by_length"]["unit"], "rows", *names, *(f"Δ {name}" for name in names[1:])]
    rows = [
        [group["length"], group["rows"]]
        + [score_text(group["systems"][name]) for name in names]
        + [difference_text(group["differences"][name]) for name in names[1:]]
        for group in found["by_length"]["groups"]
    ]
    return columns, rows


def _frequency_table(found: Found) -> tuple[list[str], list[list[Any]]]:
    names = [system["name"] for system in found["systems"]]
    groups = found["by_frequency"]["groups"]
    rows = [[group["frequency"], group["words"], *(group["systems"][name] for name in names)] for group in groups]
    return ["frequency", "words", *names], rows


def _ngram_table(each: Found) -> tuple[list[str], list[list[Any]]]:
    rows = [[gram["ngram"], gram["first"], gram["second"], gram["z"]] for gram in each["ngrams"]]
    return ["n-gram", f"right in {each['first']}", f"right in {each['second']}", "standard score"], rows


def _row_table(each: Found, found: Found) -> tuple[list[str], list[list[Any]]]:
    columns = ["row", f"Δ {found['row_metric']}", "source", each["first"], each["second"], "references"]
    rows = [
        [
            *(row["row"], row["difference"], row["source"]),
            *(_marks(row["first"], "ins"), _marks(row["second"], "del"), "\n".join(row["references"])),
        ]
        for row in each["rows"]
    ]
    return columns, rows


def _marks(pieces: Pieces, tag: str) -> Marked:
    return Marked("".join(f"<{tag}>{escape(text)}</{tag}>" if own else escape(text) for text, own in pieces))


def _agreement_table(found: Found) -> tuple[list[str], list[list[Any]]]:
    names = ["identical", "both_right", "only_first_right", "only_second_right", "neither_right", "correlation"]
    rows = [[Name(p["first"]), Name(p["second"]), *(p["agreement"][name] for name in names)] for p in found["pairs"]]
    rows += [
        [f"{system['name']}, its seeds", "", system["seeds_identical"], None, None, None, None, None]
        for system in found["systems"]
        if "seeds_identical" in system
    ]
    return ["first", "second", *(name.replace("_", " ") for name in names)], rows


def _table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    return table(caption, columns, [list(map(_td, row)) for row in rows])


def _td(value: Any) -> str:
    if isinstance(value, Marked):
        return f'<td dir="auto">{value}</td>'
    if isinstance(value, Figure):
        return f'<td{NUMBER} data-value="{value.value}">{escape(value)}</td>'
    if isinstance(value, Name) and max(map(len, value.split()), default=0) <= LONGEST_WORD:
        return f'<td class="name" dir="auto">{escape(value)}</td>'
    if isinstance(value, str) or value is None:
        return f'<td dir="auto">{escape(_plain(value))}</td>'
    return f'<td{NUMBER} data-value="{value}">{_plain(value)}</td>'


def _plain(value: Any) -> str:
    """A cell as text."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:z,.0f}" if abs(value) >= 1000 else f"{value:z.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
