"""Mixtures of tasks: their description file, and their pairs."""

import dataclasses
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hf_seq2seq.configs import Evaluation, Mixing, PairData
from hf_seq2seq.data.annotated_text import AnnotatedText, directions
from hf_seq2seq.data.by_direction import by_direction, chosen_pairs
from hf_seq2seq.data.evaluation_sets import RESULTS, kind_of, name_of, named_files, sets_of, split_of
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.mixing import MixedEpochs, draws_an_epoch
from hf_seq2seq.data.pairs import Pairs, read_pairs
from hf_seq2seq.data.preferences import joined
from hf_seq2seq.data.row_languages import in_languages
from hf_seq2seq.data.sources import OpenShare, load_splits
from hf_seq2seq.data.tabbed_text import split_at_tabs
from hf_seq2seq.data.training_rows import Renewed, TrainingRows
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import Section, build_from_lines, flag, option
from hf_seq2seq.settings_files import Setting, read_sections

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Weighting(Section):
    """Mixture: a task's part in it."""

    mixing_weight: float = option(1.0, "Factor of the task's sampling rate.", above=0, at_most=1e6)


@dataclass(frozen=True)
class MemberOptions:
    """The allowed keys below a task's name."""

    weighting: Weighting = field(default_factory=Weighting)
    data: PairData = field(default_factory=PairData)
    evaluation: Evaluation = field(default_factory=Evaluation)


@dataclass(frozen=True)
class Member:
    """One task of a mixture.

    Attributes:
        name: part of its results' names, `eval_NAME_bleu`.
        data: its rows, columns and prefix.
        metrics: metrics on its sets.
        has_own_metrics: whether they were written below its name.
        weight: factor of its sampling rate.
    """

    name: str
    data: PairData
    metrics: tuple[str, ...]
    has_own_metrics: bool = False
    weight: float = 1.0

    @property
    def validation_sets(self) -> list[str]:
        """The names of its validation sets, as far as given by files."""
        given = self.data.validation_file
        named = named_files("validation_file", given) if given else {"": ""}
        return [split_of(self.name, own) for own in named]


@dataclass(frozen=True)
class Mixture:
    """The tasks of a mixture and their sampling.

    Attributes:
        members: in the file's order.
        epochs: the rows of each epoch.
    """

    members: tuple[Member, ...]
    epochs: MixedEpochs

    def member_of(self, split: str) -> tuple[Member, str]:
        """The task of an evaluation split, and the split's name in the task's own data."""
        name = name_of(split)
        fitting = [m for m in self.members if name == m.name or name.startswith(f"{m.name}_")]
        fitting = fitting or [self.members[0]]  # a direction without training rows
        member = max(fitting, key=lambda m: len(m.name))
        return member, split_of(kind_of(split), name.removeprefix(member.name).removeprefix("_"))


class MixedRows(TrainingRows):
    """Rows of several tasks, of which each epoch draws some.

    Args:
        examples: the rows of all tasks, one task after the other.
        mixture: how many of each are drawn.
        renewed: makes the rows of each epoch, if they change.
    """

    redrawn = True

    def __init__(self, examples: Examples, mixture: Mixture, renewed: Renewed | None = None) -> None:
        super().__init__(examples, renewed)
        self.mixture = mixture

    def drawn(self, epoch: int) -> np.ndarray:
        """Numbers of the rows that an epoch holds, `(rows,)`."""
        return self.mixture.epochs(epoch)


def read_members(options: Mixing, data: PairData, evaluation: Evaluation) -> tuple[Member, ...]:
    """Reads the file given by `--mixture`.

    Args:
        options: the file and the mixing.
        data: the run's own data flags, which must be unset.
        evaluation: the default metrics of a task.

    Raises:
        InputError: a data flag is given besides the mixture, there is no such file or no task in it, or a line is
            invalid.
    """
    path = str(options.mixture)
    if changed := data.changed():
        raise InputError(f"{flag(next(iter(changed)))} and --mixture: write it below a task's name in {path}")
    sections = read_sections(path)
    if not sections:
        raise InputError(
            f"{path}: contains no task; write 'NAME:' and below it lines such as '  train_file: train.tsv'"
        )
    return tuple(_member(name, settings, path, evaluation) for name, settings in sections.items())


def _member(name: str, settings: Mapping[str, Setting], path: str, evaluation: Evaluation) -> Member:
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name, re.ASCII):
        raise InputError(f"{path}: {name!r} is not a valid task name; use letters, digits, '_', '.' and '-'")
    options = build_from_lines(MemberOptions, settings, path)
    own = "metrics" in settings
    return Member(
        name, options.data, (options.evaluation if own else evaluation).metrics, own, options.weighting.mixing_weight
    )


