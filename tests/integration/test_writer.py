"""Writing real files: kept frames bit for bit, times exact, everything else copied, whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import clips
import numpy as np
import pytest

from vgan_plugin.errors import CodecUnusable, InputUnsupported, OutputError, OutputExists, OutputIsInput
from vgan_plugin.hosts.file import Encoding, repair
from vgan_plugin.media.frames import Hdr
from vgan_plugin.media.reader import VideoReader
from vgan_plugin.media.writer import VideoWriter, remux
from vgan_plugin.types import Colour, Frame, OpenRequest


def same(a: Frame, b: Frame) -> bool:
    return a.format == b.format and all(np.array_equal(x, y) for x, y in zip(a.planes, b.planes, strict=True))


def through(source: Path, out: Path, **more) -> VideoWriter:
    """Read a file and write all its frames."""
    with VideoReader(source) as reader:
        more.setdefault("time_base", reader.facts.time_base)
        with VideoWriter(out, reader.facts, **more) as writer:
            for frame in reader.frames():
                writer.write(frame)
            writer.last_duration = reader.last_duration
    return writer


def read(path: Path) -> list[Frame]:
    with VideoReader(path) as reader:
        return list(reader.frames())


def left_over(folder: Path) -> list[str]:
    return [p.name for p in folder.iterdir() if p.name.startswith(".")]


# -- samples and times -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p10le", "yuv444p", "gbrp", "gray", "yuva420p", "gbrap", "gray16le"])
@pytest.mark.parametrize("size", [(64, 48), (35, 19)])
def test_kept_frames_leave_ffv1_bit_for_bit(tmp_path, name, size):
    frames = clips.moving_frames(4, *size, name)
    source = clips.write_clip(tmp_path / "a.mkv", frames)
    writer = through(source, tmp_path / "b.mkv")
    assert writer.encoding.codec == "ffv1"
    assert writer.frames == 4
    got = read(tmp_path / "b.mkv")
    assert all(same(a, b) for a, b in zip(got, frames, strict=True))


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", {"qp": "0"}),
        ("libx265", {"x265-params": "lossless=1:log-level=none"}),
        ("ffvhuff", {}),
        ("utvideo", {}),
    ],
)
@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".avi", ".webm"])
def test_a_lossless_source_stays_lossless_in_any_container(tmp_path, codec, options, suffix):
    frames = clips.moving_frames(6)
    source = clips.write_clip(
        tmp_path / ("a.avi" if codec in ("ffvhuff", "utvideo") else "a.mkv"), frames, codec, options=options
    )
    through(source, tmp_path / f"b{suffix}")
    assert all(same(a, b) for a, b in zip(read(tmp_path / f"b{suffix}"), frames, strict=True))


@pytest.mark.parametrize(
    ("suffix", "codec", "wanted"),
    [
        (".mp4", "libx264", "libx264"),
        (".mp4", "libx265", "libx265"),
        (".mp4", "libsvtav1", "libsvtav1"),
        (".webm", "libvpx-vp9", "libvpx-vp9"),
        (".avi", "mpeg4", "mpeg4"),
        (".ts", "mpeg2video", "mpeg2video"),
        (".mpg", "mpeg1video", "mpeg1video"),
        (".mov", "prores_ks", "prores_ks"),
        (".mkv", "mjpeg", "mjpeg"),
        (".avi", "wmv2", "libx264"),
    ],
)
def test_the_output_has_the_sources_codec_and_looks_the_same(tmp_path, suffix, codec, wanted):
    name = {"prores_ks": "yuv422p10le"}.get(codec, "yuv420p")
    colour = Colour(full_range=True) if codec == "mjpeg" else None
    frames = clips.moving_frames(6, 96, 64, name, colour=colour)
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    pix_fmt = "yuvj420p" if codec == "mjpeg" else None
    os.environ["SVT_LOG"] = "1"
    source = clips.write_clip(tmp_path / f"a{suffix}", frames, codec, options=options, pix_fmt=pix_fmt)
    writer = through(source, tmp_path / f"b{suffix}")
    assert writer.encoding.codec == wanted
    before, after = read(source), read(tmp_path / f"b{suffix}")
    assert len(before) == len(after) == 6
    for a, b in zip(before, after, strict=True):
        assert (a.format, a.colour) == (b.format, replace(b.colour, chroma_location=a.colour.chroma_location))
        error = np.mean((a.planes[0].astype(float) - b.planes[0]) ** 2) / (1 << a.format.bits) ** 2
        assert error < 10**-3.6  # 36 dB


TIMES = [0, 33, 67, 100, 250, 251, 300, 333, 400, 1000, 1033, 1067]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
@pytest.mark.parametrize("codec", ["ffv1", "libx264", "libx265"])
def test_variable_times_are_kept_exactly(tmp_path, suffix, codec):
    frames = [
        replace(f, pts=t, time_base=Fraction(1, 1000)) for f, t in zip(clips.moving_frames(12), TIMES, strict=True)
    ]
    source = clips.write_clip(tmp_path / "a.mkv", frames, "ffv1", audio=True)
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    through(source, tmp_path / f"b{suffix}", codec=codec, options=options)
    assert [f.time for f in read(tmp_path / f"b{suffix}")] == [Fraction(t, 1000) for t in TIMES]


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".ts", "mpeg2video"), (".mkv", "mpeg2video"), (".mkv", "mpeg4"), (".mpg", "mpeg1video")]
)
def test_times_are_exact_with_encoders_that_only_count_frames(tmp_path, suffix, codec):
    frames = clips.moving_frames(10, time_base=Fraction(1, 90000), ticks=3600)
    frames = [replace(f, pts=f.pts + 91) for f in clips.drop(frames, 4, 5)]  # a hole, and a start between frames
    with VideoReader(clips.write_clip(tmp_path / "a.ts", frames, "libx264")) as reader:
        times = [f.time for f in reader.frames()]
    through(tmp_path / "a.ts", tmp_path / f"b{suffix}", codec=codec)
    with VideoReader(tmp_path / f"b{suffix}") as reader:
        got = [f.time for f in reader.frames()]
        tick = max(reader.facts.time_base, Fraction(1, 90000))
    shift = got[0] - times[0]
    assert all(abs(a - b - shift) <= tick for a, b in zip(got, times, strict=True))


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4", "ffv1"])
def test_an_mp4_with_a_gap_near_its_end_declares_its_true_duration(tmp_path, codec):
    frames = clips.drop(clips.moving_frames(10, time_base=Fraction(1, 1000), ticks=40), 7, 8)
    source = clips.write_clip(tmp_path / "a.mkv", frames)
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    through(source, tmp_path / "b.mp4", codec=codec, options=options)
    with av.open(str(tmp_path / "b.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.duration * stream.time_base == Fraction(400, 1000)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
@pytest.mark.parametrize("codec", ["libx264", "ffv1"])
def test_the_last_frame_is_shown_as_long_as_told(tmp_path, suffix, codec):
    frames = clips.moving_frames(5, time_base=Fraction(1, 1000), ticks=40)
    source = clips.write_clip(tmp_path / "a.mkv", frames)
    with VideoReader(source) as reader:
        facts = reader.facts
    with VideoWriter(tmp_path / f"b{suffix}", facts, time_base=Fraction(1, 1000), codec=codec) as writer:
        for frame in frames:
            writer.write(frame)
        writer.last_duration = Fraction(3, 10)
    with VideoReader(tmp_path / f"b{suffix}") as reader:
        assert len(list(reader.frames())) == 5
        assert reader.last_duration == Fraction(3, 10)


def test_doubling_the_rate_needs_a_finer_time_base_and_keeps_it(tmp_path):
    frames = clips.moving_frames(5, time_base=Fraction(1, 25))
    source = clips.write_clip(tmp_path / "a.mp4", frames, "libx264")
    with VideoReader(source) as reader:
        writer = VideoWriter(tmp_path / "b.mp4", reader.facts, time_base=Fraction(1, 50), rate=Fraction(50))
        with writer:
            for i in range(9):
                writer.write(replace(frames[i // 2], pts=i, time_base=Fraction(1, 50)))
    assert [f.time for f in read(tmp_path / "b.mp4")] == [Fraction(i, 50) for i in range(9)]
    with VideoReader(tmp_path / "b.mp4") as reader:
        assert reader.facts.rate == 50
        assert reader.facts.duration == Fraction(9, 50)


def test_frame_times_that_do_not_fit_the_container_are_refused(tmp_path):
    frames = [
        replace(f, pts=t, time_base=Fraction(1, 1000))
        for f, t in zip(clips.moving_frames(4), (0, 40, 45, 120), strict=True)
    ]
    source = clips.write_clip(tmp_path / "a.mkv", frames, "mpeg4")
    with pytest.raises(OutputError, match="two frames fall on one"):
        through(source, tmp_path / "b.avi")
    assert not (tmp_path / "b.avi").exists()


def test_the_sources_key_frames_are_not_obeyed(tmp_path):
    source = clips.write_clip(tmp_path / "a.mkv", clips.moving_frames(20), "libx264", options={"g": "1"})
    through(source, tmp_path / "b.mkv")
    with av.open(str(tmp_path / "b.mkv")) as container:
        assert sum(p.is_keyframe for p in container.demux(video=0)) == 1


# -- what goes with the picture ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "colour",
    [
        Colour(matrix=1, full_range=False, transfer=1, primaries=1),
        Colour(matrix=9, full_range=True, transfer=16, primaries=9),
    ],
)
@pytest.mark.parametrize(
    ("codec", "suffix"), [("ffv1", ".mkv"), ("libx264", ".mp4"), ("libx265", ".mkv"), ("libsvtav1", ".mkv")]
)
def test_colour_tags_are_kept(tmp_path, colour, codec, suffix):
    source = clips.write_clip(tmp_path / "a.mkv", clips.moving_frames(3, 96, 64, "yuv420p10le", colour=colour))
    through(source, tmp_path / f"b{suffix}", codec=codec)
    with VideoReader(tmp_path / f"b{suffix}") as reader:  # H.264 and HEVC always say where chroma lies
        assert replace(reader.facts.colour, chroma_location=0) == colour


def test_rotation_and_sample_aspect_are_kept(tmp_path):
    source = clips.write_clip(tmp_path / "a.mp4", clips.moving_frames(3), "libx264", rotation=90, aspect=Fraction(4, 3))
    for suffix in (".mp4", ".mkv", ".mov"):
        writer = through(source, tmp_path / f"b{suffix}")
        with VideoReader(tmp_path / f"b{suffix}") as reader:
            assert (reader.facts.rotation, reader.facts.aspect) == (90, Fraction(4, 3))
        assert writer.not_copied == writer.notes == []


def test_a_sample_aspect_that_gets_lost_is_said(tmp_path):
    source = clips.write_clip(tmp_path / "a.mp4", clips.moving_frames(3), "libx264", aspect=Fraction(4, 3))
    writer = through(source, tmp_path / "b.mkv", codec="ffv1")
    assert any("aspect ratio 4/3" in line for line in writer.notes)


@pytest.mark.parametrize("codec", ["libx265", "libx264", "libsvtav1"])
def test_hdr10_metadata_survives(tmp_path, codec):
    words = (
        "log-level=none:repeat-headers=1:hdr10=1:max-cll=1000,400:"
        "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    )
    colour = Colour(matrix=9, full_range=False, transfer=16, primaries=9)
    frames = clips.moving_frames(3, 96, 64, "yuv420p10le", colour=colour)
    source = clips.write_clip(tmp_path / "a.mkv", frames, "libx265", options={"x265-params": words})
    writer = through(source, tmp_path / "b.mkv", codec=codec)
    with VideoReader(source) as before, VideoReader(tmp_path / "b.mkv") as after:
        assert before.facts.hdr == Hdr(
            tuple(Fraction(n, 50000) for n in (34000, 16000, 13250, 34500, 7500, 3000, 15635, 16450)),
            (Fraction(50, 10000), Fraction(1000)),
            (1000, 400),
        )
        assert after.facts.hdr is not None
        assert after.facts.hdr.light == before.facts.hdr.light
        near = zip(after.facts.hdr.primaries, before.facts.hdr.primaries, strict=True)
        assert all(abs(a - b) < Fraction(1, 30000) for a, b in near)
        assert abs(after.facts.hdr.luminance[1] - 1000) < 1
    assert writer.not_copied == []


def test_a_rotation_that_gets_lost_is_said(tmp_path):
    source = clips.write_clip(tmp_path / "a.mp4", clips.moving_frames(4), "libx264", rotation=90)
    report = repair(source, tmp_path / "b.ts", encoding=Encoding("libx264"))
    assert any("rotation by 90" in note for note in report.notes)


def test_hdr10_metadata_that_gets_lost_are_said(tmp_path):
    words = "log-level=none:repeat-headers=1:hdr10=1:max-cll=1000,400"
    frames = clips.moving_frames(3, 96, 64, "yuv420p10le")
    source = clips.write_clip(tmp_path / "a.mkv", frames, "libx265", options={"x265-params": words})
    writer = through(source, tmp_path / "b.mkv", codec="ffv1")
    assert any("HDR10" in line for line in writer.not_copied)


@pytest.mark.parametrize(
    ("suffix", "audio"),
    [
        (".mkv", "flac"),
        (".mkv", "pcm_s16le"),
        (".mp4", "aac"),
        (".webm", "libopus"),
        (".ts", "mp2"),
        (".mov", "pcm_s16le"),
    ],
)
def test_sound_packets_are_identical(tmp_path, suffix, audio):
    codec = {".webm": "libvpx-vp9", ".ts": "mpeg2video"}.get(suffix, "libx264")
    source = clips.write_clip(tmp_path / f"a{suffix}", clips.moving_frames(30), codec, audio=audio)
    through(source, tmp_path / f"b{suffix}")
    before, after = (clips.packets(p, "audio") for p in (source, tmp_path / f"b{suffix}"))
    assert len(before) > 5
    assert [data for _, data in before] == [data for _, data in after]
    offsets = [read(path)[0].time for path in (source, tmp_path / f"b{suffix}")]
    if suffix != ".mp4":  # in step with the picture
        assert before[0][0] is not None
        with av.open(str(source)) as a, av.open(str(tmp_path / f"b{suffix}")) as b:
            first = [p[0][0] * c.streams.audio[0].time_base for p, c in ((before, a), (after, b))]
        assert abs((first[0] - offsets[0]) - (first[1] - offsets[1])) <= Fraction(1, 1000)


def test_subtitles_attachments_chapters_and_metadata_are_copied(tmp_path):
    source = clips.write_clip(
        tmp_path / "a.mkv",
        clips.moving_frames(10),
        audio=True,
        subtitles=True,
        attachment=b"font data",
        chapters=True,
        metadata={"title": "A clip", "artist": "Someone"},
    )
    writer = through(source, tmp_path / "b.mkv")
    assert writer.not_copied == []
    assert clips.packets(tmp_path / "b.mkv", "subtitle") == clips.packets(source, "subtitle")
    with av.open(str(source)) as before, av.open(str(tmp_path / "b.mkv")) as after:
        assert [s.type for s in after.streams] == ["video", "audio", "subtitle", "attachment"]
        assert after.streams[3].data == b"font data"
        assert after.streams[3].mimetype == "font/ttf"
        assert after.metadata["title"] == "A clip"
        assert {k.lower() for k in after.metadata} >= {"title", "artist"}
        assert [c["metadata"]["title"] for c in after.chapters()] == ["One", "Two"]
        assert [(c["start"], c["end"]) for c in after.chapters()] == [(c["start"], c["end"]) for c in before.chapters()]
        assert [s.disposition for s in after.streams] == [s.disposition for s in before.streams]


def test_what_the_container_does_not_take_is_said_and_the_rest_copied(tmp_path):
    source = clips.write_clip(
        tmp_path / "a.mkv",
        clips.moving_frames(10),
        "libx264",
        audio="aac",
        subtitles=True,
        attachment=b"x",
        chapters=True,
    )
    writer = through(source, tmp_path / "b.mp4")
    assert len(writer.not_copied) == 2
    assert any("subtitle" in line for line in writer.not_copied)
    assert any("attachment" in line for line in writer.not_copied)
    assert clips.packets(tmp_path / "b.mp4", "audio")
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert [c["metadata"]["title"] for c in container.chapters()] == ["One", "Two"]
    again = through(tmp_path / "b.mp4", tmp_path / "c.mp4")  # its chapter track is made anew, not doubled
    assert again.not_copied == []
    with av.open(str(tmp_path / "b.mp4")) as b, av.open(str(tmp_path / "c.mp4")) as c:
        assert [s.type for s in b.streams] == [s.type for s in c.streams]


def test_cover_art_and_a_second_sound_track_are_copied(tmp_path):
    source = tmp_path / "a.mp4"
    with av.open(str(source), "w") as out:
        video, sound, other = out.add_stream("libx264", rate=25), *(out.add_stream("aac", rate=48000) for _ in "12")
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        cover = out.add_stream("mjpeg", rate=25)
        cover.width, cover.height, cover.pix_fmt = 32, 32, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        for stream in (sound, other):
            stream.codec_context.layout = "mono"
        other.metadata["language"] = "fra"
        out.mux(cover.encode(av.VideoFrame(32, 32, "yuvj420p")))
        out.mux(cover.encode(None))
        for frame in clips.moving_frames(10):
            out.mux(video.encode(clips.to_av(frame)))
        out.mux(video.encode(None))
        for stream in (sound, other):
            clips.tone(out, stream, 0.4)
    for suffix in (".mp4", ".mkv"):
        writer = through(source, tmp_path / f"b{suffix}")
        assert writer.not_copied == []
        with av.open(str(tmp_path / f"b{suffix}")) as made:
            assert sorted(stream.type for stream in made.streams) == ["audio", "audio", "video", "video"]
            assert made.streams.audio[1].metadata["language"] == "fra"
        with VideoReader(tmp_path / f"b{suffix}") as reader:
            assert (reader.facts.width, len(list(reader.frames()))) == (64, 10)


def test_a_container_without_negative_times_moves_all_streams_alike_and_says_so(tmp_path):
    source = clips.write_clip(tmp_path / "a.mp4", clips.moving_frames(10), "libx264", audio="aac")
    writer = through(source, tmp_path / "b.mkv")
    shift = read(tmp_path / "b.mkv")[0].time
    if shift:  # PyAV 18: the 1024 samples that AAC starts with; 19 tells the container about them
        assert shift == Fraction(21, 1000)
    assert any("0.021 s later" in note for note in writer.notes) is bool(shift)
    sound = [clips.packets(p, "audio")[0][0] for p in (source, tmp_path / "b.mkv")]
    assert sound[0] == -1024
    assert abs(shift + Fraction(-1024, 48000) - Fraction(sound[1], 1000)) <= Fraction(1, 1000)
    assert through(source, tmp_path / "b.mp4").notes == []


# -- encoders ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def clip(tmp_path):
    return clips.write_clip(tmp_path / "a.mkv", clips.moving_frames(5))


@pytest.mark.parametrize(
    ("codec", "options", "word"),
    [
        ("h266", {}, "Unknown encoder"),
        ("flac", {}, "audio"),
        ("prores_ks", {}, "does not take pixel format yuv420p"),
        ("mjpeg", {}, "full range"),
        ("libx264", {"crff": "3"}, "crff"),
        ("libx264", {"preset": "warp"}, "cannot be opened"),
        (None, {"crf": "3"}, "without an encoder"),
    ],
)
def test_an_encoder_that_cannot_be_used_is_said_before_anything_is_written(tmp_path, clip, codec, options, word):
    with pytest.raises(CodecUnusable, match=word) as caught:
        through(clip, tmp_path / "b.mkv", codec=codec, options=options)
    assert caught.value.exit_status == 4
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mkv"]


def test_an_odd_size_that_an_encoder_refuses_is_said(tmp_path):
    source = clips.write_clip(tmp_path / "a.mkv", clips.moving_frames(3, 35, 19))
    with pytest.raises(CodecUnusable, match="35x19"):
        through(source, tmp_path / "b.mp4", codec="libx264")


def test_an_encoders_own_options_reach_it(tmp_path, clip):
    through(clip, tmp_path / "small.mkv", codec="libx264", options={"crf": "45"})
    through(clip, tmp_path / "large.mkv", codec="libx264", options={"crf": "1"})
    assert (tmp_path / "small.mkv").stat().st_size * 2 < (tmp_path / "large.mkv").stat().st_size


def test_a_codecs_family_name_names_its_encoder(tmp_path, clip):
    assert through(clip, tmp_path / "b.mkv", codec="h264").encoding.codec == "libx264"


def test_null_encodes_and_writes_nothing(tmp_path, clip, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert through(clip, Path("null:")).frames == 5
    assert through(clip, Path("null:"), codec="libx264").encoding.codec == "libx264"
    assert [p.name for p in tmp_path.iterdir()] == ["a.mkv"]


# -- whole or not at all -----------------------------------------------------------------------------------------------


def test_an_existing_output_is_kept_unless_told(tmp_path, clip):
    out = tmp_path / "b.mkv"
    out.write_bytes(b"precious")
    with pytest.raises(OutputExists):
        through(clip, out)
    assert out.read_bytes() == b"precious"
    through(clip, out, overwrite=True)
    assert len(read(out)) == 5
    assert left_over(tmp_path) == []


@pytest.mark.parametrize("how", ["same", "symlink", "hardlink", "dots"])
def test_the_input_is_never_the_output(tmp_path, clip, how):
    before = clip.read_bytes()
    out = tmp_path / "b.mkv"
    if how == "symlink":
        out.symlink_to(clip)
    elif how == "hardlink":
        os.link(clip, out)
    else:
        out = clip if how == "same" else tmp_path / ".." / tmp_path.name / clip.name
    with pytest.raises(OutputIsInput):
        through(clip, out, overwrite=True)
    with pytest.raises(OutputIsInput):
        remux(clip, out, overwrite=True)
    assert clip.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("none/b.mkv", "no folder"),
        ("a.mkv/b.mkv", "its folder is a file"),
        ("folder", "a folder"),
        ("b.xyz", "no container"),
        ("b", "no container"),
        ("/proc/b.mkv", "Cannot write"),
        ("/dev/null", "regular file"),
    ],
)
def test_an_output_that_cannot_be_is_said_before_the_first_frame(tmp_path, clip, name, word):
    (tmp_path / "folder").mkdir()
    with VideoReader(clip) as reader, pytest.raises(OutputError, match=word) as caught:
        VideoWriter(tmp_path / name, reader.facts, time_base=reader.facts.time_base, overwrite=True)
    assert caught.value.exit_status == 4
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mkv", "folder"]
    with pytest.raises(OutputError):
        remux(clip, tmp_path / name, overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mkv", "folder"]


@pytest.mark.parametrize("error", [LookupError, KeyboardInterrupt])
def test_an_exception_on_the_way_leaves_nothing(tmp_path, clip, error):
    out = tmp_path / "b.mkv"
    out.write_bytes(b"precious")

    def write_one_and_fail():
        with VideoReader(clip) as reader:
            facts = reader.facts
            with VideoWriter(out, facts, time_base=facts.time_base, overwrite=True) as writer:
                writer.write(next(iter(reader.frames())))
                raise error

    with pytest.raises(error):
        write_one_and_fail()
    assert out.read_bytes() == b"precious"
    assert left_over(tmp_path) == []


def test_an_input_that_breaks_midway_leaves_nothing(tmp_path):
    parts = [clips.write_clip(tmp_path / f"{w}.ts", clips.moving_frames(12, w, 48), "mpeg2video") for w in (64, 96)]
    source = tmp_path / "a.ts"
    source.write_bytes(b"".join(p.read_bytes() for p in parts))
    with pytest.raises(InputUnsupported):
        through(source, tmp_path / "b.ts")
    assert not (tmp_path / "b.ts").exists()
    assert left_over(tmp_path) == []


def test_a_frame_of_another_kind_is_a_bug_that_is_told_at_once(tmp_path, clip):
    with VideoReader(clip) as reader:
        facts = reader.facts
    with VideoWriter(tmp_path / "b.mkv", facts, time_base=facts.time_base) as writer:
        with pytest.raises(ValueError, match="is not yuv420p 64x48"):
            writer.write(clips.moving_frames(1, 32, 32)[0])
        writer.write(clips.moving_frames(1)[0])
    assert len(read(tmp_path / "b.mkv")) == 1


SCRIPT = """
    import resource, signal, sys
    from fractions import Fraction
    from vgan_plugin.errors import OutputError
    from vgan_plugin.media.reader import VideoReader
    from vgan_plugin.media.writer import VideoWriter
    if sys.argv[3] == "full":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
    try:
        with VideoReader(sys.argv[1]) as reader:
            facts = reader.facts
            with VideoWriter(sys.argv[2], facts, time_base=facts.time_base) as writer:
                for frame in reader.frames():
                    writer.write(frame)
                if sys.argv[3] == "wait":
                    print("here", flush=True)
                    sys.stdin.read()
    except OutputError as error:
        print(error)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        sys.exit(130)
