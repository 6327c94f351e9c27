"""How `generate` and `evaluate` search; imports no torch, so that the command line can list it."""

import math
from dataclasses import dataclass

from hf_seq2seq.configs import Decoding
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import LARGEST_SEED, flag, option

AVERAGES = ("probability", "log_probability")
NORMALIZATIONS = ("power", "gnmt")
SAMPLING = ("temperature", "top_k", "top_p", "typical_p", "min_p")


@dataclass(frozen=True, kw_only=True)
class Search(Decoding):
    """Decoding: how outputs are searched for; by default as the model's training or its own settings say."""

    num_return_sequences: int = option(1, "Outputs of each source, best first.", at_least=1)
    early_stopping: str | None = option(
        None,
        "Stop at as many finished outputs as beams (true), or if no better is likely (false) or possible (never).",
        choices=("true", "false", "never"),
    )
    length_normalization: str = option(
        "power", "Divide by the length, or by GNMT's formula of it.", choices=NORMALIZATIONS
    )
    coverage_penalty: float = option(0.0, "Weight of GNMT's penalty for source tokens left unattended.", at_least=0)
    num_beam_groups: int = option(1, "Split the beams into groups that differ.", at_least=1)
    diversity_penalty: float = option(0.0, "What a group pays for repeating the groups before it.", at_least=0)
    diversity_ngram_size: int | None = option(
        None, "Compare n-grams of this size, in place of tokens at the same place.", at_least=1
    )
    do_sample: bool = option(False, "Draw tokens at random.")
    temperature: float | None = option(None, "Divide the logits by this before drawing.", above=0)
    top_k: int | None = option(None, "Draw from the k best tokens.", at_least=1)
    top_p: float | None = option(None, "Draw from the best tokens with this probability together.", above=0, at_most=1)
    typical_p: float | None = option(None, "The same for the most typical tokens.", above=0, at_most=1)
    min_p: float | None = option(
        None, "Draw from tokens with this share of the best one's probability.", at_least=0, at_most=1
    )
    seed: int = option(
        42,
        "Seed of what is drawn; a row's output does not depend on the rows beside it.",
        at_least=0,
        at_most=LARGEST_SEED,
    )
    repetition_penalty: float | None = option(None, "Above 1 disfavours tokens that are there already.", above=0)
    min_new_tokens: int | None = option(None, "Shortest output in tokens.", at_least=0, aliases=("min_length",))
    min_length_ratio: float | None = option(None, "The same in tokens a source token.", at_least=0)
    max_length_ratio: float | None = option(None, "Longest output in tokens a source token.", above=0)
    forced_bos_token: str | None = option(None, "First token of every output, such as a language's.")
    force_words: tuple[str, ...] = option((), "Words that every output must hold, separated by commas.")
    mbr_metric: str | None = option(None, "Of several outputs, give the one most like the others by this metric.")
    max_tokens_per_batch: int | None = option(
        None, "Batch by a budget of source tokens, padding and beams counted, in place of rows.", at_least=4
    )

    def check(self) -> None:
        """Refuses settings that do not go together.

        Raises:
            InputError: naming the flag that is in the way.
        """
        drawing = [flag(name) for name in SAMPLING if getattr(self, name) is not None]
        if drawing and not self.do_sample:
            raise InputError(f"{drawing[0]}: only drawn outputs have it; add --do-sample")
        if self.do_sample and self.num_beams > 1:
            raise InputError(f"--do-sample: nothing is drawn in beam search; leave out --num-beams {self.num_beams}")
        if self.num_beams % self.num_beam_groups:
            raise InputError(
                f"--num-beam-groups: {self.num_beams} beams do not divide into {self.num_beam_groups} groups"
            )
        if (self.num_beam_groups == 1) == bool(self.diversity_penalty):
            needed = "--diversity-penalty above 0" if self.num_beam_groups > 1 else "--num-beam-groups above 1"
            raise InputError(f"--num-beam-groups, --diversity-penalty: each needs the other; add {needed}")
        if not self.do_sample and self.num_return_sequences > self.num_beams:
            raise InputError(
                f"--num-return-sequences: {self.num_return_sequences} is more than --num-beams {self.num_beams}"
            )
        if (self.min_length_ratio or 0) > (self.max_length_ratio or math.inf):
            raise InputError(
                f"--min-length-ratio: {self.min_length_ratio} is more than --max-length-ratio {self.max_length_ratio}"
            )
        if self.mbr_metric and self.num_return_sequences == 1:
            raise InputError("--mbr-metric: there is nothing to choose from; add --num-return-sequences above 1")
        needs_beams = [name for name in ("coverage_penalty", "force_words") if getattr(self, name)]
        if needs_beams and self.num_beams == 1:
            raise InputError(f"{flag(needs_beams[0])}: needs beam search; add --num-beams")
