"""COMET and CometKiwi on tiny checkpoints of the published form, against a plain computation in float64."""

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from hf_seq2seq.decoding.minimum_bayes_risk import choose_output
from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics import TEXT_METRICS, check_metrics
from hf_seq2seq.metrics.comet_model import sparsemax
from hf_seq2seq.metrics.metric import with_sources

PREDICTIONS = ["a dog runs", "two men", "the dog runs through the snow"]
SOURCES = ["ein hund rennt", "zwei frauen und ein mann", "der hund"]
REFERENCES = [["the dog runs", "a dog"], ["two women and a man"], ["the dog"]]
ROWS = with_sources(REFERENCES, SOURCES)


@pytest.fixture
def checkpoint(comet_checkpoint):
    """Makes a folder as published, of random weights, and names it."""
    return comet_checkpoint


class Plain:
    """The published computation, a text at a time, in float64, from the names of the weights."""

    def __init__(self, folder):
        from transformers import AutoTokenizer, XLMRobertaConfig, XLMRobertaModel

        self.settings = yaml.safe_load((folder / "hparams.yaml").read_text())
        self.weights = {name: part.double() for name, part in load_file(folder / "model.safetensors").items()}
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.encoder = (
            XLMRobertaModel(XLMRobertaConfig.from_pretrained(folder), add_pooling_layer=False).double().eval()
        )
        start = "encoder.model."
        own = {name.removeprefix(start): part for name, part in self.weights.items() if name.startswith(start)}
        self.encoder.load_state_dict(own)

    def mix(self, ids):
        with torch.no_grad():
            layers = self.encoder(torch.tensor([ids]), output_hidden_states=True).hidden_states
        scores = [self.weights[f"layerwise_attention.scalar_parameters.{n}"].item() for n in range(3)]
        if self.settings.get("layer_transformation") == "sparsemax":
            weights = projected(scores)
        else:
            weights = torch.tensor(scores, dtype=torch.float64).exp()
            weights = (weights / weights.sum()).tolist()
        if self.settings["layer_norm"]:
            layers = [(layer - layer.mean()) / (layer.var(unbiased=False) + 1e-12).sqrt() for layer in layers]
        gamma = self.weights["layerwise_attention.gamma"].item()
        return gamma * sum(weight * layer[0] for weight, layer in zip(weights, layers, strict=True))

    def vector(self, text):
        return self.mix(self.tokenizer(text)["input_ids"]).mean(0)

    def estimate(self, features):
        for layer in (0, 3):
            linear = (
                self.weights[f"estimator.ff.{layer}.weight"] @ features + self.weights[f"estimator.ff.{layer}.bias"]
            )
            features = linear.tanh()
        return 100 * (self.weights["estimator.ff.6.weight"] @ features + self.weights["estimator.ff.6.bias"]).item()

    def compare(self, output, source, reference=None):
        mt, src = self.vector(output), self.vector(source)
        if reference is None:
            return self.estimate(torch.cat([mt, src, mt * src, (mt - src).abs()]))
        ref = self.vector(reference)
        return self.estimate(torch.cat([mt, ref, mt * ref, (mt - ref).abs(), mt * src, (mt - src).abs()]))

    def joined(self, *texts):
        first, *others = (self.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts)
        ids = [0, *first] + [token for other in others for token in (2, 2, *other)] + [2]
        return self.estimate(self.mix(ids)[0])


def projected(scores):
    """The nearest point of the simplex, by bisection of the threshold."""
    low, high = min(scores) - 1, max(scores)
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(max(score - middle, 0) for score in scores) > 1 else (low, middle)
    return [max(score - high, 0) for score in scores]


def scores_of(name, predictions=PREDICTIONS, rows=ROWS):
    return [row[0] for row in check_metrics((name,), TEXT_METRICS)[name].statistics(predictions, rows)]


@pytest.mark.parametrize("settings", [{}, {"layer_norm": True}, {"layer_transformation": "sparsemax"}])
def test_comet_equals_the_published_formula(checkpoint, settings):
    folder = checkpoint("regression_metric", **settings)
    plain = Plain(folder)
    wanted = [
        max(plain.compare(text, source, reference) for reference in row)
        for text, source, row in zip(PREDICTIONS, SOURCES, REFERENCES, strict=True)
    ]
    assert scores_of(f"comet:{folder}") == pytest.approx(wanted, abs=2e-3)
    assert max(wanted) - min(wanted) > 1


def test_reference_free_regression_equals_the_published_formula(checkpoint):
    folder = checkpoint("referenceless_regression_metric")
    plain = Plain(folder)
    wanted = [plain.compare(text, source) for text, source in zip(PREDICTIONS, SOURCES, strict=True)]
    assert scores_of(f"cometkiwi:{folder}") == pytest.approx(wanted, abs=2e-3)


