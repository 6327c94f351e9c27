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


def loads(text: str | bytes) -> Any:
    """`json.loads`, also raising ValueError for too deep nesting and, in words of its own, for too long numbers.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None
    except ValueError as error:
        if "integer string conversion" in str(error):
            raise ValueError(f"a number has more than {sys.get_int_max_str_digits()} digits") from None
        raise


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {_finite_key(key): _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def _finite_key(key: Any) -> Any:
    return key if not isinstance(key, float) or math.isfinite(key) else str(key)
