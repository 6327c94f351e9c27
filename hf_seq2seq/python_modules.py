"""Modules that run as programs of their own."""

import sys
from pathlib import Path


def module_command(name: str) -> list[str]:
    """The start of a command that runs a module in another process of this Python.

    Files of the current folder, such as a user's own `random.py`, are no modules there, unless this package itself lies
    in that folder.
    """
    own = Path(__file__).resolve().parents[1]
    return [sys.executable, *([] if Path.cwd() == own else ["-P"]), "-m", name]
