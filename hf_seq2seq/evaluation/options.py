"""Options of `evaluate`; imports no torch, so that the command line can list them quickly."""

from dataclasses import dataclass, field

from hf_seq2seq.decoding.pipeline import Ensemble
from hf_seq2seq.decoding.search_options import Lengths, Search
from hf_seq2seq.evaluation.significance import Significance
from hf_seq2seq.sections import MANY, Section, option


@dataclass(frozen=True, kw_only=True)
class Measures(Section):
    """Scores: metrics and output."""

    metrics: tuple[str, ...] = option((), "Metrics, separated by commas; by default those of the training run.")
    predictions: str | None = option(None, "File of predictions, instead of a model.")
    references: tuple[str, ...] = option(
        (), "File of references for --predictions; several files give several per row."
    )
    sources: str | None = option(None, "File of sources for --predictions, for metrics that read them.")
    confusion_matrix: bool = option(False, "Also count the rows of each true and predicted label.")
    json: bool = option(False, "Print one JSON object.")


@dataclass(frozen=True, kw_only=True)
class Rows(Section):
    """Data: the test rows; by default those of the training run, as are the columns."""

    test_file: str | None = option(
        None, "A file as in training, or line-aligned files: test.de,test.en; several sets: a=a.tsv,b=b.tsv."
    )
    dataset_name: str | None = option(None, "Data set on the Hub, or a folder written by `save_to_disk`.")
    dataset_config_name: str | None = option(None, "Configuration of the data set on the Hub.")
    dataset_revision: str | None = option(None, "Revision of the data set on the Hub.")
    test_split: str | None = option(None, "Split of the Hub data set; by default test.")
    encoding: str | None = option(None, "Encoding of local text files; by default that of the training run, or UTF-8.")
    max_predict_samples: int | None = option(
        None,
        "Use at most this many rows; by default, of the run's own, those that it scored.",
        at_least=1,
        at_most=MANY,
    )
    source_column: str | None = option(None, "Column of the source text.")
    target_column: str | None = option(None, "Column of the target text.", aliases=("summary_column",))
    context_column: str | None = option(None, "Column of a question's context.")
    source_template: str | None = option(None, "Source text composed of several columns, such as '{lemma} {features}'.")
    source_lang: str | None = option(None, "Source language: key in `translation` columns, and file suffix.")
    target_lang: str | None = option(None, "Target language; the same.")
    source_lang_column: str | None = option(None, "Column of each row's source language; by default source_lang.")
    target_lang_column: str | None = option(None, "Column of each row's target language; by default target_lang.")
    text_column: str | None = option(None, "Column of a classifier's text.")
    text_pair_column: str | None = option(None, "Column of a classifier's second text.")
    label_column: str | None = option(None, "Column of the label.")


@dataclass(frozen=True)
class EvaluateConfig:
    """The flags of `evaluate`."""

    measures: Measures = field(default_factory=Measures)
    significance: Significance = field(default_factory=Significance)
    rows: Rows = field(default_factory=Rows)
    model: Lengths = field(default_factory=Lengths)
    decoding: Search = field(default_factory=Search)
    ensemble: Ensemble = field(default_factory=Ensemble)
