"""The flags of `auto`; importing this imports no torch."""

from dataclasses import dataclass, field

from hf_seq2seq import configs
from hf_seq2seq.configs import PairData
from hf_seq2seq.data.messages import OBJECTIVE
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import Section, option

TRIALS = 30
ENSEMBLE = "Also score an ensemble of so many models: the best, and others with its settings or vocabulary."


@dataclass(frozen=True, kw_only=True)
class Search(Section):
    """Search: what is tried, and for how long."""

    recipes: tuple[str, ...] = option(
        (),
        "Recipes to try, separated by commas; by default rnn,transformer for pairs, bert_classifier for "
        "labels, gpt,transformer for conversations.",
    )
    max_time: str | None = option(None, "Time for everything, such as 20m or 2h.")
    max_cpu_time: str | None = option(None, "The same for CPU time, summed over all processes.")
    max_trials: int = option(TRIALS, "Trials at most.", at_least=1)
    ensemble: int | None = option(None, ENSEMBLE, at_least=2)


@dataclass(frozen=True, kw_only=True)
class Data(PairData):
    """Data: pairs of source and target text, texts with labels, or conversations."""

    label_column: str | None = option(None, "Column of the label, for texts with labels.")
    text_pair_column: str | None = option(None, "Column of a second text, for labels of pairs such as entailment.")
    objective: str = option(
        "supervised",
        "Learn targets or labels, or replies; by default as the rows are.",
        choices=("supervised", OBJECTIVE),
    )


@dataclass(frozen=True, kw_only=True)
class Evaluation(Section):
    """Evaluation: what is measured, and what the systems are compared by."""

    metrics: tuple[str, ...] = option((), "Metrics, separated by commas; by default those of the task.")
    metric_for_best_model: str | None = option(
        None, "Score that systems are compared by; by default the first metric's."
    )


@dataclass(frozen=True, kw_only=True)
class Precision(Section):
    """Precision: of all trainings."""

    bf16: bool = option(False, "Train in bfloat16, which is faster where the processor or the GPU computes in it.")


@dataclass(frozen=True)
class AutoConfig:
    """The flags of `auto`."""

    search: Search = field(default_factory=Search)
    data: Data = field(default_factory=Data)
    start: configs.Pretrained = field(default_factory=configs.Pretrained)
    evaluation: Evaluation = field(default_factory=Evaluation)
    decoding: configs.Inference = field(default_factory=configs.Inference)
    precision: Precision = field(default_factory=Precision)
    run: configs.Run = field(default_factory=configs.Run)
    hub: configs.Hub = field(default_factory=configs.Hub)


@dataclass(frozen=True, kw_only=True)
class RecipeSearch(Section):
    """Search: settings that are tried, each in a run of its own, before the best are trained."""

    search: str | None = option(None, "What is tried: learning_rate=1e-4..1e-2:log,dropout=0.1,0.2.")
    max_trials: int | None = option(None, f"Trials of --search at most; by default {TRIALS}.", at_least=1)
    ensemble: int | None = option(None, f"With --search: {ENSEMBLE[0].lower()}{ENSEMBLE[1:]}", at_least=2)

    def __post_init__(self) -> None:
        """Refuses a number of trials without a search."""
        super().__post_init__()
        if self.max_trials is not None and self.search is None:
            raise InputError("--max-trials: counts the trials of --search; give both")
        if self.ensemble is not None and self.search is None:
            raise InputError("--ensemble: combines the trials of --search; give both")


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """The search flags that `train` has besides its recipe's."""

    search: RecipeSearch = field(default_factory=RecipeSearch)
