"""Reading real files: what they are, when their frames are shown, and every sample as it was."""

from __future__ import annotations

import itertools
import os
from fractions import Fraction

import av
import clips
import numpy as np
import pytest

from vgan_plugin.errors import (
    InputDamaged,
    InputMissing,
    InputNotVideo,
    InputUnsupported,
    VganError,
)
from vgan_plugin.media import reader as reader_module
from vgan_plugin.media.frames import from_av, to_av
from vgan_plugin.media.layouts import LAYOUTS, planar_name
from vgan_plugin.media.reader import VideoReader
from vgan_plugin.types import Colour, Frame, PixelFormat


def same(a: Frame, b: Frame) -> bool:
    return a.format == b.format and all(np.array_equal(x, y) for x, y in zip(a.planes, b.planes, strict=True))


def noise(name: str, width: int, height: int, pts: int = 0) -> Frame:
    form = PixelFormat.parse(name)
    rng = np.random.default_rng(pts)
    shapes = [form.plane_shape(i, width, height) for i in range(form.planes)]
    return Frame(tuple(rng.integers(0, 1 << form.bits, s).astype(form.dtype) for s in shapes), form, pts=pts)


def test_a_file_says_what_it_is(tmp_path):
    colour = Colour(matrix=9, full_range=False, transfer=16, primaries=9)
    frames = clips.moving_frames(5, 96, 64, "yuv420p10le", colour=colour, time_base=Fraction(1001, 30000))
    path = clips.write_clip(tmp_path / "a.mkv", frames, rate=Fraction(30000, 1001), audio=True, subtitles=True)
    with VideoReader(path) as reader:
        facts = reader.facts
    assert (facts.width, facts.height, facts.format.name, facts.codec) == (96, 64, "yuv420p10le", "ffv1")
    assert facts.colour == colour
    assert facts.lossless
    assert facts.rate == Fraction(30000, 1001)
    assert facts.time_base == Fraction(1, 1000)
    assert all(type(value) is Fraction for value in (facts.time_base, facts.rate))


def test_what_a_file_does_not_say_is_none_not_zero(tmp_path):
    path = clips.write_clip(tmp_path / "a.mkv", clips.moving_frames(3))
    with VideoReader(path) as reader:
        assert reader.facts.aspect is None
        assert reader.facts.hdr is None
        assert reader.facts.rotation == 0
        assert reader.facts.colour.full_range is None


@pytest.mark.parametrize(
    "name", ["yuv420p", "yuv422p10le", "yuv444p", "gbrp", "gray", "yuva420p", "gbrp10le", "gray16le"]
)
@pytest.mark.parametrize("size", [(64, 48), (35, 19)])
def test_every_sample_is_read_as_it_was_written(tmp_path, name, size):
    frames = clips.moving_frames(4, *size, name)
    path = clips.write_clip(tmp_path / "a.mkv", frames)
    with VideoReader(path) as reader:
        got = list(reader.frames())
    assert len(got) == 4
    assert all(same(a, b) for a, b in zip(got, frames, strict=True))


@pytest.mark.parametrize("name", [*LAYOUTS, "gray16be", "yuv420p10be", "gbrp16be"])
@pytest.mark.parametrize("size", [(64, 48), (35, 19)])
def test_packed_and_semi_planar_samples_are_taken_apart_exactly(name, size):
    frame = noise(planar_name(name), *size)
    there = to_av(frame, name)
    assert there.format.name == name
    assert same(from_av(there, 0, Fraction(1)), frame)
    if size == (64, 48) and name not in ("uyvy422", "yvyu422"):  # FFmpeg's scaler lays them out the same way
        scaled = to_av(frame).reformat(format=name)
        assert same(from_av(scaled, 0, Fraction(1)), frame)


@pytest.mark.parametrize("name", ["nv12", "yuyv422", "uyvy422", "rgb24", "bgra", "rgb48le", "yuv444p16be"])
def test_a_file_of_packed_frames_is_read_as_its_planar_sibling(tmp_path, name):
    frames = [noise(planar_name(name), 64, 48, i) for i in range(3)]
    path = tmp_path / "a.nut"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, name
        for frame in frames:
            out.mux(stream.encode(to_av(frame, name)))
        out.mux(stream.encode(None))
    with VideoReader(path) as reader:
        assert reader.facts.stored == name
        assert reader.facts.format.name == planar_name(name)
        assert all(same(a, b) for a, b in zip(reader.frames(), frames, strict=True))


