import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from tokenizers import Tokenizer
from transformers import AutoTokenizer, BertConfig, PreTrainedTokenizerFast, T5Config

from hf_seq2seq.configs import TOKENIZERS, NewTokenizer
from hf_seq2seq.data.tokenizers import cache as tokenizer_cache
from hf_seq2seq.data.tokenizers.special_tokens import BERT
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers, check_longest, train_tokenizers
from hf_seq2seq.errors import InputError

SOURCES = ["Zwei junge weiße Männer sind im Freien.", "Ein Hund läuft über die Straße.", "Mehrere Männer!"] * 3
TARGETS = ["Two young, White males are outside.", "A dog runs across the street.", "Several men!"] * 3


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "hf_seq2seq" / "tokenizers"


def content(tokenizers: Tokenizers) -> str:
    return tokenizers.source.backend_tokenizer.to_str()


def size_of(kind: str) -> dict[str, Any]:
    """A size of the vocabulary, which bytes do not have."""
    return {} if kind == "byte" else {"vocab_size": 400}


def test_one_vocabulary_by_default() -> None:
    tokenizers = train_tokenizers(SOURCES, TARGETS, NewTokenizer(vocab_size=400))
    assert tokenizers.shared
    for text in SOURCES + TARGETS:
        assert tokenizers.source.decode(tokenizers.source(text)["input_ids"], skip_special_tokens=True) == text


@pytest.mark.parametrize(
    "options",
    [
        {"separate_vocabularies": True},
        {"target_tokenizer_type": "word"},
        {"target_vocab_size": 280},
    ],
)
def test_two_vocabularies_when_asked_for(options: dict) -> None:
    tokenizers = train_tokenizers(SOURCES, TARGETS, NewTokenizer(vocab_size=300, **options))
    assert not tokenizers.shared
    assert len(tokenizers.target) <= options.get("target_vocab_size", 300)
    assert tokenizers.source.get_vocab() != tokenizers.target.get_vocab()


def test_separators_become_source_ids() -> None:
    tokenizers = train_tokenizers(SOURCES, TARGETS, NewTokenizer(tokenizer_type="char", separate_vocabularies=True))
    options = {"residual": True, "phrase_separator": None, "sentence_separator": "!"}
    expected = {"residual": True, "phrase_separator_token_id": None}
    expected["sentence_separator_token_id"] = tokenizers.source.get_vocab()["!"]
    assert tokenizers.separator_ids(options) == expected
    with pytest.raises(InputError, match="--phrase-separator: the source vocabulary has no token '@@'"):
        tokenizers.separator_ids({"phrase_separator": "@@"})


def test_the_same_kind_twice_is_one_vocabulary() -> None:
    options = NewTokenizer(tokenizer_type="char", target_tokenizer_type="char", target_vocab_size=8000)
    assert train_tokenizers(SOURCES, TARGETS, options).shared


def test_letters_to_phonemes(tmp_path: Path) -> None:
    options = NewTokenizer(tokenizer_type="char", target_tokenizer_type="word", lowercase=False)
    tokenizers = train_tokenizers(["hello", "world"], ["HH AH L OW", "W ER L D"], options)
    tokenizers.save(tmp_path)
    loaded = Tokenizers.load(tmp_path)
    for found in (tokenizers, loaded):
        assert not found.shared
        assert found.source.convert_ids_to_tokens(found.source("hold")["input_ids"]) == ["h", "o", "l", "d", "</s>"]
        assert found.target.convert_ids_to_tokens(found.target("L OW")["input_ids"]) == ["L", "OW", "</s>"]
    assert found.target.decode(loaded.target("HH OW L D")["input_ids"], skip_special_tokens=True) == "HH OW L D"


def test_a_classifiers_tokenizer_wraps_pairs() -> None:
    tokenizer = train_tokenizers(SOURCES, [], NewTokenizer(tokenizer_type="wordpiece"), specials=BERT).source
    found = tokenizer("Ein Hund", "Männer")
    tokens = tokenizer.convert_ids_to_tokens(found["input_ids"])
    assert tokens == ["[CLS]", "Ein", "Hund", "[SEP]", "Männer", "[SEP]"]
    assert found["token_type_ids"] == [0, 0, 0, 0, 1, 1]
    assert tokenizer.mask_token_id == 4


