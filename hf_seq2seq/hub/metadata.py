"""The front matter of a model card, which the Hub reads.

The Hub's tasks are listed in https://github.com/huggingface/huggingface.js (packages/tasks/src/pipelines.ts).
"text2text-generation" is no longer one of them; it was merged into "text-generation", and is kept here as a tag.
"""

import dataclasses
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import EvalResult, ModelCardData

from hf_seq2seq.data.evaluation_sets import RESULTS, files_of, kind_of, name_of, sets_of, split_of
from hf_seq2seq.errors import InputError
from hf_seq2seq.hub.languages import LANGUAGES
from hf_seq2seq.sections import flatten

if TYPE_CHECKING:
    from hf_seq2seq.task import Task

# Display names of scores, and the Hub's metric to which each belongs.
SCORES = {
    "loss": ("Loss", "loss"),
    "perplexity": ("Perplexity per token", "perplexity"),
    "bits_per_byte": ("Bits per byte", "bits_per_byte"),
    "masked_accuracy": ("Accuracy of masked tokens", "accuracy"),
    "next_sentence_accuracy": ("Accuracy of next sentences", "accuracy"),
    "masked_loss": ("Loss per masked token", "loss"),
    "target_loss": ("Loss per target token", "loss"),
    "bleu": ("BLEU", "bleu"),
    "chrf": ("chrF", "chrf"),
    "chrf++": ("chrF++", "chrf"),
    "ter": ("TER", "ter"),
    "rouge1": ("ROUGE-1", "rouge"),
    "rouge2": ("ROUGE-2", "rouge"),
    "rougeL": ("ROUGE-L", "rouge"),
    "rougeLsum": ("ROUGE-Lsum", "rouge"),
    "rougeW": ("ROUGE-W", "rouge"),
    "rouge1_precision": ("ROUGE-1 precision", "rouge"),
    "rouge1_recall": ("ROUGE-1 recall", "rouge"),
    "rouge2_precision": ("ROUGE-2 precision", "rouge"),
    "rouge2_recall": ("ROUGE-2 recall", "rouge"),
    "rougeL_precision": ("ROUGE-L precision", "rouge"),
    "rougeL_recall": ("ROUGE-L recall", "rouge"),
    "rougeLsum_precision": ("ROUGE-Lsum precision", "rouge"),
    "rougeLsum_recall": ("ROUGE-Lsum recall", "rouge"),
    "rougeW_precision": ("ROUGE-W precision", "rouge"),
    "rougeW_recall": ("ROUGE-W recall", "rouge"),
    "meteor": ("METEOR", "meteor"),
    "cider": ("CIDEr", "cider"),
    "cider_d": ("CIDEr-D", "cider"),
    "bertscore_precision": ("BERTScore precision", "bertscore"),
    "bertscore_recall": ("BERTScore recall", "bertscore"),
    "bertscore_f1": ("BERTScore F1", "bertscore"),
    "spice": ("SPICE", "spice"),
    "exact_match": ("Exact match", "exact_match"),
    "squad_exact_match": ("Exact match of normalized answers", "exact_match"),
    "squad_f1": ("F1 of the answers' words", "f1"),
    "word_error_rate": ("Word error rate (share of wrong rows)", "word_error_rate"),
    "phoneme_error_rate": ("Phoneme error rate", "phoneme_error_rate"),
    "token_error_rate": ("Token error rate", "token_error_rate"),
    "levenshtein": ("Edit distance in characters", "levenshtein"),
    "edit_accuracy": ("Edit accuracy", "edit_accuracy"),
    "seqeval_precision": ("Precision of spans", "seqeval"),
    "seqeval_recall": ("Recall of spans", "seqeval"),
    "seqeval_f1": ("F1 of spans", "seqeval"),
    "accuracy": ("Accuracy", "accuracy"),
    "macro_f1": ("Macro F1", "f1"),
    "micro_f1": ("Micro F1", "f1"),
    "matthews": ("Matthews correlation", "matthews_correlation"),
    "pearson": ("Pearson correlation", "pearsonr"),
    "spearman": ("Spearman correlation", "spearmanr"),
    "mse": ("Mean squared error", "mse"),
}
NO_SCORE = ("samples", "runtime", "unknown_tokens")


def scores(results: dict[str, float], task: "Task") -> dict[str, dict[str, float]]:
    """The loss and the metrics of every evaluated split, by name.

    With several named sets, their mean follows as "validation" or "test".
    """
    splits = {
        split_of(prefix, name_of(split)): split
        for kind, prefix in RESULTS.items()
        for split in (*filter(name_of, sets_of(task.splits, kind)), kind)
    }
    found: dict[str, dict[str, float]] = {split: {} for split in splits.values()}
    for key, value in results.items():
        # One name may be a prefix of another: "eval_de_at_loss" belongs to the set "de_at", not to "de".
        start = max((prefix for prefix in splits if key.startswith(f"{prefix}_")), key=len, default=None)
        if start and key.removeprefix(f"{start}_") not in NO_SCORE:
            found[splits[start]][key.removeprefix(f"{start}_")] = value
    one = [kind for kind in RESULTS if kind not in task.splits and len(sets_of(task.splits, kind)) == 1]
    return {split: values for split, values in found.items() if values and split not in one}


