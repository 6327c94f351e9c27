"""Several processes from one command with PyTorch's elastic launcher, on GPUs or on CPU."""

import json
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_seq2seq.training.processes import devices, rank, show_only

if TYPE_CHECKING:
    from hf_seq2seq.configs import Run

SHUTDOWN_SECONDS = "600"  # a large model needs more than the launcher's 30 seconds to save a checkpoint
KILLED_SECONDS = 10  # a process killed later than this after the first failure was killed by the launcher
STARTED_HERE = "HF_SEQ2SEQ_STARTED_HERE"
"""The id of the launching process."""
LAUNCHED = "TORCHELASTIC_RUN_ID"
PR_SET_PDEATHSIG = 1
ERROR_FILE = "TORCHELASTIC_ERROR_FILE"
REFUSED = 2


def is_started_here() -> bool:
    """Whether `launch` started this process."""
    return STARTED_HERE in os.environ and rank() is not None


def end_with_launcher() -> None:
    """Makes the system send SIGTERM to this process when its launcher ends for any reason; only on Linux.

    A killed launcher cannot notify its processes, which would otherwise keep training.
    """
    if sys.platform != "linux" or (LAUNCHED not in os.environ and not is_started_here()):
        return
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if is_started_here() and os.getppid() != int(os.environ[STARTED_HERE]):
        os.kill(os.getpid(), signal.SIGTERM)  # it had already ended


def launch(arguments: Sequence[str], count: int, run: "Run") -> None:
    """Runs `hf-seq2seq` with the arguments in `count` processes and exits with their code.

    SIGINT, SIGTERM and SIGHUP are forwarded to the processes, which save a checkpoint before they exit.

    Raises:
        InputError: there are more processes than GPUs.
        SystemExit: with the exit code of the process that failed, or 128 + the number of the signal.
    """
    show_only(run)
    if not devices(count, run):
        os.environ["ACCELERATE_USE_CPU"] = "true"  # otherwise Accelerate treats each process as a separate run
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", SHUTDOWN_SECONDS)
    os.environ[STARTED_HERE] = str(os.getpid())
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # under `nohup`
        os.environ.setdefault("TORCHELASTIC_SIGNALS_TO_HANDLE", "SIGTERM,SIGINT,SIGQUIT")
    import tempfile

    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import elastic_launch

    logging.disable(logging.ERROR)  # the launcher's own messages; the processes report errors themselves
    with tempfile.TemporaryDirectory() as logs:
        try:
            elastic_launch(_settings(count, logs), sys.executable)("-m", "hf_seq2seq", *arguments)
        except ChildFailedError as error:
            sys.exit(_explain(error.failures, count))
        except SignalException as error:
            sys.exit(128 + int(error.sigval))


def _settings(count: int, logs: str) -> Any:
    """One machine, a free port, no restarts."""
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.launcher.api import LaunchConfig

    return LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=f"hf-seq2seq-{os.getpid()}",
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        local_addr="127.0.0.1",
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(log_dir=logs),
    )


def leave_after(error: Exception) -> None:
    """Immediately ends a process started by this launcher, leaving its traceback for the launcher to print.

    When one process fails, the others fail as a consequence: only the first traceback is useful. Shutting a process
    group down cleanly while others of it are gone may wait forever. Does nothing in any other process.
    """
    leave_saying("".join(traceback.format_exception(error)), 1)


def leave_saying(text: str, code: int) -> None:
    """Immediately ends a process started by this launcher, leaving a message for the launcher to print.

    All processes may have the same message, such as an invalid flag, which should be printed once. Does nothing in any
    other process.
    """
    if not is_started_here() or ERROR_FILE not in os.environ:
        return
    word = {"message": text, "timestamp": int(time.time()), "time_ns": time.time_ns()}
    Path(os.environ[ERROR_FILE]).write_text(json.dumps(word))
    leave_group(code)


def leave_group(code: int) -> None:
    """Immediately ends a process that is one of several; does nothing in any other."""
    if rank() is None:
        return
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(code)


def _explain(failures: dict[int, Any], count: int) -> int:
    """Reports which process failed, unless it printed a message itself; returns its exit code, 128 + n for signal n."""
    number, failure = _culprit(failures)
    if "time_ns" in failure.error_file_data:
        print(failure.message, end="", file=sys.stderr)
    elif failure.exitcode < 0:
        print(f"error: process {number} of {count} was ended by {failure.signal_name()}", file=sys.stderr)
    return failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode


def _culprit(failures: dict[int, Any]) -> tuple[int, Any]:
    """The process that failed first; the others were stopped, or failed as a consequence."""
    first = min(failure.timestamp for failure in failures.values())
    stopped = (-signal.SIGTERM, 128 + signal.SIGTERM)

    def order(item: tuple[int, Any]) -> tuple[int, int, int]:
        number, failure = item
        time_ns = failure.error_file_data.get("time_ns", 0)
        if failure.exitcode in stopped or failure.timestamp > first + KILLED_SECONDS:
            return 3, time_ns, number
        # A traceback, its own message, a signal.
        kind = 0 if failure.exitcode < 0 else 1 if failure.exitcode == REFUSED or not time_ns else 2
        return kind, time_ns, number

    return min(failures.items(), key=order)
