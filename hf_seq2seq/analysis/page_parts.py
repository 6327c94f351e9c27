"""Parts of the pages: frames, styles on the theme that all pages share, scripts, and data in a script."""

import json
from importlib.resources import files
from typing import Any


def read_part(name: str) -> str:
    """A file of this package."""
    return files("hf_seq2seq.analysis").joinpath(name).read_text(encoding="utf-8")


def themed(style: str) -> str:
    """A style with the theme before it: colors, light and dark."""
    return read_part("theme.css") + style


def embedded(value: Any) -> str:
    """JSON that can stand in a script: its texts cannot end the script or inject markup."""
    found = json.dumps(value)
    for letter in "<>&":
        found = found.replace(letter, f"\\u{ord(letter):04x}")
    return found