def front_matter(name: str, task: "Task", results: dict[str, float]) -> str:
    """YAML between two lines of `---`; only states what the run knows."""
    options = flatten(task.config)
    measured = _measured(task, results)
    named = hub_name(options.get("dataset_name"))
    data = ModelCardData(
        model_name=name,
        eval_results=measured or None,
        library_name="transformers",
        pipeline_tag=pipeline_tag(task),
        base_model=hub_name(options.get("model_name_or_path")),
        datasets=[named] if named else None,
        language=list(options.get("language") or languages(task)) or None,
        license=options.get("license"),
        metrics=sorted({result.metric_type for result in measured if result.metric_type != "loss"}) or None,
        tags=[
            "hf-seq2seq",
            task.recipe,
            *(["text2text-generation"] if task.problem.longest_output is not None else []),
        ],
    )
    return f"---\n{data.to_yaml()}\n---"


def pipeline_tag(task: "Task") -> str:
    """The Hub's task: translation or summarization if the options or columns say so."""
    return task.problem.pipeline_tag(task, languages(task))


def hub_name(name: str | None) -> str | None:
    """The name of a model or data set on the Hub; None for a local folder, which is meaningless to others."""
    on_hub = name is not None and re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name, re.ASCII) and not Path(name).exists()
    return name if on_hub else None


def check_languages(codes: Iterable[str]) -> None:
    """Rejects languages that the Hub would not accept in a card.

    Raises:
        InputError: one is not a code of two or three letters.
    """
    for code in codes:
        if code not in LANGUAGES | {"multilingual", "code"} and not re.fullmatch("[a-z]{3}", code):
            raise InputError(f"--language: {code!r} is not a code of two or three letters (ISO 639), such as de or deu")


def languages(task: "Task") -> list[str]:
    """ISO 639-1 codes of source and target, from the options or from column names ("de", "translation.de")."""
    options = flatten(task.config)
    columns = [task.columns.get(side, "").removeprefix("translation.") for side in ("source", "target")]
    options_or_columns = zip((options.get("source_lang"), options.get("target_lang")), columns, strict=True)
    codes = [re.split("[-_]", option or column)[0] for option, column in options_or_columns]
    known = all(code in LANGUAGES for code in codes)
    return list(dict.fromkeys(codes)) if known else []


def _measured(task: "Task", results: dict[str, float]) -> list[EvalResult]:
    return [
        EvalResult(
            task_type=pipeline_tag(task),
            metric_type=SCORES.get(key, (key, key))[1],
            metric_name=SCORES.get(key, (key, key))[0],
            metric_value=round(value, 4),
            verified=False,
            **_dataset(task, split),
        )
        for split, found in scores(results, task).items()
        for key, value in found.items()
        # A mean over sets belongs to no data set, and the Hub reads JSON, which has no NaN.
        if split in task.splits and math.isfinite(value)
    ]


def _dataset(task: "Task", split: str) -> dict[str, Any]:
    options, title, kind = flatten(task.config), name_of(split), kind_of(split)
    if task.mixture:
        member, split = task.mixture.member_of(split)
        options = dataclasses.asdict(member.data)
    name = options.get("dataset_name")
    if name is None:
        own = options.get(f"{kind}_file")
        paths = files_of(f"{kind}_file", own, name_of(split)) if own else options.get("train_file") or ""
        files = ", ".join(Path(part.strip()).name for part in paths.split(","))
        label = files if own else f"{files} (held out)"
        # Results of one type, configuration and split are merged by the Hub's library, whatever their name.
        config = {"dataset_config": title} if title else {}
        return {"dataset_type": "local", "dataset_name": label, "dataset_split": kind} | config
    return {
        "dataset_type": hub_name(name) or "local",
        "dataset_name": Path(name).name,
        "dataset_config": options.get("dataset_config_name"),
        "dataset_revision": downloaded_commit(name, options.get("dataset_revision")),
        "dataset_split": options.get(f"{kind_of(split)}_split") or kind_of(split),
    }


def downloaded_commit(name: str, revision: str | None) -> str | None:
    """The last downloaded commit of a data set, because a branch can move; the requested revision if unknown."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    if hub_name(name) is None:
        return revision
    place = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=name, repo_type="dataset") / "refs"
    commit = place / (revision or "main")
    return commit.read_text().strip() if commit.is_file() else revision
