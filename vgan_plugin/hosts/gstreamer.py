"""GStreamer 1.x: the element `vganfill`. Raw video in, the same raw video out, with missing frames made.

    GST_PLUGIN_PATH=.../vgan_plugin/hosts/gst gst-launch-1.0 ... ! vganfill ! ...

It runs in the Python that GStreamer's loader brings (Debian: the system's), with Debian's PyGObject.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import takewhile
from typing import Any

import gi
import numpy as np
from numpy.typing import NDArray

gi.require_version("Gst", "1.0")
gi.require_version("GstVideo", "1.0")
from gi.repository import GLib, GObject, Gst, GstVideo  # noqa: E402  the versions come first

from vgan_plugin.errors import InputUnsupported, VganError  # noqa: E402
from vgan_plugin.fill import Item, Record  # noqa: E402
from vgan_plugin.gaps import GapPolicy  # noqa: E402
from vgan_plugin.hosts.live import LiveFill, tick_for  # noqa: E402
from vgan_plugin.hosts.opening import open_generator  # noqa: E402
from vgan_plugin.media.layouts import Layout, layout_of, pack, unpack  # noqa: E402
from vgan_plugin.types import Colour, Frame, FrameGenerator, OpenRequest, PixelFormat  # noqa: E402

Gst.init(None)

_ALIKE = """
    I420 yuv420p Y42B yuv422p Y444 yuv444p Y41B yuv411p YUV9 yuv410p A420 yuva420p GRAY8 gray GRAY16_LE gray16le
    I420_10LE yuv420p10le I422_10LE yuv422p10le Y444_10LE yuv444p10le I420_12LE yuv420p12le I422_12LE yuv422p12le
    Y444_12LE yuv444p12le Y444_16LE yuv444p16le GBR gbrp GBR_10LE gbrp10le GBR_12LE gbrp12le GBRA gbrap
    NV12 nv12 NV21 nv21 NV16 nv16 NV24 nv24 P010_10LE p010le YUY2 yuyv422 UYVY uyvy422 YVYU yvyu422
    RGB rgb24 BGR bgr24 RGBx rgb0 BGRx bgr0 xRGB 0rgb xBGR 0bgr RGBA rgba BGRA bgra ARGB argb ABGR abgr
"""
FORMATS = dict(zip(_ALIKE.split()[::2], _ALIKE.split()[1::2], strict=True))
"""GStreamer's name of a format and FFmpeg's."""
CAPS = Gst.Caps.from_string(f"video/x-raw,format=(string){{ {', '.join(FORMATS)} }}")
_ABOUT = Gst.BufferCopyFlags.FLAGS | Gst.BufferCopyFlags.TIMESTAMPS | Gst.BufferCopyFlags.META
_ALL = 2**64 - 1  # G_MAXSIZE: to the end
_NO_PICTURE = Gst.BufferFlags.CORRUPTED | Gst.BufferFlags.GAP
"""A damaged picture, and one that only fills a hole: `videorate` marks its copies so."""


@dataclass(frozen=True, eq=False)
class _Came:
    """What came in a buffer: all but its memory, its memory, and where its planes lie, if it says."""

    about: Any
    memory: NDArray[np.uint8]
    places: tuple[Any, ...] = ()

    def buffer(self) -> Any:
        """The same buffer again. Upstream's own is given back at once: its pool may be small."""
        made = Gst.Buffer.new_wrapped(self.memory.tobytes())
        made.copy_into(self.about, _ABOUT, 0, _ALL)
        if self.places:  # the one meta that is not copied without the memory
            GstVideo.buffer_add_video_meta_full(made, *self.places)
        return made


