"""Curves of some runs beside each other, as SVG: python tests/bench/draw_game.py OUT.svg LABEL=RUN [LABEL=RUN ...].

What is drawn: variety and distance of dreams at each validation, and how far the judges are ahead at each log line.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

PANELS = (
    ("val/variety", "variety of the dreams (1 = footage, under 0.3 = collapse)", 1e-5, 2.0),
    ("val/distance", "distance from footage", 0.1, 20.0),
    ("judges/frame_margin", "D(x) - D(G)", 0.05, 50.0),
)
COLOURS = ("#c0392b", "#d68910", "#1e8449", "#2471a3")
WIDTH, HEIGHT, LEFT, TOP = 640, 150, 56, 24


def points(run: Path, name: str) -> list[tuple[int, float]]:
    """(step, value) of one scalar of a run."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text("utf-8").splitlines()]
    return [(line["step"], line[name]) for line in lines if name in line and line["step"] > 0]


def main() -> int:
    """Write the file."""
    out, *pairs = sys.argv[1:]
    runs = {label: Path(run) for label, _, run in (pair.partition("=") for pair in pairs)}
    last = max(step for run in runs.values() for step, _ in points(run, "val/distance"))
    full = len(PANELS) * (HEIGHT + 2 * TOP) + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 16} {full}" font-family="sans-serif" '
        f'font-size="12"><rect width="100%" height="100%" fill="white"/>'
    ]
    for row, (name, title, low, high) in enumerate(PANELS):
        top = row * (HEIGHT + 2 * TOP) + TOP

        def y(value: float, top: int = top, low: float = low, high: float = high) -> float:
            share = math.log(min(max(value, low), high) / low) / math.log(high / low)
            return top + HEIGHT * (1 - share)

        parts.append(f'<text x="{LEFT}" y="{top - 7}" fill="#333">{title}, logarithmic</text>')
        for exponent in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1):
            at = y(10.0**exponent)
            parts.append(f'<path d="M{LEFT} {at:.1f}h{WIDTH}" stroke="#ddd"/>')
            parts.append(
                f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end" fill="#777">{10.0**exponent:g}</text>'
            )
        for (_, run), colour in zip(runs.items(), COLOURS, strict=False):
            line = " ".join(f"{LEFT + WIDTH * step / last:.1f},{y(value):.1f}" for step, value in points(run, name))
            parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.8"/>')
    x = LEFT
    for label, colour in zip(runs, COLOURS, strict=False):
        parts.append(f'<path d="M{x} {full - 14}h22" stroke="{colour}" stroke-width="3"/>')
        parts.append(f'<text x="{x + 28}" y="{full - 10}" fill="#333">{label}</text>')
        x += 48 + 7 * len(label)
    parts.append(
        f'<text x="{LEFT + WIDTH}" y="{full - 10}" text-anchor="end" fill="#777">0 to {last} steps</text></svg>'
    )
    Path(out).write_text("\n".join(parts) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
