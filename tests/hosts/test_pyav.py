"""A decoding loop of one's own: the frames of `vgan fill`, and those that were fine as the very objects that came."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from clips import blacken, drop, freeze, join, moving_frames, to_av, write_clip

from vgan_plugin.errors import InputUnsupported
from vgan_plugin.hosts.arrays import fill_arrays
from vgan_plugin.hosts.file import Encoding, repair
from vgan_plugin.hosts.pyav import fill_frames
from vgan_plugin.media.frames import frac, from_av
from vgan_plugin.types import Colour, Frame, OpenRequest

BLEND = OpenRequest(generator="blend")


def broken(n: int = 110, format: str = "yuv420p") -> list[Frame]:  # noqa: A002
    """Two shots in milliseconds with a frame of each fault."""
    how: dict[str, Any] = {"format": format, "time_base": Fraction(1, 1000), "ticks": 40}
    shots = join(moving_frames(60, **how), moving_frames(n - 60, seed=5, **how))
    return drop(blacken(freeze(shots, 30, 31), 80), 11, 12, 95)


def decoded(path: Path) -> Iterator[av.VideoFrame]:
    with av.open(str(path)) as container:
        yield from container.decode(video=0)


def bytes_of(frames: Any) -> list[tuple[Any, ...]]:
    found = []
    for frame in frames:
        ours = from_av(frame, frame.pts, frac(frame.time_base) or Fraction(1))
        found.append((ours.time, ours.format.name, *(plane.tobytes() for plane in ours.planes)))
    return found


@pytest.mark.parametrize("format", ["yuv420p", "yuv422p10le", "gbrp"])
def test_a_loop_of_ones_own_makes_what_vgan_fill_makes(tmp_path: Path, format: str) -> None:  # noqa: A002
    source = write_clip(tmp_path / "in.mkv", broken(format=format))
    report = repair(source, tmp_path / "out.mkv", generator=BLEND, encoding=Encoding("ffv1"))
    made: list[Any] = []
    ours = list(fill_frames(decoded(source), generator=BLEND, rate=Fraction(25), on_made=made.append))
    assert bytes_of(ours) == bytes_of(decoded(tmp_path / "out.mkv"))
    assert [(r.pts, r.why, r.references) for r in made] == [(r.pts, r.why, r.references) for r in report.made]
    assert {frame.format.name for frame in ours} == {next(decoded(source)).format.name}


def test_frames_that_were_fine_are_the_objects_that_came_and_nothing_is_written_into_them(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4", broken(), "libx264", options={"crf": "12"}, max_b_frames=2)
    untouched = bytes_of(decoded(source))
    came = list(decoded(source))
    objects = {id(frame): frame for frame in came}
    out = list(fill_frames(came, generator=BLEND))
    kept = [frame for frame in out if id(frame) in objects]
    assert len(kept) >= len(came) - 3
    assert len(out) > len(came)
    assert bytes_of(came) == untouched


def test_what_a_decoder_flags_as_damaged_is_made_anew(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.ts", moving_frames(100), "libx264", options={"g": "10"})
    data = bytearray(source.read_bytes())
    for at in range(len(data) // 3, len(data) * 2 // 3, 4001):
        data[at] ^= 0x55
    source.write_bytes(data)

    def damaged() -> Iterator[av.VideoFrame]:
        with av.open(str(source)) as container:
            container.streams.video[0].thread_type = "NONE"
            for packet in container.demux(video=0):
                with contextlib.suppress(av.FFmpegError):
                    yield from packet.decode()

    came = list(damaged())
    flagged = {id(frame) for frame in came if frame.is_corrupt}
    made: list[Any] = []
    out = list(fill_frames(came, generator=BLEND, rate=Fraction(25), on_made=made.append))
    assert flagged
    assert not flagged & {id(frame) for frame in out}
    assert {record.why for record in made} >= {"corrupt"}


def test_made_frames_have_the_colours_and_the_format_of_the_stream(tmp_path: Path) -> None:
    tags = Colour(matrix=9, full_range=True, transfer=16, primaries=9)
    frames = drop(moving_frames(60, format="yuv420p10le", colour=tags), 20)
    write_clip(tmp_path / "in.mkv", frames)
    came = list(decoded(tmp_path / "in.mkv"))
    (made,) = (f for f in fill_frames(came, generator=BLEND) if id(f) not in set(map(id, came)))
    like = came[0]
    for name in ("width", "height", "colorspace", "color_range", "color_trc", "color_primaries", "time_base"):
        assert getattr(made, name) == getattr(like, name), name
    assert made.format.name == like.format.name
    assert made.duration == like.duration


def test_frames_without_time_stamps_get_them_and_it_is_said(tmp_path: Path) -> None:
    frames = [to_av(frame) for frame in moving_frames(50)]
    for frame in frames[10:12]:
        frame.pts = None
    said: list[str] = []
    out = list(fill_frames(frames, generator=BLEND, rate=Fraction(25), say=said.append))
    assert [frame.pts for frame in out] == list(range(50))
    assert any("without a time stamp" in line for line in said)


def test_a_rational_of_either_pyav_is_a_rate(tmp_path: Path) -> None:
    rational = SimpleNamespace(numerator=25, denominator=1)  # PyAV 19's is no Fraction, and never None
    frames = [to_av(frame) for frame in drop(moving_frames(60), 20)]
    assert len(list(fill_frames(frames, generator=BLEND, rate=rational))) == 60  # type: ignore[arg-type]


def test_a_changing_size_or_format_is_refused_in_words() -> None:
    first = [to_av(frame) for frame in moving_frames(5)]
    for other in (moving_frames(8, 32, 16), moving_frames(8, format="yuv422p")):
        with pytest.raises(InputUnsupported, match="changes from"):
            list(fill_frames([*first, *(to_av(frame) for frame in other[5:])], generator=BLEND))


def test_interlaced_frames_are_refused_in_words() -> None:
    class Interlaced:
        interlaced_frame, pts, dts, time_base, duration = True, 0, 0, Fraction(1, 25), 1

    with pytest.raises(InputUnsupported, match="interlaced"):
        list(fill_frames([Interlaced()], generator=BLEND))  # type: ignore[list-item]


def test_no_frames_are_no_frames() -> None:
    assert list(fill_frames([], generator=BLEND)) == []
    assert list(fill_arrays([], generator=BLEND)) == []


def pictures(frames: Sequence[Frame]) -> list[tuple[float, np.ndarray]]:
    return [(float(f.time), np.stack([f.planes[i] for i in (1, 0, 2)], -1)) for f in frames]


def test_arrays_with_times_are_repaired_and_may_come_in_one_buffer() -> None:
    whole = broken(format="gbrp")
    buffer = np.empty((48, 64, 3), np.uint8)

    def loop() -> Iterator[tuple[float, np.ndarray]]:
        for time, picture in pictures(whole):
            buffer[:] = picture
            yield time, buffer

    out = list(fill_arrays(loop(), generator=BLEND, rate=Fraction(25)))
    assert [round(time * 25) for time, _ in out] == list(range(110))
    kept = {round(time * 25): picture for time, picture in pictures(whole)}
    same = [i for i, (_, picture) in enumerate(out) if i in kept and (picture == kept[i]).all()]
    assert set(range(110)) - set(same) == {11, 12, 30, 31, 80, 95}
    b, a = kept[13].astype(float), kept[10].astype(float)
    np.testing.assert_allclose(out[11][1], a + (b - a) / 3, atol=1)  # in the same order of colours


@pytest.mark.parametrize(
    "picture",
    [np.zeros((4, 4, 2), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4), np.uint8), np.zeros(3, np.uint8)],
)
def test_what_is_no_picture_is_refused_in_words(picture: np.ndarray) -> None:
    with pytest.raises(InputUnsupported, match="no picture"):
        list(fill_arrays([(0.0, picture)], generator=BLEND))


def test_time_that_does_not_go_on_is_refused_in_words() -> None:
    picture = np.zeros((8, 8), np.uint8)
    with pytest.raises(InputUnsupported, match="does not go on"):
        list(fill_arrays([(0.0, picture), (0.0, picture)], generator=BLEND))
