"""What the recipes for pairs share: reading every split, and a task from its parts."""

from typing import TYPE_CHECKING, Any

from hf_seq2seq.configs import PairData
from hf_seq2seq.data.collation import Seq2SeqCollator
from hf_seq2seq.data.copying import name_copies
from hf_seq2seq.data.encoding import encode_pairs
from hf_seq2seq.data.pairs import Pairs, read_pairs
from hf_seq2seq.data.sources import load_splits
from hf_seq2seq.data.vocabulary import Tokenizers
from hf_seq2seq.errors import InputError
from hf_seq2seq.objectives.cross_entropy import TokenCrossEntropy
from hf_seq2seq.training.run import check_positions
from hf_seq2seq.training.task import Task

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def read_all_pairs(data: PairData) -> dict[str, Pairs]:
    """The pairs of every split.

    Raises:
        InputError: there are no training rows.
    """
    pairs = read_pairs(load_splits(data), data)
    if "train" not in pairs:
        raise InputError("no training rows: give --train-file or --dataset-name")
    return pairs


def pair_task(
    recipe: str, config: Any, model: "PreTrainedModel", tokenizers: Tokenizers, pairs: dict[str, Pairs]
) -> Task:
    """Encodes the pairs and sets cross-entropy of the target tokens as what is minimised."""
    check_positions(model, config.tokens)
    prefix = config.data.source_prefix
    splits = {name: encode_pairs(rows, tokenizers, config.tokens, prefix) for name, rows in pairs.items()}
    if room := getattr(model.config, "copy_vocab_size", 0):
        splits = {name: name_copies(examples, tokenizers, room, prefix) for name, examples in splits.items()}
    source, target = pairs["train"].columns
    return Task(
        recipe=recipe,
        config=config,
        model=model,
        tokenizers=tokenizers,
        splits=splits,
        columns={"source": source, "target": target},
        objective=TokenCrossEntropy(model, config.optimization.label_smoothing_factor),
        collate=Seq2SeqCollator(tokenizers.source.pad_token_id),
        metrics=config.evaluation.metrics,
    )
