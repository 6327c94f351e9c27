"""A model that is served: what requests may ask of it, and its answers."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hf_seq2seq.api.models import Model, Source
from hf_seq2seq.api.texts import classified, remarks_with_pieces
from hf_seq2seq.data.messages import is_dialogue
from hf_seq2seq.decoding.classification import windows_of
from hf_seq2seq.decoding.counts import Counted
from hf_seq2seq.decoding.languages import languages_of, vain_languages
from hf_seq2seq.decoding.outputs import Output
from hf_seq2seq.decoding.splitting_options import AGAIN
from hf_seq2seq.errors import shorten
from hf_seq2seq.metrics import TEXT_METRICS, is_closed
from hf_seq2seq.serving.answer_options import ANSWER_OPTIONS
from hf_seq2seq.serving.answering import in_slices, outputs_of
from hf_seq2seq.serving.options import Limits
from hf_seq2seq.serving.refusals import Refusal
from hf_seq2seq.serving.sessions import Session

EXAMPLE = re.compile(r"^\| `([^`]+)` \|", re.M)
SHOWN = 5
FIELDS = {name: item for name, item in ANSWER_OPTIONS.items() if name != "choices"}  # which names a file
"""The options of `generate` that requests may have as fields."""


@dataclass(frozen=True)
class Served:
    """A loaded model under the name that requests use.

    Attributes:
        name: its name.
        model: the model.
        limits: limits of requests.
    """

    name: str
    model: Model
    limits: Limits

    @cached_property
    def kind(self) -> str:
        """What it does: "classify", "chat" if it answers conversations, else "generate"."""
        if self.model.classifies:
            return "classify"
        return "chat" if is_dialogue(self.model.settings.run) else "generate"

    def check(self, flags: Mapping[str, Any], details: Sequence[str] = ()) -> None:
        """Refuses search options above the server's limits, and details that the model cannot tell."""
        self.need("generate", "chat")
        if getattr(self.model.network.config, "input_width", None) is not None:
            raise Refusal(400, f"model: {self.name!r} reads feature matrices, which requests cannot send", "model")
        for name in ("num_beams", "num_return_sequences"):
            _check_most(flags, name, self.limits.max_beams)
        _check_most(flags, "max_new_tokens", self.limits.max_new_tokens_limit)
        metric = flags.get("mbr_metric")
        if isinstance(metric, str) and not is_closed(metric, TEXT_METRICS):
            message = f"mbr_metric: {shorten(repr(metric))}: requests may name only {', '.join(TEXT_METRICS)}"
            raise Refusal(400, message, "mbr_metric")
        for name in details:
            if name not in self.model.details:
                known = ", ".join(self.model.details)
                raise Refusal(400, f"details: {name!r} is not among what this model can tell: {known}", "details")

    def need(self, *kinds: str) -> None:
        """Refuses what a model of another kind would answer."""
        if self.kind not in kinds:
            does = {"classify": "classifies texts: ask /classify", "chat": "answers conversations: ask /generate"}
            said = does.get(self.kind, "generates text: ask /generate")
            raise Refusal(400, f"model: {self.name!r} {said}", "model")

    def generate(
        self, session: Session, sources: Sequence[Source], flags: dict[str, Any], details: tuple[str, ...] = ()
    ) -> Counted[list[Output]]:
        """The outputs of every source.

        Args:
            session: where to compute.
            sources: texts or conversations.
            flags: search options.
            details: what to tell about the outputs.
        """
        generator = self.model.generator(sources, flags, None, details)
        return outputs_of(session, self.model, generator, self.model.sources(sources))

    def score(self, session: Session, sources: Sequence[Source], targets: list[str]) -> Counted[dict[str, Any]]:
        """Likelihoods of targets."""
        generator = self.model.generator(sources, {}, None, ("tokens", "log_probs"))
        rows = self.model.sources(sources)
        return in_slices(session, lambda part: generator.score(rows[part], targets[part], part.start), sources, targets)

    def attend(self, session: Session, source: str, target: str | None) -> dict[str, Any]:
        """Tokens and attention weights of a target, by default the model's own output."""
        if target is None:
            target = self.generate(session, [source], {})[0][0].text
        (found,) = session.call(lambda: self.model.attention([source], [target]))
        return asdict(found) | {"weights": found.weights.round(4).tolist()}

    def classify(self, session: Session, texts: list[str], pairs: list[str] | None) -> Counted[Any]:
        """Labels of texts."""
        model = self.model
        most = model.settings.max_source_length
        windows = windows_of(model.tokenizers, most, model.settings.run)
        limit = {"batch_size": 64, "max_source_length": most, "windows": windows}

        def work(part: slice) -> Counted[Any]:
            beside = None if pairs is None else pairs[part]
            return classified(model.network, model.tokenizers, texts[part], beside, **limit)

        return in_slices(session, work, texts, pairs)

    def remarks(self, found: Counted[Any], flags: Mapping[str, Any]) -> list[str]:
        """What the counts of a call have to say."""
        limit = flags.get("max_source_length") or self.model.settings.max_source_length
        names, run = ("source_lang", "target_lang"), self.model.settings.run
        given = flags.get(names[0]), flags.get(names[1])
        known = languages_of(self.model.tokenizers, run) if any(given) else None
        vain = vain_languages(known, names, given, run)
        return [*vain, *remarks_with_pieces(found.counts, limit, flags.get("combine") == AGAIN)]

    def told(self, found: Counted[Any], flags: Mapping[str, Any]) -> dict[str, list[str]]:
        """`remarks` as a field that answers in other forms have where there are any."""
        lines = self.remarks(found, flags)
        return {"remarks": lines} if lines else {}

    @property
    def description(self) -> dict[str, Any]:
        """Name, kind, details, and the defaults of a generator's search options."""
        found: dict[str, Any] = {"name": self.name, "kind": self.kind, "examples": examples_of(self.model.path)}
        if self.kind == "classify":
            return found | {"labels": list(dict(self.model.network.config.id2label or {}).values())}
        own = self.model.settings
        defaults = {name: item.default for name, item in FIELDS.items()} | own.decoding
        defaults |= {"max_new_tokens": own.max_target_length, "max_source_length": own.max_source_length}
        known = {name: defaults[name] for name in FIELDS}
        backend = getattr(self.model.tokenizers.target, "backend_tokenizer", None)
        found["byte_level"] = type(getattr(backend, "decoder", None)).__name__ == "ByteLevel"
        return found | {"details": list(self.model.details), "defaults": known | {"source_prefix": own.prefix}}


def examples_of(path: str) -> list[str]:
    """The sources of a card's first examples."""
    card = Path(path) / "README.md"
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    rows = text.partition("## Examples")[2].partition("The worst")[0]
    return [row.replace("\\|", "|") for row in EXAMPLE.findall(rows)][:SHOWN]


def _check_most(flags: Mapping[str, Any], name: str, most: int) -> None:
    value = flags.get(name)
    with suppress(TypeError, ValueError):  # what is no number is refused later; a text may spell one
        if value is not None and float(value) > most:
            raise Refusal(400, f"{name}: {shorten(str(value))} is too large; this server allows {most}", name)
