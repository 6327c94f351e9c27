"""Conversations for encoder-decoders, from rows to replies: training, commands, a process with transformers alone."""

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hf_seq2seq.api.recipe_files import load
from hf_seq2seq.cli.root import app
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import both_sides, build

SMALL: dict[str, Any] = {
    "objective": "dialogue", "tokenizer_type": "char", "max_steps": 40, "max_tokens_per_batch": 1200,
    "max_source_length": 48, "max_target_length": 8, "learning_rate": 3e-3, "logging_steps": 10, "eval_steps": 20,
    "metrics": "exact_match,bleu",
}  # fmt: skip
START: dict[str, dict[str, Any]] = {
    "t5": {"from_scratch": True, "config_overrides": "d_model=32,num_layers=1,d_ff=32"},
    "bart": {},  # from a checkpoint
    "rnn": {"hidden_size": 32, "embedding_size": 16, "separate_vocabularies": True},
}


def talk(draw: random.Random) -> list[dict[str, str]]:
    """The assistant says each word backwards; the first words of long talks are beyond the limit."""
    words = ["".join(draw.choices("ab", k=2)) for _ in range(draw.randint(1, 4))]
    turns = [turn for word in words for turn in (("user", word), ("assistant", word[::-1]))]
    return [{"role": role, "content": content} for role, content in turns]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    found = {}
    for split, rows in (("train", 100), ("validation", 6), ("test", 6)):
        path = tmp_path / f"{split}.jsonl"
        draw = random.Random(split)
        path.write_text("".join(json.dumps({"messages": talk(draw)}) + "\n" for _ in range(rows)))
        found[f"{split}_file"] = str(path)
    return found


def histories(file: str) -> list[list[dict[str, str]]]:
    """What stands before each reply."""
    rows = [json.loads(line)["messages"] for line in Path(file).read_text().splitlines()]
    return [row[:end] for row in rows for end in range(1, len(row), 2)]


