from __future__ import annotations

import gc
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

vs = pytest.importorskip("vapoursynth", reason="VapourSynth is not installed: it needs Python 3.12")
from clips import blacken, drop, freeze, join, moving_frames, write_clip  # noqa: E402
from strangers import PLUGINS  # noqa: E402
from vsclips import bytes_of, clip_of, core, duration, planes  # noqa: E402

from vgan_plugin.gaps import Event  # noqa: E402
from vgan_plugin.hosts import vapoursynth as vgan  # noqa: E402
from vgan_plugin.hosts import vsnodes  # noqa: E402
from vgan_plugin.hosts.file import Encoding, interpolate, repair  # noqa: E402
from vgan_plugin.hosts.vsframes import Samples  # noqa: E402
from vgan_plugin.media.reader import VideoReader  # noqa: E402
from vgan_plugin.plugins import PluginManager, get_plugin_manager  # noqa: E402
from vgan_plugin.types import Colour, Frame, OpenRequest  # noqa: E402

EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = pytest.mark.usefixtures("plugin")


def broken(**how: Any) -> Any:
    """70 frames of two shots: a hole of two, a frozen pair, a hole of one, a black frame."""
    shots = join(moving_frames(38, **how), moving_frames(32, seed=9, speed=(-2, 1), **how))
    return drop(blacken(freeze(shots, 24, 25), 55), 12, 13, 47)


@contextmanager
def log() -> Iterator[list[str]]:
    """What we say to the host."""
    lines: list[str] = []
    handler = core.add_log_handler(lambda _, line: lines.append(line) if line.startswith("vgan") else None)
    try:
        yield lines
    finally:
        core.remove_log_handler(handler)


def made(clip: Any) -> list[int]:
    return [n for n, f in enumerate(clip.frames()) if f.props.get("VGanMade")]


# The same as the file host


@pytest.fixture(scope="module")
def broken_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vs") / "broken.mkv"
    return write_clip(path, broken(time_base=Fraction(1, 1000), ticks=40))


def same(clip: Any, path: Path) -> None:
    """The clip has the frames of the file, at their times."""
    with VideoReader(path) as reader:
        frames = list(reader.frames())
    assert clip.num_frames == len(frames)
    shown = Fraction(0)
    for n, (f, g) in enumerate(zip(clip.frames(), frames, strict=True)):
        assert all(np.array_equal(a, b) for a, b in zip(planes(f), g.planes, strict=True)), f"frame {n}"
        assert abs(shown - g.time) <= Fraction(1, 1000), f"frame {n}"
        shown += duration(f) or 0


