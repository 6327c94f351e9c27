"""Masked language modelling: raw text whose masked tokens an encoder predicts."""

from hf_seq2seq.data.examples import Examples
from hf_seq2seq.hub.markdown import code
from hf_seq2seq.hub.snippet import encode_line, load_lines, sample
from hf_seq2seq.metrics.language_modelling import perplexity
from hf_seq2seq.task import Measured, Problem, Task


class MaskedLMProblem(Problem):
    """Masked tokens are predicted at their positions; their likelihood is measured."""

    predicts_in_place = True
    units = "The loss is in nats per masked token, of which perplexity is the exponential; text is masked once."

    def likelihoods(self, measured: Measured, examples: Examples) -> dict[str, float]:
        """Perplexity per masked token."""
        return {"perplexity": perplexity(*measured.get("masked_loss", measured["loss"]))}

    def purpose(self, task: Task) -> str:
        """By the column."""
        return f"predicts masked tokens of text, as in {code(task.columns['text'])}"

    def pipeline_tag(self, task: Task, languages: list[str]) -> str:
        """`fill-mask`."""
        return "fill-mask"

    def next_command(self, task: Task, place: str) -> str:
        """Fine-tuning on labelled texts."""
        return f"hf-seq2seq train bert_classifier --model-name-or-path {place} --train-file LABELLED.csv"

    def program(self, task: Task) -> list[str]:
        """Loads the model and fills a mask."""
        return [
            "import torch",
            *load_lines("AutoModelForMaskedLM", task),
            f"texts = [{_masked_sample(task)!r}]",
            encode_line("texts", task.config.tokens.max_source_length),
            "with torch.inference_mode():",
            "    logits = model(**inputs).logits",
            "masked = inputs.input_ids == tokenizer.mask_token_id",
            "print(tokenizer.convert_ids_to_tokens(logits[masked].argmax(dim=-1)))",
        ]


def _masked_sample(task: Task) -> str:
    """The beginning of a text, short enough for any limit, with its second word masked."""
    words = sample(task).split()[:8]
    return " ".join([*words[:1], str(task.tokenizers.source.mask_token), *words[2:]])
