"""Options of `generate` for long texts; imports no torch, so that the command line can list them quickly."""

from dataclasses import dataclass

from hf_seq2seq.data.splitting import KINDS, check_language
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import Section, option

CUT, SPLIT, REFUSE = "cut", "split", "refuse"
JOIN, AGAIN = "join", "again"


@dataclass(frozen=True, kw_only=True)
class Splitting(Section):
    """Long texts: pieces that are read one by one."""

    split: str | None = option(
        None, "Read sentences or paragraphs one by one, or pieces of as many tokens as fit.", choices=KINDS
    )
    on_too_long: str | None = option(
        None,
        "What does not fit is cut off (the default without --split), split, or refused.",
        choices=(CUT, SPLIT, REFUSE),
    )
    combine: str = option(
        JOIN,
        "Put the outputs of pieces in their places, or read them again as one text (summaries).",
        choices=(JOIN, AGAIN),
    )
    context_sentences: int = option(
        0, "With --split sentences: so many sentences before each one as context, for models trained so.", at_least=0
    )
    context_separator: str = option(" ", "What separates them; an output counts from its last such separator.")
    split_language: str = option("en", "Language of the text, whose abbreviations do not end a sentence.")

    @property
    def kind(self) -> str | None:
        """How texts are split; None if they are not."""
        return self.split or ("tokens" if self.on_too_long == SPLIT else None)

    @property
    def action(self) -> str:
        """What happens to what is too long."""
        return self.on_too_long or (SPLIT if self.split else CUT)

    def check(self) -> None:
        """Rejects incompatible settings.

        Raises:
            InputError: settings conflict; names the flag.
        """
        if self.combine != JOIN and self.kind is None:
            raise InputError(f"--combine {self.combine}: there are no pieces; add --split, or --on-too-long split")
        if self.context_sentences and self.split != "sentences":
            raise InputError("--context-sentences: needs --split sentences")
        check_language(self.split_language)
