"""Plots as SVG, written by hand: one file each, no package, nothing loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, isfinite, log10

COLOURS = ("#0b6e99", "#d1495b", "#edae49", "#6a4c93", "#66a182", "#8d6a4f", "#444444", "#b5179e")
_WIDTH, _HEIGHT = 720, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 130, 34, 44


@dataclass(frozen=True)
class Bar:
    """One bar with its interval, if it has one."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None


def lines(title: str, x: Sequence[str], series: Mapping[str, Sequence[float | None]], unit: str) -> str:
    """A line a method over named places; None is left out.

    Args:
        title: of the plot.
        x: the places, evenly apart.
        series: by name, a value a place.
        unit: of the values.
    """
    plot = _Plot(title, unit, [v for values in series.values() for v in values if v is not None], zero=False)
    step = plot.width / max(1, len(x) - 1)
    for i, name in enumerate(x):
        plot.text(_LEFT + i * step, _HEIGHT - _BOTTOM + 16, name, "middle")
    for (name, values), colour in zip(series.items(), _colours(), strict=False):
        points = [(_LEFT + i * step, plot.y(v)) for i, v in enumerate(values) if v is not None]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        plot.add(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        plot.body += [f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{colour}"/>' for px, py in points]
        plot.legend(name, colour)
    return plot.svg()


def bars(title: str, groups: Mapping[str, Sequence[Bar]], unit: str) -> str:
    """Groups of bars around zero, one colour a group, with intervals.

    Args:
        title: of the plot.
        groups: by name; the bars of all groups have the same labels in the same order.
        unit: of the values.
    """
    ends = [v for g in groups.values() for bar in g for v in (bar.value, bar.low, bar.high) if v is not None]
    plot = _Plot(title, unit, ends, zero=True)
    labels = list(dict.fromkeys(bar.label for group in groups.values() for bar in group))
    step = plot.width / max(1, len(labels))
    thick = 0.8 * step / max(1, len(groups))
    for i, label in enumerate(labels):
        x, y = _LEFT + (i + 0.5) * step, _HEIGHT - _BOTTOM + 12
        plot.add(
            f'<text x="{x:.1f}" y="{y}" text-anchor="end" transform="rotate(-30 {x:.1f} {y})">{escape(label)}</text>'
        )
    for number, ((name, group), colour) in enumerate(zip(groups.items(), _colours(), strict=False)):
        for bar in group:
            x = _LEFT + (labels.index(bar.label) + 0.1) * step + number * thick
            top, bottom = sorted((plot.y(bar.value), plot.y(0)))
            plot.add(
                f'<rect x="{x:.1f}" y="{top:.1f}" width="{thick:.1f}" height="{bottom - top:.1f}" fill="{colour}">'
                f"<title>{escape(name)}, {escape(bar.label)}: {bar.value:+.2f} {escape(unit)}</title></rect>"
            )
            if bar.low is not None and bar.high is not None:
                middle = x + thick / 2
                plot.line(middle, plot.y(bar.low), middle, plot.y(bar.high), "#000")
        plot.legend(name, colour)
    return plot.svg()


def calibration(title: str, curves: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Expected against true error, both in code values of 8 bit, on a logarithmic plane with its diagonal.

    Args:
        title: of the plot.
        curves: by name, points (expected, true), both above 0.
    """
    ends = [log10(v) for points in curves.values() for point in points for v in point]
    plot = _Plot(title, "log10 of the true error", ends, zero=False)
    low, high = plot.low, plot.high

    def across(value: float) -> float:
        return _LEFT + (value - low) / (high - low) * plot.width

    plot.line(_LEFT, plot.y(low), across(high), plot.y(high), "#bbb")
    plot.text(_LEFT + plot.width / 2, _HEIGHT - 10, f"log10 of the expected error, {low:g} to {high:g}", "middle")
    for (name, points), colour in zip(curves.items(), _colours(), strict=False):
        path = " ".join(f"{across(log10(x)):.1f},{plot.y(log10(y)):.1f}" for x, y in points)
        plot.add(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        plot.legend(name, colour)
    return plot.svg()


class _Plot:
    """A frame with a scale on its left and a legend on its right."""

    def __init__(self, title: str, unit: str, values: Sequence[float], *, zero: bool) -> None:
        values = [v for v in values if isfinite(v)] or [0.0]
        low, high = min(values), max(values)
        if zero:
            low, high = min(low, 0), max(high, 0)
        tick = _tick((high - low) or 1)
        self.low, self.high = floor(low / tick) * tick, ceil(high / tick) * tick
        if self.high <= self.low:
            self.high = self.low + tick
        self.width, self.body, self._named = _WIDTH - _LEFT - _RIGHT, [], 0  # type: tuple[int, list[str], int]
        self.text(_LEFT, 18, title, "start", weight="bold")
        self.text(_LEFT - 6, _TOP - 6, unit, "end")
        for i in range(round((self.high - self.low) / tick) + 1):
            value = self.low + i * tick
            self.line(_LEFT, self.y(value), _LEFT + self.width, self.y(value), "#000" if abs(value) < 1e-9 else "#ddd")
            self.text(_LEFT - 6, self.y(value) + 4, f"{value:g}" if abs(value) > 1e-9 else "0", "end")

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    def add(self, element: str) -> None:
        self.body.append(element)

    def line(self, x1: float, y1: float, x2: float, y2: float, colour: str) -> None:
        self.add(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>')

    def text(self, x: float, y: float, text: str, anchor: str, weight: str = "normal") -> None:
        where = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}"'
        self.add(f"<text {where}>{escape(text)}</text>")

    def legend(self, name: str, colour: str) -> None:
        y = _TOP + 8 + 18 * self._named
        self._named += 1
        self.add(f'<rect x="{_WIDTH - _RIGHT + 12}" y="{y - 9}" width="10" height="10" fill="{colour}"/>')
        self.text(_WIDTH - _RIGHT + 28, y, name, "start")

    def svg(self) -> str:
        box = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="12"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {box}>'
        return (
            "\n".join((head, f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>', *self.body, "</svg>")) + "\n"
        )


def _tick(span: float) -> float:
    """1, 2 or 5 times a power of ten: four to ten ticks over the span."""
    power = 10.0 ** floor(log10(span / 4))
    return next(k * power for k in (1, 2, 5, 10) if span / (k * power) <= 8)


def _colours() -> list[str]:
    return list(COLOURS) * 4
