"""Options that were left open, chosen by `hf_seq2seq.defaults` from the rows that a task was given."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from hf_seq2seq.configs import Decoding, PairData, PairTokenization, RunConfig, Sources, TextRunConfig
from hf_seq2seq.data.columns.conventions import OF_LABELS, OF_PAIRS
from hf_seq2seq.data.columns.finding import cell
from hf_seq2seq.data.columns.headers import Header
from hf_seq2seq.data.columns.templates import template_columns
from hf_seq2seq.data.conversations import Conversations
from hf_seq2seq.data.encoding import encode_targets, encode_texts
from hf_seq2seq.data.evaluation_sets import sets_of
from hf_seq2seq.data.files.readers import iterate_rows
from hf_seq2seq.data.frames import size_of
from hf_seq2seq.data.mapped.texts import longest_texts
from hf_seq2seq.data.pairs import Pairs
from hf_seq2seq.data.row_languages import language_columns
from hf_seq2seq.data.rows import SAMPLE_ROWS
from hf_seq2seq.data.sources import OpenShare
from hf_seq2seq.data.text_kinds import Side
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.data.word_vectors import vector_width
from hf_seq2seq.defaults.choosing import settle, validation_choices
from hf_seq2seq.defaults.fine_tuning import (
    FINE_TUNING_RATES,
    USUAL_WIDTH,
    fine_tuning_choices,
    reward_choices,
    start_search_choices,
)
from hf_seq2seq.defaults.pairs import NOT_SAMPLED, embedding_choices, metric_choices, tokenizer_choices
from hf_seq2seq.defaults.schedules import Lengths, length_choices
from hf_seq2seq.metrics import TEXT_METRICS, check_metrics
from hf_seq2seq.objectives import loss_options
from hf_seq2seq.objectives.candidates import CandidateOptions
from hf_seq2seq.run_configs import HandBuiltStart
from hf_seq2seq.saved.run_settings import RUN_FILE, UNBOUNDED, read_run, search_of
from hf_seq2seq.sections import Choice, options, section_of
from hf_seq2seq.tasks.open_conversations import (
    MEASURED,
    giving,
    longest_rows,
    settle_conversations,
    settle_steps,
    settle_turns,
)
from hf_seq2seq.tasks.stages import texts_to_learn
from hf_seq2seq.training_options import Loss, Subwords

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

logger = logging.getLogger(__name__)
R = TypeVar("R", bound=Mapping[str, Sized])
D = TypeVar("D", bound=Sources)
C = TypeVar("C", bound=RunConfig)
T = TypeVar("T", bound=TextRunConfig)
SAMPLED_GROWTH = 1.3
"""Tokens of text whose subwords are sampled at the usual rates, by those of the same text without sampling."""
ModelChoices = Callable[[Side, Side], Iterator[Choice]]


def read_validated(config: C, data: D, read: Callable[[D, OpenShare], R]) -> tuple[C, R]:
    """Reads the rows of every split, and holds a share of the training rows out where none validate.

    Args:
        config: the recipe's.
        data: its section of the data.
        read: reads the rows of such a section; its second argument chooses the share to hold out.

    Returns:
        The configuration, with the share where one was chosen, and the rows.
    """
    chosen: list[Choice] = []

    def choose(rows: int, available: int) -> float | None:
        is_open = config.given is not None and "validation_split_percentage" not in config.given
        chosen[:] = validation_choices(rows, available) if is_open else ()
        return chosen[0].value if chosen else None

    rows = read(data, choose)
    return settle(config, chosen), rows


def settle_fine_tuning(config: C, recipe: str, rows: int, model: "PreTrainedModel", adapter: bool) -> C:
    """Chooses learning rate, warm-up and epochs of a pretrained model."""
    kind = model.config.model_type
    known = recipe == "seq2seq" and kind in FINE_TUNING_RATES
    steps = config.schedule.max_steps
    choices = list(fine_tuning_choices(kind if known else recipe, rows, width_of(model), adapter, steps))
    if _reward(config) is not None:
        usual = next(choice.value for choice in choices if choice.name == "learning_rate")
        config = settle(config, reward_choices(usual, "the rate of fine-tuning"))
    return settle(config, choices)


def settle_start_rows(config: C) -> C:
    """Chooses prefix, columns and languages as in the run that a model goes on from, as `evaluate` does.

    Columns and languages only if no flag names any; see `_fitting`.
    """
    run, known, data = _run_of_start(config) or {}, options(type(config)), section_of(config, Sources)
    naming = [name for name in (*OF_PAIRS, *OF_LABELS) if name in known]
    is_open = config.given is not None and not config.given.intersection(naming)
    found = {name: run[name] for name in naming if run.get(name)} if is_open else {}
    if found and data:
        found = _fitting(found, data)
    if run.get("source_prefix"):
        found["source_prefix"] = run["source_prefix"]
    return settle(config, [Choice(*each, "as in the run of the start model") for each in found.items()])


def _fitting(found: dict[str, str], data: Sources) -> dict[str, str]:
    """The columns of an earlier run, if the training file has them, and its languages, if rows do not name their own.

    Parallel files name the columns themselves; a set on the Hub is not asked.
    """
    file, columns = data.train_file or "", {name for name in found if name.endswith(("_column", "_template"))}
    named = [found[name] for name in found if name.endswith("_column")]
    named += template_columns(found["source_template"]) if "source_template" in found else []
    rows = iterate_rows(file, data.encoding, Header.of(*named)) if Path(file).is_file() else iter([])
    sample = list(islice(rows, SAMPLE_ROWS))
    absent = [name for name in named if all(cell(row, name) is None for row in sample)] if sample or "," in file else []
    if absent:
        told = "%s: has no column %s, which the start model's run used; columns are detected again"
        logger.warning(told, file, ", ".join(map(repr, absent)))
    own = isinstance(data, PairData) and sample and language_columns(list(sample[0]), data)
    left_out = (columns if absent else set()) | ({"source_lang", "target_lang"} if own else set())
    return {name: value for name, value in found.items() if name not in left_out}


def _run_of_start(config: RunConfig) -> dict[str, Any] | None:
    """The run that a model goes on from, empty for a model of another tool; None for a new model."""
    section, _ = options(type(config))["model_name_or_path"]
    start = getattr(config, section).model_name_or_path
    return None if start is None else read_run(Path(start).expanduser() / RUN_FILE)


def settle_search(config: C, model: "PreTrainedModel") -> C:
    """Chooses the search of a model that was trained before; a new one has its own already."""
    if (run := _run_of_start(config)) is None:
        return config
    search = search_of(run, model.generation_config)
    return settle(config, start_search_choices({k: v for k, v in search.items() if v != getattr(Decoding, k)}))


def width_of(model: "PreTrainedModel") -> int:
    """The width of a model's layers."""
    parts = (model.config, getattr(model.config, "decoder", None))
    widths = (getattr(part, name, None) for part in parts for name in ("d_model", "hidden_size"))
    return int(next(filter(None, widths), USUAL_WIDTH))


