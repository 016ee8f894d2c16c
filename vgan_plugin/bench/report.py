"""A finished timing for eyes: rows of a table, and a plot as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

COLUMNS = ("size", "what", "ms", "p95", "CPU ms", "PSNR")
_ABREAST = "side by side"
_LABELS = {"made": "made frame", _ABREAST: "made frame of many, side by side"}
_WIDTH, _BAR, _ROW = 760, 380, 22


def rows(found: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    """The table's rows, in `COLUMNS`."""
    name = found["model"]["name"]
    for size in found["sizes"]:
        shown = f"{size['width']}x{size['height']}"
        yield _row(shown, f"{name}: made frame, x2", size["made"]["x2"], size["psnr"])
        for factor in list(size["made"])[1:]:
            yield _row("", f"{name}: made frame, {factor}", size["made"][factor])
        yield _row("", f"{name}: network only, x2", size["network"]["x2"])
        stages = dict(size["stages"])
        if _ABREAST in stages:
            yield _row("", f"{name}: {_LABELS[_ABREAST]}", stages.pop(_ABREAST))
        for stage, times in sorted(stages.items()):
            yield _row("", f"  {stage}", times)
        for stage in ("decode", "write"):
            yield _row("", f"  {stage}", size["files"][stage])
        for peer in size["against"]:
            for stage, times in peer["stages"].items():
                label = f"{peer['name']}: {_LABELS.get(stage, stage)}"
                yield _row("", label, times, peer["psnr"] if stage == "made" else None)


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """What a table does not hold: whole files, start, memory, nodes that run elsewhere."""
    for size in found["sizes"]:
        cold, files, provider = size["cold"], size["files"], size["provider"]
        shown = f"{size['width']}x{size['height']}"
        yield (
            f"{shown}, files x2: {files['null']['made_per_s']:.1f} made a second thrown away; "
            f"{files['x264']['out_per_s']:.1f} frames out a second with x264 veryfast "
            f"({files['x264']['cpu_ms']:.0f} CPU ms a made frame, the start included)"
        )
        memory = "" if cold["resident_bytes"] is None else f", {cold['resident_bytes'] / 1e6:.0f} MB resident"
        if cold["device_bytes"] is not None:
            memory += f", {cold['device_bytes'] / 1e6:.0f} MB in use on the device"
        yield (
            f"{shown}, a new process: first frame after {cold['seconds']:.1f} s (open {cold['open']:.1f}, "
            f"make {cold['first']:.1f}){memory}"
        )
        if provider["elsewhere"]:
            nodes = ", ".join(f"{count} {op}" for op, count in provider["elsewhere"].items())
            yield f"{shown}: not on {provider['device']}: {nodes}"
        if provider["waits"]:
            yield f"{shown}: {provider['device']} is waited for after each graph: {provider['waits']}"


def plot(found: Mapping[str, Any]) -> str:
    """Milliseconds a made frame, ours and the others', a group of bars a size; each size has a scale of its own."""
    groups = []
    for size in found["sizes"]:
        bars = [(found["model"]["name"], size["made"]["x2"]["ms"])]
        bars += [(peer["name"], peer["stages"]["made"]["ms"]) for peer in size["against"]]
        groups.append((f"{size['width']}x{size['height']}", bars))
    height = sum(_ROW * (len(bars) + 2) for _, bars in groups) + _ROW
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" font-family="sans-serif" '
        f'font-size="13"><rect width="100%" height="100%" fill="#fff"/>'
    ]
    y = _ROW
    for title, bars in groups:
        parts.append(f'<text x="10" y="{y}" font-weight="bold">{escape(title)}: ms a made frame, x2</text>')
        most = max(ms for _, ms in bars)
        for i, (label, ms) in enumerate(bars):
            y += _ROW
            width = max(1.0, _BAR * ms / most)
            parts.append(
                f'<text x="190" y="{y}" text-anchor="end">{escape(label)}</text>'
                f'<rect x="200" y="{y - 13}" width="{width:.1f}" height="16" fill="{"#888" if i else "#26c"}"/>'
                f'<text x="{205 + width:.1f}" y="{y}">{ms:.1f}</text>'
            )
        y += 2 * _ROW
    return "\n".join([*parts, "</svg>", ""])


def _row(size: str, what: str, times: Mapping[str, float], quality: float | None = None) -> Sequence[str]:
    p95 = times.get("p95_ms")
    return (
        size,
        what,
        f"{times['ms']:.1f}",
        "" if p95 is None else f"{p95:.1f}",
        f"{times['cpu_ms']:.1f}",
        "" if quality is None else f"{quality:.2f}",
    )
