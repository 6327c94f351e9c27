"""The one error that a user's input can cause, and the hint that goes with it."""

import difflib
from collections.abc import Iterable

MANY = 30
MISSPELT = 0.85
"""How alike, 0-1, a word is to itself with a letter or two wrong."""
SHOWN = 60
"""Characters of a wrong value that a message shows."""


class InputError(ValueError):
    """Bad input: a message of one or two lines that names the place, the value and the way out.

    The command line prints the message alone and ends with exit code 2.
    """


def nearest(value: str, choices: Iterable[str]) -> str:
    """Returns `"; did you mean 'bleu'?"`, or the choices when none is close and they are few, or nothing.

    A name that has all words of the value, such as `per_device_train_batch_size` for `batch_size`, is nearer than one
    that is spelled a little like it.
    """
    known = list(dict.fromkeys(choices))
    names, words = sorted(known), _words(value)
    if close := difflib.get_close_matches(value, names, n=1, cutoff=MISSPELT):
        return f"; did you mean {close[0]!r}?"
    if longer := [name for name in known if len(words) > 1 and words <= _words(name)]:
        return f"; did you mean {' or '.join(map(repr, longer[:2]))}?"
    if close := difflib.get_close_matches(value, names, n=1, cutoff=0.5):
        return f"; did you mean {close[0]!r}?"
    return f"; choose from {', '.join(names)}" if 0 < len(names) <= MANY else ""


def _words(name: str) -> set[str]:
    return set(name.strip("-").replace("-", "_").split("_"))


def shorten(text: str) -> str:
    """Returns a value for a message; of what is very long, its start."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