def _reward(config: RunConfig) -> CandidateOptions | None:
    """The options of a loss that is made of the model's own outputs; None for other losses."""
    found = loss_options(section_of(config, Loss) or Loss())
    return found if isinstance(found, CandidateOptions) else None


def _settle_continued(config: C) -> C:
    """Chooses the learning rate of a hand-built model that goes on from a run, and learns from its own outputs."""
    run = _run_of_start(config) if section_of(config, HandBuiltStart) else None
    earlier = (run or {}).get("learning_rate")
    if not isinstance(earlier, int | float):
        return config
    return settle(config, reward_choices(float(earlier), "the peak of the run that it starts from"))


def settle_pairs(
    config: C, pairs: Mapping[str, Pairs | Conversations], model: ModelChoices | None = None, joint: bool = False
) -> C:
    """Chooses metrics, and for a model from scratch its tokenizers and size, from the training pairs.

    Args:
        config: the recipe's.
        pairs: of every split, or conversations.
        model: the choices of a new model; None where a checkpoint is fine-tuned.
        joint: whether a new model has one vocabulary for both sides.
    """
    train = pairs["train"]
    if isinstance(train, Conversations):
        chosen = None if model is None else lambda *sides: iter(_model_choices(config, model(*sides)))
        return settle_conversations(config, train, bool(sets_of(pairs, "validation")), chosen)
    sides = train.sides
    validated = bool(sets_of(pairs, "validation"))
    config = settle(config, giving(config, metric_choices(*sides, validated=validated)))
    if model is None:
        return config
    return settle_new(config, sides, model, joint)


def settle_new(config: C, sides: tuple[Side, Side], model: ModelChoices, joint: bool) -> C:
    """Chooses tokenizers and size of a model from scratch, as in `settle_pairs`."""
    sampled = section_of(config, Subwords) or NOT_SAMPLED
    return settle(settle(config, tokenizer_choices(*sides, joint, sampled)), _model_choices(config, model(*sides)))


def _model_choices(config: RunConfig, choices: Iterable[Choice]) -> list[Choice]:
    """The choices of a new model; the width of word vectors goes before that of the rows."""
    start = section_of(config, HandBuiltStart)
    file = start.pretrained_embeddings if start else None
    width = vector_width(file) if file else 0
    first = list(embedding_choices(width, str(file))) if width else []
    names = {choice.name for choice in first}
    return [*first, *(choice for choice in choices if choice.name not in names)]


