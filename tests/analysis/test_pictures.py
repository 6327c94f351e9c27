"""The pictures of a run, read back as pixels."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from hf_seq2seq.analysis.pictures import COUNTED_CLASSES, TRAINING, VALIDATION, draw_confusion, draw_losses

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
