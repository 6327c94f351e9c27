"""How a run was started, which its card repeats, and who is told of its steps."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from hf_seq2seq.configs import RunConfig
from hf_seq2seq.data.given_rows import describe_given, is_given
from hf_seq2seq.sections import build, flatten

Progress = Callable[[dict[str, Any]], None]
CALL = "HF_SEQ2SEQ_CALL"
"""The variable by which a call from Python tells the processes that it starts what their card is to name."""
WIDTH = 110


@dataclass(frozen=True)
class Origin:
    """How a run was started.

    Attributes:
        code: the command line, or the Python, that does it again.
        progress: told each line of `train_log.jsonl` as it is written; None for nobody.
    """

    code: str
    progress: Progress | None = None


_CURRENT: ContextVar[Origin | None] = ContextVar("origin", default=None)


@contextmanager
def started_by(origin: Origin) -> Iterator[None]:
    """Lets the runs of the block know how they were started."""
    token = _CURRENT.set(origin)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current_origin() -> Origin | None:
    """How the present run was started, where that was said."""
    told = os.environ.get(CALL)
    return Origin(told) if told else _CURRENT.get()


def code_of(recipe: str, config: RunConfig) -> str:
    """The command or the call that repeats a run; of one whose recipe Python code called itself, a call of `train`."""
    if origin := current_origin():
        return origin.code
    defaults = flatten(build(type(config), {}))
    return python_call(recipe, {name: value for name, value in flatten(config).items() if value != defaults[name]})


def python_call(recipe: str, flags: Mapping[str, Any]) -> str:
    """A program that trains with some flags; rows that were given as Python objects have their flag's name.

    Args:
        recipe: its name or path.
        flags: by name; of rows the names by which `given_rows` holds them.
    """
    notes = [f"# {name}: {describe_given(str(value))}" for name, value in flags.items() if is_given(value)]
    words = [repr(recipe), *(f"{name}={name if is_given(value) else repr(value)}" for name, value in flags.items())]
    line = f"train({', '.join(words)})"
    if len(line) > WIDTH:
        line = "train(\n" + "".join(f"    {word},\n" for word in words) + ")"
    return "\n".join(["from hf_seq2seq import train", "", *notes, line])
