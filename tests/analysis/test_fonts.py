"""Labels that can be drawn."""

import io
import warnings

from matplotlib import font_manager
from matplotlib.figure import Figure

from hf_seq2seq.analysis.fonts import DEFAULT, drawable


def test_labels_are_one_short_line():
    labels, families = drawable(["a  b\n\tc", "x" * 25, "y" * 24])
    assert labels == ["a b c", "x" * 23 + "…", "y" * 24]
    assert families == [DEFAULT]


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
