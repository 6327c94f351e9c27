"""Vocabulary, lengths, passes and learning rate of models that learn from raw text."""

from collections.abc import Iterator
from dataclasses import replace

from hf_seq2seq.data.text_kinds import SENTENCES, Side
from hf_seq2seq.defaults.pairs import CHARACTER_MODELS, size_reason, subword_size, t5_choices
from hf_seq2seq.defaults.schedules import Lengths, Passes
from hf_seq2seq.sections import Choice

SHORTEST_BLOCK, LONGEST_BLOCK = 256, 512
"""Tokens. Radford et al., 2018, section 4.1, trained GPT on sequences of 512."""
SHORTEST_ROW, LONGEST_ROW = 128, 512
"""Tokens. BERT and T5 were pretrained on sequences of 512; shorter rows take no more memory under a higher limit."""
FEW_EPOCHS, MANY_EPOCHS = 4.0, 40.0
TOKENS_PER_BATCH = 4_096


def vocabulary_choices(texts: Side) -> Iterator[Choice]:
    """The size of a new vocabulary: as for a side of pairs, and room for every character."""
    prose = replace(texts, kind=SENTENCES) if texts.kind in CHARACTER_MODELS else texts
    size = max(subword_size(prose), 2 * texts.alphabet + 64)
    yield Choice("vocab_size", size, size_reason(prose), ("tokenizer_name", "tokenizer_type"))


def dropout_choices(texts: Side) -> Iterator[Choice]:
    """More dropout on less than about ten million tokens, as nanoGPT's settings for Shakespeare have it."""
    words = texts.rows * texts.words
    if words < 7_500_000:
        yield Choice("dropout", 0.2, f"{words:,.0f} words")


def block_choices(longest: int, positions: int | None = None) -> Iterator[Choice]:
    """A block that holds the longest document, of 256 to 512 tokens, as far as the model's positions allow."""
    size = min(max(longest, SHORTEST_BLOCK), LONGEST_BLOCK, positions or LONGEST_BLOCK)
    yield Choice("block_size", size, f"the longest document has {longest:,} tokens")


def row_length_choices(longest: int, positions: int | None = None) -> Iterator[Choice]:
    """Rows that hold the longest text, of 128 to 512 tokens; a longer text becomes several rows."""
    size = min(max(longest, SHORTEST_ROW), LONGEST_ROW, positions or LONGEST_ROW)
    yield Choice("max_source_length", size, f"the longest text has {longest:,} tokens")


def text_passes(lengths: Lengths, processes: int) -> Passes:
    """Passes over raw text, in batches of about 4,096 tokens, and at least 25 steps per pass where there is little.

    Up to 4 passes are about as good as as much new text (Muennighoff et al., 2023, https://arxiv.org/abs/2305.16264),
    which is what many tokens get; a million get 16, after which more repetition adds little there, and fewer up to
    BERT's 40 (Devlin et al., 2019, appendix A.2, https://aclanthology.org/N19-1423).
    """
    tokens = max(1.0, lengths.rows * lengths.mean)
    epochs = min(MANY_EPOCHS, max(FEW_EPOCHS, 16 * (1_000_000 / tokens) ** 0.5))
    budget = max(min(TOKENS_PER_BATCH, tokens / 25), 512, lengths.source + lengths.target)
    return Passes(epochs, int(budget), processes)


RATES = {"gpt": 2.5e-4, "bert_classifier": 1e-4}
"""Peak rates at a width of 768, from scratch: Radford et al., 2018, section 4.1; Devlin et al., 2019, appendix A.2."""
MOST_RATE = 1.5e-3


def rate_choices(recipe: str, width: int) -> Iterator[Choice]:
    """The learning rate of a new model, in inverse proportion to the width; for T5, see `t5_choices`.

    Paper: Yang et al., 2022, https://arxiv.org/abs/2203.03466
    """
    if recipe == "t5":
        yield from t5_choices()
        return
    rate = min(RATES.get(recipe, RATES["gpt"]) * 768 / width, MOST_RATE)
    yield Choice("learning_rate", float(f"{rate:.2g}"), f"a model from scratch of width {width}", ("optim",))


def continued_choices() -> Iterator[Choice]:
    """Passes of a pretrained model over more text."""
    yield Choice("num_train_epochs", FEW_EPOCHS, "a pretrained model on raw text", ("max_steps",))