def settle_rows(config: C, pairs: Mapping[str, Pairs | Conversations], model: ModelChoices | None, joint: bool) -> C:
    """`settle_pairs`; the metric that a loss is made of, if any, chooses the best checkpoint and is computed."""
    reward = _reward(config)
    if reward is None:
        return settle_pairs(config, pairs, model, joint)
    config = _settle_continued(config)
    if not sets_of(pairs, "validation"):
        return settle_pairs(config, pairs, model, joint)
    (metric,) = check_metrics((reward.metric,), TEXT_METRICS).values()
    config = settle(config, [Choice("metric_for_best_model", metric.keys[0], "what the loss is made of")])
    return _with_metrics(settle_pairs(config, pairs, model, joint), reward)


def _with_metrics(config: C, reward: CandidateOptions) -> C:
    """Adds the metric that a loss is made of, and the one that must not fall meanwhile."""
    before, watched = config.evaluation.metrics, reward.watched
    metrics = tuple(dict.fromkeys((*before, reward.metric, *([watched.metric] if watched else []))))
    if config.given is None or metrics == before:
        return config
    choice = Choice("metrics", metrics, "what the loss is made of, and what must not fall meanwhile")
    derived = (*(other for other in config.derived if other.name != "metrics"), choice)
    return replace(config, derived=derived, evaluation=replace(config.evaluation, metrics=metrics))


def settle_schedule(
    config: T,
    pairs: Mapping[str, Pairs | Conversations],
    tokenizers: Tokenizers,
    most: tuple[int | None, int | None],
    new: bool,
) -> T:
    """Chooses the maximum lengths, and for a model from scratch batches, steps and evaluations.

    Args:
        config: the recipe's.
        pairs: of every split.
        tokenizers: of the model.
        most: the model's positions for sources and targets; None where nothing limits them.
        new: whether the model starts from scratch.
    """
    train = pairs["train"]
    if config.given is None:
        return config
    if isinstance(train, Conversations):
        return settle_turns(
            config, cast(Mapping[str, Conversations], pairs), tokenizers, min(filter(None, most), default=None), new
        )
    rows = cast(Mapping[str, Pairs], pairs)
    lengths = measure(rows, tokenizers, config.data.source_prefix)
    config = settle(config, length_choices(lengths, *most))
    if not new:
        return config
    limits = config.tokens
    if lengths.source > limits.max_source_length or lengths.target > limits.max_target_length:
        lengths = measure(rows, tokenizers, config.data.source_prefix, limits)
    return settle_steps(config, train.sides, replace(lengths, mean=lengths.mean * _growth(config.subwords)), pairs)


def _growth(options: Subwords) -> float:
    """How much longer sampled subwords make rows: batches have as many rows, and passes as many steps, as without."""
    if not options.asked_for:
        return 1.0
    return SAMPLED_GROWTH if options.subword_sides == "both" else (1 + SAMPLED_GROWTH) / 2


def measure(
    pairs: Mapping[str, Pairs], tokenizers: Tokenizers, prefix: str, limits: PairTokenization | None = None
) -> Lengths:
    """Tokens of the rows: the mean of up to 2,000 training rows, the most of the 2,000 with most characters.

    Args:
        pairs: of every split.
        tokenizers: of the model.
        prefix: prepended to every source.
        limits: to which the rows are cut; None measures them whole.
    """
    most = (limits.max_source_length, limits.max_target_length) if limits else (UNBOUNDED, UNBOUNDED)
    train = pairs["train"]
    step = -(-len(train) // MEASURED)
    learned = [texts_to_learn(rows) for rows in pairs.values()]
    sources = longest_rows((text for texts, _ in learned for text in longest_texts(texts, MEASURED)), size_of)
    targets = longest_rows(longest_texts(texts_to_learn(train)[1], MEASURED), len)
    means = [
        _sources(tokenizers, train.sources[::step], prefix, most[0]),
        _targets(tokenizers, train.targets[::step], most[1]),
    ]
    longest_source = _sources(tokenizers, sources, prefix, most[0]).max()
    longest_target = _targets(tokenizers, targets, most[1]).max()
    mean = sum(float(found.mean()) for found in means)
    return Lengths(len(train), int(longest_source), int(longest_target), mean)


def longest_text(texts: Sequence[str], tokenizer: "PreTrainedTokenizerBase") -> int:
    """Tokens of the longest text, as far as the 2,000 with most characters tell."""
    return int(encode_texts(longest_rows(texts, len), tokenizer, UNBOUNDED)[0].lengths.max())


def _sources(tokenizers: Tokenizers, texts: Sequence[str], prefix: str, most: int) -> np.ndarray:
    return encode_texts([prefix + text for text in texts], tokenizers.source, most)[0].lengths


def _targets(tokenizers: Tokenizers, texts: Sequence[str], most: int) -> np.ndarray:
    return encode_targets(texts, tokenizers.target, most)[0].lengths
