"""The shipped network behind the hook: what it makes, that it always makes the same, and what it refuses."""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clips import moving_frames, write_clip

from vgan_plugin.bundle.locate import SHIPPED
from vgan_plugin.errors import BundleError, BundleMissing
from vgan_plugin.fill import Engine, fill_stream
from vgan_plugin.gaps import Plan, Target, interpolation_plan
from vgan_plugin.hosts import pipe
from vgan_plugin.hosts.file import interpolate
from vgan_plugin.runtime import session
from vgan_plugin.runtime.generator import RecurrentGenerator, open_recurrent
from vgan_plugin.runtime.simple import BLEND, Simple
from vgan_plugin.timeline import Timeline
from vgan_plugin.types import Frame, OpenRequest, Reference, RenderRequest

HALF = (Fraction(-1, 2), Fraction(1, 2))


@pytest.fixture(scope="module")
def generator() -> Iterator[RecurrentGenerator]:
    opened = open_recurrent(OpenRequest(device="cpu", threads=1))
    yield opened
    opened.close()


def digest(frame: Frame) -> str:
    return hashlib.sha256(b"".join(plane.tobytes() for plane in frame.planes)).hexdigest()


def error(made: Frame, truth: Frame) -> float:
    """Mean absolute difference of luma away from the wrapping border, in code values of 8 bit."""
    inside = (slice(8, -8), slice(8, -8))
    scale = 1 << truth.format.bits - 8
    return float(np.abs(made.planes[0][inside].astype(float) - truth.planes[0][inside].astype(float)).mean()) / scale


def between(
    generator: RecurrentGenerator, a: Frame, b: Frame, offsets: tuple[Fraction, Fraction] = HALF, **more: object
) -> Frame:
    references = (Reference(a, generator.encode(a)), Reference(b, generator.encode(b)))
    request = RenderRequest(*references, None, offsets, a, 1, a.time_base)
    return generator.render(replace(request, **more)).frame


@pytest.mark.parametrize("form", ["yuv420p", "yuv422p", "yuv444p", "gbrp", "gray", "yuv420p10le", "yuv422p10le"])
@pytest.mark.parametrize(("width", "height"), [(96, 80), (101, 77)])
def test_a_frame_between_two_is_made_along_the_motion(
    generator: RecurrentGenerator, form: str, width: int, height: int
) -> None:
    a, truth, b = moving_frames(3, width, height, form, speed=(3, 1))
    made = between(generator, a, b)
    blended = Simple(BLEND).render(RenderRequest(Reference(a, None), Reference(b, None), None, HALF, a, 1, a.time_base))
    assert (made.format, made.colour, made.width, made.height) == (a.format, a.colour, width, height)
    assert error(made, truth) < 0.5 * error(blended.frame, truth)


@pytest.mark.parametrize(("width", "height"), [(8, 8), (16, 16), (16, 48)])
def test_the_smallest_pictures_are_made_along_with_their_memory(
    generator: RecurrentGenerator, width: int, height: int
) -> None:
    frames = moving_frames(3, width, height, speed=(1, 0))
    features = [generator.encode(frame) for frame in frames]
    state = generator.remember(features[2], features[0], Fraction(2), generator.remember(features[0], None, 0, None))
    sides = (Reference(frames[0], features[0]), Reference(frames[2], features[2]))
    made = generator.render(RenderRequest(*sides, state, HALF, frames[0], 1, frames[0].time_base))
    assert 0 < made.confidence < 1
    assert np.abs(made.frame.planes[0].astype(int) - frames[1].planes[0]).mean() < 32


def test_a_network_that_gives_no_numbers_has_failed(generator: RecurrentGenerator) -> None:
    frame = moving_frames(1, 64, 48)[0]
    features = generator.encode(frame)
    tensors = {name: np.full_like(generator._sessions.to_numpy(t), np.nan) for name, t in features.tensors.items()}
    broken = Reference(frame, replace(features, tensors=tensors))
    with pytest.raises(ArithmeticError, match="no numbers"):
        generator.render(RenderRequest(broken, broken, None, HALF, frame, 1, frame.time_base))


@pytest.mark.parametrize("form", ["yuv420p", "yuv422p10le", "gbrp", "gray10le"])
def test_a_made_frame_of_a_still_scene_has_the_colours_of_its_neighbours(
    generator: RecurrentGenerator, form: str
) -> None:
    still = moving_frames(1, 97, 63, form)[0]
    made = between(generator, still, still)
    for new, old in zip(made.planes, still.planes, strict=True):
        difference = np.abs(new.astype(int) - old.astype(int)) / (1 << still.format.bits - 8)
        assert difference.max() <= 1.0


