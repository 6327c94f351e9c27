"""Sequence-to-sequence learning on Hugging Face: one command from text pairs to a model that others can load.

    from hf_seq2seq import ablate, auto, baseline, compare, evaluate, learning_curve, load, preview, search, train

They are imported lazily, so that importing the package loads neither torch nor transformers.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hf_seq2seq.api.baselines import baseline
    from hf_seq2seq.api.comparing import compare
    from hf_seq2seq.api.models import load
    from hf_seq2seq.api.runs import preview, train
    from hf_seq2seq.api.scores import evaluate
    from hf_seq2seq.errors import InputError
    from hf_seq2seq.tuning.calls import ablate, auto, learning_curve, search

__version__ = "0.1.0"
__all__ = [
    "InputError", "ablate", "auto", "baseline", "compare", "evaluate", "learning_curve", "load", "preview", "search",
    "train",
]  # fmt: skip

_PLACES = {
    "ablate": "tuning.calls",
    "auto": "tuning.calls",
    "search": "tuning.calls",
    "learning_curve": "tuning.calls",
    "baseline": "api.baselines",
    "compare": "api.comparing",
    "load": "api.models",
    "train": "api.runs",
    "preview": "api.runs",
    "evaluate": "api.scores",
    "InputError": "errors",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"hf_seq2seq.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
