"""Shared by problems whose models predict labels or numbers."""

from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator

from hf_seq2seq import strict_json
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.windows import MAX, logits_of
from hf_seq2seq.hub.markdown import cell
from hf_seq2seq.hub.reading import windows_in_program
from hf_seq2seq.hub.snippet import argument, encode_line, load_lines, sample, takes_pairs
from hf_seq2seq.saved.pooling import NAMES, recorded_pooling
from hf_seq2seq.task import Judged, Predictions, Problem, Task

_POOLED = {
    "mean": ["    pooled = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)"],
    "cls": ["    pooled = hidden[range(len(mask)), mask.argmax(1)]"],
    "last": [
        "    last = (mask * torch.arange(1, mask.shape[1] + 1)).argmax(1)",
        "    pooled = hidden[range(len(mask)), last]",
    ],
}


class LabelProblem(Problem):
    """A text, or a pair of texts, gets labels or a number.

    Attributes:
        answer: lines of the card's program that print the predictions.
    """

    is_classifier = True
    answer: tuple[str, ...]

    def row(self, names: tuple[str, ...], logits: np.ndarray) -> dict[str, Any]:
        """The prediction to write for one row, from logits `(classes,)`."""
        raise NotImplementedError

    def judge(self, names: tuple[str, ...], logits: np.ndarray, truth: Any) -> tuple[float, str, str, str]:
        """The quality of a row's prediction: a number to rank by, the prediction, the label, and the number as text."""
        raise NotImplementedError

    def predict(self, task: Task, examples: Examples, rows: np.ndarray, accelerator: Accelerator) -> list[Any]:
        """Logits, `(classes,)` each."""
        size = task.config.decoding.per_device_eval_batch_size
        found: list[np.ndarray] = []
        for start in range(0, len(rows), size):
            batch = task.batch(examples, rows[start : start + size], accelerator.device)
            with accelerator.autocast():
                found.extend(logits_of(task.model, batch).cpu().numpy())
        return found

    def gathered(self, task: Task, found: list[Any]) -> Predictions:
        """Logits of all rows in the data's units, `(rows, classes)`."""
        return task.objective.readable(np.stack(found))

    def write_predictions(self, task: Task, split: str, found: Predictions, files: dict[str, Path]) -> None:
        """One JSON object per row."""
        rows = [self.row(task.label_names, logits) for logits in np.asarray(found)]
        text = "".join(strict_json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        files["labels"].write_text(text, encoding="utf-8")

    def judged(self, task: Task, examples: Examples, found: Predictions) -> list[Judged]:
        """Predicted labels with their scores; for a number, its error."""
        assert examples.labels is not None
        rows = []
        for text, logits, truth in zip(
            examples.texts, np.asarray(found, dtype=np.float64), examples.labels, strict=False
        ):
            score, predicted, right, shown = self.judge(task.label_names, logits, truth)
            rows.append((score, [cell(text), cell(predicted), cell(right), shown]))
        return rows

    def pipeline_tag(self, task: Task, languages: list[str]) -> str:
        """`text-classification`."""
        return "text-classification"

    def next_command(self, task: Task, place: str) -> str:
        """`classify`."""
        return f"hf-seq2seq classify {place} " + ("--input-file PAIRS.csv" if takes_pairs(task) else argument(task))

    def program(self, task: Task) -> list[str]:
        """Loads the model and prints the answer."""
        texts = "texts, other_texts" if takes_pairs(task) else "texts"
        other = ['other_texts = ["The second text of the pair."]'] if takes_pairs(task) else []
        return [
            "import torch",
            *load_lines("AutoModelForSequenceClassification", task),
            f"texts = [{sample(task)!r}]",
            *other,
            *_encode(task, texts),
            *_pool(task),
            "with torch.inference_mode():",
            "    logits = model(**inputs).logits",
            *_pool_windows(task),
            *self.answer,
        ]


def _encode(task: Task, texts: str) -> list[str]:
    """Code that encodes the texts, or their windows."""
    limit, windows = task.config.tokens.max_source_length, windows_in_program(task)
    if windows is None:
        return [encode_line(texts, limit)]
    return [
        encode_line(texts, limit, f", stride={windows.stride}, return_overflowing_tokens=True"),
        'owners = inputs.pop("overflow_to_sample_mapping")  # the text of each window',
    ]


def _pool_windows(task: Task) -> list[str]:
    windows = windows_in_program(task)
    if windows is None:
        return []
    pooled = "amax" if windows.pooling == MAX else "mean"
    return [f"logits = torch.stack([logits[owners == text].{pooled}(0) for text in range(len(texts))])"]


def _pool(task: Task) -> list[str]:
    """Code that inserts a pooling unknown to transformers between the base model and the head."""
    found = recorded_pooling(task.model.config)
    if found is None:
        return []
    albert = task.model.config.model_type == "albert"
    pooler = "base.pooler_activation(base.pooler(pooled))" if albert else "base.pooler(outputs.last_hidden_state)"
    return [
        "",
        "",
        "def pool(base, args, outputs):",
        f'    """Lets the head see {NAMES[found]}, as in training; transformers alone does not do this."""',
        "    hidden, mask = outputs.last_hidden_state, inputs.attention_mask",
        *_POOLED[found],
        "    outputs.last_hidden_state = pooled[:, None].expand_as(hidden)",
        '    if outputs.get("pooler_output") is not None:',
        f"        outputs.pooler_output = {pooler}",
        "    return outputs",
        "",
        "",
        "model.base_model.register_forward_hook(pool)",
    ]
