"""The one training loop.

An optimizer step is a set of rows (see `data.batches`). Every process takes its share of the step's batches, adds up
the summed losses' gradients, and divides by the weight (target tokens, rows) of the whole step; so neither the
accumulation nor the number of processes nor the padding changes the gradient. Random numbers are reseeded for every
batch from the run's seed and the batch's position, so a run resumed at any step continues bit for bit without saved
generator states.
"""

import math
import time
from contextlib import closing, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from safetensors.torch import save_file
from torch import Tensor

from hf_seq2seq.configs import Optimization, Schedule
from hf_seq2seq.data.batches import BatchPlan
from hf_seq2seq.data.evaluation_sets import sets_of
from hf_seq2seq.errors import InputError
from hf_seq2seq.hub.closing import score_lines
from hf_seq2seq.objectives.figures import quotients
from hf_seq2seq.task import Task
from hf_seq2seq.training.budget import Budget
from hf_seq2seq.training.checkpoint_averaging import load_mean, needed_later
from hf_seq2seq.training.checkpoints import list_checkpoints, prune_checkpoints, save_checkpoint
from hf_seq2seq.training.damage import OPTIMIZER_FILE
from hf_seq2seq.training.evaluation import evaluate_and_predict, with_eval_beams
from hf_seq2seq.training.files import load_weights, write_beside, write_model
from hf_seq2seq.training.gradient_flow import GradientFlow
from hf_seq2seq.training.interrupts import Interrupts, watch_signals
from hf_seq2seq.training.log import StepLog
from hf_seq2seq.training.model_selection import Selection
from hf_seq2seq.training.optimizers import load_optimizer, make_optimizer, optimizer_state, save_optimizer
from hf_seq2seq.training.recomputation import recompute_activations
from hf_seq2seq.training.resuming import check_weights, contents, describe_changes, find_checkpoint, reselect
from hf_seq2seq.training.schedules import followed, learning_rate_factor
from hf_seq2seq.training.starts import check_starts, late_starts
from hf_seq2seq.training.state import State
from hf_seq2seq.training.step_batches import StepBatches, one_ahead, step_batches
from hf_seq2seq.training.watch import Watch
from hf_seq2seq.training.weights import zero_settings
from hf_seq2seq.training.weights.moving_average import TRAINED_FILE, evaluated_weights
from hf_seq2seq.training.weights.precision import Weights, lower_precision
from hf_seq2seq.training.weights.sharding import (
    ShardedWeights,
    full_tensor,
    is_asked_for,
    no_sync,
    set_up,
    unsharded,
)
from hf_seq2seq.training.zero import ZeroWeights, unhooked


