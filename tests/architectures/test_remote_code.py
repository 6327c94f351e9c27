"""A saved model must load where this package is not installed."""

import json
import textwrap

import pytest
import torch

from hf_seq2seq.architectures.configuration_transformer import TransformerDecoderConfig, TransformerEncoderConfig
from hf_seq2seq.architectures.modeling_transformer_decoder import TransformerForCausalLM
from hf_seq2seq.architectures.modeling_transformer_encoder import (
    TransformerForMaskedLM,
    TransformerForSequenceClassification,
)

SMALL = {"vocab_size": 13, "d_model": 16, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 24}
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


@pytest.fixture
def isolated(transformers_processes, tmp_path):
    """Runs a script in a new process that has nothing of this package; gives what it prints."""

    def run(script, *arguments):
        ended = transformers_processes.run(*arguments, program=textwrap.dedent(script), cwd=tmp_path)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    return run


def test_loads_and_generates_without_this_package(tmp_path, build, isolated):
    model = build(input_feeding=True, attention="additive", eos_token_id=1)
    model.save_pretrained(tmp_path / "model")
    ids = torch.tensor([[4, 5, 6], [7, 8, 0]])
    expected = model.generate(input_ids=ids, attention_mask=(ids != 0).long(), num_beams=3, max_new_tokens=6)
    assert json.loads(isolated(SCRIPT, "model")) == expected.tolist()


ALONE = """
    import json
    import sys

    sys.modules["hf_seq2seq"] = None
    import torch
    import transformers

    ids, found = torch.tensor([[4, 5, 6]]), {}
    for auto in sys.argv[1:]:
        model = getattr(transformers, auto).from_pretrained(auto, trust_remote_code=True)
        found[auto] = model(input_ids=ids)[0].tolist()
    print(json.dumps(found))
"""


def test_transformers_load_without_this_package(tmp_path, build_transformer, isolated):
    model = build_transformer(position_embedding_type="relative_bias", eos_token_id=1)
    model.save_pretrained(tmp_path / "model")
    ids = torch.tensor([[4, 5, 6], [7, 8, 0]])
    expected = model.generate(input_ids=ids, attention_mask=(ids != 0).long(), num_beams=3, max_new_tokens=6)
    assert json.loads(isolated(SCRIPT, "model")) == expected.tolist()


def test_one_stack_loads_without_this_package(tmp_path, isolated):
    encoder, decoder = TransformerEncoderConfig(**SMALL), TransformerDecoderConfig(**SMALL)
    models = {
        "AutoModelForMaskedLM": TransformerForMaskedLM(encoder),
        "AutoModelForSequenceClassification": TransformerForSequenceClassification(encoder),
        "AutoModelForCausalLM": TransformerForCausalLM(decoder),
    }
    for auto, model in models.items():
        model.eval().save_pretrained(tmp_path / auto)
    found = json.loads(isolated(ALONE, *models))
    for auto, model in models.items():
        torch.testing.assert_close(torch.tensor(found[auto]), model(input_ids=torch.tensor([[4, 5, 6]]))[0])
