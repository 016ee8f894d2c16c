"""What a run leaves in its folder: `report.md` with its plots and sheets, and `report.json` with every figure."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import vgan_plugin
from vgan_plugin.errors import OutputError
from vgan_plugin.evaluate import plots, sheets, tables
from vgan_plugin.evaluate.methods import Method
from vgan_plugin.evaluate.run import INPAINT, Protocol, Record
from vgan_plugin.evaluate.sets import Source

_BESIDE = ("rife", "dis", "blend")
"""Baselines that a sheet shows beside ours and the truth, those of them that were measured."""


def write(
    folder: Path,
    records: Sequence[Record],
    against: str | None,
    sources: Sequence[Source],
    methods: Sequence[Method],
    protocol: Protocol,
) -> None:
    """Write everything; sheets that are there already are kept.

    Args:
        folder: where to; made if it is not there.
        records: of the run.
        against: what the others are compared with.
        sources: what was measured on.
        methods: what was measured, still open: the first one is ours.
        protocol: as it was measured.

    Raises:
        OutputError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lines = [f"# Pictures, {datetime.datetime.now(tz=datetime.UTC).date().isoformat()}", ""]
        for task in tables.tasks(records):
            lines += [f"## {task}", "", *figures(records, task, against)]
            lines += _sheet(folder, records, task, sources, methods, protocol)
        lines += _plots(folder, records, against)
        (folder / "report.md").write_text("\n".join(lines) + "\n", "utf-8")
        (folder / "report.json").write_text(json.dumps(as_json(records, against), indent=1), "utf-8")
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written", error.strerror or str(error), "choose another --out"
        ) from error


def as_json(records: Sequence[Record], against: str | None) -> dict[str, Any]:
    """Every figure of a run."""
    return {
        "format": 1,
        "vgan": vgan_plugin.__version__,
        "date": datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds"),
        "against": against,
        "summary": {task: tables.summary(records, task, against) for task in tables.tasks(records)},
        "calibration": tables.calibration(records),
        "records": list(records),
    }


def figures(records: Sequence[Record], task: str, against: str | None) -> list[str]:
    """The tables of one task as Markdown lines."""
    lines = markdown(*tables.summary_rows(tables.summary(records, task, against), against))
    for title, table in (
        ("clip, PSNR", tables.by_clip(records, task)),
        ("motion, PSNR", tables.by_class(records, task)),
        ("place in the gap, PSNR", tables.by_place(records, task)),
    ):
        if len(table) > 1:
            lines += markdown(*tables.nested_rows(title, table))
    return lines


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table as Markdown lines, an empty one behind it."""
    out = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return [*out, *("| " + " | ".join(row) + " |" for row in rows), ""]


def _sheet(
    folder: Path,
    records: Sequence[Record],
    task: str,
    sources: Sequence[Source],
    methods: Sequence[Method],
    protocol: Protocol,
) -> list[str]:
    measured = {r["method"] for r in records if r["task"] == task}
    ours = methods[0]
    beside = [m for name in _BESIDE for m in methods if m.name == name and name in measured][:2]
    if ours.name not in measured or ours in beside or not beside or task.startswith(INPAINT):
        return []  # holes have tables alone
    cases = sheets.choose(records, task, ours.name, [m.name for m in beside])
    stem = f"sheet-{task.replace(' ', '-')}"
    identity = json.dumps([[vars(case) for case in cases], ours.identity, protocol.own_pixels], default=dict)
    file = folder / f"{stem}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}.jpg"
    if not file.exists():
        picture = sheets.draw(cases, task, sources, [ours, *beside], protocol)
        for old in folder.glob(f"{stem}-????????.jpg"):
            old.unlink()
        file.write_bytes(picture)
    names = [ours.name, *(m.name for m in beside)]
    rows = [[case.clip, case.t, *(f"{case.psnr[name]:.2f}" for name in names)] for case in cases]
    shown = " | ".join((names[0], "truth", *names[1:]))
    return [
        f"From left: {shown}. The same crop, where {ours.name} is worst in the frame; first the frames on which it "
        "loses most, then those on which it wins most:",
        "",
        f"![{shown}]({file.name})",
        "",
        *markdown(["clip", "place in the gap", *names], rows),
    ]


def _plots(folder: Path, records: Sequence[Record], against: str | None) -> list[str]:
    drawn: dict[str, str] = {}
    for task in tables.tasks(records):
        stem = task.replace(" ", "-")
        groups = _gains(records, task, against) if against is not None else {}
        if groups:
            drawn[f"gain-{stem}.svg"] = plots.bars(f"{task}: PSNR over {against}, by clip", groups, "dB")
        places = tables.by_place(records, task)
        if len(places) > 2:
            names = tables.unique(name for row in places.values() for name in row)
            series = {name: [row.get(name) for row in places.values()] for name in names}
            drawn[f"place-{stem}.svg"] = plots.lines(f"{task}: PSNR by place in the gap", list(places), series, "dB")
    if curves := tables.calibration(records):
        title = "Expected and true error of 8x8 blocks, in code values"
        drawn["calibration.svg"] = plots.calibration(title, curves)
    lines = ["## Plots", ""]
    for name, svg in drawn.items():
        (folder / name).write_text(svg, "utf-8")
        lines += [f"![{name}]({name})", ""]
    return lines


def _gains(records: Sequence[Record], task: str, against: str) -> dict[str, list[plots.Bar]]:
    clips = tables.by_clip(records, task)
    summary = tables.summary(records, task, against)
    groups = {}
    for method, row in summary.items():
        if "gain" in row and method not in ("repeat", "blend", "mci"):
            bars = [
                plots.Bar(clip, found[method] - found[against])
                for clip, found in clips.items()
                if method in found and against in found
            ]
            groups[method] = [*bars, plots.Bar("mean", row["gain"], row["low"], row["high"])]
    return groups
