import json
import math

import numpy as np
import pytest

from hf_seq2seq import strict_json


def test_numbers_that_are_not_finite_are_null_wherever_they_stand() -> None:
    value = {"a": math.nan, "b": [1.5, (math.inf, -math.inf)], "c": {"d": np.float64("nan"), math.inf: "é"}, "n": 3}
    text = strict_json.dumps(value, ensure_ascii=False)
    found = json.loads(text, parse_constant=lambda name: f"not JSON: {name}")
    assert found == {"a": None, "b": [1.5, [None, None]], "c": {"d": None, "inf": "é"}, "n": 3}
    assert "é" in text


@pytest.mark.parametrize(
    ("text", "message"), [("9" * 5000, "a number has more than 4300 digits"), ("[" * 99999, "deep")]
)
def test_what_python_cannot_read_is_refused_plainly(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        strict_json.loads(text)
