"""What a run learns from its data besides weights: read from the checkpoint if a run is resumed."""

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hf_seq2seq.architectures import register
from hf_seq2seq.configs import NewTokenizer, PairData, PairsOrDialogue, Run
from hf_seq2seq.data.annotated_text import tags_of
from hf_seq2seq.data.features import FeatureSpace, check_filled
from hf_seq2seq.data.frames import Matrix
from hf_seq2seq.data.mapped.texts import sampled
from hf_seq2seq.data.tokenizers.special_tokens import SEQ2SEQ, SpecialTokens
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers, train_tokenizers
from hf_seq2seq.errors import InputError
from hf_seq2seq.run_configs import HandBuiltRun, PretrainedRun
from hf_seq2seq.saved.model_paths import config_place
from hf_seq2seq.sections import flatten
from hf_seq2seq.training.resuming import resume_point

logger = logging.getLogger(__name__)
SOURCE_FIELDS = ("input_width", "feature_names", "feature_columns", "feature_of_words", "feature_joining")


def start_tokenizers(
    config: HandBuiltRun | PretrainedRun,
    sources: Sequence[str],
    targets: Sequence[str],
    specials: SpecialTokens = SEQ2SEQ,
) -> Tokenizers:
    """The tokenizers of a model from scratch: trained on the texts, or the checkpoint's if a run is resumed.

    Retraining could assign other ids to tokens, because the texts may have been edited since. The prefix is part of
    every source, so that its characters and words are in the vocabulary; so are the tags of languages, one token each.

    Raises:
        InputError: as for `train_tokenizers` and `resume_point`.
    """
    if kept := kept_tokenizers(config.run):
        return kept
    if config.tokens.update_vocabulary:
        raise InputError("--update-vocabulary: a model from scratch learns its vocabulary from its rows; leave it out")
    if len(sources) > len(learned := sampled(sources)):
        logger.warning("tokenizers learn from %s of %s rows", f"{len(learned):,}", f"{len(sources):,}")
    sources, targets = learned, sampled(targets)
    inputs = source_settings(config, sources)
    sources = [] if "input_width" in inputs else sources
    prefix = config.data.source_prefix if isinstance(config.data, PairData) else ""
    read = [prefix + text for text in sources] if prefix else sources
    options = config.tokens
    if getattr(options, "source_normalization", None) and flatten(config).get("pointer_generator"):
        raise InputError("--source-normalization: copied words would be in that form; leave --pointer-generator out")
    if isinstance(options, NewTokenizer) and (tags := tags_of(sources)):
        options = replace(options, added_tokens=tuple(dict.fromkeys((*options.added_tokens, *tags))))
    return replace(train_tokenizers(read, targets, options, specials=specials), inputs=inputs)


def source_settings(config: HandBuiltRun | PretrainedRun, sources: Sequence[str]) -> dict[str, Any]:
    """Fields of a new model's configuration about sources that have features, or are feature matrices."""
    if sources and isinstance(sources[0], Matrix):
        return {"input_width": int(sources[0].frames.shape[1])}
    if not isinstance(config.data, PairsOrDialogue):
        return {}
    check_filled(sources, config.data.feature_columns)
    space = FeatureSpace.learned(sources, config.data.feature_level)
    return {} if space is None else space.settings(config.data.feature_joining)


def kept_tokenizers(run: Run, trust_remote_code: bool = False) -> Tokenizers | None:
    """The tokenizers of the checkpoint to resume from; None for a new run.

    Raises:
        InputError: as for `resume_point`.
    """
    checkpoint = resume_point(run)
    register()  # the hand-built models' configurations are next to their tokenizers
    if checkpoint is None:
        return None
    settings = _settings(checkpoint)
    inputs = {name: settings[name] for name in SOURCE_FIELDS if settings.get(name) is not None}
    return replace(Tokenizers.load(checkpoint, trust_remote_code), inputs=inputs)


def kept_labels(run: Run) -> tuple[str, ...]:
    """The names of the classes by id in the checkpoint to resume from; empty for a new run.

    Raises:
        InputError: as for `resume_point`.
    """
    checkpoint = resume_point(run)
    if checkpoint is None:
        return ()
    names = {int(number): str(name) for number, name in _settings(checkpoint).get("id2label", {}).items()}
    return tuple(names[number] for number in sorted(names))


def _settings(checkpoint: Path) -> dict[str, Any]:
    """The configuration of a checkpoint's model, or of the base of its adapter."""
    path = Path(config_place(str(checkpoint)))
    found: dict[str, Any] = json.loads((path / "config.json" if path.is_dir() else path).read_text(encoding="utf-8"))
    return found