@pytest.mark.parametrize("recipe", START)
def test_from_conversations_to_replies(
    recipe: str,
    files: dict[str, str],
    tmp_path: Path,
    tiny_checkpoint: Callable[[str, list[str]], str],
    fresh_process: Callable[[str], str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, module = tmp_path / "out", load(recipe)
    start = START[recipe] or {"model_name_or_path": tiny_checkpoint(recipe, ["user: assistant: ab"])}
    values = SMALL | files | start | {"output_dir": str(folder), "max_train_samples": 80}
    if "model_name_or_path" in start:
        del values["tokenizer_type"]
    module.main(build(module.Config, values))
    lines = [json.loads(line) for line in (folder / "train_log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < losses[0] * 0.8
    results = json.loads((folder / "all_results.json").read_text())
    asked = histories(files["test_file"])
    assert results["predict_samples"] == len(asked)
    rows = [json.loads(line)["messages"] for line in Path(files["train_file"]).read_text().splitlines()]
    assert results["train_samples"] == sum(len(row) // 2 for row in rows[:80])
    written = (folder / "generated_predictions.txt").read_text().splitlines()
    path = tmp_path / "histories.jsonl"
    path.write_text("".join(json.dumps({"id": n, "messages": row}) + "\n" for n, row in enumerate(asked)))
    capsys.readouterr()
    app(["generate", str(folder), "--input-file", str(path), "--json-lines"], standalone_mode=False)
    said = capsys.readouterr()
    answered = [json.loads(line) for line in said.out.splitlines()]
    assert [row["prediction"] for row in answered] == written
    assert answered[1]["source"] == asked[1]
    assert "texts were truncated to 48 tokens" in said.err
    app(["evaluate", str(folder), "--metrics", "bleu,perplexity", "--json"], standalone_mode=False)
    scores = json.loads(capsys.readouterr().out)
    assert (scores["bleu"], scores["samples"]) == (pytest.approx(results["predict_bleu"]), len(asked))
    assert scores["perplexity"] == pytest.approx(math.exp(results["predict_loss"]), rel=1e-4)
    if recipe == "rnn":
        return
    short = [number for number, row in enumerate(asked) if len(row) < 3]
    program = f"""
import json
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained({str(folder)!r})
model = AutoModelForSeq2SeqLM.from_pretrained({str(folder)!r})
rows = [json.loads(line)["messages"] for line in open({str(path)!r})]
rows = [rows[number] for number in {short}]
options = dict(add_generation_prompt=True, return_tensors="pt", return_dict=True, padding=True)
inputs = tokenizer.apply_chat_template(rows, **options)
found = model.generate(inputs.input_ids, attention_mask=inputs.attention_mask, do_sample=False)
print(*tokenizer.batch_decode(found, skip_special_tokens=True), sep="\\n")
"""
    card = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
    *found, of_card = fresh_process(program + card).splitlines()
    assert found == [written[number] for number in short]
    assert of_card.startswith("['")


def test_texts_of_one_turn(files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, t5 = str(tmp_path / "out"), load("t5")
    values = SMALL | START["t5"] | {"train_file": files["train_file"], "output_dir": folder, "max_steps": 1}
    t5.main(build(t5.Config, values))
    (tmp_path / "texts.txt").write_text("ab\n\nba\n")
    (tmp_path / "turns.jsonl").write_text(
        "".join(json.dumps({"messages": [{"role": "user", "content": text}]}) + "\n" for text in ("ab", "ba"))
    )
    capsys.readouterr()
    found = []
    for name in ("texts.txt", "turns.jsonl"):
        app(["generate", folder, "--input-file", str(tmp_path / name), "--min-new-tokens", "3"], standalone_mode=False)
        found.append(capsys.readouterr().out.splitlines())
    assert found[0] == [found[1][0], "", found[1][1]]


@pytest.mark.parametrize(
    ("recipe", "changes", "message"),
    [
        ("t5", {"source_prefix": "reply: "}, "--source-prefix is for pairs"),
        ("bart", {"objective": "dialogue,token_masking"}, "'dialogue' cannot be combined with others"),
        ("pegasus", {"objective": "dialoge"}, "'dialoge' is not one of pegasus; did you mean 'dialogue'"),
        ("rnn", {"pointer_generator": True, "copy_vocab_size": 3, "tokenizer_type": "word"}, "--copy-vocab-size"),
        ("transformer", {"objective": "dialog"}, "--objective: unknown value 'dialog'; did you mean 'dialogue'"),
    ],
)
def test_what_goes_with_no_conversation_is_refused(
    recipe: str, changes: dict[str, Any], message: str, files: dict[str, str], tmp_path: Path
) -> None:
    module = load(recipe)
    scratch = {} if recipe in ("rnn", "transformer") else {"from_scratch": True}
    with pytest.raises(InputError, match=message):
        module.prepare(build(module.Config, SMALL | files | scratch | {"output_dir": str(tmp_path)} | changes))


def test_a_multilingual_checkpoint_replies(files: dict[str, str], tmp_path: Path) -> None:
    """Its language codes stand where they stand in a text."""
    from transformers import MBartConfig, MBartForConditionalGeneration, MBartTokenizer

    tokenizer = MBartTokenizer(vocab=[(piece, -2.0) for piece in ("<s>", "<pad>", "</s>", "<unk>", "▁", *"abc:")])
    config = MBartConfig(
        vocab_size=len(tokenizer), d_model=8, **both_sides(layers=1, attention_heads=2, ffn_dim=8)
    )  # fmt: skip
    MBartForConditionalGeneration(config).save_pretrained(tmp_path / "mbart")
    tokenizer.save_pretrained(tmp_path / "mbart")
    bart = load("bart")
    values = SMALL | files | {"model_name_or_path": str(tmp_path / "mbart"), "source_lang": "en", "target_lang": "de"}
    del values["tokenizer_type"]
    task = bart.prepare(build(bart.Config, values))
    ids = task.splits["train"].source[0].tolist()
    assert task.tokenizers.source.convert_ids_to_tokens(ids)[-2:] == ["</s>", "en_XX"]
