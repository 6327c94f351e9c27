"""The cost of a training run: time, devices, and an upper bound of the energy, if the machine reports its power."""

import os
import subprocess
from pathlib import Path

JOULES = 3_600_000  # of a kilowatt-hour
POWER_LIMITS = Path("/sys/class/powercap")


def cost_paragraph(results: dict[str, float], gpu: str | None) -> str:
    """A few sentences about the cost.

    Args:
        results: has "train_runtime" (seconds), and "train_cpu_time" (of all processes) and "train_processes" if the run
            measured them.
        gpu: the name of the GPUs used, one per process; None for the CPU.
    """
    seconds, processes = results.get("train_runtime", 0.0), int(results.get("train_processes", 1))
    cpu_seconds = results.get("train_cpu_time", 0.0)
    place = f"{processes} × {gpu}" if gpu else f"the CPU ({processes} process{'es' * (processes > 1)})"
    time = f"Training took {seconds:,.0f} seconds on {place}"
    time += f" and {cpu_seconds:,.0f} CPU seconds." if cpu_seconds else "."
    return f"{time} {_energy(seconds, processes, cpu_seconds, gpu is not None)}"


def _energy(seconds: float, processes: int, cpu_seconds: float, on_gpu: bool) -> str:
    watts = gpu_watts() if on_gpu else cpu_watts()
    if watts is None:
        return "Its energy is not known, because the machine does not report its power."
    cores = os.cpu_count() or 1
    used = seconds * processes if on_gpu else cpu_seconds / cores
    terms = f"{seconds:,.0f} s × {processes} GPUs" if on_gpu else f"{cpu_seconds:,.0f} CPU s / {cores} cores"
    return (
        f"Its energy was at most about {used * watts / JOULES:.4f} kWh: {terms} × {watts:,.0f} W (the limit that the "
        f"{'driver' if on_gpu else 'processor'} reports) / {JOULES:,}; evaluation, idle time and the rest of the "
        "machine are not included."
    )


def gpu_watts() -> float | None:
    """The power limit of a GPU in watts, the highest if they differ; None if the driver does not report it."""
    command = ["nvidia-smi", "--query-gpu=power.limit", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
        return max(float(line) for line in said.split())
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def cpu_watts(folder: Path = POWER_LIMITS) -> float | None:
    """The long-term power limit of all processors in watts, as reported by Linux; None if it is not."""
    try:
        found = [int(path.read_text()) for path in folder.glob("intel-rapl:?/constraint_0_power_limit_uw")]
    except (OSError, ValueError):
        return None
    return sum(found) / 1e6 or None