class _Stream:
    """What caps say."""

    def __init__(self, caps: Any) -> None:
        self.info = info = GstVideo.VideoInfo.new_from_caps(caps)
        if info is None or info.interlace_mode != GstVideo.VideoInterlaceMode.PROGRESSIVE:
            raise InputUnsupported(
                "The stream is interlaced",
                "its frames hold two fields of different moments",
                "put a deinterlacer before vganfill",
            )
        self.layout: Layout = layout_of(FORMATS[info.finfo.name])
        self.format = PixelFormat.parse(self.layout.planar)
        self.rate = Fraction(info.fps_n, info.fps_d) if info.fps_n > 0 else None
        self.period: int = round(Gst.SECOND / (self.rate or 25))
        self.tick = tick_for(self.rate)
        self.nanoseconds = int(self.tick * Gst.SECOND)
        colours = info.colorimetry
        self.colour = Colour(
            matrix=int(GstVideo.video_color_matrix_to_iso(colours.matrix)),
            full_range={1: True, 2: False}.get(int(colours.range)),
            transfer=int(GstVideo.video_transfer_function_to_iso(colours.transfer)),
            primaries=int(GstVideo.video_color_primaries_to_iso(colours.primaries)),
        )

    def planes(self, memory: NDArray[np.uint8], meta: Any) -> list[NDArray[Any]]:
        """Views on the memory of each plane, with the rows' padding."""
        told = meta if meta is not None else self.info
        found = []
        for index, letters in enumerate(self.layout.planes):
            stride, offset = told.stride[index], told.offset[index]
            plane = 0 if letters[0] in "xargb" or "y" in letters else 1
            rows = self.format.plane_shape(plane, self.info.width, self.info.height)[0]
            lines = memory[offset : offset + stride * rows]
            if lines.size < stride * rows:  # the last row may end with its last sample
                lines = np.concatenate([lines, np.zeros(stride * rows - lines.size, np.uint8)])
            found.append(lines.view(self.layout.dtype).reshape(rows, -1))
        return found

    def frame(self, memory: NDArray[np.uint8], meta: Any, pts: int, *, corrupt: bool) -> Frame:
        """A buffer's memory as a frame.

        Raises:
            InputUnsupported: it is shorter than its caps say.
        """
        if memory.size * 2 < self.info.size:
            raise InputUnsupported(
                f"A buffer of {memory.size} bytes is no frame", f"its caps say {self.info.size}", "check what comes"
            )
        planes = unpack(self.planes(memory, meta), self.layout, self.info.width, self.info.height)
        return Frame(planes, self.format, self.colour, pts, self.tick, corrupt)

    def buffer(self, frame: Frame) -> Any:
        """A made frame in a buffer, laid out as caps without a meta mean."""
        memory = np.zeros(self.info.size, np.uint8)
        pack(frame.planes, self.planes(memory, None), self.layout)
        return Gst.Buffer.new_wrapped(memory.tobytes())


