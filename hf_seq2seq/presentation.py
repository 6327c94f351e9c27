"""Options of how training rows are presented over time; importing this module does not import torch."""

from dataclasses import dataclass

from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import MANY, Section, flag, option

CURRICULA = ("competence", "threshold", "one_pass", "baby_steps")
DIFFICULTIES = ("length", "rarity", "loss", "edit_distance", "pattern_distance")
COMPETENCES = ("square_root", "linear")


@dataclass(frozen=True, kw_only=True)
class Curriculum(Section):
    """Curriculum: easy rows before hard ones."""

    curriculum: str | None = option(None, "How harder rows join in.", choices=CURRICULA)
    difficulty: str = option(
        "length",
        "Of a row: length (of the source), rarity (of its words), loss (under --difficulty-model), edit_distance "
        "(source to target), pattern_distance (source to the nearest common pattern), or a column of numbers.",
    )
    difficulty_model: str | None = option(None, "Trained model whose loss is the difficulty.")
    hardest_first: bool = option(False, "Present hard rows before easy ones.")
    curriculum_steps: int | None = option(
        None,
        "Steps of usual size until all rows take part; fewer where short rows fill its batches of a token budget. "
        "By default half of the run.",
        at_least=1,
        at_most=MANY,
    )
    competence_schedule: str = option("square_root", "Growth of the competence.", choices=COMPETENCES)
    initial_competence: float | None = option(
        None, "Share of the rows at the first step; by default 0.01, or the rows of 4 steps.", above=0, at_most=0.99
    )
    difficulty_thresholds: tuple[float, ...] = option((), "threshold: the highest difficulty of each phase: 5,10,20.")
    curriculum_buckets: int = option(5, "one_pass, baby_steps: number of buckets.", at_least=2)

    def __post_init__(self) -> None:
        """Rejects options of other curricula, and thresholds that are missing or do not rise."""
        super().__post_init__()
        for name, kinds in OWNERS.items():
            if name in self.changed() and self.curriculum not in kinds:
                raise InputError(f"{flag(name)} needs --curriculum{'' if kinds == CURRICULA else ' ' + kinds[0]}")
        if self.curriculum == "threshold":
            self._check_thresholds()
        if self.difficulty == "loss" and self.difficulty_model is None:
            raise InputError("--difficulty loss needs --difficulty-model, the folder of a trained model")
        if self.difficulty != "loss" and self.difficulty_model is not None:
            raise InputError(f"--difficulty-model needs --difficulty loss, not {self.difficulty}")

    def _check_thresholds(self) -> None:
        given = self.difficulty_thresholds
        if not given:
            raise InputError("--curriculum threshold needs --difficulty-thresholds, one number per phase: 5,10,20")
        if list(given) != sorted(set(given), reverse=self.hardest_first):
            order = "fall" if self.hardest_first else "rise"
            raise InputError(f"--difficulty-thresholds: {','.join(f'{t:g}' for t in given)} do not {order}")


@dataclass(frozen=True, kw_only=True)
class Staging(Section):
    """Stages: named sets, mixed in another way in every stage."""

    stages: str | None = option(None, "YAML file of named training sets, and of stages with a mix of them and an end.")


OWNERS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("difficulty", "difficulty_model", "hardest_first", "curriculum_steps"), CURRICULA),
    **dict.fromkeys(("competence_schedule", "initial_competence"), ("competence",)),
    "difficulty_thresholds": ("threshold",),
    "curriculum_buckets": ("one_pass", "baby_steps"),
}
"""The curricula that read an option."""


MIXINGS = ("examples_proportional", "temperature", "equal")


@dataclass(frozen=True, kw_only=True)
class Mixing(Section):
    """Mixture: several tasks in one run."""

    mixture: str | None = option(None, "YAML file of several tasks, each a name with its data flags below it.")
    mixing: str = option("examples_proportional", "How to set the sampling rate of each task.", choices=MIXINGS)
    mixing_cap: int | None = option(None, "Maximum number of rows to count per task.", at_least=1)
    mixing_temperature: float = option(
        2.0, "Temperature of the rates: 1 is proportional, larger is more uniform.", at_least=1
    )

    def __post_init__(self) -> None:
        """Rejects a temperature that would change nothing."""
        super().__post_init__()
        if self.mixing != "temperature" and self.mixing_temperature != 2.0:
            raise InputError("--mixing-temperature needs --mixing temperature")
