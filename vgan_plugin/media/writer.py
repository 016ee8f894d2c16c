"""Writing a video file: frames encoded in a thread of their own at exact times, everything else of the source copied,
and the file under its name only when it is complete.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import av.container
from av.codec.context import Flags

from vgan_plugin.errors import CodecUnusable, InputError, OutputError, VganError
from vgan_plugin.media.codecs import Encoding, candidates, counts_frames, keeps_hdr, named, readable
from vgan_plugin.media.compare import Look, later, look, lost, unstamped
from vgan_plugin.media.copying import Copy, kept_tags
from vgan_plugin.media.frames import set_colour, to_av
from vgan_plugin.media.output import NULL, PartFile, output_error
from vgan_plugin.media.queues import Abandoned, Channel
from vgan_plugin.media.reader import VideoFacts, open_input
from vgan_plugin.types import Frame

BEHIND = 4
"""Frames that may wait for the encoder."""
_MUXER = {"max_interleave_delta": "1000000"}
"""Microseconds of packets that the muxer may hold while a stream is silent; FFmpeg's ten seconds are gigabytes."""
_NO_B_FRAMES = ("mp4", "mov", "ipod", "3gp", "3g2", "psp", "avi", "asf", "mxf", "mpeg", "vob", "dvd", "svcd", "vcd")
"""With reordered frames and a gap near the end the first six declare a wrong duration; the others lose their times."""