def test_only_the_template_ends_a_text() -> None:
    tokenizer = train_tokenizers(SOURCES, TARGETS, NewTokenizer()).source
    ids = tokenizer("a </s> b <pad>")["input_ids"]
    assert (ids.index(1), 0 in ids) == (len(ids) - 1, False)
    assert tokenizer.decode(ids, skip_special_tokens=True) == "a </s> b <pad>"


def test_lengths_and_clean_up_are_saved(tmp_path: Path) -> None:
    options = NewTokenizer(max_source_length=50, max_target_length=70)
    train_tokenizers(SOURCES, TARGETS, options).save(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.model_max_length == 70
    assert tokenizer.clean_up_tokenization_spaces is False
    assert "token_type_ids" not in tokenizer("Hund")


RELOAD = """
import json, sys
from transformers import AutoTokenizer
found = []
for folder, texts in json.loads(sys.stdin.read()):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(texts)["input_ids"]
    decoded = tokenizer.batch_decode(ids, skip_special_tokens=True)
    found.append([ids, decoded, tokenizer.pad_token_id, tokenizer.eos_token_id])
assert not any(name.startswith("hf_seq2seq") for name in sys.modules)
print(json.dumps(found))
"""


def test_transformers_alone_reloads_every_kind_in_another_process(transformers_processes: Any, tmp_path: Path) -> None:
    asked, expected = [], []
    texts = [*SOURCES[:3], "Unseen </s> straße <pad>"]
    for kind in TOKENIZERS:
        options = NewTokenizer(tokenizer_type=kind, separate_vocabularies=True, **size_of(kind))
        tokenizers = train_tokenizers(SOURCES, TARGETS, options)
        tokenizers.save(tmp_path / kind)
        # A model's configuration beside it must not choose another tokenizer class.
        (T5Config() if kind == "unigram" else BertConfig()).save_pretrained(tmp_path / kind)
        folders = [(tokenizers.source, ""), (tokenizers.target, "target_tokenizer")]
        for tokenizer, folder in folders:
            ids = tokenizer(texts)["input_ids"]
            asked.append([str(tmp_path / kind / folder), texts])
            expected.append([ids, tokenizer.batch_decode(ids, skip_special_tokens=True), 0, 1])
    program = f"import io, sys\nsys.stdin = io.StringIO({json.dumps(asked)!r})\n{RELOAD}"
    run = transformers_processes.run(program=program, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == expected


def test_older_transformers_know_the_saved_class(tmp_path: Path) -> None:
    train_tokenizers(SOURCES, TARGETS, NewTokenizer()).save(tmp_path)
    Tokenizers.load(tmp_path).save(tmp_path / "again")
    for folder in (tmp_path, tmp_path / "again"):
        config = json.loads((folder / "tokenizer_config.json").read_text())
        assert config["tokenizer_class"] == "PreTrainedTokenizerFast"
        assert "is_local" not in config
    assert (tmp_path / "tokenizer.json").read_bytes() == (tmp_path / "again" / "tokenizer.json").read_bytes()


def test_truncation_and_padding_are_not_saved(tmp_path: Path) -> None:
    tokenizers = train_tokenizers(SOURCES, TARGETS, NewTokenizer())
    tokenizers.source(SOURCES, truncation=True, max_length=5, padding=True)
    tokenizers.save(tmp_path)
    saved = json.loads((tmp_path / "tokenizer.json").read_text())
    assert saved["truncation"] is None
    assert saved["padding"] is None


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_the_cached_tokenizer_is_the_trained_one(cache: Path, kind: str) -> None:
    options = NewTokenizer(tokenizer_type=kind, **size_of(kind))
    trained = train_tokenizers(SOURCES, TARGETS, options)
    (file,) = cache.iterdir()
    written = file.stat().st_mtime_ns
    assert content(train_tokenizers(SOURCES, TARGETS, options)) == content(trained)
    assert file.stat().st_mtime_ns == written


def test_the_cache_is_read(cache: Path) -> None:
    options = NewTokenizer(tokenizer_type="char")
    train_tokenizers(["abc"], ["d"], options)
    (file,) = cache.iterdir()
    other = Tokenizer.from_file(str(file))
    other.add_tokens(["from the cache"])
    other.save(str(file))
    assert "from the cache" in train_tokenizers(["abc"], ["d"], options).source.get_vocab()


@pytest.mark.parametrize(
    ("texts", "options"),
    [
        (["abc", "de"], {}),
        (["ab", "cd"], {}),
        (["abc", "d"], {"min_frequency": 2}),
        (["abc", "d"], {"lowercase": True}),
        (["abc", "d"], {"vocab_size": 9}),
        (["abc", "d"], {"tokenizer_type": "word"}),
    ],
)
def test_other_text_or_options_are_trained_again(cache: Path, texts: list[str], options: dict) -> None:
    train_tokenizers(["abc", "d"], [], NewTokenizer(tokenizer_type="char"))
    train_tokenizers(texts, [], NewTokenizer(**({"tokenizer_type": "char"} | options)))
    assert len(list(cache.iterdir())) == 2


def test_a_damaged_cache_file_is_replaced(cache: Path) -> None:
    trained = content(train_tokenizers(SOURCES, TARGETS, NewTokenizer()))
    (file,) = cache.iterdir()
    file.write_bytes(file.read_bytes()[:1000])
    assert content(train_tokenizers(SOURCES, TARGETS, NewTokenizer())) == trained
    assert content(train_tokenizers(SOURCES, TARGETS, NewTokenizer())) == trained
    assert Tokenizer.from_file(str(file)).to_str() == trained


def test_several_at_once_leave_one_whole_file(cache: Path) -> None:
    options = NewTokenizer(tokenizer_type="unigram", vocab_size=400)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: content(train_tokenizers(SOURCES, TARGETS, options)), range(8)))
    assert len(set(found)) == 1
    (file,) = cache.iterdir()
    assert Tokenizer.from_file(str(file)).to_str() == found[0]


