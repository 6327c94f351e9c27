"""Words that must appear, compared with every possible output of a tiny vocabulary."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch

from hf_seq2seq.data.collation import source_batch
from hf_seq2seq.data.encoding import encode_texts
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.decoding.forced_words import ForcedWords, Word, find_words
from hf_seq2seq.decoding.search import Searcher
from hf_seq2seq.decoding.search_options import Search

EOS, DEPTH, SIZE = 1, 4, 5


def spelled(ids: tuple[int, ...]) -> str:
    return " ".join(map(str, ids))


@pytest.mark.parametrize("words", [((3,),), ((2, 4),), ((3,), (2,))])
@pytest.mark.parametrize("family", ["transformer", "rnn"])
def test_the_best_of_all_outputs_that_hold_the_words_is_found(
    family: str, words: tuple[tuple[int, ...], ...], make_sized: Callable[[str, int], Any]
) -> None:
    model = make_sized(family, SIZE)
    model.generation_config.eos_token_id = EOS
    source = torch.tensor([[2, 4, 3, 1]])
    others = [token for token in range(SIZE) if token != EOS]
    outputs = [(*ids, EOS) for n in range(DEPTH) for ids in itertools.product(others, repeat=n)]
    outputs += list(itertools.product(others, repeat=DEPTH))
    needed = ForcedWords([Word(spelled(word), word, word) for word in words], spelled)
    allowed = [ids for ids in outputs if needed.progress(tuple(id for id in ids if id != EOS)).complete]
    assert allowed == [ids for ids in outputs if all(f" {spelled(word)} " in f" {spelled(ids)} " for word in words)]
    assert len(allowed) < len(outputs) * 2 / 3
    padded = torch.tensor([[*ids, *[0] * (DEPTH - len(ids))] for ids in allowed])
    inputs = torch.cat([torch.full((len(allowed), 1), 3), padded[:, :-1]], 1)
    with torch.inference_mode():
        logits = model(input_ids=source.expand(len(allowed), -1), decoder_input_ids=inputs, use_cache=False).logits
    found = logits.log_softmax(-1).gather(2, padded[..., None])[..., 0]
    means = [float(row[: len(ids)].mean()) for row, ids in zip(found, allowed, strict=True)]
    batch = {"input_ids": source, "attention_mask": torch.ones_like(source)}
    searcher = Searcher(model, Search(num_beams=80, early_stopping="never"), DEPTH, words=needed)
    ((hypothesis,),) = searcher(batch, [0])
    expected = allowed[means.index(max(means))]
    assert hypothesis.ids == [token for token in expected if token != EOS]
    assert hypothesis.score == pytest.approx(max(means), rel=1e-4)


@pytest.mark.parametrize("beams", [2, 5])
@pytest.mark.parametrize("family", ["t5", "bart", "rnn", "transformer"])
def test_every_output_holds_the_words(
    family: str, beams: int, make_model: Callable[[str], Any], tokenizers: Tokenizers, texts: list[str]
) -> None:
    """Even where the output is hardly longer than the words, and the beam narrower than they are many."""
    words = find_words(("house", "dog", "tree"), tokenizers.target, 5)
    sources, _ = encode_texts(texts[:4], tokenizers.source, 64)
    for longest in (4, 9):
        searcher = Searcher(make_model(family), Search(num_beams=beams), longest, words=words)
        found = searcher(source_batch(sources, range(4), 0), range(4))
        for hypotheses in found:
            assert hypotheses
            said = tokenizers.target.decode(hypotheses[0].ids).split()
            assert {"house", "dog", "tree"} <= set(said)