def test_frames_are_those_of_vgan_fill_bit_for_bit(broken_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    report = repair(broken_file, out, generator=OpenRequest(model="lite"), encoding=Encoding("ffv1"))
    clip = vgan.fill(core.bs.VideoSource(str(broken_file), cachemode=0), model="lite")
    assert made(clip) == [record.index for record in report.made] == [12, 13, 24, 25, 47, 55]
    same(clip, out)


@pytest.mark.parametrize(
    ("how", "opening"),
    [({"factor": 2}, OpenRequest(generator="blend")), ({"rate": Fraction(40)}, OpenRequest(model="lite"))],
)
def test_interpolated_frames_are_those_of_vgan_interpolate_bit_for_bit(
    broken_file: Path, tmp_path: Path, how: dict[str, Any], opening: OpenRequest
) -> None:
    out = tmp_path / "out.mkv"
    interpolate(broken_file, out, generator=opening, encoding=Encoding("ffv1"), **how)
    source = core.bs.VideoSource(str(broken_file), cachemode=0)
    clip = vgan.interpolate(
        source, how.get("factor"), how.get("rate"), generator=opening.generator, model=opening.model
    )
    assert clip.fps == how.get("rate", 50)
    same(clip, out)


# What a clip says of itself


def test_a_clip_lasts_as_long_as_it_did_and_only_the_frames_at_holes_change_their_duration() -> None:
    source = clip_of(broken())
    clip = vgan.fill(source, generator="toy")
    before, after = ([duration(f) for f in c.frames()] for c in (source, clip))
    assert before.count(Fraction(3, 25)) == 1
    assert before.count(Fraction(2, 25)) == 1
    assert after == [Fraction(1, 25)] * 69 + [None]
    assert sum(d or 0 for d in before) == sum(d or 0 for d in after)


def test_a_variable_rate_stays_as_it_is() -> None:
    frames = [
        replace(f, pts=i * 40 + (i % 5) * 7) for i, f in enumerate(moving_frames(40, time_base=Fraction(1, 1000)))
    ]
    source = clip_of(frames, fps=Fraction(0))
    clip = vgan.fill(source, at=[7, (20, 22)], detect=False, generator="toy")
    assert clip.fps == 0
    assert made(clip) == [7, 20, 21, 22]
    before = [duration(f) for f in source.frames()]
    assert [duration(f) for f in clip.frames()] == before
    halves = [half for whole in before[:-1] for half in (whole / 2, whole / 2)]
    assert [duration(f) for f in vgan.interpolate(source, 2, generator="toy").frames()] == [*halves, None]


def test_kept_frames_are_the_sources_own_and_made_ones_say_who_made_them() -> None:
    source = clip_of(broken())
    clip = vgan.fill(source, generator="toy")
    kept = [f for f in clip.frames() if "VGanMade" not in f.props]
    good = [f for n, f in enumerate(source.frames()) if n not in (22, 23, 52)]
    assert [bytes_of(f) for f in kept] == [bytes_of(f) for f in good]
    for f in clip.frames():
        told = {key: value for key, value in f.props.items() if key.startswith("VGan") and key != "VGanSource"}
        assert told in ({}, {"VGanMade": 1, "VGanMethod": "toy", "VGanConfidence": 0.5})


def test_made_frames_have_the_properties_of_their_reference_and_none_of_its_own_moment() -> None:
    light = {"MasteringDisplayMaxLuminance": 1000.0, "ContentLightLevelMax": 400, "_SARNum": 8, "_SARDen": 9}
    moment = {n: {**light, "_PictType": "I", "_AbsoluteTime": n / 25} for n in range(30)}
    source = clip_of(moving_frames(30, colour=Colour(9, True, 16, 9)), moment)
    f = vgan.fill(source, at=11, detect=False, generator="toy").get_frame(11)
    assert {key: f.props[key] for key in light} == light
    assert (f.props["_Matrix"], f.props["_Range"], f.props["_Transfer"], f.props["_Primaries"]) == (9, 1, 16, 9)
    assert "_PictType" not in f.props
    assert f.props["_AbsoluteTime"] == pytest.approx(11 / 25)


@pytest.mark.parametrize("colour", [Colour(9, True, 16, 9), Colour(1, False, 1, 1), Colour(5, None, 6, 5)])
def test_colour_is_understood_as_the_file_host_understands_it(colour: Colour) -> None:
    for name in ("yuv420p10le", "gray", "gbrp"):
        frames = moving_frames(3, format=name, colour=colour)
        clip = clip_of(frames, {1: {"_ChromaLocation": 0}})
        samples = Samples.of(clip.format)
        for n in (0, 1):
            read = samples.read(clip.get_frame(n), 7, Fraction(1, 25))
            assert read.colour == replace(colour, chroma_location=n)
            assert read.format == frames[n].format
            assert all(np.array_equal(a, b) for a, b in zip(read.planes, frames[n].planes, strict=True))
            assert not any(plane.flags.writeable for plane in read.planes)


def test_the_range_is_read_and_kept_whatever_the_old_property_says() -> None:
    # Reading `_ColorRange` gives the new numbers, writing it takes the old ones: who copies it turns the range round.
    for old, full in ((0, True), (1, False)):
        source = clip_of(moving_frames(20, colour=Colour(1, None, 1, 1)))
        with pytest.warns(DeprecationWarning, match="_ColorRange"):
            source = source.std.SetFrameProps(_ColorRange=old)
        assert source.get_frame(0).props["_Range"] == int(full)
        clip = vgan.fill(source, at=9, detect=False, generator="toy")
        assert [clip.get_frame(n).props["_Range"] for n in (8, 9)] == [int(full)] * 2


def test_scene_changes_are_marked_where_a_shot_begins_and_before() -> None:
    clip = vgan.fill(clip_of(broken()), generator="toy")
    marks = [(f.props.get("_SceneChangePrev", 0), f.props.get("_SceneChangeNext", 0)) for f in clip.frames()]
    assert [n for n, (opens, _) in enumerate(marks) if opens] == [38]
    assert [n for n, (_, closes) in enumerate(marks) if closes] == [37]


def test_marks_of_others_are_believed_and_travel_with_the_cut() -> None:
    marked = {n: {"_SceneChangePrev": int(n == 8)} for n in range(20)}
    clip = vgan.interpolate(clip_of(moving_frames(20), marked), 2, generator="toy")
    frames = list(clip.frames())
    assert [n for n, f in enumerate(frames) if f.props["_SceneChangePrev"]] == [16]
    assert [n for n, f in enumerate(frames) if f.props.get("VGanMethod") == "repeat"] == [15]
    assert bytes_of(frames[15]) == bytes_of(frames[14])


def test_mvtools_scene_detection_is_taken_as_it_is() -> None:
    source = clip_of(join(moving_frames(20), moving_frames(20, seed=5)))
    vectors = core.mv.Analyse(core.mv.Super(source, pel=1), isb=False, blksize=8)
    marked = core.mv.SCDetection(source, vectors)
    clip = vgan.interpolate(marked, 2, generator="toy")
    assert [n for n, f in enumerate(clip.frames()) if f.props.get("VGanMethod") == "repeat"] == [39]


def test_a_rate_is_exact_to_the_last_frame() -> None:
    frames = moving_frames(96, time_base=Fraction(1001, 24000))
    clip = vgan.interpolate(clip_of(frames, fps=Fraction(24000, 1001)), 2, generator="blend")
    assert (clip.fps, clip.num_frames) == (Fraction(48000, 1001), 191)
    assert {duration(f) for f in clip.frames()} == {Fraction(1001, 48000), None}
    sixty = vgan.interpolate(clip_of(frames, fps=Fraction(24000, 1001)), fps=(60000, 1001), generator="blend")
    assert (sixty.fps, sixty.num_frames) == (Fraction(60000, 1001), 238)
    assert {duration(f) for f in sixty.frames()} == {Fraction(1001, 60000)}


def test_a_made_frame_carries_what_was_shown_there_before() -> None:
    source = clip_of(broken())
    clip = vgan.fill(source, generator="toy")
    for n, before in ((12, 11), (13, 11), (25, 23), (47, 44), (55, 52)):
        assert bytes_of(clip.get_frame(n).props["VGanSource"]) == bytes_of(source.get_frame(before))


# Formats


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("yuv420p", (64, 48)), ("yuv420p10le", (64, 48)), ("yuv422p12le", (62, 47)), ("yuv444p16le", (63, 47)),
        ("yuv440p", (63, 48)), ("yuv411p", (64, 47)), ("yuv410p", (64, 48)),
        ("gbrp", (63, 47)), ("gbrp10le", (64, 48)), ("gbrp16le", (64, 48)), ("gray", (63, 47)), ("gray16le", (64, 48)),
    ],
)  # fmt: skip
def test_every_integer_format_comes_back_as_it_went_in(name: str, size: tuple[int, int]) -> None:
    frames = moving_frames(12, *size, format=name)
    source = clip_of(frames)
    clip = vgan.fill(source, at=6, detect=False, generator="identity")
    assert clip.format.id == source.format.id
    assert bytes_of(clip.get_frame(4)) == bytes_of(source.get_frame(4))
    # A generator that changes nothing gives its reference again, within a code value: no flicker of colours.
    for ours, theirs in zip(planes(clip.get_frame(6)), planes(source.get_frame(5)), strict=True):
        assert np.abs(ours.astype(int) - theirs).max() <= 1


