"""Images of a rating sheet, embedded in the page as data URLs."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hf_seq2seq.errors import InputError

KINDS = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif"}


class Pictures(Sequence[str]):
    """The images of rows as data URLs, each read when it is asked for.

    Args:
        paths: of one image per row, relative to the folder.
        folder: that of the file which names them.
        place: the file, for messages.

    Raises:
        InputError: when asked for an image that is missing, or is neither PNG, JPEG, GIF nor WebP.
    """

    def __init__(self, paths: Sequence[str], folder: Path, place: str) -> None:
        self._paths, self._folder, self._place = paths, folder, place

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, row: Any) -> Any:
        return _embedded(self._folder / Path(self._paths[row]).expanduser(), f"{self._place}: row {row + 1}")


def _embedded(path: Path, place: str) -> str:
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"{place}: image {path}: {reason}") from None
    kind = next((kind for start, kind in KINDS.items() if content.startswith(start)), None)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        kind = "webp"
    if kind is None:
        raise InputError(f"{place}: image {path}: is neither PNG, JPEG, GIF nor WebP")
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
