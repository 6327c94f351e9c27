"""Numbers of a config.json that its weights cannot have, found before a model of that size is built."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hf_seq2seq import strict_json
from hf_seq2seq.errors import InputError

LAYERS = re.compile(r"(^|_)(n_)?(layers?|blocks|depth)$")
WIDTHS = re.compile(r"(^|_)(size|dim|width|hidden|heads?|experts|model|ff|kv|embd|inner|buckets|groups|labels)$")
NO_WEIGHTS = re.compile("window|chunk|block_size|position|length|image|patch|crop")
"""Parts of names of numbers that may be of any size, as no weight has that many rows."""
MANY_LAYERS, WIDE = 1_000, 1_000_000
"""Numbers up to these are left to the comparison of every weight's shape, which takes no long time then."""


def check_sizes(folder: Path) -> None:
    """Compares the numbers of layers and widths of a folder's config.json with what its weights have room for.

    A model cannot have more layers than there are tensors, nor be wider than all of their numbers together. Does
    nothing in a folder without readable weights or configuration, which others explain.

    Raises:
        InputError: names the number that does not fit.
    """
    place, files = folder / "config.json", sorted(folder.glob("model*.safetensors"))
    if not files or not place.is_file():
        return
    try:
        config = strict_json.loads(place.read_bytes())
    except (OSError, ValueError, RecursionError):
        return
    room = 2 * sum(file.stat().st_size for file in files)  # a number takes four bits at the least
    tensors: int | None = None
    for name, value in _numbers(config):
        last = name.rpartition(".")[2]
        if NO_WEIGHTS.search(last):
            continue
        if LAYERS.search(last) and value > MANY_LAYERS:
            tensors = _tensors(files) if tensors is None else tensors
            if tensors and value > tensors:
                raise InputError(f"{place}: {name}: {value:,} does not fit the weights, which are {tensors:,} tensors")
        elif WIDTHS.search(last) and value > max(WIDE, room):
            detail = f"{value:,} does not fit the weights, which are at most {room:,} numbers"
            raise InputError(f"{place}: {name}: {detail}")


def _numbers(value: Any, name: str = "") -> Iterator[tuple[str, int]]:
    """The whole numbers in nested objects, each with its dotted name."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _numbers(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, int) and not isinstance(value, bool):
        yield name, value


def _tensors(files: list[Path]) -> int:
    """How many tensors files have; 0 if they cannot be read, which is told by what loads them."""
    from safetensors import SafetensorError, safe_open

    try:
        count = 0
        for file in files:
            with safe_open(file, "pt") as opened:
                count += len(list(opened.keys()))
        return count
    except (OSError, SafetensorError):
        return 0
