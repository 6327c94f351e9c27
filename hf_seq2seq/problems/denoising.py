"""Denoising: raw text is noised, and the model restores it."""

from hf_seq2seq.hub.markdown import code
from hf_seq2seq.problems.writing import WritingProblem
from hf_seq2seq.task import Task


class DenoisingProblem(WritingProblem):
    """Noised text is restored; there are no predictions, only the loss."""

    units = "The loss is in nats per target token, of text that is noised once."

    def purpose(self, task: Task) -> str:
        """By the column."""
        return f"restores noised text, as in {code(task.columns['text'])}"

    def next_command(self, task: Task, place: str) -> str:
        """Fine-tuning on pairs."""
        return f"hf-seq2seq train {task.recipe} --model-name-or-path {place} --train-file PAIRS.tsv"
