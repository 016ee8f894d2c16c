"""The run: every clip, every task, every method, and what was found before is not measured again.

A *record* is what one method did on one task of one clip: plain JSON, remembered under a hash of everything that it
depends on. Tables, plots and sheets are made of records alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from vgan_plugin.errors import DataUnusable, InputError, OutputError
from vgan_plugin.evaluate import confidence, holes, metrics, motion, windows
from vgan_plugin.evaluate.methods import Answer, Method
from vgan_plugin.evaluate.sets import Picture, Source, as_rgb, rgb8
from vgan_plugin.evaluate.vmaf import vmaf
from vgan_plugin.evaluate.windows import Window
from vgan_plugin.types import Frame

PROTOCOL = 2
"""Raised when the same clip and method would give other figures: what is remembered is then measured anew."""
INPAINT, _OBJECT = "inpaint ", "object"
"""How the names of tasks with holes begin, and the last of their kinds."""
_FRAMES = 4
"""Frames of a clip with holes for each window that a clip may have."""
Record = dict[str, Any]
Tick = Callable[[str, int, int], None]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Protocol:
    """What is measured.

    Attributes:
        gaps: lengths of the gaps that are taken out of clips.
        predict: frames after the last one, too.
        double: the clip at half its rate, too.
        inpaint: holes in every frame, too.
        most: windows a clip and task; None = as many as fit, all at once.
        own_pixels: frames go through the clip's own pixel format instead of 8 bit RGB.
        flow: whether what needs optical flow is measured.
        ssim: whether SSIM and sharpness are.
        ffmpeg: measures VMAF of the clip at half its rate; None: nobody does.
    """

    gaps: tuple[int, ...] = (1, 3, 7)
    predict: bool = False
    double: bool = False
    inpaint: bool = False
    most: int | None = 6
    own_pixels: bool = False
    flow: bool = True
    ssim: bool = True
    ffmpeg: str | None = None

    def tasks(self, source: Source) -> list[str]:
        """What is done with a clip."""
        if source.triplet:
            return ["triplet"]
        found = [f"gap {gap}" for gap in self.gaps] + ["predict"] * self.predict + ["double"] * self.double
        if self.inpaint:
            found += [f"{INPAINT}{shape}" for shape in (*holes.SHAPES, *[_OBJECT] * bool(source.masks))]
        return found

    def cut(self, task: str, frames: Sequence[Frame]) -> list[Window]:
        """The windows of a task; none when the clip is too short."""
        if task == "triplet":
            return windows.triplet(frames)
        if task == "predict":
            return windows.predictions(frames, self.most)
        if task == "double":
            return windows.doubled(frames)
        return windows.gaps(frames, int(task.removeprefix("gap ")), self.most)

    def key(self, source: Source, task: str, method: Method) -> str:
        """What a record is remembered by."""
        facts: list[object] = [PROTOCOL, source.digest, task, self.own_pixels, self.flow, self.ssim]
        if task not in ("triplet", "double"):
            facts.append(self.most)
        if task == "double":
            facts.append(self.ffmpeg is not None)
        facts += [method.name, method.identity]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]


class Memory:
    """Records of earlier runs, a line each, in a file of their own; without a file they last as long as the run.

    Raises:
        OutputError: the file cannot be read or written.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._records: dict[str, Record] = {}
        if file is None:
            return
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            lines = file.read_text("utf-8").splitlines() if file.exists() else []
        except OSError as error:
            raise _unwritable(file, error) from error
        for line in lines:
            try:
                record = json.loads(line)
                self._records[record["key"]] = record
            except (ValueError, KeyError, TypeError):
                continue  # the run was stopped in the middle of this line

    def get(self, key: str) -> Record | None:
        """The record, if it was measured before."""
        return self._records.get(key)

    def add(self, record: Record) -> None:
        """Remember a record."""
        self._records[record["key"]] = record
        if self._file is None:
            return
        try:
            with self._file.open("a", encoding="utf-8") as out:
                out.write("\n" * (not _ends_a_line(self._file)) + json.dumps(record) + "\n")
        except OSError as error:
            raise _unwritable(self._file, error) from error