class VganFill(Gst.Element):  # type: ignore[misc]  # PyGObject has no types
    """Makes lost, repeated, blank and damaged frames of raw video.

    Holes are seen in time stamps, damage in the flags CORRUPTED and GAP. A frame leaves at most `latency` frames after
    it came, which the LATENCY query says. Each made frame is told in an element message ``vgan-made`` (time, method,
    confidence, why), what is left as it is in ``vgan-unrepaired``. A new segment, other caps, a flush, and time that
    jumps back begin anew.
    """

    __gstmetadata__ = ("vgan fill", "Filter/Effect/Video", "Finds and makes missing video frames", "vgan")
    __gsttemplates__ = (
        Gst.PadTemplate.new("sink", Gst.PadDirection.SINK, Gst.PadPresence.ALWAYS, CAPS),
        Gst.PadTemplate.new("src", Gst.PadDirection.SRC, Gst.PadPresence.ALWAYS, CAPS),
    )
    model = GObject.Property(type=str, default="base", blurb="bundle to use")
    generator = GObject.Property(type=str, default="", blurb="generator to use; the model's when empty")
    device = GObject.Property(type=str, default="auto", blurb="auto, cpu, cuda or cuda:N")
    max_gap = GObject.Property(type=int, default=0, minimum=0, blurb="longest gap made; 0: 24 frames or a second")
    min_confidence = GObject.Property(
        type=float, default=0.0, minimum=0.0, maximum=1.0, blurb="frames less sure than this become repeats"
    )

    def __init__(self) -> None:
        super().__init__()
        self._sink = Gst.Pad.new_from_template(self.get_pad_template("sink"), "sink")
        self._src = Gst.Pad.new_from_template(self.get_pad_template("src"), "src")
        self._sink.set_chain_function_full(self._chain)
        self._sink.set_event_function_full(self._event)
        self._sink.set_query_function_full(self._query)
        self._src.set_query_function_full(self._query)
        self.add_pad(self._sink)
        self.add_pad(self._src)
        self._opened: FrameGenerator | None = None
        self._stream: _Stream | None = None
        self._live: LiveFill | None = None
        self._came: dict[Frame, _Came] = {}
        self._times: dict[int, int] = {}  # ticks -> nanoseconds of frames that may be references
        self._next = 0  # nanoseconds: where a buffer without a time lies
        self._flow = Gst.FlowReturn.OK

    # What comes

    def _chain(self, _pad: Any, _parent: Any, buffer: Any) -> Any:
        if self._flow != Gst.FlowReturn.OK:
            return self._flow
        try:
            self._flow = self._take(buffer)
        except Exception as error:  # noqa: BLE001 a callback must not raise; the bus is told
            self._flow = self._fail(error)
        return self._flow

    def _take(self, buffer: Any) -> Any:
        stream = self._stream
        if stream is None:
            return Gst.FlowReturn.NOT_NEGOTIATED
        time = buffer.pts if buffer.pts != Gst.CLOCK_TIME_NONE else self._next
        pts = round(Fraction(time, stream.nanoseconds))
        if self._times and pts <= next(reversed(self._times)):  # time jumps back: another stream
            flow = self._drain()
            if flow != Gst.FlowReturn.OK:
                return flow
        live = self._live
        if live is None:
            live = self._live = LiveFill(
                self._generator(stream),
                policy=GapPolicy(max_gap=self.max_gap or None),
                rate=stream.rate,
                min_confidence=self.min_confidence,
                say=Gst.warning,
            )
        mapped, memory = buffer.map(Gst.MapFlags.READ)
        if not mapped:
            raise InputUnsupported("A buffer cannot be read", "its memory does not map", "put a converter before it")
        own = np.frombuffer(memory.data, np.uint8).copy()
        buffer.unmap(memory)
        about = Gst.Buffer.new()
        about.copy_into(buffer, _ABOUT, 0, _ALL)
        about.pts = time
        meta = GstVideo.buffer_get_video_meta(buffer)
        frame = stream.frame(own, meta, pts, corrupt=bool(buffer.mini_object.flags & int(_NO_PICTURE)))
        self._came[frame] = _Came(about, own, () if meta is None else _places(meta))
        self._times[pts] = time
        while len(self._times) > live.held + 1:
            del self._times[next(iter(self._times))]
        duration = buffer.duration if buffer.duration != Gst.CLOCK_TIME_NONE else stream.period
        self._next = time + duration
        return self._push(live.push(frame))

    def _event(self, _pad: Any, _parent: Any, event: Any) -> bool:
        try:
            if event.type in (Gst.EventType.CAPS, Gst.EventType.SEGMENT, Gst.EventType.EOS, Gst.EventType.STREAM_START):
                self._drain()
                self._flow = Gst.FlowReturn.OK
            if event.type == Gst.EventType.FLUSH_STOP:
                self._forget()
                self._flow = Gst.FlowReturn.OK
            elif event.type == Gst.EventType.GAP:
                return True  # what is missing is seen in the time stamps; it would overtake frames that wait
            elif event.type == Gst.EventType.SEGMENT:
                _check(event.parse_segment())
            elif event.type == Gst.EventType.CAPS:
                self._stream = _Stream(event.parse_caps())
                self._generator(self._stream)  # what cannot run is said before the first frame
                self.post_message(Gst.Message.new_latency(self))
        except Exception as error:  # noqa: BLE001 as above
            self._flow = self._fail(error)
            return False
        return bool(self._src.push_event(event))

    def _query(self, pad: Any, parent: Any, query: Any) -> bool:
        other = self._src if pad == self._sink else self._sink
        if query.type == Gst.QueryType.CAPS:
            caps = other.peer_query_caps(None).intersect(CAPS)
            wanted = query.parse_caps()
            query.set_caps_result(wanted.intersect_full(caps, Gst.CapsIntersectMode.FIRST) if wanted else caps)
            return True
        if query.type == Gst.QueryType.LATENCY and pad == self._src:
            if not self._sink.peer_query(query):
                return False
            live, least, most = query.parse_latency()
            mine = self.latency
            query.set_latency(live, least + mine, most if most == Gst.CLOCK_TIME_NONE else most + mine)
            return True
        return bool(pad.query_default(parent, query))

    # What leaves

    def _push(self, items: Iterable[Item]) -> Any:
        stream, live = self._stream, self._live
        assert stream is not None  # noqa: S101 - frames came
        assert live is not None  # noqa: S101 - as above
        for frame, record in items:
            instead = None
            for older in list(takewhile(lambda other: other.pts < frame.pts, self._came)):  # noqa: B023 used at once
                del self._came[older]
            if self._came and record is not None and (first := next(iter(self._came))).pts == frame.pts:
                instead = self._came.pop(first).about
            if record is None:
                buffer = self._came.pop(frame).buffer()
            else:
                buffer = stream.buffer(frame)
                buffer.pts = instead.pts if instead is not None else self._time(record, stream)
                buffer.duration = instead.duration if instead is not None else stream.period
                self._tell("vgan-made", buffer.pts, record.why, method=record.method, confidence=record.confidence)
            flow = self._src.push(buffer)
            if flow != Gst.FlowReturn.OK:
                return flow
        live.events.clear()
        for lost in live.unrepaired:
            self._tell("vgan-unrepaired", int(lost.event.time * Gst.SECOND), lost.why, kind=lost.event.kind)
        live.unrepaired.clear()
        return Gst.FlowReturn.OK

    def _time(self, record: Record, stream: _Stream) -> int:
        """A made frame's time in nanoseconds, by its place between its references, whose times are exact."""
        times: list[int] = [self._times.get(pts, pts * stream.nanoseconds) for pts in record.references]
        if len(times) == 2:
            (start, stop), (a, b) = times, record.offsets
            return round(start - (stop - start) * a / (b - a))
        offset: Fraction = next((offset for offset in record.offsets if offset), Fraction(0))
        return round(times[0] - offset * stream.period)

    def _drain(self) -> Any:
        """Let everything out that waits: what comes next is another stream."""
        flow = Gst.FlowReturn.OK
        if self._live is not None and self._flow == Gst.FlowReturn.OK:
            flow = self._push(self._live.finish())
        self._forget()
        return flow

    def _forget(self) -> None:
        self._live = None
        self._came.clear()
        self._times.clear()

    # The rest

    @property
    def latency(self) -> int:
        """Nanoseconds for which a frame may wait."""
        stream = self._stream
        if stream is None or self._opened is None:
            return 0
        live = self._live or LiveFill(self._opened, policy=GapPolicy(max_gap=self.max_gap or None), rate=stream.rate)
        return int(live.latency * stream.period)

    def _generator(self, stream: _Stream) -> FrameGenerator:
        if self._opened is None:
            request = OpenRequest(self.generator or None, self.model, self.device)
            self._opened = open_generator(request, "fill", (stream.info.height, stream.info.width))
        return self._opened

    def do_change_state(self, transition: Any) -> Any:
        """Close the generator when the pipeline stops."""
        result = Gst.Element.do_change_state(self, transition)
        if transition == Gst.StateChange.PAUSED_TO_READY:
            self._forget()
            self._stream, self._flow, self._next = None, Gst.FlowReturn.OK, 0
            if self._opened is not None:
                self._opened.close()
                self._opened = None
        return result

    def _fail(self, error: Exception) -> Any:
        what = str(error) if isinstance(error, VganError) else f"{type(error).__name__}: {error}"
        told = GLib.Error.new_literal(Gst.StreamError.quark(), what, Gst.StreamError.FAILED)
        self.post_message(Gst.Message.new_error(self, told, ""))
        return Gst.FlowReturn.ERROR

    def _tell(self, name: str, time: int, why: str, **facts: Any) -> None:
        told = Gst.Structure.new_empty(name)
        told.set_value("time", GObject.Value(GObject.TYPE_UINT64, time))
        told.set_value("why", why)
        for key, value in facts.items():
            told.set_value(key, value)
        self.post_message(Gst.Message.new_element(self, told))


def _places(meta: Any) -> tuple[Any, ...]:
    return meta.flags, meta.format, meta.width, meta.height, meta.n_planes, list(meta.offset), list(meta.stride)


def _check(segment: Any) -> None:
    if segment.format != Gst.Format.TIME:
        raise InputUnsupported("The segment is not in time", "its frames have no moments", "put a parser before it")


GObject.type_register(VganFill)
ELEMENT = ("vganfill", Gst.Rank.NONE, VganFill)
"""What GStreamer's loader of Python plugins looks for."""
