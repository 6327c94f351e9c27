"""The tokens that every trained tokenizer has beside those of the text."""

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class SpecialTokens:
    """Special tokens and how a text is wrapped in them.

    Attributes:
        roles: Hugging Face's name of each role, and its token; ids are given in this order, from 0.
        single: template of one text, `$A`.
        pair: template of two texts, `$A` and `$B`, each part with its segment id after a colon.
        inputs: what the tokenizer returns.
        more: tokens without a role, whose ids follow.
    """

    roles: Mapping[str, str]
    single: str
    pair: str
    inputs: tuple[str, ...]
    more: tuple[str, ...] = ()

    @property
    def tokens(self) -> list[str]:
        """The tokens in the order of their ids."""
        return [*self.roles.values(), *self.more]


SEQ2SEQ = SpecialTokens(
    roles={"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "bos_token": "<s>"},
    single="$A </s>",
    pair="$A </s> $B </s>",
    inputs=("input_ids", "attention_mask"),
)
"""For encoder-decoders: T5's convention, with `<s>` for models whose decoder starts with a token of its own."""

T5 = replace(SEQ2SEQ, more=tuple(f"<extra_id_{number}>" for number in range(100)))
"""With the sentinels of span corruption."""

BART = replace(SEQ2SEQ, roles={**SEQ2SEQ.roles, "mask_token": "<mask>"})
"""With the token that stands for what is to be filled in."""

PEGASUS = replace(SEQ2SEQ, roles={**SEQ2SEQ.roles, "mask_token": "<mask_2>"}, more=("<mask_1>",))
"""With the tokens that stand for a masked token and, `<mask_1>`, for a masked sentence."""

BERT = SpecialTokens(
    roles={
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    },
    single="[CLS] $A [SEP]",
    pair="[CLS] $A [SEP] $B:1 [SEP]:1",
    inputs=("input_ids", "token_type_ids", "attention_mask"),
)
"""For encoders that are trained from scratch."""

GPT = SpecialTokens(
    roles={
        "pad_token": "<pad>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "bos_token": "<s>",
        "sep_token": "<sep>",
    },
    single="$A",
    pair="$A $B",
    inputs=("input_ids", "attention_mask"),
)
"""For decoders without an encoder; `data.prompts` says how a text is wrapped."""