def test_a_decoders_memory_cannot_be_written_and_stays_as_it_was(tmp_path):
    frames = clips.moving_frames(24, 64, 48)
    path = clips.write_clip(tmp_path / "a.mkv", frames, "libx264", options={"qp": "0"})
    with VideoReader(path) as reader:
        got = list(reader.frames())  # all kept while the decoder goes on
    assert all(same(a, b) for a, b in zip(got, frames, strict=True))
    with pytest.raises(ValueError, match="read-only"):
        got[3].planes[0][0, 0] = 1


@pytest.mark.parametrize(
    ("name", "codec", "base"),
    [
        ("a.mp4", "libx264", Fraction(1, 12800)),  # reordered frames
        ("a.mkv", "libx264", Fraction(1, 1000)),
        ("a.ts", "libx264", Fraction(1, 90000)),
        ("a.avi", "mpeg4", Fraction(1, 25)),
        ("a.h264", "libx264", Fraction(1, 25)),  # no times at all
        ("a.webm", "libvpx-vp9", Fraction(1, 1000)),
    ],
)
def test_frames_at_a_constant_rate_are_a_step_apart(tmp_path, name, codec, base):
    step = Fraction(1, 25) / base
    frames = clips.moving_frames(20, time_base=base, ticks=int(step))
    path = clips.write_clip(tmp_path / name, frames, codec)
    with VideoReader(path) as reader:
        pts = [frame.pts for frame in reader.frames()]
        assert len(pts) == 20
        assert {b - a for a, b in itertools.pairwise(pts)} == {reader.facts.step}


def test_a_real_variable_cadence_and_a_hole_are_read_exactly(tmp_path):
    frames = clips.moving_frames(12, time_base=Fraction(1, 1000), ticks=7)
    times = [0, 33, 67, 100, 250, 251, 300, 333, 400, 1000, 1033, 1067]
    frames = [noise("yuv420p", 64, 48, pts) for pts in times]
    frames = [Frame(f.planes, f.format, pts=f.pts, time_base=Fraction(1, 1000)) for f in frames]
    path = clips.write_clip(tmp_path / "a.mkv", frames)
    with VideoReader(path) as reader:
        assert [f.pts for f in reader.frames()] == times
        assert reader.notes == []


def test_doubled_time_stamps_are_spread_and_said(tmp_path):
    frames = clips.moving_frames(6, time_base=Fraction(1, 1000), ticks=40)
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for frame, pts in zip(frames, (0, 40, 40, 120, 160, 200), strict=True):
            for packet in stream.encode(clips.to_av(frame)):
                packet.pts = packet.dts = pts
                out.mux(packet)
        out.mux(stream.encode(None))
    with VideoReader(path) as reader:
        got = list(reader.frames())
        assert [f.pts for f in got] == [0, 40, 80, 120, 160, 200]
        assert any("doubled or backward" in note for note in reader.notes)
    assert all(same(a, b) for a, b in zip(got, frames, strict=True))


def test_missing_time_stamps_are_said(tmp_path):
    path = clips.write_clip(tmp_path / "a.h264", clips.moving_frames(5), "libx264")
    with VideoReader(path) as reader:
        assert len(list(reader.frames())) == 5
        assert any("without a time stamp" in note for note in reader.notes)


