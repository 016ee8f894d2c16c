"""What a run did, as facts: for people, for `--report`, for programs. Nothing is asked for here, only told.

`page` makes a page of them to look at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import vgan_plugin
from vgan_plugin.fill import Record
from vgan_plugin.gaps import Event, Plan, Unrepaired, event_to_json, rational, unrepaired_to_json
from vgan_plugin.hosts.pictures import Pictures
from vgan_plugin.types import FrameGenerator

FORMAT = 1


@dataclass
class Report:
    """One run.

    Attributes:
        input: the source file.
        output: the file made, or ``null:``.
        frames_in: source frames.
        frames_out: frames of the output.
        time_base: seconds a tick of the made frames' pts.
        source_time_base: seconds a tick of the events' and references' pts.
        events: what was seen.
        made: every made frame.
        unrepaired: what was left as it is, and why.
        copied: nothing was to be made, so the streams were copied without decoding.
        model: what made the frames: generator, model, version, hash.
        provider: where it really ran.
        seconds: wall-clock seconds by stage.
        notes: whatever else happened otherwise than one might think, a line each.
        span: when the video's first and last source frames are shown, in seconds.
        streams: what was carried over beside the frames, a line each.
        pictures: small pictures of the least sure made frames; None when nobody asked for them.
    """

    input: Path
    output: Path
    frames_in: int
    time_base: Fraction
    source_time_base: Fraction
    events: Sequence[Event]
    unrepaired: Sequence[Unrepaired]
    frames_out: int = 0
    made: list[Record] = field(default_factory=list)
    copied: bool = False
    model: Mapping[str, Any] = field(default_factory=dict)
    provider: Mapping[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    span: tuple[Fraction, Fraction] = (Fraction(0), Fraction(0))
    streams: list[str] = field(default_factory=list)
    pictures: Pictures | None = None

    @classmethod
    def of(cls, source: Path, output: Path, plan: Plan) -> Report:
        """The report of a plan before anything is made."""
        ticks = plan.time_base * plan.scale
        first, last = (plan.pts[0] * ticks, plan.pts[-1] * ticks) if plan.pts else (0, (plan.frames - 1) * plan.period)
        return cls(
            input=source,
            output=output,
            frames_in=plan.frames,
            time_base=plan.time_base,
            source_time_base=ticks,
            events=plan.events,
            unrepaired=plan.unrepaired,
            span=(Fraction(first), Fraction(last)),
        )

    def ran(self, generator: FrameGenerator) -> None:
        """Note what made the frames and where it ran."""
        model, provider = generator.provenance.get("model"), generator.provenance.get("provider")
        self.model = {"generator": generator.info.name, **(model if isinstance(model, Mapping) else {"name": model})}
        self.provider = dict(provider) if isinstance(provider, Mapping) else {"provider": provider}

    @property
    def methods(self) -> Counter[str]:
        """How many frames each method made."""
        return Counter(record.method for record in self.made)

    @property
    def fallbacks(self) -> list[Record]:
        """Frames that a fallback made instead of the generator."""
        return [record for record in self.made if record.fallback]

    @property
    def status(self) -> int:
        """The exit status: 0 done, 1 done but something is unrepaired or made by a fallback."""
        return int(bool(self.unrepaired or self.fallbacks))

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object; times in seconds, pts in ticks of the stated time bases."""
        return {
            "format": FORMAT,
            "vgan": vgan_plugin.__version__,
            "input": str(self.input),
            "output": str(self.output),
            "frames_in": self.frames_in,
            "frames_out": self.frames_out,
            "time_base": rational(self.time_base),
            "source_time_base": rational(self.source_time_base),
            "copied": self.copied,
            "events": [event_to_json(event) for event in self.events],
            "made": [_made(record) for record in self.made],
            "unrepaired": [unrepaired_to_json(lost) for lost in self.unrepaired],
            "model": dict(self.model),
            "provider": dict(self.provider),
            "seconds": {stage: round(seconds, 3) for stage, seconds in self.seconds.items()},
            "notes": list(self.notes),
        }


def _made(record: Record) -> dict[str, Any]:
    found: dict[str, Any] = {
        "index": record.index,
        "pts": record.pts,
        "time": float(record.time),
        "method": record.method,
        "references": list(record.references),
        "offsets": [rational(offset) for offset in record.offsets],
        "confidence": round(record.confidence, 4),
        "why": record.why,
    }
    if record.fallback:
        found["fallback"] = record.fallback
    return found