def test_a_cache_that_cannot_be_written_stops_nothing(cache: Path) -> None:
    cache.parent.parent.write_text("a file where the folder would be")
    assert train_tokenizers(SOURCES, TARGETS, NewTokenizer()).shared


def test_a_full_disk_leaves_nothing_half_written(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tokenizer_cache.Path, "replace", full)
    assert train_tokenizers(SOURCES, TARGETS, NewTokenizer()).shared
    assert list(cache.iterdir()) == []


def test_sources_are_read_in_a_normal_form_and_targets_as_they_are() -> None:
    options = NewTokenizer(tokenizer_type="char", separate_vocabularies=True, source_normalization="nfd")
    made = train_tokenizers(["한국", "국어"], ["학교"], options)
    assert made.source.tokenize("각") == ["\u1100", "\u1161", "\u11a8"]  # of letters in other syllables
    assert made.source.unk_token_id not in made.source("각언한억").input_ids
    assert made.target.decode(made.target("학교").input_ids, skip_special_tokens=True) == "학교"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "--source-normalization: source and target share a vocabulary"),
        ({"tokenizer_name": "any"}, "a pretrained tokenizer, so --source-normalization has no effect"),
    ],
)
def test_a_normal_form_that_outputs_would_have_too_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        train_tokenizers(SOURCES, TARGETS, NewTokenizer(source_normalization="nfd", **options))


def test_a_vocabulary_of_one_word_is_loaded_and_a_missing_one_is_not(tmp_path: Path) -> None:
    made = train_tokenizers(SOURCES, ["yes"] * 9, NewTokenizer(tokenizer_type="word", separate_vocabularies=True))
    made.save(tmp_path)
    loaded = Tokenizers.load(tmp_path)
    assert loaded.target.decode(loaded.target("yes").input_ids, skip_special_tokens=True) == "yes"
    T5Config().save_pretrained(tmp_path / "none")
    with pytest.raises(InputError, match="no tokenizer files"):
        Tokenizers.load(tmp_path / "none")