"""


def start(source, out, how):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(source), str(out), how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path):
    source = clips.write_clip(tmp_path / "a.mkv", clips.moving_frames(30, 160, 96))
    for name in ("b.mkv", "b.mp4"):
        process = start(source, tmp_path / name, "full")
        told, trouble = process.communicate(timeout=60)
        assert process.returncode == 4, trouble
        assert "VGAN-401" in told
        assert "File too large" in told
        assert not (tmp_path / name).exists()
        assert left_over(tmp_path) == []


@pytest.mark.parametrize(("sign", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_process_that_is_stopped_leaves_nothing_under_the_final_name(tmp_path, clip, sign, status):
    process = start(clip, tmp_path / "b.mkv", "wait")
    assert process.stdout.readline() == "here\n"
    process.send_signal(sign)
    process.communicate(timeout=60)
    assert process.returncode == status
    assert not (tmp_path / "b.mkv").exists()
    if sign == signal.SIGINT:
        assert left_over(tmp_path) == []
    through(clip, tmp_path / "b.mkv")  # what a killed run left is no obstacle
    assert len(read(tmp_path / "b.mkv")) == 5
    assert left_over(tmp_path) == []


def test_a_long_silence_of_a_stream_does_not_fill_the_memory(tmp_path):
    """One subtitle in a long clip: packets go out as they come, not when the next subtitle does."""
    frames = clips.moving_frames(60, 160, 96, time_base=Fraction(1, 1000), ticks=150)
    source = clips.write_clip(tmp_path / "a.mkv", frames, subtitles=True, audio=True)
    sizes = []
    with VideoReader(source) as reader:
        facts = reader.facts
        with VideoWriter(tmp_path / "b.mkv", facts, time_base=facts.time_base) as writer:
            for frame in reader.frames():
                writer.write(frame)
                sizes.append((tmp_path / ".b.part.mkv").stat().st_size)
    assert sizes[-1] > (tmp_path / "b.mkv").stat().st_size / 2


# -- stream copy -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source_suffix", "suffix"), [(".mkv", ".mkv"), (".mp4", ".mp4"), (".mkv", ".mp4"), (".ts", ".mkv")]
)
def test_a_clip_with_nothing_wrong_is_copied_packet_by_packet(tmp_path, source_suffix, suffix):
    audio = {".ts": "mp2"}.get(source_suffix, "aac")
    frames = clips.moving_frames(30, time_base=Fraction(1, 1000), ticks=40)
    source = clips.write_clip(
        tmp_path / f"a{source_suffix}", frames, "libx264", audio=audio, chapters=source_suffix != ".ts"
    )
    out = tmp_path / f"b{suffix}"
    assert remux(source, out) == []
    for kind in ("audio", "video"):
        before, after = clips.packets(source, kind), clips.packets(out, kind)
        if source_suffix == suffix:
            assert before == after
        assert len(before) == len(after)
    assert all(same(a, b) for a, b in zip(read(source), read(out), strict=True))
    assert left_over(tmp_path) == []
    with pytest.raises(OutputExists):
        remux(source, out)


@pytest.mark.parametrize(("suffix", "codec"), [(".ts", "h264"), (".mpg", "h264")])
def test_a_container_that_swallows_anything_gets_what_can_be_read_again(tmp_path, suffix, codec):
    source = clips.write_clip(tmp_path / "a.mkv", clips.moving_frames(4), audio="flac")
    out = tmp_path / f"b{suffix}"
    with pytest.raises(OutputError, match="could not be read again"):
        remux(source, out)
    with VideoReader(source) as reader:
        with VideoWriter(out, reader.facts, time_base=reader.facts.time_base) as writer:
            for frame in reader.frames():
                writer.write(frame)
        assert any("flac" in line for line in writer.not_copied)
        with pytest.raises(CodecUnusable, match="could not be read again"):
            VideoWriter(tmp_path / f"c{suffix}", reader.facts, time_base=reader.facts.time_base, codec="ffv1")
    with VideoReader(out) as reader:
        assert reader.facts.codec == codec
        assert len(list(reader.frames())) == 4


@pytest.mark.parametrize("suffix", [".wmv", ".mxf"])
def test_reordered_frames_lose_no_times_where_the_container_has_no_place_for_them(tmp_path, suffix):
    source = clips.write_clip(tmp_path / "a.mp4", clips.drop(clips.moving_frames(24), 9), "libx264")
    repair(source, tmp_path / f"b{suffix}", generator=OpenRequest(generator="blend"))
    with VideoReader(tmp_path / f"b{suffix}") as reader:
        times = [frame.time for frame in reader.frames()]
    assert {b - a for a, b in pairwise(times)} == {Fraction(1, 25)}
    assert len(times) == 24


@pytest.mark.parametrize(("suffix", "codec"), [(".mov", "rawvideo"), (".ogv", None)])
def test_an_output_that_could_not_be_read_again_is_refused(tmp_path, suffix, codec):
    source = clips.write_clip(tmp_path / "a.mkv", clips.moving_frames(4), "libx264")
    with pytest.raises(OutputError, match=r"read again|does not take what it makes"):
        repair(source, tmp_path / f"b{suffix}", encoding=Encoding(codec))
    assert [p.name for p in tmp_path.iterdir()] == ["a.mkv"]


@pytest.mark.parametrize(("source_suffix", "codec"), [(".mkv", "ffv1"), (".mp4", "libx264")])
def test_a_copy_keeps_the_frame_rate_and_how_long_the_last_frame_is_shown(tmp_path, source_suffix, codec):
    frames = clips.moving_frames(12, time_base=Fraction(1, 90000), ticks=3600)
    source = clips.write_clip(tmp_path / f"a{source_suffix}", frames, codec)
    remux(source, tmp_path / "b.mkv")
    with VideoReader(tmp_path / "b.mkv") as reader:
        assert len(list(reader.frames())) == 12
        assert reader.last_duration == Fraction(1, 25)
        assert reader.facts.rate == 25


@pytest.mark.parametrize("suffix", [".mpg", ".wmv", ".mxf"])
def test_packets_are_not_copied_where_they_cannot_be_decoded_or_lose_their_times(tmp_path, suffix):
    source = clips.write_clip(tmp_path / "a.mp4", clips.moving_frames(24), "libx264", max_b_frames=3)
    report = repair(source, tmp_path / f"b{suffix}")
    assert not report.copied
    with VideoReader(tmp_path / f"b{suffix}") as reader:
        times = [frame.time for frame in reader.frames()]
    assert len(times) == 24
    if suffix == ".mpg":  # frames of a few hundred bytes share a packet, and a packet has one time
        assert any("does not hold the time of every small frame" in note for note in report.notes), report.notes
    else:
        assert {b - a for a, b in pairwise(times)} == {Fraction(1, 25)}


def test_what_a_copy_loses_is_said(tmp_path):
    source = clips.write_clip(tmp_path / "a.mp4", clips.moving_frames(24), "libx264", rotation=90, max_b_frames=3)
    rotation, start = remux(source, tmp_path / "b.ts")
    assert rotation.startswith("rotation by 90 degrees")
    assert "later, in step" in start
    assert remux(source, tmp_path / "b.mov") == []


def test_a_copy_into_a_container_that_does_not_take_the_video_is_refused(tmp_path):
    source = clips.write_clip(tmp_path / "a.mkv", clips.moving_frames(3))
    with pytest.raises(OutputError, match="Cannot copy the video"):
        remux(source, tmp_path / "b.webm")
    assert [p.name for p in tmp_path.iterdir()] == ["a.mkv"]
