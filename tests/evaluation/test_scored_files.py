"""Files read a window at a time: the same scores for any window, and memory that does not grow with the rows."""

import tracemalloc
from pathlib import Path

import pytest
import sacrebleu

from hf_seq2seq.errors import InputError
from hf_seq2seq.evaluation import scored_files
from hf_seq2seq.evaluation.baseline_runs import Significance
from hf_seq2seq.evaluation.scored_files import Files, score_windows
from hf_seq2seq.evaluation.scoring import Truth, score_files
from hf_seq2seq.metrics import TEXT_METRICS
from hf_seq2seq.metrics.corpus import Corpus

SAID = [f"the {a} dog {b} runs home over the {c}" for a in ("red", "old") for b in range(10) for c in ("road", "field")]
TRUE = [text.replace("runs", "ran").replace("the red", "a red") for text in SAID]


def write(folder: Path, rows: int) -> tuple[list[str], list[str]]:
    for name, texts in (("said.txt", SAID), ("true.txt", TRUE)):
        with (folder / name).open("w") as file:
            file.writelines(texts[row % len(texts)] + "\n" for row in range(rows))
    return [str(folder / "said.txt")], [str(folder / "true.txt")]


def score(files: Files) -> Corpus:
    corpus = Corpus({"bleu": TEXT_METRICS["bleu"]})
    score_windows({"said": corpus}, files)
    return corpus


@pytest.mark.parametrize("window", [1, 7, 1000])
def test_the_window_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    monkeypatch.setattr(scored_files, "WINDOW", window)
    corpus = score(Files(*write(tmp_path, 30), "utf-8"))
    assert corpus.scores()["bleu"] == pytest.approx(sacrebleu.corpus_bleu(SAID[:30], [TRUE[:30]]).score)
    assert corpus.rows == 30


def test_memory_does_not_grow_with_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scored_files, "WINDOW", 100)

    def peak(rows: int) -> int:
        files = write(tmp_path, rows)
        tracemalloc.start()
        assert score(Files(*files, "utf-8")).rows == rows
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(500)  # sacreBLEU keeps the tokens of the texts that it saw last
    assert peak(2500) < 1.2 * peak(500)


@pytest.mark.parametrize(("said", "true"), [(2500, 1300), (1300, 2500), (1000, 1001)])
def test_unequal_counts_are_counted_to_the_end(tmp_path: Path, said: int, true: int) -> None:
    predictions, _ = write(tmp_path, said)
    (tmp_path / "more.txt").write_text("x\n" * true)
    with pytest.raises(InputError, match=rf"more\.txt: {true} references for {said} predictions in .*said\.txt"):
        score(Files(predictions, [str(tmp_path / "more.txt")], "utf-8"))


def test_empty_predictions_are_counted_over_all_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scored_files, "WINDOW", 2)
    _, references = write(tmp_path, 5)
    (tmp_path / "said.txt").write_text("\na\nb\n \nc\n")
    corpus = Corpus({"bleu": TEXT_METRICS["bleu"]})
    assert score_windows({"said": corpus}, Files([str(tmp_path / "said.txt")], references, "utf-8")) == {"said": 2}


def test_an_empty_line_of_several_files_is_no_reference_for_any_metric(tmp_path: Path) -> None:
    texts = {"p": "a b c d e\nf g h i j\n", "r1": "a b c d e\nf g h i k\n", "r2": "a b c x e\n\n"}
    files = {}
    for name, text in texts.items():
        files[name] = str(tmp_path / f"{name}.txt")
        Path(files[name]).write_text(text)
    truth = Truth((files["r1"], files["r2"]))
    alone = score_files(files["p"], truth, ("bleu", "exact_match"), Significance())
    beside = score_files(files["p"], truth, ("bleu", "exact_match", "squad"), Significance())
    assert {name: beside[name] for name in alone} == alone
    assert "squad_f1" in beside or "f1" in beside


def test_many_columns_are_not_all_named(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text(",".join(f"column_{n}" for n in range(200)) + "\n" + "1," * 199 + "1\n")
    with pytest.raises(InputError, match=r"has columns column_0, .*…, but none named 'prediction'") as error:
        list(scored_files.read_cells(str(file), "prediction", "utf-8"))
    assert len(str(error.value)) < 250 + len(str(file))
