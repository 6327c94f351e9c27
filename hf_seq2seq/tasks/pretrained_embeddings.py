"""Word vectors from a file as the start of a new model's embeddings."""

import sys
from typing import TYPE_CHECKING

import torch
from torch import nn

from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.data.word_vectors import read_vectors
from hf_seq2seq.errors import InputError
from hf_seq2seq.run_configs import HandBuiltRun
from hf_seq2seq.tasks.kept import kept_tokenizers
from hf_seq2seq.training.processes import rank

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MARKS = ("▁", "Ġ")
"""What begins a piece that begins a word."""


def start_embeddings(model: "PreTrainedModel", tokenizers: Tokenizers, config: HandBuiltRun) -> "PreTrainedModel":
    """Puts the vectors that `--pretrained-embeddings` names into the embeddings, and says how many there are.

    The vectors of each side are scaled to the standard deviation of its own fresh embeddings, which the learning rate
    fits. A resumed run has its checkpoint's embeddings.

    Returns:
        The same model.

    Raises:
        InputError: the file cannot be read, its vectors have another width, or no piece of the vocabulary has one.
    """
    file = config.start.pretrained_embeddings
    if file is None or kept_tokenizers(config.run):
        return model
    sides: dict[str, tuple[PreTrainedTokenizerBase, nn.Embedding]] = {
        "source": (tokenizers.source, model.model.encoder.embed_tokens),
        "target": (tokenizers.target, model.model.decoder.embed_tokens),
    }
    if tokenizers.shared:
        sides = {"vocabulary": sides["target"]}
    found = {side: _fill(embeddings, tokenizer, file) for side, (tokenizer, embeddings) in sides.items()}
    if not any(found.values()):
        raise InputError(
            f"--pretrained-embeddings {file}: no piece of the vocabulary is among its words; "
            "--tokenizer-type word keeps words whole"
        )
    for side, count in found.items():
        total = len(sides[side][0])
        if not rank():
            print(f"{file}: {side}: {count:,} of {total:,} pieces have a vector ({count / total:.1%})", file=sys.stderr)
    return model


@torch.no_grad()
def _fill(embeddings: nn.Embedding, tokenizer: "PreTrainedTokenizerBase", file: str) -> int:
    """How many embeddings got a vector."""
    ids = _words(tokenizer)
    wanted = set(ids) | {word.lower() for word in ids}
    words, vectors = read_vectors(file, wanted)
    width = embeddings.weight.shape[1]
    if vectors.shape[1] != width:
        raise InputError(
            f"--pretrained-embeddings {file}: vectors of {vectors.shape[1]} numbers, embeddings of {width}; "
            f"give the model embeddings of {vectors.shape[1]}"
        )
    rows = {word: row for row, word in enumerate(words)}
    pairs = [(number, rows.get(word, rows.get(word.lower(), -1))) for word, number in ids.items()]
    pairs = [(number, row) for number, row in pairs if row >= 0]
    if pairs:
        places, taken = zip(*pairs, strict=True)
        chosen = torch.from_numpy(vectors[list(taken)])
        spread = float(chosen.std(correction=0))
        embeddings.weight[list(places)] = chosen * (embeddings.weight.std() / spread if spread else 1.0)
    return len(pairs)


def _words(tokenizer: "PreTrainedTokenizerBase") -> dict[str, int]:
    """The pieces that can be words, without the mark of a word's beginning, and their ids."""
    found: dict[str, int] = {}
    special = set(tokenizer.all_special_tokens)
    for piece, number in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1]):
        word = piece[1:] if piece.startswith(MARKS) and len(piece) > 1 else piece
        if piece not in special and (word != piece or word not in found):
            found[word] = number
    return found
