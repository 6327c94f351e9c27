"""Cross-entropy of the next token, for a decoder without an encoder."""

from torch import Tensor

from hf_seq2seq.objectives.cross_entropy import TokenCrossEntropy


class NextTokenCrossEntropy(TokenCrossEntropy):
    """Cross-entropy of the token after each input; a label of -100 is not learnt.

    Unlike where transformers' own loss is used, labels stand beside the inputs that they follow, `(batch, length)`, so
    the last token of a sequence is never read.
    """

    def inputs(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """What the model reads: the sequence with its mask, or with positions that start again in each document.

        Padding lies on the right, where no real token sees it. A model tells documents by their positions only where it
        is given no mask.
        """
        mask = "position_ids" if "position_ids" in batch else "attention_mask"
        return {name: batch[name] for name in ("input_ids", mask)}