class Loop:
    """Trains a task from its first step, or from a checkpoint, to its last.

    Args:
        task: the task prepared by the recipe.
        accelerator: the processes and the precision.
        output_dir: where checkpoints and the log go.
        resume: a checkpoint folder to resume from, or 'last'.

    Attributes:
        notes: messages about the checkpoint and changes since.
    """

    def __init__(self, task: Task, accelerator: Accelerator, output_dir: Path, resume: str | None = None) -> None:
        self.task = task
        self.accelerator = accelerator
        self.output_dir = output_dir
        self.optimization: Optimization = task.config.optimization
        self.schedule: Schedule = task.config.schedule
        self.seed: int = task.config.run.seed
        self.plan = BatchPlan(task.training_rows, self.optimization, accelerator.num_processes, self.seed)
        self.state = State(max_steps=self._max_steps(), steps_per_epoch=len(self.plan), data=contents(task))
        end = task.training_rows.end
        by_epochs = self._max_steps() if end or task.config.settles("num_train_epochs") else None
        self.budget = Budget(self.schedule, self.plan.tokens_per_step, by_epochs, end)
        self.budget.begin(self.state)
        self.notes = check_starts(task, self.state.max_steps if self.state.planned else None)
        self.signal = 0
        self._is_new_plan = False
        self.selection = Selection(self.schedule, task, len(self.plan))
        self.optimizer: Any
        self.weights = self._prepare()
        self.averaging = task.config.averaging
        self.evaluated = evaluated_weights(self.weights, self.averaging, self.optimizer, self.optimization.optim)
        self.rates = followed(self.schedule, self.optimization.optim)
        every = task.config.instruments.log_gradient_flow if accelerator.is_main_process else None
        self.flow = GradientFlow(task.model, self.weights, every)
        if resume is not None:
            self._resume(find_checkpoint(output_dir, resume, self.notes.append))
        before = self.state.unlogged_loss if accelerator.is_main_process else 0.0
        self._loss = torch.tensor(before, dtype=torch.float64, device=accelerator.device)
        self._weight, self._tokens = self.state.unlogged_weight, 0.0
        task.objective.figures.include(task.training_rows.logged)
        task.objective.figures.reset(self.state.unlogged_figures if accelerator.is_main_process else None)
        self._norm: Any = 0.0

    def _max_steps(self) -> int:
        return self.schedule.max_steps or max(1, self.plan.steps(self.schedule.num_train_epochs))

    def _prepare(self) -> Weights:
        """Sets precision, recomputation and compilation, and wraps the objective for its processes."""
        model = self.task.model
        model.train()
        if self.optimization.gradient_checkpointing:
            recompute_activations(model)
        on_cpu, bf16 = self.accelerator.device.type == "cpu", self.optimization.bf16
        if self.optimization.torch_compile:
            model.compile(dynamic=True)
        if zero_settings.is_asked_for():
            zero_weights = ZeroWeights(self.task.objective, self.optimization, self.accelerator)
            self.objective, self.optimizer = zero_weights.engine, zero_weights.optimizer
            return zero_weights
        if is_asked_for():
            weights: Weights = ShardedWeights(self.task.objective, bf16, self.accelerator)
            self.objective = self.task.objective
        else:
            weights = lower_precision(model) if bf16 and on_cpu else Weights(model)
            self.objective = self.accelerator.prepare(self.task.objective)
        self.optimizer = self.accelerator.prepare(make_optimizer(weights.parameters, self.optimization))
        return weights

    def _resume(self, checkpoint: Path | None) -> None:
        if checkpoint is None:
            self.notes.append(f"{self.output_dir} contains no checkpoint yet; starting at the first step")
            return
        state = State.load(checkpoint)
        if state.steps_per_epoch != len(self.plan):
            raise InputError(
                f"{checkpoint}: was trained with {state.steps_per_epoch} steps per epoch, this run has "
                f"{len(self.plan)}; resume with the same data, batch size and number of processes"
            )
        if state.global_step > self.state.max_steps:
            raise InputError(
                f"{checkpoint}: has {state.global_step} steps done; this run ends at {self.state.max_steps}"
            )
        check_weights(self.task.model, checkpoint)
        changes = describe_changes(self.task.config, checkpoint, self.state.data)
        self.notes.append(f"resuming from {checkpoint}" + "".join(f"\n  changed: {change}" for change in changes))
        state.changes += [f"at step {state.global_step}: {change}" for change in changes]
        self.notes += reselect(self.selection, state, self.task.config, checkpoint, self.state.data)
        state.data = self.state.data
        if not (self.budget.meters and state.budget):
            state.max_steps = self.state.max_steps
        self.budget.resume(state)
        self.state = state
        self.task.training_rows.resume(state.stream)
        if self.budget.meters and state.planned:
            self._note_plan()
        load_weights(self.weights, checkpoint, self.task.objective)
        self.evaluated.resume(checkpoint)
        if state.global_step:  # before the first step the optimizer has no state
            load_optimizer(self.optimizer, checkpoint / OPTIMIZER_FILE, state.optimizer_scalars)

    def run(self) -> State:
        """Trains to the end; the model is left with the best checkpoint's weights, in float32.

        After Ctrl-C, SIGTERM or SIGHUP a checkpoint is saved, training ends early, and `signal` is the signal's number.
        """
        self.log = StepLog(self.accelerator, self.output_dir, self.state)
        self.watch = Watch(self.task, self.state)
        state = self.state
        if self.selection.guarding and state.global_step == 0 and state.guard_start is None and self._evaluate():
            self._save()  # what no later checkpoint betters is kept
        batches = step_batches(self.task, self.plan, self.accelerator, state.global_step)
        with watch_signals() as interrupts, closing(one_ahead(batches, state.max_steps - state.global_step)) as steps:
            while not (state.finished or self.signal):
                self._train_on(next(steps), interrupts)
        self.log.close()
        self.evaluated.keep()
        del self.objective, self.optimizer, self.evaluated, self.flow  # training state takes memory
        self.weights = self.weights.release()
        if best := self.state.best_model_checkpoint:
            load_weights(self.weights, self.output_dir / best, self.task.objective)
        self.log.say(self.selection.outcome(state))
        if self.averaging.average_checkpoints and not self.signal:
            self._load_mean()
        return self.state

    def _load_mean(self) -> None:
        """Loads the mean of several checkpoints, and says which."""
        found, lost = load_mean(self.weights, self.output_dir, self.state, self.averaging, self.task.objective)
        lacking = f"; missing or damaged: {', '.join(lost)}" if lost else ""
        made_of = f"the mean of {', '.join(found)}"
        if len(found) < 2:
            made_of = "not a mean, for there are fewer than two checkpoints"
        elif len(found) + len(lost) < (self.averaging.average_checkpoints or 0):
            lacking += f"; {self.averaging.average_checkpoints} were asked for, but the run saved no more"
        self.log.say(f"the final model is {made_of}{lacking}")

    def _train_on(self, step: StepBatches, interrupts: Interrupts) -> None:
        started, cpu_started = time.perf_counter(), time.process_time()
        self.signal = self._step(step, interrupts.signal)
        state = self.state
        state.global_step += 1
        state.train_runtime += time.perf_counter() - started
        state.train_cpu_time += time.process_time() - cpu_started
        self.log.advance()
        self.flow.tell(self.log.gradient_flow)
        if state.global_step % self.schedule.logging_steps == 0 or state.finished:
            self._log_training()
        evaluates = self.selection.evaluates(state)
        saves = (evaluates and self._evaluate()) or self.signal or self._is_new_plan
        if self.selection.saves(state):
            saves = True
            state.averaged_steps += [state.global_step] if self.averaging.average_checkpoints else []
        if saves:
            self._save()
        self._is_new_plan = False
        self.budget.done(self.plan.tokens(step.rows), "evaluation" if evaluates else "saving" if saves else "")
        if self.signal:
            self.log.say(f"stopped at step {state.global_step}; a checkpoint is saved")

    def _step(self, step: StepBatches, signal: int) -> int:
        """One optimizer step; returns the signal that any process recorded."""
        accelerator = self.accelerator
        self.task.objective.begin_step(self.state.global_step, self.state.max_steps)
        with self.task.objective.figures.counting(float(accelerator.is_main_process)):
            for name, value in step.figures.items():
                self.task.objective.figures.add(name, value, 1.0)
        to_device = {"device": accelerator.device, "non_blocking": True}
        batches = [{name: tensor.to(**to_device) for name, tensor in batch.items()} for batch in step.batches]
        batches = self._augment(batches, step.real)
        total, signal = self._totals(batches, step, signal)
        for index, (batch, factor) in enumerate(zip(batches, step.real, strict=True)):
            self._seed(index)
            last = index == len(batches) - 1
            sync = nullcontext() if last or self.weights.low_precision else no_sync(self.objective, accelerator)
            with sync, self.task.objective.figures.counting(factor):
                loss = self.objective(batch) * factor
                self.weights.backward(loss * (accelerator.num_processes / total), accelerator)
            self._loss += loss.detach()
        with self.flow.watching(self.state.global_step + 1, batches[0]):
            self._update()
        self._weight += total
        return signal

    @torch.no_grad()
    def _augment(self, batches: list[dict[str, Tensor]], real: list[float]) -> list[dict[str, Tensor]]:
        """Lets the objective add model-generated data to a step's batches."""
        objective = self.task.objective
        if not objective.generates:
            return self._augmented(batches, real)
        self._check_finite(weights=False)
        set_up(objective, batches[0])
        with unsharded(objective), unhooked(objective), self.accelerator.autocast():
            return self._augmented(batches, real)

    def _augmented(self, batches: list[dict[str, Tensor]], real: list[float]) -> list[dict[str, Tensor]]:
        found = []
        for batch, factor in zip(batches, real, strict=True):
            with self.task.objective.figures.counting(factor):
                found.append(self.task.objective.augment(batch))
        return found

    def _totals(self, batches: list[dict[str, Tensor]], step: StepBatches, signal: int) -> tuple[float, int]:
        """The step's weight over all processes and the strongest signal; checks the previous step.

        This is the only point of a step at which the host waits for the device, and processes for each other.
        """
        objective, device = self.task.objective, self.accelerator.device
        weights = torch.zeros(2, dtype=torch.float64, device=device)
        for batch, factor in zip(batches, step.real, strict=True):
            weights += torch.stack([objective.weight(batch), objective.target_tokens(batch)]).double() * factor
        known = torch.tensor([step.tokens, float(signal), *self.budget.readings()], dtype=torch.float64, device=device)
        before = torch.stack([self._loss, self._norm_of_gradient()])
        every = self.accelerator.gather(torch.cat([weights, known, before])).view(-1, 8).cpu()
        weight, targets, tokens, _, _, cpu, loss, norm = every.sum(0).tolist()
        self._refuse_infinite(loss, norm)
        self._lay_out([float(every[:, 4].max()), cpu])
        self._tokens += tokens
        self.state.target_tokens_seen += targets
        return weight, int(every[:, 3].max())

    def _lay_out(self, readings: list[float]) -> None:
        """Sets the run's steps and evaluations by its limits of time, where those say so; they go to the run's file."""
        first = not self.state.planned
        if not (detail := self.budget.look(readings, self.state)):
            return
        if self.budget.is_news(self.state):
            self.log.say(detail)
        for told in late_starts(self.task, self.state.max_steps) if first else ():
            self.log.say(told)
        self._is_new_plan = first  # a run that is killed soon resumes with it
        self._note_plan()

    def _note_plan(self) -> None:
        """Puts the steps and the interval of evaluations into the configuration that the run writes."""
        every = self.schedule.eval_steps or self.state.eval_steps
        schedule = replace(self.schedule, max_steps=self.state.max_steps, eval_steps=every)
        self.task = replace(self.task, config=replace(self.task.config, schedule=schedule))

    def _update(self) -> None:
        factor = learning_rate_factor(self.state.global_step, self.rates, self.state.max_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = self.optimization.learning_rate * factor
        self._norm = self.weights.update(self.optimizer, self.optimization.max_grad_norm or math.inf, self.accelerator)
        self.evaluated.update(self.state.global_step + 1)

    def _norm_of_gradient(self) -> Tensor:
        """The norm of the last step; 0 with float16, where a gradient may overflow and the step is then skipped."""
        norm = 0.0 if self.optimization.fp16 else full_tensor(self._norm)
        return torch.as_tensor(norm, dtype=torch.float64, device=self.accelerator.device)

    def _check_finite(self, weights: bool = True) -> None:
        """Ends the run if the last step's loss, gradient or weights are not finite; collective over processes."""
        broken = torch.tensor(float(weights and not self.weights.finite), dtype=torch.float64)
        asked = torch.stack([self._loss, self._norm_of_gradient(), broken.to(self.accelerator.device)])
        self._refuse_infinite(*self.accelerator.reduce(asked, "sum").tolist())

    def _refuse_infinite(self, loss: float, norm: float, broken: float = 0.0) -> None:
        """Stops training; the values are sums over processes, so that all end together."""
        if math.isfinite(loss) and math.isfinite(norm) and not broken:
            return
        wrong = "weights are not finite"
        wrong = wrong if math.isfinite(norm) else f"the norm of the gradient is {norm}"
        wrong = wrong if math.isfinite(loss) else f"the loss is {loss}"
        kept = list_checkpoints(self.output_dir)
        raise InputError(
            f"step {self.state.global_step}: {wrong}, and training cannot continue; lower --learning-rate, or clip "
            f"by --max-grad-norm\nlast complete checkpoint: {kept[-1] if kept else 'none was saved'}"
        )

    def _seed(self, index: int) -> None:
        """Seeds dropout from the batch's position in the step, independent of the number of processes."""
        place = index * self.accelerator.num_processes + self.accelerator.process_index
        sequence = np.random.SeedSequence([self.seed, self.state.global_step, place])
        generators = torch.default_generator if self.accelerator.device.type == "cpu" else torch
        generators.manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1)))

    def _log_training(self) -> None:
        self._check_finite()
        total = float(self.accelerator.reduce(self._loss, "sum"))
        self.state.train_loss_sum += total
        self.state.train_loss_weight += self._weight
        loss, norm, rate = total / self._weight, float(full_tensor(self._norm)), self.optimizer.param_groups[0]["lr"]
        figures = quotients(self._figures())
        self.log.training(loss=loss, learning_rate=rate, grad_norm=norm, tokens=self._tokens, figures=figures)
        self.log.warn(self.watch.training(loss, norm))
        self._loss.zero_()
        self._weight = self._tokens = 0.0
        self.task.objective.figures.reset()

    def _figures(self) -> dict[str, list[float]]:
        """Sum and divisor of each of the objective's figures over all processes."""
        figures = self.task.objective.figures
        sums = figures.sums(self.accelerator.device)
        return figures.named(self.accelerator.reduce(sums, "sum")) if len(sums) else {}

    def _evaluate(self) -> bool:
        """Evaluates; returns whether the checkpoint is the best so far."""
        self._check_finite()
        task = with_eval_beams(self.task)
        with self.log.pausing(), self.evaluated.applied():
            results, predictions = evaluate_and_predict(task, "validation", self.accelerator, "eval")
        several = len(sets_of(self.task.splits, "validation")) > 1
        self.log.evaluation(results, score_lines(self.task, results, {}) if several else ())
        self.log.warn(self.watch.evaluation(results, predictions))
        improved = self.selection.update(self.state, results)
        if self.state.stop_reason:
            self.log.stop(self.state.stop_reason)
        return improved

    def _save(self) -> None:
        self._check_finite()
        self.state.unlogged_loss = float(self.accelerator.reduce(self._loss, "sum"))
        self.state.unlogged_weight, self.state.unlogged_figures = self._weight, self._figures()
        self.state.stream = self.plan.position(self.state.global_step)
        if (main := self.accelerator.is_main_process) or self.weights.sharded:
            trained, optimizer = self.evaluated.trained(), optimizer_state(self.optimizer)
            with self.log.pausing(), self.evaluated.applied():
                weights = self.weights.state_dict()
                if main:
                    write = partial(self._write, weights=weights, trained=trained, optimizer=optimizer)
                    save_checkpoint(self.output_dir, self.state, write)
        if main:
            best, limit = self.state.best_model_checkpoint, self.schedule.save_total_limit
            prune_checkpoints(self.output_dir, limit, best, needed_later(self.state, self.averaging))
        self.accelerator.wait_for_everyone()

    def _write(
        self, folder: Path, weights: dict[str, Tensor], trained: dict[str, Tensor], optimizer: dict[str, Any]
    ) -> None:
        write_model(folder, self.task, weights)
        write_beside(folder, self.task, weights)
        if trained:
            save_file(trained, folder / TRAINED_FILE)
        self.state.optimizer_scalars = save_optimizer(optimizer, folder / OPTIMIZER_FILE)
