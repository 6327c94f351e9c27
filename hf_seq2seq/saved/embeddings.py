"""Checks that a model has an embedding for every token of its tokenizers, and adds missing ones."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.errors import InputError
from hf_seq2seq.saved.joined_pairs import decoder_of, is_joined

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

RESIZED = "model.resize_token_embeddings({tokens}) in Python, or `train` with --resize-embeddings, adds them"


def check_embeddings(model: "PreTrainedModel", tokenizers: Tokenizers, place: str, fix: str = RESIZED) -> None:
    """Rejects a tokenizer with ids for which a model has no embeddings, which would raise an IndexError later.

    Args:
        model: any model with token embeddings.
        tokenizers: its tokenizers.
        place: location of the tokenizer, for the error.
        fix: the fix to suggest, with `{tokens}` for their number.

    Raises:
        InputError: names both numbers.
    """
    for side, embeddings, tokens in _sides(model, tokenizers):
        if tokens > len(embeddings.weight):
            which = "" if tokenizers.shared else f"{side} "
            raise InputError(
                f"{place}: its {which}tokenizer has {tokens:,} tokens, the model embeddings for "
                f"{len(embeddings.weight):,} {which}ones; {fix.format(tokens=tokens)}"
            )


def resize_embeddings(model: "PreTrainedModel", tokenizers: Tokenizers) -> None:
    """Adds missing embeddings, drawn around the mean of the existing ones; others are unchanged."""
    parts: Any = model
    for side, embeddings, tokens in _sides(model, tokenizers):
        if tokens > len(embeddings.weight):
            if is_joined(model.config):
                part = parts.decoder if side == "target" else parts.encoder
                resize_tokens(part, tokens)
                model.config.vocab_size = parts.decoder.config.vocab_size
            elif side == "source" and not tokenizers.shared:
                parts.resize_source_embeddings(tokens)
            else:
                resize_tokens(model, tokens)


def resize_tokens(model: Any, tokens: int) -> None:
    """Resizes embeddings and output weights, and leaves them apart if they are.

    By their configuration the output weights of T5 1.1 and mT5 are tied, which only their checkpoints contradict;
    resizing in transformers alone would tie them.
    """
    outputs, config = model.get_output_embeddings(), model.config
    separate = outputs is not None and outputs.weight is not model.get_input_embeddings().weight
    tied = getattr(config, "tie_word_embeddings", False)
    if not (separate and tied):
        model.resize_token_embeddings(tokens)
        return
    config.tie_word_embeddings = False
    try:
        model.resize_token_embeddings(tokens)
    finally:
        config.tie_word_embeddings = tied


def old_pieces(tokenizers: Tokenizers, tokens: Sequence[str]) -> dict[str, dict[str, list[int]]]:
    """The ids of the pieces that each new token consists of so far, by side; those that are known are left out."""
    found = {}
    for side, tokenizer in (("source", tokenizers.source), ("target", tokenizers.target)):
        known = tokenizer.get_vocab()
        new = [token for token in tokens if token not in known]
        found[side] = {token: tokenizer(token, add_special_tokens=False)["input_ids"] for token in new}
    return found


def start_at_means(model: "PreTrainedModel", tokenizers: Tokenizers, old: dict[str, dict[str, list[int]]]) -> None:
    """Starts the embeddings of new tokens at the means of those of their old pieces; also their output weights.

    Args:
        model: modified in place.
        tokenizers: with the new tokens.
        old: as of `old_pieces`, before they were added.
    """
    for side, tables in token_tables(model, tokenizers).items():
        tokenizer = getattr(tokenizers, side)
        for token, pieces in old[side].items():
            row = tokenizer.convert_tokens_to_ids(token)
            for table in tables:
                if pieces and row < len(table):
                    table.data[row] = table.data[pieces].mean(dim=0)


def token_tables(model: "PreTrainedModel", tokenizers: Tokenizers) -> "dict[str, list[nn.Parameter]]":
    """The parameters with a row per token, by side: embeddings, and output weights and biases that are not tied."""
    found: dict[str, list[nn.Parameter]] = {}
    for side, embeddings, _ in _sides(model, tokenizers):
        tables: list[Any] = [embeddings.weight]
        outputs: Any = model.get_output_embeddings() if side == "target" else None
        if outputs is not None:
            tables += [outputs.weight] * (outputs.weight is not embeddings.weight)
            tables += [outputs.bias] * (getattr(outputs, "bias", None) is not None)
        found[side] = tables
    return found


TRAINED_ROWS = "trained_rows"
"""Attribute of a table of tokens that is saved with an adapter: the numbers of its rows that are trained."""


def train_rows(table: "nn.Parameter", rows: list[int], is_frozen: bool = False) -> None:
    """Lets a table of tokens be trained in some rows; others get no gradient.

    Args:
        table: a parameter with a row per token.
        rows: their numbers.
        is_frozen: whether none is trained after all; the table is still saved with an adapter.
    """
    setattr(table, TRAINED_ROWS, rows)
    if is_frozen:
        return

    def leave(gradient: "Tensor") -> "Tensor":
        kept = gradient.new_zeros(gradient.shape)
        kept[rows] = gradient[rows]
        return kept

    table.requires_grad_(True)
    table.register_hook(leave)


def _sides(model: "PreTrainedModel", tokenizers: Tokenizers) -> "list[tuple[str, nn.Embedding, int]]":
    """Each vocabulary's side, its embeddings, and its largest id plus one."""
    joined = is_joined(model.config)
    target: Any = decoder_of(model).get_input_embeddings()
    found = [("target", target, _size(tokenizers.target))]
    if joined or not tokenizers.shared:
        encoder: Any = model.get_encoder()
        own = encoder.get_input_embeddings() if joined else encoder.embed_tokens
        found.append(("source", own, _size(tokenizers.source)))
    return found


def _size(tokenizer: "PreTrainedTokenizerBase") -> int:
    return 1 + max(tokenizer.get_vocab().values())
