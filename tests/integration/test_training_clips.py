"""A folder becomes footage: what is used, what is skipped, what is held out."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from clips import join, moving_frames, write_clip
from PIL import Image

from vgan_plugin.errors import DataUnusable
from vgan_plugin.training import clips as footage

pytestmark = pytest.mark.needs_torch


def clip(path, n=8, width=64, height=48, seed=0):
    write_clip(path, moving_frames(n, width, height, seed=seed))


def test_clips_and_stills_come_as_uint8_rgb(tmp_path):
    clip(tmp_path / "a.mkv")
    (tmp_path / "deeper").mkdir()
    clip(tmp_path / "deeper" / "b.mp4", n=5, width=80, height=64, seed=1)
    Image.fromarray(np.full((48, 64, 3), (10, 200, 30), np.uint8)).save(tmp_path / "still.png")
    found = footage.load(tmp_path, crop=32)
    assert [(c.name, tuple(c.frames.shape)) for c in found.clips] == [
        ("a.mkv", (8, 3, 48, 64)),
        ("deeper/b.mp4", (5, 3, 64, 80)),
    ]
    assert found.clips[0].frames.dtype == torch.uint8
    assert found.stills[0][:, 5, 5].tolist() == [10, 200, 30]
    assert not found.skipped


def test_pixels_are_those_that_the_product_sees(tmp_path):
    frames = moving_frames(4)
    write_clip(tmp_path / "a.mkv", frames)
    found = footage.load(tmp_path, crop=32).clips[0].frames
    wanted = (frames[2].rgb() * 255 + 0.5).clip(0, 255).astype(np.uint8)
    assert np.abs(found[2].numpy().astype(int) - wanted).mean() < 3  # the codec's loss


def test_without_pyav_opencv_reads_the_same_clip(tmp_path, monkeypatch):
    pytest.importorskip("cv2")
    clip(tmp_path / "a.mp4")
    ours = footage.load(tmp_path, crop=32).clips[0].frames.float()
    monkeypatch.setattr(footage.importlib.util, "find_spec", lambda _: None)
    theirs = footage.load(tmp_path, crop=32).clips[0].frames.float()
    assert ours.shape == theirs.shape
    assert (ours.mean((1, 2, 3)) - theirs.mean((1, 2, 3))).abs().max() < 12  # another matrix may have been assumed


def test_what_cannot_be_used_is_named_and_skipped(tmp_path):
    clip(tmp_path / "good.mkv")
    clip(tmp_path / "tiny.mkv", width=48, height=24)
    clip(tmp_path / "short.mkv", n=2)
    (tmp_path / "text.mp4").write_text("not a video")
    (tmp_path / "text.jpg").write_text("not a picture")
    found = footage.load(tmp_path, crop=32)
    assert [c.name for c in found.clips] == ["good.mkv"]
    reasons = dict(found.skipped)
    assert set(reasons) == {"tiny.mkv", "short.mkv", "text.mp4", "text.jpg"}
    assert "smaller than the crop" in reasons["tiny.mkv"]
    assert "2 frames" in reasons["short.mkv"]
    assert reasons["text.jpg"] == "it is not a picture"
    assert all(reasons.values())


@pytest.mark.parametrize("kind", ["missing", "empty", "stills only"])
def test_a_folder_without_a_usable_clip_is_an_error_that_says_why(tmp_path, kind):
    folder = tmp_path / "data"
    if kind != "missing":
        folder.mkdir()
    if kind == "stills only":
        Image.new("RGB", (64, 64)).save(folder / "a.png")
    with pytest.raises(DataUnusable) as error:
        footage.load(folder, crop=32)
    assert error.value.why
    assert error.value.do


def test_a_cut_ends_a_shot(tmp_path):
    dark = moving_frames(6, seed=1)
    light = moving_frames(6, seed=2)
    bright = [type(f)((np.full_like(f.planes[0], 225), *f.planes[1:]), f.format, f.colour, f.pts) for f in light]
    write_clip(tmp_path / "cut.mkv", join(dark, bright))
    assert footage.load(tmp_path, crop=32).clips[0].shots == ((0, 6), (6, 12))


def test_licence_classes_choose_files(tmp_path):
    (tmp_path / "train").mkdir()
    for name in ("free", "stock", "research", "unlisted"):
        clip(tmp_path / "train" / f"{name}.mkv")
    rows = [("free", "A"), ("stock", "B"), ("research", "C")]
    index = [{"file": f"train/{name}.mkv", "licence_class": letter} for name, letter in rows]
    (tmp_path / "index.json").write_text(json.dumps(index))
    found = footage.load(tmp_path / "train", crop=32, licences="AB")
    assert [c.name for c in found.clips] == ["free.mkv", "stock.mkv"]
    assert len(footage.load(tmp_path / "train", crop=32).clips) == 4
    (tmp_path / "index.json").write_text("[{}]")
    with pytest.raises(DataUnusable):
        footage.load(tmp_path / "train", crop=32, licences="AB")


def test_large_clips_are_shrunk_small_ones_never_enlarged(tmp_path):
    clip(tmp_path / "a.mkv", width=96, height=64)
    assert footage.load(tmp_path, crop=32, max_side=72).clips[0].frames.shape[2:] == (48, 72)
    assert footage.load(tmp_path, crop=32, max_side=960).clips[0].frames.shape[2:] == (64, 96)


def test_what_is_held_out_shares_no_source_with_what_is_trained_on(tmp_path):
    for name in ("walk_0", "walk_1", "run_0", "swim"):
        clip(tmp_path / f"{name}.mkv")
    kept, held = footage.load(tmp_path, crop=32).split(0.3)
    names = {c.name for c in kept.clips}, {c.name for c in held.clips}
    assert names[0] | names[1] == {"walk_0.mkv", "walk_1.mkv", "run_0.mkv", "swim.mkv"}
    assert not names[0] & names[1]
    assert ("walk_0.mkv" in names[0]) == ("walk_1.mkv" in names[0])


def test_of_a_single_clip_the_end_is_held_out(tmp_path):
    clip(tmp_path / "only.mkv", n=12)
    kept, held = footage.load(tmp_path, crop=32).split(0.1)
    assert len(kept.clips[0].frames) == 8
    assert len(held.clips[0].frames) == 4
    assert kept.clips[0].shots == ((0, 8),)


def test_the_fingerprint_follows_the_files(tmp_path):
    clip(tmp_path / "a.mkv")
    before = footage.load(tmp_path, crop=32).fingerprint
    assert footage.load(tmp_path, crop=32).fingerprint == before
    clip(tmp_path / "b.mkv")
    assert footage.load(tmp_path, crop=32).fingerprint != before