class VideoWriter:
    """One output file, or ``null:`` (encoded and thrown away; without `codec` not even encoded).

    The constructor checks everything that can be checked before a frame is there; `close` waits for the encoder and
    puts the file under its name. Used as a context manager, an exception on the way leaves nothing behind.

    Args:
        path: where to; the extension names the container.
        facts: the source's video: codec family, pixel format, colour, aspect, rotation and HDR10 metadata are kept;
            the other streams, chapters and metadata of its file are copied.
        time_base: ticks of the frames to come.
        rate: nominal frames a second of the output; None = the source's.
        codec: FFmpeg's name of an encoder; None = the source's family.
        options: the encoder's options.
        overwrite: replace an existing file.
        resets: `VideoReader.resets`, for the streams that are copied.

    Attributes:
        last_duration: seconds that the last frame is shown, to be set before `close` when it is known; None = as long
            as the frame before it.
        copied: what is carried over beside the frames, a line each; complete before the first frame.
        not_copied: what the container does not take, a line each; complete before the first frame.
        notes: what had to be done otherwise than hoped, a line each; complete after `close`.
        encoding: the encoder and its options.
        frames: how many frames were written so far.

    Raises:
        OutputError: one of its kinds.
    """

    def __init__(
        self,
        path: Path | str,
        facts: VideoFacts,
        *,
        time_base: Fraction,
        rate: Fraction | None = None,
        codec: str | None = None,
        options: Mapping[str, str] | None = None,
        overwrite: bool = False,
        resets: Sequence[Fraction] = (),
    ) -> None:
        self.path = Path(path)
        self.facts = facts
        self.notes: list[str] = []
        self.copied: list[str] = []
        self.not_copied: list[str] = []
        self.frames = 0
        self._time_base = time_base
        self._rate = rate or facts.rate
        self._resets = resets
        self.last_duration: Fraction | None = None
        self._done = False
        self._first: Fraction | None = None
        self._last_pts: int | None = None
        self._counted = False
        self._exact: dict[int, tuple[int, int]] = {}
        self._copy: Copy | None = None
        self._out: Any = None
        self._null = str(path) == str(NULL)
        choice = self._choices(codec, options or {})
        self._part = None if self._null else PartFile(self.path, facts.path, overwrite=overwrite)
        try:
            self._open(choice, codec is not None)
        except BaseException:
            self._discard()
            raise
        self._channel: Channel[Frame] = Channel(BEHIND)
        self._thread = threading.Thread(target=self._work, name="vgan-encode", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()

    def write(self, frame: Frame) -> None:
        """Take the next frame; waits while the encoder is behind. Its pts are ticks of the writer's time base.

        Raises:
            OutputError: an earlier frame could not be encoded or written.
        """
        if self._done:
            raise RuntimeError("the writer is closed")
        facts = self.facts
        if (frame.format, frame.width, frame.height) != (facts.format, facts.width, facts.height):
            raise ValueError(f"{frame!r} is not {facts.format.name} {facts.width}x{facts.height}")
        self._channel.put(frame)

    def close(self) -> None:
        """Encode what waits, write the end of the file, put it under its name.

        Raises:
            OutputError: something could not be written; nothing stands under the final name.
        """
        if self._done:
            return
        self._done = True
        try:
            self._channel.finish()
            self._thread.join()
            self._channel.check()
            if self._part is not None:
                self._look_at(self._part.path)
                self._part.commit()
        except BaseException:
            self._channel.abandon()
            self._thread.join()
            self._discard()
            raise

    def abort(self) -> None:
        """Stop and remove what was written."""
        if self._done:
            return
        self._done = True
        self._channel.abandon()
        self._channel.finish()
        self._thread.join()
        self._discard()

    # -- opening ---------------------------------------------------------------------------------------------------

    def _choices(self, codec: str | None, options: Mapping[str, str]) -> list[Encoding]:
        form = self.facts.format
        if codec is None and options:
            raise CodecUnusable(
                "Encoder options without an encoder", "they differ from encoder to encoder", "name one with --codec"
            )
        if codec is not None:
            return [named(codec, options, self.facts, form)]
        if self._null:
            return [Encoding("wrapped_avframe", form.name)]
        return candidates(self.facts, form)

    def _open(self, choices: list[Encoding], chosen: bool) -> None:
        """Open the container with the first encoder that works in it."""
        reasons = []
        for choice in choices:
            try:
                self._open_with(choice)
            except CodecUnusable as error:
                self._close_container()
                reasons.append(error)
                continue
            self.encoding = choice
            break
        else:
            if chosen:
                raise reasons[0]
            why = "; ".join(error.why for error in reasons) or "none takes these samples as they are"
            raise CodecUnusable(
                f"No encoder for {self.facts.format.name} in {self.path.suffix or self.path.name}",
                why,
                "write to .mkv, or name an encoder with --codec",
            )
        if reasons:
            self.notes.append(f"encoded with {self.encoding.codec}, because {reasons[0].why}")
        if self.facts.hdr is not None and not keeps_hdr(self.encoding.codec):
            self.not_copied.append(f"HDR10 metadata: {self.encoding.codec} is not told them")
        self.not_copied += [
            f"{name.lower()}: it belongs to frames, and is lost in encoding" for name in self.facts.dynamic
        ]
        if not self._null and self.facts.path.is_file():
            self._copy = Copy(self.facts.path, self._out, without=self.facts.index, resets=self._resets)
            self.copied += self._copy.copied
            self.not_copied += self._copy.not_copied
        try:
            self._out.start_encoding()
        except av.error.ArgumentError as error:
            raise CodecUnusable(
                f"Encoder {self.encoding.codec!r} cannot be used",
                f"{self._out.format.name} does not take what it makes",
                "write to .mkv, or name another encoder with --codec",
            ) from error
        except (av.FFmpegError, ValueError) as error:
            raise output_error(self.path, error) from error

    def _open_with(self, choice: Encoding) -> None:
        facts = self.facts
        self._out = _open_output(self.path if self._part is None else self._part.path, self.path)
        container = self._out.format.name
        if not readable(container, av.Codec(choice.codec, "w").canonical_name):
            raise CodecUnusable(
                f"Encoder {choice.codec!r} cannot be used",
                f"{choice.codec!r} could not be read again from {container!r} format",
                "write to .mkv, or name another encoder",
            )
        try:
            stream = self._out.add_stream(choice.codec, rate=self._rate or 25, options=dict(choice.options))
        except ValueError as error:
            raise CodecUnusable(
                f"Encoder {choice.codec!r} cannot be used", str(error), "write to .mkv, or name another encoder"
            ) from error
        context = stream.codec_context
        stream.width, stream.height, stream.pix_fmt = facts.width, facts.height, choice.stored
        stream.time_base = self._ticks = 1 / self._rate if container == "avi" and self._rate else self._time_base
        self._counted = counts_frames(choice.codec, self._ticks)
        context.time_base = 1 / (self._rate or Fraction(25)) if self._counted else self._ticks
        context.flags |= Flags.frame_duration  # without it packets carry no duration, and the last frame none at all
        if self._counted or any(name in container.split(",") for name in _NO_B_FRAMES):
            context.max_b_frames = 0
        set_colour(context, facts.colour)
        if facts.aspect:
            context.sample_aspect_ratio = facts.aspect
        if facts.rotation:
            stream.set_display_rotation(facts.rotation)
        if choice.codec == "libsvtav1":
            os.environ.setdefault("SVT_LOG", "1")  # its own log goes to stderr past FFmpeg's
        try:
            context.open()
        except (av.FFmpegError, ValueError) as error:
            raise CodecUnusable(
                f"Encoder {choice.codec!r} cannot be opened",
                f"{facts.width}x{facts.height} {choice.stored}: {getattr(error, 'strerror', None) or error}",
                "look at its options, or name another encoder",
            ) from error
        if left := sorted(choice.asked & set(context.options)):
            raise CodecUnusable(
                f"Encoder {choice.codec!r} does not know {', '.join(left)}",
                "options it does not take would be ignored silently",
                f"see: ffmpeg -h encoder={choice.codec}",
            )
        self._stream = stream
        if facts.path.is_file() and not self._null:
            with open_input(facts.path) as source:
                stream.metadata.update(kept_tags(source.streams[facts.index].metadata))
                stream.disposition = source.streams[facts.index].disposition

    # -- the encoder's thread --------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            self._encode()
        except Abandoned:
            return
        except (OSError, av.FFmpegError) as error:
            known = isinstance(error, VganError)
            self._channel.abandon(error if known else output_error(self.path, error))
        except BaseException as error:  # noqa: BLE001  it is raised again in the thread that writes
            self._channel.abandon(error)

    def _encode(self) -> None:
        waiting: Frame | None = None
        step = Fraction(1) / (self._rate or 25)
        for frame in self._channel:
            if waiting is not None:
                step = frame.time - waiting.time
                self._send(waiting, step)
            waiting = frame
        if waiting is not None:
            self._send(waiting, self.last_duration or step)
        self._mux(self._stream.encode_lazy(None))
        if self._copy is not None:
            while self._copy.step():
                self._channel.check()
            if self._copy.repaired:
                self.notes.append(f"{self._copy.repaired} packets of sound had backward times: moved up")
        self._close_container()

    def _send(self, frame: Frame, duration: Fraction) -> None:
        pts, shown = round(frame.time / self._ticks), max(1, round(duration / self._ticks))
        if self._last_pts is not None and pts <= self._last_pts:
            raise OutputError(
                f"Cannot write {self.path}",
                f"the frame times do not fit its ticks of {self._ticks} s: two frames fall on one",
                "write to .mkv, or name another encoder with --codec",
            )
        self._last_pts = pts
        self._first = frame.time if self._first is None else self._first
        picture = to_av(replace(frame, pts=pts, time_base=self._ticks), self.encoding.stored)
        picture.duration = shown
        if self._counted:
            self._exact[self.frames] = (pts, shown)
            picture.pts, picture.time_base = self.frames, 1 / (self._rate or Fraction(25))
        self._mux(self._stream.encode(picture))
        self.frames += 1

    def _mux(self, packets: Iterable[Any]) -> None:
        for packet in packets:
            self._channel.check()
            if self._counted:  # frame numbers back to exact times; such encoders do not reorder
                pts, shown = self._exact.pop(packet.pts)
                packet.pts = packet.dts = pts
                packet.duration, packet.time_base = shown, self._ticks
            if self._copy is not None and packet.dts is not None:
                self._copy.until(packet.dts * self._ticks)
            self._out.mux(packet)

    # -- closing ---------------------------------------------------------------------------------------------------

    def _close_container(self) -> None:
        if self._copy is not None:
            copy, self._copy = self._copy, None
            copy.close()
        if self._out is not None:
            out, self._out = self._out, None
            out.close()

    def _look_at(self, path: Path) -> None:
        """Ask the finished file for what some containers and encoders drop without a word."""
        try:
            made = look(path)
        except (InputError, av.FFmpegError, IndexError, StopIteration) as error:
            raise OutputError(
                f"Cannot write {self.path}",
                f"{self.encoding.codec} cannot be read again from such a file",
                "write to .mkv, or name another encoder with --codec",
            ) from error
        source = Look(made.container, self.facts.aspect or Fraction(1), self.facts.rotation, self._first or Fraction(0))
        where = f"{self.encoding.codec} in {made.container}"
        self.notes += [f"not copied: {line}, {where} does not hold it" for line in lost(source, made)]
        self.notes += later(source, made) + unstamped(made)

    def _discard(self) -> None:
        try:
            self._close_container()
        except (OSError, ValueError, av.FFmpegError) as error:
            self.notes.append(f"closing the unfinished file: {error}")
        if self._part is not None:
            self._part.discard()


def remux(source: Path, path: Path, *, overwrite: bool = False) -> list[str]:
    """Copy every stream of a file into a new one without decoding: for a clip with nothing wrong.

    Args:
        source: the file.
        path: the new file; its extension names the container.
        overwrite: replace an existing file.

    Returns:
        What the container does not take, a line each.

    Raises:
        InputError: the source cannot be read.
        OutputError: the new file cannot be written, or its container does not take the video.
    """
    part = PartFile(path, source, overwrite=overwrite)
    try:
        out = _open_output(part.path, path)
        try:
            with out, Copy(source, out, without=None) as copy:
                if not any(stream.type == "video" for stream in out.streams):
                    why = next((line for line in copy.not_copied if "(video" in line), "there is none")
                    raise OutputError(f"Cannot copy the video to {path}", why, "write to .mkv, or name an encoder")
                while copy.step():
                    pass
        except (av.FFmpegError, ValueError) as error:
            raise error if isinstance(error, VganError) else output_error(path, error) from error
        left = [*copy.not_copied, *_unlike(source, part.path, path)]
        part.commit()
    except BaseException:
        part.discard()
        raise
    return left


def _unlike(source: Path, copy: Path, final: Path) -> list[str]:
    """What a copy lost without a word, a line each.

    Raises:
        OutputError: it cannot be read again.
    """
    try:
        before, after = look(source), look(copy)
    except (InputError, av.FFmpegError, IndexError, StopIteration) as error:
        raise OutputError(
            f"Cannot copy the video to {final}", "it cannot be read again from such a file", "write to .mkv"
        ) from error
    left = [f"{line}: {after.container} does not hold it" for line in lost(before, after)]
    return left + [f"the time of the start: {line}" for line in later(before, after)]


def _open_output(path: Path, asked: Path) -> Any:
    try:
        if str(path) == str(NULL):
            return av.open("null", "w", format="null")
        return av.open(str(path.absolute()), "w", options=dict(_MUXER))
    except ValueError as error:
        raise OutputError(
            f"Cannot write {asked}", "FFmpeg knows no container for its extension", "use for example .mkv or .mp4"
        ) from error
    except (OSError, av.FFmpegError) as error:
        raise output_error(asked, error) from error