def test_cometkiwi_reads_output_and_source_as_one_sequence(checkpoint):
    folder = checkpoint(
        "unified_metric", input_segments=["mt", "src"], sent_layer="mix", layer_transformation="sparsemax"
    )
    plain = Plain(folder)
    wanted = [plain.joined(text, source) for text, source in zip(PREDICTIONS, SOURCES, strict=True)]
    assert scores_of(f"cometkiwi:{folder}") == pytest.approx(wanted, abs=2e-3)
    without = with_sources([[]] * 3, SOURCES)
    assert scores_of(f"cometkiwi:{folder}", rows=without) == pytest.approx(wanted, abs=2e-3)


def test_a_unified_model_with_references_takes_the_mean_of_three_views(checkpoint):
    folder = checkpoint("unified_metric", input_segments=["mt", "src", "ref"])
    plain, (text, source, reference) = Plain(folder), (PREDICTIONS[1], SOURCES[1], REFERENCES[1][0])
    views = [(text, source), (text, reference), (text, source, reference)]
    wanted = sum(plain.joined(*view) for view in views) / 3
    assert scores_of(f"comet:{folder}", [text], ROWS[1:2]) == pytest.approx([wanted], abs=2e-3)


def test_sparsemax_leaves_out_what_is_far_below():
    scores = [0.9, 0.7, -1.0]
    assert sparsemax(torch.tensor(scores)).tolist() == pytest.approx(projected(scores), abs=1e-6)
    assert sparsemax(torch.tensor(scores)).tolist() == pytest.approx([0.6, 0.4, 0.0])


def test_the_signature_names_model_and_licence(checkpoint):
    folder = checkpoint("regression_metric")
    signature = check_metrics((f"comet:{folder}",), TEXT_METRICS)[f"comet:{folder}"].signature(ROWS)
    assert signature.endswith("|class:regression_metric|scale:100|licence:cc-by-nc-sa-4.0")


def test_counts_rows_that_are_too_long_to_be_read(checkpoint):
    folder = checkpoint("regression_metric")
    metric = check_metrics((f"comet:{folder}",), TEXT_METRICS)[f"comet:{folder}"]
    texts = ["a" * 73, "a" * 74, "a dog"]
    assert metric.doubts(texts, ROWS) == 1
    assert len(metric.statistics(texts, ROWS)) == 3


def test_says_what_is_wrong(checkpoint, tmp_path):
    folder = checkpoint("regression_metric")
    with pytest.raises(InputError, match="reads the sources; with files, add --sources FILE"):
        scores_of(f"comet:{folder}", rows=REFERENCES)
    with pytest.raises(InputError, match=f"compares with references; write comet:{folder}"):
        scores_of(f"cometkiwi:{folder}")
    with pytest.raises(InputError, match=r"there is no folder '\./none'"):
        scores_of("comet:./none")
    with pytest.raises(InputError, match="there is no folder"):
        scores_of("comet:nothing")
    other = tmp_path / "pickled"
    other.mkdir()
    (other / "hparams.yaml").write_text("class_identifier: regression_metric\n")
    with pytest.raises(InputError, match=r"has no model\.safetensors; .* weights_only=True"):
        scores_of(f"comet:{other}")
    (other / "model.safetensors").write_bytes(b"")
    (other / "hparams.yaml").write_text("class_identifier: xcomet_metric\n")
    with pytest.raises(InputError, match="class_identifier: 'xcomet_metric'; supported are regression_metric"):
        scores_of(f"comet:{other}")


def test_says_which_weights_do_not_fit(checkpoint):
    folder = checkpoint("regression_metric")
    weights = load_file(folder / "model.safetensors")
    del weights["estimator.ff.0.bias"]
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(InputError, match=r"lacks estimator\.ff\.0\.bias"):
        scores_of(f"comet:{folder}")


def test_a_pickle_converts_as_the_error_says(checkpoint, tmp_path, monkeypatch):
    folder = checkpoint("regression_metric")
    before = scores_of(f"comet:{folder}")
    moved = checkpoint("regression_metric")
    weights = load_file(folder / "model.safetensors")
    (moved / "model.safetensors").unlink()
    torch.save({"state_dict": weights, "hyper_parameters": {"layer": "mix"}}, moved / "model.ckpt")
    with pytest.raises(InputError) as raised:
        scores_of(f"comet:{moved}")
    monkeypatch.chdir(moved)
    import safetensors.torch  # noqa: F401

    exec("import safetensors.torch, torch\n" + str(raised.value).partition("Python: ")[2])
    assert scores_of(f"comet:{moved}") == before


def test_minimum_bayes_risk_reads_the_source(checkpoint):
    folder = checkpoint("regression_metric")
    plain, texts = Plain(folder), [*PREDICTIONS, PREDICTIONS[0]]
    gains = [sum(plain.compare(text, SOURCES[0], other) for other in texts) for text in texts]
    assert choose_output(texts, SOURCES[0], f"comet:{folder}") == gains.index(max(gains))


def test_the_best_output_is_chosen_without_references(checkpoint):
    folder = checkpoint("unified_metric", input_segments=["mt", "src"])
    plain = Plain(folder)
    for source in SOURCES:
        values = [plain.joined(text, source) for text in PREDICTIONS]
        assert choose_output(PREDICTIONS, source, f"cometkiwi:{folder}") == values.index(max(values))
