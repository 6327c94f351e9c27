"""A saved model must load where this package is not installed."""

import json
import subprocess
import sys
import textwrap

import torch

SCRIPT = """
    import sys

    sys.modules["hf_seq2seq"] = None  # any import of it fails, wherever it is installed
    import torch
    from transformers import AutoModel, AutoModelForSeq2SeqLM

    folder = sys.argv[1]
    model = AutoModelForSeq2SeqLM.from_pretrained(folder, trust_remote_code=True)
    ids = torch.tensor([[4, 5, 6], [7, 8, 0]])
    print(model.generate(input_ids=ids, attention_mask=(ids != 0).long(), num_beams=3, max_new_tokens=6).tolist())
    model.save_pretrained(folder + "/again")
    again = AutoModelForSeq2SeqLM.from_pretrained(folder + "/again", trust_remote_code=True)
    assert torch.equal(again.lm_head.weight, model.lm_head.weight)
"""


def test_loads_and_generates_without_this_package(tmp_path, build):
    model = build(input_feeding=True, attention="additive", eos_token_id=1)
    model.save_pretrained(tmp_path / "model")
    ids = torch.tensor([[4, 5, 6], [7, 8, 0]])
    expected = model.generate(input_ids=ids, attention_mask=(ids != 0).long(), num_beams=3, max_new_tokens=6)
    ended = subprocess.run(
        [sys.executable, "-I", "-c", textwrap.dedent(SCRIPT), str(tmp_path / "model")],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == expected.tolist()