def test_surrogates_in_training_text_are_repaired() -> None:
    tokenizer = train_tokenizers(["a\ud83d\ude42b", "\ud83dc"], [], NewTokenizer(tokenizer_type="char")).source
    assert {"🙂", "\ufffd", "a", "b", "c"} <= set(tokenizer.get_vocab())


def test_empty_text_is_refused() -> None:
    with pytest.raises(InputError, match="every target is empty"):
        train_tokenizers(SOURCES, ["", " \n"], NewTokenizer(separate_vocabularies=True))


def test_a_target_vocabulary_that_is_too_small_is_named() -> None:
    with pytest.raises(InputError, match="--target-vocab-size: 50 is too small for a bpe"):
        train_tokenizers(SOURCES, TARGETS, NewTokenizer(target_vocab_size=50))


def test_a_ready_tokenizer_takes_the_place_of_training(tmp_path: Path) -> None:
    options = NewTokenizer(tokenizer_type="char", target_tokenizer_type="word")
    made = train_tokenizers(SOURCES, TARGETS, options)
    made.save(tmp_path)
    ready = train_tokenizers(["other"], ["text"], NewTokenizer(tokenizer_name=str(tmp_path)))
    assert not ready.shared
    assert ready.source.get_vocab() == made.source.get_vocab()
    assert ready.target.get_vocab() == made.target.get_vocab()


@pytest.mark.parametrize("missing", ["pad_token", "eos_token"])
def test_a_ready_tokenizer_without_a_special_token_is_refused(tmp_path: Path, missing: str) -> None:
    made = train_tokenizers(SOURCES, TARGETS, NewTokenizer()).source
    roles = {role: token for role, token in made.special_tokens_map.items() if role != missing}
    PreTrainedTokenizerFast(tokenizer_object=made.backend_tokenizer, **roles).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=f"--tokenizer-name: .* has no {missing}"):
        train_tokenizers(SOURCES, TARGETS, NewTokenizer(tokenizer_name=str(tmp_path)))


def test_a_ready_tokenizer_and_a_kind_to_train_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--target-tokenizer-type has no effect"):
        train_tokenizers(SOURCES, TARGETS, NewTokenizer(tokenizer_name=str(tmp_path), target_tokenizer_type="word"))


@pytest.mark.parametrize("config", [T5Config(), BertConfig(), None], ids=["t5", "bert", "empty"])
def test_a_folder_without_tokenizer_files_is_refused(tmp_path: Path, config: T5Config | BertConfig | None) -> None:
    if config is not None:
        config.save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"no (loadable )?tokenizer"):
        train_tokenizers(SOURCES, TARGETS, NewTokenizer(tokenizer_name=str(tmp_path)))


@pytest.mark.parametrize("most", ["abc", True, 0, [5]])
def test_a_longest_text_that_is_no_number_is_refused(most: Any) -> None:
    found = train_tokenizers(SOURCES, TARGETS, NewTokenizer()).source
    found.model_max_length = most
    with pytest.raises(
        InputError, match=r"here: its tokenizer_config\.json has a model_max_length of .*, not a number"
    ):
        check_longest(found, "here")


def test_a_damaged_tokenizer_file_is_refused(tmp_path: Path) -> None:
    train_tokenizers(SOURCES, TARGETS, NewTokenizer()).save(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0"')
    with pytest.raises(InputError, match="no loadable tokenizer in this folder") as caught:
        Tokenizers.load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["nobody/nothing", "/no/such/folder", "three/part/name"])
def test_a_name_that_is_nowhere_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"{name}: no such folder"):
        Tokenizers.load(name)


def test_a_hub_that_cannot_be_reached_is_not_waited_for(torch_processes: Any, tmp_path: Path) -> None:
    program = "from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers; Tokenizers.load('nobody/nothing')"
    network = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    began = time.monotonic()
    run = torch_processes.run(program=program, environment=os.environ | network)
    assert time.monotonic() - began < 30
    assert "InputError: nobody/nothing: no such folder" in run.stderr
    assert "Retrying" not in run.stderr
