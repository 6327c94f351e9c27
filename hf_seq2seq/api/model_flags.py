"""The flags of a model's methods, as sections."""

from dataclasses import dataclass, field

from hf_seq2seq.decoding.classifier_options import Reading
from hf_seq2seq.decoding.pipeline import Ensemble, Model, Spoken
from hf_seq2seq.decoding.search_options import Search
from hf_seq2seq.decoding.splitting_options import Splitting


@dataclass(frozen=True)
class ClassifyFlags:
    """The flags of `classify` that belong to the model."""

    model: Reading = field(default_factory=Reading)


@dataclass(frozen=True)
class GenerateFlags:
    """The flags of `generate` that belong to the model."""

    model: Model = field(default_factory=Model)
    languages: Spoken = field(default_factory=Spoken)
    splitting: Splitting = field(default_factory=Splitting)
    ensemble: Ensemble = field(default_factory=Ensemble)
    decoding: Search = field(default_factory=Search)
