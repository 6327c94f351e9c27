"""What a card says of long sources: they are truncated, or a classifier reads them in windows."""

from hf_seq2seq.data.windows import Windows
from hf_seq2seq.hub.snippet import takes_pairs
from hf_seq2seq.task import Task


def windows_of_run(task: Task) -> Windows | None:
    """How a classifier reads long texts; None for other tasks, and where it truncates them."""
    windows: Windows | None = getattr(task.collate, "windows", None)
    return None if windows is None or windows.leaves_out else windows


def windows_in_program(task: Task) -> Windows | None:
    """The windows, where the tokenizer of a program can cut them: not those of pairs, nor from the end of a text."""
    windows, tokenizer = windows_of_run(task), task.tokenizers.source
    cuts = tokenizer.is_fast and tokenizer.truncation_side == "right" and not takes_pairs(task)
    return windows if cuts else None


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
