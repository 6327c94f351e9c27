"""Several processes from one command, by PyTorch's elastic launcher, on GPUs or on CPU."""

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

SHUTDOWN_SECONDS = "600"  # a large model needs more than the launcher's 30 seconds to save its checkpoint
KILLED_SECONDS = 10  # what is killed later than this after the first failure, the launcher has killed
STARTED_HERE = "HF_SEQ2SEQ_STARTED_HERE"
"""The number of the process that launches."""
LAUNCHED = "TORCHELASTIC_RUN_ID"
PR_SET_PDEATHSIG = 1
ERROR_FILE = "TORCHELASTIC_ERROR_FILE"
REFUSED = 2


def is_started_here() -> bool:
    """Whether `launch` started this process."""
    return STARTED_HERE in os.environ and rank() is not None


def end_with_launcher() -> None:
    """Lets the system send SIGTERM to this process when the launcher that started it is gone, however it went.

    On Linux alone. A launcher that is killed cannot tell its processes, which would train on without it.
    """
    if sys.platform != "linux" or (LAUNCHED not in os.environ and not is_started_here()):
        return
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if is_started_here() and os.getppid() != int(os.environ[STARTED_HERE]):
        os.kill(os.getpid(), signal.SIGTERM)  # it was gone before


def launch(arguments: Sequence[str], count: int, run: "Run") -> None:
    """Runs `hf-seq2seq` with the arguments in `count` processes and ends with their exit code.

    SIGINT, SIGTERM and SIGHUP are passed on to the processes, which save a checkpoint before they end.

    Raises:
        InputError: more processes than GPUs.
        SystemExit: with the exit code of the process that failed, or 128 + the number of the signal.
    """
    show_only(run)
    if not devices(count, run):
        os.environ["ACCELERATE_USE_CPU"] = "true"  # otherwise Accelerate takes each process for a run of its own
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", SHUTDOWN_SECONDS)
    os.environ[STARTED_HERE] = str(os.getpid())
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # under `nohup`
        os.environ.setdefault("TORCHELASTIC_SIGNALS_TO_HANDLE", "SIGTERM,SIGINT,SIGQUIT")
    import tempfile

    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import elastic_launch

    logging.disable(logging.ERROR)  # the launcher's own messages; the processes say what went wrong
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
    """Ends a process that this launcher started, at once, and leaves its traceback for the launcher to print.

    When one process fails, the others fail for want of it: only the first traceback is worth reading. To take a process
    group down in good order, while others of it are gone, may wait for ever. Does nothing in any other process.
    """
    leave_saying("".join(traceback.format_exception(error)), 1)


def leave_saying(text: str, code: int) -> None:
    """Ends a process that this launcher started, at once, and leaves a message for the launcher to print.

    All processes may have the same to say, such as what is wrong with a flag, and it is to be said once. Does nothing
    in any other process.
    """
    if not is_started_here() or ERROR_FILE not in os.environ:
        return
    word = {"message": text, "timestamp": int(time.time()), "time_ns": time.time_ns()}
    Path(os.environ[ERROR_FILE]).write_text(json.dumps(word))
    leave_group(code)


def leave_group(code: int) -> None:
    """Ends a process that is one of several at once; does nothing in any other."""
    if rank() is None:
        return
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(code)


def _explain(failures: dict[int, Any], count: int) -> int:
    """Says which process failed, unless that one has spoken for itself; returns its exit code, 128 + n for signal n."""
    number, failure = _culprit(failures)
    if "time_ns" in failure.error_file_data:
        print(failure.message, end="", file=sys.stderr)
    elif failure.exitcode < 0:
        print(f"error: process {number} of {count} was ended by {failure.signal_name()}", file=sys.stderr)
    return failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode


def _culprit(failures: dict[int, Any]) -> tuple[int, Any]:
    """The process that failed by itself; the others were stopped for it, or failed for want of it."""
    first = min(failure.timestamp for failure in failures.values())
    stopped = (-signal.SIGTERM, 128 + signal.SIGTERM)

    def order(item: tuple[int, Any]) -> tuple[int, int, int]:
        number, failure = item
        time_ns = failure.error_file_data.get("time_ns", 0)
        if failure.exitcode in stopped or failure.timestamp > first + KILLED_SECONDS:
            return 3, time_ns, number
        # A traceback, a message of its own, a signal.
        kind = 0 if failure.exitcode < 0 else 1 if failure.exitcode == REFUSED or not time_ns else 2
        return kind, time_ns, number

    return min(failures.items(), key=order)
