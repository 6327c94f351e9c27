"""The time of a command counts from the start of its process."""

import os
import subprocess
import sys
import time

import pytest

from hf_seq2seq import clocks

PROGRAM = """
import time
time.sleep(0.3)  # the imports
from hf_seq2seq.clocks import clocks, command_began, count_from_process_start
before = clocks()[0] - command_began()[0]
count_from_process_start()
print(before, clocks()[0] - command_began()[0], command_began()[1])
"""


def test_a_command_counts_from_the_start_of_its_process() -> None:
    began = time.perf_counter()
    found = subprocess.run([sys.executable, "-SEsc", PROGRAM], capture_output=True, text=True, check=True)
    took = time.perf_counter() - began
    before, after, cpu = map(float, found.stdout.split())
    assert before < 0.25  # a program that calls this package counts from its call
    assert cpu == 0
    if sys.platform == "linux":
        assert 0.25 < after <= took + 0.02


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not say when processes began")
def test_processes_that_are_launched_count_from_the_start_of_the_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "_IS_COMMAND", True)
    monkeypatch.setenv(clocks.LAUNCHED, str(time.clock_gettime(time.CLOCK_BOOTTIME) - 50))
    assert time.perf_counter() - clocks.command_began()[0] == pytest.approx(50, abs=1)
    monkeypatch.delenv(clocks.LAUNCHED)
    own = time.perf_counter() - clocks.command_began()[0]
    clocks.tell_launched()
    assert time.perf_counter() - clocks.command_began()[0] == pytest.approx(own, abs=1)
    assert clocks.LAUNCHED in os.environ
    monkeypatch.delenv(clocks.LAUNCHED)
