"""Runs in GStreamer's own Python: plays steps through the pads of `vganfill` and writes down all that leaves it.

    python3 gstreamer_host.py STEPS.pickle FOUND.pickle

Steps are (name, value): ``caps``, ``segment``, ``buffer`` (bytes, pts, duration, flags, and where its planes
lie: format, width, height, offsets, strides), ``gap``, ``flush``, ``eos``,
``latency``, ``set`` (property, value), ``stop``.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstVideo", "1.0")
from gi.repository import Gst, GstVideo  # noqa: E402

from vgan_plugin.hosts.gstreamer import VganFill  # noqa: E402

NONE = Gst.CLOCK_TIME_NONE
found: list[tuple[Any, ...]] = []


def told(time: int) -> int | None:
    return None if time == NONE else time


def chain(_pad: Any, _parent: Any, buffer: Any) -> Any:
    data = buffer.extract_dup(0, buffer.get_size())
    meta = GstVideo.buffer_get_video_meta(buffer)
    strides = None if meta is None else list(meta.stride)[: meta.n_planes]
    times = told(buffer.pts), told(buffer.duration)
    found.append(("buffer", bytes(data), *times, int(buffer.mini_object.flags), strides))
    return Gst.FlowReturn.OK


def event(_pad: Any, _parent: Any, event: Any) -> bool:
    found.append(("event", Gst.event_type_get_name(event.type)))
    return True


def answer(pad: Any, parent: Any, query: Any) -> bool:
    if query.type == Gst.QueryType.LATENCY:
        query.set_latency(True, 1000, 5000)
        return True
    return bool(pad.query_default(parent, query))


element = VganFill()
always, anything = Gst.PadPresence.ALWAYS, Gst.Caps.new_any()
upstream = Gst.Pad.new_from_template(Gst.PadTemplate.new("up", Gst.PadDirection.SRC, always, anything), "up")
downstream = Gst.Pad.new_from_template(Gst.PadTemplate.new("down", Gst.PadDirection.SINK, always, anything), "down")
upstream.set_query_function_full(answer)
downstream.set_chain_function_full(chain)
downstream.set_event_function_full(event)
bus = Gst.Bus.new()
element.set_bus(bus)
upstream.link(element.get_static_pad("sink"))
element.get_static_pad("src").link(downstream)
for pad in (upstream, downstream):
    pad.set_active(True)
element.set_state(Gst.State.PAUSED)
upstream.push_event(Gst.Event.new_stream_start("test"))
for name, value in pickle.loads(Path(sys.argv[1]).read_bytes()):  # noqa: S301 written by the test
    if name == "set":
        element.set_property(*value)
    elif name == "caps":
        done = upstream.push_event(Gst.Event.new_caps(Gst.Caps.from_string(value)))
        found.append(("caps", done))
    elif name == "segment":
        segment = Gst.Segment()
        segment.init(getattr(Gst.Format, value))
        upstream.push_event(Gst.Event.new_segment(segment))
    elif name == "buffer":
        data, pts, duration, flags, *places = value
        buffer = Gst.Buffer.new_wrapped(data)
        buffer.pts, buffer.duration = (NONE if time is None else time for time in (pts, duration))
        buffer.set_flags(Gst.BufferFlags(flags))
        for name_, width, height, offsets, strides in places:
            lies = (GstVideo.VideoFormat.from_string(name_), width, height, len(offsets))
            four = ([*numbers, 0, 0, 0][:4] for numbers in (offsets, strides))
            GstVideo.buffer_add_video_meta_full(buffer, GstVideo.VideoFrameFlags.NONE, *lies, *four)
        flow = upstream.push(buffer)
        if flow != Gst.FlowReturn.OK:
            found.append(("flow", flow.value_nick))
    elif name == "gap":
        upstream.push_event(Gst.Event.new_gap(*value))
    elif name == "flush":
        upstream.push_event(Gst.Event.new_flush_start())
        upstream.push_event(Gst.Event.new_flush_stop(True))
    elif name == "eos":
        upstream.push_event(Gst.Event.new_eos())
    elif name == "latency":
        query = Gst.Query.new_latency()
        found.append(("latency", element.get_static_pad("src").query(query), query.parse_latency()))
    elif name == "stop":
        element.set_state(Gst.State.READY)
        element.set_state(Gst.State.PAUSED)
        upstream.push_event(Gst.Event.new_stream_start("again"))
while (message := bus.pop()) is not None:
    if message.type == Gst.MessageType.ERROR:
        found.append(("error", message.parse_error()[0].message))
    elif message.type == Gst.MessageType.ELEMENT:
        facts = message.get_structure()
        found.append((facts.get_name(), facts.get_value("time"), facts.get_value("why")))
element.set_state(Gst.State.NULL)
Path(sys.argv[2]).write_bytes(pickle.dumps(found))
