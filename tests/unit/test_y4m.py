"""YUV4MPEG2 as programs write it, and as nobody should."""

from __future__ import annotations

import contextlib
import io
from fractions import Fraction

import numpy as np
import pytest
from clips import moving_frames
from hypothesis import given, settings
from hypothesis import strategies as st

from vgan_plugin.errors import InputDamaged, InputNotVideo, InputUnsupported, VganError
from vgan_plugin.media.y4m import Header, Reader, frame_bytes, read_times
from vgan_plugin.types import Frame

TAGS = {
    "420jpeg": "yuv420p", "420mpeg2": "yuv420p", "420paldv": "yuv420p", "420": "yuv420p", "422": "yuv422p",
    "444": "yuv444p", "411": "yuv411p", "410": "yuv410p", "440": "yuv440p", "444alpha": "yuva444p", "mono": "gray",
    "420p9": "yuv420p9le", "420p10": "yuv420p10le", "420p16": "yuv420p16le", "422p12": "yuv422p12le",
    "444p14": "yuv444p14le", "mono10": "gray10le", "mono16": "gray16le",
}  # fmt: skip


def stream(frames: list[Frame], tag: str, more: str = "") -> bytes:
    head = f"YUV4MPEG2 W{frames[0].width} H{frames[0].height} F25:1 C{tag}{more}\n".encode()
    return head + b"".join(frame_bytes(frame) for frame in frames)


@pytest.mark.parametrize(("tag", "name"), TAGS.items())
def test_every_kind_of_frame_comes_back_sample_by_sample_even_at_odd_sizes(tag: str, name: str) -> None:
    frames = moving_frames(3, 35, 19, name)
    data = stream(frames, tag)
    reader = Reader(io.BytesIO(data))
    assert reader.header.format == frames[0].format
    found = list(reader.frames())
    for planes, frame in zip(found, frames, strict=True):
        for a, b in zip(planes, frame.planes, strict=True):
            np.testing.assert_array_equal(a, b)
    assert reader.cut is None
    samples = sum(plane.size * plane.itemsize for plane in frames[0].planes)
    assert len(data) == data.index(b"\n") + 1 + 3 * (len(b"FRAME\n") + samples)


def test_tags_come_in_any_order_and_unknown_ones_are_passed_on() -> None:
    line = b"YUV4MPEG2 C420p10 W448 XFOO=bar H256 F30:1 Ip A0:0 XCOLORRANGE=FULL XLENGTH=116\n"
    header = Header.parse(line)
    assert (header.width, header.height, header.rate) == (448, 256, 30)
    assert header.colour.full_range is True
    assert header.line() == line.replace(b" XLENGTH=116", b"")  # how many come out is not known
    assert b" F60000:1001 " in header.line(Fraction(60000, 1001))


def test_what_a_header_does_not_say_is_taken_as_the_format_says() -> None:
    header = Header.parse(b"YUV4MPEG2 W8 H6\n")
    assert (header.format.name, header.rate, header.colour.full_range) == ("yuv420p", None, None)
    assert header.line(Fraction(25)) == b"YUV4MPEG2 W8 H6 F25:1\n"
    assert Header.parse(b"YUV4MPEG2 W8 H6 F0:0\n").rate is None


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"", InputNotVideo),
        (b"hello\n", InputNotVideo),
        (b"YUV4MPEG2 W8 H6 F25:1", InputNotVideo),
        (b"YUV4MPEG2X W8 H6\n", InputNotVideo),
        (b"YUV4MPEG2 W0 H6\n", InputNotVideo),
        (b"YUV4MPEG2 W-8 H6\n", InputNotVideo),
        (b"YUV4MPEG2 W99999999 H6\n", InputNotVideo),
        (b"YUV4MPEG2\n", InputNotVideo),
        (b"YUV4MPEG2 W8 H6 \xff\xfe Ip\n", None),
        (b"YUV4MPEG2 W8 H6 It\n", InputUnsupported),
        (b"YUV4MPEG2 W8 H6 C444ps\n", InputUnsupported),
        (b"YUV4MPEG2 W8 H6 C422jpeg\n", InputUnsupported),
        (b"YUV4MPEG2 W8 H6 C420p17\n", InputUnsupported),
    ],
)
def test_a_bad_header_is_refused_in_words(line: bytes, error: type[VganError] | None) -> None:
    if error is None:
        assert Header.parse(line).width == 8
    else:
        with pytest.raises(error):
            Header.parse(line)


