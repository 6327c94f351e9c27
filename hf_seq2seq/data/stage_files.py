"""The file of `--stages`: named sets, stages with a mix of them and an end, and modifiers; in OpusTrainer's shape."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hf_seq2seq.data.modifiers import MODIFIERS, NEEDED, OPTIONS, TERM_TEMPLATE, Modifier
from hf_seq2seq.errors import InputError, nearest, shorten
from hf_seq2seq.settings_files import read_tree
from hf_seq2seq.text_lines import read_lines

KEYS = ("datasets", "stages", "modifiers")
PARTS = ("mix", "modifiers")
LONGEST = 1_000_000_000
"""Steps or passes that end a stage, at most."""
SHARES_SUM = 0.005
"""By how much the shares of a stage may miss 1, as three of 0.333 do; they are then made to sum to 1."""


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        name: of the stage.
        shares: of each set, by name, above 0.
        until: the set whose passes end it, and how many; None where steps do, or nothing.
        steps: the optimizer steps that end it; None where passes do, or nothing.
        modifiers: of its rows.
        place: the file and the line of its end, or of its mix.
    """

    name: str
    shares: dict[str, float]
    until: tuple[str, float] | None
    steps: int | None
    modifiers: tuple[Modifier, ...]
    place: str = ""


@dataclass(frozen=True)
class StageFile:
    """A whole file.

    Attributes:
        path: of the file.
        sets: the file of each set and its line, by name.
        stages: in order.
    """

    path: str
    sets: dict[str, tuple[str, int]]
    stages: tuple[Stage, ...]


def read_stages(path: str) -> StageFile:
    """Reads a file of stages.

    Raises:
        InputError: there is no such file, or an entry is invalid; names the line.
    """
    root = _mapping(read_tree(path), path)
    sets = {name: _set_file(node, path) for name, node in _mapping(_needed(root, "datasets", path), path).items()}
    names = _needed(root, "stages", path)
    stages = [(_text(node, path), node) for node in _items(names, path)]
    if not stages:
        raise InputError(f"{_place(names, path)}: names no stage; write '- start' below 'stages:'")
    known = {name for name, _ in stages}
    for key, node in root.items():
        if key not in KEYS and key not in known and key not in ("seed", "num_fields", "trainer"):
            raise InputError(f"{_place(node, path)}: {key!r} is no stage{nearest(key, [*KEYS, *known])}")
    common = _modifiers(root["modifiers"], path) if "modifiers" in root else ()
    found = []
    for name, node in stages:
        if name not in root:
            raise InputError(f"{_place(node, path)}: stage {name!r} has no mix; write '{name}:' and its sets below it")
        found.append(_stage(name, root[name], sets, common, path))
    for stage in found[:-1]:
        if stage.until is None and stage.steps is None:
            raise InputError(f"{_place(root[stage.name], path)}: stage {stage.name!r} never ends; {_how(stage)}")
    return StageFile(path, sets, tuple(found))


def _how(stage: Stage) -> str:
    return f"add '- until {next(iter(stage.shares))} 1' (passes) or '- until 1000 steps'"


def check_end(file: StageFile) -> None:
    """Rejects a last stage without an end, which needs one unless the run's steps or time are limited.

    Raises:
        InputError: it has none.
    """
    last = file.stages[-1]
    if last.until is None and last.steps is None:
        raise InputError(f"{file.path}: stage {last.name!r} never ends; {_how(last)}, or give --max-steps")


def _stage(name: str, node: Any, sets: Iterable[str], common: tuple[Modifier, ...], path: str) -> Stage:
    modifiers = common
    if _kind(node) == "mapping":
        parts = _mapping(node, path)
        for key, part in parts.items():
            if key not in PARTS:
                raise InputError(f"{_place(part, path)}: stage {name!r}: {key!r} is unknown{nearest(key, PARTS)}")
        modifiers = _modifiers(parts["modifiers"], path) if "modifiers" in parts else common
        node = _needed(parts, "mix", path, f"stage {name!r}")
    shares: dict[str, float] = {}
    until, steps, end = None, None, node
    for item in _items(node, path):
        words, place = _text(item, path).split(), f"{_place(item, path)}: stage {name!r}"
        if words[:1] == ["until"]:
            if until or steps:
                raise InputError(f"{place}: has two ends; keep one")
            (until, steps), end = _end(words[1:], sets, place), item
        else:
            shares |= _share(words, sets, shares, place)
    place = f"{_place(node, path)}: stage {name!r}"
    shares = {key: share for key, share in shares.items() if share}
    if not shares:
        raise InputError(f"{place}: names no set; write '- {next(iter(sets), 'NAME')} 1.0'")
    if abs(sum(shares.values()) - 1) > SHARES_SUM:
        raise InputError(f"{place}: the shares sum to {sum(shares.values()):g}; they must sum to 1")
    if until and until[0] not in shares:
        raise InputError(f"{place}: never ends: its end is {until[1]:g} passes of {until[0]!r}, of which it draws none")
    total = sum(shares.values())
    shares = {key: share / total for key, share in shares.items()}
    return Stage(name, shares, until, steps, modifiers, _place(end, path))


