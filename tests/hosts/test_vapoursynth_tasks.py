from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

vs = pytest.importorskip("vapoursynth", reason="VapourSynth is not installed: it needs Python 3.12")
from clips import join, moving_frames, write_clip  # noqa: E402
from vsclips import bytes_of, clip_of, core, duration, planes  # noqa: E402

from vgan_plugin.fill import inpaint as engine  # noqa: E402
from vgan_plugin.hosts import extension, inpainting  # noqa: E402
from vgan_plugin.hosts import vapoursynth as vgan  # noqa: E402
from vgan_plugin.hosts.job import Encoding  # noqa: E402
from vgan_plugin.hosts.masks import Holes  # noqa: E402
from vgan_plugin.media.reader import VideoReader  # noqa: E402
from vgan_plugin.types import OpenRequest  # noqa: E402

pytestmark = pytest.mark.usefixtures("plugin")
BOX = (16, 8, 14, 10)
TICKS = {"time_base": Fraction(1, 1000), "ticks": 40}


def frames(n: int = 12, **how: Any) -> Any:
    return moving_frames(n, 48, 32, **how)


def same(clip: Any, path: Path) -> None:
    with VideoReader(path) as reader:
        found = list(reader.frames())
    assert clip.num_frames == len(found)
    for n, (f, g) in enumerate(zip(clip.frames(), found, strict=True)):
        assert all(np.array_equal(a, b) for a, b in zip(planes(f), g.planes, strict=True)), f"frame {n}"


# inpaint


def test_inpainted_frames_are_those_of_vgan_inpaint_bit_for_bit(tmp_path: Path) -> None:
    path, out = tmp_path / "in.mkv", tmp_path / "out.mkv"
    write_clip(path, frames(5, **TICKS))
    inpainting.inpaint(
        path, out, Holes(boxes=((None, BOX),)), generator=OpenRequest(model="lite"), encoding=Encoding("ffv1")
    )
    source = core.bs.VideoSource(str(path), cachemode=0)
    same(vgan.inpaint(source, vgan.box(source, *BOX), model="lite"), out)


def test_pixels_outside_the_mask_stay_and_frames_without_a_mask_are_the_sources_own() -> None:
    source = clip_of(frames())
    masks = core.std.Splice([vgan.box(source, *BOX), source.std.BlankClip(format=vs.GRAY8, length=11, color=0)])
    clip = vgan.inpaint(source, masks, generator="toy")
    first, before = clip.get_frame(0), source.get_frame(0)
    outside = np.ones((32, 48), bool)
    outside[8:18, 16:30] = False
    assert np.array_equal(planes(first)[0][outside], planes(before)[0][outside])
    assert (first.props["VGanMade"], bytes_of(first.props["VGanSource"])) == (1, bytes_of(before))
    assert duration(first) == Fraction(1, 25)
    for n in range(1, 12):
        assert "VGanMade" not in clip.get_frame(n).props
        assert bytes_of(clip.get_frame(n)) == bytes_of(source.get_frame(n))


@pytest.mark.parametrize("form", ["GRAY16", "GRAYS", "YUV420P8"])
def test_masks_of_any_depth_mean_the_same(form: str) -> None:
    source = clip_of(frames(2))
    mask = vgan.box(source, *BOX)
    white = {"GRAY16": 65535, "GRAYS": 1.0, "YUV420P8": [255, 128, 128]}[form]
    inside = core.std.BlankClip(format=getattr(vs, form), width=BOX[2], height=BOX[3], length=1, color=white, keep=True)
    x, y, width, height = BOX
    other = inside.std.AddBorders(left=x, right=48 - x - width, top=y, bottom=32 - y - height)
    wanted = vgan.inpaint(source, mask, generator="blend").get_frame(1)
    assert bytes_of(vgan.inpaint(source, other, generator="blend").get_frame(1)) == bytes_of(wanted)


@pytest.mark.parametrize("whole", [False, True])
def test_frames_with_holes_are_the_same_in_whatever_order_they_are_asked_for(
    whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "REACH", 2)
    monkeypatch.setattr(engine, "_CHUNK", 2)
    source = clip_of(join(frames(17), frames(9, seed=4, speed=(-1, 1))))
    hole, none = vgan.box(source, *BOX), source.std.BlankClip(format=vs.GRAY8, color=0)
    masks = core.std.Splice([none[:14], hole * 4, none[:3], hole * 2, none[:2], hole])
    if whole:
        masks = core.std.Splice([masks[:16], none[:1].std.BlankClip(color=255), masks[17:]])
    wanted = [bytes_of(f) for f in vgan.inpaint(source, masks, generator="toy").frames()]
    clip = vgan.inpaint(source, masks, generator="toy")
    clip.std.SetVideoCache(mode=0)
    for n in (22, 16, 25, 17, 15, 21, 14):
        assert bytes_of(clip.get_frame(n)) == wanted[n], n


def test_an_empty_mask_changes_nothing() -> None:
    source = clip_of(frames(4))
    assert vgan.inpaint(source, source.std.BlankClip(format=vs.GRAY8, color=0)) is source


# extend


@pytest.mark.parametrize("before", [False, True])
def test_predicted_frames_are_those_of_vgan_extend_bit_for_bit(tmp_path: Path, before: bool) -> None:
    path, out = tmp_path / "in.mkv", tmp_path / "out.mkv"
    write_clip(path, frames(**TICKS))
    extension.extend(path, out, 3, before=before, generator=OpenRequest(model="lite"), encoding=Encoding("ffv1"))
    source = core.bs.VideoSource(str(path), cachemode=0)
    clip = vgan.extend(source, 3, before, model="lite")
    same(clip, out)
    made = [n for n, f in enumerate(clip.frames()) if "VGanMade" in f.props]
    assert made == ([0, 1, 2] if before else [12, 13, 14])
    assert {duration(f) for f in clip.frames()} <= {Fraction(1, 25), None}
    assert duration(clip.get_frame(13)) == Fraction(1, 25)


# Bad input


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda c: vgan.inpaint(c, None), "inpaint: The mask is not a clip of grey or YUV frames"),
        (lambda c: vgan.inpaint(c, core.std.BlankClip(c, format=vs.RGB24)), "is not a clip of grey or YUV frames"),
        (lambda c: vgan.inpaint(c, core.std.BlankClip(c, format=vs.GRAY8, length=3)), "The mask has 3 frames"),
        (lambda c: vgan.inpaint(c, core.std.BlankClip(c, format=vs.GRAY8, width=64)), "The mask is 64x32"),
        (lambda c: vgan.inpaint(c, core.std.BlankClip(c, format=vs.GRAY8, color=255)), "hides every pixel of every"),
        (lambda c: vgan.box(c, 40, 0, 16, 8), "box: A box of 16x8 at 40,0 is not in the picture"),
        (lambda c: vgan.extend(c, 0), "extend: n = 0 is out of range"),
        (lambda c: vgan.extend(c, 1.5), "n = 1.5 is out of range"),
        (lambda c: vgan.extend(c, 10**6), "extend: 1000000 frames cannot be added"),
        (lambda _: vgan.extend(None, 2), "is not a video clip"),
    ],
)
def test_what_cannot_be_done_is_an_error_of_the_host(call: Any, words: str) -> None:
    with pytest.raises(vs.Error) as caught:
        call(clip_of(frames(6)))
    assert words in str(caught.value)
