"""`compare`: its figures against computations by hand, runs and their seeds, and what it refuses."""

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hf_seq2seq
from hf_seq2seq.analysis.system_charts import Scale, front
from hf_seq2seq.errors import InputError
from hf_seq2seq.evaluation.compared_systems import read_systems
from hf_seq2seq.evaluation.comparison_scores import Resampling, holm, length_groups, p_value, system_draws
from hf_seq2seq.evaluation.comparison_texts import by_frequency, marked, ngrams_apart
from hf_seq2seq.metrics import TEXT_METRICS
from hf_seq2seq.metrics.corpus import Corpus
from hf_seq2seq.metrics.resampling import Sample, bootstrap

REFERENCES = [f"word{n} is a {'long ' * (n % 5)}line" for n in range(60)]
GOOD = [text if n % 3 else text.replace("is", "was") for n, text in enumerate(REFERENCES)]
BAD = [text if n % 2 else "nothing <b>at</b> all" for n, text in enumerate(REFERENCES)]
OTHER_SEED = [text if n % 4 else "x" for n, text in enumerate(REFERENCES)]
HOSTILE = "<script>alert(1)</script> & </td>"


def sample(texts: list[str]) -> Sample:
    corpus = Corpus({"chrf": TEXT_METRICS["chrf"]}, keep=True)
    corpus.add(texts, [[text] for text in REFERENCES])
    return corpus.sample("chrf")


def test_one_run_is_resampled_by_rows_and_several_also_by_seeds() -> None:
    resampling = Resampling(resamples=4000)
    samples = [sample(GOOD), sample(BAD), sample(OTHER_SEED)]
    (alone,) = system_draws(samples[:1], resampling, 0).T
    np.testing.assert_array_equal(alone, bootstrap(samples[0], 4000)[:, 0])
    (drawn,) = system_draws(samples, resampling, 0).T
    each = np.stack([bootstrap(one, 4000)[:, 0] for one in samples])
    between = np.var([one.score()[0] for one in samples], ddof=1) / 3
    assert drawn.mean() == pytest.approx(each.mean(), rel=0.02)
    assert drawn.var() == pytest.approx(each.mean(0).var() + between, rel=0.15)  # the two sources of variance add up


def test_p_values_are_two_sided_and_adjusted_for_their_number() -> None:
    noise = np.random.default_rng(0).normal(size=100_000)
    assert p_value(noise + 1.96, 1.96) == pytest.approx(0.05, abs=0.003)
    assert p_value(noise, 0.0) == 1.0
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_groups_by_length_hold_every_row_once() -> None:
    lengths = [1] * 50 + list(range(2, 60))
    groups = length_groups(lengths)
    assert sorted(np.concatenate([rows for _, rows in groups]).tolist()) == list(range(len(lengths)))
    assert groups[0][0] == "1"
    assert min(len(rows) for _, rows in groups) >= 10
    assert length_groups([3, 3])[0][0] == "3"


def test_words_are_counted_by_frequency_as_by_hand() -> None:
    (rare, common) = by_frequency({"a": [["the cat", "the"]]}, [["the dog"], ["the"]], {"the": 5, "dog": 1})
    (unseen,) = by_frequency({"a": [["the cat", "the"]]}, [["the cats", "b"], ["the"]], {"the": 5, "b": 2})[:1]
    assert (rare["frequency"], rare["words"], rare["systems"]["a"]) == ("1", 1, 0.0)
    assert (common["frequency"], common["words"], common["systems"]["a"]) == ("5–9", 2, 100.0)
    assert unseen["systems"]["a"] == 0.0


def test_ngrams_that_one_has_right_more_often() -> None:
    found = ngrams_apart([["a b c", "d"]], [["a x", "d"], ["a b", "d"]], [["a b c"], ["d"]], 5)
    assert found[0] == {"ngram": "a b c", "first": 1.0, "second": 0.0, "z": 1.0}
    assert {"ngram": "a b", "first": 1.0, "second": 0.5, "z": pytest.approx(0.5 / 1.5**0.5)} in found
    assert "c" not in [each["ngram"] for each in found]  # stands within "a b c"