def test_the_time_between_the_references_decides_the_place(generator: RecurrentGenerator) -> None:
    frames = moving_frames(5, 128, 96, speed=(2, 1))
    for i in (1, 2, 3):
        made = between(generator, frames[0], frames[4], (Fraction(-i), Fraction(4 - i)))
        errors = [error(made, frame) for frame in frames]
        assert errors.index(min(errors)) == i


def test_made_frames_are_the_same_bytes_in_order_at_random_and_alone(generator: RecurrentGenerator) -> None:
    """Over block borders and a cut, with frames that are bad."""
    frames = moving_frames(75, 64, 48, speed=(2, 1))
    cut = moving_frames(75, 64, 48, speed=(-1, 2), seed=9)
    frames = frames[:50] + cut[50:]
    gone = [3, 4, 20, 30, 31, 33, 34, 35, 48, 52, 62, 63, 64, 65, 73]
    targets = []
    for index in gone:
        a = max(i for i in range(index) if i not in gone)
        b = min(i for i in range(index, 75) if i not in gone)
        targets.append(Target(index, a, b, (Fraction(a - index), Fraction(b - index)), replaces=index, why="frozen"))
    plan = Plan(Fraction(1, 25), 75, Fraction(1, 25), targets=tuple(targets), cuts=(50,), bad=frozenset(gone))
    in_order = {record.pts: digest(frame) for frame, record in fill_stream(frames, plan, generator) if record}
    assert len(in_order) == len(gone)

    engine = Engine(plan, generator, frames.__getitem__)
    shuffled = random.Random(4).sample(targets, len(targets))
    assert {t.pts: digest(engine.make(t).frame) for t in shuffled} == in_order

    for target in targets[::5]:
        alone = Engine(plan, generator, frames.__getitem__)
        assert digest(alone.make(target).frame) == in_order[target.pts]


def test_a_path_that_is_not_straight_is_followed_better_with_the_frame_after_the_gap(
    generator: RecurrentGenerator,
) -> None:
    by_place = moving_frames(37, 160, 96, speed=(1, 0))
    whole = [replace(by_place[2 * t * t + 5 * t + 3], pts=t + 1) for t in range(-1, 4)]  # at 0, 3, 10, 21, 36
    truth, seen = whole[2], [*whole[:2], *whole[3:]]
    target = Target(2, 1, 2, (Fraction(-1), Fraction(1)))

    def made(frames: list[Frame]) -> float:
        plan = Plan(truth.time_base, len(frames), Fraction(1, 25), targets=(target,))
        (frame,) = [frame for frame, record in fill_stream(frames, plan, generator) if record]
        return error(frame, truth)

    assert made(seen) < 0.8 * made(seen[:3])


def test_kept_frames_pass_through_untouched(generator: RecurrentGenerator) -> None:
    frames = moving_frames(6, 64, 48)
    plan = interpolation_plan(Timeline(tuple(range(6)), Fraction(1, 25)), [], 2, None)
    out = list(fill_stream(frames, plan, generator))
    assert len(out) == 11
    assert [digest(frame) for frame, record in out if record is None] == [digest(frame) for frame in frames]


def test_what_is_known_comes_back_bit_for_bit(generator: RecurrentGenerator) -> None:
    a, truth, b = moving_frames(3, 64, 48)
    elsewhere = moving_frames(1, 64, 48, seed=3)[0]
    mask = np.zeros((48, 64), np.bool_)
    mask[10:20, 16:40] = True
    made = between(generator, a, b, known=elsewhere, mask=mask)
    assert np.array_equal(made.planes[0][~mask], elsewhere.planes[0][~mask])
    inside = np.abs(made.planes[0][mask].astype(int) - truth.planes[0][mask].astype(int))
    assert inside.mean() < 8


def test_one_reference_is_held(generator: RecurrentGenerator) -> None:
    a = moving_frames(1, 64, 48)[0]
    request = RenderRequest(
        Reference(a, generator.encode(a)), None, None, (Fraction(-1), Fraction(0)), a, 1, a.time_base
    )
    assert error(generator.render(request).frame, a) < 1


