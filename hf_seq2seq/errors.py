"""The error for invalid user input, and hints for it."""

import difflib
from collections.abc import Iterable

MANY = 30
MISSPELT = 0.85
"""Similarity, 0-1, of a word to itself with one or two wrong letters."""
SIMILAR = 0.6
"""Similarity, 0-1, below which a name is more likely another thing than a misspelling."""
SHOWN = 60
"""Maximum number of characters of a value in a message."""


class InputError(ValueError):
    """Bad input: a message of one or two lines that names the place, the value and a fix.

    The command line prints only the message and exits with code 2.
    """


def nearest(value: str, choices: Iterable[str]) -> str:
    """Returns `"; did you mean 'bleu'?"`, or the choices if none is close and they are few, or nothing.

    A name with all words of the value, such as `per_device_train_batch_size` for `batch_size`, is preferred to one with
    similar spelling.
    """
    known = list(dict.fromkeys(choices))
    names, words = sorted(known), _words(value)
    if close := _closest(value, names, MISSPELT):
        return f"; did you mean {close!r}?"
    if longer := [name for name in known if len(words) > 1 and words <= _words(name)]:
        return f"; did you mean {' or '.join(map(repr, longer[:2]))}?"
    if close := _closest(value, names, SIMILAR):
        return f"; did you mean {close!r}?"
    return f"; choose from {', '.join(names)}" if 0 < len(names) <= MANY else ""


def _closest(value: str, names: Iterable[str], cutoff: float) -> str | None:
    """The most similar name, apart from the dashes of flags, which all of them share, and from capitals."""
    bare = {name.lstrip("-"): name for name in names} | {name.lstrip("-").lower(): name for name in names}
    spelt = [each for each in (value.lstrip("-"), value.lstrip("-").lower()) if each]
    found = next((f for each in spelt if (f := difflib.get_close_matches(each, bare, n=1, cutoff=cutoff))), [])
    return bare[found[0]] if found else None


def _words(name: str) -> set[str]:
    return set(name.strip("-").replace("-", "_").split("_"))


def shorten(text: str) -> str:
    """Returns a value for a message, truncated if very long."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def reason_of_panic(error: BaseException) -> str | None:
    """What to say of an exception of a library in Rust that gave up, such as a tokenizer; None of any other.

    It is no `Exception`, and its class has no module that could be imported.
    """
    if type(error).__name__ != "PanicException":
        return None
    first = (str(error).strip().splitlines() or ["it panicked"])[0]
    return f"the tokenizer cannot read this text: {shorten(first)}; the patterns in its tokenizer.json may be at fault"
