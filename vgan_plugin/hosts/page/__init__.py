"""The report as one page to look at: HTML, style and script in one file that loads nothing from anywhere.

The facts go in as JSON, by column, so that a hundred thousand made frames stay a few megabytes; `script.js` draws them.
"""

from __future__ import annotations

import json
from base64 import b64encode
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction
from importlib.resources import files
from typing import Any

import vgan_plugin
from vgan_plugin.gaps import Event
from vgan_plugin.hosts.pictures import Strip
from vgan_plugin.hosts.report import Report


def page(report: Report) -> str:
    """The whole page, UTF-8 text.

    Args:
        report: a finished run; with `pictures` its least sure frames are shown.
    """
    here = files(__name__)
    text = here.joinpath("page.html").read_text("utf-8")
    parts = {"style.css": "", "script.js": "", "facts.json": _embedded(facts(report))}
    for name in ("style.css", "script.js"):
        parts[name] = here.joinpath(name).read_text("utf-8")
    for name, part in parts.items():
        text = text.replace(f"<!-- {name} -->", part)
    return text


def facts(report: Report) -> dict[str, Any]:
    """What the page shows: columns of events and made frames, strips, pictures as base64; times in seconds."""
    times = [record.time for record in report.made]
    sure = [record.confidence for record in report.made]
    left = {lost.event: lost.why for lost in report.unrepaired}
    events = sorted({*report.events, *left}, key=lambda event: (event.time, event.kind))
    spans = [_span(event, report.source_time_base, times) for event in events]
    pictures: dict[bytes, int] = {}
    strips = [_strip(strip, report, pictures) for strip in (report.pictures.strips if report.pictures else ())]
    ends = [*report.span, *times[:1], *times[-1:]]
    return {
        "vgan": vgan_plugin.__version__,
        "input": report.input.name,
        "output": report.output.name,
        "start": float(min(ends)),
        "end": float(max(ends)),
        "frames_in": report.frames_in,
        "frames_out": report.frames_out,
        "copied": report.copied,
        "streams": report.streams,
        "notes": report.notes,
        "fallbacks": Counter(record.fallback for record in report.fallbacks).most_common(),
        "model": dict(report.model),
        "provider": dict(report.provider),
        "seconds": {stage: round(seconds, 3) for stage, seconds in report.seconds.items()},
        "events": {
            "kind": [event.kind for event in events],
            "time": _seconds(event.time for event in events),
            "end": _seconds(event.last_pts * report.source_time_base for event in events),
            "count": [event.count for event in events],
            "score": [round(event.score, 3) for event in events],
            "reason": [event.reason for event in events],
            "made": [last - first for first, last in spans],
            "sure": [round(min(sure[first:last]), 4) if last > first else None for first, last in spans],
            "left": [left.get(event, "") for event in events],
        },
        "made": {
            "time": _seconds(times),
            "index": [record.index for record in report.made],
            "sure": [round(confidence, 4) for confidence in sure],
            "method": [record.method for record in report.made],
            "why": [record.why for record in report.made],
        },
        "strips": strips,
        "pictures": [b64encode(picture).decode() for picture in pictures],
    }


def _span(event: Event, ticks: Fraction, times: Sequence[Fraction]) -> tuple[int, int]:
    """Which made frames lie where an event is."""
    if event.kind == "cut":
        return 0, 0
    return bisect_left(times, event.time), bisect_right(times, event.last_pts * ticks)


def _strip(strip: Strip, report: Report, pictures: dict[bytes, int]) -> dict[str, Any]:
    record = report.made[strip.number]
    found: dict[str, Any] = {
        "made": strip.number,
        "from": _seconds(pts * report.source_time_base for pts in record.references),
        "fallback": record.fallback,
    }
    for name in ("before", "was", "after"):
        picture = getattr(strip, name)
        if picture is not None:
            found[name] = pictures.setdefault(picture, len(pictures))
    found["picture"] = pictures.setdefault(strip.made, len(pictures))
    return found


def _seconds(times: Iterable[Fraction]) -> list[float]:
    return [round(float(time), 4) for time in times]


def _embedded(value: Any) -> str:
    """JSON that ends no script element and opens no comment, whatever a file's name holds."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
