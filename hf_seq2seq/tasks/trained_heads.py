"""The head of a classifier to train: its input, and whether a checkpoint's own can be kept."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hf_seq2seq.architectures import register
from hf_seq2seq.configs import Pretrained
from hf_seq2seq.run_configs import EncoderModel
from hf_seq2seq.saved.heads import dropout_field, is_fresh, output_layer, reads_forward, renew, set_head_dropout
from hf_seq2seq.saved.loading import explained, is_classifier
from hf_seq2seq.saved.model_paths import adapter_copy, find_model, is_adapter
from hf_seq2seq.saved.pooling import choose_pooling, recorded_pooling
from hf_seq2seq.saved.setting_types import check_config

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

logger = logging.getLogger(__name__)


def prepare_head(
    model: "PreTrainedModel", options: EncoderModel, tokenizer: "PreTrainedTokenizerBase", fresh: Sequence[str]
) -> list[str]:
    """Sets a classifier's dropout and pooling, and reinitializes a last layer for other classes.

    Args:
        model: changed in place.
        options: the recipe's section about its model.
        tokenizer: its padding token is set in decoder-only models.
        fresh: randomly initialized modules.

    Returns:
        The randomly initialized modules.

    Raises:
        InputError: the model does not support the pooling.
    """
    config = model.config
    setattr(config, dropout_field(config.model_type), options.classifier_dropout)
    set_head_dropout(model, options.classifier_dropout)
    if config.pad_token_id is None:
        config.pad_token_id = tokenizer.pad_token_id
    if pooling := options.pooling or recorded_pooling(config):
        choose_pooling(model, pooling)
    elif reads_forward(config):
        detail = "its label comes from the last token, which sees the whole text, instead of [CLS] (--pooling last)"
        logger.warning("a %r model reads left to right: %s", config.model_type, detail)
    labels: dict[int, str] = config.id2label or {}  # type: ignore[assignment]
    names = () if options.problem_type == "regression" else [str(labels[number]) for number in sorted(labels)]
    return fit_head(model, fresh, trained_labels(options), names)


def trained_labels(source: Pretrained) -> tuple[str, ...]:
    """The classes of a checkpoint by id; empty if there is no checkpoint or it has no classification head.

    Args:
        source: names the checkpoint.

    Raises:
        InputError: there is no model, or the Hub cannot be reached.
    """
    from transformers import AutoConfig

    name = source.model_name_or_path
    if name is None or is_adapter(adapter_copy(name, source.model_revision)):
        return ()
    register()
    where = find_model(name) | {"revision": source.model_revision, "trust_remote_code": source.trust_remote_code}
    with explained(name):
        config = AutoConfig.from_pretrained(name, **where)
        check_config(name, config)
    if not is_classifier(config):
        return ()
    return tuple(str(config.id2label[number]) for number in sorted(config.id2label))


def fit_head(model: "PreTrainedModel", fresh: Sequence[str], trained: Sequence[str], names: Sequence[str]) -> list[str]:
    """Keeps the last layer of a checkpoint with the same classes; reinitializes that of other classes with a message.

    Args:
        model: changed in place.
        fresh: randomly initialized modules.
        trained: the classes of the checkpoint by id.
        names: the classes of the data, empty for regression.

    Returns:
        The randomly initialized modules.
    """
    if not trained or is_same(trained, names):
        return list(fresh)
    last = output_layer(model)
    if not is_fresh(last, fresh):
        renew(model, last)
        fresh = [*fresh, last]
    detail = ", ".join(trained[:5]) + (", …" if len(trained) > 5 else "")
    logger.warning("the checkpoint has other classes (%s): its last layer is reinitialized", detail)
    return list(fresh)


def is_same(trained: Sequence[str], names: Sequence[str]) -> bool:
    """Whether a checkpoint's classes are those of the data, id by id; class 0 is LABEL_0 by default."""
    if not names:
        return len(trained) == 1
    spelled = [name.casefold() for name in trained]
    return spelled in ([name.casefold() for name in names], [f"label_{name}" for name in names])
