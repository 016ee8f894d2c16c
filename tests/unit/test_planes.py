"""Planes become RGB on the device, and RGB planes, as they do on the host."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import elsewhere
import numpy as np
import pytest
from clips import FORMATS, MATRICES, noise

from vgan_plugin.bundle import locate, store
from vgan_plugin.pixels.colour import from_rgb, to_rgb
from vgan_plugin.pixels.planes import pad
from vgan_plugin.runtime import bindings
from vgan_plugin.runtime.generator import RecurrentGenerator
from vgan_plugin.runtime.planes import DevicePlanes
from vgan_plugin.runtime.session import GraphSessions
from vgan_plugin.types import Colour, Frame, Reference, RenderRequest

HALF = Fraction(1, 2)


@pytest.fixture(scope="module")
def bundle() -> store.Bundle:
    return store.load(locate.find("lite"))


@pytest.fixture
def there(bundle: store.Bundle) -> GraphSessions:
    return elsewhere.sessions(bundle)


@pytest.mark.parametrize("name", FORMATS)
def test_both_ways_give_what_the_host_gives(there: GraphSessions, name: str) -> None:
    planes = DevicePlanes(there)
    for matrix, full in [(m, f) for m in MATRICES for f in (None, False, True)][FORMATS.index(name) % 3 :: 7]:
        frame = noise(name, 64, 32, Colour(matrix=matrix, full_range=full))
        rgb = planes.to_rgb(frame)
        assert not isinstance(rgb, np.ndarray)
        np.testing.assert_allclose(there.to_numpy(rgb)[0], to_rgb(frame), atol=2e-6)
        other = np.random.default_rng(1).uniform(-0.1, 1.1, (3, 32, 64)).astype(np.float32)
        sure = np.linspace(0, 1, 32 * 64, dtype=np.float32).reshape(1, 1, 32, 64)
        made, confidence, finite = planes.from_rgb(other[None], sure, frame)
        wanted = from_rgb(other, frame, 0, Fraction(1))
        assert finite
        assert len(made) == frame.format.planes - frame.format.alpha
        for here, on_host in zip(made, wanted.planes, strict=False):
            assert (here.dtype, here.shape) == (on_host.dtype, on_host.shape)
            assert np.abs(here.astype(int) - on_host.astype(int)).max() <= 1
            assert (here != on_host).mean() < 0.01
        np.testing.assert_allclose(confidence, sure[0, 0], atol=0.5 / 255 + 1e-6)


def test_what_is_not_a_number_is_not_taken_for_a_colour(there: GraphSessions) -> None:
    frame = noise("yuv420p", 32, 16)
    rgb, sure = np.full((1, 3, 16, 32), 0.5, np.float32), np.full((1, 1, 16, 32), 0.5, np.float32)
    assert DevicePlanes(there).from_rgb(rgb, sure, frame)[2]
    rgb[0, 1, 3, 4] = np.nan
    assert not DevicePlanes(there).from_rgb(rgb, sure, frame)[2]


@pytest.mark.parametrize("form", ["yuv420p", "yuva420p", "yuv422p10le", "gbrp", "gray"])
@pytest.mark.parametrize(("width", "height"), [(96, 80), (102, 78), (101, 77)])
def test_a_made_frame_is_the_same_by_way_of_the_device(
    there: GraphSessions, bundle: store.Bundle, form: str, width: int, height: int
) -> None:
    """Of every size; with what is known laid over it, too."""
    frames = [noise(form, width, height, seed=seed) for seed in (0, 1)]
    mask = np.zeros((height, width), np.bool_)
    mask[10:40, 20:60] = True
    made = []
    for sessions in (there, GraphSessions(bundle, "cpu", threads=1, precision=there.precision)):
        generator = RecurrentGenerator(bundle, sessions)
        a, b = (Reference(frame, generator.encode(frame)) for frame in frames)
        state = generator.remember(b.features, a.features, Fraction(1), generator.remember(a.features, None, 0, None))
        request = RenderRequest(a, b, state, (-HALF, HALF), frames[0], 7, Fraction(1, 50))
        made.append([generator.render(r) for r in (request, replace(request, known=frames[1], mask=mask))])
    for here, on_host in zip(*made, strict=True):
        assert (here.frame.format, here.frame.pts, here.frame.time_base) == (frames[0].format, 7, Fraction(1, 50))
        for plane, other in zip(here.frame.planes, on_host.frame.planes, strict=True):
            assert np.abs(plane.astype(int) - other.astype(int)).max() <= 1
        assert abs(here.confidence - on_host.confidence) < 0.004
        assert here.map is not None
        assert on_host.map is not None
        assert np.abs(here.map - on_host.map).max() < 0.003


def test_only_the_planes_go_over_the_bus(
    there: GraphSessions, bundle: store.Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One byte a sample up, one byte a sample and one of confidence down, but for a few numbers."""
    generator = RecurrentGenerator(bundle, there)
    frames = [noise("yuv420p", 64, 48, seed=seed) for seed in range(4)]
    up, down = [], []
    fetch = there.to_numpy
    monkeypatch.setattr(there, "to_numpy", lambda value: down.append(fetch(value)) or down[-1])

    place = bindings.Bound._placed
    monkeypatch.setattr(
        bindings.Bound,
        "_placed",
        lambda self, name, value: (isinstance(value, np.ndarray) and up.append(value)) or place(self, name, value),
    )
    state, before = None, None
    for frame in frames:
        up.clear()
        down.clear()
        now = Reference(frame, generator.encode(frame))
        state = generator.remember(now.features, before and before.features, Fraction(before is not None), state)
        if before is not None:
            generator.render(RenderRequest(before, now, state, (-HALF, HALF), frame, 1, frame.time_base))
        before = now
    samples = 64 * 48 * 3 // 2
    assert sum(array.nbytes for array in up) <= samples + 100
    assert sum(array.nbytes for array in down) <= samples + 64 * 48 + 100


def test_frames_whose_border_cuts_a_block_go_the_other_way() -> None:
    def frame(form: str, width: int, height: int) -> Frame:
        return noise(form, width, height)

    assert DevicePlanes.takes(frame("yuv420p", 64, 48))
    assert DevicePlanes.takes(frame("yuv444p", 33, 17))
    assert not DevicePlanes.takes(frame("yuv420p", 33, 48))
    assert not DevicePlanes.takes(frame("yuv420p", 32, 17))
    assert DevicePlanes.takes(pad(frame("yuv410p", 33, 17), 16))
