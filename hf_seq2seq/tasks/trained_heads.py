"""Checkpoints that are classifiers already: whose classes their head names, and whether it can be kept."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hf_seq2seq.architectures import register
from hf_seq2seq.saved.heads import is_fresh, output_layer, renew
from hf_seq2seq.saved.loading import explained, is_classifier
from hf_seq2seq.saved.model_paths import config_place, find_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel

logger = logging.getLogger(__name__)


def trained_labels(source: Any) -> tuple[str, ...]:
    """The classes of a checkpoint by their ids; none where there is no checkpoint or it has no classifier's head.

    Args:
        source: has `model_name_or_path`, `model_revision` and `trust_remote_code`.

    Raises:
        InputError: there is no model, or the Hub cannot be asked.
    """
    from transformers import AutoConfig

    name = source.model_name_or_path
    if name is None or config_place(name) != name:
        return ()
    register()
    where = find_model(name) | {"revision": source.model_revision, "trust_remote_code": source.trust_remote_code}
    with explained(name):
        config = AutoConfig.from_pretrained(name, **where)
    if not is_classifier(config):
        return ()
    return tuple(str(config.id2label[number]) for number in sorted(config.id2label))


def fit_head(model: "PreTrainedModel", fresh: Sequence[str], trained: Sequence[str], names: Sequence[str]) -> list[str]:
    """Keeps the last layer of a checkpoint that knows the same classes; renews one of other classes, and says so.

    Args:
        model: changed in place.
        fresh: modules whose weights are random.
        trained: the classes of the checkpoint by their ids.
        names: those of the data, none for regression.

    Returns:
        The modules whose weights are random.
    """
    if not trained or is_same(trained, names):
        return list(fresh)
    last = output_layer(model)
    if not is_fresh(last, fresh):
        renew(model, last)
        fresh = [*fresh, last]
    told = ", ".join(trained[:5]) + (", …" if len(trained) > 5 else "")
    logger.warning("the checkpoint's classes are others (%s): its last layer starts anew", told)
    return list(fresh)


def is_same(trained: Sequence[str], names: Sequence[str]) -> bool:
    """Whether a checkpoint's classes are those of the data, id by id; a class 0 is LABEL_0 by default."""
    if not names:
        return len(trained) == 1
    spelled = [name.casefold() for name in trained]
    return spelled in ([name.casefold() for name in names], [f"label_{name}" for name in names])
