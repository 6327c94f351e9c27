"""What a search knows of its rows before it trains."""

import json

import pytest

from hf_seq2seq.tuning.preparing import look


@pytest.mark.parametrize(("recipe", "given"), [("rnn", {}), ("gpt", {"from_scratch": True, "max_target_length": 16})])
def test_a_reply_is_scored_with_the_messages_before_it(recipe, given, tmp_path) -> None:
    said = ["hello", "hi, what then?", "a table", "here it is"]
    roles = ["user", "assistant"] * 2
    messages = [{"role": role, "content": text} for role, text in zip(roles, said, strict=True)]
    path = tmp_path / "rows.jsonl"
    path.write_text((json.dumps({"messages": messages}) + "\n") * 3)
    files = {"train_file": str(path), "validation_file": str(path), "output_dir": str(tmp_path / "out")}
    found = look(recipe, given, files | {"objective": "dialogue", "metrics": "bleu", "metric_for_best_model": "bleu"})
    assert found.validation is not None
    (rows,) = found.validation.sets
    assert rows.sources == [messages[:1], messages[:3]] * 3
    assert rows.references == [[said[1]], [said[3]]] * 3
