"""The model card of a run: what the model is, how it was trained and on what, how good it is, and how to use it."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hf_seq2seq.data.evaluation_sets import kind_of
from hf_seq2seq.data.statistics import describe_lengths
from hf_seq2seq.drafts import open_draft
from hf_seq2seq.hub.cost import cost_paragraph
from hf_seq2seq.hub.data_section import data_section
from hf_seq2seq.hub.examples_section import examples_section
from hf_seq2seq.hub.intervals import Intervals, score_intervals
from hf_seq2seq.hub.markdown import code, fence, folded
from hf_seq2seq.hub.metadata import front_matter, hub_name, scores
from hf_seq2seq.hub.reading import reading_limits
from hf_seq2seq.hub.results_section import results_section
from hf_seq2seq.hub.snippet import how_to_use, is_hand_built, with_peft
from hf_seq2seq.saved.pooling import NAMES, recorded_pooling
from hf_seq2seq.sections import flatten
from hf_seq2seq.settings_files import yaml_text
from hf_seq2seq.task import Task

OWN_CODE = "The architecture is Python code stored with the weights; `trust_remote_code=True` runs it."
ADAPTERS = {
    "lora": ("LoRA", "2106.09685"), "dora": ("DoRA", "2402.09353"), "rslora": ("rsLoRA", "2312.03732"),
    "pissa": ("PiSSA", "2404.02948"), "olora": ("OLoRA", "2406.01775"),
}  # fmt: skip
"""The name of each form of low-rank adapters, and its paper on arXiv."""
TELLING_SHARE = 1.0  # percent of truncated rows, or of unknown tokens, that is worth a warning


def write_card(
    folder: Path,
    task: Task,
    results: dict[str, float],
    command: str,
    predictions: dict[str, Any] | None = None,
    changes: Sequence[str] = (),
) -> Intervals:
    """Writes `README.md`, including the pictures in the folder.

    Args:
        folder: the run's folder, from which the card's program loads the model.
        task: the trained task.
        results: "eval_bleu", "predict_bleu", "train_runtime" and so on, metrics as computed.
        command: the command line or Python call of the run.
        predictions: texts or logits by split, for splits that have any.
        changes: what resumed runs changed, and at which step, so that the command alone does not repeat the run.

    Returns:
        The intervals of the scores.
    """
    intervals = score_intervals(task, predictions or {})
    name = folder.resolve().name
    examples = examples_section(task, predictions or {})
    parts = [
        front_matter(name, task, results),
        f"# {name}",
        _what_it_is(task),
        "## How to use",
        *([OWN_CODE] if is_hand_built(task) else []),
        fence(how_to_use(folder, task), "python"),
        *with_peft(task),
        "## Results",
        *results_section(folder, task, results, intervals, predictions),
        *(["## Examples", *examples] if examples else []),
        "## Data",
        *data_section(task),
        "## Training",
        *_training(task, results, command, changes),
        "## Limits",
        "\n".join(f"- {limit}" for limit in _limits(task, results)),
    ]
    with open_draft(folder / "README.md") as stream:
        stream.write("\n\n".join(parts) + "\n")
    return intervals


def _what_it_is(task: Task) -> str:
    parameters = task.model.num_parameters()
    kind = f"{code(type(task.model).__name__)} of {parameters:,} parameters"
    return f"A {kind} that {_purpose(task)}. {_origin(task)}"


def _purpose(task: Task) -> str:
    if task.mixture:
        return f"performs the tasks {', '.join(code(member.name) for member in task.mixture.members)}"
    return task.problem.purpose(task)


def _origin(task: Task) -> str:
    base = flatten(task.config).get("model_name_or_path")
    start = "Trained from random weights"
    if base:
        link = f"[{code(base)}](https://huggingface.co/{base})" if hub_name(base) else code(base)
        start = f"Fine-tuned from {link}"
    return f"{start} by the recipe {code(task.recipe)} of hf-seq2seq{_adapter(task)}."


def _adapter(task: Task) -> str:
    given = flatten(task.config)
    if given.get("ia3"):
        return ", by an adapter of factors ([(IA)³](https://arxiv.org/abs/2205.05638))"
    if given.get("lora_r") is None:
        return ""
    name, paper = ADAPTERS[given["lora_variant"]]
    return f", by a low-rank adapter ([{name}](https://arxiv.org/abs/{paper}), rank {given['lora_r']})"


def _training(task: Task, results: dict[str, float], command: str, changes: Sequence[str]) -> list[str]:
    known = {
        "train_steps": "{:,.0f} optimizer steps",
        "epoch": "{:.2f} epochs",
        "train_target_tokens": "{:,.0f} target tokens",
    }
    done = [text.format(results[key]) for key, text in known.items() if results.get(key)]
    libraries = [f"{name} {found}" for name in ("hf-seq2seq", "transformers", "torch") if (found := _version(name))]
    resolved = {"recipe": task.recipe} | flatten(task.config)
    configuration = fence(yaml_text(resolved), "yaml")
    listed = "\n".join(f"- {change}" for change in changes)
    return [
        fence(command, "python" if command.startswith("from ") else "bash"),
        *(["Resumed with changes, so that this command alone does not repeat it:", listed] if changes else []),
        f"{', '.join(done)}; {', '.join(libraries)}." if done else f"{', '.join(libraries)}.",
        *([cost_paragraph(results, _gpu(task))] if results.get("train_runtime") else []),
        folded("Resolved configuration", configuration),
    ]


def _gpu(task: Task) -> str | None:
    import torch

    on_gpu = torch.cuda.is_available() and not flatten(task.config).get("use_cpu")
    return torch.cuda.get_device_name() if on_gpu else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _unknown(task: Task) -> list[str]:
    """Limits due to unknown tokens in the texts of any split."""
    shares: dict[str, float] = {}
    for examples in task.splits.values():
        for side, lengths in describe_lengths(examples, task.tokenizers).items():
            shares[side] = max(shares.get(side, 0.0), lengths.unknown)
    ends = {"source": "it cannot read what they stand for", "target": "it cannot write what they stand for"}
    detail = {side: share for side, share in shares.items() if share >= TELLING_SHARE}
    return [
        f"Up to {share:.1f} % of a split's {side} tokens are unknown: {ends[side]}." for side, share in detail.items()
    ]


def _limits(task: Task, results: dict[str, float]) -> list[str]:
    options = flatten(task.config)
    limits = reading_limits(task, options["max_source_length"])
    if task.problem.longest_output is not None:
        limits.append(f"Outputs end after {task.problem.longest_output} tokens.")
    for side, lengths in describe_lengths(task.splits["train"], task.tokenizers).items():
        if lengths.truncated >= TELLING_SHARE:
            limits.append(f"{lengths.truncated:.1f} % of the training {side}s were truncated: it never saw their ends.")
    if pooling := recorded_pooling(task.model.config):
        limits.append(
            f"Its head sees {NAMES[pooling]} (`pooling` in config.json); `hf-seq2seq` and the program above do this, "
            "`AutoModelForSequenceClassification` alone does not, and predicts other labels."
        )
    limits += _unknown(task)
    kinds = {kind_of(split) for split in scores(results, task)}
    if not kinds:
        limits.append("It was not evaluated on unseen rows.")
    elif "test" not in kinds:
        limits.append("It was evaluated only on the validation rows, which also selected the checkpoint.")
    limits.append("It knows the kinds of text in its training data; expect worse results than above on other kinds.")
    limits.append("It reproduces the errors and biases of its training data, and was not examined for them.")
    return limits
