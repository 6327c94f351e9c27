"""Labels that can be drawn."""

from matplotlib import font_manager

from hf_seq2seq.analysis.fonts import DEFAULT, drawable


def test_labels_are_one_short_line():
    labels, families = drawable(["a  b\n\tc", "x" * 25, "y" * 24])
    assert labels == ["a b c", "x" * 23 + "…", "y" * 24]
    assert families == [DEFAULT]


def test_what_no_font_has_is_named_by_its_place():
    labels, _ = drawable(["good", "Ярость", "\U000f0000 private", "bad"])
    assert labels == ["good", "Ярость", "class 2", "bad"]


def test_another_installed_font_is_found_for_what_the_default_lacks():
    default = set(font_manager.get_font(font_manager.findfont(DEFAULT)).get_charmap())
    # STIX comes with matplotlib too, and has characters that DejaVu Sans lacks.
    stix = set(font_manager.get_font(font_manager.findfont("STIXGeneral")).get_charmap())
    character = chr(min(code for code in stix - default if code > 0x2000))
    labels, families = drawable(["plain", character])
    assert labels == ["plain", character]
    assert families[0] == DEFAULT
    assert len(families) == 2
