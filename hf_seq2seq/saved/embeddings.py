"""Checks that a model has an embedding for every token of its tokenizers, and adds missing ones."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.errors import InputError
from hf_seq2seq.saved.joined_pairs import decoder_of, is_joined

if TYPE_CHECKING:
    from torch import nn
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
                part.resize_token_embeddings(tokens)
                model.config.vocab_size = parts.decoder.config.vocab_size
            elif side == "source" and not tokenizers.shared:
                parts.resize_source_embeddings(tokens)
            else:
                model.resize_token_embeddings(tokens)


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
    for side, embeddings, _ in _sides(model, tokenizers):
        tokenizer, tables = getattr(tokenizers, side), [embeddings.weight]
        outputs: Any = model.get_output_embeddings() if side == "target" else None
        if outputs is not None:
            tables += [outputs.weight] * (outputs.weight is not embeddings.weight)
            tables += [outputs.bias] * (getattr(outputs, "bias", None) is not None)
        for token, pieces in old[side].items():
            row = tokenizer.convert_tokens_to_ids(token)
            for table in tables:
                if pieces and row < len(table):
                    table.data[row] = table.data[pieces].mean(dim=0)


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
