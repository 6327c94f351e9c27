"""Exact match and edit distance on worked examples."""

from hf_seq2seq.metrics.matching import edit_accuracy, exact_match, levenshtein


def test_any_reference_counts_and_outer_white_space_does_not():
    right = [("colour", ["color", " colour"]), (" walked\n", ["walked"]), ("", [""])]
    wrong = [("Ran", ["ran"]), ("a  b", ["a b"]), ("", ["x"]), ("colour", ["colours", "color"])]
    for rows, share in ((right, 100.0), (wrong, 0.0), (right + wrong[:1], 75.0)):
        assert exact_match([p for p, _ in rows], [accepted for _, accepted in rows]) == {"exact_match": share}


def test_edit_distance_in_characters_to_the_nearest_reference():
    rows = [("ginge", ["ging", "gegangen"]), ("gehte ", ["ging"]), ("lief", ["lief"]), ("", ["sang"])]
    predictions, references = [said for said, _ in rows], [accepted for _, accepted in rows]
    assert levenshtein(predictions, references) == {"levenshtein": (1 + 4 + 0 + 4) / 4}
    assert edit_accuracy(predictions, references) == {"edit_accuracy": 100 * (4 / 5 + 1 / 5 + 1 + 0) / 4}
    assert edit_accuracy([""], [[""]]) == {"edit_accuracy": 100}
