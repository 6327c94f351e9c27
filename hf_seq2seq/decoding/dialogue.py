"""Generation of the next reply in conversations."""

from dataclasses import dataclass
from typing import Any

from hf_seq2seq.data.chat import encode_history, encode_reply, end_of_turn
from hf_seq2seq.data.messages import ASSISTANT
from hf_seq2seq.data.replies import encode_histories
from hf_seq2seq.decoding.text_generator import TextGenerator
from hf_seq2seq.errors import InputError
from hf_seq2seq.ragged import Ragged


@dataclass
class ReplyGenerator(TextGenerator):
    """`TextGenerator` for histories, lists of messages that are formatted by the tokenizer's chat template.

    If a history is too long, its oldest exchanges are dropped.

    Raises:
        InputError: the tokenizer has no chat template.
    """

    def __post_init__(self) -> None:
        if self.tokenizers.source.chat_template is None:
            name = self.tokenizers.source.name_or_path
            raise InputError(f"{name}: its tokenizer has no chat template, so that it cannot read conversations")

    def encode(self, rows: list[Any]) -> tuple[Ragged, int]:
        """Encodes histories as sources; also returns how many were truncated."""
        if self.model.config.is_encoder_decoder:
            return encode_histories(rows, self.tokenizers.source, self.max_source_length)
        found = [encode_history(messages, self.tokenizers.source, self.max_source_length) for messages in rows]
        cut = sum(history.shortened or bool(history.cut) for history in found)
        return Ragged.of(history.ids for history in found), cut

    def encode_targets(self, texts: list[Any], targets: list[str]) -> Ragged:
        """Encodes replies to histories as in training."""
        if self.model.config.is_encoder_decoder:
            return super().encode_targets(texts, targets)
        messages = [
            [*history, {"role": ASSISTANT, "content": reply}] for history, reply in zip(texts, targets, strict=True)
        ]
        tokenizer = self.tokenizers.source
        end = end_of_turn(tokenizer)
        return Ragged.of(encode_reply(row, tokenizer, end, "the references") for row in messages)
