"""The readers on files as well-known data sets have them; `tests/samples` holds one of each form."""

from pathlib import Path

import pytest

from hf_seq2seq.configs import LabelledData, PairData
from hf_seq2seq.data.labels import read_labelled
from hf_seq2seq.data.pairs import Pairs, read_pairs
from hf_seq2seq.data.sources import load_splits
from hf_seq2seq.errors import InputError

SAMPLES = Path(__file__).parent.parent / "samples"


def pairs(**options: object) -> dict[str, Pairs]:
    data = PairData(**options)
    return read_pairs(load_splits(data), data)


def test_parallel_translations() -> None:
    read = pairs(train_file=f"{SAMPLES}/captions", source_lang="de", target_lang="en")
    assert len(read["train"]) == 6
    assert read["train"].columns == ("de", "en")
    assert read["train"].targets[0] == "A group of men loads cotton onto a truck"
    named = pairs(train_file=f"{SAMPLES}/captions.de.gz,{SAMPLES}/captions.en.gz")
    assert named["train"] == read["train"]


def test_pronunciations_without_a_header() -> None:
    read = pairs(train_file=f"{SAMPLES}/g2p.tsv", source_column="1", target_column="2")["train"]
    assert len(read) == 6
    assert (read.sources[0], read.targets[0]) == ("ardente", "a r d ɛ n t e")


def test_inflections_in_files_without_an_ending() -> None:
    read = pairs(train_file=f"{SAMPLES}/inflection-high", source_column="1", target_column="2")["train"]
    assert list(read.targets) == ["sah", "ging", "Häuser", "Bäumen"]


def test_summaries_with_several_references() -> None:
    files = {f"{split}_file": f"{SAMPLES}/summaries.jsonl.gz" for split in ("train", "test")}
    read = pairs(**files, source_column="title")
    assert read["train"].columns == ("title", "target")
    assert list(map(len, read["test"].references)) == [2, 1]
    sentences = pairs(**files)["test"]
    assert sentences.columns == ("source", "target")
    assert sentences.sources[0] == "We study short names. They are read faster."


def test_messages_with_stray_quotation_marks_and_repeats() -> None:
    data = LabelledData(train_file=f"{SAMPLES}/messages.tsv", deduplicate=True)
    splits, names = read_labelled(load_splits(data), data, "single_label")
    assert names == ("ham", "spam")
    assert len(splits["train"]) == 5
    assert splits["train"].columns == {"text": "SMS", "label": "Label"}


def test_texts_and_labels_in_two_files() -> None:
    data = LabelledData(train_file=f"{SAMPLES}/tweets_text.txt,{SAMPLES}/tweets_labels.txt")
    splits, names = read_labelled(load_splits(data), data, "single_label")
    assert names == ("0", "1", "2")
    assert splits["train"].labels.tolist() == [2, 1, 0, 2]


def test_a_file_that_is_not_utf_8() -> None:
    path = f"{SAMPLES}/questions.latin-1.txt"
    with pytest.raises(InputError, match=r"questions\.latin-1\.txt:3: byte 40 of the line, 0xE3"):
        load_splits(LabelledData(train_file=path))
    assert len(load_splits(LabelledData(train_file=path, encoding="latin-1"))["train"]) == 4
