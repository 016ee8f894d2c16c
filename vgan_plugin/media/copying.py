"""Everything of a file that is not its frames, carried over packet by packet: sound, subtitles, attachments, data,
chapters, metadata. What the container does not take is named.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Generator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import av
import av.container

from vgan_plugin.media.codecs import readable
from vgan_plugin.media.frames import frac
from vgan_plugin.media.reader import open_input

_STALE = (
    "ENCODER",
    "DURATION",
    "BPS",
    "NUMBER_OF_",
    "_STATISTICS",
    "MAJOR_BRAND",
    "MINOR_VERSION",
    "COMPATIBLE_BRANDS",
)
"""Tags that describe the old file, not the work in it."""

_SET_BACK = Fraction(1, 5)
"""Seconds by which decoding times jump back where the clock was reset; reordering is no jump, they are in order."""
_OWN_WAYS = ("avi", "asf", "mxf", "mpeg", "vob", "dvd", "svcd", "vcd")
"""Containers that take video packets of others and make of them what cannot be decoded, or has lost its times."""
_HELD = 32
"""Packets without decoding times that may wait for one that has it; more than any codec reorders."""


def kept_tags(tags: dict[str, str]) -> dict[str, str]:
    """Metadata without what would be untrue of the new file."""
    return {name: value for name, value in tags.items() if not name.upper().startswith(_STALE)}


class Copy:
    """Streams of a source file on their way into an output container.

    Args:
        source: the file.
        out: the container; its streams are added here, its header must not be written yet.
        without: number of a stream that somebody else writes, or None to copy all.
        resets: by how many seconds the times after the first, second, ... reset of the clock are moved.

    Attributes:
        copied: what is carried over, a line each.
        not_copied: what the container does not take, a line each.
        repaired: packets whose time stamps did not increase and were moved.
    """

    def __init__(
        self, source: Path, out: av.container.OutputContainer, without: int | None, resets: Sequence[Fraction] = ()
    ) -> None:
        self.copied: list[str] = []
        self.not_copied: list[str] = []
        self.repaired = 0
        self._out = out
        self._source = open_input(source)
        self._streams: dict[int, Any] = {}
        self._last: dict[int, int] = {}
        self._resets = resets
        self._passed: Counter[int] = Counter()  # resets, by stream
        self._chapters = self._source.chapters()
        same = bool(set(self._source.format.name.split(",")) & set(out.format.name.split(",")))
        for stream in self._source.streams:
            if stream.index == without:
                stream.discard = av.stream.Discard.all
            elif self._chapters and stream.type == "data" and "mov" in self._source.format.name:
                continue  # QuickTime keeps chapters in a track of their own, which is made from them
            else:
                self._add(stream, same)
        out.metadata.update(kept_tags(self._source.metadata))
        if self._chapters:
            if _takes_chapters(out.format.name):
                out.set_chapters(self._chapters)
                self.copied.append(f"{len(self._chapters)} chapters")
            else:
                self.not_copied.append(f"{len(self._chapters)} chapters: {out.format.name} has none")
        self._packets = self._read()
        self._next = next(self._packets, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the source."""
        self._packets.close()
        self._source.close()

    def until(self, time: Fraction) -> None:
        """Write packets in the file's order as far as `time` in seconds, so that little waits in the muxer."""
        while self._next is not None and self._next[0] <= time:
            self.step()

    def step(self) -> bool:
        """Write one more packet; False when there is none left."""
        if self._next is None:
            return False
        self._out.mux(self._next[1])
        self._next = next(self._packets, None)
        return True

    def _add(self, stream: Any, same: bool) -> None:
        name = f"stream {stream.index} ({_describe(stream)})"
        if (why := _refusal(stream, self._out.format.name, same)) is not None:
            self.not_copied.append(f"{name}: {why}")
            return
        self.copied.append(name)
        if stream.type == "attachment":  # held by the header, it has no packets
            self._out.add_attachment(stream.name or "attachment", stream.mimetype or "", stream.data)
            return
        copied: Any = self._out.add_stream_from_template(stream, opaque=True)
        if same and stream.codec_context is not None and stream.codec_context.codec_tag.strip("\0"):
            copied.codec_context.codec_tag = stream.codec_context.codec_tag
        if stream.type == "video" and (rate := stream.average_rate or stream.guessed_rate):
            copied.codec_context.framerate = rate  # it becomes the file's; the decoder's may be the clock's 90000
        copied.metadata.update(kept_tags(stream.metadata))
        copied.disposition = stream.disposition
        self._streams[stream.index] = copied

    def _read(self) -> Generator[tuple[Fraction, Any], None, None]:
        """(time in seconds, packet) of the copied streams, ready to be muxed."""
        if not self._streams:
            return
        held: dict[int, list[Any]] = {}
        for packet in self._source.demux([s for s in self._source.streams if s.index in self._streams]):
            index = packet.stream.index
            if packet.size == 0 and packet.dts is None:  # the flush packet at the end has no times
                continue
            if packet.dts is None:  # Matroska has no decoding times: the first are unknown where frames are reordered
                held.setdefault(index, []).append(packet)
                if len(held[index]) > _HELD:
                    yield from self._ready(held.pop(index), None)
                continue
            yield from self._ready(held.pop(index, []), packet.dts)
            yield from self._ready([packet], None)
        for packets in held.values():
            yield from self._ready(packets, None)

    def _ready(self, packets: list[Any], following: int | None) -> Generator[tuple[Fraction, Any], None, None]:
        """Packets with increasing decoding times; unknown ones are counted back from the one that follows."""
        for back, packet in enumerate(reversed(packets), 1):
            if packet.dts is None:
                packet.dts = packet.pts if following is None else following - back * (packet.duration or 1)
        for packet in packets:
            index = packet.stream.index
            last = self._last.get(index)
            self._move(packet, last)
            if packet.dts is None:
                packet.dts = 0 if last is None else last + 1
            if last is not None and packet.dts <= last and packet.stream.type in ("audio", "video"):
                self.repaired += 1
                packet.dts = last + 1
                packet.pts = max(packet.pts, packet.dts) if packet.pts is not None else packet.dts
            self._last[index] = packet.dts
            time = packet.dts * (frac(packet.time_base) or Fraction(0))
            packet.stream = self._streams[index]
            yield time, packet

    def _move(self, packet: Any, last: int | None) -> None:
        """Times after a reset of the clock go on as those of the frames do, so that sound stays with its picture."""
        index, tick = packet.stream.index, frac(packet.time_base)
        if not self._resets or not tick or packet.dts is None:
            return
        passed = self._passed[index]
        moved = round(self._resets[passed - 1] / tick) if passed else 0
        if last is not None and passed < len(self._resets) and packet.dts + moved < last - _SET_BACK / tick:
            self._passed[index] += 1
            moved = round(self._resets[passed] / tick)
        packet.dts += moved
        if packet.pts is not None:
            packet.pts += moved


def _describe(stream: Any) -> str:
    context = stream.codec_context
    codec = context.name if context is not None else getattr(stream, "name", None)
    return " ".join(part for part in (stream.type, codec, stream.metadata.get("language")) if part)


def _takes_chapters(container: str) -> bool:
    return any(name in container for name in ("matroska", "webm", "mp4", "mov", "ipod", "nut", "ogg", "asf"))


def _refusal(stream: Any, container: str, same: bool) -> str | None:
    """Why a container does not take a stream, found out by writing a header in memory; None when it does.

    A container of the source's own kind holds what the source's holds.
    """
    if stream.type == "attachment" and container != "matroska":
        return f"{container} has no attachments"
    if stream.type == "attachment":
        return None
    try:
        with av.open(io.BytesIO(), "w", format=container) as trial:
            trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
    except (ValueError, TypeError, av.FFmpegError) as error:
        return f"{container} does not take it ({getattr(error, 'strerror', None) or error})"
    if not same and stream.codec_context is not None:
        codec = stream.codec_context.codec.canonical_name
        if not readable(container, codec):
            return f"{container} does not take it ({codec} could not be read again)"
    if stream.type == "video" and not same and container in _OWN_WAYS:
        return f"{container} has other packets and no place for the times of these"
    return None
