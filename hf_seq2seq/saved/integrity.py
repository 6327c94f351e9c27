"""Whether the files of a model are intact: JSON is parsed; of safetensors, the header, which has the size, is read.

And whether all weights of a folder are used, and two models have the same ones.
"""

import logging
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import Any

from hf_seq2seq import strict_json

logger = logging.getLogger(__name__)


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


def tell_surplus(path: str, surplus: Iterable[str]) -> None:
    """Warns of weights that the configuration has no place for, as where it names fewer layers than there are."""
    if names := sorted(surplus):
        logger.warning("%s: %d of its weights are not used, such as %s", path, len(names), names[0])


def weights_digest(network: Any) -> str:
    """A digest of a model's weights, in hexadecimal; empty for a model of another engine."""
    if not hasattr(network, "state_dict"):
        return ""
    import torch

    found = blake2b(digest_size=16)
    for name, tensor in sorted(network.state_dict().items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return found.hexdigest()
