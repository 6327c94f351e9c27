"""Charts of several systems as SVG: scores by groups of rows as one curve each, and scores against cost.

Like those of `svg`, they take the colour of the page's text, and have no style of their own.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from hf_seq2seq.analysis.svg import round_numbers

COLORS = ("#3D8FD1", "#D55E00", "#009E73", "#CC79A7", "#B8860B", "#7A6FD0")
"""Legible on white and on black."""
DASHES = ("", "6 3", "2 3", "8 3 2 3")
WIDTH, HEIGHT = 720, 320
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 12, 46
LINE = 17  # of the legend
LONGEST_NAME = 48


@dataclass(frozen=True)
class Scale:
    """From a value to a place on the picture.

    Attributes:
        low: the least value.
        high: the greatest.
        start: place of the least.
        end: place of the greatest.
        log: whether equal ratios take equal room.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The place of a value."""
        low, high, value = (math.log(x) for x in (self.low, self.high, value)) if self.log else (
            self.low, self.high, value
        )  # fmt: skip
        return self.start + (value - low) / ((high - low) or 1.0) * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """About as many round values; where ratios take equal room powers of ten, or also 2 and 5 times those."""
        if self.high == self.low:
            return [self.low]
        for times in ((1,), (1, 2, 5)) if self.log else ():
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            every = [float(f"{each}e{power}") for power in powers for each in times]
            found = [value for value in every if self.low <= value <= self.high]
            if len(found) >= 3:
                return found if len(times) > 1 else found[:: math.ceil(len(found) / count)]
        return round_numbers(self.low, self.high, count + 1)


Points = Sequence[tuple[float, float, float]]
"""A score with the ends of its interval, per group."""


def curves(labels: Sequence[str], series: Mapping[str, Points], what: str, across: str) -> str:
    """One curve per system over groups of rows, with intervals as vertical lines.

    Args:
        labels: of the groups.
        series: score, low and high of every group, by system; NaN leaves an interval out.
        what: name of the vertical axis.
        across: name of the horizontal axis.
    """
    values = [v for points in series.values() for point in points for v in point if math.isfinite(v)]
    up = _padded(values, HEIGHT - BOTTOM, TOP)
    step = (WIDTH - LEFT - RIGHT) / max(1, len(labels))
    parts = _axes(up, what, across)
    for place, label in enumerate(labels):
        parts.append(_text(LEFT + (place + 0.5) * step, HEIGHT - BOTTOM + 17, label, "middle"))
    for number, (name, points) in enumerate(series.items()):
        shift = (number - (len(series) - 1) / 2) * min(8, step * 0.6 / len(series))
        xs = [LEFT + (place + 0.5) * step + shift for place in range(len(points))]
        color = COLORS[number % len(COLORS)]
        stroke = f'stroke="{color}"'
        dash = f' stroke-dasharray="{_dash(number)}"' if _dash(number) else ""
        path = " ".join(f"{x:.1f},{up(score):.1f}" for x, (score, _, _) in zip(xs, points, strict=True))
        parts.append(f'<polyline points="{path}" fill="none" {stroke} stroke-width="2"{dash}/>')
        for x, label, (score, low, high) in zip(xs, labels, points, strict=True):
            if math.isfinite(low):
                ends = f'x1="{x:.1f}" x2="{x:.1f}" y1="{up(low):.1f}" y2="{up(high):.1f}"'
                parts.append(f'<line {ends} {stroke} stroke-opacity="0.6"/>')
            tip = f"<title>{escape(f'{name}, {label}: {score:.4g}')}</title>"
            dot = f'cx="{x:.1f}" cy="{up(score):.1f}" r="3.5" fill="{color}"'
            parts.append(f"<circle {dot}>{tip}</circle>")
    return _svg(parts, list(series), f"{what} by {across}")


def pareto(points: Mapping[str, tuple[float, float]], what: str, across: str, greater: bool, cheap_first: bool) -> str:
    """Scores against cost; a line joins the systems that no other beats in both.

    Args:
        points: cost and score by system.
        what: the score.
        across: the cost.
        greater: whether a higher score is better.
        cheap_first: whether a lower cost is better.
    """
    costs = [cost for cost, _ in points.values()]
    up = _padded([score for _, score in points.values()], HEIGHT - BOTTOM, TOP)
    wide = max(costs) > 1.2 * min(costs)
    low, high = (min(costs) / 1.1, max(costs) * 1.1) if wide else (0.5 * min(costs), 1.5 * max(costs))
    right = Scale(low, high, LEFT, WIDTH - RIGHT, log=True)
    quality = f"{what} ({'higher' if greater else 'lower'} is better)"
    parts = _axes(up, quality, f"{across} ({'less' if cheap_first else 'more'} is better)")
    parts += [_text(right(tick), HEIGHT - BOTTOM + 17, _number(tick), "middle") for tick in right.ticks(6)]
    best = front(points, greater, cheap_first)
    path = " ".join(f"{right(points[name][0]):.1f},{up(points[name][1]):.1f}" for name in best)
    stroke = 'stroke="currentColor" stroke-opacity="0.5" stroke-dasharray="4 4"'
    parts.append(f'<polyline points="{path}" fill="none" {stroke}/>')
    for number, (name, (cost, score)) in enumerate(points.items()):
        tip = f"<title>{escape(f'{name}: {across} {cost:,.4g}, {what} {score:.4g}')}</title>"
        place = f'cx="{right(cost):.1f}" cy="{up(score):.1f}" r="{6 if name in best else 4}"'
        fill = f'fill="{COLORS[number % len(COLORS)]}"'
        parts.append(f'<circle {place} {fill} stroke="currentColor">{tip}</circle>')
        parts.append(_text(right(cost) + 8, up(score) - 6, f"{number + 1}"))
    names = [f"{number}  {name}" for number, name in enumerate(points, start=1)]
    return _svg(parts, names, f"{what} against {across}", dots=True)


def front(points: Mapping[str, tuple[float, float]], greater: bool, cheap_first: bool) -> list[str]:
    """The systems that no other beats in both cost and score, cheapest first."""
    from hf_seq2seq.analysis.pictures import System, frontier

    known = [System(n, "", cost if cheap_first else 1 / cost, score, True) for n, (cost, score) in points.items()]
    least = min(system.cost for system in known)
    # A front asks for the order of costs alone; ratios to the least keep tiny ones apart.
    return [s.name for s in frontier([System(s.name, "", s.cost / least, s.score, True) for s in known], greater)]


def _number(value: float) -> str:
    """Three digits with the letter of a thousand, a million or a billion: 12.3M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _padded(values: Sequence[float], start: float, end: float) -> Scale:
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    room = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    return Scale(low - room, high + room, start, end)


