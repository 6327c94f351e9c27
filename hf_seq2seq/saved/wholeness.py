"""Whether the files of a model can be read: JSON as a whole, of safetensors the header, which knows the size."""

from collections.abc import Iterable
from pathlib import Path

from hf_seq2seq import strict_json


def unreadable(files: Iterable[Path]) -> str:
    """Says which file is cut short or is not what its name says, such as "config.json is not JSON"; else nothing.

    Args:
        files: none of them a pipe, which would be waited for; those of other kinds are not read.
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