def _share(words: list[str], sets: Iterable[str], before: dict[str, float], place: str) -> dict[str, float]:
    line = " ".join(words)
    if len(words) != 2:
        raise InputError(f"{place}: {shorten(line)!r} is neither 'SET SHARE' nor 'until SET PASSES'")
    name, share = words[0], _number(words[1])
    if name not in sets:
        raise InputError(f"{place}: {name!r} is no set{nearest(name, sets)}")
    if name in before:
        raise InputError(f"{place}: {name!r} has two shares; keep one")
    if not 0 <= share <= 1:
        raise InputError(f"{place}: the share {words[1]} of {name!r} is not in [0, 1]")
    return {name: share}


def _end(words: list[str], sets: Iterable[str], place: str) -> tuple[tuple[str, float] | None, int | None]:
    """The end of a stage: `clean 2` passes, `500 steps`, or none for `clean inf`."""
    line = "until " + " ".join(words)
    if len(words) == 2 and words[1] == "steps":
        steps = _number(words[0])
        if not (1 <= steps <= LONGEST and steps.is_integer()):
            raise InputError(f"{place}: {line!r}: {words[0]} is not a whole number of steps from 1 to {LONGEST:,}")
        return None, int(steps)
    if len(words) != 2:
        raise InputError(f"{place}: {line!r} is neither 'until SET PASSES' nor 'until 500 steps'")
    if words[0] not in sets:
        raise InputError(f"{place}: {line!r}: {words[0]!r} is no set{nearest(words[0], sets)}")
    if words[1].lower().lstrip(".") == "inf":
        return None, None
    passes = _number(words[1])
    if not 0 < passes <= LONGEST:
        raise InputError(f"{place}: {line!r}: {words[1]} is not a number of passes above 0, and at most {LONGEST:,}")
    return (words[0], passes), None


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def _modifiers(node: Any, path: str) -> tuple[Modifier, ...]:
    return tuple(_modifier(item, path) for item in _items(node, path))


def _modifier(node: Any, path: str) -> Modifier:
    place, entries = _place(node, path), {key: _text(value, path) for key, value in _mapping(node, path).items()}
    name = next(iter(entries), "")
    if name not in MODIFIERS:
        raise InputError(f"{place}: {name!r} is no modifier{nearest(name, MODIFIERS)}")
    probability = _number(entries.pop(name))
    if not 0 <= probability <= 1:
        raise InputError(f"{place}: the probability of {name} is not in [0, 1]")
    known = OPTIONS.get(name, ())
    for key in entries:
        if key not in known:
            raise InputError(f"{place}: {name} has no option {key!r}{nearest(key, known)}")
    if (needed := NEEDED.get(name)) and needed not in entries:
        raise InputError(f"{place}: {name} needs '{needed}:' below it")
    if "share" in entries and not 0 <= _number(entries["share"]) <= 1:
        raise InputError(f"{place}: the share of {name} is not in [0, 1]")
    if not {"{src}", "{trg}"} <= set(re.findall(r"{\w+}", entries.get("template", TERM_TEMPLATE))):
        raise InputError(f"{place}: the template of {name} needs {{src}} and {{trg}}")
    return Modifier(name, probability, entries, _terms(entries["file"], place) if "file" in entries else {})


def _terms(file: str, place: str) -> dict[str, str]:
    """The terms of a file: a term, a tab and its translation per line."""
    try:
        lines = read_lines(file)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{place}: {file}: {getattr(error, 'strerror', None) or 'not UTF-8 text'}") from None
    terms = {}
    for number, line in enumerate(lines, start=1):
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) != 2 or not all(cells):
            raise InputError(f"{file}:{number}: is not a term, a tab and its translation")
        terms[cells[0]] = cells[1]
    return terms


def _set_file(node: Any, path: str) -> tuple[str, int]:
    if _kind(node) == "sequence":
        return ",".join(_text(item, path) for item in _items(node, path)), node.start_mark.line + 1
    return _text(node, path), node.start_mark.line + 1


def _needed(entries: dict[str, Any], key: str, path: str, owner: str = "") -> Any:
    if key not in entries:
        owner = f" {owner} has" if owner else " has"
        raise InputError(f"{path}:{owner} no '{key}:'")
    return entries[key]


def _kind(node: Any) -> str:
    return str(node.id) if node is not None else "nothing"


def _place(node: Any, path: str) -> str:
    return f"{path}:{node.start_mark.line + 1}"


def _mapping(node: Any, path: str) -> dict[str, Any]:
    if _kind(node) != "mapping":
        raise InputError(f"{path if node is None else _place(node, path)}: needs lines such as 'name: value'")
    found: dict[str, Any] = {}
    for key, value in node.value:
        if str(key.value) in found:
            raise InputError(f"{_place(key, path)}: {str(key.value)!r} occurs twice")
        found[str(key.value)] = value
    return found


def _items(node: Any, path: str) -> list[Any]:
    if _kind(node) != "sequence":
        raise InputError(f"{_place(node, path)}: needs a list of lines that begin with '- '")
    return list(node.value)


def _text(node: Any, path: str) -> str:
    if _kind(node) != "scalar":
        raise InputError(f"{_place(node, path)}: needs one value")
    return str(node.value)
