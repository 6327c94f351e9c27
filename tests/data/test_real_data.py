"""The readers on real data sets; skipped where these are not at hand."""

import pytest

from hf_seq2seq.configs import LabelledData, PairData
from hf_seq2seq.data.labels import read_labelled
from hf_seq2seq.data.pairs import Pairs, read_pairs
from hf_seq2seq.data.sources import load_splits
from hf_seq2seq.errors import InputError


def pairs(**options: object) -> dict[str, Pairs]:
    data = PairData(**options)
    return read_pairs(load_splits(data), data)


def test_parallel_translations(shared_data):
    folder = shared_data / "multi30k"
    read = pairs(train_file=f"{folder}/train", validation_file=f"{folder}/val", source_lang="de", target_lang="en")
    assert {split: len(rows) for split, rows in read.items()} == {"train": 29_000, "validation": 1014}
    assert read["validation"].columns == ("de", "en")
    assert read["validation"].targets[0] == "A group of men are loading cotton onto a truck"
    named = pairs(validation_file=f"{folder}/val.de.gz,{folder}/val.en.gz")
    assert named["validation"] == read["validation"]


@pytest.mark.parametrize(("language", "rows"), [("eng_us", 33_344), ("dut", 8000), ("fre", 8000), ("ita", 800)])
def test_pronunciations_without_a_header(shared_data, language, rows):
    train = f"{shared_data}/g2p/{language}_train.tsv"
    assert len(pairs(train_file=train, source_column="1", target_column="2")["train"]) == rows
    with pytest.raises(InputError, match=r"looks like data; .* --source-column 1 --target-column 2"):
        pairs(train_file=train)


def test_inflections_in_files_without_an_ending(shared_data):
    read = pairs(train_file=f"{shared_data}/inflection/german-train-high", source_column="1", target_column="2")
    assert len(read["train"]) == 10_000


def test_summaries_with_several_references(shared_data):
    files = {
        f"{split}_file": f"{shared_data}/scitldr/{name}.jsonl.gz"
        for split, name in (("train", "train"), ("test", "dev"))
    }
    read = pairs(**files, source_column="title")
    assert read["train"].columns == ("title", "target")
    assert max(map(len, read["test"].references)) > 1
    with pytest.raises(InputError, match=r"row 1, column 'source': list .* join its parts into one text"):
        pairs(**files)


def test_messages_with_stray_quotation_marks_and_repeats(shared_data):
    data = LabelledData(train_file=f"{shared_data}/classification/sms_spam.tsv", deduplicate=True)
    splits, names = read_labelled(load_splits(data), data, "single_label")
    assert names == ("ham", "spam")
    assert 5100 < len(splits["train"]) < 5574
    assert splits["train"].columns == {"text": "SMS", "label": "Label"}


def test_texts_and_labels_in_two_files(shared_data):
    folder = shared_data / "sentiment_multilingual" / "german"
    files = {f"{split}_file": f"{folder}/{split}_text.txt,{folder}/{split}_labels.txt" for split in ("train", "test")}
    data = LabelledData(**files)
    splits, names = read_labelled(load_splits(data), data, "single_label")
    assert names == ("0", "1", "2")
    assert len(splits["train"]) == 1839
    assert len(set(splits["test"].labels.tolist())) == 3


def test_a_file_that_is_not_utf_8(shared_data):
    path = f"{shared_data}/classification/TREC.train.all"
    with pytest.raises(InputError, match=r"TREC\.train\.all:66: byte 53 of the line, 0xF0"):
        load_splits(LabelledData(train_file=path))
    assert len(load_splits(LabelledData(train_file=path, encoding="latin-1"))["train"]) == 5452
