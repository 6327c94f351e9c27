"""Phrases and sentences against loops over tokens, for sources with padding anywhere."""

import pytest
import torch

from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
from hf_seq2seq.architectures.encoders import RnnEncoder
from hf_seq2seq.architectures.hierarchy import every, group, split_at
from hf_seq2seq.architectures.pooling import one_segment

COMMA, STOP, PAD = 4, 5, 0
SOURCES = [
    [6, 7, 8, COMMA, 9, STOP, 6, 6, STOP, 7],
    [STOP, 6, 7, COMMA, COMMA, 8],
    [6],
    [7, 8, 9, 6, 7, 8, 9, STOP],
]
PLACES = [range(10), (0, 2, 3, 5, 8, 9), (4,), range(2, 10)]  # where the tokens of a source lie


@pytest.fixture
def padded():
    ids, mask = torch.full((4, 10), STOP), torch.zeros(4, 10, dtype=torch.long)  # padding looks like a separator
    for row, (source, places) in enumerate(zip(SOURCES, PLACES, strict=True)):
        ids[row, list(places)] = torch.tensor(source)
        mask[row, list(places)] = 1
    return ids, mask


def cut(tokens, is_end):
    """Runs of positions, each ending where told, and at the end of the source."""
    runs = [[]]
    for place, token in enumerate(tokens):
        runs[-1].append(place)
        if is_end(runs[-1], token):
            runs.append([])
    return [run for run in runs if run]


PHRASES = {"phrase_length": 3}, {"phrase_separator_token_id": COMMA}


def expected_runs(choice, tokens):
    """Sentences, and phrases that end within them, as runs of positions."""
    sentences = cut(tokens, lambda run, token: token == STOP)
    phrases = []
    for sentence in sentences:
        words = [tokens[place] for place in sentence]
        if "phrase_length" in choice:
            runs = cut(words, lambda run, token: len(run) == choice["phrase_length"])
        else:
            runs = cut(words, lambda run, token: token == COMMA)
        phrases += [[sentence[place] for place in run] for run in runs]
    return phrases, sentences


def model(**choices):
    config = RnnSeq2SeqConfig(
        vocab_size=10, hidden_size=6, sentence_separator_token_id=STOP, context_pooling="weighted", **choices
    )
    return RnnEncoder(config).double().eval()


def index_of(runs, places):
    """For each place of a padded row the run it belongs to; None at padding."""
    whose = {place: number for number, run in enumerate(runs) for place in run}
    return [whose[list(places).index(place)] if place in places else None for place in range(10)]


@pytest.mark.parametrize("choice", PHRASES, ids=str)
def test_segments_end_where_configured(padded, choice):
    found = model(**choice)(*padded)
    for row, (tokens, places) in enumerate(zip(SOURCES, PLACES, strict=True)):
        for name, runs in zip(("phrase", "sentence"), expected_runs(choice, tokens), strict=True):
            index, count = found[f"{name}_index"], found[f"{name}s"].shape[1]
            expected = [count if number is None else number for number in index_of(runs, places)]
            assert index[row].tolist() == expected


@pytest.mark.parametrize("choice", PHRASES, ids=str)
def test_levels_read_pooled_segments(padded, choice):
    """Each row by itself, without padding: pool the words of a phrase, read phrases, pool those of a sentence, read."""
    encoder = model(**choice)
    found = encoder(*padded)

    def pool(level, vectors):
        return level.pooling(vectors, one_segment(vectors, None))[:, 0]

    for row, (tokens, places) in enumerate(zip(SOURCES, PLACES, strict=True)):
        words = encoder(torch.tensor([tokens])).last_hidden_state
        torch.testing.assert_close(found.last_hidden_state[row, list(places)], words[0])
        phrases, sentences = expected_runs(choice, tokens)
        level = encoder.hierarchy.phrases
        read, _ = level.layer(torch.stack([pool(level, words[:, run]) for run in phrases]), None, False)
        torch.testing.assert_close(found.phrases[row, : len(phrases)], read[:, 0])
        assert not found.phrases[row, len(phrases) :].any()
        level = encoder.hierarchy.sentences
        groups = [[n for n, run in enumerate(phrases) if run[0] in sentence] for sentence in sentences]
        pooled = torch.stack([pool(level, read[members].transpose(0, 1)) for members in groups])
        torch.testing.assert_close(found.sentences[row, : len(sentences)], level.layer(pooled, None, False)[0][:, 0])
        assert not found.sentences[row, len(sentences) :].any()


