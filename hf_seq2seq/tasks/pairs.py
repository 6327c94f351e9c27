"""Shared by the recipes for pairs: reading pairs or conversations, and building the task."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import torch

from hf_seq2seq.configs import PairData, TextRunConfig
from hf_seq2seq.data.by_direction import by_direction
from hf_seq2seq.data.collation import Seq2SeqCollator
from hf_seq2seq.data.conversations import Conversations
from hf_seq2seq.data.copying import name_copies
from hf_seq2seq.data.encoding import encode_pairs
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.features import FeatureSpace, with_features
from hf_seq2seq.data.frames import Frames
from hf_seq2seq.data.pairs import Pairs, read_pairs
from hf_seq2seq.data.preferences import refuse_one_sided
from hf_seq2seq.data.replies import encode_replies, prepare_turns
from hf_seq2seq.data.sources import OpenShare, load_splits
from hf_seq2seq.data.tabbed_text import split_at_tabs
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.data.training_rows import TrainingRows
from hf_seq2seq.errors import InputError
from hf_seq2seq.objectives import OBJECTIVES, make_objective
from hf_seq2seq.objectives.generation import GenerationContext
from hf_seq2seq.problems.seq2seq import Seq2SeqProblem
from hf_seq2seq.saved.positions import longest_of_sides
from hf_seq2seq.saved.start_tokens import given_start
from hf_seq2seq.sections import section_of
from hf_seq2seq.task import Task
from hf_seq2seq.tasks.curricula import with_curriculum
from hf_seq2seq.tasks.dialogue import read_all_conversations
from hf_seq2seq.tasks.languages import with_languages, with_tags
from hf_seq2seq.tasks.open_conversations import settle_validated
from hf_seq2seq.tasks.open_options import (
    ModelChoices,
    read_validated,
    settle_rows,
    settle_schedule,
    settle_search,
    settle_start_rows,
)
from hf_seq2seq.tasks.stages import (
    are_modified,
    read_staged,
    refuse_lost_references,
    refuse_stages,
    settle_stages,
    with_stages,
)
from hf_seq2seq.tasks.streams import is_streamed, read_streamed, with_stream
from hf_seq2seq.tasks.subwords import most_tokens, refuse_rich_sources, subword_pairs
from hf_seq2seq.training.checks import check_positions

if TYPE_CHECKING:
    from transformers import PreTrainedModel


Rows = Pairs | Conversations
C = TypeVar("C", bound=TextRunConfig)


def open_pairs(
    config: C, data: PairData, dialogue: bool, model: ModelChoices | None, joint: bool = False
) -> tuple[C, Mapping[str, Rows]]:
    """Reads every split, and chooses what the options leave open about rows, metrics and a new model.

    Args:
        config: the recipe's.
        data: its section of the data.
        dialogue: whether the rows are conversations.
        model: the choices of a model from scratch; None where a checkpoint is fine-tuned.
        joint: whether a model from scratch has one vocabulary for both sides.

    Raises:
        InputError: there are no training rows.
    """
    config = settle_start_rows(config)
    data = section_of(config, PairData) or data
    if is_streamed(data) and not dialogue:
        pairs: Mapping[str, Rows] = read_streamed(config, data)
    elif config.staging.stages is None:
        preferences = OBJECTIVES[config.loss.loss_type].reads_preferences
        read = partial(read_all_rows, dialogue=dialogue, preferences=preferences)
        config, pairs = read_validated(config, data, read)
    elif dialogue:
        refuse_stages(config, "conversations")
    else:
        pairs = read_staged(config, data)
    if dialogue:
        config, pairs = settle_validated(config, cast(Mapping[str, Conversations], pairs))
    config = settle_rows(config, pairs, model, joint)
    return config, pairs if model is None else with_tags(pairs)


def read_all_rows(
    data: PairData, share: OpenShare | None = None, dialogue: bool = False, preferences: bool = False
) -> Mapping[str, Rows]:
    """The pairs of every split, or its conversations, with one pair per reply; `share` as for `load_splits`.

    Raises:
        InputError: there are no training rows.
    """
    return read_all_conversations(data, share) if dialogue else read_all_pairs(data, share, preferences)


def read_all_pairs(data: PairData, share: OpenShare | None = None, preferences: bool = False) -> dict[str, Pairs]:
    """The pairs of every split.

    Args:
        data: where they are.
        share: as for `load_splits`.
        preferences: whether better and worse outputs are read, if the rows have both.

    Raises:
        InputError: there are no training rows, or they have only better or only worse outputs.
    """
    splits = load_splits(data, arrange=split_at_tabs, share=share)
    if preferences and "train" in splits:
        refuse_one_sided(splits["train"].column_names, data, splits.place("train"))
    pairs = read_pairs(splits, data)
    if "train" not in pairs:
        raise InputError("no training rows: give --train-file or --dataset-name")
    return by_direction(pairs)


def pair_task(
    recipe: str,
    config: TextRunConfig,
    model: "PreTrainedModel",
    tokenizers: Tokenizers,
    pairs: Mapping[str, Rows],
    new: bool = False,
) -> Task:
    """Encodes the pairs and sets the objective, by default the cross-entropy of the target tokens.

    Args:
        recipe: its name.
        config: its configuration; lengths that were left open are chosen, and for a `new` model its schedule.
        model: to train.
        tokenizers: of the model.
        pairs: of every split.
        new: whether its weights are random.

    Raises:
        InputError: lengths exceed the model's positions, words are to be copied from conversations, or the tokenizer
            lacks a language of the rows.
    """
    pairs = with_languages(pairs, model, tokenizers)
    config = settle_schedule(config, pairs, tokenizers, longest_of_sides(model), new)
    task = encoded_task(recipe, config, model, tokenizers, pairs)
    if new and isinstance(task.splits["train"].source, Frames):
        normalize_frames(model, task.splits["train"].source)
    return task


def encoded_task(
    recipe: str, config: TextRunConfig, model: "PreTrainedModel", tokenizers: Tokenizers, pairs: Mapping[str, Rows]
) -> Task:
    """`pair_task` with lengths and schedule settled."""
    config = settle_stages(config, pairs["train"])
    config = settle_search(config, model)
    check_positions(model, config.tokens)
    if isinstance(pairs["train"], Conversations):
        if getattr(model.config, "copy_vocab_size", 0):
            raise InputError("--copy-vocab-size: only works with pairs; leave it out with --objective dialogue")
        prepare_turns(tokenizers.source)
    splits = {name: _encode(rows, model, tokenizers, config) for name, rows in pairs.items()}
    if config.staging.stages is not None:
        refuse_rich_sources(splits["train"].source, "--stages")
    renewed = subword_pairs(config, pairs["train"], splits["train"], tokenizers)
    source, target = pairs["train"].columns
    limit, prefix = config.tokens.max_target_length, config.data.source_prefix
    # Outputs of modified rows are compared with their own labels.
    known = None if are_modified(pairs["train"]) else splits["train"]
    presented = TrainingRows(splits["train"], renewed)
    most = most_tokens(config, pairs["train"], presented)
    context = GenerationContext(tokenizers, known, config.run.seed, limit, prefix, most)
    objective = make_objective(config.loss, model, config.optimization.label_smoothing_factor, context)
    refuse_lost_references(objective, pairs["train"])
    task = Task(
        recipe=recipe,
        config=config,
        model=model,
        tokenizers=tokenizers,
        splits=splits,
        columns={"source": source, "target": target},
        objective=objective,
        collate=Seq2SeqCollator(
            tokenizers.source.pad_token_id, rows=objective.reads_rows, preferences=objective.reads_preferences
        ),
        metrics=config.evaluation.metrics,
        problem=Seq2SeqProblem(config.decoding, config.tokens.max_target_length),
        presented=presented,
    )
    task = with_curriculum(task, getattr(pairs["train"], "table", None))
    again = deepcopy(tokenizers)  # rows are encoded in a thread of their own
    task = with_stages(task, pairs["train"], lambda rows: _encode(rows, model, again, config))
    return with_stream(task, pairs["train"], lambda rows: _encode(rows, model, again, config))


def normalize_frames(model: "PreTrainedModel", frames: Frames) -> None:
    """Gives a new model the mean and the deviation of each number of the training rows' frames."""
    projection: Any = model.get_encoder().frames
    values = frames.frames.astype(np.float64)
    deviation = values.std(0)
    projection.mean.copy_(torch.from_numpy(values.mean(0)))
    projection.deviation.copy_(torch.from_numpy(np.where(deviation > 0, deviation, 1.0)))


def _encode(rows: Rows, model: "PreTrainedModel", tokenizers: Tokenizers, config: TextRunConfig) -> Examples:
    start = given_start(model)
    if isinstance(rows, Conversations):
        return encode_replies(rows, tokenizers, config.tokens, start)
    prefix, room = config.data.source_prefix, getattr(model.config, "copy_vocab_size", 0)
    examples = encode_pairs(rows, tokenizers, config.tokens, prefix, start)
    if space := FeatureSpace.of_config(model.config):
        texts = [prefix + text for text in rows.sources]
        examples = replace(examples, source=with_features(examples.source, texts, tokenizers.source, space))
    return name_copies(examples, tokenizers, room, prefix) if room else examples