def test_marks_are_on_the_words_that_differ() -> None:
    left, right = marked("a small red dog", "a red  cat")
    assert "".join(text for text, _ in left) == "a small red dog"
    assert "".join(text for text, _ in right) == "a red  cat"
    assert "dog" in "".join(text for text, own in left if own)
    assert "red" not in "".join(text for text, own in left if own)


def test_the_front_has_what_no_other_beats() -> None:
    points = {"small": (1.0, 10.0), "worse": (2.0, 9.0), "large": (3.0, 20.0)}
    assert front(points, greater=True, cheap_first=True) == ["small", "large"]
    assert front(points, greater=False, cheap_first=True) == ["small", "worse"]
    assert front(points, greater=True, cheap_first=False) == ["large"]


def test_texts_from_python_with_seeds(tmp_path: Path) -> None:
    systems = {"base": BAD, "mine": [GOOD, OTHER_SEED]}
    found = hf_seq2seq.compare(systems, REFERENCES, metrics="chrf,exact_match", output_dir=tmp_path / "out")
    base, mine = found.figures["systems"]
    right = hf_seq2seq.evaluate(GOOD, REFERENCES, ["chrf", "exact_match"])
    assert mine["scores"]["chrf"]["runs"][0] == pytest.approx(right["chrf"])
    assert mine["scores"]["exact_match"]["score"] == pytest.approx((100 * 40 / 60 + 75) / 2)
    assert mine["scores"]["exact_match"]["seeds_sd"] == pytest.approx(np.std([100 * 40 / 60, 75], ddof=1))
    assert "seeds_sd" not in base["scores"]["chrf"]
    alone = hf_seq2seq.evaluate(BAD, REFERENCES, ["chrf"], confidence=95)
    assert base["scores"]["chrf"]["low"] == pytest.approx(alone["chrf_low"])
    (pair,) = found.figures["pairs"]
    assert (pair["first"], pair["second"]) == ("mine", "base")
    assert pair["agreement"]["both_right"] == pytest.approx(100 * 20 / 60)  # odd, and no multiple of 3
    assert "mine (2 seeds)" in found.table


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.append(tag)


def test_the_page_escapes_texts_and_names(tmp_path: Path) -> None:
    texts = [HOSTILE, *GOOD[1:]]
    found = hf_seq2seq.compare({"<i>base": BAD, "b": texts}, REFERENCES, metrics="chrf", output_dir=tmp_path / "out")
    page = found.page.read_text()
    tags = Tags()
    tags.feed(page)
    assert tags.seen.count("script") == 2  # the page's own: data and code
    assert not {"b", "i"} & set(tags.seen)
    assert {"ins", "del", "svg"} <= set(tags.seen)
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    assert {file.name for file in found.folder.glob("*.svg")} >= {"quality-by-length.svg", "quality-by-frequency.svg"}
    assert json.loads((found.folder / "comparison.json").read_text())["rows"] == 60


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("compared")
    rows = "".join(f"{text}\t{text[::-1]}\n" for text in ["ab ba", "abc cba", "bca acb", "ca ac", "bb aac", "c a"])
    for name in ("train", "test"):
        (folder / f"{name}.tsv").write_text("source\ttarget\n" + rows)
    sizes: dict[str, Any] = {"hidden_size": 8, "embedding_size": 8, "tokenizer_type": "char", "max_target_length": 8}
    files = {f"{name}_file": str(folder / f"{name}.tsv") for name in ("train", "test")}
    run = hf_seq2seq.train(
        "rnn", **files, output_dir=folder / "one", use_cpu=True, max_steps=2, metrics="chrf", **sizes
    )
    assert run.folder == folder / "one"
    return folder


def test_folders_of_runs_and_files(runs: Path, tmp_path: Path) -> None:
    """The rows come from the run, and a model without predictions writes its own."""
    shutil.copytree(runs / "one", tmp_path / "two")
    (tmp_path / "two/generated_predictions.txt").unlink()
    (tmp_path / "three.txt").write_text("ab\n" * 6)
    places = [runs / "one", tmp_path / "two", tmp_path / "three.txt"]
    found = hf_seq2seq.compare(places, output_dir=tmp_path / "out", resamples=100).figures
    one, two, three = found["systems"]
    results = json.loads((runs / "one/all_results.json").read_text())
    assert one["scores"]["chrf"]["score"] == two["scores"]["chrf"]["score"] == pytest.approx(results["predict_chrf"])
    assert one["costs"]["train_cpu_seconds"] == results["train_cpu_time"]
    network = hf_seq2seq.load(runs / "one").network
    assert one["costs"]["parameters"] == two["costs"]["parameters"] == sum(p.numel() for p in network.parameters())
    assert not three["costs"]
    assert found["by_length"]["text"] == "source"
    assert found["by_frequency"]["counted_in"].endswith("train.tsv")
    assert found["pairs"][0]["agreement"]["identical"] == 100


