"""The flags of `back-translate` that name its files, their columns, and the noise."""

from dataclasses import dataclass

from hf_seq2seq.data.cleaning.options import BACK_TRANSLATED, SIDES
from hf_seq2seq.sections import Section, option


@dataclass(frozen=True, kw_only=True)
class Rows(Section):
    """Input and output."""

    input_file: str | None = option(
        None,
        "Text of the target side: txt, csv, tsv, json, jsonl (each also .gz, .xz, .zst), parquet or arrow.",
    )
    text_column: str | None = option(None, "Its column, if the file has several.")
    encoding: str = option("utf-8", "Encoding of the input.")
    output_file: str | None = option(None, "Pairs with their provenance, as .jsonl or .tsv.")
    source_column: str | None = option(
        None, "Name of the column of synthetic sources; by default 'source', or the languages name both columns."
    )
    target_column: str | None = option(None, "Name of the column of real targets; by default 'target'.")
    source_lang: str | None = option(None, "Language of the sources, which the reverse model writes.")
    target_lang: str | None = option(None, "Language of the targets, which it reads.")
    tag: str = option(BACK_TRANSLATED, "Tag put before every synthetic source; '' for none.")
    min_score: float | None = option(
        None, "Drop a source whose log-probability per token under the reverse model is lower."
    )
    train_file: str | None = option(None, "Real pairs, to be mixed with the synthetic ones.")
    stages_file: str | None = option(None, "File for `train --stages` that mixes real and synthetic pairs.")
    mixed_file: str | None = option(None, "JSON lines of the real and the synthetic pairs, to train on.")
    upsample: int = option(1, "How often each real pair comes per pass over the synthetic ones.", at_least=1)

    @property
    def names(self) -> tuple[str, str]:
        """The columns of sources and targets."""
        languages = (self.source_lang, self.target_lang) if self.source_lang and self.target_lang else SIDES
        return self.source_column or str(languages[0]), self.target_column or str(languages[1])


@dataclass(frozen=True, kw_only=True)
class Noise(Section):
    """Noise: changes to synthetic sources, as on top of beams in Edunov et al., 2018."""

    noise: bool = option(False, "Delete, blank and shuffle words of synthetic sources.")
    noise_dropout: float = option(0.1, "Share of words to delete.", at_least=0, at_most=1)
    noise_blank: float = option(0.1, "Share of words to replace by a blank.", at_least=0, at_most=1)
    noise_distance: int = option(3, "How many places a word moves at most.", at_least=0)
    blank_token: str = option("<blank>", "What stands for a blanked word.")
