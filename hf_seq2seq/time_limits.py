"""How long a run may take, as people write it."""

import math
import re
from dataclasses import dataclass

from hf_seq2seq.errors import InputError, shorten
from hf_seq2seq.sections import Section, flag, option

UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
NUMBER = r"\d+(?:\.\d+)?|\.\d+"
DURATION = re.compile("(?=.)" + "".join(f"(?:({NUMBER}){unit})?" for unit in UNITS))
"""Each unit at most once, from the largest to the smallest."""
CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{2})")


@dataclass(frozen=True, kw_only=True)
class TimeLimits(Section):
    """Time: how long a run may take."""

    max_time: str | None = option(
        None, "Train as long as the whole run, with its scores, fits into this time: 20m, 1h30m."
    )
    max_cpu_time: str | None = option(None, "The same for CPU time, summed over all processes.")

    def __post_init__(self) -> None:
        """Checks that both are durations."""
        super().__post_init__()
        self.limits()

    def limits(self) -> dict[str, float]:
        """Seconds by the option's name, of those that are given."""
        given = {name: getattr(self, name) for name in ("max_time", "max_cpu_time")}
        return {name: seconds_of(name, value) for name, value in given.items() if value is not None}


def seconds_of(name: str, text: str) -> float:
    """Seconds of `20m`, `1h30m`, `1:30:00` or, without a unit, `90`.

    Raises:
        InputError: names the option; it is no duration, or none at all, or a unit is repeated or out of order.
    """
    words = text.replace(" ", "").lower()
    seconds = 0.0
    if match := DURATION.fullmatch(words):
        seconds = sum(float(number or 0) * size for number, size in zip(match.groups(), UNITS.values(), strict=True))
    elif match := CLOCK.fullmatch(words):
        hours, minutes, rest = (float(part or 0) for part in match.groups())
        seconds = 3600 * hours + 60 * minutes + rest
    elif re.fullmatch(r"\d+(\.\d+)?", words):
        seconds = float(words)
    if not 0 < seconds < math.inf:
        raise InputError(f"{flag(name)}: {shorten(repr(text))} is not a time; write 90s, 20m, 1h30m or 1:30:00")
    return seconds


def duration(seconds: float) -> str:
    """A time in two units at most: `45 s`, `17 min 5 s`, `2 h 3 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    return f"{whole // 3600} h" + (f" {whole % 3600 // 60} min" if whole % 3600 // 60 else "")
