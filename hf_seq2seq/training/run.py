"""A whole run: train, evaluate, predict, and write a folder that Hugging Face's tools understand."""

import os
import resource
import sys
from contextlib import nullcontext
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor
from transformers.utils.logging import disable_progress_bar

from hf_seq2seq.configs import Adaptation, Hub, RunConfig
from hf_seq2seq.data.batches import BatchPlan
from hf_seq2seq.data.evaluation_sets import RESULTS, kind_of, learned_by_heart, name_of, sets_of, title_of
from hf_seq2seq.data.mixtures import describe_mixture
from hf_seq2seq.data.shared_rows import describe_shared, hint_on_shared
from hf_seq2seq.data.statistics import describe_losses
from hf_seq2seq.data.tokenizers.vocabulary import TARGET_FOLDER
from hf_seq2seq.decoding.float32 import quick_float32
from hf_seq2seq.defaults.choosing import describe_briefly
from hf_seq2seq.folders import fill_folder, locked_folder
from hf_seq2seq.hub.closing import closing_summary
from hf_seq2seq.hub.intervals import Intervals
from hf_seq2seq.hub.push import push_finished_run
from hf_seq2seq.hub.reading import describe_one_label, describe_reading
from hf_seq2seq.inference import Decoding
from hf_seq2seq.saved.adapters import is_adapted, merge_adapter
from hf_seq2seq.sections import flag, flatten, section_of
from hf_seq2seq.task import Predictions, Task
from hf_seq2seq.training.attention_kernels import use_kernels
from hf_seq2seq.training.budget import describe_short
from hf_seq2seq.training.checks import runs_on_cpu
from hf_seq2seq.training.evaluation import evaluate_and_predict
from hf_seq2seq.training.files import write_json, write_model
from hf_seq2seq.training.loop import Loop
from hf_seq2seq.training.model_selection import Selection
from hf_seq2seq.training.origin import code_of
from hf_seq2seq.training.output_folder import SCORES, make_room
from hf_seq2seq.training.state import LOG_FILE, State
from hf_seq2seq.training.trackers import start_trackers
from hf_seq2seq.training.unused_columns import describe_found, describe_unused
from hf_seq2seq.training.weights import zero_settings
from hf_seq2seq.training.weights.precision import Weights, describe_precision
from hf_seq2seq.training.weights.sharding import is_asked_for, left_to_us
from hf_seq2seq.training.zero import count

PREDICTIONS = {"texts": "generated_predictions{}.txt", "labels": "predictions{}.jsonl", "confusion": "confusion{}.png"}


def make_accelerator(config: RunConfig) -> Accelerator:
    """The processes, the device and the precision of a run; seeds what happens before training."""
    on_cpu = runs_on_cpu(config.run)
    # In bfloat16, CPU layers and sharded layers are cast themselves.
    autocast = not (on_cpu or is_asked_for() or zero_settings.is_asked_for())
    precision = "fp16" if config.optimization.fp16 else "bf16" if config.optimization.bf16 and autocast else "no"
    if on_cpu:
        os.environ["DS_ACCELERATOR"] = "cpu"  # DeepSpeed, if installed, is loaded in any case, and looks for a GPU
    with left_to_us():
        accelerator = Accelerator(
            mixed_precision=precision,
            cpu=on_cpu,
            log_with=list(config.run.report_to) or None,
            project_dir=config.run.output_dir,
        )
    set_seed(config.run.seed)
    return accelerator


def run(task: Task) -> dict[str, float]:
    """Trains a task to its end and writes all files of a run; returns all results.

    Raises:
        InputError: another run writes to its folder.
        SystemExit: 129, 130 or 143 after SIGHUP, Ctrl-C or SIGTERM, with a checkpoint saved.
    """
    disable_progress_bar()  # about saving, one line per checkpoint
    use_kernels(task.model, task.config)
    accelerator = make_accelerator(task.config)
    folder = Path(task.config.run.output_dir)
    with locked_folder(folder) if accelerator.is_main_process else nullcontext():
        return _run(task, accelerator, folder)


