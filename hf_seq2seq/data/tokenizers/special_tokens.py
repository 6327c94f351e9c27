"""Special tokens of trained tokenizers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class SpecialTokens:
    """Special tokens and the templates that add them to a text.

    Attributes:
        roles: Hugging Face's name of each role, and its token; ids are given in this order, from 0.
        single: template of one text, `$A`.
        pair: template of two texts, `$A` and `$B`, each part with its segment id after a colon.
        inputs: names of the tokenizer's outputs.
        more: tokens without a role, whose ids come next.
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
"""For encoder-decoders: T5's convention, with `<s>` for models whose decoder has its own start token."""

T5 = replace(SEQ2SEQ, more=tuple(f"<extra_id_{number}>" for number in range(100)))
"""With the sentinels of span corruption."""

BART = replace(SEQ2SEQ, roles={**SEQ2SEQ.roles, "mask_token": "<mask>"})
"""With the token that stands for text to fill in."""

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
"""For encoders trained from scratch."""

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
"""For decoder-only models; `data.prompts` defines how they are added to a text."""
