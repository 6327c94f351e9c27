"""Trains in a process of its own, which may fail, run out of memory or be stopped without harm to the search.

A server imports torch and transformers once, and forks a process for each run: importing them takes longer than a small
trial trains. The server reads a job per line from standard input and answers with the process's number and, when that
has ended, its exit code and the CPU time of all so far. When whoever started it is gone, however it went, the server
ends, and the run that is in progress saves a checkpoint and ends.
"""

import json
import os
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from hf_seq2seq.errors import InputError
from hf_seq2seq.python_modules import module_command

REFUSED, FAILED = 2, 1
PR_SET_PDEATHSIG = 1
PRELOADED = ("hf_seq2seq.training.run", "hf_seq2seq.tasks.pairs", "hf_seq2seq.tasks.labelled", "hf_seq2seq.hub.card")
LAST_LINES = 4000
"""Bytes of a run's output that are searched for what it died of."""


class TrainServer:
    """Starts runs one at a time, and stops them."""

    def __init__(self) -> None:
        self._server: subprocess.Popen[bytes] | None = None
        self._run: int | None = None
        self.cpu_seconds = 0.0
        """CPU time of all runs that have ended, and of the servers that started them."""
        self._of_earlier = 0.0  # servers that are gone
        self.waiting: Callable[[], None] = lambda: None
        """What whoever waits for a run calls again and again meanwhile."""

    def start(self, recipe: str, values: Mapping[str, Any], output: Path | None, call: str = "") -> None:
        """Starts a run; `poll` says when it has ended.

        Args:
            recipe: its name, or the path of a recipe of one's own.
            values: its flags.
            output: the file for what it prints; by default this process's standard error.
            call: what the card names as the command.
        """
        if self._server is None or self._server.poll() is not None:
            self._server = self._launch()
        job = {"recipe": recipe, "values": dict(values), "output": output and str(output), "call": call}
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(job).encode() + b"\n")
        line = self._line()
        self._run = int(line) if line else None

    def poll(self, seconds: float) -> int | None:
        """Waits so long for the run to end; its exit code, negative for a signal, or None while it is in progress."""
        assert self._server is not None
        assert self._server.stdout is not None
        ready, _, _ = select.select([self._server.stdout], [], [], seconds)
        if not ready:
            return None
        line, self._run = self._line(), None
        if not line:  # the server was killed, and its run with it
            self._of_earlier = self.cpu_seconds
            return -signal.SIGKILL
        code, used = line.split()
        self.cpu_seconds = self._of_earlier + float(used)
        return int(code)

    def stop(self) -> None:
        """Lets the run save a checkpoint and end; `poll` says when it has."""
        if self._run is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._run, signal.SIGTERM)

    def close(self) -> None:
        """Ends the server, and the run that may be in progress, when that has saved its checkpoint."""
        if self._server is None:
            return
        self.stop()
        while self._run is not None and self.poll(1.0) is None:
            pass
        self._server.kill()  # it holds nothing, and to end by itself it would look through all that it imported
        self._server.communicate()
        self._server = None

    def _line(self) -> bytes:
        assert self._server is not None
        assert self._server.stdout is not None
        return self._server.stdout.readline()

    @staticmethod
    def _launch() -> "subprocess.Popen[bytes]":
        command = module_command("hf_seq2seq.tuning.train_server")
        environment = os.environ | {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}  # a process that uses a GPU cannot fork
        pipe = subprocess.PIPE
        # In a session of its own Ctrl-C does not reach it: whoever searches stops the run in good order.
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, bufsize=0, env=environment, start_new_session=True)


def reason_of(output: Path, code: int) -> str:
    """Why a run has failed, in a line: what it was refused for, its last line, or the signal that ended it."""
    if code < 0:
        name = signal.Signals(-code).name
        return f"ended by {name}" + (", as where memory runs out" if -code == signal.SIGKILL else "")
    lines = output.read_bytes()[-LAST_LINES:].decode("utf-8", "replace").split("\n") if output.exists() else []
    refused = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    detail = refused or [line.strip() for line in lines if line.strip() and not line.startswith(" ")]
    return detail[-1] if detail else f"ended with exit code {code}"


def serve() -> None:
    """Reads jobs and forks a run for each."""
    from importlib import import_module

    end_with_parent()
    for name in PRELOADED:
        import_module(name)
    for line in sys.stdin.buffer:
        run = os.fork()
        if not run:
            _train(json.loads(line))
        print(run, flush=True)
        _, status = os.waitpid(run, 0)
        try:
            print(os.waitstatus_to_exitcode(status), _cpu_seconds(), flush=True)
        except BrokenPipeError:  # whoever started this server is gone
            os._exit(FAILED)


def _cpu_seconds() -> float:
    """CPU time of this process and of all its children that have ended."""
    return sum(os.times()[:4])


def _train(job: Mapping[str, Any]) -> NoReturn:
    """Trains, and ends the process."""
    code = FAILED
    try:
        os.setpgid(0, 0)
        end_with_parent()
        _redirect(job["output"])
        code = _exit_code(job)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(code)


def _exit_code(job: Mapping[str, Any]) -> int:
    from hf_seq2seq.api.runs import train
    from hf_seq2seq.training.origin import CALL

    if job["call"]:
        os.environ[CALL] = job["call"]
    try:
        train(job["recipe"], **job["values"])
    except InputError as error:
        print("error: " + " ".join(str(error).splitlines()), file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    return 0


def _redirect(output: str | None) -> None:
    """Sends what is printed to a file, or to standard error; standard output is the server's."""
    if output is None:
        os.dup2(2, 1)
        return
    handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)


def end_with_parent() -> None:
    """Lets the system send SIGTERM to this process when the one that started it is gone; on Linux alone."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    serve()
