"""The command `hf-seq2seq`."""

import errno
import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from hf_seq2seq.cli.command_table import COMMANDS, module_of
from hf_seq2seq.cli.launch import REFUSED, end_with_launcher, leave_after, leave_group, leave_saying
from hf_seq2seq.cli.other_names import flag_here, rows_flag, where_else
from hf_seq2seq.clocks import count_from_process_start
from hf_seq2seq.drafts import FULL
from hf_seq2seq.errors import InputError, nearest, reason_of_panic
from hf_seq2seq.training.processes import rank

SECONDS_FOR_RANK_0 = 30.0
IMPORTING = "<frozen importlib._bootstrap>"
"""The file of the frames of an import."""
UNUSABLE = (
    *(errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EMFILE),
)
"""Errors of a given path that cannot be used; missing files are checked where they are named."""
NO_MEMORY = ("can't allocate memory", "out of memory", "not enough memory", "Storage size calculation overflowed")
"""Torch's messages on its devices."""
COMPLETION = "_HF_SEQ2SEQ_COMPLETE"
"""Set by a shell that wants a half-written line completed."""
AT_ONCE = 1.0
"""Seconds within which a signal that comes again is the same one."""
LINES = 2
"""First line of a message; a path may contain line breaks."""


def run(words: Sequence[str]) -> int:
    """Runs a command line, without Typer where it is plain; returns its code."""
    if words and words[0] in COMMANDS and COMPLETION not in os.environ:
        command: Any = import_module(module_of(words[0]))
        if hasattr(command, "COMMAND") and command.COMMAND.run_plain(words[1:]):
            return 0
    from hf_seq2seq.cli.root import app

    return app(words, prog_name="hf-seq2seq", standalone_mode=False) or 0


def main() -> NoReturn:
    """Runs the command line and exits.

    The exit code is 0, 2 after bad input, 1 after an internal error, or 128 + the number of the signal that ended it.
    """
    if sys._getframe(1).f_globals.get("__name__") == "__main__":  # the process is for this command alone
        count_from_process_start()
    unwind_on_signals()
    end_with_launcher()
    open_closed_streams()
    say_notices_once()
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
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except BaseException as error:
        message = _outside_reason(error)
        if message is None:
            leave_after(error)
            raise
        code = _refuse(message)
        if getattr(error, "errno", None) in (*FULL, errno.EBADF):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # otherwise exiting would try to write again
    gc.freeze()  # so that the end, which takes seconds on a busy machine, does not look through all that was imported
    sys.exit(code)


def say_notices_once() -> None:
    """Lets a notice about data appear once on standard error, however often the data are read."""
    said: set[str] = set()

    def is_new(record: logging.LogRecord) -> bool:
        message = record.getMessage()
        known = message in said
        if record.name.startswith("hf_seq2seq.data."):
            said.add(message)
        return not known

    if logging.lastResort:  # the handler of programs that set up none
        logging.lastResort.filters[:] = [is_new]


def open_closed_streams() -> None:
    """Gives a process started without standard output or standard error ones that reject writes.

    Otherwise the next file opened would be mistaken for standard output.
    """
    if sys.stdout is None:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 1)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - for the process's life
    if sys.stderr is None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def unwind_on_signals() -> None:
    """Makes SIGTERM and SIGHUP end the process like Ctrl-C, so that half-written files are removed; a later one kills.

    `timeout` sends each signal twice, to the process and to its group: what comes at once counts as one. A signal that
    is ignored, as by nohup, stays ignored. The processes of a launcher, which may wait for each other deep inside a
    library, end immediately. While a library is being imported, which may catch an exit or be left half imported, the
    first signal waits for the end of the import.
    """
    came: dict[int, float] = {}
    waiting, leaving = set[int](), set[int]()

    def leave(number: int, frame: FrameType | None) -> None:
        is_importing, now = _is_importing(frame), time.monotonic()
        seen = waiting if is_importing else leaving
        if number in seen:
            if now - came[number] > AT_ONCE:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            return
        seen.add(number)
        came[number] = now
        if not is_importing:
            sys.exit(128 + number)
        threading.Thread(target=_repeat_after_import, args=(number,), daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGHUP):
        if rank() is None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, leave)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == IMPORTING:
            return True
        frame = frame.f_back
    return False