def _run(task: Task, accelerator: Accelerator, folder: Path) -> dict[str, float]:
    config = task.config
    loop = Loop(task, accelerator, folder, config.run.resume_from_checkpoint)
    loop.budget.probe(task, accelerator)
    if accelerator.is_main_process:
        make_room(folder, config.run.resume_from_checkpoint is not None)
        print(*(f"{note}\n" for note in loop.notes), sep="", end="", file=sys.stderr)
        describe_start(task, loop.plan, loop.state, accelerator.num_processes)
    accelerator.wait_for_everyone()
    start_trackers(accelerator, config, loop.state)
    with quick_float32(longest(task)) if accelerator.device.type == "cpu" else nullcontext():
        state = loop.run()
        signal = loop.signal
        results = {} if signal else finish(loop.task, state, accelerator, loop.weights)
    # The loop goes before the process group: what exchanges gradients would, outliving the group, end it with the
    # interpreter's lock in its hands and wait for ever for threads that want the lock.
    del loop
    accelerator.wait_for_everyone()
    accelerator.free_memory()
    accelerator.end_training()
    if signal:
        raise SystemExit(128 + signal)
    if accelerator.is_main_process:
        publish(config)
    return results


def publish(config: RunConfig) -> None:
    """Uploads the run's folder if requested; no process waits for it.

    Raises:
        InputError: the upload failed; says how to retry.
    """
    hub = section_of(config, Hub) or Hub()
    if hub.push_to_hub:
        push_finished_run(Path(config.run.output_dir), hub)


def finish(task: Task, state: State, accelerator: Accelerator, weights: Weights) -> dict[str, float]:
    """Saves the trained model, evaluates it and predicts with it, and writes the results; returns all results.

    The model is saved completely before it is scored, which may take long and fail.
    """
    adaptation = section_of(task.config, Adaptation)
    if is_adapted(task.model) and adaptation is not None and adaptation.merge_adapter:
        merge_adapter(task.model)
    folder = Path(task.config.run.output_dir)
    results: dict[str, float] = train_results(task, state, accelerator.num_processes)
    if accelerator.is_main_process or weights.sharded:
        trained = weights.state_dict()
    if accelerator.is_main_process:
        save_model(folder, task, trained, state, results)
        del trained
    predictions: dict[str, Predictions] = {}
    for kind, prefix in RESULTS.items():
        found, predicted = evaluate_and_predict(task, kind, accelerator, prefix)
        results |= found
        predictions |= predicted
    if accelerator.is_main_process:
        save_results(folder, task, state, results, predictions)
    return results


def longest(task: Task) -> int:
    """Maximum source or target length in tokens."""
    return max(int(examples.lengths.max()) for examples in task.splits.values())


def describe_start(task: Task, plan: BatchPlan, state: State, processes: int) -> None:
    """Prints to standard error what is about to be trained."""
    parameters, every = (count(task.model, only_trainable=trained) for trained in (True, False))
    share = "" if parameters == every else f" of {every:,} ({parameters / every:.2%})"
    rows = ", ".join(f"{title_of(name)} {len(examples):,}" for name, examples in task.splits.items())
    losses = "".join(f"{line}\n" for line in [*describe_losses(task.splits, task.tokenizers), *describe_reading(task)])
    kind = "process" if processes == 1 else "processes"
    on_cpu = task.model.device.type == "cpu"
    unused = describe_unused(task)
    mixed = [f"an epoch has {describe_mixture(task.mixture)}\n"] if task.mixture else []
    print(
        f"{task.recipe}: {parameters:,} parameters{share} train; rows: {rows}; {losses}",
        *(f"columns: {line}\n" for line in describe_found(task, unused)),
        *(f"columns that are not read: {line}\n" for line in unused),
        *(f"  {line}\n" for line in describe_briefly(task.config)),
        *mixed,
        *(f"  {line}\n" for line in task.training_rows.describe()),
        *([f"{made_of}\n"] if (made_of := task.splits["train"].made_of) else []),
        *(f"{line}\n" for line in describe_shared(task.splits, hint_on_shared(task.config))),
        *(f"{line}\n" for line in learned_by_heart(flatten(task.config))),
        *(f"{line}\n" for line in describe_precision(task.config.optimization, on_cpu, state.max_steps)),
        f"folder  {task.config.run.output_dir}\n",
        f"{_steps_to_go(task, state)} on {processes} {kind}, "
        f"{len(plan):,} per epoch, {plan.padding:.1%} of the tokens are padding",
        sep="",
        file=sys.stderr,
    )


