"""Times as people write them."""

import pytest

from hf_seq2seq.configs import Schedule
from hf_seq2seq.errors import InputError
from hf_seq2seq.time_limits import duration, seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("90", 90), ("90s", 90), ("20m", 1200), ("1h30m", 5400), ("1H 30M", 5400), ("1.5h", 5400), ("2d", 172_800)),
        *(("1:30:00", 5400), ("1:30", 90), ("0.5", 0.5), ("1d.5h1m1s", 88_261)),
    ],
)
def test_times_are_read(text: str, seconds: float) -> None:
    assert seconds_of("max_time", text) == seconds
    assert Schedule(max_cpu_time=text).limits() == {"max_cpu_time": seconds}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "20 minutes",
        "m",
        "-5m",
        "0",
        "0s",
        "1e3",
        "20mm",
        "1h1h",
        "30s1m",
        "1..5h",
        "1:5",
        "nan",
        "9" * 400 + "d",
        "9" * 5_000 + ":00:00",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"--max-time: .* is not a time; write 90s, 20m, 1h30m or 1:30:00"):
        Schedule(max_time=text)


def test_times_are_told() -> None:
    times = [duration(seconds) for seconds in (0.04, 9.5, 45, 60, 1025, 3600, 7380)]
    assert times == ["0.0 s", "9.5 s", "45 s", "1 min", "17 min 5 s", "1 h", "2 h 3 min"]
