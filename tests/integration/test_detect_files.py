"""Detection on files: what survives an encoder and a container, read back as anybody's video."""

import os
from fractions import Fraction
from pathlib import Path

import pytest
from clips import drop, freeze, join, moving_frames, write_clip

from vgan_plugin.detect import scan
from vgan_plugin.gaps import Event
from vgan_plugin.media.reader import VideoReader
from vgan_plugin.timeline import Timeline

BIG = (160, 96)


def scanned(path: Path) -> tuple[Timeline, list[Event]]:
    with VideoReader(path) as reader:
        return scan(reader.frames(), rate=reader.facts.rate)


def test_repeats_survive_a_lossy_encoder(tmp_path: Path):
    frames = freeze(moving_frames(40, *BIG, speed=(2, 1)), 9, 20, 21, 30, 31, 32)
    path = write_clip(tmp_path / "stuck.mp4", frames, "libx264", options={"crf": "20"}, time_base=Fraction(1, 12800))
    _, events = scanned(path)
    assert [(e.kind, e.first, e.last) for e in events] == [
        ("duplicate", 9, 9),
        ("frozen", 20, 21),
        ("frozen", 30, 32),
    ]


def test_a_lossy_clip_without_faults_has_no_events(tmp_path: Path):
    frames = moving_frames(40, *BIG, speed=(2, 1))
    path = write_clip(tmp_path / "whole.mp4", frames, "libx264", options={"crf": "28"}, time_base=Fraction(1, 12800))
    assert scanned(path)[1] == []


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001)])
def test_holes_in_rounded_time_stamps_are_found(tmp_path: Path, rate: Fraction):
    frames = drop(moving_frames(30, time_base=1 / rate), 8, 15, 16)
    timeline, events = scanned(write_clip(tmp_path / "holes.mkv", frames, rate=rate))
    assert timeline.time_base == Fraction(1, 1000)
    assert [(e.first, e.count) for e in events] == [(7, 1), (13, 2)]
    assert [abs(e.time - n / rate) <= Fraction(1, 2000) for e, n in zip(events, (8, 15), strict=True)] == [True] * 2


def test_a_cut_survives_a_lossy_encoder(tmp_path: Path):
    frames = join(moving_frames(15, *BIG), moving_frames(15, *BIG, seed=7))
    path = write_clip(tmp_path / "cut.mkv", frames, "libx264", options={"crf": "23"})
    assert [(e.kind, e.first) for e in scanned(path)[1]] == [("cut", 15)]


@pytest.mark.needs_data
@pytest.mark.slow
def test_real_clips_without_faults_have_no_events():
    folder = os.environ.get("VGAN_DATA")
    if not folder:
        pytest.skip("VGAN_DATA names no folder of clips")
    clips = sorted(Path(folder, "val").glob("*.mp4"))
    assert clips
    for path in clips:
        assert [e for e in scanned(path)[1] if e.kind != "cut"] == [], path.name
