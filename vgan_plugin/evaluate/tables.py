"""From records to figures: means over frames, then over clips, and what stands beside what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from vgan_plugin.errors import UsageError
from vgan_plugin.evaluate import confidence, motion
from vgan_plugin.evaluate.metrics import psnr
from vgan_plugin.evaluate.run import Record
from vgan_plugin.evaluate.statistics import bootstrap

Figures = dict[str, float]
Rows = tuple[list[str], list[list[str]]]
"""Columns and rows, as text."""
COLUMNS = (
    ("psnr", "PSNR", "{:.2f}"),
    ("pooled", "pooled", "{:.2f}"),
    ("ssim", "ssim_rgb", "{:.4f}"),
    ("tof", "tOF", "{:.3f}"),
    ("warping", "warping", "{:.1f}"),
    ("flicker", "flicker", "{:.2f}"),
    ("sharpness", "sharpness", "{:.3f}"),
    ("rank", "confidence", "{:.2f}"),
    ("touched", "touched", "{:.0f}"),
    ("vmaf", "VMAF", "{:.2f}"),
    ("vmaf_neg", "VMAF-NEG", "{:.2f}"),
)
"""Key of a figure, its column's title, and its form."""
_ENOUGH = 200
"""Blocks that a class of error needs before its mean says something."""


def unique(values: Iterable[str]) -> list[str]:
    """In order of their first appearance."""
    return list(dict.fromkeys(values))


def of_clip(record: Record) -> Figures:
    """Means over the frames and windows of one record."""
    frames = [frame for window in record["windows"] for frame in window["frames"]]
    found = {
        "psnr": float(np.mean([psnr(frame["mse"]) for frame in frames])),
        "pooled": psnr(float(np.mean([frame["mse"] for frame in frames]))),
    }
    for name in ("ssim", "sharpness"):
        if name in frames[0]:
            found[name] = float(np.mean([frame[name] for frame in frames]))
    for name in ("tof", "warping", "flicker"):
        values = [window[name] for window in record["windows"] if name in window]
        if values:
            found[name] = float(np.mean(values))
    found |= record.get("video", {})
    return found


def summary(records: Sequence[Record], task: str, against: str | None) -> dict[str, dict[str, Any]]:
    """Figures of each method on a task, mean over clips.

    Args:
        records: of all methods and tasks.
        task: which.
        against: the method that the others are compared with, clip by clip.

    Returns:
        by method: the means of `of_clip`, ``clips`` and ``frames``, ``rank`` (of confidence with the true error),
        and ``gain``, ``low``, ``high``: the mean PSNR difference to `against` in dB and its 95 % interval.
    """
    table: dict[str, dict[str, Any]] = {}
    clips = {
        m: {r["clip"]: of_clip(r) for r in records if (r["task"], r["method"]) == (task, m)} for m in methods(records)
    }
    for method, rows in clips.items():
        if not rows:
            continue
        names = unique(name for row in rows.values() for name in row)
        found: dict[str, Any] = {
            name: float(np.mean([row[name] for row in rows.values() if name in row])) for name in names
        }
        mine = [r for r in records if (r["task"], r["method"]) == (task, method)]
        found["clips"] = len(rows)
        found["frames"] = sum(len(window["frames"]) for r in mine for window in r["windows"])
        if any("touched" in r for r in mine):
            found["touched"] = sum(r.get("touched", 0) for r in mine)
        tables = [np.array(r["confidence"]["counts"]) for r in mine if "confidence" in r]
        if tables:
            found["rank"] = confidence.rank_correlation(np.sum(tables, 0))
        other = clips.get(against or "", {})
        differences = [row["psnr"] - other[clip]["psnr"] for clip, row in rows.items() if clip in other]
        if differences and method != against:
            found["gain"] = float(np.mean(differences))
            found["low"], found["high"] = bootstrap(differences)
        table[method] = found
    return table


