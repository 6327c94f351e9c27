import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from hf_seq2seq.configs import NewTokenizer
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.statistics import Lengths, describe_lengths, describe_losses
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers, train_tokenizers
from hf_seq2seq.ragged import Ragged

PAD, EOS, UNKNOWN, WORD = 0, 1, 2, 4


@pytest.fixture(scope="module")
def tokenizers() -> Tokenizers:
    return train_tokenizers(["a b c"], ["d e"], NewTokenizer(tokenizer_type="word", min_frequency=1))


def test_percentiles_are_lengths_of_rows_and_shares_are_percent(tokenizers: Tokenizers) -> None:
    source = Ragged.of([[WORD] * n for n in range(1, 201)])
    target = Ragged.of([[WORD] * 3] * 199 + [[WORD] * 90])
    described = describe_lengths(Examples(source, ["x"] * 200, target, truncated=(50, 1)), tokenizers)
    assert described == {
        "source": Lengths({50: 100, 90: 180, 95: 190, 99: 198, 100: 200}, 20_100, 25.0),
        "target": Lengths({50: 3, 90: 3, 95: 3, 99: 3, 100: 90}, 687, 0.5),
    }


def test_a_percentile_is_the_length_of_a_row(tokenizers: Tokenizers) -> None:
    examples = Examples(Ragged.of([[WORD], [WORD] * 10]), ["x"] * 2)
    assert describe_lengths(examples, tokenizers)["source"].percentiles == {50: 1, 90: 10, 95: 10, 99: 10, 100: 10}


def test_labelled_rows_have_one_side(tokenizers: Tokenizers) -> None:
    examples = Examples(Ragged.of([[WORD, EOS]]), ["x"], labels=np.zeros(1, dtype=np.int64))
    expected = {"source": Lengths(dict.fromkeys((50, 90, 95, 99, 100), 2), 2, 0.0)}
    assert describe_lengths(examples, tokenizers) == expected


def test_no_rows_have_no_length(tokenizers: Tokenizers) -> None:
    found = describe_lengths(Examples(Ragged.of([]), []), tokenizers)["source"]
    assert (found.percentiles[100], found.unknown) == (0, 0.0)


def test_each_side_s_unknown_tokens_are_those_of_its_own_vocabulary(tokenizers: Tokenizers) -> None:
    source = Ragged.of([[WORD, UNKNOWN, EOS], [WORD, WORD, EOS]])
    target = Ragged.of([[UNKNOWN, EOS], [UNKNOWN, EOS]])
    found = describe_lengths(Examples(source, ["x"] * 2, target), tokenizers)
    assert {side: lengths.unknown for side, lengths in found.items()} == {"source": 25.0, "target": 100.0}


def test_a_run_says_what_is_cut_and_what_is_unknown_in_which_split(tokenizers: Tokenizers) -> None:
    known = Examples(Ragged.of([[WORD, EOS]] * 2), ["a b", "c"], Ragged.of([[WORD, EOS]] * 2), truncated=(1, 0))
    lost = Examples(Ragged.of([[WORD, EOS]]), ["a"], Ragged.of([[UNKNOWN, EOS]]))
    line = "truncated: source 50.0%, target 0.0%; unknown tokens: "
    assert describe_losses({"train": known}, tokenizers) == [line + "none"]
    assert describe_losses({"train": known, "test_x": lost}, tokenizers) == [line + "test x target 100.0%"]


def test_a_run_says_that_words_are_not_parted_by_spaces(tokenizers: Tokenizers) -> None:
    ids = Ragged.of([[WORD, EOS]])
    train = Examples(ids, ["a b c"], ids, [["我们今天去学校看书学习。"]])
    _, warning = describe_losses({"train": train}, tokenizers)
    assert "target texts have no spaces" in warning
    assert "--tokenizer-type" in warning
    characters = train_tokenizers(["a"], ["b"], NewTokenizer(tokenizer_type="char", min_frequency=1))
    assert len(describe_losses({"train": train}, characters)) == 1


def test_a_run_says_that_characters_vanish_and_that_special_tokens_are_read_as_text() -> None:
    rust = Tokenizer(BPE({"<pad>": 0, "</s>": 1, "a": 2, "b": 3}, []))
    lossy = PreTrainedTokenizerFast(tokenizer_object=rust, pad_token="<pad>", eos_token="</s>")
    ids = Ragged.of([[2, EOS]])
    train = Examples(ids, ["a {b} </s>"], ids, [["a"]])
    _, lost, spelled = describe_losses({"train": train}, Tokenizers(lossy, lossy))
    assert "6 characters of the source texts vanish" in lost
    assert "1 source texts spell special tokens, such as </s>" in spelled


def test_a_run_says_that_targets_are_labels(tokenizers: Tokenizers) -> None:
    def lines(targets: list[str]) -> list[str]:
        ids = Ragged.of([[WORD]] * len(targets))
        texts = [f"text {row}" for row in range(len(targets))]
        examples = Examples(ids, texts, ids, references=[[target] for target in targets])
        return [line for line in describe_losses({"train": examples}, tokenizers) if "bert_classifier" in line]

    assert lines(["pos", "neg"] * 10) == [
        "warning: the targets are 2 different texts in 20 rows, as labels are; "
        "the recipe bert_classifier learns to predict labels"
    ]
    assert not lines(["pos", "neg"] * 9)
    assert not lines([f"word {row}" for row in range(50)])
