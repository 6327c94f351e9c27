"""Start of a run of a decoder-only model: checks, then a checkpoint or random weights."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from hf_seq2seq.architectures import register
from hf_seq2seq.data.tokenizers.special_tokens import GPT
from hf_seq2seq.data.tokenizers.spelled import read_as_text
from hf_seq2seq.errors import InputError
from hf_seq2seq.objectives import OBJECTIVES
from hf_seq2seq.run_configs import DecoderRun
from hf_seq2seq.saved.positions import longest_sequence
from hf_seq2seq.tasks.pretrained import check_start, known_overrides
from hf_seq2seq.tasks.stages import refuse_stages
from hf_seq2seq.tasks.starting import adapt_start, build_overridden, load_start, start_tokenizer
from hf_seq2seq.training.checks import check_run, without_metrics

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

C = TypeVar("C", bound=DecoderRun)
ATTENTION_DROPOUT = 0.0
"""New decoders drop no attention weights: after 1,200 steps on 1,000 Turkish inflections, seeds 1 and 2 of a new GPT-2
had 20.2 and 18.7 % of the forms right, and where these were dropped, too, seed 1 had 10.9. PyTorch's attention on CPUs
is several times slower with dropout, so that conversations of 700 tokens took four times as long.
"""
SettleLengths = Callable[..., Any]
"""Called with a configuration, `tokenizer` and `most`; gives the configuration with the chosen lengths."""


def check_decoder_run(config: C) -> C:
    """`check_run` for the objective's metrics; returns the configuration, without text metrics for raw text.

    Raises:
        InputError: also for an invalid start, two vocabularies, and text metrics without generation.
    """
    check_start("gpt", config)
    if config.data.objective != "pairs":
        refuse_stages(config, "conversations" if config.data.objective == "dialogue" else "raw text")
    if config.data.objective == "causal":
        config = without_metrics(config, "--objective causal reports loss, perplexity and bits per byte")
    check_run(config, "seq2seq", model_type="gpt2")
    if OBJECTIVES[config.loss.loss_type].needs_encoder:
        able = ", ".join(name for name, objective in OBJECTIVES.items() if not objective.needs_encoder)
        raise InputError(
            f"--loss-type {config.loss.loss_type}: for encoder-decoders (rnn, transformer, t5, bart, pegasus); "
            f"decoder-only models have {able}"
        )
    return config


def start_decoder(
    config: C, families: tuple[str, ...], sizes: dict[str, int], texts: list[str], settle: "SettleLengths"
) -> tuple[C, "PreTrainedModel", "PreTrainedTokenizerBase"]:
    """The checkpoint and its tokenizer; or random weights of the given sizes, and a tokenizer trained on the texts.

    Args:
        config: the recipe's.
        families: model types of checkpoints.
        sizes: fields of the configuration of a new model.
        texts: of the training rows.
        settle: chooses the lengths that the options leave open, given the tokenizer, and the positions of a checkpoint.

    Returns:
        The configuration with these lengths, the model and the tokenizer.
    """
    from transformers import AutoModelForCausalLM

    tokenizer, is_foreign = start_tokenizer(config, texts, GPT, pad_by_eos=True)
    if is_foreign:
        read_as_text(tokenizer, [config.data.source_prefix, *texts])
    if config.model.from_scratch:
        config = settle(config, tokenizer=tokenizer, most=None)
        return config, new_decoder(config, sizes, tokenizer), tokenizer
    loaded, fresh = load_start("gpt", families, AutoModelForCausalLM, config)
    config = settle(config, tokenizer=tokenizer, most=longest_sequence(loaded))
    adapt_start(loaded, tokenizer, config, fresh)
    return config, loaded, tokenizer


def new_decoder(config: DecoderRun, sizes: dict[str, int], tokenizer: "PreTrainedTokenizerBase") -> "PreTrainedModel":
    """A model with random weights, and with as many positions as the longest sequence has tokens.

    Raises:
        InputError: sizes are inconsistent, or an override has no such field.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, set_seed

    register()
    sizes = {name: getattr(config.model, name) or size for name, size in sizes.items()}
    tokens, rate = config.tokens, config.model.dropout
    pairs_length = tokens.max_source_length + tokens.max_target_length
    length = tokens.block_size if config.data.objective == "causal" else pairs_length
    ids = {f"{role}_token_id": getattr(tokenizer, f"{role}_token_id") for role in ("pad", "eos", "bos")}
    if config.model.architecture == "gpt2":
        kind: dict[str, Any] = {"resid_pdrop": rate, "embd_pdrop": rate, "attn_pdrop": ATTENTION_DROPOUT}
    else:  # GPT's choices
        kind = {"position_embedding_type": "learned", "norm_placement": "pre", "activation_function": "gelu"}
        kind |= {"intermediate_size": 4 * sizes["hidden_size"], "dropout": rate, "attention_dropout": ATTENTION_DROPOUT}
        kind |= {"scale_embedding": False, "initializer_range": 0.02}
    set_seed(config.run.seed)
    usual = AutoConfig.for_model(config.model.architecture)
    settings = sizes | ids | kind | {"vocab_size": len(tokenizer), "max_position_embeddings": length}
    overrides = known_overrides(config.model, usual)
    # A field may have two names (n_embd is hidden_size): an override must match the field that it overrides.
    own = {usual.attribute_map.get(name, name): value for part in (settings, overrides) for name, value in part.items()}
    place = "--config-overrides: " if overrides else ""
    name = config.model.architecture
    return build_overridden(lambda: AutoModelForCausalLM.from_config(AutoConfig.for_model(name, **own)), place)