def test_frames_hidden_by_an_edit_list_do_not_appear(tmp_path):
    path = clips.write_clip(tmp_path / "a.mp4", clips.moving_frames(10), "libx264", options={"g": "100"})
    cut = tmp_path / "cut.mp4"
    with av.open(str(path)) as source, av.open(str(cut), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.pts -= 3 * 512
                packet.dts -= 3 * 512
                packet.stream = stream
                out.mux(packet)
    with VideoReader(cut) as reader:
        pts = [f.pts for f in reader.frames()]
        assert pts[0] >= 0
        assert len(pts) == 7


def test_a_rotated_video_is_given_unturned_and_the_angle_told(tmp_path):
    frames = clips.moving_frames(3, 64, 48)
    path = clips.write_clip(
        tmp_path / "a.mp4", frames, "libx264", options={"qp": "0"}, rotation=90, aspect=Fraction(4, 3)
    )
    with VideoReader(path) as reader:
        assert reader.facts.aspect == Fraction(4, 3)
        assert reader.facts.rotation == 90
        assert (reader.facts.width, reader.facts.height) == (64, 48)
        assert same(next(iter(reader.frames())), frames[0])


def test_one_frame_is_a_video(tmp_path):
    frames = clips.moving_frames(1)
    path = clips.write_clip(tmp_path / "a.mkv", frames)
    with VideoReader(path) as reader:
        assert [same(f, frames[0]) for f in reader.frames()] == [True]


@pytest.mark.parametrize(
    ("codec", "options", "lossless"),
    [
        ("libx264", {"qp": "0"}, True),
        ("libx264", {"crf": "20"}, False),
        ("libx265", {"x265-params": "lossless=1:log-level=none"}, True),
        ("libx265", {"x265-params": "log-level=none"}, False),
    ],
)
def test_lossless_h264_and_hevc_are_recognised(tmp_path, codec, options, lossless):
    path = clips.write_clip(tmp_path / "a.mkv", clips.moving_frames(3), codec, options=options)
    with VideoReader(path) as reader:
        assert reader.facts.lossless is lossless


def test_leaving_early_stops_the_decoder(tmp_path):
    path = clips.write_clip(tmp_path / "a.mkv", clips.moving_frames(40))
    with VideoReader(path) as reader:
        passing = reader.frames()
        assert next(passing).pts == 0
        assert next(reader.frames()).pts == 0  # a second pass beside it
    with pytest.raises(StopIteration):
        next(passing)


# -- damage ------------------------------------------------------------------------------------------------------------


def damaged_ts(tmp_path):
    path = clips.write_clip(
        tmp_path / "a.ts", clips.moving_frames(40, 160, 96), "libx264", options={"g": "12", "crf": "18"}
    )
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(1)
    for at in rng.integers(len(data) // 3, len(data) - 2000, 6):
        data[at] ^= 0x5A
    path.write_bytes(data)
    return path


def test_damaged_frames_are_flagged_and_every_run_gives_the_same(tmp_path):
    path = damaged_ts(tmp_path)
    runs = []
    for _ in range(2):
        with VideoReader(path) as reader:
            frames = list(reader.frames())
            assert reader.damaged
            runs.append([(f.pts, f.corrupt, *(p.tobytes() for p in f.planes)) for f in frames])
    assert runs[0] == runs[1]
    assert any(corrupt for _, corrupt, *_ in runs[0])
    pts = [pts for pts, *_ in runs[0]]
    assert pts == sorted(set(pts))


def test_what_is_flagged_is_damaged_and_the_first_damaged_frame_is_flagged(tmp_path):
    path = damaged_ts(tmp_path)
    whole = clips.write_clip(
        tmp_path / "b.ts", clips.moving_frames(40, 160, 96), "libx264", options={"g": "12", "crf": "18"}
    )
    found = []
    for each in (whole, path):
        with VideoReader(each) as reader:
            found.append({f.time: (f.corrupt, [p.tobytes() for p in f.planes]) for f in reader.frames()})
    clean, damaged = found
    changed = [time for time in sorted(damaged) if damaged[time][1] != clean[time][1]]
    flagged = [time for time in sorted(damaged) if damaged[time][0]]
    assert not any(corrupt for corrupt, _ in clean.values())
    assert flagged
    assert set(flagged) <= set(changed)  # and most of the changed are not flagged: a decoder knows where it began
    assert flagged[0] == changed[0]


def test_once_something_is_damaged_one_thread_decodes_everything(tmp_path, monkeypatch):
    path, threads, decode = damaged_ts(tmp_path), [], reader_module._decoded
    monkeypatch.setattr(reader_module, "_decoded", lambda *a: (threads.append(a[2]), decode(*a))[1])
    with VideoReader(path) as reader:
        first = [f.pts for f in reader.frames()]
        assert threads == ["NONE", "AUTO", "NONE"]  # the probe, then the pass and its second start
        assert [f.pts for f in reader.frames()] == first
        assert threads[3:] == ["NONE"]


def test_a_truncated_matroska_is_read_up_to_the_cut(tmp_path):
    path = clips.write_clip(tmp_path / "a.mkv", clips.moving_frames(20))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with VideoReader(path) as reader:
        assert 3 < len(list(reader.frames())) < 20


# -- bad input ---------------------------------------------------------------------------------------------------------


def refused(path, kind):
    with pytest.raises(kind) as caught, VideoReader(path) as reader:
        list(reader.frames())
    error = caught.value
    assert error.exit_status == 3
    assert str(path) in error.what
    assert error.why
    assert error.do
    assert "\n" not in str(error)
    return error


def test_a_missing_file_is_said(tmp_path):
    refused(tmp_path / "none.mp4", InputMissing)


def test_a_folder_is_said(tmp_path):
    assert "folder" in refused(tmp_path, InputMissing).why


def test_an_empty_file_is_said(tmp_path):
    path = tmp_path / "a.mp4"
    path.touch()
    assert "empty" in refused(path, InputNotVideo).why


def test_text_is_not_a_video(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_text("Dear diary, " * 500)
    refused(path, InputNotVideo)


def test_sound_alone_is_not_a_video(tmp_path):
    path = tmp_path / "a.mkv"
    write_sound(path)
    assert "audio" in refused(path, InputNotVideo).why


def test_sound_with_cover_art_is_not_a_video(tmp_path):
    path = tmp_path / "a.mka"
    write_sound(path, cover=True)
    with av.open(str(path)) as container:
        assert container.streams.video, "the clip was to hold a picture"
    assert "cover art" in refused(path, InputNotVideo).why


def write_sound(path, cover=False):
    with av.open(str(path), "w", format="matroska") as out:
        sound = out.add_stream("flac", rate=48000)
        sound.codec_context.layout = "mono"
        if cover:
            picture = av.CodecContext.create("png", "w")
            picture.width, picture.height, picture.pix_fmt, picture.time_base = 16, 16, "rgb24", Fraction(1, 25)
            data = b"".join(bytes(p) for p in picture.encode(av.VideoFrame(16, 16, "rgb24")) + picture.encode(None))
            out.add_attachment("cover.png", "image/png", data)
        clips.tone(out, sound, 0.3)


def test_a_truncated_mp4_says_that_its_index_is_missing(tmp_path):
    path = clips.write_clip(tmp_path / "a.mp4", clips.moving_frames(20), "libx264")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert "index" in refused(path, InputDamaged).why


def test_floating_point_samples_are_not_supported(tmp_path):
    path = tmp_path / "a.nut"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "gbrpf32le"
        out.mux(stream.encode(av.VideoFrame(32, 32, "gbrpf32le")))
        out.mux(stream.encode(None))
    with pytest.raises(InputUnsupported, match="gbrpf32le"):
        VideoReader(path)


def test_interlaced_video_is_refused_with_advice(tmp_path):
    path = clips.write_clip(tmp_path / "a.ts", clips.moving_frames(5), "mpeg2video", interlaced=True)
    assert "deinterlace" in refused(path, InputUnsupported).do


def test_a_size_that_changes_midway_is_refused(tmp_path):
    small = clips.write_clip(tmp_path / "s.ts", clips.moving_frames(12, 64, 48), "mpeg2video")
    large = clips.write_clip(tmp_path / "l.ts", clips.moving_frames(12, 96, 64), "mpeg2video")
    path = tmp_path / "a.ts"
    path.write_bytes(small.read_bytes() + large.read_bytes())
    assert "96x64" in refused(path, InputUnsupported).what


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.3,\nother.ts\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile other.ts\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 1234 RTP/AVP 96\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"></MPD>',
    ],
)
@pytest.mark.parametrize("name", ["a.mp4", "a.m3u8", "a.ffconcat"])
def test_a_playlist_opens_nothing_else(tmp_path, text, name):
    other = clips.write_clip(tmp_path / "other.ts", clips.moving_frames(5), "mpeg2video")
    os.utime(other, (1, 1))
    path = tmp_path / name
    path.write_text(text)
    refused(path, InputNotVideo)


def test_a_name_that_looks_like_an_address_is_a_file_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VganError, match="no such file"):
        VideoReader("http://example.invalid/a.mp4")
    clips.write_clip(tmp_path / "concat:a.mkv", clips.moving_frames(2))
    with VideoReader("concat:a.mkv") as reader:
        assert len(list(reader.frames())) == 2
