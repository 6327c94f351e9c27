"""The clocks that limits of time are kept by, counted from a command's start rather than from the end of its imports.

Python, torch and transformers take seconds to import, on a busy machine half a minute, before a command can read any
clock. On Linux the system knows when a process began; elsewhere a command counts from when this module was imported.
"""

import os
import time
from contextlib import suppress
from pathlib import Path

LAUNCHED = "HF_SEQ2SEQ_LAUNCHED"
"""The environment variable with the reading of `_boot_clock` when the command that launched this process began."""
_IMPORTED = time.perf_counter()
_IS_COMMAND = False


def clocks() -> tuple[float, float]:
    """Seconds of the clock, and of this process's CPU; only differences of them mean anything."""
    return time.perf_counter(), time.process_time()


def count_from_process_start() -> None:
    """Declares that this process is one command, whose time began with the process."""
    global _IS_COMMAND
    _IS_COMMAND = True


def command_began() -> tuple[float, float]:
    """What `clocks` would have returned when this process's command began; now, where the process is no command."""
    return (time.perf_counter() - _age(), 0.0) if _IS_COMMAND else clocks()


def tell_launched() -> None:
    """Lets the processes that this one starts count from when its own command began."""
    with suppress(AttributeError):  # elsewhere than on Linux
        if _IS_COMMAND:
            os.environ.setdefault(LAUNCHED, f"{_boot_clock() - _age()}")


def _age() -> float:
    """Seconds since this process, or the command that launched it, began."""
    try:
        if began := os.environ.get(LAUNCHED):
            return _boot_clock() - float(began)
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()  # a name may hold spaces and brackets
        return max(0.0, _boot_clock() - int(fields[19]) / os.sysconf("SC_CLK_TCK"))  # proc(5): starttime is field 22
    except (OSError, AttributeError, ValueError, IndexError):
        return time.perf_counter() - _IMPORTED


def _boot_clock() -> float:
    """Seconds since the system was booted, by which it notes when processes begin."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
