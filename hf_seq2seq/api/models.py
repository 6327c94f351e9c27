"""Saved models in Python: generation, classification, scoring and attention."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from hf_seq2seq.api.answers import Attention, Generation, Label, Likelihood
from hf_seq2seq.api.flags import canonical_values, divided
from hf_seq2seq.api.model_flags import ClassifyFlags, GenerateFlags
from hf_seq2seq.api.texts import (
    check_counts,
    check_name,
    checked_texts,
    classified,
    featured_texts,
    listed,
    remarks_with_pieces,
    warn,
)
from hf_seq2seq.data.given_rows import given as given_rows
from hf_seq2seq.decoding.pipeline import (
    ENGINES,
    check_attention,
    check_lengths,
    has_attention,
    load_model,
    load_others,
    make_generator,
    set_splitting,
)
from hf_seq2seq.decoding.pipeline import Model as ModelFlags
from hf_seq2seq.decoding.search_options import check_search
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import build

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from hf_seq2seq.decoding.generation import Advance
    from hf_seq2seq.decoding.text_generator import TextGenerator
    from hf_seq2seq.reports.report import Analysis
    from hf_seq2seq.saved.run_settings import RunSettings

Source = str | list[dict[str, str]]
"""A text, or the messages of a conversation to reply to."""
DETAILS = ("score", "tokens", "log_probs", "alignment")
ONLY = "ctranslate2"


def load(path: str | Path, *, trust_remote_code: bool = False, engine: str = ENGINES[0]) -> "Model":
    """Loads a saved model: a run's folder, a checkpoint, an adapter, an exported model or a Hub id.

    Args:
        path: the folder or the id.
        trust_remote_code: allow a Hub repository to run its own code.
        engine: "transformers", or "ctranslate2" for a model exported to it.

    Raises:
        InputError: there is no such model, or it neither generates nor classifies text.
    """
    check_name(path)
    name = str(Path(path).expanduser()) if Path(path).expanduser().exists() else str(path)
    flags = ModelFlags(engine=engine, trust_remote_code=trust_remote_code)
    if engine != ONLY:
        from hf_seq2seq.saved.loading import is_classifier, load_classifier, load_config
        from hf_seq2seq.saved.model_paths import local_copy

        place = local_copy(name)
        if is_classifier(load_config(place, trust_remote_code)):
            network, tokenizer, settings = load_classifier(name, trust_remote_code)
            return Model(name, network, tokenizer, settings, flags)
    return Model(name, *load_model(name, flags), flags)


@dataclass(frozen=True)
class Model:
    """A loaded model. It is stateless and thread-safe: equal calls give equal results.

    Truncation and unknown tokens are reported by `warnings.warn`.

    Attributes:
        path: where it was loaded from.
        network: the model of transformers, or of the engine; in evaluation mode.
        tokenizers: its `Tokenizers`, or a classifier's tokenizer.
        settings: the settings of its training run: lengths, prefix, search.
        flags: the flags it was loaded with.
    """

    path: str
    network: "PreTrainedModel"
    tokenizers: Any
    settings: "RunSettings"
    flags: ModelFlags = field(default_factory=ModelFlags)

    def __repr__(self) -> str:
        """The place and the kind of model in a line, for notebooks."""
        return f"Model({self.path!r}, {type(self.network).__name__})"

    @cached_property
    def classifies(self) -> bool:
        """Whether it predicts labels rather than text."""
        from hf_seq2seq.saved.loading import is_classifier

        return self.flags.engine != ONLY and is_classifier(self.network.config)

    @overload
    def generate(self, texts: Sequence[Source], *, num_return_sequences: int, **flags: Any) -> list[list[Any]]: ...
    @overload
    def generate(self, texts: Sequence[Source], *, details: Literal[True], **flags: Any) -> list[Generation]: ...
    @overload
    def generate(self, texts: Sequence[Source], **flags: Any) -> list[str]: ...
    def generate(
        self,
        texts: Sequence[Source],
        *,
        details: bool = False,
        replace_unknown: bool = False,
        progress: "Advance | None" = None,
        num_return_sequences: int | None = None,
        features: Mapping[str, Sequence[Any]] | None = None,
        **flags: Any,
    ) -> list[Any]:
        """Generates the target of every text, like `hf-seq2seq generate`.

        Args:
            texts: sources, or conversations: lists of `{"role": …, "content": …}`; for a model of feature matrices,
                arrays `(frames, width)` or names of npz and npy files.
            features: by column, the features of every text, for a model that reads some.
            details: return `Generation`s, with scores, tokens and alignments, instead of strings.
            replace_unknown: replace unknown words by the source words they attend to.
            progress: called with the number of texts finished since the last call.
            num_return_sequences: if given, return a list of this many outputs per text, best first; samples as drawn.
            **flags: flags of `generate`: `num_beams`, `seed`, `max_new_tokens`, `do_sample`, `source_prefix`,
                `target_lang`, `ensemble`, …; by default as in the model's training run.

        Raises:
            InputError: it is a classifier, an item is not text, or flags are invalid, with the command line's messages.
        """
        texts = listed(texts)
        asked = dict(flags) if num_return_sequences is None else {**flags, "num_return_sequences": num_return_sequences}
        generator = self.generator(texts, asked, progress, self.details if details else ())
        if replace_unknown:
            check_attention(self.network, "--replace-unknown")
            generator.replacing = True
        from hf_seq2seq.decoding.languages import vain_languages

        languages = flags.get("source_lang"), flags.get("target_lang")
        warn(vain_languages(generator.languages, ("source_lang", "target_lang"), languages, self.settings.run))
        found = generator.outputs(featured_texts(self.sources(texts), features))
        warn(remarks_with_pieces(found.counts, generator.max_source_length))
        rows = [[Generation.of(output) if details else output.text for output in outputs] for outputs in found]
        return rows if num_return_sequences is not None else [row[0] for row in rows]

    def score(
        self, sources: Sequence[Source], targets: Sequence[str], *, progress: "Advance | None" = None, **flags: Any
    ) -> list[Likelihood]:
        """Scores targets by their likelihood under the model.

        Args:
            sources: as for `generate`.
            targets: one per source.
            progress: called with the number of texts finished since the last call.
            **flags: as for `generate`.

        Raises:
            InputError: the counts differ, or the model has too few positions for a target.
        """
        self._check_transformers("score")
        sources, targets = listed(sources, "sources"), listed(targets, "targets")
        check_counts(sources, targets)
        generator = self.generator(sources, flags, progress, ("tokens", "log_probs"))
        found = generator.score(self.sources(sources), checked_texts(targets, "targets"))
        warn(remarks_with_pieces(found.counts, generator.max_source_length))
        return [Likelihood(**row) for row in found]

    def attention(self, sources: Sequence[str], targets: Sequence[str] | None = None, **flags: Any) -> list[Attention]:
        """The attention weights on the source, averaged over layers and heads.

        Args:
            sources: texts.
            targets: one per source; None for the model's own outputs.
            **flags: as for `generate`.

        Raises:
            InputError: the model has no attention on a source, or the counts differ.
        """
        self._check_transformers("attention")
        self._check_writes()
        check_attention(self.network, "attention")
        sources, targets = listed(sources, "sources"), None if targets is None else listed(targets, "targets")
        generator = self.generator(sources, flags, None, ("alignment",))
        rows = self.sources(sources)
        if targets is None:
            targets = generator(rows)
        check_counts(sources, targets)
        read, counts = generator.read_targets(
            generator.reader, rows, checked_texts(targets, "targets"), range(len(rows))
        )
        warn(remarks_with_pieces(counts, generator.max_source_length))
        found = []
        for source, ids, words, scored in read:
            assert scored.attention is not None
            tokens = generator.reader.details_of(source, ids, scored, words)["tokens"]
            names = generator.reader.source_tokens(source, words)
            found.append(Attention(names, tokens, scored.attention[:, : len(names)]))
        return found

    def classify(
        self,
        texts: Sequence[str],
        pairs: Sequence[str] | None = None,
        *,
        progress: "Advance | None" = None,
        **flags: Any,
    ) -> list[Label]:
        """Predicts the label of every text, like `hf-seq2seq classify`.

        Args:
            texts: the texts.
            pairs: a second text for each, for pairs such as entailment.
            progress: called with the number of texts finished since the last call.
            **flags: `max_source_length`, `stride` and `window_pooling`, by default as in training, and
                `per_device_eval_batch_size`.

        Raises:
            InputError: the model generates text, the counts differ, a length exceeds its positions, or a flag is
                invalid.
        """
        if not self.classifies:
            raise InputError(
                f"{self.path}: contains a model that generates text, not a classifier; use generate(texts)"
            )
        from hf_seq2seq.decoding.classification import windows_of

        texts, pairs = listed(texts), None if pairs is None else listed(pairs, "pairs")
        self._refuse_of_load(flags)
        asked = build(ClassifyFlags, canonical_values(ClassifyFlags, flags), origin="classify").model
        check_lengths(asked, self.settings)
        limit = asked.max_source_length or self.settings.max_source_length
        options: dict[str, Any] = {
            "batch_size": asked.per_device_eval_batch_size,
            "max_source_length": limit,
            "advance": progress,
            "windows": windows_of(self.tokenizers, limit, self.settings.run, asked.stride, asked.window_pooling),
        }
        found = classified(self.network, self.tokenizers, texts, pairs, **options)
        warn(remarks_with_pieces(found.counts, limit))
        return list(found)

    def evaluate(self, *, progress: "Advance | None" = None, **flags: Any) -> dict[str, Any]:
        """Scores the model on a test set, as `hf-seq2seq evaluate MODEL` does.

        Args:
            progress: called with the number of rows that were done since the last call.
            **flags: of `evaluate`: `test_file`, which may also be rows, `metrics`, `compare`, `confidence`, `num_beams`
                and so on; by default the test rows, metrics and search of the model's training.

        Returns:
            As `hf_seq2seq.evaluate`.

        Raises:
            InputError: no test rows, or flags and metrics that do not fit the model.
        """
        self._check_transformers("evaluate")
        from hf_seq2seq.evaluation.model_scoring import Request, score_loaded
        from hf_seq2seq.evaluation.options import EvaluateConfig

        rows, typed = divided(flags)
        values = canonical_values(EvaluateConfig, typed)
        config = build(EvaluateConfig, {"trust_remote_code": self.flags.trust_remote_code} | values, origin="evaluate")
        if config.measures.predictions or config.measures.references:
            raise InputError("evaluate: the model writes the predictions; hf_seq2seq.evaluate scores given ones")
        check_search(config.decoding, values)
        request = Request(self.path, config, values, progress)
        with given_rows(rows):
            loaded = (self.network, self.tokenizers, self.settings)
            found, readings = score_loaded(request, loaded, self.classifies)
        for reading in readings.values():
            warn(remarks_with_pieces(reading.counts, reading.max_source_length))
        return found

    def analyze(self, *, progress: "Advance | None" = None, **flags: Any) -> "Analysis":
        """Reports where the model's quality is lost, as `hf-seq2seq analyze MODEL` does.

        Args:
            progress: called with the number of rows that were done since the last call.
            **flags: of `analyze`: `test_file`, which may also be rows, `metric`, `output_dir`, `num_beams` and so on;
                by default the test rows and search of the model's training.

        Returns:
            The report's `folder` and `page`, and its `sections` by name, with their `numbers` and `tables`.

        Raises:
            InputError: no test rows, or flags and a metric that do not fit the model.
        """
        self._check_transformers("analyze")
        from hf_seq2seq.reports.options import AnalyzeConfig
        from hf_seq2seq.reports.report import analyze_loaded
        from hf_seq2seq.reports.request import Request

        rows, typed = divided(flags)
        values = canonical_values(AnalyzeConfig, typed)
        config = build(AnalyzeConfig, {"trust_remote_code": self.flags.trust_remote_code} | values, origin="analyze")
        check_search(config.decoding, values)
        with given_rows(rows):
            loaded = (self.network, self.tokenizers, self.settings)
            found = analyze_loaded(Request(self.path, config, values, progress), loaded, self.classifies)
        warn(remarks_with_pieces(found.counts, found.max_source_length))
        return found

    @property
    def details(self) -> tuple[str, ...]:
        """What it can tell about its outputs."""
        if self.flags.engine == ONLY:
            return DETAILS[:1]
        return DETAILS if has_attention(self.network) else DETAILS[:-1]

    def generator(
        self, texts: Sequence[Source], flags: dict[str, Any], progress: "Advance | None", details: tuple[str, ...]
    ) -> "TextGenerator":
        """The generator of these texts.

        Args:
            texts: as for `generate`.
            flags: as for `generate`.
            progress: called with the number of texts finished since the last call.
            details: what to return about outputs: "score", "tokens", "log_probs", "alignment".

        Raises:
            InputError: it is a classifier, or flags are invalid.
        """
        self._check_writes()
        values = canonical_values(GenerateFlags, flags)
        self._refuse_of_load(values)
        own = {"engine": self.flags.engine, "trust_remote_code": self.flags.trust_remote_code}
        config = build(GenerateFlags, own | values, origin="generate")
        check_search(config.decoding, values)
        others, settings = load_others(self.path, self.network, self.tokenizers, self.settings, config)
        languages = config.languages.source_lang, config.languages.target_lang
        loaded = (self.network, self.tokenizers, settings)
        generator = make_generator(config, values, *loaded, self._replies(texts), languages)
        generator.others, generator.average = others, config.ensemble.ensemble_average
        set_splitting(generator, config.splitting, self._replies(texts))
        generator.details, generator.advance = details, progress
        return generator

    @staticmethod
    def _refuse_of_load(flags: Mapping[str, Any]) -> None:
        for name in ("engine", "trust_remote_code"):
            if name in flags:
                raise InputError(f"{name}: is for load, not for a loaded model")

    def _replies(self, texts: Sequence[Source]) -> bool:
        from hf_seq2seq.data.messages import is_dialogue

        return is_dialogue(self.settings.run) or any(isinstance(text, list | tuple) for text in texts)

    def sources(self, texts: Sequence[Source]) -> list[Any]:
        """What the generator reads: texts unchanged, or as the only message of a conversation.

        Raises:
            InputError: an item is neither text nor a conversation.
        """
        if (width := getattr(self.network.config, "input_width", None)) is not None:
            from hf_seq2seq.data.frames import as_matrices

            return as_matrices(list(texts), width)
        if not self._replies(texts):
            return checked_texts(texts, "texts")
        from hf_seq2seq.data.messages import check_messages

        found: list[Any] = []
        for number, text in enumerate(texts, start=1):
            if isinstance(text, str):
                found.append([{"role": "user", "content": text}] if text.strip() else "")
            else:
                found.append(check_messages(text, f"texts: row {number}", reply=False))
        return found

    def _check_writes(self) -> None:
        if self.classifies:
            raise InputError(f"{self.path}: contains a classifier, which does not generate text; use classify(texts)")

    def _check_transformers(self, name: str) -> None:
        if self.flags.engine == ONLY:
            raise InputError(f"{name}: not supported by --engine ctranslate2")
