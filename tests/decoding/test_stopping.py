"""Bad words, stop strings, given beginnings and alternatives of forced words, on outputs of real searches."""

import re

import pytest
import torch

from hf_seq2seq.configs import NewTokenizer
from hf_seq2seq.data.tokenizers.special_tokens import SEQ2SEQ
from hf_seq2seq.data.tokenizers.vocabulary import train_tokenizers
from hf_seq2seq.decoding.search_options import Search
from hf_seq2seq.decoding.text_generator import TextGenerator
from hf_seq2seq.errors import InputError

WORDS = ["cat", "cats", "dog", "red", "house", "runs", "a"]
SOURCES = ["cat dog", "red house runs", "a a a", "dogs"]
SEARCHES = [{}, {"num_beams": 4}, {"do_sample": True, "num_return_sequences": 8, "temperature": 2.0}]


@pytest.fixture(scope="module", params=["word", "char", "unigram"])
def made(request):
    import transformers as hf

    texts = [" ".join((WORDS * 2)[start : start + 4]) for start in range(7)]
    options = NewTokenizer(tokenizer_type=request.param, vocab_size=40)
    tokenizers = train_tokenizers(texts * 3, [], options, specials=SEQ2SEQ)
    sizes = {"d_model": 32, "d_kv": 16, "d_ff": 32, "num_layers": 1, "num_heads": 2, "decoder_start_token_id": 0}
    torch.manual_seed(3)
    model = hf.T5ForConditionalGeneration(hf.T5Config(vocab_size=len(tokenizers.source), eos_token_id=1, **sizes))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(5)
    return model.eval(), tokenizers


def texts_of(made, prefixes=None, **flags):
    found = TextGenerator(*made, Search(**flags), 14).outputs(SOURCES, 0, prefixes)
    return [output.text for outputs in found for output in outputs]


def words_in(text):
    return re.findall(r"\w+", text)


@pytest.mark.parametrize("search", SEARCHES, ids=str)
def test_no_output_has_a_bad_word(made, search):
    before = [word for text in texts_of(made, **search) for word in words_in(text)]
    bad = [word for word in dict.fromkeys(before) if word in WORDS][:2] or ["cat"]
    after = [word for text in texts_of(made, **search, bad_words=tuple(bad)) for word in words_in(text)]
    assert not set(bad) & set(after)
    assert after
    unknown = texts_of(made, **search, bad_words=("red house",))
    assert not any("red house" in text for text in unknown)


def test_all_batches_share_what_is_known_of_bad_words(made, monkeypatch):
    from hf_seq2seq.decoding import search

    counted, build = [], search.BadWords
    monkeypatch.setattr(search, "BadWords", lambda *given: counted.append(given) or build(*given))
    texts_of(made, bad_words=("cat",), per_device_eval_batch_size=1)
    assert len(counted) == 1


@pytest.mark.parametrize("search", SEARCHES, ids=str)
def test_an_output_ends_with_a_stop_string(made, search):
    plain = texts_of(made, **search)
    stop = max((word for text in plain for word in words_in(text)), key=len)[:2]
    for text, whole in zip(texts_of(made, **search, stop_strings=(stop,)), plain, strict=True):
        assert stop not in text[: -len(stop) - 8]
        if "num_beams" not in search and not search.get("do_sample"):
            assert whole.startswith(text)
            assert text == whole or stop in text


@pytest.mark.parametrize("search", SEARCHES, ids=str)
def test_outputs_begin_as_told(made, search):
    prefixes = ["cat", "", "red house", "a"]
    found = texts_of(made, prefixes, **search)
    each = len(found) // len(prefixes)
    for row, text in enumerate(found):
        assert text.startswith(prefixes[row // each])
    assert found[each : 2 * each] == texts_of(made, **search)[each : 2 * each]


def test_a_prefix_has_to_leave_room(made):
    with pytest.raises(InputError, match=r"--target-prefix-column: .* the longest output has 14 \(--max-new-tokens\)"):
        texts_of(made, ["a"] * 3 + ["cat " * 20])


def test_any_form_of_a_forced_word_will_do(made):
    tokenizers = made[1]
    flags = {"num_beams": 6, "force_words": ("cat|cats", "dog|runs|nothing there")}
    for text in texts_of(made, **flags):
        assert {"cat", "cats"} & set(words_in(text))
        assert {"dog", "runs"} & set(words_in(text))
    single = [sorted(texts_of(made, num_beams=6, force_words=(word,))) for word in ("cat", "cats")]
    both = texts_of(made, num_beams=6, force_words=("cat|cats",))
    assert len(both) == len(SOURCES)
    assert single
    if tokenizers.source.unk_token_id in tokenizers.source("zebra")["input_ids"]:
        with pytest.raises(InputError, match="--force-words: 'zebra' is not in the vocabulary"):
            texts_of(made, num_beams=6, force_words=("zebra|yak",))
        with pytest.raises(InputError, match="--bad-words: 'zebra' is not in the vocabulary"):
            texts_of(made, bad_words=("zebra",))


def test_a_word_spelled_by_characters_may_only_become_another_word():
    from hf_seq2seq.decoding.bad_words import BadWords, NoBadWords
    from hf_seq2seq.decoding.rules import Prefixes

    tokenizer = train_tokenizers(["cat dog"], [], NewTokenizer(tokenizer_type="char"), specials=SEQ2SEQ).target
    rule = NoBadWords(BadWords(("cat",), tokenizer), torch.tensor([9]))

    def allowed(text):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        prefixes = Prefixes(torch.tensor([[0, *ids]]), torch.tensor([len(ids)]), torch.tensor([0]))
        scores = rule(prefixes, torch.zeros(1, len(tokenizer)))[0]
        return {token for token in tokenizer.get_vocab() if scores[tokenizer.get_vocab()[token]] == 0}

    every = set(tokenizer.get_vocab())
    assert allowed("ca") == every  # on the way to another word, such as "cats"
    assert allowed("cat") == set("catdog")
    assert allowed("dog ca") == every
    assert allowed("dog cat g") == set()  # too late
    assert "t" not in allowed("dogdog ca"[-8:])  # the last token of the longest output
