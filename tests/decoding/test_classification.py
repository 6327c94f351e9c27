"""Classification: independent of the batch, pairs, cuts, and scores that mean what they say."""

from typing import Any

import numpy as np
import pytest
import torch

from hf_seq2seq.configs import NewTokenizer
from hf_seq2seq.data.tokenizers.special_tokens import BERT
from hf_seq2seq.data.tokenizers.vocabulary import train_tokenizers
from hf_seq2seq.decoding.classification import TextClassifier, probabilities


def make_classifier(texts: list[str], batch_size: int = 4, **options: Any) -> TextClassifier:
    from transformers import BertConfig, BertForSequenceClassification

    options = {"id2label": {0: "no", 1: "maybe", 2: "yes"}} | options
    limit = options.pop("limit", None)
    tokenizer = train_tokenizers(texts, [], NewTokenizer(tokenizer_type="word"), specials=BERT).source
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 32}
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(tokenizer), initializer_range=0.3, **shape, **options)
    return TextClassifier(BertForSequenceClassification(config).eval(), tokenizer, batch_size, limit)


def test_a_text_is_classified_alone_as_in_company(texts: list[str]) -> None:
    classifier = make_classifier(texts)
    together = classifier.logits(texts)
    alone = np.concatenate([classifier.logits([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert len(set(together.argmax(axis=1))) > 1
    assert together.std(axis=0).min() > 0.1


def test_the_second_text_of_a_pair_counts(texts: list[str]) -> None:
    classifier = make_classifier(texts)
    pairs = classifier.logits(texts[:4], texts[4:8])
    np.testing.assert_allclose(pairs[1:2], classifier.logits([texts[1]], [texts[5]]), atol=1e-5)
    assert not np.allclose(pairs, classifier.logits(texts[:4], texts[8:12]), atol=1e-2)
    assert not np.allclose(pairs, classifier.logits([f"{a} {b}" for a, b in zip(texts[:4], texts[4:8], strict=True)]))


def test_cut_texts_are_counted(texts: list[str]) -> None:
    classifier = make_classifier(texts, limit=4)
    assert classifier.read(["a small dog", "dog"])[1].truncated == 1
    assert classifier.read(["a small dog", "dog cat"])[1].truncated == 1


def test_dropout_is_off_and_the_mode_restored(texts: list[str]) -> None:
    classifier = make_classifier(texts, classifier_dropout=0.9)
    classifier.model.train()
    np.testing.assert_array_equal(classifier.logits(texts), classifier.logits(texts))
    assert classifier.model.training


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "single_label"),
        ({"problem_type": "single_label_classification"}, "single_label"),
        ({"problem_type": "multi_label_classification"}, "multi_label"),
        ({"problem_type": "regression", "id2label": {0: "LABEL_0"}}, "regression"),
        ({"id2label": {0: "LABEL_0"}}, "regression"),
    ],
)
def test_the_problem_is_what_the_model_says(options: dict[str, Any], problem: str, texts: list[str]) -> None:
    classifier = make_classifier(texts, **options)
    assert classifier.problem == problem
    assert len(classifier.label_names) == classifier.logits(texts[:2]).shape[1]


def test_label_names_are_in_the_order_of_their_ids(texts: list[str]) -> None:
    assert make_classifier(texts, id2label={2: "c", 0: "a", 1: "b"}).label_names == ("a", "b", "c")


def test_probabilities() -> None:
    logits = np.array([[0.0, np.log(3.0)], [1000.0, 0.0]])
    np.testing.assert_allclose(probabilities(logits, "single_label"), [[0.25, 0.75], [1, 0]])
    np.testing.assert_allclose(probabilities(logits[:1], "multi_label"), [[0.5, 0.75]])
    np.testing.assert_array_equal(probabilities(logits, "regression"), logits)
