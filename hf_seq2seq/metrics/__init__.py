"""Metrics by name, as closed sets; importing this module loads no machine-learning library.

All text metrics and accuracies are on a scale of 0-100, except CIDEr (0-10); correlations are between -1 and 1.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from typing import Generic, TypeVar

from hf_seq2seq.errors import InputError, nearest
from hf_seq2seq.metrics.metric import Metric
from hf_seq2seq.metrics.script import is_script, load_script

T = TypeVar("T")


class Named(Mapping[str, T], Generic[T]):
    """Things by name, each imported when it is looked up: scoring by BLEU imports no other metric.

    Args:
        places: the sibling module and the name in it, such as "bleu.CHRF".
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = dict(places)

    def __getitem__(self, name: str) -> T:
        module, attribute = self._places[name].split(".")
        found: T = getattr(import_module(f"{__name__}.{module}"), attribute)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __or__(self, other: "Named[T]") -> "Named[T]":
        return Named(self._places | other._places)


TEXT_METRICS: Named[Metric] = Named(
    {
        "bleu": "bleu.BLEU",
        "chrf": "bleu.CHRF",
        "chrf++": "bleu.CHRF_PLUS_PLUS",
        "ter": "bleu.TER",
        "rouge": "rouge.ROUGE",
        "rouge_w": "rouge.ROUGE_W",
        "meteor": "meteor.METEOR",
        "cider": "cider.CIDER",
        "cider_d": "cider.CIDER_D",
        "exact_match": "matching.EXACT_MATCH",
        "squad": "question_answering.SQUAD",
        "label_words": "label_words.LABEL_WORDS",
        "levenshtein": "matching.LEVENSHTEIN",
        "edit_accuracy": "matching.EDIT_ACCURACY",
        "word_error_rate": "error_rate.WORD_ERROR_RATE",
        "phoneme_error_rate": "error_rate.PHONEME_ERROR_RATE",
        "token_error_rate": "error_rate.TOKEN_ERROR_RATE",
        "seqeval": "tagging.SEQEVAL",
    }
)

# Text metrics on the words of a named tokenizer: `bleu:zh`, `rouge:char`.
TOKENIZED_METRICS: Named[Callable[[str], Metric]] = Named(
    {
        "bleu": "bleu.make_bleu",
        "rouge": "rouge.make_rouge",
        "rouge_w": "rouge.make_rouge_w",
        "meteor": "meteor.make_meteor",
        "cider": "cider.make_cider",
        "cider_d": "cider.make_cider_d",
    }
)

# Text metrics parametrized by what follows a colon: `bertscore:MODEL@LAYER`, `comet:MODEL`, `spice:parser.py`.
MADE_METRICS: Named[Callable[[str], Metric]] = Named(
    {
        "bertscore": "bertscore.make_bertscore",
        "comet": "comet.make_comet",
        "cometkiwi": "comet.make_cometkiwi",
        "aer": "alignment.make_aer",
        "alignment_f1": "alignment.make_alignment_f1",
        "spice": "spice.make_spice",
        "label_words": "label_words.make_label_words",
    }
)

LABEL_METRICS: Named[Metric] = Named(
    {
        "accuracy": "classification.ACCURACY",
        "macro_f1": "classification.MACRO_F1",
        "micro_f1": "classification.MICRO_F1",
        "matthews": "classification.MATTHEWS",
        "pearson": "regression.PEARSON",
        "spearman": "regression.SPEARMAN",
        "mse": "regression.MSE",
    }
)

LABEL_DEFAULTS = {
    "single_label": ("accuracy", "macro_f1", "matthews"),
    "multi_label": ("micro_f1", "macro_f1"),
    "regression": ("pearson", "spearman", "mse"),
}
"""The metrics of each problem where none are asked for."""

# Computed from the likelihood that a model assigns to the references; files hold no probabilities.
LIKELIHOOD_METRICS: Named[Metric] = Named(
    {
        "perplexity": "language_modelling.PERPLEXITY",
        "bits_per_byte": "language_modelling.BITS_PER_BYTE",
    }
)


def metrics_for(problem: str) -> dict[str, Metric]:
    """The metrics for a problem type: "seq2seq", "single_label", "multi_label", "regression" or "likelihood"."""
    every = TEXT_METRICS | LABEL_METRICS | LIKELIHOOD_METRICS
    return {name: metric for name, metric in every.items() if problem in metric.problems}


