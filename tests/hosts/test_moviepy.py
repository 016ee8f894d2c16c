"""MoviePy's effects: what they give is what `vgan fill` gives of the same pictures."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

moviepy = pytest.importorskip("moviepy", reason="MoviePy is not installed: pip install vgan[moviepy]")
from clips import blacken, freeze, join, moving_frames, write_clip  # noqa: E402

from vgan_plugin.errors import InputUnsupported, UsageError  # noqa: E402
from vgan_plugin.hosts.file import Encoding, repair  # noqa: E402
from vgan_plugin.hosts.moviepy import Fill, Interpolate, exact_rate  # noqa: E402
from vgan_plugin.types import Frame, OpenRequest  # noqa: E402

BLEND = OpenRequest(generator="blend")


def broken() -> list[Frame]:
    shots = join(moving_frames(50, format="gbrp"), moving_frames(30, seed=5, format="gbrp"))
    return blacken(freeze(shots, 20, 21), 65)


def array(frame: Frame) -> np.ndarray:
    return np.stack([frame.planes[i] for i in (2, 0, 1)], -1)


def clip_of(frames: list[Frame], fps: float = 25.0) -> Any:
    pictures = [array(frame) for frame in frames]
    made = moviepy.VideoClip(
        lambda t: pictures[min(int(t * fps + 1e-6), len(pictures) - 1)], duration=len(frames) / fps
    )
    made.fps = fps
    return made


def pictures_of(clip: Any) -> list[np.ndarray]:
    return [frame.copy() for frame in clip.iter_frames()]


def rgb_of(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_an_effect_gives_what_vgan_fill_gives_of_the_same_pictures(tmp_path: Path) -> None:
    write_clip(tmp_path / "in.mkv", broken())
    repair(tmp_path / "in.mkv", tmp_path / "out.mkv", generator=BLEND, encoding=Encoding("ffv1"))
    out = clip_of(broken()).with_effects([Fill(BLEND)])
    np.testing.assert_array_equal(pictures_of(out), rgb_of(tmp_path / "out.mkv"))


def test_frames_are_the_same_in_whatever_order_they_are_asked_for() -> None:
    out = clip_of(broken()).with_effects([Fill(BLEND)])
    forwards = pictures_of(out)
    for i in (79, 65, 20, 64, 21, 66, 20, 0):
        np.testing.assert_array_equal(out.get_frame(i / 25), forwards[i])
    changed = [i for i, (a, b) in enumerate(zip(forwards, map(array, broken()), strict=True)) if (a != b).any()]
    assert changed == [20, 21, 65]


def test_twice_the_rate_keeps_the_duration_and_every_source_frame() -> None:
    source = moving_frames(30, format="gbrp")
    out = clip_of(source, 24000 / 1001).with_effects([Interpolate(2, BLEND)])
    assert out.fps == pytest.approx(48000 / 1001, abs=1e-9)
    assert out.duration == 30 / (24000 / 1001)
    found = pictures_of(out)
    assert len(found) == 60
    for i, frame in enumerate(source):
        np.testing.assert_array_equal(found[2 * i], array(frame))
    middle = (array(source[3]).astype(int) + array(source[4]) + 1) // 2
    np.testing.assert_array_equal(found[7], middle)
    np.testing.assert_array_equal(found[59], found[58])


def test_a_written_file_has_the_exact_rate_and_not_one_rounded_to_two_decimals(tmp_path: Path) -> None:
    out = clip_of(moving_frames(40, format="gbrp"), 24000 / 1001).with_effects([Interpolate(2, BLEND)])
    rates = []
    for name, params in (("exact.mp4", exact_rate(out)), ("plain.mp4", [])):
        path = tmp_path / name
        out.write_videofile(str(path), codec="libx264", preset="ultrafast", logger=None, ffmpeg_params=params)
        with av.open(str(path)) as container:
            times = [frame.pts * frame.time_base for frame in container.decode(video=0)]
            rates.append(Fraction(container.streams.video[0].average_rate))
        if params:
            assert times == [Fraction(i * 1001, 48000) for i in range(80)]
    assert rates == [Fraction(48000, 1001), Fraction(959, 20)]


@pytest.mark.parametrize("how", [{"fps": None}, {"duration": None}, {"duration": 0}])
def test_a_clip_without_rate_end_or_length_is_refused_in_words(how: dict[str, Any]) -> None:
    clip = clip_of(moving_frames(5, format="gbrp"))
    for name, value in how.items():
        setattr(clip, name, value)
    with pytest.raises(InputUnsupported, match="no frames of its own"):
        clip.with_effects([Fill(BLEND)])


def test_a_clip_that_changes_its_size_is_refused_in_words() -> None:
    clip = moviepy.VideoClip(lambda t: np.zeros((8, 8 if t < 0.3 else 16, 3), np.uint8), duration=1)
    clip.fps = 10
    with pytest.raises(InputUnsupported, match="changes its size"):
        clip.with_effects([Fill(BLEND)])


def test_a_mask_is_no_picture_and_a_factor_of_one_makes_nothing() -> None:
    mask = moviepy.VideoClip(lambda _: np.zeros((8, 8), float), duration=1, is_mask=True)
    mask.fps = 10
    with pytest.raises(InputUnsupported, match="no picture"):
        mask.with_effects([Fill(BLEND)])
    with pytest.raises(UsageError):
        clip_of(moving_frames(5, format="gbrp")).with_effects([Interpolate(1, BLEND)])