def _repeat_after_import(number: int) -> None:
    main_thread = threading.main_thread().ident
    while _is_importing(sys._current_frames().get(main_thread or 0)):
        time.sleep(0.01)
    os.kill(os.getpid(), number)


def _outside_reason(error: BaseException) -> str | None:
    """The message for an error with an external cause: a flag, a path, the disk, lack of memory."""
    # Recent versions of Typer vendor click, so its errors have no class that can be named.
    if hasattr(error, "format_message"):
        return _usage_message(error)
    first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    if (reason := reason_of_panic(error)) or (reason := _unknown_home(error)):
        return reason
    if isinstance(error, OSError) and error.errno in FULL:
        return f"{error.filename or 'standard output'}: {error.strerror}; files saved before are complete"
    if isinstance(error, OSError) and error.errno == errno.EBADF and error.filename is None:
        return f"standard output: {error.strerror}; commands with --output-file can write to a file"
    if isinstance(error, OSError) and error.errno in UNUSABLE and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    if isinstance(error, MemoryError) or any(words in first for words in NO_MEMORY):
        return f"out of memory ({first}); use a smaller model, shorter texts or smaller batches"
    return None


def _unknown_home(error: BaseException) -> str | None:
    """What to say of a path such as `~nobody/rows.tsv`; the path is that of the innermost frame."""
    if not isinstance(error, RuntimeError) or "home directory" not in str(error):
        return None
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    path = frame.tb_frame.f_locals.get("self") if frame else None
    whose = f"there is no user {path.parts[0][1:]!r}" if isinstance(path, Path) and path.parts[0] != "~" else "no home"
    return f"{path or '~'}: {whose}; a name in this folder that begins with ~ is written ./{path or '~'}"


def _refuse(message: str) -> int:
    """Prints an input error once: of several processes only the first prints, unless it is still running."""
    lines = f"error: {message}".encode("utf-8", "backslashreplace").decode().splitlines()
    text = "\n".join(lines) if len(lines) <= LINES else " ".join(lines)
    if rank():
        time.sleep(SECONDS_FOR_RANK_0)
    leave_saying(text + "\n", REFUSED)
    print(text, file=sys.stderr)
    return REFUSED


def _usage_message(error: BaseException) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "hf-seq2seq"
    wrong = getattr(error, "option_name", None)
    if wrong is not None and hasattr(error, "possibilities"):
        flags = [name for each in context.command.params for name in each.opts] if context else []
        known = flag_here(wrong, flags)
        hint = f"; here it is `{known}`" if known else nearest(wrong, (name for name in flags if name.startswith("--")))
        if not known:
            hint = hint if "did you mean" in hint else ""
            hint = hint + where_else(command, wrong) or f"; `{command} --help` lists the flags"
        return f"{command}: unknown flag {wrong!r}{hint}"
    message: str = error.format_message()  # type: ignore[attr-defined]
    hint = f" `{command} --help` lists the commands." if message == "Missing command." else ""
    if "extra argument" in message and (meant := rows_flag(context)):
        extra = message.split("(", 2)[-1].rstrip(")")
        hint = f"; name a file of rows by a flag: {meant} {extra}"
        if (Path(extra) / "config.json").is_file():
            hint = f"; the model comes first, and rows are named by a flag: {command} {extra} {meant} FILE"
    if "extra argument" in message and command.endswith(" push"):
        hint = "; the repository is named by a flag: push FOLDER --hub-model-id me/model"
    return f"{command}: {message}{hint}"