OTHER_NAMES = {
    "wer": "word_error_rate",
    "per": "phoneme_error_rate",
    "cer": "levenshtein",
    "em": "exact_match",
    "acc": "accuracy",
    "f1": "macro_f1",
}
"""What others call metrics of ours."""


def check_metrics(names: Iterable[str], known: Mapping[str, Metric], option: str = "--metrics") -> dict[str, Metric]:
    """The named metrics, in the order given.

    Where `known` compares texts, a name may also come from `TOKENIZED_METRICS` or `MADE_METRICS`, or be the path of a
    script. Errors begin with the `option`.

    Raises:
        InputError: a name is unknown, or a script or a model cannot be used.
    """
    texts = any("seq2seq" in metric.problems for metric in known.values())
    return {name: _find(name, known, texts, option) for name in names}


def _find(name: str, known: Mapping[str, Metric], texts: bool, option: str) -> Metric:
    family, _, argument = name.partition(":")
    if texts and argument and family in TOKENIZED_METRICS:
        return TOKENIZED_METRICS[family](argument)
    if texts and family in MADE_METRICS:
        return MADE_METRICS[family](argument)
    if texts and is_script(name):
        return load_script(name)
    if name in LIKELIHOOD_METRICS and name not in known:
        raise InputError(
            f"{option} {name}: needs a model's probabilities: hf-seq2seq evaluate MODEL; training gives the loss"
        )
    if name not in known:
        here = dict.fromkeys([*known, *(MADE_METRICS if texts else ())])
        if any(family in table for table in (TEXT_METRICS, LABEL_METRICS, MADE_METRICS)):
            raise InputError(f"{option}: {name!r} does not score what is predicted; choose from {', '.join(here)}")
        meant = f"; did you mean {OTHER_NAMES[name]!r}?" if OTHER_NAMES.get(name) in here else nearest(name, here)
        raise InputError(f"{option}: unknown metric {name!r}{meant}")
    return known[name]


def runs_code(name: str) -> bool:
    """Whether a metric's name refers to a Python file that is executed: a script, or the parser of SPICE."""
    family, _, argument = name.partition(":")
    return (
        bool(argument) if family == "spice" else family not in [*MADE_METRICS, *TOKENIZED_METRICS] and is_script(name)
    )


def is_closed(name: str, known: Mapping[str, Metric]) -> bool:
    """Whether a metric's name is one of this package's, which neither runs a script nor loads a model."""
    return name in known or name.partition(":")[0] in TOKENIZED_METRICS


def trained_metrics(names: Iterable[str], known: Mapping[str, Metric], model: str) -> tuple[str, ...]:
    """The metrics named in a model's folder, if all belong to a closed set: a folder must not choose code to run.

    Raises:
        InputError: one of them is a script, a model, or unknown.
    """
    names = tuple(names)
    for name in names:
        if not is_closed(name, known):
            raise InputError(
                f"{model}/run.yaml: metric {name!r} is not one of this package's; a script or a model that measures "
                "has to be named by --metrics"
            )
    return names


def best_metric(name: str, metrics: Iterable[str], sets: Mapping[str, Iterable[str]] | None = None) -> bool:
    """Whether higher is better for the score that selects the best checkpoint.

    Args:
        name: "loss" or a key of the chosen metrics, with or without "eval_" before it.
        metrics: the names of the chosen metrics.
        sets: the metrics of each named validation set; the set's name may prefix a key: "italian_accuracy".

    Raises:
        InputError: none of the chosen metrics reports a score of that name.
    """
    directions = _directions(metrics)
    for part, own in (sets or {}).items():
        directions |= {f"{part}_{key}": greater for key, greater in _directions(own).items()}
    key = name.removeprefix("eval_")
    if key not in directions:
        raise InputError(f"--metric-for-best-model: no chosen metric gives {name!r}{nearest(key, directions)}")
    return directions[key]


def _directions(metrics: Iterable[str]) -> dict[str, bool]:
    """Whether higher is better, for each key of the metrics and for the loss."""
    found = {"loss": False}
    for metric in check_metrics(metrics, TEXT_METRICS | LABEL_METRICS).values():
        found |= dict.fromkeys(metric.keys, metric.greater_is_better)
    return found
