"""Files: find what is missing, make it, write the file anew. What `vgan fill`, `interpolate` and `scan` call.

Two passes. The first decodes the whole file and looks; then the plan is complete, and either nothing is to be done
(the streams are copied without decoding) or the second pass decodes again, makes and encodes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

from vgan_plugin.detect import scan as look
from vgan_plugin.errors import OutputError, PlanUnusable, TaskMissing
from vgan_plugin.fill import Say, fill_stream
from vgan_plugin.gaps import Event, GapPolicy, Plan, Unrepaired, interpolation_plan, plan_from_json
from vgan_plugin.hookspecs import PlanRequest
from vgan_plugin.hosts.pictures import Pictures
from vgan_plugin.hosts.report import Report
from vgan_plugin.media.output import NULL, PartFile
from vgan_plugin.media.reader import VideoFacts, VideoReader
from vgan_plugin.media.writer import VideoWriter, remux
from vgan_plugin.plugins import get_plugin_manager
from vgan_plugin.runtime.simple import REPEAT, Simple
from vgan_plugin.timeline import Timeline
from vgan_plugin.types import FrameGenerator, OpenRequest

T = TypeVar("T")
_SHORT = Fraction(1, 4)
"""Seconds by which sound may outlast the picture without a word."""
Tick = Callable[[str, int, int], None]
"""Takes a stage (``scan``, ``make``), how many frames are done, and how many there are (0 = unknown)."""


@dataclass(frozen=True)
class Encoding:
    """How the output is written.

    Attributes:
        codec: FFmpeg's name of an encoder; None = the source's family.
        options: the encoder's options.
        overwrite: replace an existing file.
    """

    codec: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    overwrite: bool = False


@dataclass(frozen=True)
class Scan:
    """What the first pass found.

    Attributes:
        facts: what the file says about its video.
        timeline: exact times of the source frames.
        plan: what `repair` would do.
        seconds: wall-clock seconds by stage.
        notes: what was wrong with the file and how it was mended.
    """

    facts: VideoFacts
    timeline: Timeline
    plan: Plan
    seconds: dict[str, float]
    notes: list[str]


def _no_tick(stage: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def _silent(line: str) -> None:
    """Lines that nobody reads."""


def scan(
    source: Path,
    *,
    policy: GapPolicy | None = None,
    plan: Path | None = None,
    tick: Tick = _no_tick,
    say: Say = _silent,
) -> Scan:
    """Find what is missing and plan its repair; nothing is written.

    Args:
        source: a local video file.
        policy: what may be made.
        plan: a plan to use instead of our own, as JSON; see `gaps.plan_from_json`.
        tick: progress.
        say: lines for people.

    Raises:
        InputError: the file is not a usable video, or the plan does not fit it.
    """
    with VideoReader(source) as reader:
        return _scan(reader, policy or GapPolicy(), _read_plan(plan), tick, say)


def repair(
    source: Path,
    output: Path,
    *,
    generator: OpenRequest | None = None,
    policy: GapPolicy | None = None,
    plan: Path | None = None,
    encoding: Encoding | None = None,
    min_confidence: float = 0.0,
    pictures: int = 0,
    tick: Tick = _no_tick,
    say: Say = _silent,
) -> Report:
    """Find and repair missing, frozen, blank and corrupt frames of a file.

    Args:
        source: a local video file.
        output: the file to make, or ``null:`` (encoded and thrown away).
        generator: which generator, model and device; None = ours, where it runs best.
        policy: what may be made.
        plan: a plan to use instead of our own, as JSON.
        encoding: how to write; None = as the source was.
        min_confidence: a made frame less sure than this becomes a repeat, and is named.
        pictures: of how many of the least sure made frames the report shall have small pictures.
        tick: progress.
        say: lines for people.

    Raises:
        VganError: one of its kinds; nothing stands under the output's name then.
    """
    encoding = encoding or Encoding()
    document = _read_plan(plan)
    with VideoReader(source) as reader:
        _check_output(output, source, encoding)
        with _Opener(generator, "fill", reader.facts) as opener:
            found = _scan(reader, policy or GapPolicy(), document, tick, say)
            report = Report.of(source, output, found.plan)
            report.seconds |= found.seconds
            report.pictures = _pictures(found.plan, pictures, found.facts)
            for line in _cut_off(found.facts, found.timeline):
                _note(report, line, say)
                report.unrepaired = (*report.unrepaired, *_lost_end(found.facts, found.timeline, line))
            if found.plan.targets or found.plan.dropped:
                _make(reader, found.timeline, found.plan, opener, report, encoding, min_confidence, tick, say)
            elif reader.mended or not _copied(source, output, report, encoding, say):  # a copy has the old times
                _make(reader, found.timeline, found.plan, None, report, encoding, min_confidence, tick, say)
        for line in reader.notes:
            _note(report, line, say)
    return report


def interpolate(
    source: Path,
    output: Path,
    *,
    factor: int | None = None,
    rate: Fraction | None = None,
    generator: OpenRequest | None = None,
    encoding: Encoding | None = None,
    min_confidence: float = 0.0,
    pictures: int = 0,
    tick: Tick = _no_tick,
    say: Say = _silent,
) -> Report:
    """Change the frame rate of a file; repairs nothing.

    Args:
        source: a local video file.
        output: the file to make, or ``null:``.
        factor: n frames become factor * (n - 1) + 1; or
        rate: frames a second, exact.
        generator: as for `repair`.
        encoding: as for `repair`.
        min_confidence: as for `repair`.
        pictures: as for `repair`.
        tick: progress.
        say: lines for people.

    Raises:
        VganError: as for `repair`.
    """
    encoding = encoding or Encoding()
    with VideoReader(source) as reader:
        _check_output(output, source, encoding)
        with _Opener(generator, "interpolate", reader.facts) as opener:
            seconds: dict[str, float] = {}
            timeline, events = _look(reader, seconds, tick, say)
            cuts = [event.first for event in events if event.kind == "cut"]
            plan = interpolation_plan(timeline, cuts, factor, rate)
            report = Report.of(source, output, plan)
            report.seconds |= seconds
            report.pictures = _pictures(plan, pictures, reader.facts)
            _make(reader, timeline, plan, opener, report, encoding, min_confidence, tick, say, rate=rate, factor=factor)
        for line in reader.notes:
            _note(report, line, say)
    return report


class _Opener:
    """Opens the generator when it is first needed, but at once when anything about it was asked for by name."""

    def __init__(self, request: OpenRequest | None, task: str, facts: VideoFacts) -> None:
        request = request or OpenRequest()
        self._request, self._task = replace(request, size=(facts.height, facts.width)), task
        self._generator: FrameGenerator | None = None
        if request != OpenRequest():
            self.open()

    def open(self) -> FrameGenerator:
        if self._generator is None:
            generator = get_plugin_manager().open_generator(self._request)
            if self._task not in generator.info.tasks:
                generator.close()
                raise TaskMissing(
                    f"Generator {generator.info.name!r} is not made for {self._task!r}",
                    f"it can do: {', '.join(generator.info.tasks) or 'nothing'}",
                    "name another one with --generator or --model",
                )
            self._generator = generator
        return self._generator

    def __enter__(self) -> _Opener:
        return self

    def __exit__(self, *_: object) -> None:
        if self._generator is not None:
            self._generator.close()


def _scan(reader: VideoReader, policy: GapPolicy, document: object, tick: Tick, say: Say) -> Scan:
    seconds: dict[str, float] = {}
    timeline, events = _look(reader, seconds, tick, say)
    with _timed(seconds, "plan"):
        if document is None:
            plan = get_plugin_manager().plan_gaps(PlanRequest(timeline, tuple(events), policy))
        else:
            plan = plan_from_json(document, timeline)
    return Scan(reader.facts, timeline, plan, seconds, [*reader.notes, *_cut_off(reader.facts, timeline)])


def _look(reader: VideoReader, seconds: dict[str, float], tick: Tick, say: Say) -> tuple[Timeline, list[Event]]:
    manager = get_plugin_manager()
    with _timed(seconds, "scan"):
        frames = _counted(reader.frames(), "scan", _about(reader.facts), tick)
        timeline, events = look(frames, manager.detectors(), rate=reader.facts.rate)
    for problem in manager.problems:
        say(str(problem))
    return timeline, events


def _cut_off(facts: VideoFacts, timeline: Timeline) -> Iterator[str]:
    """What a player would not tell: the frames end long before the file says that it does."""
    if facts.duration is None or not len(timeline):
        return
    end = timeline.time(-1) + timeline.period_seconds
    if facts.duration - end > max(_SHORT, 3 * timeline.period_seconds):
        said, found = float(facts.duration), float(end)
        yield f"the file says that it lasts {said:.2f} s, but its last frame ends at {found:.2f} s"


def _lost_end(facts: VideoFacts, timeline: Timeline, why: str) -> Iterator[Unrepaired]:
    """The frames that a file cut off in the middle says it has: nothing can make them, and a shorter video is named."""
    lost = facts.count - len(timeline)
    if lost > 0:
        first, last = (timeline.pts[-1] + round(k * timeline.period) for k in (1, lost))
        end = len(timeline) - 1
        event = Event("missing", end, end, first, last, first * timeline.time_base, lost, 1.0, why)
        yield Unrepaired(event, "the file ends before them")


def _make(
    reader: VideoReader,
    timeline: Timeline,
    plan: Plan,
    opener: _Opener | None,
    report: Report,
    encoding: Encoding,
    min_confidence: float,
    tick: Tick,
    say: Say,
    *,
    rate: Fraction | None = None,
    factor: int | None = None,
) -> None:
    """The second pass: decode again, make, encode."""
    period = timeline.period_seconds
    writer = VideoWriter(
        report.output,
        reader.facts,
        time_base=plan.time_base,
        rate=rate or (factor or 1) / period,
        codec=encoding.codec,
        options=encoding.options,
        overwrite=encoding.overwrite,
        resets=reader.resets,
    )
    with writer:
        for line in writer.not_copied:  # said before the work begins
            _note(report, f"not copied: {line}", say)
        report.streams = writer.copied
        with _timed(report.seconds, "open"):
            generator = opener.open() if opener is not None else Simple(REPEAT)  # without targets it is asked nothing
        with _timed(report.seconds, "make"):
            frames = _counted(reader.frames(), "make", plan.frames, tick)
            if report.pictures is not None:
                frames = report.pictures.watch(frames)
            for frame, record in fill_stream(frames, plan, generator, min_confidence=min_confidence, say=say):
                writer.write(frame)
                if record is not None:
                    report.made.append(record)
                    if report.pictures is not None:
                        report.pictures.add(frame, record)
            if opener is not None:
                report.ran(generator)
            writer.last_duration = (reader.last_duration or period) if rate is None else 1 / rate
            writer.close()
    report.frames_out = writer.frames
    for line in writer.notes:
        _note(report, line, say)


def _copied(source: Path, output: Path, report: Report, encoding: Encoding, say: Say) -> bool:
    """Copy the streams as they are, when the output asks for nothing else and its container takes them."""
    if encoding.codec is not None or output == NULL:
        return False
    try:
        with _timed(report.seconds, "copy"):
            left = remux(source, output, overwrite=encoding.overwrite)
    except OutputError as error:  # where encoding does not help either, it says so
        _note(report, f"encoded, because the streams cannot be copied: {error.why}", say)
        return False
    report.copied, report.frames_out = True, report.frames_in
    for line in left:
        _note(report, f"not copied: {line}", say)
    return True


def _pictures(plan: Plan, most: int, facts: VideoFacts) -> Pictures | None:
    return Pictures(plan, most, aspect=facts.aspect, rotation=facts.rotation) if most else None


def _note(report: Report, line: str, say: Say) -> None:
    report.notes.append(line)
    say(line)


def _check_output(output: Path, source: Path, encoding: Encoding) -> None:
    """Find out before the long part whether the output can be written."""
    if output != NULL:
        PartFile(output, source, overwrite=encoding.overwrite).discard()


def _read_plan(path: Path | None) -> object:
    if path is None:
        return None
    try:
        return json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise PlanUnusable(f"Cannot read the plan {path}", error.strerror or "unreadable", "check the path") from error
    except (ValueError, RecursionError) as error:
        raise PlanUnusable(
            f"{path} is not a plan", f"it is not JSON ({error})", "`vgan scan --json` writes one"
        ) from error


def _about(facts: VideoFacts) -> int:
    """How many frames a file may have, as far as it says; 0 when it says nothing."""
    return facts.count or round((facts.duration or 0) * (facts.rate or 0))


def _counted(items: Iterable[T], stage: str, total: int, tick: Tick) -> Iterator[T]:
    for done, item in enumerate(items, 1):
        yield item
        tick(stage, done, total)


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - start
