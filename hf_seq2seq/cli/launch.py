"""Several processes from one command with PyTorch's elastic launcher, on GPUs or on CPU, of one machine or several."""

import json
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_seq2seq.cli.machines import Machines
from hf_seq2seq.clocks import tell_launched
from hf_seq2seq.python_modules import module_command
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


def launch(arguments: Sequence[str], count: int, run: "Run", options: Mapping[str, Any]) -> None:
    """Runs `hf-seq2seq` with the arguments in `count` processes and exits with their code.

    Of several machines, each starts its part of the processes once all have joined, with the same options.

    SIGINT, SIGTERM and SIGHUP are forwarded to the processes, which save a checkpoint before they exit.

    Raises:
        InputError: there are more processes than GPUs, or a machine does not join.
        SystemExit: with the exit code of the process that failed, or 128 + the number of the signal.
    """
    show_only(run)
    count //= run.num_machines
    if not devices(count, run):
        os.environ["ACCELERATE_USE_CPU"] = "true"  # otherwise Accelerate treats each process as a separate run
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", SHUTDOWN_SECONDS)
    os.environ[STARTED_HERE] = str(os.getpid())
    tell_launched()
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # under `nohup`
        os.environ.setdefault("TORCHELASTIC_SIGNALS_TO_HANDLE", "SIGTERM,SIGINT,SIGQUIT")
    machines = Machines(run, count, options) if run.num_machines > 1 else None
    if machines is None:
        code = _launched(arguments, _settings(count), count)
    else:
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # hosts without a name are no news
        machines.join()
        with machines.watching() as ended:
            code = ended(_launched(arguments, _settings_of_several(count, run), count, machines))
    if code:
        sys.exit(code)


def _launched(arguments: Sequence[str], settings: Any, count: int, machines: Machines | None = None) -> int:
    """Runs the processes to their end, says what went wrong, and returns the exit code."""
    import tempfile

    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import elastic_launch

    logging.disable(logging.ERROR)  # the launcher's own messages; the processes report errors themselves
    with tempfile.TemporaryDirectory() as logs:
        settings.logs_specs = DefaultLogsSpecs(log_dir=logs)
        try:
            python, *module = module_command("hf_seq2seq")
            elastic_launch(settings, python)(*module, *arguments)
        except ChildFailedError as error:
            if machines and machines.failed_elsewhere():
                print(f"error: {machines.lost}", file=sys.stderr)
                return machines.code
            return _explain(error.failures, count)
        except SignalException as error:
            return 128 + int(error.sigval)
    return 0


def _settings(count: int) -> Any:
    """One machine, a free port, no restarts."""
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
    )


def _settings_of_several(count: int, run: "Run") -> Any:
    """The same for one of several machines, whose ranks are given."""
    from torch.distributed.launcher.api import LaunchConfig

    return LaunchConfig(
        min_nodes=run.num_machines,
        max_nodes=run.num_machines,
        nproc_per_node=count,
        run_id="hf-seq2seq",
        rdzv_backend="static",
        rdzv_endpoint=f"{run.main_process_ip}:{run.main_process_port}",
        rdzv_configs={"rank": run.machine_rank, "timeout": run.machine_timeout},
        max_restarts=0,
    )


def leave_after(error: BaseException) -> None:
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