def read_member_pairs(member: Member, path: str, share: OpenShare | None = None) -> dict[str, Pairs]:
    """The pairs of a task by split, with the prefix prepended to each source; `share` as for `load_splits`.

    Raises:
        InputError: rows cannot be read, or there are no training rows; names the task.
    """
    try:
        pairs = read_pairs(load_splits(member.data, arrange=split_at_tabs, share=share), member.data)
    except InputError as error:
        raise InputError(f"{path}: task {member.name!r}: {error}") from error
    if "train" not in pairs:
        raise InputError(f"{path}: task {member.name!r}: no training rows: give train_file or dataset_name")
    return by_direction({split: _of_task(rows, member.data) for split, rows in pairs.items()})


def _of_task(rows: Pairs, data: PairData) -> Pairs:
    """The rows with their languages, if the task has any, and with its prefix, which says what is asked."""
    sources, references = rows.sources, rows.references
    if (data.source_lang or data.target_lang) and not any(isinstance(text, AnnotatedText) for text in sources):
        languages = {"source": [data.source_lang] * len(rows), "target": [data.target_lang] * len(rows)}
        sources, references = in_languages(sources, references, languages)
    if prefix := data.source_prefix:
        sources = [prefix + text for text in sources]
        sources = [text.changed(text, is_told=True) if isinstance(text, AnnotatedText) else text for text in sources]
    return dataclasses.replace(rows, sources=sources, references=references)


def mix_directions(
    pairs: Pairs, data: PairData, options: Mixing, metrics: tuple[str, ...], seed: int
) -> tuple[Pairs, Mixture]:
    """Training rows sorted by their directions, and the sampling of each direction as if it were a task.

    Args:
        pairs: rows that know their languages.
        data: where they are from.
        options: the mixing.
        metrics: of every direction.
        seed: of the draw.
    """
    named = np.array(directions(pairs.sources), dtype=object)
    names = sorted(set(named.tolist()))
    order = np.concatenate([np.flatnonzero(named == name) for name in names])
    sizes = tuple(int((named == name).sum()) for name in names)
    draws = tuple(int(count) for count in draws_an_epoch(sizes, options))
    members = tuple(Member(name, data, metrics) for name in names)
    return chosen_pairs(pairs, order), Mixture(members, MixedEpochs(sizes, draws, seed))


def mix(
    members: tuple[Member, ...], pairs: list[dict[str, Pairs]], options: Mixing, seed: int
) -> tuple[dict[str, Pairs], Mixture]:
    """All training rows as one split, each task's other splits under its name, and the sampling of training rows.

    Raises:
        InputError: two sets have the same name.
    """
    _tell_unused([m.name for m in members], [own["train"].preferences is not None for own in pairs], options)
    splits = {"train": _joined([own["train"] for own in pairs])}
    for kind in RESULTS:
        for member, own in zip(members, pairs, strict=True):
            for split in sets_of(own, kind):
                name = split_of(kind, split_of(member.name, name_of(split)))
                if name in splits:
                    raise InputError(f"{options.mixture}: two sets have the name {name_of(name)!r}; rename a task")
                splits[name] = own[split]
    sizes = tuple(len(own["train"]) for own in pairs)
    draws = tuple(int(count) for count in draws_an_epoch(sizes, options, [member.weight for member in members]))
    return splits, Mixture(members, MixedEpochs(sizes, draws, seed))


def _tell_unused(names: Sequence[str], preferred: Sequence[bool], options: Mixing) -> None:
    """Says of which tasks the better and worse outputs are not used, as other tasks have none."""
    having = [name for name, has in zip(names, preferred, strict=True) if has]
    lacking = [name for name in names if name not in having]
    if having and lacking:
        logger.warning(
            "%s: chosen and rejected outputs of %s are not used: %s has none",
            *(options.mixture, ", ".join(having), ", ".join(lacking)),
        )


def _joined(pairs: list[Pairs]) -> Pairs:
    sources = [text for rows in pairs for text in rows.sources]
    references = [references for rows in pairs for references in rows.references]
    return Pairs(sources, references, pairs[0].columns, preferences=joined([rows.preferences for rows in pairs]))


def all_metrics(members: Iterable[Member]) -> tuple[str, ...]:
    """The metrics of all tasks, each once."""
    return tuple(dict.fromkeys(metric for member in members for metric in member.metrics))


def shares(mixture: Mixture) -> list[float]:
    """The share of each task in the rows of an epoch, in percent."""
    return [100 * count / sum(mixture.epochs.draws) for count in mixture.epochs.draws]


def describe_mixture(mixture: Mixture) -> str:
    """The rows of each task per epoch, for display: "translate 100 of 200 (50.0 %), ..."."""
    parts = zip(mixture.members, mixture.epochs.draws, mixture.epochs.sizes, shares(mixture), strict=True)
    return ", ".join(f"{m.name} {count:,} of {size:,} ({share:.1f} %)" for m, count, size, share in parts)