@pytest.mark.parametrize(("name", "bits"), [("yuv444p16le", 32), ("gbrp16le", 32), ("gbrp16le", 16), ("gray16le", 16)])
def test_floats_are_made_too_half_ones_included_and_beyond_black_and_white(name: str, bits: int) -> None:
    source = clip_of(moving_frames(12, format=name), sample=vs.FLOAT, bits=bits)
    luma = [0] if name.startswith("yuv") else None
    source = core.std.Expr(source, ["x 1.1 * 0.05 -"] + [""] * (luma == [0])) if bits == 32 else source
    clip = vgan.fill(source, at=6, detect=False, generator="identity")
    assert clip.format.id == source.format.id
    assert bytes_of(clip.get_frame(4)) == bytes_of(source.get_frame(4))
    for ours, theirs in zip(planes(clip.get_frame(6)), planes(source.get_frame(5)), strict=True):
        assert np.abs(ours.astype(np.float64) - theirs).max() < (2e-5 if bits == 32 else 6e-4)


def test_a_float_that_is_no_number_makes_no_hole_in_the_clip() -> None:
    source = core.std.Expr(clip_of(moving_frames(12, format="gray16le"), sample=vs.FLOAT, bits=32), "x 0.5 > 0 0 / x ?")
    f = vgan.fill(source, at=6, detect=False, generator="identity").get_frame(6)
    assert np.isfinite(planes(f)[0]).all()


