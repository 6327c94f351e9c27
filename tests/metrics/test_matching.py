"""Exact match on worked examples."""

from hf_seq2seq.metrics.matching import exact_match


def test_any_reference_counts_and_outer_white_space_does_not():
    predictions = ["colour", " walked\n", "Ran", "a  b", ""]
    references = [["color", "colour"], ["walked"], ["ran"], ["a b"], ["x"]]
    assert exact_match(predictions, references) == {"exact_match": 40.0}