def evaluate(
    sources: Sequence[Source],
    methods: Sequence[Method],
    protocol: Protocol,
    memory: Memory,
    *,
    tick: Tick = lambda _stage, _done, _total: None,
    say: Say = lambda _: None,
) -> tuple[list[Record], list[str]]:
    """Measure, in order of sources, tasks and methods. A clip that is too short for a task is named and left out of it.

    Returns:
        the records, and the names of the clips that cannot be read.

    Raises:
        DataUnusable: nothing at all could be measured.
    """
    records: list[Record] = []
    unread: list[str] = []
    for number, source in enumerate(sources):
        tick("clips", number, len(sources))
        try:
            records += _clip(source, methods, protocol, memory, say)
        except InputError as error:
            say(f"{source.name} is left out: {error.what}: {error.why}")
            unread.append(source.name)
    tick("clips", len(sources), len(sources))
    if not records:
        raise DataUnusable(
            "Nothing could be measured",
            "every clip is too short or cannot be read",
            "give longer clips or smaller gaps",
        )
    return records, unread


def _clip(source: Source, methods: Sequence[Method], protocol: Protocol, memory: Memory, say: Say) -> Iterable[Record]:
    frames: list[Frame] = []
    for task in protocol.tasks(source):
        keys = [protocol.key(source, task, method) for method in methods]
        missing = [m for m, key in zip(methods, keys, strict=True) if memory.get(key) is None]
        if missing:
            if not frames:
                frames = source.read()
                if not protocol.own_pixels:
                    frames = [as_rgb(frame) for frame in frames]
            if task.startswith(INPAINT):
                measured_by = _inpaint(source, task, frames, missing, protocol)
            else:
                cut = protocol.cut(task, frames)
                video = frames if task == "double" and protocol.ffmpeg else None
                measured_by = _measure(cut, missing, protocol, video) if cut else []
            if not measured_by:
                say(f"{source.name} is left out of {task}: it has {len(frames)} frames")
                continue
            for method, measured in zip(missing, measured_by, strict=True):
                record = {"clip": source.name, "task": task, "method": method.name, **measured}
                memory.add({"key": protocol.key(source, task, method), **record})
        known = [record for record in map(memory.get, keys) if record is not None and record["windows"]]
        yield from ({**record, "clip": source.name} for record in known)  # it may have had another name


def _inpaint(
    source: Source, task: str, frames: Sequence[Frame], methods: Sequence[Method], protocol: Protocol
) -> list[Record]:
    some = list(frames if protocol.most is None else frames[: _FRAMES * protocol.most])
    shape = task.removeprefix(INPAINT)
    if len(some) < 2:
        return []
    if shape == _OBJECT:
        masks = [mask[:, ::-1] for mask in source.read_masks()[: len(some)]]  # behind the object itself nobody knows
        some = some[: len(masks)]
        if any(mask.shape != (frame.height, frame.width) for mask, frame in zip(masks, some, strict=True)):
            raise InputError(f"The masks of {source.name} do not fit", "their size is not the clip's", "scale them")
    else:
        masks = holes.SHAPES[shape](len(some), some[0].height, some[0].width)
    return holes.measure(some, masks, methods, flow=protocol.flow)


