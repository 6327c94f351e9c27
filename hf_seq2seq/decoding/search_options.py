"""Search options of `generate` and `evaluate`; imports no torch, so that the command line can list them quickly."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hf_seq2seq.errors import InputError
from hf_seq2seq.inference import Decoding
from hf_seq2seq.sections import LARGEST_SEED, Section, flag, option

AVERAGES = ("probability", "log_probability")
NORMALIZATIONS = ("power", "gnmt")
UNLIKE_CHOICES = ("force_words", "bad_words", "stop_strings", "num_beam_groups", "coverage_penalty")
"""Options that say nothing about outputs from a closed list."""
SAMPLING = ("temperature", "top_k", "top_p", "typical_p", "min_p")


@dataclass(frozen=True, kw_only=True)
class Lengths(Section):
    """Model: lengths and prefix; by default those of its training run."""

    source_prefix: str | None = option(None, "Text prepended to every source.")
    max_source_length: int | None = option(None, "Truncate sources to this many tokens.", at_least=2)
    max_new_tokens: int | None = option(
        None, "Maximum output length in tokens.", at_least=1, aliases=("max_target_length",)
    )
    trust_remote_code: bool = option(False, "Allow a Hub repository to run its own code.")


@dataclass(frozen=True, kw_only=True)
class Search(Decoding):
    """Decoding: how outputs are searched for; by default as set by the model's training run or its own settings."""

    num_return_sequences: int = option(
        1, "Outputs per source, best first; samples in the order in which they were drawn.", at_least=1
    )
    early_stopping: str | None = option(
        None,
        "Stop at as many finished outputs as beams (true), or if no better one is likely (false) or possible (never).",
        choices=("true", "false", "never"),
    )
    length_normalization: str = option(
        "power", "Normalize by a power of the length, or by GNMT's formula.", choices=NORMALIZATIONS
    )
    coverage_penalty: float = option(
        0.0, "Weight of GNMT's penalty for source tokens with little attention.", at_least=0
    )
    num_beam_groups: int = option(1, "Split the beams into groups that differ from each other.", at_least=1)
    diversity_penalty: float = option(0.0, "Penalty of a group for repeating previous groups.", at_least=0)
    diversity_ngram_size: int | None = option(
        None, "Compare n-grams of this size instead of tokens at the same position.", at_least=1
    )
    do_sample: bool = option(False, "Sample tokens at random.")
    temperature: float | None = option(None, "Divide the logits by this before sampling.", above=0)
    top_k: int | None = option(None, "Sample from the k most probable tokens.", at_least=1)
    top_p: float | None = option(
        None, "Sample from the most probable tokens with this total probability.", above=0, at_most=1
    )
    typical_p: float | None = option(None, "The same for the locally typical tokens.", above=0, at_most=1)
    min_p: float | None = option(
        None, "Sample from tokens with at least this fraction of the top token's probability.", at_least=0, at_most=1
    )
    seed: int = option(
        42,
        "Seed for sampling; a row's output does not depend on the other rows of its batch.",
        at_least=0,
        at_most=LARGEST_SEED,
    )
    repetition_penalty: float | None = option(None, "Above 1 penalizes tokens that already occur.", above=0)
    min_new_tokens: int | None = option(None, "Minimum output length in tokens.", at_least=0, aliases=("min_length",))
    min_length_ratio: float | None = option(None, "The same in tokens per source token.", at_least=0)
    max_length_ratio: float | None = option(None, "Maximum output length in tokens per source token.", above=0)
    forced_bos_token: str | None = option(None, "First token of every output, such as a language token.")
    force_words: tuple[str, ...] = option(
        (), "Words that every output must contain, separated by commas; any of several forms: house|houses."
    )
    bad_words: tuple[str, ...] = option((), "Words or phrases that no output may contain, separated by commas.")
    stop_strings: tuple[str, ...] = option((), "Texts with which an output ends.")
    choices: str | None = option(
        None, "File of the only outputs to choose from, one per line; the best of them are found exactly."
    )
    mbr_metric: str | None = option(
        None, "Of several outputs, return the one most similar to the others by this metric (cometkiwi: the best one)."
    )
    max_tokens_per_batch: int | None = option(
        None, "Batch by a budget of source tokens, including padding and beams, instead of rows.", at_least=4
    )

    def check(self) -> None:
        """Rejects incompatible settings.

        Raises:
            InputError: settings conflict; names the flag.
        """
        drawing = [flag(name) for name in SAMPLING if getattr(self, name) is not None]
        if drawing and not self.do_sample:
            raise InputError(f"{drawing[0]}: only applies to sampling; add --do-sample")
        if self.do_sample and self.num_beams > 1:
            raise InputError(f"--do-sample: beam search does not sample; leave out --num-beams {self.num_beams}")
        if self.num_beams % self.num_beam_groups:
            raise InputError(
                f"--num-beam-groups: {self.num_beams} beams cannot be divided into {self.num_beam_groups} groups"
            )
        if (self.num_beam_groups == 1) == bool(self.diversity_penalty):
            needed = "--diversity-penalty above 0" if self.num_beam_groups > 1 else "--num-beam-groups above 1"
            raise InputError(f"--num-beam-groups, --diversity-penalty: each needs the other; add {needed}")
        if not (self.do_sample or self.choices) and self.num_return_sequences > self.num_beams:
            raise InputError(
                f"--num-return-sequences: {self.num_return_sequences} is more than --num-beams {self.num_beams}"
            )
        if (self.min_length_ratio or 0) > (self.max_length_ratio or math.inf):
            raise InputError(
                f"--min-length-ratio: {self.min_length_ratio} is more than --max-length-ratio {self.max_length_ratio}"
            )
        if "" in self.stop_strings:
            raise InputError("--stop-strings: an empty text would end every output at once; leave it out")
        if self.mbr_metric and self.num_return_sequences == 1:
            raise InputError("--mbr-metric: there is nothing to choose from; add --num-return-sequences above 1")
        beside = [name for name in UNLIKE_CHOICES if name in self.changed()]
        if self.choices and beside:
            raise InputError(f"--choices and {flag(beside[0])}: an output is one of the choices; leave out one of them")
        needs_beams = [name for name in ("coverage_penalty", "force_words") if getattr(self, name)]
        if needs_beams and self.num_beams == 1:
            raise InputError(f"{flag(needs_beams[0])}: needs beam search; add --num-beams")


def check_search(search: Search, values: Mapping[str, Any]) -> None:
    """Rejects incompatible flags, as far as this does not depend on the model.

    Raises:
        InputError: flags conflict; names the flag.
    """
    if {"num_beams", "stop_strings"} & {*values} or search.do_sample:
        search.check()
    if search.mbr_metric:
        from hf_seq2seq.metrics.single_rows import row_scorer

        row_scorer(search.mbr_metric)
