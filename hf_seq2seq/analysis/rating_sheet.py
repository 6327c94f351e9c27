"""A blind rating sheet: one HTML page that shows texts without their systems, and the key that names them.

The page needs no server; a browser opens it from a file. A text produced by several systems is shown once and counts
for each of them: reading it twice would tire the raters, and two ratings of the same text would differ by chance and
look like a difference of systems.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from string import Template, ascii_uppercase
from typing import Any

import numpy as np

from hf_seq2seq.analysis.page_parts import embedded, read_part, themed
from hf_seq2seq.analysis.policy import policy_hash
from hf_seq2seq.analysis.rating_criteria import CRITERIA, Scale

Json = dict[str, Any]


@dataclass(frozen=True)
class Texts:
    """Parallel rows of texts.

    Attributes:
        systems: one text per row, by the system's name.
        sources: one text per row, or empty.
        references: any number of texts per row, or empty.
        images: one data URL per row, or empty.
    """

    systems: Mapping[str, Sequence[str]]
    sources: Sequence[str] = ()
    references: Sequence[Sequence[str]] = ()
    images: Sequence[str] = ()


def make_sheet(texts: Texts, criteria: Sequence[str], scale: Scale, rows: int | None, seed: int) -> tuple[Json, Json]:
    """Samples rows, and shuffles them and the systems of each row.

    Args:
        texts: all rows.
        criteria: keys of `CRITERIA`.
        scale: scale of every criterion.
        rows: how many to sample; all if there are fewer or this is None.
        seed: the same seed and texts give the same sheet.

    Returns:
        The data that raters see, and the key, which they must not see.
    """
    generator = _generator(texts, seed)
    order = generator.permutation(len(next(iter(texts.systems.values()))))[:rows]
    shown, keys = [], []
    for number, row in enumerate(order.tolist(), start=1):
        authors: dict[str, list[str]] = {}
        for place in generator.permutation(len(texts.systems)):
            name = list(texts.systems)[place]
            authors.setdefault(texts.systems[name][row].strip(), []).append(name)
        keys += [
            {"id": f"{number}{_letters(place)}", "row": row + 1, "systems": sorted(names)}
            for place, names in enumerate(authors.values())
        ]
        image = {"image": texts.images[row]} if texts.images else {}
        shown.append(
            image
            | {
                "source": texts.sources[row] if texts.sources else None,
                "references": list(texts.references[row]) if texts.references else [],
                "texts": [{"id": f"{number}{_letters(place)}", "text": text} for place, text in enumerate(authors)],
            }
        )
    asked = [{"name": name, **asdict(CRITERIA[name])} for name in criteria]
    page = {"criteria": asked, "low": scale.low, "high": scale.high, "rows": shown}
    page = {"sheet": _digest(page).hex()[:16], **page}
    key = {"sheet": page["sheet"], "criteria": list(criteria), **asdict(scale), "seed": seed}
    return page, {**key, "systems": list(texts.systems), "texts": keys}


def _generator(texts: Texts, seed: int) -> np.random.Generator:
    """Also seeded by the systems' texts: guessing the seed must not reveal which system wrote what."""
    return np.random.default_rng(list(_digest([seed, list(texts.systems.values())])))


def _digest(value: Any) -> bytes:
    return hashlib.sha256(json.dumps(value).encode()).digest()


def _letters(place: int) -> str:
    """A, B, …, Z, AA, AB, …, like the columns of a spreadsheet."""
    before, last = divmod(place, len(ascii_uppercase))
    return (_letters(before - 1) if before else "") + ascii_uppercase[last]


def render(page: Json) -> str:
    """The raters' HTML page.

    Texts cannot inject markup: the data is JSON without a `<`, and the page's policy only allows its own script.
    """
    style, script = themed(read_part("rating_sheet.css")), read_part("rating_sheet.js")
    hashes = {"style_hash": policy_hash(style), "script_hash": policy_hash(script)}
    return Template(read_part("rating_sheet.html")).substitute(
        style=style, script=script, data=embedded(page), **hashes
    )
