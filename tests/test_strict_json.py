import json
import math

import numpy as np

from hf_seq2seq import strict_json


def test_numbers_that_are_not_finite_are_null_wherever_they_stand() -> None:
    value = {"a": math.nan, "b": [1.5, (math.inf, -math.inf)], "c": {"d": np.float64("nan"), math.inf: "é"}, "n": 3}
    text = strict_json.dumps(value, ensure_ascii=False)
    found = json.loads(text, parse_constant=lambda name: f"not JSON: {name}")
    assert found == {"a": None, "b": [1.5, [None, None]], "c": {"d": None, "inf": "é"}, "n": 3}
    assert "é" in text
