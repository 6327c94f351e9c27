"""Outputs from a closed list, against the score of every entry, for several kinds of models."""

import random

import numpy as np
import pytest
import torch

from hf_seq2seq.configs import NewTokenizer
from hf_seq2seq.data.tokenizers.special_tokens import GPT, SEQ2SEQ
from hf_seq2seq.data.tokenizers.vocabulary import train_tokenizers
from hf_seq2seq.decoding import choice_search
from hf_seq2seq.decoding.choices import Choices, read_choices
from hf_seq2seq.decoding.search_options import Search
from hf_seq2seq.decoding.text_generator import TextGenerator
from hf_seq2seq.errors import InputError
from hf_seq2seq.ragged import Ragged

SOURCES = ["abc", "dddddddd", "ca"]
ENTRIES = sorted({"".join(random.Random(number).choices("abcd", k=number % 6 + 1)) for number in range(300)})


def generator_of(family, **flags):
    import transformers as hf

    specials = GPT if family == "gpt2" else SEQ2SEQ
    tokenizers = train_tokenizers(["abcd", "dcba"], [], NewTokenizer(tokenizer_type="char"), specials=specials)
    size, tokenizer = len(tokenizers.source), tokenizers.source
    torch.manual_seed(1)
    if family == "gpt2":
        config = hf.GPT2Config(vocab_size=size, n_embd=32, n_layer=1, n_head=2, eos_token_id=tokenizer.eos_token_id)
        model = hf.GPT2LMHeadModel(config)
        model.generation_config.pad_token_id = tokenizer.pad_token_id
    elif family == "t5":
        sizes = {"d_model": 32, "d_kv": 16, "d_ff": 32, "num_layers": 1, "num_heads": 2, "decoder_start_token_id": 0}
        model = hf.T5ForConditionalGeneration(hf.T5Config(vocab_size=size, eos_token_id=1, **sizes))
    else:
        from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
        from hf_seq2seq.architectures.modeling_rnn import RnnForConditionalGeneration

        config = RnnSeq2SeqConfig(vocab_size=size, hidden_size=16, eos_token_id=tokenizer.eos_token_id)
        model = RnnForConditionalGeneration(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4)
    return TextGenerator(model.eval(), tokenizers, Search(**flags), 12)


def by_scoring(generator, entries, alpha=1.0):
    """Every entry of every source with its score, best first."""
    found = []
    for source in SOURCES:
        scored = generator.score([source] * len(entries), entries)
        lengths = generator.encode_targets([source] * len(entries), entries).lengths
        pairs = zip(entries, (row["log_prob"] / n**alpha for row, n in zip(scored, lengths, strict=True)), strict=True)
        found.append(sorted(pairs, key=lambda pair: -pair[1]))
    return found


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "choices.txt"
    path.write_text("\n".join([*ENTRIES, "", ENTRIES[3]]) + "\n")
    return str(path)


@pytest.mark.parametrize("family", ["t5", "gpt2", "rnn"])
@pytest.mark.parametrize("alpha", [1.0, 0.0, -0.5])
def test_the_best_entries_are_those_of_scoring_all(family, alpha, file):
    generator = generator_of(family, choices=file, num_return_sequences=5, length_penalty=alpha)
    generator.details = ("score",)
    for outputs, wanted in zip(generator.outputs(SOURCES), by_scoring(generator, ENTRIES, alpha), strict=True):
        assert [output.text for output in outputs] == [text for text, _ in wanted[:5]]
        assert [output.details["score"] for output in outputs] == pytest.approx([s for _, s in wanted[:5]], abs=1e-4)


def test_narrow_searches_are_repeated_until_they_are_exact(file, monkeypatch):
    """Also on halves of the list, where no more prefixes fit in memory."""
    generator = generator_of("t5", choices=file, num_return_sequences=3)
    wanted = [[text for text, _ in ranked[:3]] for ranked in by_scoring(generator, ENTRIES)]
    monkeypatch.setattr(choice_search, "ROWS", 8)
    runs, plain = [], choice_search._Search.run
    monkeypatch.setattr(choice_search._Search, "run", lambda self, *given: runs.append(1) or plain(self, *given))
    assert [[output.text for output in outputs] for outputs in generator.outputs(SOURCES)] == wanted
    assert len(runs) > 5


def test_outputs_do_not_depend_on_the_batch(file):
    together = generator_of("t5", choices=file)(SOURCES)
    assert [generator_of("t5", choices=file)([source])[0] for source in SOURCES] == list(together)


def test_samples_come_from_the_list(file):
    generator = generator_of("t5", choices=file, do_sample=True, num_return_sequences=20, temperature=30.0)
    for outputs in generator.outputs(SOURCES):
        assert {output.text for output in outputs} <= set(ENTRIES)
        assert len({output.text for output in outputs}) > 5


def test_children_of_nodes():
    found = Choices(Ragged.of([[5, 6, 1], [5, 1], [7, 5, 5, 1], [5, 1]]), ["x", "y", "z", "again"])
    assert (len(found), found.left_out, found.longest) == (3, 1, 4)
    root = found.children(0, 3, 0)
    assert [part.tolist() for part in root] == [[5, 7], [0, 2], [2, 3], [2, 4], [3, 4]]
    assert found.allowed([5]).tolist() == [1, 6]
    assert found.text([5, 1]) in ("y", "again")
    np.testing.assert_array_equal(found.allowed([7, 5, 5]), [1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("\n \n", "holds no choice; write one output per line"),
        (None, r"choices\.txt: No such file or directory; did you mean '.*/choices2\.txt'"),
        ("a" * 2000, "2001 tokens"),
    ],
)
def test_refuses_files(tmp_path, content, message):
    path = tmp_path / "choices.txt"
    (tmp_path / "choices2.txt").touch()
    if content is not None:
        path.write_text(content)
    generator = generator_of("gpt2", choices=str(path))
    with pytest.raises(InputError, match=message):
        _ = generator.choices


def test_reads_files_without_repetition(tmp_path):
    (tmp_path / "list").write_text("\ufeff b \r\na\n\nb\nc\u2028d\x0ce\n", encoding="utf-8")
    seen = []
    read_choices(str(tmp_path / "list"), lambda texts: seen.extend(texts) or Ragged.of([[3, 1], [4, 1]]))
    assert seen == ["b", "a", "c\u2028d\x0ce"]


def test_refuses_other_constraints():
    with pytest.raises(InputError, match="--choices and --force-words: an output is one of the choices"):
        Search(choices="x", force_words=("a",), num_beams=4).check()