def _steps_to_go(task: Task, state: State) -> str:
    if state.stopped_early:
        return f"no steps: it stopped early before, at step {state.global_step},"
    if state.planned:
        return f"{state.max_steps - state.global_step:,} steps of {state.max_steps:,}"
    limits = (f"{flag(name)} {getattr(task.config.schedule, name)}" for name in task.config.schedule.limits())
    return f"as many steps as fit into {' and '.join(limits)}"


def train_results(task: Task, state: State, processes: int) -> dict[str, float]:
    """Results of training itself: time, memory and amounts; all processes are assumed to take equally much."""
    counted = {} if task.problem.is_classifier else {"train_target_tokens": state.target_tokens_seen}
    return counted | {
        "epoch": round(state.epoch, 4),
        "train_samples": len(task.splits["train"]),
        "train_steps": state.global_step,
        "train_loss": state.train_loss_sum / max(1.0, state.train_loss_weight),
        "train_runtime": state.train_runtime,
        "train_cpu_time": state.train_cpu_time * processes,
        "train_processes": processes,
        "train_peak_memory_mb": round(_peak_memory(task.model.device) / 1e6, 1),
    }


def _peak_memory(device: torch.device) -> float:
    """The most bytes that this process has held: on the GPU if it trains on one, otherwise in main memory."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


def save_model(folder: Path, task: Task, weights: dict[str, Tensor], state: State, results: dict[str, float]) -> None:
    """Writes the model, the state, the loss plot, and a card without scores; removes an earlier model's scores."""
    from hf_seq2seq.analysis.flow_picture import draw_gradient_flow
    from hf_seq2seq.analysis.pictures import draw_losses

    suffixes = dict.fromkeys(_suffix(split) for split in task.splits)
    predicted = [name.format(suffix) for name in PREDICTIONS.values() for suffix in suffixes]
    with fill_folder(folder, stale=(TARGET_FOLDER, *SCORES, *predicted)) as draft:
        write_model(draft, task, weights)
        state.files = {}  # they are a checkpoint's
        state.save(draft)
        draw_losses(folder / LOG_FILE, draft / "loss.png")
        draw_gradient_flow(folder / LOG_FILE, draft / "gradient_flow.png")
    _write_card(folder, task, results, {}, state.changes)


def save_results(
    folder: Path, task: Task, state: State, results: dict[str, float], predictions: dict[str, Predictions]
) -> None:
    """Writes the scores and the predictions, and the card with them; prints them to standard error."""
    with fill_folder(folder) as draft:
        for prefix in ("train", "eval", "predict"):
            found = {k: v for k, v in results.items() if k.startswith(f"{prefix}_") or k == "epoch"}
            if len(found) > 1:
                write_json(draft / f"{prefix}_results.json", found)
        write_json(draft / "all_results.json", results)
        state.save(draft)
        if predictions:
            write_predictions(draft, task, predictions)
    intervals = _write_card(folder, task, results, predictions, state.changes)
    notes = describe_one_label(task) + describe_short(task.config, state)
    if decoding := section_of(task.config, Decoding):
        selection = Selection(task.config.schedule, task, state.steps_per_epoch)
        notes += selection.beside_best(state, results, decoding.num_beams)
    print("", *closing_summary(folder, task, results, intervals, notes), sep="\n", file=sys.stderr)


def _write_card(
    folder: Path, task: Task, results: dict[str, float], predictions: dict[str, Predictions], changes: list[str]
) -> Intervals:
    from hf_seq2seq.hub.card import write_card

    return write_card(folder, task, results, code_of(task.recipe, task.config), dict(predictions), changes)


def write_predictions(folder: Path, task: Task, predictions: dict[str, Predictions]) -> None:
    """Writes the predictions of the test sets, or otherwise of the validation sets, each to separate files."""
    for split in sets_of(predictions, kind_of(list(predictions)[-1])):
        files = {what: folder / name.format(_suffix(split)) for what, name in PREDICTIONS.items()}
        task.problem.write_predictions(task, split, predictions[split], files)


def _suffix(split: str) -> str:
    """The suffix of file names of a named set."""
    return f"_{name_of(split)}" if name_of(split) else ""
