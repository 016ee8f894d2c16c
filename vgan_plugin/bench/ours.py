"""Our generator against the clock: the calls of an engine one after the other, and whole files."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgan_plugin.bench import clip
from vgan_plugin.bench.quality import psnr
from vgan_plugin.bench.stopwatch import Stopwatch
from vgan_plugin.bundle.store import Bundle
from vgan_plugin.fill import fill_stream
from vgan_plugin.gaps import interpolation_plan
from vgan_plugin.hosts.file import Encoding, interpolate
from vgan_plugin.media.output import NULL
from vgan_plugin.media.reader import VideoReader
from vgan_plugin.media.writer import VideoWriter
from vgan_plugin.runtime.generator import RecurrentGenerator
from vgan_plugin.runtime.session import GraphSessions, Value
from vgan_plugin.timeline import Timeline
from vgan_plugin.types import Frame, OpenRequest, Reference, RenderRequest

_FILE = 25
"""Source frames of a whole file."""
_VERYFAST = Encoding("libx264", {"preset": "veryfast"}, overwrite=True)


class _Watched(GraphSessions):
    """Sessions that say how much of a call is the network, and on a device how much is the way there and back."""

    watch = Stopwatch()

    def run(self, graph: str, inputs: Mapping[str, Value], size: tuple[int, int] | None = None) -> dict[str, Value]:
        with self.watch.stage(f"{graph} network"):
            outputs = super().run(graph, inputs, size)
            self.wait()
            return outputs

    def to_numpy(self, value: Value) -> NDArray[Any]:
        if isinstance(value, np.ndarray):
            return value
        with self.watch.stage("download"):
            return super().to_numpy(value)


class Ours:
    """A bundle, one source frame and one made frame a round.

    Args:
        bundle: what to time.
        device: where.
        frames: as `clip.frames` gives them.
    """

    def __init__(self, bundle: Bundle, device: str, frames: Sequence[Frame]) -> None:
        self.name = bundle.manifest.name
        self.watch = Stopwatch()
        self._sessions = _Watched(bundle, device)
        self._generator = RecurrentGenerator(bundle, self._sessions)
        self._frames = frames
        self._open = partial(GraphSessions, bundle, device, lanes=None)
        self._before: Reference | None = None
        self._state: Any = None
        self._found: list[float] = []

    def round(self, index: int) -> None:
        """Take a source frame, and make the one before it. The clip is gone through again and again."""
        self._sessions.watch = self.watch
        place = index % (len(self._frames) // 2 + 1)
        frame, generator = self._frames[2 * place], self._generator
        with self.watch.stage("encode"):
            features = generator.encode(frame)
        now = Reference(frame, features)
        before = self._before if place else None
        if not place:
            self._state = None
        with self.watch.stage("remember"):
            dt = Fraction(before is not None)
            self._state = generator.remember(features, None if before is None else before.features, dt, self._state)
        half = Fraction(1, 2)
        # At the clip's start the pair is the frame and itself: the same work, and no quality is taken from it.
        request = RenderRequest(before or now, now, self._state, (-half, half), frame, frame.pts - 1, frame.time_base)
        with self.watch.stage("render"):
            made = generator.render(request)
        if before is not None and len(self._found) < len(self._frames) // 2:
            self._found.append(psnr(made.frame, self._frames[2 * place - 1]))
        self._before = now

    def side_by_side(self, passes: int) -> None:
        """A frame a lane, as files are made: in order, with all that each needs; once before that counts for nobody."""
        sessions = self._open()
        with closing(RecurrentGenerator(sessions.bundle, sessions)) as generator:
            if generator.lanes == 1:
                return
            frames = clip.longer(self._frames[::2], 4 * generator.lanes + 1)
            timeline = Timeline(tuple(frame.pts for frame in frames), frames[0].time_base)
            plan = interpolation_plan(timeline, (), 2)
            for counts in (False, *[True] * passes):
                with (self.watch if counts else Stopwatch()).stage("side by side", len(plan.targets)):
                    for _ in fill_stream(frames, plan, generator):
                        pass

    def result(self, factors: Sequence[int], *, real: bool) -> dict[str, Any]:
        """Stages, and the cost of a made frame with all it needs: at x N, one encode and remember serve N - 1."""
        stages = self.watch.results()
        made: dict[str, dict[str, float]] = {}
        network: dict[str, dict[str, float]] = {}
        for n in factors:
            for found, ending in ((made, ""), (network, " network")):
                found[f"x{n}"] = {
                    unit: stages["render" + ending][unit]
                    + (stages["encode" + ending][unit] + stages["remember" + ending][unit]) / (n - 1)
                    for unit in ("ms", "cpu_ms")
                }
        return {
            "stages": stages,
            "made": made,
            "network": network,
            "psnr": sum(self._found) / len(self._found) if real and self._found else None,
            "provider": self._generator.provenance["provider"],
        }

    def close(self) -> None:
        """Free the sessions."""
        self._generator.close()


def end_to_end(frames: Sequence[Frame], folder: Path, model: str, device: str) -> dict[str, Any]:
    """Whole files, x2: made and thrown away, and made and encoded by x264 veryfast; reading and writing alone.

    Returns:
        ``decode`` and ``write`` as times a frame; ``null`` and ``x264`` as frames a second of the second pass, and as
        CPU time a made frame of everything, start and first pass included.
    """
    source, out = folder / "source.mkv", folder / "out.mkv"
    sources = clip.longer(frames[::2], _FILE)
    clip.write(source, sources)
    watch = Stopwatch()
    with VideoReader(source) as reader:
        with watch.stage("decode", len(sources)):
            decoded = list(reader.frames())
        for _ in range(3):
            with (
                watch.stage("write", len(decoded)),
                VideoWriter(
                    out,
                    reader.facts,
                    time_base=decoded[0].time_base,
                    codec=_VERYFAST.codec,
                    options=_VERYFAST.options,
                    overwrite=True,
                ) as writer,
            ):
                for frame in decoded:
                    writer.write(frame)
                writer.close()
    found: dict[str, Any] = watch.results()
    request = OpenRequest(model=model, device=device)
    for name, path, encoding in (("null", NULL, Encoding()), ("x264", out, _VERYFAST)):
        before = time.process_time()
        report = interpolate(source, path, factor=2, generator=request, encoding=encoding)
        cpu, seconds = time.process_time() - before, report.seconds["make"]
        found[name] = {
            "out_per_s": report.frames_out / seconds,
            "made_per_s": len(report.made) / seconds,
            "cpu_ms": cpu / len(report.made) * 1e3,
        }
    return found
