"""vsview's scenes: our reports and plans come in, plans go out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from fractions import Fraction
from typing import Any, BinaryIO

from vsview.app.tools.scening.api import Parser, RangeFrame, RangeTime, SceneRow, Serializer, UnifiedRange


class Documents(Parser):  # type: ignore[misc]
    """Reports (`--report`) and plans (`vgan scan --json`).

    Of a report: frames made, as frames of the output, a scene a method. Of a plan: frames to make, as frames of the
    output. Of both: what was seen and what was left as it is, as times, which are the same in source and output.
    """

    filter = Parser.FileFilter("vgan report or plan", "json")

    def parse(self, io: BinaryIO, name: str, fps: Fraction) -> list[SceneRow]:  # noqa: ARG002 the viewer's signature
        """Scenes of a document.

        Raises:
            ValueError: it is none of ours.
        """
        document = json.load(io)
        if not isinstance(document, dict) or document.get("format") != 1 or "events" not in document:
            raise ValueError(f"{name} is neither a report nor a plan of vgan")
        scenes: dict[str, list[Any]] = {}
        try:
            for made in document.get("made") or document.get("targets") or ():
                sure = f", confidence {made['confidence']:.2f}" if "confidence" in made else ""
                label = f"{made['why']}{sure}"
                scenes.setdefault(f"made by {made['method']}", []).append(
                    RangeFrame(start=made["index"], end=made["index"], label=label)
                )
            tick = Fraction(document["source_time_base"])
            for kind, events in (("", document["events"]), ("not repaired: ", document.get("unrepaired", ()))):
                for event in events:
                    label = event.get("unrepaired") or event["reason"]
                    scenes.setdefault(f"{kind}{event['kind']}", []).append(_times(event, tick, label))
        except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            raise ValueError(f"{name} is no whole report or plan of vgan: {error!r}") from error
        return [
            SceneRow(color=self.get_color(), name=f"{name}: {what}", ranges=ranges) for what, ranges in scenes.items()
        ]


def _times(event: Mapping[str, Any], tick: Fraction, label: str) -> RangeTime:
    start = timedelta(seconds=event["time"])
    return RangeTime(
        start=start, end=start + float((event["last_pts"] - event["first_pts"]) * tick) * _SECOND, label=label
    )


_SECOND = timedelta(seconds=1)


class Plans(Serializer):  # type: ignore[misc]
    """A plan that makes the frames of the scenes anew: `vgan fill IN OUT --plan P.json`."""

    filter = Serializer.FileFilter("vgan plan", "json")

    def serialize(self, io: BinaryIO, ranges: Iterator[UnifiedRange]) -> None:
        """Write the ranges as events, by the source indices of their frames."""
        events = []
        for scene in ranges:
            first, last = scene.as_frames()
            events.append(
                {"kind": "corrupt", "first": first, "last": last, "reason": scene.label or "marked in vsview"}
            )
        io.write(json.dumps({"format": 1, "events": events}, indent=1).encode() + b"\n")
