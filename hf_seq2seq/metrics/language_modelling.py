"""How well a language model foretells text: perplexity a token, and bits a byte, which no tokenizer changes."""

import math


def perplexity(total: float, tokens: float) -> float:
    """The exponential of the mean loss.

    Args:
        total: sum of the tokens' losses in nats.
        tokens: how many there are.

    Paper: Jelinek et al., 1977, https://doi.org/10.1121/1.2016299
    """
    mean = total / tokens
    return math.exp(mean) if mean < 700 else math.inf  # float64 ends there


def bits_per_byte(total: float, documents: list[str]) -> float:
    """The summed loss in bits, divided by the bytes of the text in UTF-8.

    What the ends of documents cost is in the sum, while the bytes are those of the documents alone.

    Args:
        total: sum of the losses of all tokens of the documents in nats.
        documents: the text.

    Paper: Gao et al., 2020, section 3.1, https://arxiv.org/abs/2101.00027
    """
    return total / math.log(2) / sum(len(text.encode("utf-8", "replace")) for text in documents)
