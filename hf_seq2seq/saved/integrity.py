"""Whether the files of a model are intact: JSON is parsed; of safetensors, the header, which has the size, is read."""

from collections.abc import Iterable
from pathlib import Path

from hf_seq2seq import strict_json


def unreadable(files: Iterable[Path]) -> str:
    """Says which file is truncated or not of its named type, such as "config.json is not JSON"; otherwise empty.

    Args:
        files: none of them a pipe, which would block; other kinds are not read.
    """
    from safetensors import SafetensorError, safe_open

    for path in files:
        if path.suffix == ".safetensors":
            try:
                with safe_open(path, "pt"):
                    pass
            except SafetensorError as error:
                return f"{path.name} cannot be read ({error})"
        elif path.suffix == ".json":
            try:
                strict_json.loads(path.read_bytes())
            except ValueError:
                return f"{path.name} is not JSON"
    return ""