def test_clips_on_the_gpu_are_downloaded_first() -> None:
    here = clip_of(moving_frames(4))
    there = SimpleNamespace(gpu_resident=True, std=SimpleNamespace(GPUDownload=lambda: here))
    assert vgan._downloaded(there) is here
    assert vgan._downloaded(here) is here


# Any order


def gaps(n: int) -> Any:
    at = list(range(6, n - 2, 4))
    return vgan.fill(clip_of(moving_frames(n)), at=at, detect=False, generator="toy")


def test_two_thousand_frames_in_any_order_are_the_same_bytes_and_cost_no_memory() -> None:
    ordered = [bytes_of(f) for f in gaps(120).frames()]
    clip, rng = gaps(120), random.Random(1)
    clip.std.SetVideoCache(mode=0)  # what is kept is ours
    peak = 0
    for count in range(2000):
        n = rng.randrange(120)
        assert bytes_of(clip.get_frame(n)) == ordered[n], n
        if count == 400:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 4 << 10  # KiB


@pytest.mark.parametrize("threads", [1, 8])
def test_frames_asked_for_in_parallel_are_the_same_bytes_and_no_work_is_done_twice(threads: int, plugin: Any) -> None:
    frames = moving_frames(40)
    before, core.num_threads = core.num_threads, threads
    try:
        clip = vgan.interpolate(clip_of(frames), 2, generator="toy")
        toy = plugin.opened[0]
        found = [bytes_of(f) for f in clip.frames(prefetch=16)]
        work = len(toy.encoded)
        toy.encoded.clear()
        alone = vgan.interpolate(clip_of(frames), 2, generator="toy")
        assert found == [bytes_of(alone.get_frame(n)) for n in range(79)]
    finally:
        core.num_threads = before
    assert len(toy.encoded) == work


def test_a_generator_that_clips_share_is_asked_one_thing_at_a_time(plugin: Any) -> None:
    clips = [vgan.interpolate(clip_of(moving_frames(12, seed=seed)), 2, generator="toy") for seed in (1, 2)]
    inside: list[str] = []
    most: list[int] = []

    def slow(call: str, pts: int) -> None:
        inside.append(call)
        most.append(len(inside))
        time.sleep(0.002)
        inside.pop()

    plugin.opened[0].fails = slow
    assert len(list(core.std.StackVertical(clips).frames(prefetch=4))) == 23
    assert max(most) == 1


