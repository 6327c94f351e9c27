"""Shared by problems whose models generate text."""

import re
import shlex
from pathlib import Path

from hf_seq2seq.configs import Decoding
from hf_seq2seq.data.annotated_text import TAG
from hf_seq2seq.data.messages import is_dialogue
from hf_seq2seq.hub.snippet import argument, encode_line, load_lines, sample
from hf_seq2seq.saved.global_attention import attends_globally
from hf_seq2seq.sections import flatten
from hf_seq2seq.task import Problem, Task

ROWS = ("test_file", "validation_file", "train_file")
_TAGGED = re.compile(re.escape(TAG).replace(r"\{\}", r"([\w-]+)") + r" (\S.*)", re.S)
_ASK = [
    'conversations = [[{"role": "user", "content": text}] for text in texts]  # may include previous turns',
    "inputs = tokenizer.apply_chat_template(",
    '    conversations, add_generation_prompt=True, return_tensors="pt", return_dict=True, padding=True',
    ")",
]
_GLOBAL = [
    "search['global_attention_mask'] = inputs.attention_mask * 0",
    "search['global_attention_mask'][:, 0] = 1  # the first token sees all others",
]


class WritingProblem(Problem):
    """Models that generate text.

    Args:
        longest_output: maximum output length in tokens, also for generation.
    """

    longest_output: int

    def __init__(self, longest_output: int) -> None:
        self.longest_output = longest_output

    def pipeline_tag(self, task: Task, languages: list[str]) -> str:
        """`text-generation`."""
        return "text-generation"

    def next_command(self, task: Task, place: str) -> str:
        """`generate`."""
        if getattr(task.model.config, "input_width", None) is not None:
            return f"hf-seq2seq generate {place} frames.npy"
        if getattr(task.model.config, "feature_columns", None):
            return f"hf-seq2seq generate {place} --input-file {_file_of_rows(task)}"
        text = "hello" if is_dialogue(flatten(task.config)) else argument(task)
        if told := _TAGGED.match(shlex.split(text)[0]):
            text = f"--target-lang {told[1]} {shlex.quote(told[2])}"
        return f"hf-seq2seq generate {place} {text}"

    def program(self, task: Task) -> list[str]:
        """Loads the model and generates the output for a text."""
        options = flatten(task.config)
        prefix = options.get("source_prefix") or ""
        texts = f"[{prefix!r} + text for text in texts]" if prefix else "texts"
        decoder = "tokenizer" if task.tokenizers.target is task.tokenizers.source else "target_tokenizer"
        is_alone = not task.model.config.is_encoder_decoder
        search = "".join(f", {name}={value!r}" for name, value in _search(task).items())
        if (width := getattr(task.model.config, "input_width", None)) is not None:
            return [
                "import torch",
                *load_lines("AutoModelForSeq2SeqLM", task),
                f"features = torch.zeros(1, 50, {width})  # a feature matrix, frames by width, in a batch of one",
                f"search = dict(max_new_tokens={self.longest_output}{search})",
                "mask = torch.ones(features.shape[:2], dtype=torch.long)",
                "outputs = model.generate(input_features=features, attention_mask=mask, **search)",
                f"print({decoder}.batch_decode(outputs, skip_special_tokens=True))",
            ]
        return [
            *load_lines("AutoModelForCausalLM" if is_alone else "AutoModelForSeq2SeqLM", task),
            f"texts = [{self.sample(task)!r}]",
            *(_ASK if is_dialogue(options) else [encode_line(texts, options["max_source_length"])]),
            f"search = dict(max_new_tokens={self.longest_output}{search})",
            *(_GLOBAL if attends_globally(task.model.config) else []),
            "outputs = model.generate(inputs.input_ids, attention_mask=inputs.attention_mask, **search)",
            *(["outputs = outputs[:, inputs.input_ids.shape[1] :]  # the tokens after the source"] if is_alone else []),
            f"print({decoder}.batch_decode(outputs, skip_special_tokens=True))",
        ]

    def sample(self, task: Task) -> str:
        """The input text of the program."""
        return sample(task)


def _search(task: Task) -> dict[str, object]:
    """The run's search options that differ from the defaults of `generate`."""
    options = flatten(task.config)
    usual = Decoding()
    names = ["num_beams", "no_repeat_ngram_size"] + ["length_penalty"] * (options.get("num_beams", 1) > 1)
    return {name: options[name] for name in names if options.get(name, getattr(usual, name)) != getattr(usual, name)}


def _file_of_rows(task: Task) -> str:
    """A file with rows like those of the run, as a word of the shell; a made-up name where its rows had none."""
    named = (flatten(task.config).get(name) for name in ROWS)
    return shlex.quote(next((str(name) for name in named if name and Path(str(name)).is_file()), "rows.jsonl"))
