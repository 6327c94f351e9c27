"""Fine-tune a BERT-like encoder to classify text by its [CLS] representation.

    hf-seq2seq train bert_classifier --model-name-or-path google-bert/bert-base-uncased --train-file train.csv

The representation of the first token goes through dropout and a linear layer. One label a text, several, or a number.

Paper: Devlin et al., 2019, section 3.2, https://arxiv.org/abs/1810.04805
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hf_seq2seq import configs
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import Section, option

if TYPE_CHECKING:
    from hf_seq2seq.training.task import Task

PROBLEMS = ("single_label", "multi_label", "regression")


@dataclass(frozen=True, kw_only=True)
class Model(configs.Pretrained):
    """Model: the encoder and its head."""

    problem_type: str = option("single_label", "What a label is.", choices=PROBLEMS)
    class_weights: str = option("none", "Weigh classes in the loss.", choices=("none", "balanced"))
    classifier_dropout: float = option(0.1, "Dropout before the linear layer.", at_least=0, at_most=0.95)


@dataclass(frozen=True, kw_only=True)
class Optimization(configs.Optimization):
    """Optimization: batches, the optimizer and the precision."""

    learning_rate: float = option(5e-5, "Peak learning rate.", above=0)


@dataclass(frozen=True, kw_only=True)
class Evaluation(Section):
    """Evaluation: what is measured."""

    metrics: tuple[str, ...] = option((), "Metrics, separated by commas; by default those of the problem.")


@dataclass(frozen=True)
class Config:
    """Everything that `bert_classifier` can be told."""

    model: Model = field(default_factory=Model)
    data: configs.LabelledData = field(default_factory=configs.LabelledData)
    tokens: configs.Tokenization = field(default_factory=configs.Tokenization)
    optimization: Optimization = field(default_factory=Optimization)
    adaptation: configs.Adaptation = field(default_factory=configs.Adaptation)
    schedule: configs.Schedule = field(default_factory=configs.Schedule)
    decoding: configs.Inference = field(default_factory=configs.Inference)
    evaluation: Evaluation = field(default_factory=Evaluation)
    run: configs.Run = field(default_factory=configs.Run)


def prepare(config: Config) -> "Task":
    """Reads the texts and labels, loads the encoder and puts a fresh head on it."""
    from transformers import AutoModelForSequenceClassification, set_seed

    from hf_seq2seq.training.adaptation import adapt, quantization
    from hf_seq2seq.training.labelled import check_labelled_run, head_changes, label_task, read_all_labelled
    from hf_seq2seq.training.pretrained import load_pretrained, load_tokenizer

    config = check_labelled_run(config)
    model = config.model
    if model.model_name_or_path is None:
        raise InputError("bert_classifier: --model-name-or-path names the encoder to fine-tune")
    splits, names = read_all_labelled(config.data, model.problem_type)
    tokenizer = load_tokenizer(model.model_name_or_path, model)
    set_seed(config.run.seed)
    changes = head_changes(model, names)
    auto, bits = AutoModelForSequenceClassification, quantization(config)
    encoder = load_pretrained("bert_classifier", (), auto, model, bits, **changes)
    adapt(encoder, config.adaptation)
    return label_task(config, encoder, tokenizer, splits, names)


def main(config: Config) -> None:
    """Trains, evaluates, saves."""
    from hf_seq2seq.training.run import run

    run(prepare(config))
