"""The options of `generate` that say something about an answer, which requests and /set may change."""

from dataclasses import dataclass

from hf_seq2seq.decoding.pipeline import Spoken
from hf_seq2seq.decoding.search_options import Lengths, Search
from hf_seq2seq.decoding.splitting_options import Splitting
from hf_seq2seq.sections import options

LOADING = ("trust_remote_code", "per_device_eval_batch_size", "max_tokens_per_batch")
"""Options of these sections that say nothing about an answer."""


@dataclass(frozen=True)
class AnswerConfig:
    """The sections of these options."""

    lengths: Lengths
    languages: Spoken
    splitting: Splitting
    search: Search


ANSWER_OPTIONS = {name: item for name, (_, item) in options(AnswerConfig).items() if name not in LOADING}
"""The options by name."""