def _dash(number: int) -> str:
    return DASHES[number // len(COLORS) % len(DASHES)]


def _axes(up: Scale, what: str, across: str) -> list[str]:
    parts = []
    for value in up.ticks():
        ends = f'x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up(value):.1f}" y2="{up(value):.1f}"'
        parts.append(f'<line {ends} stroke="currentColor" stroke-opacity="0.2"/>')
        parts.append(_text(LEFT - 6, up(value) + 4, f"{value:.3g}", "end"))
    middle = (HEIGHT - BOTTOM + TOP) / 2
    turn = f'transform="rotate(-90 13 {middle})"'
    parts.append(f'<text x="13" y="{middle}" text-anchor="middle" fill="currentColor" {turn}>{escape(what)}</text>')
    return [*parts, _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, across, "middle")]


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor">{escape(_short(text))}</text>'


def _short(text: str) -> str:
    """A name that fits, without control characters, which XML forbids."""
    text = "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
    return text if len(text) <= LONGEST_NAME else f"…{text[1 - LONGEST_NAME :]}"


def _svg(parts: Sequence[str], names: Sequence[str], what: str, dots: bool = False) -> str:
    """The picture with its legend below."""
    legend = []
    for number, name in enumerate(names):
        x, y = LEFT + (number % 2) * (WIDTH - LEFT) / 2, HEIGHT + 8 + number // 2 * LINE
        color = COLORS[number % len(COLORS)]
        dash = f' stroke-dasharray="{_dash(number)}"' if _dash(number) and not dots else ""
        mark = f'<circle cx="{x + 12:.1f}" cy="{y:.1f}" r="4" fill="{color}"/>' if dots else (
            f'<line x1="{x:.1f}" x2="{x + 24:.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="{color}" stroke-width="3"{dash}/>'
        )  # fmt: skip
        legend += [mark, _text(x + 30, y + 4, name)]
    height = HEIGHT + 8 + LINE * math.ceil(len(names) / 2)
    size = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    font = 'font-family="system-ui, sans-serif" font-size="12"'
    body = "".join([*parts, *legend])
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font} role="img" aria-label="{escape(what)}">{body}</svg>'
