"""transformers' own `generate`, for models and settings that this package's search does not support."""

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import StoppingCriteria

from hf_seq2seq.configs import Decoding
from hf_seq2seq.data.inputs import source_of
from hf_seq2seq.decoding.decoder import as_list
from hf_seq2seq.decoding.hypothesis import Hypothesis
from hf_seq2seq.decoding.search_options import Search
from hf_seq2seq.decoding.stopping import StopStrings

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

UNSERVED = (
    "encoder_no_repeat_ngram_size",
    "encoder_repetition_penalty",
    "epsilon_cutoff",
    "eta_cutoff",
    "guidance_scale",
    "stop_strings",
    "top_h",
    "watermarking_config",
)
"""Generation settings that a model may come with and that only transformers supports."""
FACTORS = ("encoder_repetition_penalty", "guidance_scale")
"""Those of them that have no effect at 1."""
SERVED = (
    *("num_beams", "length_penalty", "no_repeat_ngram_size", "num_return_sequences"),
    *("early_stopping", "repetition_penalty", "min_new_tokens", "forced_bos_token"),
    *("per_device_eval_batch_size", "max_tokens_per_batch", "seed", "mbr_metric", "stop_strings"),
)
"""Search flags that transformers supports, or that are handled around it."""


def library_reason(model: "PreTrainedModel") -> str | None:
    """Why only transformers can decode a model: its cache is not supported, or its settings require it.

    Otherwise None.
    """
    settings: Any = model.generation_config
    asked = next((name for name in UNSERVED if _asks(name, getattr(settings, name, None))), None)
    return state_reason(model) or (asked and f"generation_config.json sets {asked}")


def state_reason(model: "PreTrainedModel") -> str | None:
    """A message if a model keeps a state that this package's search cannot reorder; otherwise None."""
    stateful = getattr(model, "_is_stateful", False) and model.config.model_type != "rnn-seq2seq"
    return f"{model.config.model_type} keeps its own kind of state" if stateful else None


def _asks(name: str, value: Any) -> bool:
    return bool(value) and not (name in FACTORS and value == 1)


class StopCriterion(StoppingCriteria):
    """Stop strings as transformers' `generate` asks for them.

    Args:
        stops: whether the text of an output ends it.
        start: tokens before each output.
    """

    def __init__(self, stops: StopStrings, start: int) -> None:
        self.stops, self.start = stops, start

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Any:
        """Whether each row ends, `(rows,)`."""
        ended = [self.stops(ids) for ids in input_ids[:, self.start :].tolist()]
        return torch.tensor(ended, device=input_ids.device)


def by_first_token(
    model: "PreTrainedModel",
    batch: dict[str, Tensor],
    search: Search,
    max_new_tokens: int,
    first_token: int | None = None,
    tokenizer: "PreTrainedTokenizerBase | None" = None,
) -> list[list[Hypothesis]]:
    """`search_by_library`, one call for all rows that begin with the same token: a call has one for all of its rows.

    The batch may have `first_tokens` or `start_tokens`, as `data.inputs.searched` gives them.
    """
    name = next((name for name in ("first_tokens", "start_tokens") if name in batch), None)
    if name is None or (name == "first_tokens" and first_token is not None):
        return search_by_library(model, batch, search, max_new_tokens, first_token, tokenizer)
    found: dict[int, list[Hypothesis]] = {}
    for token in batch[name].unique().tolist():
        rows = (batch[name] == token).nonzero()[:, 0]
        part = {key: each[rows] for key, each in source_of(batch).items()}
        known, first = model, first_token
        if name == "first_tokens":
            first = None if token < 0 else token
        elif token >= 0:
            known = copy.copy(model)
            known.generation_config = copy.deepcopy(model.generation_config)
            known.generation_config.decoder_start_token_id = token
        outputs = search_by_library(known, part, search, max_new_tokens, first, tokenizer)
        found |= dict(zip(rows.tolist(), outputs, strict=True))
    return [found[row] for row in range(len(found))]


