"""Reading a video file: what it is, when its frames are shown, and the frames themselves in presentation order.

Every pass opens the file anew and reads it from the start; the same file gives the same frames.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import av
import av.container

from vgan_plugin.errors import InputDamaged, InputError, InputMissing, InputNotVideo, InputUnsupported
from vgan_plugin.media.frames import Hdr, frac, from_av, hdr_of, side_data
from vgan_plugin.media.queues import ahead
from vgan_plugin.media.times import increasing, notes
from vgan_plugin.types import Colour, Frame, PixelFormat

FORMATS = (
    "matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,vvc,obu,av1,ivf,flv,asf,ogg,nut,mxf,gxf,"
    "dv,rm,wtv,gif,apng,yuv4mpegpipe,mjpeg,dirac,vc1,h263,webp_anim,png_pipe,jpeg_pipe,webp_pipe,tiff_pipe,bmp_pipe"
)
"""Containers that are one file. A playlist under a video's name is not among them and opens nothing else."""

OPEN = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
AHEAD = 4
"""Decoded frames that may wait for their reader."""

_LOSSLESS = {
    *(
        "ffv1",
        "huffyuv",
        "ffvhuff",
        "utvideo",
        "magicyuv",
        "lagarith",
        "hymt",
        "cllc",
        "zlib",
        "mszh",
        "flashsv",
        "flashsv2",
    ),
    *("rawvideo", "wrapped_avframe", "v210", "v410", "r210", "qtrle", "msrle", "qdraw", "8bps"),
    *("png", "apng", "gif", "bmp", "tiff", "targa"),
}


@dataclass(frozen=True)
class VideoFacts:
    """What a file says about its video; `duration` and `count` are hints that may be wrong.

    Attributes:
        path: the file.
        index: number of the video stream in the file.
        codec: canonical name of the codec, such as ``h264``.
        width: columns.
        height: rows.
        format: pixel format of the frames that `VideoReader.frames` gives.
        stored: the decoder's own pixel format.
        colour: the colour description.
        time_base: seconds a tick of pts.
        rate: average frames a second, or None.
        aspect: sample aspect ratio, or None when untold (square).
        rotation: degrees by which players turn the picture; frames are given unturned.
        lossless: the codec keeps every sample, so the output should.
        duration: seconds, or None.
        count: number of frames, or 0 when untold.
        hdr: HDR10 metadata, or None.
        dynamic: side data that a re-encode loses (Dolby Vision, HDR10+).
    """

    path: Path
    index: int
    codec: str
    width: int
    height: int
    format: PixelFormat
    stored: str
    colour: Colour
    time_base: Fraction
    rate: Fraction | None
    aspect: Fraction | None = None
    rotation: int = 0
    lossless: bool = False
    duration: Fraction | None = None
    count: int = 0
    hdr: Hdr | None = None
    dynamic: tuple[str, ...] = ()

    @property
    def step(self) -> int:
        """One frame period in ticks, at least 1, from the average rate (25 frames a second when untold)."""
        return max(1, round(1 / (self.rate or 25) / self.time_base))


def open_input(path: Path) -> av.container.InputContainer:
    """Open a local file and nothing else.

    Raises:
        InputMissing: there is no such file, or it is a folder.
        InputNotVideo: empty, text, a playlist, something FFmpeg does not know.
        InputDamaged: a video whose index is missing (cut off while it was written).
        InputError: a pipe or a device; not readable for another reason.
    """
    if path.is_dir():
        raise InputMissing(f"Cannot read {path}", "it is a folder", "name a video file")
    if not path.exists():
        raise InputMissing(f"Cannot read {path}", "there is no such file", "check the path")
    if not path.is_file():
        raise InputError(
            f"Cannot read {path}",
            "it is a pipe or a device, and it is to be read twice",
            "save it to a file first",
        )
    if path.stat().st_size == 0:
        raise InputNotVideo(f"{path} is not a video", "it is empty (0 bytes)", "name a video file")
    try:
        return av.open(os.path.abspath(path), options=dict(OPEN))
    except (av.error.InvalidDataError, av.error.ArgumentError, EOFError) as error:
        with path.open("rb") as file:
            head = file.read(12)
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free"):
            raise InputDamaged(
                f"{path} cannot be read",
                "its index is missing: the recording was cut off",
                "repair it, for example with untrunc",
            ) from error
        raise InputNotVideo(
            f"{path} is not a video",
            "FFmpeg finds no video container in it (playlists and lists of files are not opened)",
            "name a video file",
        ) from error
    except (OSError, av.FFmpegError) as error:
        raise InputError(f"Cannot read {path}", _reason(error), "check the file and its permissions") from error


