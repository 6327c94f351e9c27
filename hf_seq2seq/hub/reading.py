"""What a card says of long sources: they are truncated, or a classifier reads them in windows."""

from typing import TYPE_CHECKING

from hf_seq2seq.data.evaluation_sets import title_of
from hf_seq2seq.data.windows import Windows
from hf_seq2seq.hub.snippet import takes_pairs
from hf_seq2seq.metrics.classification import one_label
from hf_seq2seq.task import Task

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def windows_of_run(task: Task) -> Windows | None:
    """How a classifier reads long texts; None for other tasks, and where it truncates them."""
    windows: Windows | None = getattr(task.collate, "windows", None)
    return None if windows is None or windows.leaves_out else windows


def windows_in_program(task: Task) -> Windows | None:
    """The windows, where the tokenizer of a program can cut them."""
    return cut_by_tokenizer(windows_of_run(task), task.tokenizers.source, takes_pairs(task))


def cut_by_tokenizer(windows: Windows | None, tokenizer: "PreTrainedTokenizerBase", are_pairs: bool) -> Windows | None:
    """The windows, where a tokenizer alone can cut them: not those of pairs, nor from the end of a text."""
    if windows is None or windows.leaves_out:
        return None
    return windows if tokenizer.is_fast and tokenizer.truncation_side == "right" and not are_pairs else None


def reading_limits(task: Task, longest: int) -> list[str]:
    """The limits due to long sources; `longest` is their number of tokens."""
    windows = windows_of_run(task)
    if windows is None:
        return [f"Sources are truncated to {longest} tokens."]
    found = (
        f"Longer sources are read in windows of {windows.size} tokens, of which {windows.stride} are shared by "
        f"neighbours; a label follows from the {windows.pooling} of their logits (`stride` in run.yaml)."
    )
    if windows_in_program(task) is None:
        found += " The program above truncates them and computes other scores; `hf-seq2seq classify` reads them whole."
    return [found]


def describe_reading(task: Task) -> list[str]:
    """Lines on a classifier's long texts: how many take several windows, or that windows would read what is cut."""
    if not task.problem.is_classifier:
        return []
    windows = windows_of_run(task)
    if windows is None:
        cut = task.splits["train"].truncated[0]
        if not cut:
            return []
        stride = max(1, task.config.tokens.max_source_length // 8)
        rows, have = ("text", "has its") if cut == 1 else ("texts", "have their")
        return [f"{cut:,} training {rows} {have} end cut off; --stride {stride} reads long texts whole, in windows"]
    counts = ", ".join(
        f"{title_of(name)} {int((rows.source.lengths > windows.size).sum()):,} of {len(rows):,}"
        for name, rows in task.splits.items()
    )
    return [f"rows of more than one window of {windows.size} tokens: {counts}"]


def describe_one_label(task: Task) -> list[str]:
    """A line for every evaluated set whose rows all have the same label, in which a constant answer is right."""
    sets = {name: rows.labels for name, rows in task.splits.items() if name != "train"}
    found = [one_label(labels, task.label_names, title_of(name)) for name, labels in sets.items()]
    return [line for line in found if line]
