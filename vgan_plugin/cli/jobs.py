"""What the commands that make a file have in common: the report on its way, and the summary of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from vgan_plugin.cli.output import Output, print_json
from vgan_plugin.errors import OutputError, UsageError

if TYPE_CHECKING:
    from vgan_plugin.gaps import Event, GapPolicy, Unrepaired
    from vgan_plugin.hosts.file import Encoding
    from vgan_plugin.hosts.report import Report

_PICTURES = 200
"""Made frames that an HTML report shows: the least sure ones."""
_MOST = 40
"""Rows of a table for people; the report and --json have them all."""


class ReportFile:
    """The place of `--report`, checked before the work begins. A context: without a report nothing is left behind.

    Args:
        path: what `--report` named; None = no report.
        inputs: files that it must not replace.
        overwrite: whether it may replace a file.

    Attributes:
        pictures: of how many made frames it wants pictures.

    Raises:
        UsageError: the name of neither a JSON nor an HTML file, or that of an input.
        OutputError: it cannot be written there.
    """

    def __init__(self, path: Path | None, *inputs: Path, overwrite: bool) -> None:
        from vgan_plugin.media.output import PartFile

        self.pictures = 0
        self._part = None
        if path is None:
            return
        if path.suffix.lower() not in (".json", ".html"):
            why = "its name ends neither in .json nor in .html"
            raise UsageError(f"Report {path} cannot be written", why, "name it so")
        if any(path.absolute() == other.absolute() for other in inputs):
            raise UsageError(f"Report {path} cannot be written", "input or output has that name", "give it another")
        self._part = PartFile(path, *inputs, overwrite=overwrite)
        self.pictures = _PICTURES if path.suffix.lower() == ".html" else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._part is not None:
            self._part.discard()

    def write(self, report: Report) -> None:
        """Write the report under its name.

        Raises:
            OutputError: it cannot be written.
        """
        if self._part is not None:
            try:
                self._part.path.write_text(self._text(report), "utf-8")
            except OSError as error:
                why = error.strerror or str(error)
                raise OutputError(f"Cannot write the report {self._part.final}", why, "check its folder") from error
            self._part.commit()
            self._part = None

    def _text(self, report: Report) -> str:
        if not self.pictures:
            return json.dumps(report.to_json(), indent=1) + "\n"
        from vgan_plugin.hosts.page import page

        return page(report)


def finish(report: Report, out: Output) -> int:
    """Print what a run did; its exit status."""
    if out.json:
        print_json({**report.to_json(), "status": report.status})
        return report.status
    show_events(report.events, out)
    show_unrepaired(report.unrepaired, out)
    for record in report.fallbacks[:_MOST]:
        out.say(f"frame {record.index} at {clock(record.time)} is a {record.method}: {record.fallback}")
    if len(report.fallbacks) > _MOST:
        out.say(f"... and {len(report.fallbacks) - _MOST} frames more; see --report")
    out.result(summary(report))
    if report.provider.get("tiles"):
        out.say(f"made in {report.provider['tiles']}")
    if report.provider.get("fallback"):
        out.say(f"ran on {report.provider.get('device')}: {report.provider['fallback']}")
    if report.made:
        out.detail(f"model {_words(report.model)}; ran on {_words(report.provider)}")
    out.detail("seconds: " + ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in report.seconds.items()))
    return report.status


def _words(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in facts.items() if value)


def summary(report: Report) -> str:
    """One line: what came out."""
    name = "thrown away" if str(report.output) == "null:" else report.output
    what = f"{name}: {report.frames_out} frames"
    if report.copied:
        return f"{what}, {'left as they were' if report.unrepaired else 'nothing to repair'}: copied, not re-encoded"
    methods = ", ".join(f"{count} {method}" for method, count in report.methods.most_common())
    speed = ""
    if report.made and report.seconds.get("make"):
        speed = f", {len(report.made) / report.seconds['make']:.1f} made a second"
    return f"{what}, {len(report.made)} made{f' ({methods})' if methods else ''}{speed}"


def show_events(events: Sequence[Event], out: Output) -> None:
    """A table of what was seen."""
    rows = [
        [clock(event.time), event.kind, str(event.count) if event.count else "", f"{event.score:.2f}", event.reason]
        for event in events[:_MOST]
    ]
    if len(events) > _MOST:
        rows.append(["...", "", "", "", f"and {len(events) - _MOST} more"])
    out.table(("time", "kind", "frames", "score", "reason"), rows)


def show_unrepaired(unrepaired: Sequence[Unrepaired], out: Output) -> None:
    """What was left as it is."""
    for lost in unrepaired:
        out.say(f"not repaired: {lost.event.kind} at {clock(lost.event.time)}, {lost.event.count} frames: {lost.why}")


def clock(time: Fraction) -> str:
    """A time for eyes: 1:02:03.400."""
    total = round(abs(time) * 1000)
    hours, rest = divmod(total, 3_600_000)
    minutes, milliseconds = divmod(rest, 60_000)
    sign = "-" if time < 0 else ""
    return f"{sign}{hours}:{minutes:02d}:{milliseconds // 1000:02d}.{milliseconds % 1000:03d}"


def policy_of(options: dict[str, Any]) -> GapPolicy:
    """What `planning` options allow.

    Raises:
        UsageError: they contradict each other.
    """
    from vgan_plugin.gaps import GapPolicy

    if options["plan"] is not None and (options["at"] or options["max_gap"]):
        raise UsageError("--plan cannot be combined", "a plan already says what is made", "leave out --at, --max-gap")
    return GapPolicy(max_gap=options["max_gap"], at=options["at"] or ())


def encoding_of(options: dict[str, Any]) -> Encoding:
    """What `encoder` options ask for."""
    from vgan_plugin.hosts.file import Encoding

    return Encoding(options["codec"], dict(options["codec_option"]), options["overwrite"])