@torch.inference_mode()
def search_by_library(
    model: "PreTrainedModel",
    batch: dict[str, Tensor],
    search: Search,
    max_new_tokens: int,
    first_token: int | None = None,
    tokenizer: "PreTrainedTokenizerBase | None" = None,
) -> list[list[Hypothesis]]:
    """Outputs of every row, best first.

    Args:
        model: an encoder-decoder, or a decoder-only model that continues the source, in evaluation mode.
        batch: `input_ids` and `attention_mask`, each `(batch, source)`, 1 on real tokens; other keys are ignored.
            Padding is on the left for a decoder-only model.
        search: search options, of which those in `SERVED` are supported.
        max_new_tokens: maximum length of a target in tokens, including EOS.
        first_token: first token of every output of an encoder-decoder; None for that of the model's settings.
        tokenizer: decodes outputs, for models whose settings have stop strings.
    """
    inputs = {name: part.to(model.device) for name, part in source_of(batch).items()}
    settings: Any = generation_settings(model, search, max_new_tokens)
    if first_token is not None:
        settings.forced_bos_token_id = first_token
    start = 1 if model.config.is_encoder_decoder else inputs["input_ids"].shape[1]
    # transformers' own criterion does not support word tokenizers; missing settings come from the model's.
    strings, settings.stop_strings = settings.stop_strings, None
    strings = [strings] if isinstance(strings, str) else strings
    model = copy.copy(model)
    model.generation_config = settings
    stops = [StopCriterion(StopStrings(strings, tokenizer), start)] if strings and tokenizer else []
    settings.return_dict_in_generate = settings.output_scores = True
    found: Any = model.generate(**inputs, stopping_criteria=stops)  # type: ignore[operator]
    eos = as_list(settings.eos_token_id)
    rows = [_cut(row, settings.pad_token_id, eos) for row in found.sequences[:, start:].tolist()]
    scores = found.sequences_scores.tolist() if search.num_beams > 1 else _scores(found, start, rows, search)
    hypotheses = iter(
        Hypothesis.of(row, score, eos) if row else Hypothesis([], score)
        for row, score in zip(rows, scores, strict=True)
    )
    return [list(part) for part in zip(*[hypotheses] * search.num_return_sequences, strict=True)]


def _cut(row: list[int], pad: int | None, eos: Sequence[int]) -> list[int]:
    """An output up to its EOS, or else to the padding after its maximum length."""
    end = next((place + 1 for place, token in enumerate(row) if token in eos), len(row))
    while end and row[end - 1] == pad and pad not in eos:
        end -= 1
    return row[:end]


def _scores(found: Any, start: int, rows: Sequence[Sequence[int]], search: Search) -> list[float]:
    """Summed log-probabilities of greedy outputs after the settings' masking, normalized as in our own search."""
    steps = torch.stack(found.scores, 1).log_softmax(-1)
    each = steps.gather(2, found.sequences[:, start:, None])[..., 0].tolist()
    power = search.length_penalty
    return [sum(part[: len(row)]) / max(1, len(row)) ** power for part, row in zip(each, rows, strict=True)]


def generate_ids(
    model: "PreTrainedModel", batch: dict[str, Tensor], decoding: Decoding, max_new_tokens: int
) -> list[list[int]]:
    """The best output of every row, as in `search_by_library`: ids without start token, source, EOS or padding."""
    search = decoding if isinstance(decoding, Search) else Search(**vars(decoding))
    return [best.ids for best, *_ in search_by_library(model, batch, search, max_new_tokens)]


def generation_settings(model: "PreTrainedModel", search: Search, max_new_tokens: int) -> "GenerationConfig":
    """The model's own generation settings (forced tokens, minimum length, …) with the requested search options."""
    settings: Any = copy.deepcopy(model.generation_config)
    settings.max_length = None
    settings.max_new_tokens = max_new_tokens
    settings.do_sample = False
    settings.num_beams, settings.num_return_sequences = search.num_beams, search.num_return_sequences
    settings.no_repeat_ngram_size = search.no_repeat_ngram_size
    settings.length_penalty = search.length_penalty if search.num_beams > 1 else None
    given = {"true": True, "false": False, "never": "never", None: settings.early_stopping}[search.early_stopping]
    settings.early_stopping = given if search.num_beams > 1 else None
    if search.stop_strings:
        settings.stop_strings = list(search.stop_strings)
    for name in ("repetition_penalty", "min_new_tokens"):
        if getattr(search, name) is not None:
            setattr(settings, name, getattr(search, name))
    found: GenerationConfig = settings
    return found