def test_confidence_falls_where_the_references_disagree(generator: RecurrentGenerator) -> None:
    a, _, b = moving_frames(3, 96, 80, speed=(1, 0))
    other = moving_frames(3, 96, 80, seed=5)[0]
    features = [generator.encode(frame) for frame in (a, b, other)]

    def sure(second: int) -> float:
        frames = (a, b, other)
        references = (Reference(a, features[0]), Reference(frames[second], features[second]))
        return generator.render(RenderRequest(*references, None, HALF, a, 1, a.time_base)).confidence

    assert 0 < sure(2) < sure(1) < 1


def test_noise_follows_from_the_seed_alone(generator: RecurrentGenerator) -> None:
    one, again, two = (generator._noise(seed, 7, (32, 48)) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, two)


@pytest.mark.parametrize("path", sorted({*SHIPPED.iterdir()} - {SHIPPED / "dream"}), ids=lambda path: path.name)
def test_every_bundle_that_ships_makes_frames_and_is_small(path: Path) -> None:
    a, truth, b = moving_frames(3, 96, 80, speed=(3, 1))
    opened = open_recurrent(OpenRequest(model=path.name, device="cpu", threads=1))
    assert error(between(opened, a, b), truth) < 2
    opened.close()
    assert sum(file.stat().st_size for file in path.iterdir()) < 5e6


def test_what_cannot_be_opened_is_said() -> None:
    with pytest.raises(BundleMissing, match="base"):
        open_recurrent(OpenRequest(model="nobody"))
    with pytest.raises(BundleError, match="does not run in int4"):
        open_recurrent(OpenRequest(precision="int4"))


def test_the_report_says_what_ran(generator: RecurrentGenerator) -> None:
    generator.encode(moving_frames(1, 64, 48)[0])
    provenance = generator.provenance
    assert provenance["provider"]["provider"] == "CPUExecutionProvider"
    assert provenance["model"]["name"] == "base"


def test_a_graph_that_cannot_run_is_an_error_before_the_first_frame(tmp_path: Path) -> None:
    """Not a video full of fallbacks."""
    folder = tmp_path / "base"
    shutil.copytree(SHIPPED / "base", folder)
    manifest = json.loads((folder / "bundle.json").read_text())
    for graph in folder.glob("render*.onnx"):  # of every precision
        graph.write_bytes(graph.read_bytes()[:-2000])
        manifest["files"][graph.name] = hashlib.sha256(graph.read_bytes()).hexdigest()
    (folder / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="does not load"):
        open_recurrent(OpenRequest(model=str(folder), device="cpu", size=(48, 64)))


def test_what_lies_in_a_hole_is_not_seen(generator: RecurrentGenerator) -> None:
    frame = moving_frames(1, 96, 80)[0]
    valid = np.ones((80, 96), np.bool_)
    valid[24:56, 32:64] = False
    seen = []
    for fill in (0, 255):
        luma = frame.planes[0].copy()
        luma[~valid] = fill
        features = generator.encode(replace(frame, planes=(luma, *frame.planes[1:])), valid)
        seen.append({name: generator._sessions.to_numpy(t) for name, t in features.tensors.items()})
    black, white = seen
    assert all(np.array_equal(black[name], white[name]) for name in black)


@pytest.mark.parametrize("model", ["base", "lite"])
def test_several_frames_at_once_are_the_bytes_of_one_after_the_other(model: str) -> None:
    frames = moving_frames(7, 200, 120, speed=(3, 1))
    timeline = Timeline(tuple(frame.pts for frame in frames), frames[0].time_base)
    found = []
    for lanes, threads in ((1, 1), (1, 3), (3, 3)):
        opened = open_recurrent(OpenRequest(model=model, device="cpu", threads=threads, lanes=lanes))
        assert opened.lanes == lanes
        items = fill_stream(frames, interpolation_plan(timeline, (), factor=3), opened)
        found.append([(digest(frame), record and record.confidence) for frame, record in items])
        opened.close()
    assert len(found[0]) == 19
    assert found[0] == found[1] == found[2]


def test_files_and_pipes_are_made_several_frames_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "physical_cores", lambda: 2)
    asked = OpenRequest(model="lite", device="cpu")
    path = write_clip(tmp_path / "in.mkv", moving_frames(4, 64, 48))
    made = interpolate(path, tmp_path / "out.mkv", factor=2, generator=asked)
    frames = b"".join(b"FRAME\n" + b"".join(p.tobytes() for p in f.planes) for f in moving_frames(4, 64, 48))
    piped = pipe.interpolate(
        io.BytesIO(b"YUV4MPEG2 W64 H48 F25:1 C420jpeg\n" + frames), lambda _: None, factor=2, generator=asked
    )
    assert made.provider["lanes"] == piped.report.provider["lanes"] == 2
