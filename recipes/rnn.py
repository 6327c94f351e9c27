"""Train a recurrent encoder-decoder with attention from scratch.

    hf-seq2seq train rnn --train-file train.tsv --validation-file dev.tsv --output-dir outputs/rnn

An LSTM or GRU reads the source in both directions; a second one writes the target, looking back at the source by
additive attention (Bahdanau et al., 2015, https://arxiv.org/abs/1409.0473), multiplicative attention (Luong et al.,
2015, https://arxiv.org/abs/1508.04025) or one of their successors.
"""

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from hf_seq2seq import configs, run_configs
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import MOST_LAYERS, Section, option

if TYPE_CHECKING:
    from hf_seq2seq.architectures.modeling_rnn import RnnForConditionalGeneration
    from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
    from hf_seq2seq.task import Task


@dataclass(frozen=True, kw_only=True)
class Model(Section):
    """Model: the recurrent encoder-decoder."""

    cell: str = option("lstm", "Recurrent cell.", choices=("lstm", "gru", "rnn"))
    decoder_style: str = option("luong", "Attend after the cell, or before it.", choices=("luong", "bahdanau"))
    input_feeding: bool = option(False, "Feed the last attentional vector into the next step (luong).")
    input_feeding_context: bool = option(False, "Also feed that step's context.")
    decoder_start: str = option("bridge", "Initial state of the decoder.", choices=("bridge", "transfer", "zeros"))
    embedding_size: int = option(256, "Width of the embeddings.", at_least=1)
    hidden_size: int = option(256, "Width of the decoder and of the encoder's output.", at_least=2)
    encoder_layers: int = option(1, "Layers of the encoder.", at_least=1, at_most=MOST_LAYERS)
    decoder_layers: int = option(1, "Layers of the decoder.", at_least=1, at_most=MOST_LAYERS)
    bidirectional: bool = option(True, "Read the source in both directions.")
    dropout: float = option(0.2, "Dropout on embeddings, between layers and on the output.", at_least=0, at_most=0.95)
    encoder_output_dropout: float = option(0.0, "Dropout on the encoder's output.", at_least=0, at_most=0.95)
    initializer_range: float = option(0.1, "Standard deviation of the embeddings' initial values.", above=0)
    output_bias: bool = option(False, "Give the output layer a bias.")
    tie_word_embeddings: bool = option(False, "One matrix for the target embeddings and the output layer.")


@dataclass(frozen=True, kw_only=True)
class Config(run_configs.HandBuiltRun):
    """All options of `rnn`."""

    start: run_configs.HandBuiltStart = field(default_factory=run_configs.HandBuiltStart)
    model: Model = field(default_factory=Model)
    alignment: run_configs.RecurrentAttention = field(default_factory=run_configs.RecurrentAttention)
    stack: run_configs.RecurrentStack = field(default_factory=run_configs.RecurrentStack)
    schedule: run_configs.RecurrentSchedule = field(default_factory=run_configs.RecurrentSchedule)
    data: configs.PairsOrDialogue = field(default_factory=configs.PairsOrDialogue)
    mixture: configs.Mixing = field(default_factory=configs.Mixing)
    tokens: configs.NewTokenizer = field(default_factory=configs.NewTokenizer)


def prepare(config: Config) -> "Task":
    """Reads pairs or conversations, trains the tokenizers, builds the model, or loads both from a checkpoint."""
    from hf_seq2seq.defaults.pairs import rnn_choices
    from hf_seq2seq.tasks.kept import start_tokenizers
    from hf_seq2seq.tasks.mixtures import check_mixed_run, mixed_task, open_mixed
    from hf_seq2seq.tasks.own_checkpoints import load_own
    from hf_seq2seq.tasks.pretrained_embeddings import start_embeddings
    from hf_seq2seq.tasks.stages import texts_to_learn

    members, new = check_mixed_run(config, "rnn-seq2seq"), config.start.model_name_or_path is None
    config, pairs, mixture = open_mixed(config, members, rnn_choices if new else None)
    if not new:
        return mixed_task("rnn", *load_own("rnn", "rnn-seq2seq", config), pairs, mixture)
    tokenizers = start_tokenizers(config, *texts_to_learn(pairs["train"]))
    model = start_embeddings(build_model(config, tokenizers), tokenizers, config)
    return mixed_task("rnn", config, model, tokenizers, pairs, mixture, new=True)


def build_model(config: Config, tokenizers: "Tokenizers") -> "RnnForConditionalGeneration":
    """A model with random weights for the tokenizers' vocabularies."""
    from transformers import set_seed

    from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
    from hf_seq2seq.architectures.modeling_rnn import RnnForConditionalGeneration
    from hf_seq2seq.tasks.fresh import build_fresh

    set_seed(config.run.seed)
    settings = tokenizers.model_settings() | asdict(config.model) | asdict(config.alignment)
    settings |= tokenizers.separator_ids(asdict(config.stack))
    if config.alignment.pointer_generator and not tokenizers.shared:
        settings["source_to_target_ids"] = tokenizers.source_to_target_ids()
    try:
        return build_fresh(lambda: RnnForConditionalGeneration(RnnSeq2SeqConfig(**settings)))
    except ValueError as error:
        raise InputError(str(error)) from error


def main(config: Config) -> None:
    """Trains, evaluates, saves."""
    from hf_seq2seq.training.run import run

    run(prepare(config))
