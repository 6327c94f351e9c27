"""Small pictures as SVG, drawn without a library so that they take the page's colours and weigh little.

Text and axes have `currentColor`, which is that of the page around the picture; no style is inline, which the page's
policy forbids.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

COLORS = ("#3D8FD1", "#D55E00", "#009E73", "#CC79A7")
"""Legible on white and on black."""
WIDTH, HEIGHT = 640, 280
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 14, 44
Points = Sequence[tuple[float, float]]


def bars(labels: Sequence[str], values: Sequence[float], what: str) -> str:
    """Horizontal bars from zero, one below the other.

    Args:
        labels: one per bar.
        values: their lengths; a bar of NaN is left out.
        what: what they show.
    """
    finite = [value for value in values if math.isfinite(value)]
    low, high = min([0.0, *finite]), max([0.0, *finite])
    left, right, step = 200, 60, 26
    scale = (WIDTH - left - right) / ((high - low) or 1.0)
    parts = []
    for number, (label, value) in enumerate(zip(labels, values, strict=True)):
        top = TOP + number * step
        parts.append(_text(left - 8, top + 14, label, "end"))
        if math.isfinite(value):
            start, end = (left + (edge - low) * scale for edge in sorted((0.0, value)))
            size = f'width="{max(end - start, 0.5):.1f}" height="{step - 8}" fill="{COLORS[0]}"'
            parts.append(f'<rect x="{start:.1f}" y="{top}" {size}/>')
            parts.append(_text(end + 6, top + 14, f"{value:.4g}"))
    height = TOP + step * len(labels) + 24
    parts.append(_text((left + WIDTH - right) / 2, height - 6, what, "middle"))
    return _svg(parts, what, height=height)


def columns(labels: Sequence[str], values: Sequence[float], what: str, across: str) -> str:
    """Vertical bars from zero, for histograms.

    Args:
        labels: one per bar.
        values: their heights; a bar of NaN is left out.
        what: name of the vertical axis.
        across: name of the horizontal axis.
    """
    finite = [value for value in values if math.isfinite(value)]
    low, high = _rounded(min([0.0, *finite]), max([0.0, *finite]))
    place = _scale(low, high)
    step = (WIDTH - LEFT - RIGHT) / max(1, len(labels))
    parts = [_axis(low, high, what, across)]
    every = max(1, math.ceil(len(labels) * max(map(len, labels), default=1) * 7 / (WIDTH - LEFT)))
    for number, (label, value) in enumerate(zip(labels, values, strict=True)):
        start = LEFT + number * step
        if math.isfinite(value):
            top, bottom = place(max(value, 0)), place(min(value, 0))
            size = f'width="{step * 0.8:.1f}" height="{max(bottom - top, 0.5):.1f}" fill="{COLORS[0]}"'
            tip = f"<title>{escape(label)}: {value:.4g}</title>"
            parts.append(f'<rect x="{start + step * 0.1:.1f}" y="{top:.1f}" {size}>{tip}</rect>')
        if number % every == 0:
            parts.append(_text(start + step / 2, HEIGHT - BOTTOM + 16, label, "middle"))
    return _svg(parts, f"{what} by {across}")


def lines(
    series: Mapping[str, Points], what: str, across: str, diagonal: bool = False, ticks: Sequence[str] = ()
) -> str:
    """Points joined by lines.

    Args:
        series: points by name, left to right; those of NaN are left out.
        what: name of the vertical axis.
        across: name of the horizontal axis.
        diagonal: also draw the line on which both are equal; axes of shares go from 0 to 1.
        ticks: names of the places 0, 1, … on the horizontal axis, in place of numbers.
    """
    kept = {name: [p for p in points if all(map(math.isfinite, p))] for name, points in series.items()}
    every = [point for points in kept.values() for point in points] or [(0.0, 0.0)]
    xs, ys = zip(*every, strict=True)
    left, right = (min(xs), max(xs)) if max(xs) > min(xs) else (min(xs) - 0.5, max(xs) + 0.5)
    low, high = _rounded(min(0.0, *ys), max(ys))
    if diagonal and min(*xs, *ys) >= 0 and max(*xs, *ys) <= 1:
        left, right, low, high = 0.0, 1.0, 0.0, 1.0
    legend = 16 * len(kept) if len(kept) > 1 else 0
    place = _scale(low, high)
    across_at = lambda x: LEFT + (x - left) / (right - left) * (WIDTH - LEFT - RIGHT)  # noqa: E731
    parts = [_axis(low, high, what, across)]
    marks = [(x, f"{x:.6g}") for x in round_numbers(left, right, 8)] if not ticks else list(enumerate(ticks))
    parts += [_text(across_at(x), HEIGHT - BOTTOM + 16, mark, "middle") for x, mark in marks]
    if diagonal:
        ends = [(max(low, left), max(low, left)), (min(high, right), min(high, right))]
        path = " ".join(f"{across_at(x):.1f},{place(y):.1f}" for x, y in ends)
        parts.append(f'<polyline points="{path}" fill="none" stroke="currentColor" stroke-dasharray="4 4"/>')
    for number, (name, points) in enumerate(kept.items()):
        color = COLORS[number % len(COLORS)]
        path = " ".join(f"{across_at(x):.1f},{place(y):.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        for x, y in points if len(points) <= 60 else ():
            tip = f"<title>{escape(name)}: {x:.4g}, {y:.4g}</title>"
            parts.append(f'<circle cx="{across_at(x):.1f}" cy="{place(y):.1f}" r="3" fill="{color}">{tip}</circle>')
        if len(kept) > 1:
            top = 16 * (number - len(kept))  # above the axes, so that no line runs through it
            parts.append(f'<rect x="{LEFT + 8}" y="{top}" width="10" height="10" fill="{color}"/>')
            parts.append(_text(LEFT + 23, top + 9, name))
    parts = [f'<g transform="translate(0 {legend})">', *parts, "</g>"] if legend else parts
    return _svg(parts, f"{what} by {across}", height=HEIGHT + legend)


def heat(weights: np.ndarray, down: Sequence[str], across: Sequence[str], what: str) -> str:
    """A heat map of weights from 0 to 1.

    Args:
        weights: `(down, across)`.
        down: names of the rows.
        across: names of the columns.
        what: what it shows.
    """
    cell, left = 18, 8 + 7 * min(16, max(map(len, down), default=1))
    top = 8 + 7 * min(16, max(map(len, across), default=1))
    parts = []
    for row, name in enumerate(down):
        parts.append(_text(left - 6, top + cell * row + 13, _short(name), "end"))
    for column, name in enumerate(across):
        x = left + cell * column + 12
        turn = f'transform="rotate(-90 {x} {top - 6})"'
        parts.append(f'<text x="{x}" y="{top - 6}" fill="currentColor" {turn}>{escape(_short(name))}</text>')
    for (row, column), weight in np.ndenumerate(weights[: len(down), : len(across)]):
        if weight >= 0.005:
            place = f'x="{left + cell * column}" y="{top + cell * row}" width="{cell}" height="{cell}"'
            parts.append(f'<rect {place} fill="{COLORS[0]}" fill-opacity="{weight:.2f}"/>')
    frame = f'x="{left}" y="{top}" width="{cell * len(across)}" height="{cell * len(down)}"'
    parts.append(f'<rect {frame} fill="none" stroke="currentColor" stroke-opacity="0.4"/>')
    return _svg(parts, what, left + cell * len(across) + 8, top + cell * len(down) + 8)


def standalone(picture: str) -> str:
    """A picture as a file of its own, on white."""
    start = picture.index(">") + 1
    ground = '<rect width="100%" height="100%" fill="#ffffff" color="#1b1b1b"/><g color="#1b1b1b">'
    return f"{picture[:start]}{ground}{picture[start:].replace('</svg>', '</g></svg>')}\n"


def _scale(low: float, high: float):  # type: ignore[no-untyped-def]
    return lambda value: TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)


def round_numbers(low: float, high: float, most: int = 6) -> list[float]:
    """Up to `most` round numbers from `low` to `high`, a multiple of 1, 2 or 5 apart."""
    rough = ((high - low) or 1.0) / (most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(times * power for times in (1, 2, 5, 10) if times * power >= rough * (1 - 1e-9))
    return [n * step for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _rounded(low: float, high: float) -> tuple[float, float]:
    """Bounds of an axis, widened to round numbers; different ones, even of equal values."""
    if high == low:
        return low, low + 1.0
    step = np.diff(round_numbers(low, high)).max(initial=0.0) or high - low
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step


def _axis(low: float, high: float, what: str, across: str) -> str:
    place = _scale(low, high)
    parts = []
    for value in round_numbers(low, high):
        y = place(value)
        ends = f'x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"'
        parts.append(f'<line {ends} stroke="currentColor" stroke-opacity="0.2"/>')
        parts.append(_text(LEFT - 6, y + 4, f"{value:.6g}", "end"))
    middle = (HEIGHT - BOTTOM + TOP) / 2
    turn = f'transform="rotate(-90 12 {middle})"'
    parts.append(f'<text x="12" y="{middle}" text-anchor="middle" fill="currentColor" {turn}>{escape(what)}</text>')
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, across, "middle"))
    return "".join(parts)


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    shown = escape(_short(text, 60))
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor">{shown}</text>'


def _short(text: str, most: int = 16) -> str:
    """Without control characters, which XML forbids."""
    text = "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
    return text if len(text) <= most else text[: most - 1] + "…"


def _svg(parts: Sequence[str], what: str, width: float = WIDTH, height: float = HEIGHT) -> str:
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    font = 'font-family="system-ui, sans-serif" font-size="12"'
    label = f'role="img" aria-label="{escape(what)}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font} {label}>{"".join(parts)}</svg>'