def test_frames_made_ahead_are_those_made_alone_wherever_one_jumps(plugin: Any) -> None:
    frames = moving_frames(60)
    alone = vgan.interpolate(clip_of(frames), 3, generator="toy")
    wanted = [bytes_of(f) for f in alone.frames()]
    clip = vgan.interpolate(clip_of(frames), 3, generator="abreast")
    abreast = plugin.opened[-1]
    assert [bytes_of(f) for f in clip.frames(prefetch=4)] == wanted
    assert abreast.most == 3
    clip.clear_cache()
    rng = random.Random(1)
    for _ in range(40):
        first = rng.randrange(len(wanted) - 5)
        for n in range(first, first + rng.randrange(1, 5)):
            assert bytes_of(clip.get_frame(n)) == wanted[n], n
    del clip
    gc.collect()
    core.clear_cache()
    assert abreast.closed


def test_a_seek_back_over_a_cut_gives_the_frame_that_was_there() -> None:
    clip = vgan.fill(clip_of(broken()), generator="toy")
    first = bytes_of(clip.get_frame(25))
    clip.get_frame(55)
    clip.clear_cache()
    assert bytes_of(vgan.fill(clip_of(broken()), generator="toy").get_frame(25)) == first
    assert bytes_of(clip.get_frame(25)) == first


def test_a_filter_of_ours_takes_the_frames_of_another_and_shares_its_generator(plugin: Any) -> None:
    clip = vgan.interpolate(vgan.fill(clip_of(broken()), generator="toy"), 2, generator="toy")
    assert len(list(clip.frames())) == 139  # a lock held over a request for a frame would hang here
    assert len(plugin.opened) == 1
    toy = plugin.opened[0]
    del clip
    gc.collect()
    core.clear_cache()
    assert toy.closed


# Cuts and ends


def test_a_cut_inside_a_hole_is_not_mixed() -> None:
    shots = join(moving_frames(30), moving_frames(30, seed=7))
    clip = vgan.fill(clip_of(drop(shots, 28, 29, 30, 31)), generator="blend")
    frames = list(clip.frames())
    assert clip.num_frames == 60
    for n in (28, 29):
        assert np.array_equal(planes(frames[n])[0], planes(frames[27])[0])
    for n in (30, 31):
        assert np.array_equal(planes(frames[n])[0], planes(frames[32])[0])


def test_the_first_and_the_last_frame_are_made_from_one_side() -> None:
    clip = vgan.fill(clip_of(moving_frames(20)), at=[0, 19], detect=False, generator="toy")
    assert made(clip) == [0, 19]
    assert clip.num_frames == 20
    assert duration(clip.get_frame(19)) is None


def test_a_clip_with_nothing_wrong_is_given_back() -> None:
    source = clip_of(moving_frames(20))
    assert vgan.fill(source) is source


def test_a_gap_that_is_too_long_is_left_and_told() -> None:
    with log() as lines:
        clip = vgan.fill(clip_of(drop(moving_frames(40), *range(10, 16))), max_gap=4, generator="toy")
    assert clip.num_frames == 34
    assert lines == ["vgan: not repaired: missing at frame 9: the gap of 6 frames is longer than max_gap = 4"]


def test_a_frame_that_a_detector_calls_damaged_in_parts_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Sees:
        lookahead = 0

        def feed(self, index: int, frame: Frame) -> list[Event]:
            box = ((8, 8, 16, 16),)
            return [Event("corrupt", 5, 5, frame.pts, frame.pts, frame.time, 1, 1.0, "seen", box)] * (index == 5)

        def finish(self) -> list[Event]:
            return []

    monkeypatch.setattr(get_plugin_manager(), "detectors", lambda: [Sees])
    source = clip_of(moving_frames(12))
    with log() as lines:
        assert vgan.fill(source, generator="toy") is source
    assert lines == ["vgan: not repaired: parts of frame 5 are damaged: mend them with inpaint"]


