"""Start of a run of an encoder: checks, then a checkpoint or random weights, with the head of its objective."""

from typing import TYPE_CHECKING, Any, TypeVar

from hf_seq2seq.architectures import register
from hf_seq2seq.data.tokenizers.special_tokens import BERT
from hf_seq2seq.data.tokenizers.spelled import read_as_text
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.errors import InputError
from hf_seq2seq.run_configs import EncoderRun
from hf_seq2seq.saved.heads import read_segments
from hf_seq2seq.sections import Section, flag
from hf_seq2seq.tasks.labelled import check_labelled_run
from hf_seq2seq.tasks.pretrained import check_start, fit_embeddings, known_overrides
from hf_seq2seq.tasks.starting import build_overridden, load_start, start_tokenizer
from hf_seq2seq.tasks.trained_heads import prepare_head
from hf_seq2seq.training.adaptation import NewRows, adapt
from hf_seq2seq.training.checks import check_run

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PAIRED = ("bert", "ernie", "megatron-bert", "mobilebert")
"""Encoders whose pretraining head also predicts whether one segment follows another."""

C = TypeVar("C", bound=EncoderRun)


def check_encoder_run(config: C) -> C:
    """Rejects incompatible options before anything is loaded; returns the configuration with its metrics.

    Raises:
        InputError: as for `check_start` and `check_labelled_run`; label flags for raw text, or masking flags for
            labels.
    """
    check_start("bert_classifier", config)
    masking, model = config.masking, config.model
    if masking.objective == "supervised":
        names = ("mlm_probability", "whole_word_masking", "next_sentence_prediction")
        _refuse(masking, names, "raw text; it needs --objective masked_language_model")
        if model.problem_type != "single_label":
            _refuse(model, ("r_drop",), "one label per text")
        if model.stride is None and model.window_pooling != "mean":
            raise InputError(f"--window-pooling {model.window_pooling}: there are no windows; add --stride")
        return check_labelled_run(config)
    why = "labels; --objective masked_language_model reads raw text without any"
    _refuse(config.data, ("label_column", "text_pair_column"), why)
    _refuse(
        model,
        ("problem_type", "class_weights", "pooling", "r_drop", "stride", "window_pooling", "classifier_dropout"),
        why,
    )
    if config.evaluation.metrics:
        raise InputError("--metrics score labels; --objective masked_language_model reports its own scores")
    if config.adaptation.freeze == "all_but_head":
        raise InputError("--freeze all_but_head: the head that predicts masked tokens uses the embeddings")
    if masking.next_sentence_prediction and model.from_scratch and model.architecture not in PAIRED:
        raise InputError(f"--next-sentence-prediction: a {model.architecture!r} has no head for it; 'bert' has one")
    check_run(config, "single_label", model_type="bert")
    return config


def _refuse(section: Section, names: tuple[str, ...], why: str) -> None:
    usual = type(section)()
    for name in names:
        if getattr(section, name) != getattr(usual, name):
            raise InputError(f"{flag(name)} is about {why}")


def start_encoder(
    config: EncoderRun, sizes: dict[str, dict[str, int]], texts: list[str], **head: Any
) -> tuple["PreTrainedModel", "PreTrainedTokenizerBase", list[str]]:
    """The checkpoint and its tokenizer; or random weights of a size, and a tokenizer trained on the texts.

    Also returns the names of the randomly initialized modules, "" for the whole model.

    Args:
        config: of the recipe.
        sizes: fields of a new model's configuration, by size name.
        texts: texts of the training rows.
        head: changes to the configuration for a classifier's head.
    """
    from transformers import set_seed

    register()
    model = config.model
    supervised = config.masking.objective == "supervised"
    tokenizer, is_foreign = start_tokenizer(config, texts, BERT, pad_by_eos=supervised)
    if not supervised:  # users will query "a [MASK] in a text"
        tokenizer.split_special_tokens = tokenizer.init_kwargs["split_special_tokens"] = False
    elif is_foreign or not (config.tokens.tokenizer_name or model.model_name_or_path):
        read_as_text(tokenizer, texts)
    set_seed(config.run.seed)
    fresh: list[str] = [""]
    rows: NewRows = []
    if model.from_scratch:
        encoder = new_encoder(config, sizes[model.model_size], tokenizer, head)
    else:
        paired = config.masking.next_sentence_prediction
        who, families = ("--next-sentence-prediction", PAIRED) if paired else ("bert_classifier", ())
        encoder, fresh = load_start(who, families, _auto(config), config, **head)
        rows = fit_embeddings(encoder, Tokenizers(tokenizer, tokenizer), config, model)
    read_segments(tokenizer, encoder)
    if head:
        fresh = prepare_head(encoder, model, tokenizer, fresh)
    adapt(encoder, config.adaptation, fresh, rows)
    return encoder, tokenizer, fresh


def new_encoder(
    config: EncoderRun, size: dict[str, int], tokenizer: "PreTrainedTokenizerBase", head: dict[str, Any]
) -> "PreTrainedModel":
    """A model with random weights, and with positions for the longest source, at least BERT's 512.

    Raises:
        InputError: an override has no such field, or sizes are inconsistent.
    """
    from transformers import AutoConfig

    kind = config.model.architecture
    changes = known_overrides(config.model, AutoConfig.for_model(kind))
    settings: dict[str, Any] = size | head | {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    settings["max_position_embeddings"] = max(512, config.tokens.max_source_length)
    if kind != "bert":  # BERT's choices
        settings |= {"position_embedding_type": "learned", "norm_placement": "post", "activation_function": "gelu"}
        settings |= {"scale_embedding": False, "initializer_range": 0.02, "dropout": 0.1, "attention_dropout": 0.1}
    return build_overridden(lambda: _auto(config).from_config(AutoConfig.for_model(kind, **settings | changes)))


def _auto(config: EncoderRun) -> Any:
    """The Auto class of the objective's head."""
    import transformers

    if config.masking.objective == "supervised":
        return transformers.AutoModelForSequenceClassification
    paired = config.masking.next_sentence_prediction
    return transformers.AutoModelForPreTraining if paired else transformers.AutoModelForMaskedLM