def test_names_of_any_length_and_files_with_commas(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "a,b.txt").write_text("ab\n" * 6)
    long = "x" * 300
    systems = read_systems([f"{long}={runs / 'one'}", f"commas={tmp_path / 'a,b.txt'}"])
    assert [system.name for system in systems] == [long, "commas"]
    assert systems[1].runs[0].predictions == ["ab"] * 6


def test_flags_of_the_search_write_anew(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("ab\n" * 6)
    places = [runs / "one", tmp_path / "b.txt"]
    flags: dict[str, Any] = {"output_dir": tmp_path / "out", "resamples": 100, "max_new_tokens": 1}
    before = (runs / "one/generated_predictions.txt").read_text()
    found = hf_seq2seq.compare(places, **flags).figures
    assert max(map(len, before.splitlines())) > 1
    assert all(len("".join(text for text, _ in row["second"])) <= 1 for row in found["apart"][0]["rows"])
    assert found["systems"][0]["costs"]["rows_per_second"] > 0


def test_words_are_counted_in_the_runs_training_rows_whatever_is_tested(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "other.tsv").write_text("source\ttarget\nab\tba\nbb\tbb\n")
    (tmp_path / "b.txt").write_text("ab\n" * 2)
    flags: dict[str, Any] = {"test_file": str(tmp_path / "other.tsv"), "resamples": 100, "max_new_tokens": 1}
    found = hf_seq2seq.compare([runs / "one", tmp_path / "b.txt"], output_dir=tmp_path / "out", **flags).figures
    assert found["by_frequency"]["counted_in"] == str(runs / "train.tsv")


def test_costs_are_drawn_where_they_differ_and_headings_stand_over_their_numbers(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "one", tmp_path / "two")
    found = hf_seq2seq.compare([runs / "one", tmp_path / "two"], output_dir=tmp_path / "out", resamples=100)
    assert not list(found.folder.glob("score-against-*.svg"))
    assert '<th scope="col" class="number">parameters</th>' in found.page.read_text()
    assert "-0.00" not in found.page.read_text()
    results = tmp_path / "two/all_results.json"
    figures = json.loads(results.read_text())
    results.write_text(json.dumps(figures | {"train_cpu_time": 2 * figures["train_cpu_time"]}))
    again = hf_seq2seq.compare([runs / "one", tmp_path / "two"], output_dir=tmp_path / "again", resamples=100)
    assert [path.stem for path in again.folder.glob("score-against-*.svg")] == ["score-against-train-cpu-seconds"]


def test_costs_have_round_ticks_at_equal_steps() -> None:
    ticks = lambda low, high: Scale(low, high, 0, 1, log=True).ticks(6)  # noqa: E731
    assert ticks(1.28e6, 3.45e6) == [1.5e6, 2e6, 2.5e6, 3e6]
    assert ticks(0.02, 3) == [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2]
    assert ticks(1, 5e9) == [1, 100, 1e4, 1e6, 1e8]


@pytest.mark.parametrize(
    ("systems", "flags", "message"),
    [
        (["one"], {}, "give two systems or more"),
        (["one", "one"], {}, "one is given twice"),
        (["one", "short.txt"], {}, r"short.txt: 2 predictions for 6 rows of test.tsv; compare systems on the same"),
        (
            ["one", "other"],
            {},
            "one and other .* different rows: test.tsv and changed.tsv differ from row 2",
        ),
        (["short.txt", "short2.txt"], {}, "no run says which rows it was tested on; give --references"),
        (["one", "nothing"], {}, "nothing: contains neither predictions nor a model"),
        (["one", "on"], {}, "on: no such folder"),
        (["one", "shor.txt"], {}, "shor.txt: no such file; did you mean 'short.txt'"),
        (["a=one,", "b=other"], {}, "'a=one,' is not NAME=PLACE"),
        (["a=one", "a=other"], {}, "two systems are called a"),
        (["a\nb=one", "other"], {}, r"the name 'a\\nb' has control characters"),
        (["a=one", "\udcff=other"], {}, r"the name '\\udcff' has control characters or broken bytes; give another"),
        (["one", "short.txt"], {"metrics": "bluе"}, "unknown metric"),
        (["one", "short.txt"], {"references": "empty.txt"}, "empty.txt"),
    ],
)
def test_what_cannot_be_compared(
    runs: Path, monkeypatch: pytest.MonkeyPatch, systems: list[str], flags: dict[str, str], message: str
) -> None:
    from hf_seq2seq.cli.compare import compare

    monkeypatch.chdir(runs)
    if not (runs / "other").exists():
        (runs / "other").mkdir()
        (runs / "nothing").mkdir()
        changed = (runs / "test.tsv").read_text().replace("abc cba\tabc cba", "abc cba\tzzz")
        (runs / "changed.tsv").write_text(changed)
        settings = (runs / "one/run.yaml").read_text()
        (runs / "one/run.yaml").write_text(settings.replace(str(runs) + "/", ""))
        (runs / "other/run.yaml").write_text(settings.replace(str(runs) + "/", "").replace("test.tsv", "changed.tsv"))
        (runs / "other/generated_predictions.txt").write_text("ab\n" * 6)
        (runs / "short.txt").write_text("ab\n" * 2)
        (runs / "short2.txt").write_text("ab\n" * 2)
        (runs / "empty.txt").write_text("")
    with pytest.raises(InputError, match=message) as error:
        compare(systems, values={"output_dir": "refused"} | flags)
    assert len(str(error.value).splitlines()) <= 2
    assert not (runs / "refused").exists()


def test_predictions_are_not_compared_with_references_of_other_rows(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs)
    rows = [line.split("\t") for line in (runs / "test.tsv").read_text().splitlines()]
    own = [row for row in rows if row != ["source", "target"]]
    turned = own[1:] + own[:1]
    for name, side, given in (("right", 1, own), ("wrong", 1, turned), ("sources", 0, turned)):
        (tmp_path / name).write_text("".join(f"{row[side]}\n" for row in given))
    systems = [str(runs / "one"), str(tmp_path / "right")]
    flags = {"metrics": ("chrf",), "resamples": 100}
    with pytest.raises(InputError, match=r"one: its predictions are of other rows than .*wrong, from row 1 on; give"):
        hf_seq2seq.compare(systems, references=str(tmp_path / "wrong"), output_dir=tmp_path / "a", **flags)
    same = hf_seq2seq.compare(systems, references=str(tmp_path / "right"), output_dir=tmp_path / "b", **flags)
    files = {"references": str(tmp_path / "wrong"), "sources": str(tmp_path / "sources")}
    again = hf_seq2seq.compare(systems, **files, output_dir=tmp_path / "c", **flags)
    scores = [found.figures["systems"][0]["scores"]["chrf"]["score"] for found in (same, again)]
    assert scores[0] == pytest.approx(scores[1])  # the same rows in another order, generated again


@pytest.mark.parametrize("json_asked", [False, True])
def test_the_command_says_where_its_page_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], json_asked: bool
) -> None:
    from hf_seq2seq.cli.compare import compare

    for name, texts in (("a", BAD), ("b", GOOD), ("right", [row[0] for row in REFERENCES])):
        (tmp_path / name).write_text("".join(f"{text}\n" for text in texts))
    flags = {"references": str(tmp_path / "right"), "output_dir": str(tmp_path / "out"), "metrics": "exact_match"}
    compare([str(tmp_path / "a"), str(tmp_path / "b")], values=flags | {"json": json_asked, "resamples": 100})
    printed = capsys.readouterr()
    assert str(tmp_path / "out/comparison.html") in printed.err
    assert "comparison.html" not in printed.out
    assert json.loads(printed.out)["rows"] == len(BAD) if json_asked else printed.out.startswith("|")
