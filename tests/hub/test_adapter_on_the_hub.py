"""An adapter on the Hub, as PEFT publishes it: with neither a tokenizer nor its base's configuration."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from hf_seq2seq.saved.adapters import merge_adapter

PROGRAM = """
from hf_seq2seq.cli.root import app
app(["generate", "me/adapter", "abc", "--max-new-tokens", "6"], standalone_mode=False)
app(["evaluate", "me/adapter", "--test-file", "rows.tsv", "--metrics", "chrf"], standalone_mode=False)
app(["train", "seq2seq", "--model-name-or-path", "me/adapter", "--train-file", "rows.tsv", "--max-steps", "1",
     "--learning-rate", "1e-12", "--output-dir", "run"], standalone_mode=False)
"""


@pytest.fixture
def expected(tiny_checkpoint: Callable[[str, list[str]], str], loopback_hub: Any, tmp_path: Path) -> str:
    """Publishes a base and its adapter; what they make of a text together."""
    base = Path(tiny_checkpoint("t5", ["abc", "cba"]))
    model, tokenizer = AutoModelForSeq2SeqLM.from_pretrained(base), AutoTokenizer.from_pretrained(base)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8 if parameter.ndim > 1 else 1)
    model.save_pretrained(base)
    loopback_hub.add("model", "me/base", {path.name: path.read_bytes() for path in base.iterdir()})
    inputs = tokenizer("abc", return_tensors="pt")
    plain = tokenizer.decode(model.generate(**inputs, max_new_tokens=6)[0], skip_special_tokens=True)
    model.add_adapter(LoraConfig(r=2, target_modules=["q", "v", "wo"], task_type="SEQ_2_SEQ_LM"))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_()
    model.save_pretrained(tmp_path / "adapter")
    files = {path.name: path.read_bytes() for path in (tmp_path / "adapter").glob("adapter*")}
    files["adapter_config.json"] = files["adapter_config.json"].replace(str(base).encode(), b"me/base")
    loopback_hub.add("model", "me/adapter", files)
    found = tokenizer.decode(model.generate(**inputs, max_new_tokens=6)[0], skip_special_tokens=True)
    assert found != plain
    merge_adapter(model)
    model.save_pretrained(tmp_path / "merged")
    return str(found)


def test_it_is_read_evaluated_and_trained_on(hub_command: Any, expected: str, tmp_path: Path) -> None:
    (tmp_path / "rows.tsv").write_text("source\ttarget\nabc\tcba\nab\tba\n")
    said = hub_command(program=PROGRAM)
    assert said.code == 0, said.err
    assert said.out.splitlines()[0] == expected
    assert "chrf" in said.out
    merged, run = (AutoModelForSeq2SeqLM.from_pretrained(tmp_path / name) for name in ("merged", "run"))
    for name, weight in merged.state_dict().items():
        torch.testing.assert_close(run.state_dict()[name], weight)
    assert not (tmp_path / "run" / "adapter_config.json").exists()
