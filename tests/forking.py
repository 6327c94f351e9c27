"""Processes for tests that have the large libraries imported from the start.

Importing torch and transformers takes seconds, more than most programs that tests run. A `ForkServer` imports them once
and forks for every program, which is then as fresh as in a new interpreter but for these modules.
"""

import gc
import importlib
import json
import os
import runpy
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TORCH = ("torch", "torch._dynamo", "torch.distributed.fsdp", "torch.nn.attention.flex_attention", "pandas", "pyarrow",
         "pyarrow.parquet", "matplotlib.pyplot", "tokenizers", "safetensors.torch", "jinja2", "yaml")  # fmt: skip
"""What commands need and what reads nothing of the environment that tests change."""
TRANSFORMERS = (*TORCH, "transformers.generation", "transformers.modeling_utils")


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


if __name__ == "__main__":
    if request := serve(int(sys.argv[1]), sys.argv[2:]):
        _become(**request)