def opponent(records: Sequence[Record], asked: str | None) -> str | None:
    """The method that the others are compared with: the one asked for, else ``dis``, else ``blend``, where measured.

    Raises:
        UsageError: the one asked for was not measured.
    """
    there = methods(records)
    if asked is not None and asked not in there:
        raise UsageError(
            f"Nothing can be compared with {asked!r}", f"measured were {', '.join(there)}", "name one of them"
        )
    return asked or next((name for name in ("dis", "blend") if name in there), None)


def methods(records: Sequence[Record]) -> list[str]:
    """All methods, in order."""
    return unique(r["method"] for r in records)


def tasks(records: Sequence[Record]) -> list[str]:
    """All tasks, in order."""
    return unique(r["task"] for r in records)


def by_clip(records: Sequence[Record], task: str) -> dict[str, dict[str, float]]:
    """PSNR by clip, then by method."""
    table: dict[str, dict[str, float]] = {}
    for record in records:
        if record["task"] == task:
            table.setdefault(record["clip"], {})[record["method"]] = of_clip(record)["psnr"]
    return table


def by_class(records: Sequence[Record], task: str) -> dict[str, dict[str, float]]:
    """PSNR by class of motion, then by method: mean over the frames of all windows of the class."""
    table: dict[str, dict[str, list[float]]] = {}
    for record, window in _windows(records, task):
        if window["motion"] is not None:
            values = table.setdefault(motion.class_of(window["motion"]), {}).setdefault(record["method"], [])
            values += [psnr(frame["mse"]) for frame in window["frames"]]
    return {name: _means(table[name]) for name, _, _ in motion.CLASSES if name in table}


def by_place(records: Sequence[Record], task: str) -> dict[str, dict[str, float]]:
    """PSNR by place in the gap, then by method: mean over all frames there."""
    table: dict[str, dict[str, list[float]]] = {}
    for record, window in _windows(records, task):
        for frame in window["frames"]:
            table.setdefault(frame["t"], {}).setdefault(record["method"], []).append(psnr(frame["mse"]))
    return {t: _means(table[t]) for t in sorted(table, key=Fraction)}


def calibration(records: Sequence[Record]) -> dict[str, list[tuple[float, float]]]:
    """By method that says how sure it is: (expected, true) mean error in code values, by class of expected error."""
    curves = {}
    for method in methods(records):
        mine = [r["confidence"] for r in records if r["method"] == method and "confidence" in r]
        if not mine:
            continue
        counts = np.sum([np.array(c["counts"]).sum(1) for c in mine], 0)
        sums = np.sum([np.array(c["sums"]) for c in mine], 0)
        curves[method] = [
            (255 * said / count, 255 * was / count)
            for (said, was), count in zip(sums, counts, strict=True)
            if count >= _ENOUGH and said > 0 and was > 0
        ]
    return curves


def summary_rows(summary: Mapping[str, Mapping[str, Any]], against: str | None) -> Rows:
    """A summary as text: columns, then a row a method."""
    shown = [column for column in COLUMNS if any(column[0] in row for row in summary.values())]
    columns = ["method", "clips", "frames", *(title for _, title, _ in shown)]
    rows = []
    for method, row in summary.items():
        cells = [form.format(row[key]) if key in row else "" for key, _, form in shown]
        rows.append([method, str(row["clips"]), str(row["frames"]), *cells])
    if any("gain" in row for row in summary.values()):
        columns.append(f"PSNR over {against}, 95 %")
        for cells, row in zip(rows, summary.values(), strict=True):
            cells.append(f"{row['gain']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}]" if "gain" in row else "")
    return columns, rows


def nested_rows(first: str, table: Mapping[str, Mapping[str, float]]) -> Rows:
    """A table by row and method as text, in dB."""
    names = unique(name for row in table.values() for name in row)
    return [first, *names], [[key, *(f"{row[n]:.2f}" if n in row else "" for n in names)] for key, row in table.items()]


def _windows(records: Sequence[Record], task: str) -> Iterable[tuple[Record, Record]]:
    return ((record, window) for record in records if record["task"] == task for window in record["windows"])


def _means(row: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {name: float(np.mean(values)) for name, values in row.items()}
