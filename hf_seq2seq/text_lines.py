"""Small text files with an entry per line, as users write them."""

from pathlib import Path


def read_lines(path: str | Path) -> list[str]:
    """The lines of a UTF-8 file without its byte order mark.

    Only line feeds and carriage returns end a line; other separators, such as U+2028, are text.

    Raises:
        OSError: the file cannot be read.
        UnicodeDecodeError: it is not UTF-8.
    """
    text = Path(path).expanduser().read_text("utf-8-sig")
    return text.removesuffix("\n").split("\n") if text else []