# Bad input


def changing(what: str) -> Any:
    frames = clip_of(moving_frames(6))
    other = {
        "format": frames.resize.Point(format=vs.YUV420P10),
        "size": frames.resize.Point(width=80),
    }[what]
    return core.std.Splice([frames, other], mismatch=True)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: vgan.fill(None), "fill: A NoneType is not a video clip"),
        (lambda: vgan.fill(core.std.BlankAudio()), "is not a video clip"),
        (lambda: vgan.fill(changing("format")), "format or size is variable"),
        (lambda: vgan.fill(changing("size")), "format or size is variable"),
        (lambda: vgan.fill(core.std.BlankClip(format=vs.GRAY32, length=3)), "Format Gray32 is not supported"),
        (lambda: vgan.fill(clip_of(moving_frames(9), fps=Fraction(0), durations=False)), "how long it is shown"),
        (lambda: vgan.fill(clip_of(moving_frames(9)).std.SetFieldBased(2)), "Frame 0 is interlaced"),
        (lambda: vgan.fill(clip_of(moving_frames(9)), at=9), "fill: Frames 9-9 cannot be made"),
        (lambda: vgan.fill(clip_of(moving_frames(9)), at=-1), "Frames -1--1 cannot be made"),
        (lambda: vgan.fill(clip_of(moving_frames(9)), at="3"), "names no frames"),
        (lambda: vgan.fill(clip_of(moving_frames(9)), at=[(1, 2, 3)]), "names no frames"),
        (lambda: vgan.fill(clip_of(moving_frames(9)), max_gap=0), "max_gap = 0 is out of range"),
        (
            lambda: vgan.fill(clip_of(moving_frames(9)), min_confidence=float("nan")),
            "min_confidence = nan is out of range",
        ),
        (lambda: vgan.fill(clip_of(moving_frames(9)), at=4, model=3), "[VGAN-509]"),
        (lambda: vgan.fill(clip_of(moving_frames(9)), at=4, model="none such"), "[VGAN-502]"),
        (lambda: vgan.fill(clip_of(moving_frames(9)), at=4, generator="none such"), "[VGAN-508]"),
        (lambda: vgan.interpolate(clip_of(moving_frames(9))), "interpolate: The new frame rate is unclear"),
        (lambda: vgan.interpolate(clip_of(moving_frames(9)), 1), "A factor of 1 adds no frame"),
        (lambda: vgan.interpolate(clip_of(moving_frames(9)), 1.5), "A factor of 1.5 is not one"),
        (lambda: vgan.interpolate(clip_of(moving_frames(9)), fps=59.94), "a float is not exact"),
        (lambda: vgan.interpolate(clip_of(moving_frames(9)), fps=(60, 0)), "is not a rate"),
        (lambda: vgan.interpolate(clip_of(moving_frames(9)), fps=-5), "it must be positive"),
        (lambda: vgan.box(clip_of(moving_frames(2)), 60, 0, 8, 8), "box: A box of 8x8 at 60,0 is not in the picture"),
    ],
)
def test_what_cannot_be_done_is_an_error_of_the_host(call: Any, words: str) -> None:
    with pytest.raises(vs.Error) as caught:
        call()
    assert words in str(caught.value)


def test_frames_that_are_not_there_are_refused_by_the_host() -> None:
    clip = gaps(30)
    for n in (-1, 30):
        with pytest.raises(ValueError, match="Requesting"):
            clip.get_frame(n)
    with pytest.raises(vs.Error):
        clip[0:0]


def test_a_source_that_fails_on_the_way_is_an_error_and_not_a_hang() -> None:
    frames = clip_of(moving_frames(20))

    def fails(n: int, f: Any) -> Any:
        if n == 10 and armed:
            raise RuntimeError("the disk is gone")
        return f

    armed: list[int] = []
    clip = vgan.fill(frames.std.ModifyFrame(frames, fails), at=11, detect=False, generator="toy")
    armed.append(1)
    core.clear_cache()
    with pytest.raises(vs.Error, match="the disk is gone"):
        clip.get_frame(11)
    assert clip.get_frame(2).width == 64


