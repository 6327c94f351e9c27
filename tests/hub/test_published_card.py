"""What the author of a card adds to it, read back by huggingface_hub."""

from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from hf_seq2seq.hub.published_card import sign_card

CARD = "---\nlicense: mit\nlanguage:\n- de\ntags:\n- translation\n---\n\n# Mine\n"


@pytest.mark.parametrize(
    ("license", "languages", "expected"),
    [
        ("mit", ("en", "fr"), ("mit", ["en", "fr"])),
        ("apache-2.0", ("de",), ("apache-2.0", ["de"])),
        ("apache-2.0", (), ("apache-2.0", ["de"])),
        (None, ("en",), ("mit", ["en"])),
        ("mit", ("de",), ("mit", ["de"])),
    ],
)
def test_license_and_languages_are_both_written(
    tmp_path: Path, license: str | None, languages: tuple[str, ...], expected: tuple[str, list[str]]
) -> None:
    path = tmp_path / "README.md"
    path.write_text(CARD)
    sign_card(path, license, languages)
    data = ModelCard.load(path).data
    assert (data.license, data.language) == expected
    assert data.tags == ["translation"]
    if expected == ("mit", ["de"]):
        assert path.read_text() == CARD  # nothing new, nothing written
