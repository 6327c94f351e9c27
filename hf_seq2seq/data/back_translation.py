"""Synthetic pairs by back-translation: real targets, and sources that a reverse model wrote.

Papers: Sennrich et al., 2016, https://aclanthology.org/P16-1009 (the method); Edunov et al., 2018,
https://aclanthology.org/D18-1045 (sampling, noised beams); Caswell et al., 2019, https://aclanthology.org/W19-5206 (the
tag).
"""

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from hf_seq2seq.data.cleaning.cleaner import Cleaner
from hf_seq2seq.data.cleaning.options import Cleaning
from hf_seq2seq.data.cleaning.rules import Pair, Seen
from hf_seq2seq.data.files.compression import bare_name
from hf_seq2seq.errors import InputError

logger = logging.getLogger(__name__)


class Line(NamedTuple):
    """A text of the input, its number from 1, and the rule that drops it before it is translated."""

    number: int
    text: str
    rule: str | None


@dataclass(frozen=True)
class Filters:
    """What is dropped, before a text is translated and after.

    Attributes:
        before: judges targets.
        after: judges pairs.
        least: the lowest score of a source under the reverse model.
    """

    before: Cleaner
    after: Cleaner
    least: float | None

    @property
    def names(self) -> list[str]:
        """The rules that apply."""
        score = ["score"] * (self.least is not None)
        return list(dict.fromkeys([*self.before.rules, *self.after.rules, "no_output", *score]))

    def lines(self, texts: Iterator[str]) -> Iterator[Line]:
        """Texts with the rule that drops each, if one does."""
        for number, text in enumerate(texts, start=1):
            found = self.before(Pair(None, text))
            yield Line(number, text, found and found[0])

    def why_not(self, source: str, target: str, score: float | None) -> str | None:
        """The rule that drops a pair."""
        if not source.strip():
            return "no_output"
        if self.least is not None and score is not None and score < self.least:
            return "score"
        found = self.after(Pair(source, target))
        return found and found[0]


def make_filters(
    rules: Cleaning, languages: Mapping[str, str | None], seen: Seen | None, least: float | None
) -> Filters:
    """The filters of targets and of pairs; a target is judged once, and duplicates are of targets.

    Raises:
        InputError: options are incompatible, or a package is missing.
    """
    if rules.check_language and not any(languages.values()):
        raise InputError("--check-language: give --source-lang, --target-lang or both")
    if "source" in rules.unique:
        raise InputError("--unique source: synthetic sources are not compared; targets are, by pair or target")
    source, target = ({side: languages[side]} for side in ("source", "target"))
    before = replace(rules, check_language=rules.check_language and bool(languages["target"]), source_script=None)
    after = replace(
        rules, check_language=rules.check_language and bool(languages["source"]), target_script=None, unique=()
    )
    return Filters(Cleaner(before, target, seen), Cleaner(after, source, seen), least)


def check_direction(
    model: str, run: Mapping[str, Any], languages: Mapping[str, str | None], input_file: str | None
) -> None:
    """Rejects a reverse model that is known to write or read another language; says so where it is not known.

    Args:
        model: its folder or name.
        run: the configuration of its training; the languages of its card if there is none.
        languages: of the "source" and the "target" of the pairs to be made.
        input_file: the targets.

    Raises:
        InputError: the model's languages do not match.
    """
    reads, writes = (_code(run.get(f"{side}_lang")) for side in ("source", "target"))
    source, target = (_code(languages[side]) for side in ("source", "target"))
    wrong = (reads and target and reads != target) or (writes and source and writes != source)
    if wrong:
        raise InputError(
            f"{model}: translates {reads or '?'} to {writes or '?'}; pairs of {source or '?'} and {target or '?'} need "
            f"a reverse model from {target or '?'} to {source or '?'}"
        )
    suffix = Path(bare_name(Path(input_file or ""))).suffix[1:]
    if reads and writes and reads != writes and suffix == writes and not target:
        raise InputError(
            f"--input-file {input_file}: seems to be {writes}, but {model} reads {reads}; a reverse model reads the "
            f"target side (if the file is {reads}, add --target-lang {reads})"
        )
    known = card_languages(Path(model)) if not (reads or writes) else []
    if not (reads or writes or known) and (source or target):
        logger.warning(
            "%s: its languages are not known; it must translate %s to %s, so check the first pairs",
            *(model, target or "the target side", source or "the source side"),
        )
    for side, code in (("source", source), ("target", target)):
        if code and len(known) > 1 and code not in known:
            raise InputError(f"--{side}-lang {code}: {model} is for {', '.join(known)}, according to its card")


def _code(language: Any) -> str | None:
    return re.split("[-_]", language)[0].lower() if isinstance(language, str) and language else None


def card_languages(folder: Path) -> list[str]:
    """The languages that the card of a model in a folder names; empty if there is none."""
    card = folder / "README.md"
    if not card.is_file():
        return []
    import yaml

    parts = card.read_text(encoding="utf-8", errors="replace").split("---\n", 2)
    try:
        found = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0].strip() else {}
    except yaml.YAMLError:
        return []
    languages = found.get("language", []) if isinstance(found, dict) else []
    named = [languages] if isinstance(languages, str) else languages if isinstance(languages, list) else []
    return [code for each in named if (code := _code(each))]


def describe_search(search: Any, noise: Any | None) -> str:
    """How sources were searched for, for the provenance of a pair: `num_beams=5`, `do_sample top_k=10 seed=42`."""
    hidden = {"per_device_eval_batch_size", "max_tokens_per_batch", "seed"}
    changed = {name: value for name, value in search.changed().items() if name not in hidden}
    told = [name if value is True else f"{name}={value}" for name, value in changed.items()]
    told += [f"seed={search.seed}"] * (search.do_sample or noise is not None)
    if noise is not None:
        told.append(f"noise dropout={noise.dropout} blank={noise.blank} distance={noise.distance}")
    return " ".join(told) or "greedy"
