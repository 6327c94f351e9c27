"""What `auto` and `--search` try: families of runs, each with the settings that vary around its defaults."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hf_seq2seq.sections import Choice, both_sides, options
from hf_seq2seq.tuning.domains import Choices, Domain, Range

WIDTHS = ("hidden_size", "embedding_size", "d_model", "encoder_ffn_dim", "decoder_ffn_dim")
LAYERS = ("encoder_layers", "decoder_layers")
DROPOUTS = ("dropout", "classifier_dropout")
DECODING = ("num_beams", "length_penalty")
"""Settings that are chosen on the validation rows without training."""
FACTOR = 4
"""How far a learning rate is tried to both sides of the default."""
SIZES = ("model_size", *WIDTHS, *LAYERS)
HELD = ("dropout", "optim", "scale_parameter", *both_sides(layers=0, ffn_dim=0, attention_heads=0))
"""What a rule chose for the base stays in trials of another width or learning rate, which switch the rule off."""
HOLDING = {*WIDTHS, "learning_rate"}
"""Those settings."""
USUAL_DROPOUTS = (0.1, 0.2, 0.3, 0.4, 0.5)
SUBWORDS = ("bpe", "unigram", "wordpiece")


@dataclass(frozen=True)
class Family:
    """Runs of one recipe.

    Attributes:
        recipe: its name or path.
        given: flags that all its runs have.
        base: every option as a run without further flags has it.
        space: what varies, by a name of its own.
        derived: what rules chose for the base.
    """

    recipe: str
    given: dict[str, Any]
    base: dict[str, Any]
    space: dict[str, Domain]
    derived: tuple[Choice, ...] = ()

    def held(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The flags that a run with some settings needs to have everything else as in the base.

        A flag switches rules off, so that a run of another width would have another dropout, too. Rules of batches and
        steps are left to the settings.

        Args:
            settings: of the space, as far as they differ from the base.
        """
        if not settings:
            return {}
        names = {name for domain in self.space.values() for name in domain.names}
        kept = {name: self.base[name] for name in names if name in self.base and name not in settings}
        for choice in self.derived:
            if names.intersection(choice.unless) and choice.name not in names and _stays(choice, settings):
                kept[choice.name] = choice.value
        return kept

    def draw(self, trial: Any, prefix: str) -> dict[str, Any]:
        """What an Optuna trial sets, as far as it differs from a run without flags."""
        found: dict[str, Any] = {}
        for name, domain in self.space.items():
            found |= domain.draw(trial, prefix + name)
        return {name: value for name, value in found.items() if self.base.get(name) != value}

    def first(self, prefix: str) -> dict[str, Any]:
        """The parameters of the run without further flags, as far as the space holds it."""
        keys = {prefix + name: domain.key_of(self.base) for name, domain in self.space.items()}
        return {name: key for name, key in keys.items() if key is not None}

    def grid(self, prefix: str, most: int) -> list[dict[str, Any]]:
        """All parameters of a space of choices alone, the run without further flags first; none if there are more."""
        domains = list(self.space.values())
        if not all(isinstance(domain, Choices) for domain in domains):
            return []
        names = [prefix + name for name in self.space]
        keys = [list(domain.options) for domain in domains if isinstance(domain, Choices)]
        found = list(itertools.islice(itertools.product(*keys), most + 1))
        if len(found) > most:
            return []
        first = self.first(prefix)
        every = [dict(zip(names, combination, strict=True)) for combination in found]
        return sorted(every, key=lambda parameters: parameters != first)


def _stays(choice: Choice, settings: Mapping[str, Any]) -> bool:
    """Whether what a rule chose is for a run with these settings, too, although they may switch the rule off."""
    off = settings.keys() & set(choice.unless)
    return not off or (choice.name in HELD and off <= HOLDING)


def around_defaults(config_class: type, base: Mapping[str, Any]) -> dict[str, Domain]:
    """The settings that matter most, around the values that a run without flags has.

    Args:
        config_class: the recipe's.
        base: those values.
    """
    known = set(options(config_class))
    space: dict[str, Domain] = {"learning_rate": _rates(base["learning_rate"])}
    for name in DROPOUTS:
        if name in known:
            space[name] = Choices.of(name, sorted({*USUAL_DROPOUTS, base[name]}))
    pretrained = base.get("model_name_or_path") is not None
    if pretrained:
        if "pooling" in known:
            space["pooling"] = Choices.of("pooling", [None, "mean"])
        return space
    space |= dict(_sizes(known, base))
    if "tokenizer_type" in known and base.get("tokenizer_name") is None:
        kinds = dict(_tokenizers(base))
        if len(kinds) > 1:
            space["tokenizer"] = Choices(kinds)
    return space


def _rates(base: float) -> Range:
    return Range("learning_rate", base / FACTOR, base * FACTOR, log=True)


def _sizes(known: set[str], base: Mapping[str, Any]) -> Iterator[tuple[str, Domain]]:
    widths = {name: base[name] for name in WIDTHS if base.get(name) is not None}
    if widths:
        scaled = {"half": 0.5, "base": 1, "double": 2}
        yield "width", Choices({word: _times(widths, factor) for word, factor in scaled.items()})
    if "model_size" in known:
        yield "model_size", Choices.of("model_size", ["tiny", "small"])
    if set(LAYERS) <= known:
        counts = sorted({(base[LAYERS[0]], base[LAYERS[1]]), (1, 1), (2, 2), (3, 3)})
        yield "layers", Choices({f"{e}+{d}": dict(zip(LAYERS, (e, d), strict=True)) for e, d in counts})


def _times(values: Mapping[str, int], factor: float) -> dict[str, Any]:
    """Widths times a factor, multiples of 8."""
    return {name: value if factor == 1 else max(8, round(value * factor / 8) * 8) for name, value in values.items()}


def _tokenizers(base: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Other vocabularies; the target's own kind stays, which is closed where the source's is given.

    Single words are read by characters, to which there is no alternative: 500 subwords of 800 to 10,000 words were
    never better than hopeless.
    """
    kind, target = base["tokenizer_type"], base.get("target_tokenizer_type")
    names = ("tokenizer_type", "vocab_size", "target_tokenizer_type", "target_vocab_size")
    own = {name: base[name] for name in names if name in base}
    yield kind, own
    if kind in SUBWORDS:
        half = {name: max(64, own[name] // 2) for name in names if name.endswith("size") and own.get(name)}
        double = {name: own[name] * 2 for name in half}
        other = "bpe" if kind == "unigram" else "unigram"
        yield f"{kind}, half", own | half
        yield f"{kind}, double", own | double
        yield other, own | {"tokenizer_type": other} | ({"target_tokenizer_type": other} if target == kind else {})


def size_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that make a model larger or smaller."""
    return {name: value for name, value in settings.items() if name in SIZES}


def describe_settings(settings: Mapping[str, Any]) -> str:
    """Settings in a few words: `learning_rate 0.002, dropout 0.3`."""
    return ", ".join(f"{name} {'none' if value is None else value}" for name, value in settings.items()) or "defaults"


def split_decoding(space: Mapping[str, Domain]) -> tuple[dict[str, Domain], dict[str, Domain]]:
    """The settings of training, and those of decoding, which need no training."""
    decoding = {name: domain for name, domain in space.items() if name in DECODING}
    return {name: domain for name, domain in space.items() if name not in DECODING}, decoding


def prefixes(families: Sequence[Family]) -> dict[str, str]:
    """What stands before a parameter's name in the study, by recipe; nothing where there is one family."""
    return {family.recipe: f"{family.recipe}." if len(families) > 1 else "" for family in families}