def test_a_frame_that_is_cut_off_is_given_with_what_came_and_the_rest_of_the_frame_before() -> None:
    frames = moving_frames(3, 16, 8, "gray")
    reader = Reader(io.BytesIO(stream(frames, "mono")[:-100]))
    found = [planes[0] for planes in reader.frames()]
    assert len(found) == 3
    assert reader.cut is not None
    assert (reader.cut.came, reader.cut.whole) == (28, 128)
    np.testing.assert_array_equal(found[2].ravel()[:28], frames[2].planes[0].ravel()[:28])
    np.testing.assert_array_equal(found[2].ravel()[28:], frames[1].planes[0].ravel()[28:])


@pytest.mark.parametrize(("end", "frames"), [(b"FRA", 1), (b"FRAME", 1), (b"FRAME\n", 2)])
def test_a_stream_may_end_within_the_word_frame(end: bytes, frames: int) -> None:
    reader = Reader(io.BytesIO(stream(moving_frames(1, 16, 8, "gray"), "mono") + end))
    assert len(list(reader.frames())) == frames
    assert reader.cut is not None


def test_what_a_frame_says_of_itself_is_kept_and_garbage_between_frames_is_refused() -> None:
    one = stream(moving_frames(1, 16, 8, "gray"), "mono")
    reader = Reader(io.BytesIO(one + one[one.index(b"FRAME") :].replace(b"FRAME", b"FRAME Xa=1") + b"garbage\n"))
    frames = reader.frames()
    assert len([next(frames), next(frames)]) == 2
    assert reader.parameters == {1: b"Xa=1"}
    with pytest.raises(InputDamaged, match="after frame 2"):
        next(frames)


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_whatever_follows_a_header_is_frames_or_an_error_in_words(data: bytes) -> None:
    reader = Reader(io.BytesIO(b"YUV4MPEG2 W4 H2 F25:1 Cmono\n" + data))
    with contextlib.suppress(InputDamaged):
        assert all(planes[0].shape == (2, 4) for planes in reader.frames())


def test_times_are_read_from_both_lists() -> None:
    assert read_times("# timestamp format v2\n0\n33\n67\n") == ((0, 33, 67), Fraction(1, 1000))
    ticks, base = read_times("# timecode format v2\n0.000000\n33.366667\n")
    assert [tick * base for tick in ticks] == [0, Fraction("0.033366667")]
    crc = "#tb 0: 1/12800\n#dimensions 0: 8x6\n0, -512, 0, 512, 9, 0x1\n0, 0, 1024, 512, 9, 0x2\n"
    crc += "0, 1, 512, 512, 9, 0x3, F=0x0\n"
    assert read_times(crc) == ((0, 512, 1024), Fraction(1, 12800))


@pytest.mark.parametrize(
    "text", ["", "hello", "0\n40\n", "#tb 0: 1/0\n0, 0, 0\n", "# timestamp format v2\nx\n", "#tb 0: 1/25\n0, 0\n"]
)
def test_a_list_of_something_else_is_refused_in_words(text: str) -> None:
    with pytest.raises(InputNotVideo, match="timing"):
        read_times(text)


def test_two_frames_at_one_time_are_refused_in_words() -> None:
    with pytest.raises(InputUnsupported, match="same time"):
        read_times("# timestamp format v2\n0\n40\n40\n")


def test_an_odd_width_of_more_than_eight_bits_as_ffmpeg_writes_it_is_named() -> None:
    planes = [bytes(70 * 19), bytes(35 * 10), bytes(35 * 10)]  # a sample of chroma cut in two in every row
    data = b"YUV4MPEG2 W35 H19 F25:1 C420p10\n" + 2 * b"".join([b"FRAME\n", *planes])
    with pytest.raises(InputDamaged, match="even width"):
        list(Reader(io.BytesIO(data)).frames())