def test_sentences_may_consist_of_words(padded):
    encoder = model()
    found = encoder(*padded)
    level = encoder.hierarchy.sentences
    runs = expected_runs({"phrase_length": 1}, SOURCES[0])[1]
    words = found.last_hidden_state[:1]
    pooled = torch.stack([level.pooling(words[:, r], one_segment(words[:, r], None))[:, 0] for r in runs])
    torch.testing.assert_close(found.sentences[0, : len(runs)], level.layer(pooled, None, False)[0][:, 0])
    assert found.phrases is None


def test_context_combines_the_levels(build, padded):
    """c = W_1 words + W_2 phrases + W_3 sentences, each pooled."""
    whole = build(phrase_length=3, sentence_separator_token_id=STOP, context_pooling="mean").double()
    context = whole.model.decoder.context
    encoded, mask = whole.model.encoder(*padded), padded[1]
    found = context(encoded, mask)
    for row, tokens in enumerate(SOURCES):
        phrases, sentences = expected_runs({"phrase_length": 3}, tokens)
        words = encoded.last_hidden_state[row, mask[row] != 0]
        levels = [words, encoded.phrases[row, : len(phrases)], encoded.sentences[row, : len(sentences)]]
        matrices = context.combine.weight.split(8, dim=1)
        expected = sum(matrix @ level.mean(0) for matrix, level in zip(matrices, levels, strict=True))
        torch.testing.assert_close(found[row], expected)


@pytest.mark.parametrize("choice", PHRASES, ids=str)
def test_padding_anywhere_changes_nothing(build, padded, choice):
    whole = build(**choice, sentence_separator_token_id=STOP, hierarchical_attention=True).double()
    targets = torch.tensor([[3, 6, 7]])
    found = whole(input_ids=padded[0], attention_mask=padded[1], decoder_input_ids=targets.expand(4, -1)).logits
    for row, tokens in enumerate(SOURCES):
        alone = whole(input_ids=torch.tensor([tokens]), decoder_input_ids=targets).logits
        torch.testing.assert_close(found[row], alone[0])


def test_every_level_learns(build, padded):
    whole = build(phrase_length=2, sentence_separator_token_id=STOP, hierarchical_attention=True)
    whole(input_ids=padded[0], attention_mask=padded[1], labels=torch.tensor([[6, 7]] * 4)).loss.backward()
    for name, parameter in whole.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


def test_gradient(padded):
    hierarchy, (ids, mask) = model(phrase_length=2).hierarchy, padded
    words = torch.randn(2, 10, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda each: hierarchy(each, ids[:2], mask[:2])["sentences"], (words,))


def test_embeddings_do_not_tell_where_sentences_end(padded):
    with pytest.raises(ValueError, match="sentence_separator_token_id=5 needs input_ids"):
        model()(inputs_embeds=torch.zeros(2, 3, 6).double())
    strided = RnnEncoder(RnnSeq2SeqConfig(vocab_size=10, hidden_size=6, phrase_length=2))
    assert strided(inputs_embeds=torch.zeros(2, 3, 6)).phrases.shape == (2, 2, 6)


def test_says_that_levels_are_missing(build):
    with pytest.raises(ValueError, match="requires phrases"):
        build(phrase_length=2)(encoder_outputs=(torch.zeros(1, 6, 8),), decoder_input_ids=torch.tensor([[3]]))


def test_a_row_of_padding_alone_is_finite(build):
    whole = build(phrase_length=2, sentence_separator_token_id=STOP, hierarchical_attention=True)
    ids, mask = torch.tensor([[6, STOP], [0, 0]]), torch.tensor([[1, 1], [0, 0]])
    assert whole(input_ids=ids, attention_mask=mask, decoder_input_ids=torch.tensor([[3]] * 2)).logits.isfinite().all()


def test_parts_in_words():
    real = torch.tensor([[True] * 6, [True, False, True, True, False, True]])
    ends = torch.tensor([[0, 0, 1, 0, 0, 0], [0, 1, 0, 1, 1, 0]]).bool()
    outer = split_at(ends, real)
    assert (outer.index.tolist(), outer.count) == ([[0, 0, 0, 1, 1, 1], [0, 2, 0, 0, 2, 1]], 2)
    inner = split_at(ends | every(2, ends, real), real)
    assert (inner.index.tolist(), inner.count) == ([[0, 0, 1, 2, 2, 3], [0, 4, 0, 1, 4, 2]], 4)
    assert group(inner, outer).index.tolist() == [[0, 0, 1, 1], [0, 0, 1, 2]]
