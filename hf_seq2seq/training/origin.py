"""How a run was started, for its card, and the callback for its steps."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from hf_seq2seq.clocks import clocks, command_began
from hf_seq2seq.configs import RunConfig
from hf_seq2seq.data.given_rows import describe_given, is_given
from hf_seq2seq.sections import build, flatten

Progress = Callable[[dict[str, Any]], None]
CALL = "HF_SEQ2SEQ_CALL"
"""The environment variable with the Python call to show in the card, for processes started by the call."""
WIDTH = 110


@dataclass(frozen=True)
class Origin:
    """How a run was started.

    Attributes:
        code: the command line or Python code that repeats it.
        progress: called with each line of `train_log.jsonl`; None for no callback.
        clocks: what `clocks` returned at the start.
    """

    code: str
    progress: Progress | None = None
    clocks: tuple[float, float] = field(default_factory=clocks)


_CURRENT: ContextVar[Origin | None] = ContextVar("origin", default=None)


@contextmanager
def started_by(origin: Origin) -> Iterator[None]:
    """Context manager that records how its runs were started."""
    token = _CURRENT.set(origin)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current_origin() -> Origin | None:
    """How the current run was started, if recorded."""
    detail = os.environ.get(CALL)
    return _told(detail) if detail else _CURRENT.get()


@cache
def _told(code: str) -> Origin:
    """The start given by another process; the time counts from this one's command, or from when first needed."""
    return Origin(code, clocks=command_began())


def started_at() -> tuple[float, float]:
    """The value of `clocks` at the start of the current run; now if not recorded."""
    origin = current_origin()
    return origin.clocks if origin else clocks()


def code_of(recipe: str, config: RunConfig) -> str:
    """The command or call that repeats a run; a call of `train` if Python code called the recipe directly."""
    if origin := current_origin():
        return origin.code
    defaults = flatten(build(type(config), {}))
    return python_call(recipe, {name: value for name, value in flatten(config).items() if value != defaults[name]})


def python_call(recipe: str, flags: Mapping[str, Any]) -> str:
    """A program that trains with these flags; rows given as Python objects become variables named after their flag.

    Args:
        recipe: its name or path.
        flags: flags by name; for rows, the names by which `given_rows` stores them.
    """
    notes = [f"# {name}: {describe_given(str(value))}" for name, value in flags.items() if is_given(value)]
    words = [repr(recipe), *(f"{name}={name if is_given(value) else repr(value)}" for name, value in flags.items())]
    line = f"train({', '.join(words)})"
    if len(line) > WIDTH:
        line = "train(\n" + "".join(f"    {word},\n" for word in words) + ")"
    return "\n".join(["from hf_seq2seq import train", "", *notes, line])