def _measure(
    cut: Sequence[Window], methods: Sequence[Method], protocol: Protocol, video: Sequence[Frame] | None
) -> list[Record]:
    """One record a method; methods that do not do such a task have no windows.

    Args:
        cut: the windows.
        methods: who makes them.
        protocol: what is measured.
        video: the whole clip, when what is made is looked at as a video, too.
    """
    found: list[Record] = [{"windows": []} for _ in methods]
    made: list[dict[int, Frame]] = [{} for _ in methods]
    for window in cut:
        truth = _Truth(window, protocol)
        for method, record, frames in zip(methods, found, made, strict=True):
            answers = method.make(window)
            if answers is not None:
                record["windows"].append(truth.compare(answers, record))
                if video is not None:
                    frames |= {answer.frame.pts: answer.frame for answer in answers}
    if video is not None and protocol.ffmpeg is not None:
        whole = video[: 2 * len(cut) + 1]
        for record, frames in zip(found, made, strict=True):
            if frames:
                record["video"] = vmaf([frames.get(f.pts, f) for f in whole], whole, protocol.ffmpeg)
    return found


class _Truth:
    """What a window is compared with, worked out once for all methods."""

    def __init__(self, window: Window, protocol: Protocol) -> None:
        self.window, self.protocol = window, protocol
        self.frames = [rgb8(frame) for frame in window.truth]
        self.a = rgb8(window.before[-1])
        self.b = rgb8(window.after[0]) if window.after else None
        self.motion = None
        if protocol.flow:
            first, last = (self.a, self.b) if self.b is not None else (rgb8(window.before[-2]), self.a)
            self.motion = round(motion.length(motion.flow(first, last)), 3)
        self.near = [metrics.sharpness(x) for x in (self.a, self.b) if x is not None] if protocol.ssim else []
        self._pairs: list[Any] = []

    def compare(self, answers: Sequence[Answer], record: Record) -> Record:
        """One window of a record; tables of confidence are added to the record itself."""
        made = [rgb8(answer.frame) for answer in answers]
        found: Record = {"start": self.window.start, "motion": self.motion, "frames": []}
        for picture, truth, answer in zip(made, self.frames, answers, strict=True):
            frame: Record = {
                "t": str(self.window.place(answer.frame.time)),
                "mse": round(metrics.mse(picture, truth), 5),
            }
            if self.protocol.ssim:
                frame["ssim"] = round(metrics.ssim_rgb(picture, truth), 6)
                frame["sharpness"] = round(metrics.sharpness(picture) / max(float(np.mean(self.near)), 1e-6), 5)
            if answer.confidence is not None:
                frame["confidence"] = round(answer.confidence, 5)
            if answer.sure is not None:
                _add(record, *confidence.count(answer.sure, picture, truth))
            found["frames"].append(frame)
        if self.b is not None and self.protocol.flow:
            found |= self._temporal([self.a, *made, self.b])
        return found

    def _temporal(self, made: list[Picture]) -> Record:
        assert self.b is not None  # noqa: S101 asked by the caller
        true = [self.a, *self.frames, self.b]
        if not self._pairs:
            for first, second in pairwise(true):
                self._pairs.append((motion.flow(first, second), *motion.both_ways(first, second)))
        tof, warped, flicker = [], [], []
        for i, (forth, back, seen) in enumerate(self._pairs):
            pair = made[i], made[i + 1]
            tof.append(motion.flow_error(motion.flow(*pair), forth))
            warped.append(motion.warping_error(pair, back, seen))
            flicker.append(metrics.flicker(pair, (true[i], true[i + 1])))
        return {
            "tof": round(float(np.mean(tof)), 5),
            "warping": round(float(np.mean(warped)), 4),
            "flicker": round(float(np.mean(flicker)), 5),
        }


def _add(record: Record, counts: Any, sums: Any) -> None:
    before = record.get("confidence")
    if before is not None:
        counts, sums = counts + np.array(before["counts"]), sums + np.array(before["sums"])
    record["confidence"] = {"counts": counts.tolist(), "sums": np.round(sums, 6).tolist()}


def _ends_a_line(file: Path) -> bool:
    if not file.exists() or file.stat().st_size == 0:
        return True
    with file.open("rb") as written:
        written.seek(-1, 2)
        return written.read(1) == b"\n"


def _unwritable(file: Path, error: OSError) -> OutputError:
    return OutputError(f"{file} cannot be used", error.strerror or str(error), "choose another place with --out")
