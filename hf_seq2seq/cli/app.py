"""The command `hf-seq2seq`."""

import errno
import os
import signal
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from types import FrameType
from typing import Any, NoReturn

from hf_seq2seq.cli.command_table import COMMANDS
from hf_seq2seq.cli.launch import REFUSED, end_with_launcher, leave_after, leave_group, leave_saying
from hf_seq2seq.drafts import FULL
from hf_seq2seq.errors import InputError, nearest
from hf_seq2seq.training.processes import rank

SECONDS_FOR_RANK_0 = 30.0
UNUSABLE = (
    *(errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EMFILE),
)
"""Errors of a path that somebody named, or may not use; that a file is absent is checked where it is named."""
NO_MEMORY = ("can't allocate memory", "out of memory", "not enough memory", "Storage size calculation overflowed")
"""How torch words it on its devices."""
COMPLETION = "_HF_SEQ2SEQ_COMPLETE"
"""Set by a shell that wants a half-written line completed."""
LINES = 2
"""Of a message; a path may have line ends of its own."""


def run(words: Sequence[str]) -> int:
    """Runs a command line, without Typer where it is plain; returns its code."""
    if words and words[0] in COMMANDS and COMPLETION not in os.environ:
        command: Any = import_module(f"hf_seq2seq.cli.{words[0]}")
        if hasattr(command, "COMMAND") and command.COMMAND.run_plain(words[1:]):
            return 0
    from hf_seq2seq.cli.root import app

    return app(words, prog_name="hf-seq2seq", standalone_mode=False) or 0


def main() -> NoReturn:
    """Runs the command line and ends the process.

    Its code is 0, 2 after bad input, 1 after an error of ours, or 128 + the number of the signal that ended it.
    """
    unwind_on_signals()
    end_with_launcher()
    open_closed_streams()
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
    except InputError as error:
        code = _refuse(str(error))
    except SystemExit as ended:  # by a signal
        leave_group(ended.code if isinstance(ended.code, int) else bool(ended.code))
        raise
    except KeyboardInterrupt:
        leave_group(130)
        code = 130
    except BrokenPipeError:  # the reader, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except Exception as error:
        message = _outside_reason(error)
        if message is None:
            leave_after(error)
            raise
        code = _refuse(message)
        if getattr(error, "errno", None) in (*FULL, errno.EBADF):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or leaving would try to write once more
    sys.exit(code)


def open_closed_streams() -> None:
    """Gives a process that was started without standard output one that refuses what is written, and likewise errors.

    Without it the next file that is opened would be taken for standard output.
    """
    if sys.stdout is None:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 1)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - for the process's life
    if sys.stderr is None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def unwind_on_signals() -> None:
    """Lets SIGTERM and SIGHUP end the process as Ctrl-C does, so that half-written files are removed; a second kills.

    A signal that is ignored, as by nohup, stays so. The processes of a launcher, which may wait for one another in the
    depths of a library, end at once.
    """

    def leave(number: int, _: FrameType | None) -> NoReturn:
        signal.signal(number, signal.SIG_DFL)
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if rank() is None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, leave)


def _outside_reason(error: Exception) -> str | None:
    """What to say of an error that has its reason outside this program: a flag, a path, the disk, too little memory."""
    # Typer brings its own copy of click from some version on, so its errors have no class that one can name.
    if hasattr(error, "format_message"):
        return _usage_message(error)
    first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    if isinstance(error, OSError) and error.errno in FULL:
        return f"{error.filename or 'standard output'}: {error.strerror}; what was saved before is whole"
    if isinstance(error, OSError) and error.errno == errno.EBADF and error.filename is None:
        return f"standard output: {error.strerror}; --output-file writes to a file, where a command has it"
    if isinstance(error, OSError) and error.errno in UNUSABLE and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    if isinstance(error, MemoryError) or any(words in first for words in NO_MEMORY):
        return f"out of memory ({first}); a smaller model, shorter texts or smaller batches need less"
    return None


def _refuse(message: str) -> int:
    """Prints bad input once: of several processes the first one speaks, unless it is still alive and well."""
    lines = f"error: {message}".encode("utf-8", "backslashreplace").decode().splitlines()
    text = "\n".join(lines) if len(lines) <= LINES else " ".join(lines)
    if rank():
        time.sleep(SECONDS_FOR_RANK_0)
    leave_saying(text + "\n", REFUSED)
    print(text, file=sys.stderr)
    return REFUSED


def _usage_message(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "hf-seq2seq"
    wrong = getattr(error, "option_name", None)
    if wrong is not None and hasattr(error, "possibilities"):
        flags = [name for each in context.command.params for name in each.opts] if context else []
        hint = nearest(wrong, (name for name in flags if name.startswith("--")))
        hint = hint if "did you mean" in hint else f"; `{command} --help` lists the flags"
        return f"{command}: unknown flag {wrong!r}{hint}"
    message: str = error.format_message()  # type: ignore[attr-defined]
    hint = f" `{command} --help` lists the commands." if message == "Missing command." else ""
    return f"{command}: {message}{hint}"
