"""`vgan pipe`: YUV4MPEG2 on standard input and output, live."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import click

from vgan_plugin.cli import options as shared
from vgan_plugin.cli.inpaint import holes_of, masks
from vgan_plugin.cli.output import Output, leave_stdout
from vgan_plugin.errors import OutputError, UsageError
from vgan_plugin.media.queues import Abandoned, Channel

if TYPE_CHECKING:
    from vgan_plugin.hosts.pipe import Piped

_WAITING = 2
"""Frames of the output that may wait for whoever reads."""
_PIECE = 1 << 16
"""Bytes that are written at once: what a pipe holds."""
_PATIENCE = 1.0
"""Seconds in which whoever reads takes a piece of the last frame, after we were told to end."""

_common = shared.chain(
    click.option(
        "--timing", metavar="FILE", type=shared.file_path, help="Times of the frames: framecrc, or timestamps v2."
    ),
    shared.generator,
    click.option("--report", metavar="R.json|R.html", type=shared.file_path, help="Write what was found and made."),
    click.option("--overwrite", "-y", is_flag=True, help="Replace an existing report."),
    click.option("--quiet", "-q", is_flag=True, help="Say nothing but errors."),
    click.option("--verbose", "-v", is_flag=True, help="Say more."),
)


@click.group("pipe")
def command() -> None:
    """Work on YUV4MPEG2 from standard input to standard output, in one pass.

    ffmpeg -i IN -strict -1 -f yuv4mpegpipe - | vgan pipe fill | ffmpeg -i - OUT

    A frame leaves when nothing that comes later can change it: with fill at most 37 frames and the longest gap that is
    made (24 frames, or one second) after it came. docs/hosts/pipe.md says what a pipe loses.
    """


@command.command("fill")
@click.option("--max-gap", metavar="N", type=click.IntRange(min=1), help="Longest gap made.  [default: 24 or 1 s]")
@_common
def fill(max_gap: int | None, **options: Any) -> int:
    """Repair repeated, blank and damaged frames, and with --timing bring lost ones back."""
    from vgan_plugin.gaps import GapPolicy
    from vgan_plugin.hosts import pipe

    return _run(options, lambda source, write, **how: pipe.fill(source, write, policy=GapPolicy(max_gap), **how))


@command.command("interpolate")
@click.option("--factor", metavar="N", type=click.IntRange(min=2), help="n frames become N(n-1)+1.")
@click.option("--rate", metavar="FPS", help="Frames a second: 60, 60000/1001, 59.94.")
@_common
def interpolate(factor: int | None, rate: str | None, **options: Any) -> int:
    """Raise the frame rate. Repairs nothing."""
    from vgan_plugin.hosts import pipe

    exact = None if rate is None else shared.parse_rate(rate)[0]
    if (factor is None) == (exact is None):
        raise UsageError("The new frame rate is unclear", "a factor or a rate is needed, not both", "give one of them")
    return _run(options, lambda source, write, **how: pipe.interpolate(source, write, factor=factor, rate=exact, **how))


@command.command("inpaint")
@masks
@_common
def inpaint(**options: Any) -> int:
    """Make the masked pixels anew."""
    from vgan_plugin.hosts import pipe

    holes, direction = holes_of(options), options["direction"]
    return _run(options, lambda source, write, **how: pipe.inpaint(source, write, holes, direction=direction, **how))


def _run(options: dict[str, Any], work: Callable[..., Piped]) -> int:
    from vgan_plugin.cli import jobs

    out = Output(quiet=options["quiet"], verbose=options["verbose"])
    if sys.stdin.isatty() or sys.stdout.isatty():
        raise UsageError(
            "vgan pipe stands between two programs",
            "standard input or output is a terminal",
            "for example: ffmpeg -i IN -strict -1 -f yuv4mpegpipe - | vgan pipe fill | ffmpeg -i - OUT",
        )
    report: Path | None = options["report"]
    with jobs.ReportFile(report, overwrite=options["overwrite"]) as report_file:
        with _Standard() as standard:
            done = work(
                sys.stdin.buffer,
                standard.write,
                generator=shared.open_request(options),
                timing=options["timing"],
                min_confidence=options["min_confidence"],
                records=report is not None,
                pictures=report_file.pictures,
                say=out.say,
            )
        report_file.write(done.report)
    jobs.show_unrepaired(done.report.unrepaired, out)
    made = ", ".join(f"{count} {method}" for method, count in done.methods.most_common()) or "0"
    out.say(f"{done.report.frames_in} frames in, {done.report.frames_out} out; made: {made}")
    if done.report.provider.get("fallback"):
        out.say(f"ran on {done.report.provider.get('device')}: {done.report.provider['fallback']}")
    return done.status


class _Standard:
    """Standard output, written to in a thread of its own: a signal never cuts a frame in two. A context."""

    def __init__(self) -> None:
        self._file = sys.stdout.fileno()
        self._frames: Channel[bytes] = Channel(_WAITING)
        self._thread = threading.Thread(target=self._run, name="vgan-write", daemon=True)
        self._error: OutputError | None = None
        self._sent = 0  # bytes

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is None:
            self._frames.finish()
            self._thread.join()
            if self._error is not None:
                raise self._error
        else:
            self._frames.abandon()
            sent = -1
            while self._thread.is_alive() and sent != self._sent:
                sent = self._sent
                self._thread.join(_PATIENCE)

    def write(self, data: bytes) -> None:
        """Write a frame.

        Raises:
            OutputError: nobody reads any more, or the disk is full.
        """
        self._frames.put(data)

    def _run(self) -> None:
        try:
            for data in self._frames:
                rest = memoryview(data)
                while rest:
                    written = os.write(self._file, rest[:_PIECE])
                    rest, self._sent = rest[written:], self._sent + written
        except Abandoned:
            return
        except BrokenPipeError:
            leave_stdout()
            self._error = OutputError(
                "Standard output was closed", "the program that reads it has left", "see what it says"
            )
        except OSError as error:
            why = error.strerror or str(error)
            self._error = OutputError("Cannot write to standard output", why, "send it elsewhere")
        self._frames.abandon(self._error)
