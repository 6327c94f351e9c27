"""The one error that a user's input can cause, and the hint that goes with it."""

import difflib
from collections.abc import Iterable

MANY = 30
SHOWN = 60
"""Characters of a wrong value that a message shows."""


class InputError(ValueError):
    """Bad input: a message of one or two lines that names the place, the value and the way out.

    The command line prints the message alone and ends with exit code 2.
    """


def nearest(value: str, choices: Iterable[str]) -> str:
    """Returns `"; did you mean 'bleu'?"`, or the choices when none is close and they are few, or nothing."""
    names = sorted(set(choices))
    close = difflib.get_close_matches(value, names, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; choose from {', '.join(names)}" if 0 < len(names) <= MANY else ""


def shorten(text: str) -> str:
    """Returns a value for a message; of what is very long, its start."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