class VideoReader:
    """One video file.

    Args:
        path: a local file.

    Attributes:
        facts: what the file says about its video.
        notes: what was found wrong and how it was mended, a line each; grows while frames are read.
        damaged: something was corrupt; from then on everything is decoded by one thread, which gives the same
            result every time.
        mended: time stamps were missing, doubled or out of order, known when a pass has ended.
        resets: by how many seconds the times after each reset of the clock are moved, known when a pass has ended.
        last_duration: seconds that the last frame is shown, known when a pass over the frames has ended; None when
            the file does not say.

    Raises:
        InputError: one of its kinds, for everything that is not a usable video.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.damaged = False
        self.mended = False
        self.resets: tuple[Fraction, ...] = ()
        self.last_duration: Fraction | None = None
        self._notes: dict[str, None] = {}
        self._live: list[Generator[Frame, None, None]] = []
        self.facts = self._probe()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def notes(self) -> list[str]:
        """What was found wrong so far."""
        return list(self._notes)

    def close(self) -> None:
        """Stop every pass that is still going on."""
        while self._live:
            self._live.pop().close()

    def frames(self) -> Iterator[Frame]:
        """All frames in presentation order, decoded ahead in a thread; pts strictly increase.

        Raises:
            InputUnsupported: the size or the pixel format changes.
            InputDamaged: not one frame can be decoded.
        """
        seen: Counter[str] = Counter()
        passing = ahead(self._decode(seen), AHEAD, "vgan-decode")
        self._live.append(passing)
        try:
            yield from passing
        finally:
            passing.close()
            if passing in self._live:
                self._live.remove(passing)
            self.mended |= any(seen.values())
            self._note(*notes(seen))

    def _decode(self, seen: Counter[str]) -> Iterator[Frame]:
        facts = self.facts
        stamped = ((frame.pts if frame.pts is not None else frame.dts, frame) for frame in self._pictures())
        picture = None
        resets: list[int] = []
        for pts, picture in increasing(stamped, facts.step, seen, resets):
            yield from_av(picture, pts, facts.time_base)
        self.resets = tuple(ticks * facts.time_base for ticks in resets)
        if picture is not None and picture.duration:
            self.last_duration = picture.duration * facts.time_base

    def _pictures(self) -> Iterator[av.VideoFrame]:
        """PyAV's frames. At the first sign of damage decoding starts over in one thread and skips what was given."""
        given = 0
        while True:
            threads = "NONE" if self.damaged else "AUTO"
            errors = 0
            interlaced = 0
            for number, picture in enumerate(_decoded(self.path, self.facts.index, threads)):
                bad = picture is None or bool(picture.is_corrupt)
                if bad and not self.damaged:
                    self.damaged = True
                    break
                if picture is None:
                    errors += 1
                    continue
                if number - errors < given:
                    continue
                self._check(picture)
                interlaced += bool(picture.interlaced_frame)
                given += 1
                yield picture
            else:
                if errors:
                    self._note(f"{errors} packets could not be decoded: their frames are missing")
                if interlaced:
                    self._note(f"{interlaced} frames are marked as interlaced: they are treated as whole frames")
                if not given:
                    raise _nothing_decodes(self.path)
                return

    def _check(self, picture: av.VideoFrame) -> None:
        facts = self.facts
        found = (picture.width, picture.height, picture.format.name)
        if found != (facts.width, facts.height, facts.stored):
            raise InputUnsupported(
                f"{self.path} changes from {facts.width}x{facts.height} {facts.stored} to "
                f"{found[0]}x{found[1]} {found[2]}",
                "vgan works on videos of one size and pixel format",
                "cut it there, or scale it first",
            )

    def _note(self, *lines: str) -> None:
        self._notes.update(dict.fromkeys(lines))

    def _probe(self) -> VideoFacts:
        with open_input(self.path) as container:
            stream = _video_stream(container, self.path)
            context = stream.codec_context
            time_base = frac(stream.time_base) or Fraction(1, 90000)
            first = next((p for p in _decoded(self.path, stream.index, "NONE") if p is not None), None)
            if first is None:
                raise _nothing_decodes(self.path)
            if first.interlaced_frame:
                raise InputUnsupported(
                    f"{self.path} is interlaced",
                    "its frames hold two fields of different moments",
                    "deinterlace it first, for example: ffmpeg -i IN -vf bwdif -c:v ffv1 -c:a copy OUT.mkv",
                )
            frame = from_av(first, 0, time_base)
            data = side_data(first)
            duration = stream.duration * time_base if stream.duration else None
            if duration is None and container.duration:
                duration = Fraction(container.duration, 1_000_000)
            return VideoFacts(
                path=self.path,
                index=stream.index,
                codec=context.codec.canonical_name,
                width=frame.width,
                height=frame.height,
                format=frame.format,
                stored=first.format.name,
                colour=frame.colour,
                time_base=time_base,
                rate=frac(stream.average_rate) or frac(stream.guessed_rate),
                aspect=frac(stream.sample_aspect_ratio),
                rotation=int(first.rotation),
                lossless=_is_lossless(self.path, stream),
                duration=duration,
                count=stream.frames,
                hdr=hdr_of(data),
                dynamic=tuple(sorted(k for k in data if k.startswith(("DYNAMIC_HDR", "DOVI")))),
            )


