"""The classical baselines of the field, by name; importing this loads no machine-learning library."""

from hf_seq2seq.baselines.baseline import Baseline
from hf_seq2seq.baselines.copy_source import COPY
from hf_seq2seq.baselines.joint_ngram import JOINT_NGRAM
from hf_seq2seq.baselines.logistic_regression import LOGISTIC_REGRESSION
from hf_seq2seq.baselines.majority import MAJORITY
from hf_seq2seq.baselines.most_frequent import MOST_FREQUENT
from hf_seq2seq.baselines.naive_bayes import NAIVE_BAYES
from hf_seq2seq.baselines.nearest import NEAREST
from hf_seq2seq.baselines.ngram_lm import NGRAM_LM

BASELINES: dict[str, Baseline] = {
    "copy": COPY,
    "most_frequent": MOST_FREQUENT,
    "nearest": NEAREST,
    "joint_ngram": JOINT_NGRAM,
    "majority": MAJORITY,
    "logistic_regression": LOGISTIC_REGRESSION,
    "naive_bayes": NAIVE_BAYES,
    "ngram_lm": NGRAM_LM,
}
