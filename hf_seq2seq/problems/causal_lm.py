"""Causal language modelling: raw text in packed blocks."""

from hf_seq2seq.data.examples import Examples
from hf_seq2seq.hub.markdown import code
from hf_seq2seq.hub.snippet import LONGEST_SAMPLE, unseen_texts
from hf_seq2seq.metrics.language_modelling import bits_per_byte, perplexity
from hf_seq2seq.problems.writing import WritingProblem
from hf_seq2seq.task import Measured, Task


class CausalLMProblem(WritingProblem):
    """Text is continued; its likelihood is measured."""

    units = "The loss is in nats per token, of which perplexity is the exponential; bytes are those of UTF-8."
    row_note = "A row is a block of documents that do not attend to each other."

    def likelihoods(self, measured: Measured, examples: Examples) -> dict[str, float]:
        """Perplexity per token, and bits per byte."""
        total = measured["loss"][0]
        return {"perplexity": perplexity(*measured["loss"]), "bits_per_byte": bits_per_byte(total, examples.texts)}

    def purpose(self, task: Task) -> str:
        """By the column."""
        return f"continues text, as in {code(task.columns['text'])}"

    def sample(self, task: Task) -> str:
        """The beginning of a text."""
        return " ".join(unseen_texts(task)[0].split(" ")[:4])[:LONGEST_SAMPLE]
