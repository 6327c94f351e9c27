"""Ratings saved from a sheet, validated against its key."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hf_seq2seq.analysis.rating_criteria import Scale
from hf_seq2seq.data.files.text_files import opened
from hf_seq2seq.errors import InputError, nearest


@dataclass(frozen=True)
class Key:
    """The contents of a sheet's key.

    Attributes:
        sheet: the sheet's id.
        criteria: the criteria asked about.
        scale: scale of every criterion.
        systems: their names.
        texts: index of every text shown, by its id.
        rows: the row of each text, counted from 0, `(texts,)`.
        authored: index of the text that each system wrote in each row, `(systems, rows)`.
        lines: number of each row in the files that the sheet was made of, from 1.
        pyramid: whether content units are listed instead of ratings.
    """

    sheet: str
    criteria: tuple[str, ...]
    scale: Scale
    systems: tuple[str, ...]
    texts: Mapping[str, int]
    rows: np.ndarray
    authored: np.ndarray
    lines: tuple[int, ...]
    pyramid: bool = False


@dataclass(frozen=True)
class Ratings:
    """All raters' ratings.

    Attributes:
        raters: their names.
        values: `(texts, raters)` for each criterion, NaN where a rating is missing.
    """

    raters: tuple[str, ...]
    values: Mapping[str, np.ndarray]

    def counts(self) -> dict[str, int]:
        """The number of ratings of each rater."""
        given = sum(np.asarray(~np.isnan(values)).sum(axis=0) for values in self.values.values())
        return dict(zip(self.raters, np.asarray(given).tolist(), strict=True))


def read_key(path: Path) -> Key:
    """Reads the key of a sheet.

    Raises:
        InputError: there is no such file, or it is not a key.
    """
    found = _read(path)
    try:
        numbers = {row: number for number, row in enumerate(dict.fromkeys(text["row"] for text in found["texts"]))}
        rows = np.array([numbers[text["row"]] for text in found["texts"]])
        systems = tuple(found["systems"])
        authored = np.full((len(systems), len(numbers)), -1)
        for place, text in enumerate(found["texts"]):
            for name in text["systems"]:
                authored[systems.index(name), rows[place]] = place
        texts = {text["id"]: place for place, text in enumerate(found["texts"])}
        scale = Scale(int(found["low"]), int(found["high"]))
        key = Key(found["sheet"], tuple(found["criteria"]), scale, systems, texts, rows, authored, tuple(numbers))
        key = replace(key, pyramid=found.get("pyramid") is True)
    except (KeyError, TypeError, ValueError, OverflowError):  # int(inf) overflows
        hint = "; it contains ratings, and the key comes first" if "rater" in found else ""
        raise InputError(f"{path}: not a key of a rating sheet{hint}") from None
    if not key.authored.size or (key.authored < 0).any():
        raise InputError(f"{path}: damaged key; texts of a system are missing")
    return key


@dataclass(frozen=True)
class Shown:
    """What a sheet shows.

    Attributes:
        texts: in the order of the key.
        references: of each row, in the order of the key; empty lists where it shows none.
    """

    texts: list[str]
    references: list[list[str]]


def read_shown(path: Path, key: Key) -> Shown:
    """Reads the texts of a sheet, the page for raters.

    Raises:
        InputError: there is no such page, or it is not that of the key.
    """
    with opened(path) as file:
        found = re.search(r'<script type="application/json" id="sheet">(.*?)</script>', file.text("utf-8"), re.DOTALL)
    try:
        page = json.loads(found[1]) if found else {}
        texts = {text["id"]: text["text"] for row in page["rows"] for text in row["texts"]}
        shown = Shown([texts[name] for name in key.texts], [list(row["references"]) for row in page["rows"]])
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path}: not the rating sheet of the key beside it") from None
    if page["sheet"] != key.sheet:
        raise InputError(f"{path}: is the sheet {page['sheet']!r}, but the key is that of {key.sheet!r}")
    return shown


def read_ratings(paths: Sequence[Path], key: Key) -> Ratings:
    """Reads files that raters saved.

    Args:
        paths: one file per rater.
        key: key of the sheet that they rated.

    Raises:
        InputError: a file is not a file of ratings, has none, or belongs to another sheet; a rater occurs twice; a text
            or criterion is not in the sheet; a rating is not on the scale.
    """
    raters: dict[str, Path] = {}
    values = {name: np.full((len(key.texts), len(paths)), np.nan) for name in key.criteria}
    for column, path in enumerate(paths):
        found = _read(path)
        if not isinstance(found.get("rater"), str) or not isinstance(found.get("ratings"), dict):
            raise InputError(f"{path}: not a file of ratings saved by a rating sheet")
        if found.get("sheet") != key.sheet:
            raise InputError(f"{path}: rates the sheet {found.get('sheet')!r}, but the key is that of {key.sheet!r}")
        rater = " ".join(found["rater"].split())
        if not rater:
            raise InputError(f'{path}: no rater is named; set "rater" in it')
        if rater in raters:
            raise InputError(f"{path}: the rater {rater!r} is also in {raters[rater]}; give each rater's file once")
        raters[rater] = path
        if not _fill(values, column, found["ratings"], key, path):
            raise InputError(f"{path}: contains no ratings")
    return Ratings(tuple(raters), values)


def _fill(values: Mapping[str, np.ndarray], column: int, found: Mapping[str, Any], key: Key, path: Path) -> int:
    """Writes a rater's ratings into their column, and counts them."""
    count = 0
    for text, given in found.items():
        if text not in key.texts or not isinstance(given, dict):
            raise InputError(f"{path}: the sheet has no text {text!r}")
        for criterion, value in given.items():
            if criterion not in values:
                raise InputError(f"{path}: text {text}: unknown criterion {criterion!r}{nearest(criterion, values)}")
            if type(value) is not int or not key.scale.low <= value <= key.scale.high:
                scale = f"{key.scale.low}-{key.scale.high}"
                raise InputError(f"{path}: text {text}, {criterion}: {value!r} is not on the scale {scale}")
            values[criterion][key.texts[text], column] = value
            count += 1
    return count


def _read(path: Path) -> dict[str, Any]:
    with opened(path) as file:
        text = file.text("utf-8")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(f"{path}: not valid JSON") from None
    if not isinstance(found, dict):
        raise InputError(f"{path}: not a JSON object")
    return found
