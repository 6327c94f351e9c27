"""The "how to use" of a model card: a program that runs unmodified with the current transformers."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from hf_seq2seq.data.evaluation_sets import sets_of
from hf_seq2seq.hub.published_card import ADAPTED, CONFIG_LINES
from hf_seq2seq.saved.adapters import is_adapted
from hf_seq2seq.saved.pooling import recorded_pooling
from hf_seq2seq.task import Task

LONGEST_SAMPLE = 300  # characters
LONGEST_ARGUMENT = 60


def how_to_use(folder: Path, task: Task) -> str:
    """A Python program that loads the model from its folder and runs it on a text from its data."""
    return "\n".join(task.problem.program(task)).replace("MODEL_PATH", repr(str(folder))) + "\n"


def with_peft(task: Task) -> list[str]:
    """A sentence on how PEFT's own class loads an adapter with a head; empty for other models."""
    if not is_adapted(task.model) or not task.problem.is_classifier or recorded_pooling(task.model.config):
        return []
    labels = f"num_labels={task.model.config.num_labels}, ignore_mismatched_sizes=True"
    return [f"PEFT loads it, too: `AutoPeftModelForSequenceClassification.from_pretrained(model_path, {labels})`."]


def is_hand_built(task: Task) -> bool:
    """Whether the model is one of this package's own architectures, which transformers alone cannot load."""
    return type(task.model).__module__.startswith("hf_seq2seq.")


def takes_pairs(task: Task) -> bool:
    """Whether a row is two texts."""
    return "text_pair" in task.columns


def load_lines(auto: str, task: Task) -> list[str]:
    """Lines that load the model by one of the Auto classes, and its tokenizers."""
    allowed = ", trust_remote_code=True" if is_hand_built(task) else ""
    adapted = is_adapted(task.model)  # because the base may lack labels and languages
    detail = ADAPTED[task.problem.is_classifier] if adapted else ""
    return [
        f"from transformers import {auto}{', AutoConfig' if adapted else ''}, AutoTokenizer",
        "",
        "model_path = MODEL_PATH",
        f"tokenizer = AutoTokenizer.from_pretrained(model_path{allowed})",
        *_load_target_tokenizer(task, allowed),
        *([CONFIG_LINES[is_hand_built(task)]] if adapted else []),
        f"model = {auto}.from_pretrained(model_path{detail}{allowed})",
        "",
    ]


def _load_target_tokenizer(task: Task, allowed: str) -> list[str]:
    if task.tokenizers.target is task.tokenizers.source:
        return []
    return [f'target_tokenizer = AutoTokenizer.from_pretrained(model_path, subfolder="target_tokenizer"{allowed})']


def encode_line(texts: str, longest: int, more: str = "") -> str:
    """The line that encodes texts, which are Python code, of at most so many tokens; `more` are other arguments."""
    arguments = f'return_tensors="pt", padding=True, truncation=True, max_length={longest}{more}'
    return f"inputs = tokenizer({texts}, {arguments})"


def unseen_texts(task: Task) -> Sequence[str]:
    """Texts from the data, unseen in training where there are any."""
    split = next(split for kind in ("test", "validation", "train") for split in sets_of(task.splits, kind))
    return task.splits[split].texts


def sample(task: Task) -> str:
    """A short text from the data, preferably unseen in training."""
    texts = unseen_texts(task)
    return next((text for text in texts if len(text) <= LONGEST_SAMPLE), texts[0][:LONGEST_SAMPLE])


def argument(task: Task) -> str:
    """A short text from the data as a command's argument, quoted for a shell; "a text" if the first ones are long."""
    short = (text for text in unseen_texts(task)[:100] if len(text) <= LONGEST_ARGUMENT)
    plain = (text for text in short if text.strip() and text.isprintable() and not text.startswith("-"))
    return shlex.quote(next(plain, "a text"))
