"""Exact match on worked examples."""

from hf_seq2seq.metrics.matching import exact_match


def test_any_reference_counts_and_outer_white_space_does_not():
    right = [("colour", ["color", " colour"]), (" walked\n", ["walked"]), ("", [""])]
    wrong = [("Ran", ["ran"]), ("a  b", ["a b"]), ("", ["x"]), ("colour", ["colours", "color"])]
    for rows, share in ((right, 100.0), (wrong, 0.0), (right + wrong[:1], 75.0)):
        assert exact_match([p for p, _ in rows], [accepted for _, accepted in rows]) == {"exact_match": share}
