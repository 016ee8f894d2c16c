"""Real clips for tests: textured patterns of known motion, written with PyAV into any codec and container."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from vgan_plugin.types import Colour, Frame, PixelFormat

FORMATS = [
    "yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv411p", "yuv410p", "yuv440p", "yuva420p", "yuva444p10le",
    "yuv420p9le", "yuv420p10le", "yuv422p10le", "yuv444p10le", "yuv420p12le", "yuv422p12le", "yuv444p12le",
    "yuv440p10le", "yuv420p14le", "yuv420p16le", "yuv422p16le", "yuv444p16le", "gray", "gray10le", "gray12le",
    "gray16le", "gbrp", "gbrap", "gbrp10le", "gbrp12le", "gbrp16le",
]  # fmt: skip
MATRICES = (0, 1, 2, 4, 5, 6, 7, 8, 9, 10)
SOUND = {".mp4": "aac", ".mov": "aac", ".m4v": "aac", ".webm": "libopus", ".ts": "mp2", ".avi": "pcm_s16le"}


def _texture(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Noise at several scales that wraps around: (rows, columns) float in 0..1, contrast everywhere, few plateaus."""
    picture = np.zeros((rows, columns))
    for scale in (16, 8, 4, 2):
        coarse = rng.random((-(-rows // scale), -(-columns // scale)))
        smooth = np.kron(coarse, np.ones((scale, scale)))[:rows, :columns]
        for axis in (0, 1):
            smooth = (np.roll(smooth, 1, axis) + 2 * smooth + np.roll(smooth, -1, axis)) / 4
        picture += scale**0.5 * smooth
    picture -= picture.min()
    return picture / picture.max()


def _plane(full: np.ndarray, rows: int, columns: int, shift_x: int, shift_y: int) -> np.ndarray:
    """Box mean down to (rows, columns); the border is replicated where the size is odd."""
    down, across = 1 << shift_y, 1 << shift_x
    full = np.pad(full, ((0, rows * down - full.shape[0]), (0, columns * across - full.shape[1])), mode="edge")
    return full.reshape(rows, down, columns, across).mean((1, 3))


def noise(name: str, width: int, height: int, colour: Colour | None = None, seed: int = 0) -> Frame:
    """A frame of noise in every code value."""
    form = PixelFormat.parse(name)
    rng = np.random.default_rng(seed)
    shapes = [form.plane_shape(i, width, height) for i in range(form.planes)]
    return Frame(tuple(rng.integers(0, 1 << form.bits, s).astype(form.dtype) for s in shapes), form, colour or Colour())


def moving_frames(
    n: int,
    width: int = 64,
    height: int = 48,
    format: str = "yuv420p",  # noqa: A002
    speed: tuple[int, int] = (3, 1),
    seed: int = 0,
    *,
    time_base: Fraction = Fraction(1, 25),
    ticks: int = 1,
    colour: Colour | None = None,
) -> list[Frame]:
    """n frames of one texture that moves by `speed` (right, down) pixels a frame and wraps around.

    Frame i has pts `i * ticks` of `time_base`. Limited range unless `colour` says full (or the format is RGB).
    """
    form = PixelFormat.parse(format)
    rng = np.random.default_rng(seed)
    textures = [_texture(rng, height, width) for _ in range(form.planes)]
    if colour is None:
        colour = Colour(matrix=0, full_range=True) if form.family == "rgb" else Colour()
    full = colour.full_range if colour.full_range is not None else form.family == "rgb"
    low, high = (0, (1 << form.bits) - 1) if full else (16 << form.bits - 8, 235 << form.bits - 8)
    frames = []
    for i in range(n):
        planes = []
        for p, texture in enumerate(textures):
            moved = np.roll(texture, (speed[1] * i, speed[0] * i), (0, 1))
            chroma = form.family == "yuv" and p in (1, 2)
            if chroma:
                rows, columns = form.plane_shape(p, width, height)
                moved = _plane(moved, rows, columns, form.shift_x, form.shift_y) * 0.5 + 0.25  # colours stay in gamut
            planes.append(np.rint(low + moved * (high - low)).astype(form.dtype))
        frames.append(Frame(tuple(planes), form, colour, i * ticks, time_base))
    return frames


def drop(frames: Sequence[Frame], *indices: int) -> list[Frame]:
    """The frames without those: their times become holes."""
    return [frame for i, frame in enumerate(frames) if i not in indices]


def freeze(frames: Sequence[Frame], *indices: int) -> list[Frame]:
    """Each of those replaced in place by the frame before it: what a stuck capture leaves."""
    out = list(frames)
    for i in sorted(indices):
        out[i] = replace(out[i], planes=out[i - 1].planes)
    return out


def blacken(frames: Sequence[Frame], *indices: int) -> list[Frame]:
    """Each of those replaced in place by black."""
    out = list(frames)
    for i in indices:
        form, full = out[i].format, bool(out[i].colour.full_range) or out[i].format.family == "rgb"
        values = [0 if full else 16 << form.bits - 8] * form.planes
        if form.family == "yuv":
            values[1:3] = [128 << form.bits - 8] * 2
        planes = tuple(np.full_like(p, v) for p, v in zip(out[i].planes, values, strict=True))
        out[i] = replace(out[i], planes=planes)
    return out


def join(*shots: Sequence[Frame]) -> list[Frame]:
    """Shots one after the other, each a period after the one before: a cut at every seam."""
    out: list[Frame] = []
    for shot in shots:
        step = shot[1].pts - shot[0].pts if len(shot) > 1 else 1
        start = out[-1].pts + step - shot[0].pts if out else 0
        out += [replace(frame, pts=frame.pts + start) for frame in shot]
    return out


def to_av(frame: Frame) -> av.VideoFrame:
    """A fresh PyAV frame with the same planes, colour tags and time."""
    made = av.VideoFrame(frame.width, frame.height, frame.format.name)
    for plane, target in zip(frame.planes, made.planes, strict=True):
        view = np.frombuffer(target, plane.dtype).reshape(-1, target.line_size // plane.dtype.itemsize)
        view[: plane.shape[0], : plane.shape[1]] = plane
    made.pts, made.time_base = frame.pts, frame.time_base
    made.colorspace, made.color_trc = frame.colour.matrix, frame.colour.transfer
    made.color_primaries = frame.colour.primaries
    made.color_range = {None: 0, False: 1, True: 2}[frame.colour.full_range]
    return made


def write_clip(
    path: Path,
    frames: Iterable[Frame],
    codec: str = "ffv1",
    *,
    time_base: Fraction | None = None,
    rate: Fraction | None = None,
    options: dict[str, str] | None = None,
    pix_fmt: str | None = None,
    audio: bool | str = False,
    subtitles: bool = False,
    attachment: bytes | None = None,
    chapters: bool = False,
    metadata: dict[str, str] | None = None,
    rotation: int = 0,
    aspect: Fraction | None = None,
    max_b_frames: int | None = None,
    container: dict[str, str] | None = None,
    interlaced: bool = False,
) -> Path:
    """Write frames at their own pts; the container is the one of the path's extension.

    Args:
        path: where to.
        frames: what, all of one format and size.
        codec: name of FFmpeg's encoder.
        time_base: of the stream; None = the frames'.
        rate: nominal frame rate; None = 25.
        options: of the encoder.
        pix_fmt: what the encoder gets, when it is not the frames' own planar format (``nv12``, ``rgb24``).
        audio: a tone as long as the video: True = a codec that goes with the container, or the encoder's name.
        subtitles: two SubRip lines within the first half second (Matroska).
        attachment: content of an attached font (Matroska).
        chapters: two chapters.
        metadata: of the container.
        rotation: degrees of the display matrix.
        aspect: sample aspect ratio.
        max_b_frames: None = the encoder's default.
        container: options of the muxer.
        interlaced: encode as interlaced, top field first.
    """
    frames = list(frames)
    first = frames[0]
    if codec == "ffv1" and pix_fmt is None:  # it stores 8 bit RGB packed
        pix_fmt = {"gbrp": "bgr0", "gbrap": "bgra"}.get(first.format.name)
    with av.open(str(path), "w", options=container or {}) as out:
        out.metadata.update(metadata or {})
        video = out.add_stream(codec, rate=rate or 25, options=dict(options or {}))
        video.width, video.height, video.pix_fmt = first.width, first.height, pix_fmt or first.format.name
        context = video.codec_context
        context.time_base = video.time_base = time_base or first.time_base
        context.color_range = {None: 0, False: 1, True: 2}[first.colour.full_range]
        context.colorspace, context.color_trc = first.colour.matrix, first.colour.transfer
        context.color_primaries = first.colour.primaries
        if aspect:
            context.sample_aspect_ratio = aspect
        if max_b_frames is not None:
            context.max_b_frames = max_b_frames
        if rotation:
            video.set_display_rotation(rotation)
        if interlaced:
            context.flags |= 1 << 18 | 1 << 29  # interlaced DCT and motion estimation
        sound = None
        if audio:
            name = audio if isinstance(audio, str) else SOUND.get(path.suffix, "flac")
            sound = out.add_stream(name, rate=48000)
            sound.codec_context.layout = "mono"
        lines = _subtitles(out) if subtitles else []
        if attachment is not None:
            out.add_attachment("font.ttf", "font/ttf", attachment)
        if chapters:
            out.set_chapters([_chapter(0, 0, 400, "One"), _chapter(1, 400, 1000, "Two")])
        for line in lines:
            out.mux(line)
        for frame in frames:
            picture = to_av(frame)
            if pix_fmt and pix_fmt != frame.format.name:
                picture = picture.reformat(format=pix_fmt)
                picture.pts, picture.time_base = frame.pts, frame.time_base
            out.mux(video.encode(picture))
        out.mux(video.encode(None))
        if sound is not None:
            tone(out, sound, float(frames[-1].time - first.time) + 0.04)
    return path


def _chapter(number: int, start: int, end: int, title: str) -> dict[str, Any]:
    return {
        "id": number,
        "start": start,
        "end": end,
        "time_base": Fraction(1, 1000),
        "metadata": {"title": title},
    }


SUBTITLES = b"1\n00:00:00,000 --> 00:00:00,200\nhello\n\n2\n00:00:00,240 --> 00:00:00,400\nworld\n\n"


def _subtitles(out: Any) -> list[Any]:
    """A SubRip stream added to a container that is being made, and its packets."""
    with av.open(io.BytesIO(SUBTITLES), format="srt") as source:
        stream = out.add_stream_from_template(source.streams[0])
        lines = [p for p in source.demux() if p.dts is not None]
    for line in lines:
        line.stream = stream
    return lines


def tone(out: Any, stream: Any, seconds: float) -> None:
    """Encode and mux a mono tone into a stream at 48 kHz."""
    size = stream.codec_context.frame_size or 1024
    planar = stream.codec_context.format.name
    total = max(size, round(seconds * 48000))
    wave = np.sin(np.arange(total + size) * 2 * np.pi * 440 / 48000) * 0.3
    for start in range(0, total, size):
        part = wave[start : start + size][None]
        samples = part.astype(np.float32) if planar.startswith(("flt", "dbl")) else (part * 32767).astype(np.int16)
        if planar.startswith("s32"):
            samples = (part * (1 << 30)).astype(np.int32)
        chunk = av.AudioFrame.from_ndarray(samples, format=planar, layout="mono")
        chunk.sample_rate, chunk.pts, chunk.time_base = 48000, start, Fraction(1, 48000)
        out.mux(stream.encode(chunk))
    out.mux(stream.encode(None))


def packets(path: Path, kind: str) -> list[tuple[int | None, bytes]]:
    """(pts, bytes) of every packet of the first stream of a kind: ``audio``, ``subtitle``, ``video``."""
    with av.open(str(path)) as container:
        stream = next(s for s in container.streams if s.type == kind)
        return [(p.pts, bytes(p)) for p in container.demux(stream) if p.size]
