"""The kinds of problems, one module each: how a task predicts, scores, writes and describes itself.

`LABEL_PROBLEMS` has those of labelled texts; `--problem-type` selects one.
"""

from hf_seq2seq.problems.labels import LabelProblem
from hf_seq2seq.problems.multi_label import MultiLabelProblem
from hf_seq2seq.problems.regression import RegressionProblem
from hf_seq2seq.problems.single_label import SingleLabelProblem

LABEL_PROBLEMS: dict[str, LabelProblem] = {
    "single_label": SingleLabelProblem(),
    "multi_label": MultiLabelProblem(),
    "regression": RegressionProblem(),
}
