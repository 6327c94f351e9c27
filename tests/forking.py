"""Processes for tests that have the large libraries imported from the start.

Importing torch and transformers takes seconds, more than most programs that tests run. A `ForkServer` imports them once
and forks for every program, which is then as fresh as in a new interpreter but for these modules. `forked_python` is
the same behind a command that stands where `sys.executable` would: it has pipes, gets signals and returns a code as any
process, and so do the processes that it launches itself.
"""

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

TORCH = ("torch", "torch._dynamo", "torch.distributed.fsdp", "torch.nn.attention.flex_attention", "pandas", "pyarrow",
         "pyarrow.parquet", "matplotlib.pyplot", "tokenizers", "safetensors.torch", "jinja2", "yaml")  # fmt: skip
"""What commands need and what reads nothing of the environment that tests change."""
TRANSFORMERS = (*TORCH, "transformers.generation", "transformers.modeling_utils")

PACKAGE = (*TRANSFORMERS, "hf_seq2seq.training.run", "hf_seq2seq.tasks.pairs", "hf_seq2seq.tasks.labelled",
           "hf_seq2seq.hub.card", "hf_seq2seq.cli.train", "hf_seq2seq.recipes.rnn",
           "hf_seq2seq.recipes.t5")  # fmt: skip
FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def spare_the_disk() -> None:
    """Waits for no disk: only a cut of the power could tell, and each of 70 files of a run would take milliseconds.

    Tests of what is synced, and when, replace `os.fsync` themselves.
    """
    os.fsync = lambda handle: None


