"""Pipes: YUV4MPEG2 in, YUV4MPEG2 out, in one pass. What `vgan pipe` calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, Literal, TypedDict, Unpack

from vgan_plugin.errors import InputDamaged, InputError, InputMissing, InputUnsupported
from vgan_plugin.fill import Item, Say
from vgan_plugin.gaps import GapPolicy, interpolation_plan
from vgan_plugin.hosts.live import Live, LiveFill
from vgan_plugin.hosts.live_inpaint import LiveInpaint, StreamMasks
from vgan_plugin.hosts.live_rate import LiveInterpolation
from vgan_plugin.hosts.masks import Holes
from vgan_plugin.hosts.opening import open_generator
from vgan_plugin.hosts.pictures import PicturesInPlace, PicturesOnTheWay
from vgan_plugin.hosts.report import Report
from vgan_plugin.media import y4m
from vgan_plugin.timeline import Timeline
from vgan_plugin.types import Frame, FrameGenerator, OpenRequest

Write = Callable[[bytes], object]
STREAM = Path("-")
"""What a report names as input and output."""


@dataclass
class Piped:
    """What came of a stream.

    Attributes:
        report: the facts; without `records` only the made frames that a fallback made are in it.
        methods: how many frames each method made.
        cut: the stream ended within a frame, so that nobody knows what else is lost.
    """

    report: Report
    methods: Counter[str] = field(default_factory=Counter)
    cut: bool = False

    @property
    def status(self) -> int:
        """The exit status."""
        return max(self.report.status, int(self.cut))


@dataclass(frozen=True)
class Wishes:
    """What one may ask of every pipe.

    Attributes:
        generator: which generator, model and device; None = ours, where it runs best.
        timing: times of the frames, see `y4m.read_times`; without them no frame is missing, only repeated.
        min_confidence: a made frame less sure than this becomes a repeat, and is named.
        records: keep a record of every made frame.
        pictures: of how many of the least sure made frames the report shall have small pictures; needs `records`.
        say: lines for people.
    """

    generator: OpenRequest | None = None
    timing: Path | None = None
    min_confidence: float = 0.0
    records: bool = False
    pictures: int = 0
    say: Say = lambda _: None


class Asked(TypedDict, total=False):
    """The attributes of `Wishes`, as keyword arguments."""

    generator: OpenRequest | None
    timing: Path | None
    min_confidence: float
    records: bool
    pictures: int
    say: Say


class _Known(TypedDict):
    """What a `Live` is told of a stream."""

    rate: Fraction
    timeline: Timeline | None
    min_confidence: float
    say: Say


def fill(source: BinaryIO, write: Write, *, policy: GapPolicy | None = None, **asked: Unpack[Asked]) -> Piped:
    """Find and repair missing, frozen, blank and corrupt frames of a stream.

    Args:
        source: YUV4MPEG2.
        write: takes the same, the header with the first frame and then a frame a call.
        policy: what may be made.
        asked: see `Wishes`.

    Raises:
        VganError: one of its kinds. Nothing is written before the first frame is ready.
    """

    def live(generator: FrameGenerator, _header: y4m.Header, known: _Known) -> Live:
        return LiveFill(generator, policy=policy, **known)

    return _run(source, write, "fill", live, lambda rate: rate, Wishes(**asked))


def interpolate(
    source: BinaryIO,
    write: Write,
    *,
    factor: int | None = None,
    rate: Fraction | None = None,
    **asked: Unpack[Asked],
) -> Piped:
    """Change the frame rate of a stream; repairs nothing.

    Args:
        source: YUV4MPEG2.
        write: takes the same, at the new rate.
        factor: n frames become factor * (n - 1) + 1; or
        rate: frames a second, exact.
        asked: see `Wishes`.

    Raises:
        VganError: as for `fill`.
    """

    def live(generator: FrameGenerator, _header: y4m.Header, known: _Known) -> Live:
        period = 1 / known["rate"]  # said before anything is read: what cannot be asked for
        interpolation_plan(Timeline((0, 1), period, known["rate"]), (), factor, rate)
        return LiveInterpolation(generator, factor=factor, target_rate=rate, **known)

    return _run(source, write, "interpolate", live, lambda old: rate or old * (factor or 1), Wishes(**asked))


def inpaint(
    source: BinaryIO,
    write: Write,
    holes: Holes,
    *,
    direction: Literal["both", "forward"] = "both",
    **asked: Unpack[Asked],
) -> Piped:
    """Make the masked pixels of a stream anew; repairs nothing else.

    Args:
        source: YUV4MPEG2.
        write: takes the same.
        holes: where.
        direction: ``forward`` looks into the past alone, and waits less.
        asked: see `Wishes`.

    Raises:
        VganError: as for `fill`; MaskUnusable when the masks do not fit.
    """

    def live(generator: FrameGenerator, header: y4m.Header, known: _Known) -> Live:
        line = known["timeline"]
        period = 1 / known["rate"] if line is None else line.period_seconds
        masks = StreamMasks(
            holes,
            lambda index: index * period if line is None else line.time(index),
            line,
            (header.height, header.width),
        )
        return LiveInpaint(generator, masks, period, later=direction == "both", **known)

    return _run(source, write, "inpaint", live, lambda rate: rate, Wishes(**asked))


def _run(
    source: BinaryIO,
    write: Write,
    task: str,
    make: Callable[[FrameGenerator, y4m.Header, _Known], Live],
    out_rate: Callable[[Fraction], Fraction],
    wishes: Wishes,
) -> Piped:
    times = None if wishes.timing is None else _read_times(wishes.timing)
    reader = y4m.Reader(source)
    header = reader.header
    timeline = None if times is None else Timeline(*times, header.rate)
    if header.rate is not None:
        rate = header.rate
    elif timeline is not None:
        rate = 1 / timeline.period_seconds
    else:
        raise InputUnsupported(
            "The stream has no frame rate", "its header says F0:0 or nothing", "tell it upstream: ffmpeg -r 25 -i IN"
        )
    known = _Known(rate=rate, timeline=timeline, min_confidence=wishes.min_confidence, say=wishes.say)
    with (
        closing(open_generator(wishes.generator, task, (header.height, header.width), many=True)) as generator,
        closing(make(generator, header, known)) as live,
    ):
        report = Report(STREAM, STREAM, 0, Fraction(1), Fraction(1), live.events, live.unrepaired)
        report.notes.append(f"one pass: a frame leaves at most {live.latency} frames after it came")
        frames = _frames(reader, 1 / rate, timeline, done := Piped(report), wishes.say)
        if wishes.pictures:
            if task == "inpaint":
                report.pictures = PicturesInPlace(wishes.pictures, aspect=header.aspect)
            else:
                report.pictures = PicturesOnTheWay(wishes.pictures, lambda: live.held, aspect=header.aspect)
            frames = report.pictures.watch(frames)
        parameters: dict[Fraction, bytes] = {}
        writer = _Writer(write, header.line(out_rate(rate)), parameters, wishes.records, done)
        for frame in frames:
            if said := reader.parameters.pop(live.frames_in, b""):
                parameters[frame.time] = said
            report.source_time_base = frame.time_base
            report.span = (report.span[0] if live.frames_in else frame.time, frame.time)
            if done.cut and task != "fill":
                break
            writer.write(live.push(frame))
        writer.write(live.finish())
        report.ran(generator)
    report.frames_in, report.frames_out = live.frames_in, live.frames_out
    if not live.frames_in:
        raise InputDamaged(
            "Standard input holds no frame", "it ends after its header", "see what the program that writes it says"
        )
    if timeline is not None and live.frames_in != len(timeline) and not done.cut:
        raise InputDamaged(
            "The timing file does not fit the stream",
            f"it lists {len(timeline)} frames, and {live.frames_in} came",
            "list the times of the very frames that are sent, for example with -fps_mode passthrough",
        )
    return done


def _frames(reader: y4m.Reader, period: Fraction, timeline: Timeline | None, done: Piped, say: Say) -> Iterable[Frame]:
    """The frames with their times; a last one that came in part is marked as damaged."""
    number = 0
    for number, planes in enumerate(reader.frames(), 1):
        if timeline is not None and number > len(timeline):
            raise InputDamaged(
                "The timing file does not fit the stream",
                f"it lists {len(timeline)} frames, and more came",
                "list the times of the very frames that are sent, for example with -fps_mode passthrough",
            )
        index = number - 1
        pts, base = (index, period) if timeline is None else (timeline.pts[index], timeline.time_base)
        done.cut = reader.cut is not None
        if reader.cut is not None:
            _say_cut(reader.cut, index, done, say)
        yield replace(Frame(planes, reader.header.format, reader.header.colour, pts, base), corrupt=done.cut)
    if reader.cut is not None and not done.cut:
        done.cut = True
        _say_cut(reader.cut, number, done, say)


def _say_cut(cut: y4m.Cut, index: int, done: Piped, say: Say) -> None:
    line = f"the stream ends within frame {index}: {cut.came} of its {cut.whole} bytes came"
    done.report.notes.append(line)
    say(line)


class _Writer:
    """Writes the header with the first frame, and keeps count."""

    def __init__(
        self, write: Write, header: bytes, parameters: dict[Fraction, bytes], records: bool, done: Piped
    ) -> None:
        self._write, self._header = write, header
        self._parameters, self._records, self._done = parameters, records, done

    def write(self, items: Iterable[Item]) -> None:
        """Write what is ready."""
        for frame, record in items:
            said = self._parameters.pop(frame.time, b"")
            self._write(self._header + y4m.frame_bytes(frame, said if record is None else b""))
            self._header = b""
            self._done.report.time_base = frame.time_base
            if record is not None:
                self._done.methods[record.method] += 1
                if self._done.report.pictures is not None:
                    self._done.report.pictures.add(frame, record)
                if self._records or record.fallback:
                    self._done.report.made.append(record)


def _read_times(path: Path) -> tuple[tuple[int, ...], Fraction]:
    try:
        text = path.read_text("utf-8", "replace")
    except FileNotFoundError as error:
        raise InputMissing(f"Cannot read {path}", "there is no such file", "check the path") from error
    except OSError as error:
        raise InputError(f"Cannot read {path}", error.strerror or "unreadable", "check the path") from error
    return y4m.read_times(text)
