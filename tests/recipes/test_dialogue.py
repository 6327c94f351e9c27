"""Conversations from their rows to replies: training, evaluation, commands, a process that has transformers alone."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers.pre_tokenizers import ByteLevel
from transformers import GPT2Config, GPT2LMHeadModel, GPT2Tokenizer

from hf_seq2seq.api.previews import describe_example
from hf_seq2seq.cli.root import app
from hf_seq2seq.errors import InputError
from hf_seq2seq.recipes import gpt
from hf_seq2seq.sections import build

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SMALL: dict[str, Any] = {
    "objective": "dialogue", "max_tokens_per_batch": 1200, "max_source_length": 96, "max_target_length": 12,
    "learning_rate": 1e-2, "max_steps": 30, "logging_steps": 10, "eval_steps": 15,
    "metrics": "exact_match,bleu",
}  # fmt: skip


def talk(draw: random.Random) -> list[dict[str, str]]:
    """The assistant says each letter three times."""
    words = [draw.choice("abc") for _ in range(draw.randint(1, 3))]
    turns = [turn for word in words for turn in (("user", word), ("assistant", word * 3))]
    return [{"role": role, "content": content} for role, content in turns]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    found = {}
    for split, rows in (("train", 120), ("validation", 4), ("test", 8)):
        path = tmp_path / f"{split}.jsonl"
        draw = random.Random(split)
        path.write_text("".join(json.dumps({"messages": talk(draw)}) + "\n" for _ in range(rows)))
        found[f"{split}_file"] = str(path)
    return found


def checkpoint(folder: Path, template: str | None) -> str:
    vocabulary = {piece: number for number, piece in enumerate([*sorted(ByteLevel.alphabet()), "<|endoftext|>"])}
    tokenizer = GPT2Tokenizer(vocab=vocabulary, merges=[])
    if template:
        tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
        tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    sizes = {"vocab_size": 259, "n_layer": 1, "n_head": 2, "n_embd": 32, "n_positions": 108}
    drops = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
    GPT2LMHeadModel(GPT2Config(**sizes, **drops, bos_token_id=256, eos_token_id=256)).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("template", [None, CHATML], ids=["plain", "chatml"])
def test_from_conversations_to_replies(
    template: str | None,
    files: dict[str, str],
    tmp_path: Path,
    fresh_process: Callable[[str], str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "out"
    start = {"model_name_or_path": checkpoint(tmp_path / "base", template), "output_dir": str(folder)}
    gpt.main(build(gpt.Config, SMALL | files | start))
    lines = [json.loads(line) for line in (folder / "train_log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < losses[0] * 0.6
    results = json.loads((folder / "all_results.json").read_text())
    written = (folder / "generated_predictions.txt").read_text().splitlines()
    assert max(map(len, written)) < 12  # the end of a turn is learned
    assert len(set(written)) > 1

    # What was said before each reply.
    rows = [json.loads(line)["messages"] for line in Path(files["test_file"]).read_text().splitlines()]
    before = [row[:turn] for row in rows for turn, message in enumerate(row) if message["role"] == "assistant"]
    histories = tmp_path / "histories.jsonl"
    histories.write_text("".join(json.dumps({"id": n, "messages": row}) + "\n" for n, row in enumerate(before)))
    capsys.readouterr()
    app(["generate", str(folder), "--input-file", str(histories), "--json-lines"], standalone_mode=False)
    answered = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["prediction"] for row in answered] == written
    assert answered[3] == {"source": before[3], "id": 3, "prediction": written[3]}
    app(["evaluate", str(folder), "--json"], standalone_mode=False)
    scores = json.loads(capsys.readouterr().out)
    assert scores["bleu"] == pytest.approx(results["predict_bleu"])
    assert scores["samples"] == len(written) > len(rows)
    app(["generate", str(folder), "ab"], standalone_mode=False)
    alone = capsys.readouterr().out.strip()
    program = f"""
import json
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained({str(folder)!r})
model = AutoModelForCausalLM.from_pretrained({str(folder)!r})
rows = [json.loads(line)["messages"] for line in open({str(histories)!r})]
rows.append([{{"role": "user", "content": "ab"}}])
options = dict(add_generation_prompt=True, return_tensors="pt", return_dict=True, padding=True)
inputs = tokenizer.apply_chat_template(rows, **options)
found = model.generate(**inputs, do_sample=False)[:, inputs["input_ids"].shape[1]:]
print(*tokenizer.batch_decode(found, skip_special_tokens=True), sep="\\n")
"""
    card = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
    *answers, shown = fresh_process(f"{program}\n{card}").splitlines()
    assert answers == [*written, alone]
    assert shown.startswith("['")


def test_from_scratch(files: dict[str, str], tmp_path: Path) -> None:
    scratch = {"from_scratch": True, "tokenizer_type": "char", "output_dir": str(tmp_path / "out")}
    task = gpt.prepare(build(gpt.Config, SMALL | files | scratch | {"config_overrides": "n_layer=1"}))
    train = task.splits["train"]
    row = next(number for number in range(len(train)) if train.learned is not None and train.learned[number].any())
    lines = describe_example(task, row)
    assert lines[0].startswith("text     ")
    # A reply before the last one is learned, and its end.
    assert lines[-1].count("</s>") > 1


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        (
            [{"role": "assistant", "content": "a"}],
            "the last message is the assistant's; leave it out",
        ),
        (3, "its columns are messages"),
    ],
)
def test_generate_refuses_what_is_no_history(messages: Any, message: str, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "base", CHATML)
    (tmp_path / "bad.jsonl").write_text(json.dumps({"messages": messages}) + "\n")
    with pytest.raises(InputError, match=message):
        app(["generate", folder, "--input-file", str(tmp_path / "bad.jsonl")], standalone_mode=False)


def test_generate_refuses_numbered_turns_as_single_texts(tmp_path: Path) -> None:
    folder, turns = checkpoint(tmp_path / "base", CHATML), tmp_path / "turns.txt"
    turns.write_text("1 hi\thello\n2 a table\tok\n\n1 hi\thello\n")
    (tmp_path / "base" / "run.yaml").write_text("recipe: gpt\nobjective: dialogue\n")
    with pytest.raises(
        InputError, match=r"turns\.txt: numbered lines are the turns of dialogues, .* evaluate --test-file"
    ):
        app(["generate", folder, "--input-file", str(turns)], standalone_mode=False)


def test_a_model_without_a_template_is_refused(files: dict[str, str], tmp_path: Path) -> None:
    start = checkpoint(tmp_path / "base", None)
    with pytest.raises(InputError, match="its tokenizer has no chat template"):
        app(["generate", start, "--input-file", files["test_file"]], standalone_mode=False)
    with pytest.raises(InputError, match="--source-prefix is for pairs"):
        gpt.prepare(build(gpt.Config, SMALL | files | {"model_name_or_path": start, "source_prefix": "a "}))


def test_malformed_conversations_are_refused_rather_than_left_out(files: dict[str, str], tmp_path: Path) -> None:
    bad = [{"role": "user", "content": 3}, {"role": "assistant", "content": "x"}]
    rows = [*Path(files["train_file"]).read_text().splitlines(), json.dumps({"messages": bad})]
    path = tmp_path / "bad.jsonl"
    path.write_text("\n".join(json.dumps(json.loads(row) | {"source": "s", "target": "t"}) for row in rows) + "\n")
    changed = SMALL | files | {"from_scratch": True, "train_file": str(path)}
    with pytest.raises(InputError, match=rf"bad\.jsonl:{len(rows)}, column 'messages': .* needs cells of one kind"):
        gpt.prepare(build(gpt.Config, changed))
