"""The pictures of a run, read back as pixels."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from hf_seq2seq.analysis.pictures import COUNTED_CLASSES, LINES, TRAINING, VALIDATION, _top, draw_confusion, draw_losses

TRAIN_LINES = [{"step": step, "epoch": 0.1, "loss": 5 / step, "learning_rate": 1e-3} for step in range(1, 60)]
EVAL_LINES = [{"step": step, "eval_loss": 6 / step, "eval_bleu": 1.0} for step in (20, 40)]


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def share_of(picture: np.ndarray, color: str) -> float:
    return float((np.abs(picture[..., :3] - to_rgb(color)).max(axis=-1) < 0.02).mean())


def losses(folder: Path, lines: list[dict]) -> np.ndarray:
    log = folder / "train_log.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    draw_losses(log, folder / "loss.png")
    return imread(folder / "loss.png")


@pytest.mark.parametrize(
    ("lines", "training", "validation"),
    [
        (TRAIN_LINES + EVAL_LINES, True, True),
        (TRAIN_LINES, True, False),
        (TRAIN_LINES[:1], True, False),
        (EVAL_LINES[:1], False, True),
        ([{"step": 5, "loss": float("nan")}, {"step": 10, "loss": 2.0}], True, False),
        ([], False, False),
    ],
)
def test_each_loss_is_drawn_where_it_was_logged(tmp_path, lines, training, validation):
    picture = losses(tmp_path, lines)
    assert picture.shape[0] > 500
    assert (share_of(picture, TRAINING) > 1e-4) == training
    assert (share_of(picture, VALIDATION) > 1e-4) == validation


def test_a_single_point_is_visible(tmp_path):
    picture = losses(tmp_path, TRAIN_LINES[:1])
    middle = picture[picture.shape[0] // 3 : picture.shape[0] * 2 // 3]  # without the legend
    assert share_of(middle, TRAINING) > 1e-4


def height_of(picture: np.ndarray, color: str, columns: slice) -> float:
    """How high a colour stands in the middle of some columns, as a share of the picture from its top."""
    rows, _ = np.nonzero(np.abs(picture[:, columns, :3] - to_rgb(color)).max(axis=-1) < 0.02)
    return float(np.median(rows) / picture.shape[0])


def test_one_outlier_does_not_flatten_the_rest(tmp_path):
    lines = [{"step": step, "loss": 3 - step / 50} for step in range(1, 100)]
    plain = losses(tmp_path, lines)
    for value in (900.0, 1e30):
        lines[49] = {"step": 50, "loss": value}
        spiked = losses(tmp_path, lines)
        early, late = slice(150, 300), slice(850, 1000)
        for columns in (early, late):
            assert height_of(spiked, TRAINING, columns) == pytest.approx(height_of(plain, TRAINING, columns), abs=0.03)
        # a triangle at the top, where the plain line has nothing
        middle = (slice(0, 60), slice(450, 650))
        assert share_of(plain[middle], TRAINING) == 0
        assert share_of(spiked[middle], TRAINING) > 0


def test_a_steep_start_is_seen_whole(tmp_path):
    assert _top([5 / step for step in range(1, 60)]) is None
    assert _top([100.0, 1.0]) is None
    assert _top([2.0] * 30 + [11.0]) == 2.0
    assert _top([0.0] * 30) is None


@pytest.mark.parametrize("written", ["null", "NaN", "Infinity"])
def test_a_loss_that_is_not_finite_is_marked_at_its_place(tmp_path, written):
    log = tmp_path / "train_log.jsonl"
    healthy = [json.dumps({"step": step, "loss": 3.0}) for step in range(1, 51)]
    log.write_text("\n".join([*healthy, *(f'{{"step": {step}, "loss": {written}}}' for step in range(51, 101))]))
    draw_losses(log, tmp_path / "loss.png")
    picture = imread(tmp_path / "loss.png")
    height = picture.shape[0]
    bottom = picture[int(height * 0.75) : int(height * 0.9)]
    assert share_of(bottom[:, 150:500], TRAINING) == 0
    assert share_of(bottom[:, 650:1000], TRAINING) > 0.001  # the axis extends to the last step
    line = picture[int(height * 0.3) : int(height * 0.7)]
    assert share_of(line[:, 150:500], TRAINING) > 0.001
    assert share_of(line[:, 650:1000], TRAINING) == 0


def test_every_named_set_has_a_line(tmp_path):
    lines = [
        {"step": step, "eval_loss": 2.5, "eval_samples": 9}
        | {
            key: value
            for number, name in enumerate(("de", "de_at", "masked"))
            for key, value in ((f"eval_{name}_loss", 1.0 + number), (f"eval_{name}_samples", 3))
        }
        for step in (10, 20)
    ]
    picture = losses(tmp_path, lines)
    assert all(share_of(picture, color) > 1e-4 for color in LINES[1:5])
    assert share_of(losses(tmp_path, EVAL_LINES), LINES[2]) == 0
    one = [{"step": 5, "eval_loss": 2.0, "eval_de_loss": 2.0, "eval_de_samples": 3, "eval_masked_loss": 1.0}]
    assert share_of(losses(tmp_path, one), LINES[2]) == 0


def test_colour_is_the_share_of_the_true_class(tmp_path):
    full = "#08306b"
    draw_confusion(np.array([[0, 9], [0, 3]]), ["neg", "pos"], tmp_path / "all_predicted_pos.png")
    assert share_of(imread(tmp_path / "all_predicted_pos.png"), full) > 0.15
    draw_confusion(np.array([[0, 0], [9, 3]]), ["neg", "pos"], tmp_path / "all_truly_pos.png")
    assert share_of(imread(tmp_path / "all_truly_pos.png"), full) < 0.02


@pytest.mark.parametrize("classes", [2, COUNTED_CLASSES, COUNTED_CLASSES + 1, 150])
def test_any_number_of_classes_fits(tmp_path, classes):
    matrix = 100 * np.eye(classes, dtype=np.int64)
    draw_confusion(matrix, [f"class-{i}" for i in range(classes)], tmp_path / "confusion.png")
    height, width, _ = imread(tmp_path / "confusion.png").shape
    assert 300 < height < 4000
    assert 300 < width < 4000


def test_labels_of_any_kind_are_drawn_without_a_warning(tmp_path):
    names = ["", "négatif", "Ярость", "中立", "$x_1", r"$\frac{$", "⌗", "\u0378", "tab\there\nline", "long " * 30]
    draw_confusion(np.zeros((10, 10), dtype=np.int64), names, tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").stat().st_size > 5000
