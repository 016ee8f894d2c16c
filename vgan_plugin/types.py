"""The values everything else speaks in: pixel formats, frames as NumPy planes, requests and answers of the hooks.

Only values and their shape checks live here: no file is opened, no model is loaded, no pixel is converted
(`Frame.rgb` asks `pixels.colour` for that).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from vgan_plugin.errors import InputUnsupported

API = 1
"""Version of the hook interface. It is raised only when an existing plugin would break."""

Plane = NDArray[np.uint8] | NDArray[np.uint16]
Mask = NDArray[np.bool_]
"""(H, W) at luma resolution; True = make this pixel."""
RGB = NDArray[np.float32]
"""(3, H, W), red, green, blue in [0, 1], display-referred (matrix undone, transfer left as it is)."""
Family = Literal["yuv", "rgb", "gray"]

_YUV = re.compile(r"yuvj?(?P<sub>420|422|444|440|411|410)p(?P<bits>\d+)?(?:le)?")
_YUVA = re.compile(r"yuva(?P<sub>420|422|444)p(?P<bits>\d+)?(?:le)?")
_GBR = re.compile(r"gbr(?P<alpha>a)?p(?P<bits>\d+)?(?:le)?")
_GRAY = re.compile(r"gray(?P<bits>\d+)?(?:le)?")
_SHIFTS = {"420": (1, 1), "422": (1, 0), "444": (0, 0), "440": (0, 1), "411": (2, 0), "410": (2, 2)}


@dataclass(frozen=True)
class PixelFormat:
    """A planar integer pixel format, named as FFmpeg names it.

    Attributes:
        name: FFmpeg's name, such as ``yuv420p10le``.
        family: ``yuv`` (planes Y, U, V), ``rgb`` (planes G, B, R as in FFmpeg's gbrp) or ``gray``.
        bits: 8 to 16 bits a sample; more than 8 are kept in uint16, aligned to the least significant bit.
        shift_x: log2 of the horizontal chroma subsampling (1 for 4:2:0 and 4:2:2).
        shift_y: log2 of the vertical chroma subsampling (1 for 4:2:0).
        alpha: whether a last plane holds alpha.
    """

    name: str
    family: Family
    bits: int
    shift_x: int = 0
    shift_y: int = 0
    alpha: bool = False

    @classmethod
    def parse(cls, name: str) -> PixelFormat:
        """Understand FFmpeg's name of a planar integer format.

        Raises:
            InputUnsupported: the format is packed, semi-planar, floating point, big endian or unknown.
        """
        match: re.Match[str] | None
        found = None
        if (match := _YUVA.fullmatch(name)) or (match := _YUV.fullmatch(name)):
            x, y = _SHIFTS[match["sub"]]
            found = cls(name, "yuv", int(match["bits"] or 8), x, y, name.startswith("yuva"))
        elif match := _GBR.fullmatch(name):
            found = cls(name, "rgb", int(match["bits"] or 8), alpha=bool(match["alpha"]))
        elif match := _GRAY.fullmatch(name):
            found = cls(name, "gray", int(match["bits"] or 8))
        if found is None or not 8 <= found.bits <= 16:
            raise InputUnsupported(
                f"Pixel format {name!r} is not supported",
                "vgan works on planar 8 to 16 bit YUV, RGB and grey frames",
                "convert first, for example: ffmpeg -i IN -pix_fmt yuv420p OUT",
            )
        return found

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8 for 8 bit, else uint16."""
        return np.dtype(np.uint8 if self.bits == 8 else np.uint16)

    @property
    def planes(self) -> int:
        """Number of planes, alpha included."""
        return (1 if self.family == "gray" else 3) + self.alpha

    def plane_shape(self, plane: int, width: int, height: int) -> tuple[int, int]:
        """(rows, columns) of one plane of a frame of `width` x `height`; chroma sizes round up."""
        if self.family == "yuv" and plane in (1, 2):
            return -(-height >> self.shift_y), -(-width >> self.shift_x)
        return height, width


@dataclass(frozen=True)
class Colour:
    """How samples mean colours: code points of ITU-T H.273, as FFmpeg numbers them (2 = unspecified).

    Attributes:
        matrix: matrix coefficients (1 BT.709, 5 and 6 BT.601, 9 BT.2020, 0 RGB).
        full_range: True for full (0..255), False for limited (16..235); None when untold (taken as limited for YUV
            and grey, full for RGB).
        transfer: transfer characteristics; kept, never undone.
        primaries: colour primaries; kept.
        chroma_location: FFmpeg's AVChromaLocation (0 = unspecified, 1 = left, 2 = centre).
    """

    matrix: int = 2
    full_range: bool | None = None
    transfer: int = 2
    primaries: int = 2
    chroma_location: int = 0


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture: the source's own planes and what they mean.

    Attributes:
        planes: one 2-D array a plane, (rows, columns), dtype of `format`; treat them as read-only, a decoder
            may own their memory.
        format: the pixel format.
        colour: the colour description.
        pts: presentation time in ticks of `time_base`.
        time_base: seconds a tick.
        corrupt: the decoder flagged this frame as damaged.
    """

    planes: tuple[Plane, ...]
    format: PixelFormat
    colour: Colour = Colour()
    pts: int = 0
    time_base: Fraction = Fraction(1, 25)
    corrupt: bool = False

    def __post_init__(self) -> None:
        if len(self.planes) != self.format.planes:
            raise ValueError(f"{self.format.name} has {self.format.planes} planes, not {len(self.planes)}")
        for i, plane in enumerate(self.planes):
            wanted = self.format.plane_shape(i, self.width, self.height)
            if plane.shape != wanted or plane.dtype != self.format.dtype:
                raise ValueError(
                    f"plane {i} of {self.format.name} is {plane.dtype} {plane.shape}, not {self.format.dtype} {wanted}"
                )

    @property
    def width(self) -> int:
        """Columns of luma."""
        return int(self.planes[0].shape[1])

    @property
    def height(self) -> int:
        """Rows of luma."""
        return int(self.planes[0].shape[0])

    @property
    def time(self) -> Fraction:
        """Presentation time in seconds, exact."""
        return self.pts * self.time_base

    def rgb(self) -> RGB:
        """This picture as float32 (3, H, W) RGB in [0, 1]; matrix and range undone, transfer as it is."""
        from vgan_plugin.pixels.colour import to_rgb

        return to_rgb(self)

    def __repr__(self) -> str:
        return f"Frame({self.format.name} {self.width}x{self.height}, pts={self.pts} x {self.time_base} s)"


@dataclass(frozen=True)
class GeneratorInfo:
    """What a plugin offers: one generator, described without loading anything.

    Attributes:
        name: what `--generator` takes and reports say, such as ``recurrent``.
        title: one line for people.
        tasks: any of ``fill``, ``interpolate``, ``inpaint``, ``predict``, ``synthesize``.
        licence: SPDX expression of the generator, weights included.
        bundles: folders that hold bundles of this generator: `vgan models` lists them, `--model` finds them by name.
        api: the hook interface it was written for.
    """

    name: str
    title: str
    tasks: tuple[str, ...]
    licence: str
    bundles: tuple[Path, ...] = ()
    api: int = API


@dataclass(frozen=True)
class OpenRequest:
    """What a host asks for when it opens a generator.

    Attributes:
        generator: a generator's name, or None for the one that the model names (ours by default).
        model: name of a bundle, or path of a bundle's folder or zip.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``fp32`` or ``fp16``; None lets the device decide.
        threads: CPU threads for the network; None = physical cores.
        size: (height, width) of the frames to come, so that what cannot run is an error now; None = not known yet.
        lanes: how many frames the host will let it make at once, see `Concurrent`; None = as many as there are cores
            and memory for. Several at once are sooner made than one after the other, each of them later than alone.
    """

    generator: str | None = None
    model: str = "base"
    device: str = "auto"
    precision: str | None = None
    threads: int | None = None
    size: tuple[int, int] | None = None
    lanes: int | None = 1


@dataclass(frozen=True, eq=False)
class Reference:
    """A good source frame and what `encode` made of it."""

    frame: Frame
    features: Any


@dataclass(frozen=True, eq=False)
class RenderRequest:
    """One frame to make.

    Attributes:
        a: first reference in time, or None.
        b: second reference in time, or None. Both lie on one side for a prediction.
        state: what the generator remembers after b, or None (nothing).
        offsets: times of a and b minus the target's, in source-frame periods; exact.
        like: any frame of the clip: the answer has its format, colour and size.
        pts: presentation time of the answer, in ticks of `time_base`.
        time_base: seconds a tick of `pts`.
        known: the known part of the target, with `mask`; None when nothing is known.
        mask: which pixels to make; None = all.
        seed: seed of the noise; None = no noise (deterministic in any case).
        later: what the generator remembers after the frame that follows b, which says how things move on from there;
            None where none follows in the shot, or the target does not lie between a and b.
    """

    a: Reference | None
    b: Reference | None
    state: Any
    offsets: tuple[Fraction, Fraction]
    like: Frame
    pts: int
    time_base: Fraction
    known: Frame | None = None
    mask: Mask | None = None
    seed: int | None = None
    later: Any = None


@dataclass(frozen=True, eq=False)
class Made:
    """One made frame and how sure its maker is.

    Attributes:
        frame: the frame.
        confidence: mean over the made pixels, 0..1.
        map: float32 (H, W), the confidence of each pixel; None when the maker does not say.
    """

    frame: Frame
    confidence: float
    map: NDArray[np.float32] | None = field(default=None, kw_only=True)


@runtime_checkable
class FrameGenerator(Protocol):
    """Anything that makes frames behind our hook. State is a value that goes in and comes out; nothing is hidden.

    Attributes:
        info: the generator's own description.
        block: B, the chain's block length in source frames; 0 when nothing is remembered (no chain is run).
        lead: W, how many frames before its block a chain starts.
        provenance: what really runs, for the report: ``model`` (name, hash, ...) and ``provider`` (device, engine,
            and ``fallback``: why less than hoped for runs), each a mapping.
    """

    info: GeneratorInfo
    block: int
    lead: int

    @property
    def provenance(self) -> Mapping[str, Any]:
        """See above; read after the frames are made."""
        ...

    def encode(self, frame: Frame, valid: Mask | None = None) -> Any:
        """Features of one source frame; stateless. `valid`: (H, W), True = trust this pixel; None = all."""
        ...

    def remember(self, features: Any, previous: Any, dt: Fraction, state: Any) -> Any:
        """One step of a chain.

        Args:
            features: what `encode` gave for this frame.
            previous: the same of the frame remembered before it in this chain, or None at the chain's first frame.
            dt: time from that frame to this one, in source-frame periods (0 at the first).
            state: what the last call returned, or None at the chain's first frame.
        """
        ...

    def render(self, request: RenderRequest) -> Made:
        """Make one frame. The same request gives the same bytes, whatever was asked before."""
        ...

    def close(self) -> None:
        """Free sessions and memory. The generator is not used afterwards."""
        ...


@runtime_checkable
class Synthesizer(FrameGenerator, Protocol):
    """A generator that can begin with noise alone: what the task ``synthesize`` needs. Its `render` is asked for frames
    without references, too, and for some whose only reference is b.
    """

    def seed(self, seed: int, like: Frame) -> Any:
        """The state that a video begins with.

        Args:
            seed: which video: the same seed gives the same.
            like: a frame of its format and size; its samples mean nothing.
        """
        ...


@runtime_checkable
class Concurrent(FrameGenerator, Protocol):
    """A generator that may be asked for several frames at once. One that is not is asked by one thread at a time.

    Attributes:
        lanes: how many calls of `render` may run at once; `encode` and `remember` may be called meanwhile.
    """

    lanes: int


@dataclass(frozen=True, eq=False)
class FillRequest:
    """One gap to fill: the host's call, stateless.

    Attributes:
        before: good frames before the gap in presentation order, the nearest last; those further back are the
            lead-in that the state is made from (block + lead - 1 frames count; fewer work, and are told).
        after: good frames after the gap in presentation order, the nearest first; two count.
        times: presentation times of the wanted frames in seconds, exact.
        period: one source-frame period in seconds, exact.
        masks: one a wanted frame, or empty: all pixels of all frames.
        known: the known parts that go with the masks, or empty.
        seed: seed of the noise, or None.
        open: which generator, model and device.
    """

    before: tuple[Frame, ...]
    after: tuple[Frame, ...]
    times: tuple[Fraction, ...]
    period: Fraction
    masks: tuple[Mask | None, ...] = ()
    known: tuple[Frame | None, ...] = ()
    seed: int | None = None
    open: OpenRequest = OpenRequest()


@dataclass(frozen=True, eq=False)
class Fill:
    """The answer to a `FillRequest`.

    Attributes:
        frames: in the order of the request's times.
        confidence: how sure each is, 0..1, mean over its made pixels.
        method: who made them: the generator's name, ``blend`` or ``repeat``; several are joined by commas.
        notes: what happened otherwise than one might think, a line each.
    """

    frames: tuple[Frame, ...]
    confidence: tuple[float, ...]
    method: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainRequest:
    """A training to run: clips -> run folder.

    Attributes:
        data: folder of clips (and stills).
        run: the run folder; an existing one is resumed.
        preset: ``tiny``, ``lite`` or ``base``.
        minutes: wall-clock budget; None = the preset's own schedule to its end.
        dry_run: read the data, build everything, take one step, write nothing.
        start_from: a bundle's or run's weights to start from with a fresh optimiser, or None.
        seed: seed of the whole run.
        options: further settings of the trainer by name.
    """

    data: Path
    run: Path
    preset: str = "base"
    minutes: float | None = None
    dry_run: bool = False
    start_from: Path | None = None
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ExportRequest:
    """A run to export: run folder -> bundle folder, named by its last part unless `name` says otherwise."""

    run: Path
    bundle: Path
    name: str | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class Check:
    """One finding of the doctor: verdict with its evidence and remedy.

    Attributes:
        name: what was looked at.
        verdict: ``good``, ``note`` (works, but know this) or ``bad``.
        evidence: what was seen.
        remedy: what to do; empty when good.
    """

    name: str
    verdict: Literal["good", "note", "bad"]
    evidence: str
    remedy: str = ""
