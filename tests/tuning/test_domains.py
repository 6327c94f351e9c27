import pytest

from hf_seq2seq.errors import InputError
from hf_seq2seq.recipes import rnn
from hf_seq2seq.tuning.domains import Choices, Range, parse_space


class Answers:
    """Stands for an Optuna trial: answers what it is told."""

    def __init__(self, answer):
        self.answer = answer

    def suggest_categorical(self, name, choices):
        assert self.answer in choices
        return self.answer

    def suggest_float(self, name, low, high, log):
        return self.answer

    def suggest_int(self, name, low, high, log):
        return self.answer


def test_values_and_ranges_are_read_in_their_types():
    space = parse_space("learning-rate=1e-4..1e-2:log,dropout=0.1,0.2,hidden_size=64..128,cell=lstm,gru", rnn.Config)
    assert space == {
        "learning_rate": Range("learning_rate", 1e-4, 1e-2, log=True),
        "dropout": Choices({"0.1": {"dropout": 0.1}, "0.2": {"dropout": 0.2}}),
        "hidden_size": Range("hidden_size", 64, 128, whole=True),
        "cell": Choices({"lstm": {"cell": "lstm"}, "gru": {"cell": "gru"}}),
    }


def test_a_flag_may_be_tried_without_a_value():
    space = parse_space("target_tokenizer_type=none,word", rnn.Config)
    assert space["target_tokenizer_type"].draw(Answers("none"), "key") == {"target_tokenizer_type": None}


def test_a_drawn_number_has_three_digits_and_stays_within_its_range():
    assert Range("learning_rate", 1e-4, 1e-2, log=True).draw(Answers(0.00123456), "key") == {"learning_rate": 0.00123}
    assert Range("dropout", 0.12345, 0.2).draw(Answers(0.12345), "key") == {"dropout": 0.12345}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rat=1e-4..1e-2", "unknown flag '--learning-rat'; did you mean '--learning-rate'"),
        ("learning_rate=1e-2..1e-4", "empty range: 0.01 is not below 0.0001; did you mean learning_rate=1e-4..1e-2"),
        ("dropout=0.2..0.2", "is an empty range: 0.2 is not below 0.2"),
        ("dropout=0..0.5:log", "a range on a log scale starts above 0"),
        ("dropout=0.1..0.5:lag", "unknown scale 'lag'; did you mean 'log'"),
        ("dropout=0.1,2", "--search: --dropout: 2.0 is too large"),
        ("dropout=", "lacks a value"),
        ("dropout=0.1,", "lacks a value"),
        ("dropout=..0.5", "a range has two ends"),
        ("dropout", "is not NAME=VALUES"),
        ("", "is not NAME=VALUES"),
        ("cell=lstm..gru", "takes no numbers; list its values"),
        ("cell=lstm,grue", "did you mean 'gru'"),
        ("output_dir=a,b", "--output-dir is the same for every trial"),
        ("validation_file=a,b", "--validation-file is the same for every trial"),
        ("dropout=0.1,dropout=0.2", "--dropout is named twice"),
        ("dropout=0.1,0.2,1e-1", "--search: dropout: 1e-1 is listed twice"),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_is_one_clear_line(text, message):
    with pytest.raises(InputError, match=r"^--search: ") as error:
        parse_space(text, rnn.Config)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
