"""Labels that can be drawn."""

import io
import warnings

from matplotlib import font_manager
from matplotlib.figure import Figure

from hf_seq2seq.analysis.fonts import DEFAULT, drawable


def test_labels_are_one_short_line():
    labels, families = drawable(["a  b\n\tc", "x" * 25, "y" * 24])
    assert labels == ["a b c", "x" * 12 + "…" + "x" * 11, "y" * 24]
    assert families == [DEFAULT]


def test_what_all_labels_share_is_left_out():
    labels, _ = drawable([f"http://dbpedia.org/ontology/{name}" for name in ("Company", "Artist", "Athlete")])
    assert labels == ["Company", "Artist", "Athlete"]
    labels, _ = drawable([f"__label__science/{name} (moderated group)" for name in ("med", "space")])
    assert labels == ["med", "space"]


def test_labels_that_differ_are_drawn_differently():
    names = [f"{start} of some very long name of a {end}" for start in ("first", "second") for end in ("cat", "car")]
    names += ["the same start and " + "m" * 30 + middle + "n" * 30 + " the same end" for middle in "ab"] + ["x"]
    labels, _ = drawable(names)
    assert len(set(labels)) == len(names)
    assert max(map(len, labels)) <= 24
    assert labels[0] == "first of som…me of a cat"


def test_one_class_and_a_class_that_is_the_others_beginning():
    assert drawable(["http://a.b/" + "x" * 30])[0] == ["http://a.b/x" + "…" + "x" * 11]
    assert drawable(["the very long name of a class/", "the very long name of a class/b"])[0][1].endswith("b")


def test_what_no_font_has_is_named_by_its_place():
    labels, _ = drawable(["good", "Ярость", "\u0378 unassigned", "bad"])
    assert labels == ["good", "Ярость", "class 2", "bad"]


def test_another_installed_font_is_found_for_what_the_default_lacks():
    square = "\u2317"  # STIX, which comes with matplotlib, has it; DejaVu Sans does not
    assert ord(square) not in font_manager.get_font(font_manager.findfont(DEFAULT)).get_charmap()
    labels, families = drawable(["plain", square])
    assert labels == ["plain", square]
    assert families[0] == DEFAULT
    assert len(families) == 2
    figure = Figure()
    figure.text(0, 0, labels[1], family=families)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a missing glyph is a warning
        figure.savefig(io.BytesIO())
