"""Logging of a run: lines on the terminal, `train_log.jsonl` for programs, and trackers."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from tqdm import tqdm

from hf_seq2seq import strict_json
from hf_seq2seq.drafts import naming, open_draft
from hf_seq2seq.training.origin import current_origin
from hf_seq2seq.training.state import LOG_FILE, State


class StepLog:
    """Sums losses between two lines of the log; only the main process writes.

    Args:
        accelerator: has the main process and the trackers.
        output_dir: folder of `train_log.jsonl`.
        state: state of the run; a killed run's log entries beyond it are removed.
    """

    def __init__(self, accelerator: Accelerator, output_dir: Path, state: State) -> None:
        self._accelerator = accelerator
        self._state = state
        self._path = output_dir / LOG_FILE
        self._started = self._last = time.perf_counter()
        self._first_step = state.global_step
        self._told = False  # what gradients are not, which holds for all steps
        if accelerator.is_main_process:
            self._cut_back()
        quiet = not (accelerator.is_main_process and sys.stderr.isatty())
        self._bar = tqdm(total=self._total, initial=state.global_step, disable=quiet, leave=False, unit="step")

    def advance(self) -> None:
        """Counts one step."""
        with suppress(OSError):
            self._bar.total = self._total
            self._bar.update()

    @property
    def _total(self) -> int | None:
        """Steps of the run; None while a limit of time has yet to settle them."""
        return self._state.max_steps if self._state.planned else None

    def training(
        self,
        *,
        loss: float,
        learning_rate: float,
        grad_norm: float,
        tokens: float,
        figures: dict[str, float] | None = None,
    ) -> None:
        """One line about the steps since the last one.

        Args:
            loss: the mean.
            learning_rate: of the last step.
            grad_norm: of the last step, before clipping.
            tokens: the number trained on, without padding.
            figures: the objective's own.
        """
        now = time.perf_counter()
        speed = tokens / (now - self._last)
        self._last = now
        values = {"loss": loss, "learning_rate": learning_rate, "grad_norm": grad_norm, "tokens_per_second": speed}
        left = ""
        if self._total is not None:
            per_step = (now - self._started) / (self._state.global_step - self._first_step)
            left = f"  {_clock(per_step * (self._total - self._state.global_step))} left"
            left += " (wall clock)" * ("max_cpu_time" in self._state.budget)  # whose plan is told in CPU time
        figures = figures or {}
        own = "".join(f"  {name} {value:.4g}" for name, value in figures.items())
        text = f"loss {loss:.4f}{own}  rate {learning_rate:.2e}  {speed:,.0f} tokens/s{left}"
        self._write(values | figures, text)

    def evaluation(self, results: dict[str, float], table: Sequence[str] = ()) -> None:
        """One line about an evaluation, or the lines of a table."""
        values = {name: value for name, value in results.items() if not name.endswith(("_runtime", "_samples"))}
        line = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        self._write(results, "\n".join(("evaluation", *table)) if table else line)

    @contextmanager
    def pausing(self) -> Iterator[None]:
        """Excludes what happens in the block from the speed of training, such as an evaluation."""
        began = time.perf_counter()
        yield
        self._last += time.perf_counter() - began

    def say(self, text: str) -> None:
        """A line for the terminal only; a closed terminal does not end the run."""
        if self._accelerator.is_main_process:
            with suppress(OSError):
                tqdm.write(text, file=sys.stderr)

    def warn(self, signs: Sequence[str]) -> None:
        """Warnings, which stand in the log's file, too."""
        for sign in signs:
            self._write({"warning": sign}, f"warning: {sign}")

    def stop(self, reason: str) -> None:
        """Why a run ends before its last step; stands in the log's file, too."""
        self._write({"stopped": reason}, f"stopped: {reason}")

    def gradient_flow(self, figures: dict[str, Any]) -> None:
        """One line about the gradients of a step; the file has every layer and recurrent step."""
        norms = figures["gradient_norm"]
        ends = [(min(norms, key=norms.__getitem__), "least"), (max(norms, key=norms.__getitem__), "most")]
        text = ", ".join(f"{kind} {norms[name]:.1e} ({name})" for name, kind in ends)
        states = figures.get("states", {})
        for name, flow in states.items():
            first, last = flow["gradient_norm"][0], flow["gradient_norm"][-1]
            text += f"\n  {name}: gradient at the first state {first:.1e}, at the last {last:.1e}; norm of the product "
            text += f"of Jacobians {flow['jacobian_product_norm'][0]:.1e}"
        others = [name for name, flow in states.items() if not flow["product_is_gradient"]]
        if others and not self._told:
            text += f"\n  in {', '.join(others)} the gradient at a state is not that at the last one times this product"
            self._told = True
        self._write({"gradient_flow": figures}, f"gradients: {text}")

    def close(self) -> None:
        """Ends the progress bar."""
        with suppress(OSError):
            self._bar.close()

    def _write(self, values: dict[str, Any], text: str) -> None:
        state = self._state
        if not values.keys() & {"warning", "stopped"}:  # trackers draw numbers
            self._accelerator.log(values, step=state.global_step)
        self.say(f"step {state.global_step}/{self._total or '?'}  epoch {state.epoch:.2f}  {text}")
        if self._accelerator.is_main_process:
            row = {"step": state.global_step, "epoch": round(state.epoch, 4)} | values
            with naming(self._path), self._path.open("a") as file:
                file.write(strict_json.dumps(row) + "\n")
            if (origin := current_origin()) and origin.progress:
                origin.progress(row)

    def _cut_back(self) -> None:
        """Rewrites the log without later steps, and without lines broken by a kill or a full disk."""
        lines = self._path.read_bytes().splitlines() if self._path.exists() else []
        kept = [line for line in lines if 0 <= _step(line) <= self._state.global_step]
        with open_draft(self._path) as file:
            file.writelines(line.decode() + "\n" for line in kept)


def _step(line: bytes) -> int:
    """The step of a line of the log; -1 for a broken line."""
    try:
        step = strict_json.loads(line)["step"]
    except (ValueError, TypeError, KeyError):
        return -1
    return step if isinstance(step, int) else -1


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
