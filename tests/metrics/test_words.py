"""Words by script and by sacreBLEU's tokenizers, compared with rouge_score's, and the metrics that stand on them."""

import random

import pytest

from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics import TEXT_METRICS, check_metrics, trained_metrics
from hf_seq2seq.metrics.corpus import Corpus
from hf_seq2seq.metrics.metric import Metric
from hf_seq2seq.metrics.words import count_unsplit, letters, words

SAME = {
    "Hindi": ("मैं घर जा रहा हूँ।", "मैं घर जा रही हूँ।"),
    "Thai": ("ฉันกินข้าวเช้า", "ฉันกินข้าวเย็น"),
    "Arabic": ("ذهبت إلى البيت؟", "ذهبت إلى السوق؟"),
    "German": ("das ist schöne Kunst", "das ist schäne Kunst"),
    "Chinese": ("我们今天去北京。", "我们明天去北京。"),
    "Japanese": ("私は東京に行きます", "私は大阪に行きます"),
    "Russian": ("я иду домой", "я иду в школу"),
}


def find(name: str) -> Metric:
    return check_metrics((name,), TEXT_METRICS)[name]


@pytest.mark.parametrize("name", ["rouge", "rouge_w", "meteor"])
@pytest.mark.parametrize("language", SAME)
def test_texts_of_any_script_are_compared(language: str, name: str) -> None:
    one, other = SAME[language]
    same = find(name).compute([one], [[one]])
    unlike = find(name).compute([other], [[one]])
    first = find(name).keys[0]
    assert same[first] > 98
    assert 15 < unlike[first] < 99


@pytest.mark.parametrize("language", SAME)
def test_consensus_is_found_in_any_script(language: str) -> None:
    one, other = SAME[language]
    right = find("cider").compute([one, "x y z"], [[one], ["x y z"]])["cider"]
    assert 0 < find("cider").compute([other, "x y z"], [[one], ["x y z"]])["cider"] < right


def test_words_of_scripts() -> None:
    assert letters("Ήταν εδώ; Naïve café!") == ["ήταν", "εδώ", "naïve", "café"]
    assert letters("cafe\u0301") == letters("café")
    assert letters("हूँ। क्षत्रिय") == ["हूँ", "क्षत्रिय"]
    assert letters("我去iPhone店") == ["我", "去", "iphone", "店"]
    assert letters("น้ำ") == ["น้", "ำ"]
    assert words("Don't «go», l'été—fin.") == ["don't", "«", "go", "»", ",", "l'été", "—", "fin", "."]
    assert words("我去，北京。") == ["我", "去", "，", "北", "京", "。"]
    assert words("我去，", punctuation=False) == ["我", "去"]


def test_ascii_text_has_rouge_score_s_words() -> None:
    module = pytest.importorskip("rouge_score.rouge_scorer")
    ours, draw = find("rouge"), random.Random(0)
    texts = ["".join(draw.choices("abcdefgh XYZ 0123 .,-_'\"\t!?() running flies ", k=60)) for _ in range(200)]
    scorer = module.RougeScorer(list(ours.keys[:4]), use_stemmer=True)
    assert ours.statistics is not None
    found = ours.statistics(texts[:100], [[text] for text in texts[100:]])
    for row, (said, wanted) in enumerate(zip(texts[:100], texts[100:], strict=True)):
        expected = scorer.score(wanted, said)
        assert found[row, :4] == pytest.approx([100 * expected[key].fmeasure for key in ours.keys[:4]])


@pytest.mark.parametrize("tokenizer", ["13a", "intl", "zh", "char", "none"])
def test_bleu_with_a_tokenizer_is_sacrebleu_s(tokenizer: str) -> None:
    import sacrebleu

    said, wanted = [other for _, other in SAME.values()], [one for one, _ in SAME.values()]
    found, expected = find(f"bleu:{tokenizer}"), sacrebleu.corpus_bleu(said, [wanted], tokenize=tokenizer)
    assert found.compute(said, [[text] for text in wanted]) == {f"bleu_{tokenizer}": pytest.approx(expected.score)}
    assert found.signature is not None
    assert f"tok:{tokenizer}|" in found.signature([[text] for text in wanted])


@pytest.mark.parametrize("name", ["rouge:zh", "rouge_w:zh", "meteor:zh", "cider:zh", "cider_d:zh"])
def test_other_metrics_take_the_tokenizers_too(name: str) -> None:
    family = name.partition(":")[0]
    keys = [f"{key}_zh" for key in find(family).keys]
    one, other = SAME["Chinese"]
    found = find(name).compute([other, "a"], [[one], ["b"]])
    assert list(found) == keys
    assert all(found.values())
    signatures = [check.signature for check in (find(name), find(family)) if check.signature]
    assert "zh" in signatures[0]([[one]])
    assert signatures[0]([[one]]) != signatures[1]([[one]])


def test_rouge_score_s_own_words_by_name() -> None:
    one, _ = SAME["Hindi"]
    own, usual = find("rouge:ascii"), find("rouge")
    assert own.compute([one], [[one]])["rouge1_ascii"] == 0
    assert own.signature
    assert usual.signature
    assert "words:ascii" in own.signature([[one]])
    assert "words:script" in usual.signature([[one]])


@pytest.mark.parametrize("name", ["ja-mecab", "ko-mecab", "flores200"])
def test_tokenizers_that_need_more_say_so(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for package in ("MeCab", "mecab_ko", "sentencepiece"):
        monkeypatch.setitem(sys.modules, package, None)
    for module in ("ja_mecab", "ko_mecab", "spm"):
        monkeypatch.delitem(sys.modules, f"sacrebleu.tokenizers.tokenizer_{module}", raising=False)
    with pytest.raises(InputError, match=f"tokenizer '{name}' needs one more package: pip install '"):
        find(f"bleu:{name}")


def test_tokenizers_by_a_wrong_name() -> None:
    with pytest.raises(InputError, match=r"bleu:zhh: unknown tokenizer 'zhh'; did you mean 'zh'"):
        find("bleu:zhh")
    assert trained_metrics(("bleu:zh", "rouge:char"), TEXT_METRICS, "m") == ("bleu:zh", "rouge:char")


def test_metrics_that_split_at_spaces_say_where_there_are_none() -> None:
    texts = [one for one, _ in SAME.values()]
    assert count_unsplit(texts) == 3
    assert count_unsplit(["", "。", "我", "GPT 我们"]) == 0
    corpus = Corpus({name: find(name) for name in ("bleu", "bleu:zh", "chrf", "ter", "rouge")})
    for text in texts:  # pieces add up
        corpus.add([text], [[text]])
    first, second = corpus.doubts()
    assert first.startswith("bleu: in 3 of 7 rows text is written without spaces")
    assert second.startswith("ter: in 3 of 7 rows")
