"""Whether a folder was begun with the same request, so that it can be continued."""

import json
from collections.abc import Mapping
from typing import Any

from hf_seq2seq.errors import InputError, shorten
from hf_seq2seq.sections import flag

ROWS = "the rows"
"""The entry of a request with the number of rows of every split, or the size of every file, and a digest of each."""


def check_same(before: Mapping[str, Any], wanted: Mapping[str, Any], what: str, advice: str) -> None:
    """Rejects continuing what was begun with other flags or on other rows.

    Args:
        before: the request that it was begun with, as JSON holds it.
        wanted: the present one.
        what: is in the folder, such as "a search".
        advice: what to do where the same cannot be given.

    Raises:
        InputError: says what it was.
    """
    now = as_json(wanted)
    for name in dict.fromkeys([*before, *now]):
        if before.get(name) != now.get(name):
            raise InputError(
                f"--output-dir: holds {what} with {_difference(name, before.get(name), now.get(name))}\n{advice}"
            )


def as_json(request: Mapping[str, Any]) -> dict[str, Any]:
    """A request as it is read again from JSON."""
    found: dict[str, Any] = json.loads(json.dumps(request, default=str))
    return found


def _difference(name: str, was: Any, now: Any) -> str:
    if name == ROWS:
        was, now = was or {}, now or {}
        other = next(each for each in {**was, **now} if was.get(each) != now.get(each))
        return f"other rows: {other} had {_amount(was.get(other))} (now {_amount(now.get(other))})"
    setting, of, recipe = name.partition(" of ")
    spelt = f"space of {flag(setting)} for {recipe}" if of else flag(setting)
    texts = (shorten("not given" if value is None else str(value)) for value in (was, now))
    return "another {}: {} (now {})".format(spelt, *texts)


def _amount(found: Any) -> str:
    if found is None:
        return "none"
    size, digest = found
    return f"{size:,}, digest {digest[:6]}"