def test_a_generator_that_fails_on_a_frame_costs_quality_and_not_the_clip(plugin: Any) -> None:
    clip = vgan.fill(clip_of(moving_frames(20)), at=[9], detect=False, generator="toy")

    def no(call: str, pts: int) -> None:
        if call == "render":
            raise MemoryError("no room")

    plugin.opened[0].fails = no
    with log() as lines:
        f = clip.get_frame(9)
    assert (f.props["VGanMade"], f.props["VGanMethod"], f.props["VGanConfidence"]) == (1, "blend", 0.0)
    assert lines == ["vgan: toy failed at 0.360 s: MemoryError: no room"]


@pytest.mark.parametrize("name", ["vgan_raises", "vgan_blinks", "vgan_no_import", "vgan_wrong_argument"])
def test_a_broken_plugin_of_a_stranger_costs_nothing_but_a_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = [bytes_of(f) for f in vgan.fill(clip_of(broken()), generator="blend").frames()]
    monkeypatch.syspath_prepend(PLUGINS)
    manager = PluginManager()
    manager.discover()
    manager.add(name, lambda: import_module(name))
    monkeypatch.setattr(vgan, "get_plugin_manager", lambda: manager)
    monkeypatch.setattr(vsnodes, "get_plugin_manager", lambda: manager)
    vsnodes._open.clear()
    with log() as lines:
        assert [bytes_of(f) for f in vgan.fill(clip_of(broken()), generator="blend").frames()] == wanted
    assert any(line.startswith(f"vgan: plugin {name!r} dropped at ") for line in lines)


# Scripts


def vspipe(*arguments: str, home: Path) -> subprocess.CompletedProcess[bytes]:
    """Run vspipe as its users do, with the environment's programs first on PATH, and settings of its own."""
    bin_ = Path(sys.executable).parent
    there = {"PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}", "HOME": str(home), "XDG_CONFIG_HOME": str(home)}
    return subprocess.run(["vspipe", *arguments], env={**os.environ, **there}, capture_output=True, timeout=120)


def test_the_example_script_gives_vspipe_the_frames_of_vgan_fill(broken_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    repair(broken_file, out, generator=OpenRequest(model="lite"), encoding=Encoding("ffv1"))
    script = str(EXAMPLES / "vapoursynth_fill.vpy")
    done = vspipe("-c", "y4m", script, "-a", f"source={broken_file}", "-a", "model=lite", "-", home=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    with VideoReader(out) as reader:
        frames = list(reader.frames())
    pictures = b"".join(b"FRAME\n" + b"".join(plane.tobytes() for plane in frame.planes) for frame in frames)
    header, _, rest = done.stdout.partition(b"\n")
    assert header.startswith(b"YUV4MPEG2 ")
    assert rest == pictures


def test_the_example_of_interpolation_works_beside_mvtools(broken_file: Path, tmp_path: Path) -> None:
    script = str(EXAMPLES / "vapoursynth_interpolate.vpy")
    done = vspipe("-i", script, "-a", f"source={broken_file}", "-a", "model=lite", "-", home=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    assert b"FPS: 50/1" in done.stdout
    assert b"Frames: 139" in done.stdout


def test_what_is_wrong_is_said_by_vspipe_and_ends_it(tmp_path: Path) -> None:
    script = tmp_path / "bad.vpy"
    script.write_text(
        "import vapoursynth as vs\nfrom vgan_plugin.hosts import vapoursynth as vgan\n"
        "vgan.fill(vs.core.std.BlankClip(length=3), at=3).set_output()\n"
    )
    done = vspipe(str(script), "--", home=tmp_path)
    assert done.returncode != 0
    assert b"fill: Frames 3-3 cannot be made: the clip has the frames 0 to 2" in done.stderr
