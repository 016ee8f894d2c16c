"""What every job on a file shares: a reader, an opened generator, a report, and the pass that makes and encodes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Self, TypedDict, TypeVar

from vgan_plugin.detect import scan
from vgan_plugin.errors import OutputError
from vgan_plugin.fill import Item, Say, fill_stream
from vgan_plugin.gaps import Event, Plan
from vgan_plugin.hosts.opening import open_generator
from vgan_plugin.hosts.pictures import PlannedPictures
from vgan_plugin.hosts.report import Report
from vgan_plugin.media.output import NULL, PartFile
from vgan_plugin.media.reader import VideoReader
from vgan_plugin.media.writer import VideoWriter, remux
from vgan_plugin.plugins import get_plugin_manager
from vgan_plugin.timeline import Timeline
from vgan_plugin.types import Frame, FrameGenerator, OpenRequest

T = TypeVar("T")
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


def no_tick(stage: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def silent(line: str) -> None:
    """Lines that nobody reads."""


@dataclass(frozen=True)
class Wishes:
    """What one may ask of every job.

    Attributes:
        generator: which generator, model and device; None = ours, where it runs best.
        encoding: how to write; as the source was unless it says otherwise.
        min_confidence: a made frame less sure than this becomes a repeat, and is named.
        pictures: of how many of the least sure made frames the report shall have small pictures.
        tick: progress.
        say: lines for people.
    """

    generator: OpenRequest | None = None
    encoding: Encoding = field(default_factory=Encoding)
    min_confidence: float = 0.0
    pictures: int = 0
    tick: Tick = no_tick
    say: Say = silent


class Asked(TypedDict, total=False):
    """The attributes of `Wishes`, as keyword arguments of the jobs."""

    generator: OpenRequest | None
    encoding: Encoding
    min_confidence: float
    pictures: int
    tick: Tick
    say: Say


class Job:
    """One file on its way to another. A context: what was opened is closed.

    Args:
        source: a local video file.
        output: the file to make, or ``null:`` (encoded and thrown away).
        task: what the generator must be made for.
        wishes: see `Wishes`. A generator that is asked for by name is opened at once, else when it is first needed.

    Attributes:
        reader: the source.
        seconds: wall-clock seconds by stage.
        report: what is told of the job; set by `begin`.

    Raises:
        VganError: the source cannot be read, the output not be written, the generator not be opened.
    """

    report: Report

    def __init__(self, source: Path, output: Path, task: str, wishes: Wishes) -> None:
        self.source, self.output, self.wishes, self._task = source, output, wishes, task
        self._generator: FrameGenerator | None = None
        self.seconds: dict[str, float] = {}
        self.reader = VideoReader(source)
        try:
            if output != NULL:  # found out before the long part
                PartFile(output, source, overwrite=wishes.encoding.overwrite).discard()
            if wishes.generator not in (None, OpenRequest()):
                self.generator()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading, free the generator."""
        self.reader.close()
        if self._generator is not None:
            self._generator.close()

    def generator(self) -> FrameGenerator:
        """The generator, opened when it is first asked for.

        Raises:
            VganError: it cannot be opened, or was not made for the task.
        """
        if self._generator is None:
            facts = self.reader.facts
            size = facts.height, facts.width
            self._generator = open_generator(self.wishes.generator, self._task, size, many=True)
        return self._generator

    def look(self) -> tuple[Timeline, list[Event]]:
        """The first pass: when the frames are shown, and what the detectors see."""
        with timed(self.seconds, "scan"):
            timeline, events = look_at(self.reader, self.wishes.tick, self.wishes.say)
        self._period = timeline.period_seconds
        return timeline, events

    def begin(self, plan: Plan) -> None:
        """Start the report of a plan."""
        self.report = Report.of(self.source, self.output, plan)
        self.report.seconds = self.seconds
        if self.wishes.pictures:
            facts = self.reader.facts
            self.report.pictures = PlannedPictures(
                plan, self.wishes.pictures, aspect=facts.aspect, rotation=facts.rotation
            )

    def note(self, line: str) -> None:
        """Something that happened otherwise than one might think."""
        self.report.notes.append(line)
        self.wishes.say(line)

    def copy(self) -> bool:
        """Copy the streams as they are, when nothing else is asked for and the output's container takes them."""
        if self.wishes.encoding.codec is not None or self.output == NULL:
            return False
        try:
            with timed(self.seconds, "copy"):
                left = remux(self.source, self.output, overwrite=self.wishes.encoding.overwrite)
        except OutputError as error:  # where encoding does not help either, it says so
            self.note(f"encoded, because the streams cannot be copied: {error.why}")
            return False
        self.report.copied, self.report.frames_out = True, self.report.frames_in
        for line in left:
            self.note(f"not copied: {line}")
        return True

    def fill(
        self,
        plan: Plan,
        generator: FrameGenerator | None = None,
        *,
        rate: Fraction,
        last: Fraction | None = None,
    ) -> None:
        """`make` what a plan wants."""
        wishes = self.wishes
        self.make(
            lambda frames, maker: fill_stream(
                frames, plan, maker, min_confidence=wishes.min_confidence, say=wishes.say
            ),
            generator,
            rate=rate,
            last=last,
        )

    def end(self) -> Report:
        """The report, complete."""
        for line in self.reader.notes:
            self.note(line)
        return self.report

    def make(
        self,
        items: Callable[[Iterator[Frame], FrameGenerator], Iterator[Item]],
        generator: FrameGenerator | None = None,
        *,
        rate: Fraction,
        last: Fraction | None = None,
    ) -> None:
        """The second pass: decode again, make, encode.

        Args:
            items: gives the output's frames, of the source's frames and the generator.
            generator: who makes them; None = the job's own, which is named in the report.
            rate: frames a second of the output.
            last: seconds that its last frame is shown; None = as long as the source's last one.
        """
        report, encoding = self.report, self.wishes.encoding
        writer = VideoWriter(
            self.output,
            self.reader.facts,
            time_base=report.time_base,
            rate=rate,
            codec=encoding.codec,
            options=encoding.options,
            overwrite=encoding.overwrite,
            resets=self.reader.resets,
        )
        with writer:
            for line in writer.not_copied:  # said before the work begins
                self.note(f"not copied: {line}")
            report.streams = writer.copied
            with timed(self.seconds, "open"):
                maker = generator or self.generator()
            with timed(self.seconds, "make"):
                frames = counted(self.reader.frames(), "make", report.frames_in, self.wishes.tick)
                if report.pictures is not None:
                    frames = report.pictures.watch(frames)
                for frame, record in items(frames, maker):
                    writer.write(frame)
                    if record is not None:
                        report.made.append(record)
                        if report.pictures is not None:
                            report.pictures.add(frame, record)
                if generator is None:
                    report.ran(maker)
                writer.last_duration = last or self.reader.last_duration or self._period
                writer.close()
        report.frames_out = writer.frames
        for line in writer.notes:
            self.note(line)


def look_at(reader: VideoReader, tick: Tick, say: Say) -> tuple[Timeline, list[Event]]:
    """When the frames of a file are shown, and what the detectors see."""
    manager = get_plugin_manager()
    facts = reader.facts
    about = facts.count or round((facts.duration or 0) * (facts.rate or 0))  # 0 when the file says nothing
    found = scan(counted(reader.frames(), "scan", about, tick), manager.detectors(), rate=facts.rate)
    for problem in manager.problems:
        say(str(problem))
    return found


def counted(items: Iterable[T], stage: str, total: int, tick: Tick) -> Iterator[T]:
    """Items on their way, counted."""
    for done, item in enumerate(items, 1):
        yield item
        tick(stage, done, total)


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Add the time that a block takes to a stage."""
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - start
