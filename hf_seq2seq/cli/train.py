"""`hf-seq2seq train RECIPE`: train, evaluate, save."""

import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from hf_seq2seq.cli.accelerate_config import USE_DEEPSPEED, apply_launch_file
from hf_seq2seq.cli.launch import is_started_here, launch
from hf_seq2seq.cli.recipe_group import Request, recipe_group
from hf_seq2seq.clocks import command_began
from hf_seq2seq.configs import Hub, Sources
from hf_seq2seq.data.evaluation_sets import check_files
from hf_seq2seq.errors import InputError
from hf_seq2seq.folders import locked_folder
from hf_seq2seq.sections import flag, flatten, section_of
from hf_seq2seq.training.origin import Origin, current_origin, started_by
from hf_seq2seq.training.processes import choose_gpu, processes, rank
from hf_seq2seq.training.state import LOG_FILE
from hf_seq2seq.tuning.auto_config import SearchConfig

FILES = ("train_file", "validation_file", "test_file")


def build_command(name: str, help: str) -> Any:
    """The group of commands, one per recipe."""
    return recipe_group(name, help, train, SearchConfig)


def train(request: Request) -> None:
    """Runs the recipe in this process, or in as many processes as configured; or searches its settings."""
    check_files(section_of(request.config, Sources))
    run, hub = apply_launch_file(request.config.run), section_of(request.config, Hub) or Hub()
    if hub.push_to_hub and not rank():
        from hf_seq2seq.hub.push import check_publication

        check_publication(hub)  # not only after hours of training
    if request.own.search.search is not None:
        if run.num_machines > 1:
            raise InputError(f"--num-machines {run.num_machines}: --search runs its trials on one machine")
        search(request)
        return
    count, folder = processes(run), Path(run.output_dir)
    in_group = rank() is None and USE_DEEPSPEED in os.environ  # it needs a process group even for one process
    if count > 1 or in_group:
        check_pipes(section_of(request.config, Sources), f"{count} processes need a file")
        with nullcontext() if run.machine_rank else locked_folder(folder):
            pass  # errors are reported once, before all processes start
        with hint_when_ended_early(folder):
            launch(["train", *request.arguments], count, run, flatten(request.config))
    else:
        choose_gpu(run)
        origin = current_origin() or Origin(shlex.join(["hf-seq2seq", *sys.argv[1:]]), clocks=command_began())
        with (
            nullcontext() if rank() else locked_folder(folder),
            hint_when_ended_early(folder),
            started_by(origin),
        ):
            request.recipe.main(request.config)


def search(request: Request) -> None:
    """Tries settings, each in a run of its own, and trains the best."""
    from hf_seq2seq.tuning.auto import search_recipe

    check_pipes(section_of(request.config, Sources), "every trial needs a file")
    asked, call = request.own.search, shlex.join(["hf-seq2seq", *sys.argv[1:]])
    search_recipe(request.arguments[0], asked.search, request.given, asked.max_trials, call, asked.ensemble)


@contextmanager
def hint_when_ended_early(folder: Path) -> Iterator[None]:
    """Prints how to resume a run that ended early, by a signal or an error; of several processes, one prints it."""
    started = time.time()
    try:
        yield
    except BaseException:
        if not rank() and not is_started_here() and _has_begun(folder, started) and _can_hint():
            from hf_seq2seq.training.resuming import how_to_go_on

            with suppress(OSError):  # the terminal may be closed
                if hint := how_to_go_on(folder, started):
                    print(hint, file=sys.stderr)
        raise


def _has_begun(folder: Path, since: float) -> bool:
    """Whether a step was logged: before that there is nothing to go on from, and the hint takes seconds to import."""
    log = folder / LOG_FILE
    return log.exists() and log.stat().st_mtime >= since


def _can_hint() -> bool:
    """Whether the hint can be imported: not where a signal left torch half imported, when nothing was trained yet."""
    begun = {name.split(".")[0] for name in sys.modules} & {"torch", "transformers"}
    return all(name in sys.modules for name in begun)


def check_pipes(data: Sources | None, why: str) -> None:
    """Rejects rows that can be read only once if several processes need them; `why` ends the message.

    Raises:
        InputError: a file is a pipe; names the flag.
    """
    for name in FILES:
        for part in (getattr(data, name, None) or "").split(","):
            path = Path(part.rpartition("=")[2]).expanduser()
            if path.exists() and not path.is_file() and not path.is_dir():
                raise InputError(f"{flag(name)} {path}: is a pipe, which can be read only once; {why}")
