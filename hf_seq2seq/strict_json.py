"""Standard-compliant JSON: without NaN and infinity, which Python would write.

Reading raises a single kind of error, whatever is wrong.
"""

import json
import math
import sys
from typing import Any


def dumps(value: Any, **options: Any) -> str:
    """`json.dumps`, with null in place of non-finite numbers at any depth."""
    return json.dumps(_finite(value), allow_nan=False, **options)


def loads(text: str | bytes, once: bool = False) -> Any:
    """`json.loads`, also raising ValueError for too deep nesting and, in words of its own, for too long numbers.

    Args:
        text: JSON.
        once: whether a key that an object has twice is an error, too.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        return json.loads(text, object_pairs_hook=_once if once else None)
    except RecursionError:
        raise ValueError("nested too deep") from None
    except ValueError as error:
        if "integer string conversion" in str(error):
            raise ValueError(f"a number has more than {sys.get_int_max_str_digits()} digits") from None
        raise


def repeated_key(pairs: list[tuple[str, Any]]) -> str | None:
    """The first key that an object has twice: nobody can tell which value is meant; None where all differ."""
    names = [name for name, _ in pairs]
    return next((name for name in names if names.count(name) > 1), None) if len({*names}) < len(names) else None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if (repeated := repeated_key(pairs)) is not None:
        raise ValueError(f"{repeated[:60]!r} is twice in one object")
    return dict(pairs)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {_finite_key(key): _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def _finite_key(key: Any) -> Any:
    return key if not isinstance(key, float) or math.isfinite(key) else str(key)
