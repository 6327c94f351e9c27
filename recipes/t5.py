"""Fine-tune T5 on pairs of text, or train it from scratch.

    hf-seq2seq train t5 --model-name-or-path google-t5/t5-small --train-file train.csv --output-dir outputs/t5
    hf-seq2seq train t5 --from-scratch --optim adafactor --scale-parameter --learning-rate 1e-2 --train-file train.csv

Paper: Raffel et al., 2020, https://arxiv.org/abs/1910.10683
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hf_seq2seq import configs, run_configs
from hf_seq2seq.sections import option

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

    from hf_seq2seq.task import Task

FAMILIES = ("t5", "mt5", "umt5")
SIZES = {
    "tiny": {"d_model": 128, "d_kv": 32, "d_ff": 256, "num_layers": 2, "num_heads": 4},
    "small": {"d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_heads": 8},
    "base": {"d_model": 768, "d_kv": 64, "d_ff": 3072, "num_layers": 12, "num_heads": 12},
}


@dataclass(frozen=True, kw_only=True)
class Tokens(configs.NewTokenizer):
    """Tokens: limits, and training of a tokenizer for a model from scratch."""

    tokenizer_type: str = option("unigram", "Kind of tokenizer to train.", choices=configs.TOKENIZERS)


@dataclass(frozen=True, kw_only=True)
class Config(run_configs.Seq2SeqRun):
    """All options of `t5`."""

    model: configs.PretrainedOrNew = field(default_factory=configs.PretrainedOrNew)
    denoising: configs.Denoising = field(default_factory=configs.Denoising)
    data: configs.PairData = field(default_factory=configs.PairData)
    mixture: configs.Mixing = field(default_factory=configs.Mixing)
    tokens: Tokens = field(default_factory=Tokens)
    adaptation: configs.Adaptation = field(default_factory=configs.Adaptation)


def prepare(config: Config) -> "Task":
    """Reads pairs, conversations or raw text, loads or trains the tokenizer, loads or builds the model."""
    from hf_seq2seq.data.tokenizers.special_tokens import T5
    from hf_seq2seq.tasks.start_seq2seq import Family, family_task

    return family_task(Family("t5", FAMILIES, SIZES, T5, new_config), config)


def new_config(fields: dict[str, Any], tokenizer: "PreTrainedTokenizerBase") -> "PreTrainedConfig":
    """The configuration of a model from scratch."""
    from transformers import T5Config

    start = {"pad_token_id": tokenizer.pad_token_id, "decoder_start_token_id": tokenizer.pad_token_id}
    return T5Config(vocab_size=len(tokenizer), eos_token_id=tokenizer.eos_token_id, **start, **fields)


def main(config: Config) -> None:
    """Trains, evaluates, saves."""
    from hf_seq2seq.training.run import run

    run(prepare(config))
