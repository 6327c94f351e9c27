"""The number of processes of a run, their visible GPUs, and the rank of this one; imports no torch."""

import os
from typing import TYPE_CHECKING

from hf_seq2seq.errors import InputError

if TYPE_CHECKING:
    from hf_seq2seq.configs import Run


def rank() -> int | None:
    """This process's rank if started by a launcher; None otherwise."""
    return int(os.environ.get("RANK", 0)) if "WORLD_SIZE" in os.environ else None


def world_size() -> int:
    """The processes that a launcher started, this one among them; 1 when none did."""
    return int(os.environ.get("WORLD_SIZE", 1))


def processes(run: "Run") -> int:
    """How many processes to start: 1 by default, and inside a launched process.

    Raises:
        InputError: `--gpus` is not a list of numbers, or disagrees with `--num-processes`; or the options of several
            machines contradict each other.
    """
    if rank() is not None:
        return 1
    check_machines(run)
    gpus = _gpu_numbers(run.gpus)
    if gpus and run.use_cpu:
        raise InputError("--gpus and --use-cpu exclude each other")
    total = len(gpus) * run.num_machines
    if gpus and run.num_processes not in (None, total):
        raise InputError(f"--num-processes {run.num_processes} does not match --gpus {run.gpus}: one process per GPU")
    return total or run.num_processes or run.num_machines


def check_machines(run: "Run") -> None:
    """Rejects options of several machines that contradict each other.

    Raises:
        InputError: names the option.
    """
    several = run.num_machines > 1
    if run.machine_rank >= run.num_machines:
        ranks = f"with --num-machines {run.num_machines} ranks go from 0 to {run.num_machines - 1}"
        raise InputError(f"--machine-rank {run.machine_rank}: {ranks if several else 'give --num-machines, too'}")
    if run.main_process_ip is not None and not several:
        raise InputError("--main-process-ip: give --num-machines, too")
    if several and run.main_process_ip is None:
        raise InputError(f"--num-machines {run.num_machines}: give --main-process-ip, the address of machine 0")
    if run.num_processes and run.num_processes % run.num_machines:
        raise InputError(
            f"--num-processes {run.num_processes}: are those of all {run.num_machines} machines, of which each starts "
            "the same number"
        )


def shared_by(run: "Run") -> int:
    """The processes that share a run: those of the launcher, or those that the options will start."""
    return world_size() if rank() is not None else processes(run)


def _gpu_numbers(gpus: str | None) -> list[int]:
    words = [word.strip() for word in gpus.split(",")] if gpus else []
    if not all(word.isdecimal() for word in words) or len(set(words)) < len(words):
        raise InputError(f"--gpus: {gpus!r} is not a list of different GPU numbers such as 0,1")
    return [int(word) for word in words]


def show_only(run: "Run") -> None:
    """Hides all GPUs but the chosen ones; call before importing torch."""
    if run.gpus and rank() is None:
        os.environ["CUDA_VISIBLE_DEVICES"] = run.gpus


def choose_gpu(run: "Run") -> None:
    """Hides all GPUs but the chosen one; call before importing torch.

    Raises:
        InputError: it does not exist.
    """
    show_only(run)
    if run.gpus and rank() is None:
        devices(1, run)


def devices(count: int, run: "Run") -> int:
    """The GPUs that the processes can use; 0 on CPU."""
    there = gpus_there(run)
    if there and count > there:
        raise InputError(f"{count} processes for {there} GPU{'s' * (there > 1)}; use fewer, or --use-cpu")
    if run.gpus and not there:
        raise InputError(f"--gpus {run.gpus}: there is no such GPU; leave it out to train on the CPU")
    return there


def gpus_there(run: "Run") -> int:
    """How many GPUs a run may use; 0 if it uses the CPU."""
    import torch

    return 0 if run.use_cpu or not torch.cuda.is_available() else torch.cuda.device_count()
