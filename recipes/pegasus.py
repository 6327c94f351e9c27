"""Fine-tune PEGASUS to summarise, or train it from scratch.

    hf-seq2seq train pegasus --model-name-or-path google/pegasus-large --train-file train.csv --output-dir outputs/mine
    hf-seq2seq train pegasus --from-scratch --model-size tiny --train-file train.csv --output-dir outputs/mine

As in the paper the optimizer is Adafactor, and activations are recomputed in the backward pass to save memory:
--optim adamw and --no-gradient-checkpointing choose otherwise.

Paper: Zhang et al., 2020, https://proceedings.mlr.press/v119/zhang20ae.html
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hf_seq2seq import configs, run_configs
from hf_seq2seq.sections import both_sides, option

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

    from hf_seq2seq.task import Task

FAMILIES = ("pegasus", "pegasus_x", "bigbird_pegasus")
SIZES = {
    "tiny": {"d_model": 128} | both_sides(layers=2, attention_heads=4, ffn_dim=256),
    "small": {"d_model": 512} | both_sides(layers=6, attention_heads=8, ffn_dim=2048),
    "base": {"d_model": 768} | both_sides(layers=12, attention_heads=12, ffn_dim=3072),
}


@dataclass(frozen=True, kw_only=True)
class Tokens(configs.NewTokenizer):
    """Tokens: limits, and training of a tokenizer for a model from scratch."""

    tokenizer_type: str = option("unigram", "Kind of tokenizer to train.", choices=configs.TOKENIZERS)


@dataclass(frozen=True, kw_only=True)
class Optimization(configs.Optimization):
    """Optimization: batches, the optimizer and the precision."""

    optim: str = option("adafactor", "Optimizer.", choices=configs.OPTIMIZERS, aliases=("optimizer",))
    gradient_checkpointing: bool = option(True, "Recompute activations to save memory.")
    label_smoothing_factor: float = option(0.1, "Label smoothing.", at_least=0, at_most=0.99)


@dataclass(frozen=True, kw_only=True)
class Config(run_configs.Seq2SeqRun):
    """All options of `pegasus`."""

    model: configs.PretrainedOrNew = field(default_factory=configs.PretrainedOrNew)
    denoising: configs.Denoising = field(default_factory=configs.Denoising)
    data: configs.PairData = field(default_factory=configs.PairData)
    mixture: configs.Mixing = field(default_factory=configs.Mixing)
    tokens: Tokens = field(default_factory=Tokens)
    optimization: Optimization = field(default_factory=Optimization)
    adaptation: configs.Adaptation = field(default_factory=configs.Adaptation)


def prepare(config: Config) -> "Task":
    """Reads pairs, conversations or raw text, loads or trains the tokenizer, loads or builds the model."""
    from hf_seq2seq.data.tokenizers.special_tokens import PEGASUS
    from hf_seq2seq.tasks.start_seq2seq import Family, family_task

    return family_task(Family("pegasus", FAMILIES, SIZES, PEGASUS, new_config), config)


def new_config(fields: dict[str, Any], tokenizer: "PreTrainedTokenizerBase") -> "PreTrainedConfig":
    """The configuration of a model from scratch, its embeddings scaled as those of the published checkpoints.

    Unscaled, the sinusoids of the positions, which are far larger, drown them, and only word frequencies are learned.
    """
    from transformers import PegasusConfig

    start = {"decoder_start_token_id": tokenizer.pad_token_id, "forced_eos_token_id": tokenizer.eos_token_id}
    ids = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    start |= {"max_position_embeddings": max(512, tokenizer.model_max_length)}
    return PegasusConfig(**({"vocab_size": len(tokenizer), "scale_embedding": True} | ids | start | fields))


def main(config: Config) -> None:
    """Trains, evaluates, saves."""
    from hf_seq2seq.training.run import run

    run(prepare(config))
