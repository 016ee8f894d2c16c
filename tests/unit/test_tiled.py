"""What does not fit into the memory is made in tiles, then on the CPU, and each time it is said."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from clips import moving_frames

from vgan_plugin.errors import OutOfMemory
from vgan_plugin.runtime import memory, tiled
from vgan_plugin.runtime.generator import RecurrentGenerator, open_recurrent
from vgan_plugin.types import Frame, GeneratorInfo, Made, OpenRequest, Reference, RenderRequest

HALF = Fraction(1, 2)


class Fits:
    """A generator whose device holds frames up to so many pixels; it makes the mean of its references."""

    def __init__(self, device: str, most: int) -> None:
        self.info = GeneratorInfo("fits", "fits", ("fill",), "CC0-1.0")
        self.block, self.lead, self.lanes, self.most, self.closed = 32, 8, 4, most, False
        self.provenance = {"model": {}, "provider": {"device": device, "fallback": ""}}

    def prepare(self, height: int, width: int) -> None:
        self.encode(moving_frames(1, width, height, "gray")[0])

    def encode(self, frame: Frame, valid: Any = None) -> float:
        if frame.height * frame.width > self.most:
            raise OutOfMemory("Graph 'encode' failed", "out of memory", "less")
        return float(frame.planes[0].mean())

    def remember(self, features: Any, previous: Any, dt: Fraction, state: Any) -> Any:
        return (state or 0) + features

    def render(self, request: RenderRequest) -> Made:
        assert request.a is not None
        return Made(request.a.frame, 0.5, map=np.full((request.like.height, request.like.width), 0.5, np.float32))

    def close(self) -> None:
        self.closed = True


def opener(devices: dict[str, int], opened: list[Fits]) -> Any:
    def open_on(device: str) -> Any:
        opened.append(Fits(device, devices[device]))
        return opened[-1]

    return open_on


@pytest.fixture(autouse=True)
def _much_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "host_available", lambda: 10**12)
    monkeypatch.setattr(memory, "device_memory", lambda _index: (10**12, 10**12))


def test_what_fits_is_made_whole_and_nothing_is_said() -> None:
    for device in ("cpu", "cuda:0"):
        made = tiled.fitted(opener({device: 10**9}, []), device, (1080, 1920))
        assert isinstance(made, Fits)


@pytest.mark.parametrize(("gigabytes", "lanes"), [(100, 4), (12, 3), (7, 2), (4, 1)])
def test_only_as_many_frames_are_made_at_once_as_the_memory_holds(
    monkeypatch: pytest.MonkeyPatch, gigabytes: int, lanes: int
) -> None:
    monkeypatch.setattr(memory, "host_available", lambda: gigabytes * 10**9)  # a frame of 1080p needs 2.1 of its 60 %
    made = tiled.fitted(opener({"cpu": 10**9}, []), "cpu", (1080, 1920))
    assert isinstance(made, Fits)
    assert made.lanes == lanes


def test_a_device_that_is_full_gets_smaller_tiles_and_each_step_is_said() -> None:
    opened: list[Fits] = []
    made = tiled.fitted(opener({"cuda:0": 600_000}, opened), "cuda:0", (1080, 1920))
    provider = made.provenance["provider"]
    assert len(opened) == 1
    assert opened[0].lanes == 1
    assert "tiles of" in provider["tiles"]
    assert provider["fallback"].count("did not fit into cuda:0") == 2
    frame = moving_frames(1, 1920, 1080)[0]
    features = made.encode(frame)
    state = made.remember(features, None, Fraction(0), None)
    state = made.remember(features, features, Fraction(1), state)
    half = made.render(RenderRequest(Reference(frame, features), None, state, (-HALF, HALF), frame, 7, HALF))
    assert half.confidence == pytest.approx(0.5)
    assert half.frame.pts == 7
    np.testing.assert_array_equal(half.frame.planes[0], frame.planes[0])
    with pytest.raises(ValueError, match="1920x1080"):
        made.encode(moving_frames(1, 640, 480)[0])


def test_a_device_that_holds_no_tile_leaves_the_work_to_the_cpu() -> None:
    opened: list[Fits] = []
    made = tiled.fitted(opener({"cuda:0": 1000, "cpu": 10**9}, opened), "cuda:0", (480, 640))
    assert opened[0].closed
    assert made.provenance["provider"]["device"] == "cpu"
    assert "did not fit into cuda:0" in made.provenance["provider"]["fallback"]


def test_where_nothing_fits_it_is_an_error_before_the_first_frame() -> None:
    with pytest.raises(OutOfMemory):
        tiled.fitted(opener({"cpu": 1000}, []), "cpu", (480, 640))


def test_little_free_memory_means_tiles_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "host_available", lambda: 200_000 * tiled.BYTES_A_PIXEL)
    made = tiled.fitted(opener({"cpu": 130_000}, []), "cpu", (480, 640))
    assert made.provenance["provider"]["tiles"].endswith("0.2 GB were free")
    assert made.provenance["provider"]["fallback"] == ""


def test_a_system_that_says_nothing_of_its_memory_is_taken_at_its_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "host_available", lambda: None)
    assert isinstance(tiled.fitted(opener({"cpu": 10**9}, []), "cpu", (1080, 1920)), Fits)


def test_tiles_of_the_real_network_are_nearly_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = moving_frames(2, 448, 320, speed=(4, 2))
    request = OpenRequest(model="lite", device="cpu", threads=1, size=(320, 448))
    made = {}
    for name, free in (("whole", 10**12), ("tiles", 150_000 * tiled.BYTES_A_PIXEL)):
        monkeypatch.setattr(memory, "host_available", lambda free=free: free)
        generator = tiled.open_fitted(request)
        assert isinstance(generator, RecurrentGenerator if name == "whole" else tiled.Tiled)
        a, b = (Reference(frame, generator.encode(frame)) for frame in frames)
        state = generator.remember(b.features, a.features, Fraction(1), None)
        answer = generator.render(RenderRequest(a, b, state, (-HALF, HALF), frames[0], 1, Fraction(1, 50)))
        made[name] = answer.frame.planes[0].astype(float)
        assert answer.map is not None
        generator.close()
    error = np.square(made["whole"] - made["tiles"]).mean()
    assert error < 4  # of 219 code values squared: 42 dB


def test_a_frame_of_16x16_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = moving_frames(2, 16, 16)
    generator = tiled.open_fitted(OpenRequest(model="lite", device="cpu", threads=1, size=(16, 16)))
    a, b = (Reference(frame, generator.encode(frame)) for frame in frames)
    made = generator.render(RenderRequest(a, b, None, (-HALF, HALF), frames[0], 1, Fraction(1, 50)))
    assert (made.frame.width, made.frame.height) == (16, 16)
    generator.close()


def test_a_frame_16384_wide_is_made() -> None:
    frames = moving_frames(2, 16384, 16)
    generator = open_recurrent(OpenRequest(model="lite", device="cpu", threads=1))
    a, b = (Reference(frame, generator.encode(frame)) for frame in frames)
    made = generator.render(RenderRequest(a, b, None, (-HALF, HALF), frames[0], 1, Fraction(1, 50)))
    assert made.frame.width == 16384
    generator.close()


def test_memory_is_told_in_bytes() -> None:
    now, peak = memory.resident(), memory.resident(peak=True)
    assert now is None or peak is None or 10e6 < now <= peak
