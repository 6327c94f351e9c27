"""The steps that the starts of encoder-decoders, encoders and decoders share."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from transformers import set_seed

from hf_seq2seq.data.tokenizers.special_tokens import SpecialTokens
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.errors import InputError
from hf_seq2seq.run_configs import PretrainedRun
from hf_seq2seq.tasks.fresh import build_fresh
from hf_seq2seq.tasks.kept import kept_tokenizers, start_tokenizers
from hf_seq2seq.tasks.pretrained import check_adapter_start, fit_embeddings, load_pretrained, load_tokenizer
from hf_seq2seq.training.adaptation import adapt, quantization

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def start_tokenizer(
    config: PretrainedRun, texts: Sequence[str], specials: SpecialTokens, pad_by_eos: bool
) -> "tuple[PreTrainedTokenizerBase, bool]":
    """The one tokenizer of a model: the one that is named, the checkpoint's, or one trained on the texts.

    Args:
        config: of the recipe.
        texts: of the training rows.
        specials: special tokens of a tokenizer that is trained.
        pad_by_eos: whether a named tokenizer without a padding token pads by EOS.

    Returns:
        The tokenizer, and whether it was loaded from another model, whose special tokens the texts may contain.
    """
    if config.tokens.tokenizer_name or config.model.model_name_or_path:
        return ready_tokenizer(config, pad_by_eos)
    return start_tokenizers(config, texts, [], specials).source, False


def ready_tokenizer(config: PretrainedRun, pad_by_eos: bool = False) -> "tuple[PreTrainedTokenizerBase, bool]":
    """The tokenizer that is named or the checkpoint's, as for `start_tokenizer`; for a resumed run, its own."""
    if kept := kept_tokenizers(config.run, config.model.trust_remote_code):
        return kept.source, False
    name = config.tokens.tokenizer_name or config.model.model_name_or_path
    assert name is not None
    return load_tokenizer(name, config.model, pad_by_eos), True


def load_start(
    recipe: str, families: tuple[str, ...], auto: Any, config: PretrainedRun, **changes: Any
) -> "tuple[PreTrainedModel, list[str]]":
    """The checkpoint of a run, quantized where that is asked for; as `load_pretrained`."""
    check_adapter_start(config.adaptation, config.model)
    return load_pretrained(recipe, families, auto, config.model, quantization(config), **changes)


def adapt_start(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", config: PretrainedRun, fresh: Sequence[str]
) -> None:
    """Gives a checkpoint the embeddings that it lacks, and the adapter that is asked for, which starts at random."""
    rows = fit_embeddings(model, Tokenizers(tokenizer, tokenizer), config, config.model)
    set_seed(config.run.seed)
    adapt(model, config.adaptation, fresh, rows)


def build_overridden(build: "Callable[[], PreTrainedModel]", place: str = "--config-overrides: ") -> "PreTrainedModel":
    """A model with fresh weights, of a configuration with overrides; `place` begins errors.

    Raises:
        InputError: it cannot be built.
    """
    try:
        return build_fresh(build)
    except InputError:
        raise
    except KeyError as error:
        raise InputError(f"{place}{error} is no value that this model knows") from error
    except (ValueError, TypeError, AttributeError, AssertionError, ZeroDivisionError, RuntimeError) as error:
        raise InputError(f"{place}{str(error).splitlines()[0]}") from error
