"""Cross-entropy of the next token, for decoder-only models."""

from torch import Tensor

from hf_seq2seq.objectives.cross_entropy import TokenCrossEntropy


class NextTokenCrossEntropy(TokenCrossEntropy):
    """Cross-entropy of the token after each input; labels of -100 are ignored.

    Unlike with transformers' own loss, labels are already shifted, `(batch, length)`, so the last token of a sequence
    is never an input.
    """

    def inputs(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The model's inputs: the sequence with its mask, or with positions that restart in each document.

        Padding is on the right, where no real token sees it. A model separates documents by their positions only if it
        is given no mask.
        """
        mask = "position_ids" if "position_ids" in batch else "attention_mask"
        return {name: batch[name] for name in ("input_ids", mask)}
