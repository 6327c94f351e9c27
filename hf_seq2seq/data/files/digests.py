"""Digests that tell whether a file has changed."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

LONGEST_PATH = 4096
"""Characters of a path; the system raises an error for longer ones."""
PART, PARTS = 1 << 16, 256
"""Bytes of a part of a file in its digest, and most parts."""


def files_in(values: Any) -> dict[str, tuple[int, str]]:
    """The digests of the files that are named in settings, such as `a.de,a.en`, and in YAML files that are."""
    found: dict[str, tuple[int, str]] = {}
    if isinstance(values, Mapping):
        values = list(values.values())
    if isinstance(values, list | tuple):
        for value in values:
            found |= files_in(value)
    if not isinstance(values, str):
        return found
    for part in (values, *(part.strip() for piece in values.split(",") for part in (piece, piece.partition("=")[2]))):
        path = Path(part).expanduser()
        if part and len(part) < LONGEST_PATH and path.is_file() and str(path) not in found:
            found[str(path)] = file_digest(path)
            if path.suffix in (".yaml", ".yml"):
                found |= files_in(_settings(path))
    return found


def _settings(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):  # whoever reads it for its settings says why
        return None


def file_digest(file: Path) -> tuple[int, str]:
    """The size of a file, and a digest of evenly spaced parts of it, of all of it up to 16 MiB."""
    size, found = file.stat().st_size, hashlib.blake2b(digest_size=8)
    with file.open("rb") as stream:
        for number in range(PARTS):
            stream.seek(max(0, size - PART) * number // (PARTS - 1) if size > PARTS * PART else number * PART)
            found.update(stream.read(PART))
    return size, found.hexdigest()
