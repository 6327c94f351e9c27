"""Exposure of a saved model on test rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hf_seq2seq.decoding.search_options import Lengths
from hf_seq2seq.errors import InputError
from hf_seq2seq.evaluation.model_scoring import Request, generator_of, text_rows
from hf_seq2seq.evaluation.options import EvaluateConfig, Rows
from hf_seq2seq.sections import LARGEST_SEED, Section, option


@dataclass(frozen=True, kw_only=True)
class Continuations(Section):
    """Exposure: how it is measured."""

    samples: int = option(16, "Continuations after each forced token.", at_least=2, at_most=100_000)
    seed: int = option(42, "Seed of the continuations.", at_least=0, at_most=LARGEST_SEED)
    json: bool = option(False, "Print one JSON object.")


@dataclass(frozen=True, kw_only=True)
class FewRows(Rows):
    """Data: the test rows; by default those of the training run, as are the columns."""

    max_predict_samples: int | None = option(100, "Use at most this many rows.", at_least=1, at_most=100_000)


@dataclass(frozen=True)
class ExposureConfig:
    """The flags of `exposure`."""

    continuations: Continuations = field(default_factory=Continuations)
    rows: FewRows = field(default_factory=FewRows)
    model: Lengths = field(default_factory=Lengths)


def model_exposure(path: str, config: ExposureConfig, values: Mapping[str, Any], advance: Any = None) -> Any:
    """Measures the `Exposure` of a model on the first reference of each row.

    Args:
        path: folder of a run or a checkpoint, or a Hub id.
        config: the flags.
        values: the given flags, by name.
        advance: called with the number of rows finished since the last call.

    Raises:
        InputError: there is no such model, it writes no text, or there are no test rows.
    """
    import numpy as np
    import torch

    from hf_seq2seq.decoding.decoder import batch_of
    from hf_seq2seq.decoding.scoring import encode, next_log_probs
    from hf_seq2seq.evaluation.exposure import Exposure, beginning_with, row_exposure
    from hf_seq2seq.saved.loading import is_classifier, load_config, load_seq2seq
    from hf_seq2seq.saved.model_paths import local_copy

    place, trust = local_copy(path), config.model.trust_remote_code
    if is_classifier(load_config(place, trust)):
        raise InputError(f"exposure: {path} is a classifier; a model that writes text has prefixes of its own")
    loaded = load_seq2seq(place, trust)
    if loaded[2].run.get("objective") == "causal":
        raise InputError(f"exposure: {path} was trained on raw text; give a model of pairs or conversations")
    asked = EvaluateConfig(rows=config.rows, model=config.model)
    request = Request(path, asked, {name: value for name, value in values.items() if name not in ("samples", "seed")})
    generator, network = generator_of(request, loaded), loaded[0].eval()
    draws = torch.Generator().manual_seed(config.continuations.seed)
    found, pad = [], loaded[1].source.pad_token_id or 0
    for texts, references in text_rows(asked.rows, loaded, "exposure").values():
        sources, _, _ = generator.read_sources(list(texts))
        targets = generator.encode_targets(list(texts), [each[0] for each in references])
        for row in range(len(texts)):
            batch = batch_of(network, sources, np.array([row]), pad)
            source = encode(network, batch)

            def next_of(prefixes: torch.Tensor, batch: dict[str, Any] = source) -> torch.Tensor:
                return next_log_probs(network, batch, prefixes.to(network.device)).cpu()

            target = targets[row].tolist()
            asked_next = beginning_with(next_of, target[0]) if target[0] in _forced(network, batch) else next_of
            found.append(row_exposure(asked_next, target, target[-1], config.continuations.samples, draws))
            if advance is not None:
                advance(1)
    return Exposure.of(found)


def _forced(model: Any, batch: Mapping[str, Any]) -> list[int]:
    """The token that an output of one source is forced to begin with, if any: the source's own, or else the model's."""
    own = batch["first_tokens"].tolist() if "first_tokens" in batch else [-1]
    first = getattr(model.generation_config, "forced_bos_token_id", None)
    return [first] if own == [-1] and first is not None else own