def _nothing_decodes(path: Path) -> InputDamaged:
    return InputDamaged(f"{path} cannot be read", "not one of its frames can be decoded", "use an undamaged copy")


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error)


def _video_stream(container: av.container.InputContainer, path: Path) -> Any:
    """The first real video stream, a default one before others; cover art is not a video."""
    still = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    found = [s for s in container.streams.video if not s.disposition & still]
    if not found:
        kinds = sorted({s.type for s in container.streams})
        art = " (a picture is attached, but that is cover art)" if container.streams.video else ""
        raise InputNotVideo(
            f"{path} has no video", f"it holds {', '.join(kinds) or 'nothing'}{art}", "name a video file"
        )
    stream = next((s for s in found if s.disposition & av.stream.Disposition.default), found[0])
    if stream.codec_context is None:
        raise InputUnsupported(
            f"{path} cannot be decoded", "this FFmpeg has no decoder for its codec", "convert it first"
        )
    return stream


def _decoded(path: Path, index: int, threads: str) -> Iterator[av.VideoFrame | None]:
    """Decode a file from its start: frames, and None for every packet that the decoder refused."""
    with open_input(path) as container:
        stream: Any = container.streams[index]
        stream.thread_type = threads
        for packet in container.demux(stream):
            try:
                yield from packet.decode()
            except av.error.EOFError:
                return
            except av.FFmpegError:
                yield None


def _is_lossless(path: Path, stream: Any) -> bool:
    """Whether the codec keeps every sample. x264 and x265 write it into their stream as text."""
    codec = stream.codec_context.codec.canonical_name
    if codec in _LOSSLESS:
        return True
    if codec not in ("h264", "hevc"):
        return False
    with open_input(path) as container:
        packet = next(container.demux(container.streams[stream.index]))
        told = bytes(packet) + (stream.codec_context.extradata or b"")
    if codec == "h264":
        return b"x264" in told and b" qp=0" in told
    return b"x265" in told and (b" lossless " in told or b" lossless=1" in told)