class ForkServer:
    """Runs programs one after the other.

    Args:
        modules: that are imported once.
    """

    def __init__(self, modules: tuple[str, ...]) -> None:
        self._socket, theirs = socket.socketpair()
        command = [sys.executable, __file__, str(theirs.fileno()), *modules]
        self._process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        theirs.close()
        self._answers = self._socket.makefile("r")

    def run(
        self, *arguments: str, program: str = "", cwd: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs `hf-seq2seq` with these arguments, or a program, and returns its code, output and errors."""
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder, name) for name in ("out", "err")]
            request = {
                "arguments": arguments, "program": program, "cwd": str(cwd or Path.cwd()),
                "environment": dict(os.environ if environment is None else environment), "files": list(map(str, files)),
            }  # fmt: skip
            self._socket.sendall((json.dumps(request) + "\n").encode())
            code = int(self._answers.readline())
            return subprocess.CompletedProcess(arguments, code, *(path.read_text() for path in files))

    def __enter__(self) -> "ForkServer":
        return self

    def __exit__(self, *error: object) -> None:
        self._answers.close()
        self._socket.close()
        self._process.wait()


def serve(number: int, modules: list[str]) -> dict[str, Any] | None:
    """Forks for each request on the socket of that number; returns the request in the process that is to run it."""
    for module in modules:
        importlib.import_module(module)
    gc.freeze()
    spare_the_disk()
    with socket.socket(fileno=number) as connection, connection.makefile("r") as requests:
        while line := requests.readline():
            if not (pid := os.fork()):
                return json.loads(line)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            connection.sendall(f"{code}\n".encode())
    return None


def _become(arguments: list[str], program: str, cwd: str, environment: dict[str, str], files: list[str]) -> None:
    for number, path in enumerate(files, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = [cwd, *environment.get("PYTHONPATH", "").split(os.pathsep)]
    sys.argv = ["-c" if program else "hf-seq2seq", *arguments]
    try:
        if program:
            exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})
        else:
            runpy.run_module("hf_seq2seq", run_name="__main__", alter_sys=True)
    finally:
        gc.freeze()  # so that the end does not look through all that was imported


@contextmanager
def forked_python(environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """The path of a command for `-m`, `-c` and scripts that has this package imported; `sys.executable` elsewhere.

    Args:
        environment: what differs from this process's while it is imported, for what libraries read only then.
    """
    if sys.platform != "linux":
        yield sys.executable
        return
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listening:
        command, place = Path(folder, "python"), str(Path(folder, "socket"))
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -SEs "{__file__}" ask "{place}" "$@"\n')
        command.chmod(0o755)
        listening.bind(place)
        listening.listen(64)
        program = [sys.executable, __file__, "listen", str(listening.fileno()), str(command), *PACKAGE]
        begun = os.environ | (environment or {})
        process = subprocess.Popen(program, pass_fds=[listening.fileno()], stdin=subprocess.PIPE, env=begun)
        listening.close()  # the server's alone, so that who asks is refused when it is gone
        yield str(command)
        process.communicate()


def listen(number: int, command: str, modules: list[str]) -> None:
    """Forks for each connection to the socket of that number, until standard input ends."""
    sys.path.insert(0, str(Path(__file__).parent.parent))
    for module in modules:
        importlib.import_module(module)
    gc.freeze()
    spare_the_disk()
    with socket.socket(fileno=number) as listening:
        while sys.stdin not in (ready := select.select([listening, sys.stdin], [], [], 1.0)[0]):
            with suppress(ChildProcessError):
                os.waitpid(-1, os.WNOHANG)
            if ready:
                connection = listening.accept()[0]
                if not os.fork():
                    listening.close()
                    _answer(connection, command)
                    return
                connection.close()


def _answer(connection: socket.socket, command: str) -> None:
    """Runs the program that is asked for, passes signals on to it, and tells its code."""
    size, handles, _, _ = socket.recv_fds(connection, 8, 3)
    with connection.makefile("rb", buffering=0) as stream:
        text = b""
        while len(text) < int.from_bytes(size, "big"):
            text += stream.read(1 << 20) or b""
    process = os.fork()
    if not process:
        connection.close()
        for number, handle in enumerate(handles):
            os.dup2(handle, number)
            os.close(handle)
        _run_as_python(**json.loads(text), command=command)
        return
    for handle in handles:
        os.close(handle)
    ended = os.pidfd_open(process)
    while ended not in select.select([connection, ended], [], [])[0]:
        for number in connection.recv(64) or [signal.SIGKILL]:  # who asked is gone, as by SIGKILL
            os.kill(process, number)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    with suppress(OSError):
        connection.sendall(f"{code}\n".encode())
    os._exit(0)


def _run_as_python(
    arguments: list[str], cwd: str, environment: dict[str, str], ignored: list[int], parent: int, command: str
) -> None:
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.executable = command
    os.getppid = lambda: parent  # of the process that this one stands for
    is_safe = False
    while (option := arguments[0]) in ("-u", "-W", "-P"):
        del arguments[0]
        if option == "-u":
            sys.stdout.reconfigure(line_buffering=True)
        elif option == "-P":
            is_safe = True
        else:
            warnings._setoption(arguments.pop(0))  # type: ignore[attr-defined]
    kind, name = (arguments[0], arguments[1]) if arguments[0] in ("-m", "-c") else ("", arguments[0])
    sys.argv = [kind or name, *arguments[2 if kind else 1 :]]
    first = str(Path(name).resolve().parent) if not kind else cwd
    sys.path[:1] = [*([] if is_safe else [first]), *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    try:
        if kind == "-c":
            exec(compile(name, "<string>", "exec"), {"__name__": "__main__"})
        elif kind:
            runpy.run_module(name, run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(name, run_name="__main__")
    finally:
        gc.freeze()


def ask(place: str, arguments: list[str]) -> None:
    """Asks the server at a socket for a process, and stands for it: passes signals on, and ends as it does."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(place)
    ignored = [number for number in FORWARDED if signal.getsignal(number) == signal.SIG_IGN]
    request = {"arguments": arguments, "cwd": str(Path.cwd()), "environment": dict(os.environ)}
    request |= {"ignored": ignored, "parent": os.getppid()}
    text = json.dumps(request).encode()
    for number in FORWARDED:
        signal.signal(number, lambda given, frame: connection.sendall(bytes([given])))
    socket.send_fds(connection, [len(text).to_bytes(8, "big")], [0, 1, 2])
    connection.sendall(text)
    code = int(connection.makefile().readline() or -signal.SIGKILL)
    if code < 0:
        if code != -signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    if sys.argv[1] == "ask":
        ask(sys.argv[2], sys.argv[3:])
    elif sys.argv[1] == "listen":
        listen(int(sys.argv[2]), sys.argv[3], sys.argv[4:])
    elif request := serve(int(sys.argv[1]), sys.argv[2:]):
        _become(**request)
