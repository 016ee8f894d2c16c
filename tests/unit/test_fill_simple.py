"""The declared fallbacks: a time-weighted mean in integers, and a repeat."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from clips import moving_frames
from hypothesis import given
from hypothesis import strategies as st

from vgan_plugin.runtime.simple import BLEND, REPEAT, Simple, mix
from vgan_plugin.types import Frame, Made, PixelFormat, Reference, RenderRequest


def flat(value: int, form: str = "gray") -> Frame:
    parsed = PixelFormat.parse(form)
    return Frame((np.full((2, 2), value, parsed.dtype),), parsed)


def render(generator: Simple, a: Frame | None, b: Frame | None, offsets: tuple[Fraction, Fraction]) -> Made:
    first, second = (None if f is None else Reference(f, None) for f in (a, b))
    like = a or b
    assert like is not None
    return generator.render(RenderRequest(first, second, None, offsets, like, 7, Fraction(1, 50)))


@given(
    a=st.integers(0, 65535),
    b=st.integers(0, 65535),
    weight=st.fractions(0, 1),
    form=st.sampled_from(["gray", "gray16le"]),
)
def test_the_mix_is_within_one_code_of_the_exact_mean(a: int, b: int, weight: Fraction, form: str) -> None:
    a, b = (a >> 8, b >> 8) if form == "gray" else (a, b)
    (plane,) = mix(flat(a, form), flat(b, form), weight)
    assert plane.dtype == PixelFormat.parse(form).dtype
    assert abs(int(plane[0, 0]) - ((1 - weight) * a + weight * b)) <= 1


def test_a_blend_is_weighted_by_time_on_every_plane() -> None:
    a, b = moving_frames(2, 16, 8)
    made = render(Simple(BLEND), a, b, (Fraction(-1, 4), Fraction(3, 4))).frame
    for plane, first, second in zip(made.planes, a.planes, b.planes, strict=True):
        assert np.array_equal(plane, (first.astype(int) * 3 + second + 2) // 4)
    assert (made.pts, made.time_base) == (7, Fraction(1, 50))


@pytest.mark.parametrize("info", [BLEND, REPEAT])
def test_outside_its_references_the_nearest_is_repeated(info: object) -> None:
    a, b = flat(10), flat(20)
    generator = Simple(info)  # type: ignore[arg-type]
    assert render(generator, a, b, (Fraction(-2), Fraction(-1))).frame.planes[0][0, 0] == 20
    assert render(generator, a, b, (Fraction(1), Fraction(2))).frame.planes[0][0, 0] == 10
    assert render(generator, a, None, (Fraction(-1), Fraction(0))).frame.planes[0][0, 0] == 10
    assert render(generator, None, b, (Fraction(0), Fraction(1))).frame.planes[0][0, 0] == 20


def test_a_repeat_takes_the_first_of_two_that_are_as_near() -> None:
    assert render(Simple(REPEAT), flat(10), flat(20), (Fraction(-1), Fraction(1))).frame.planes[0][0, 0] == 10
    assert render(Simple(REPEAT), flat(10), flat(20), (Fraction(-2), Fraction(1))).frame.planes[0][0, 0] == 20


def test_pixels_outside_the_mask_are_the_known_ones() -> None:
    a, b = moving_frames(2, 16, 8)
    known = moving_frames(1, 16, 8, seed=3)[0]
    mask = np.zeros((8, 16), np.bool_)
    mask[:4] = True
    request = RenderRequest(
        Reference(a, None), Reference(b, None), None, (Fraction(-1), Fraction(1)), a, 0, Fraction(1, 25), known, mask
    )
    made = Simple(BLEND).render(request).frame
    assert np.array_equal(made.planes[0][4:], known.planes[0][4:])
    assert not np.array_equal(made.planes[0][:4], known.planes[0][:4])


def test_the_damage_flag_of_a_reference_is_not_handed_on() -> None:
    a = replace(flat(1), corrupt=True)
    assert not render(Simple(REPEAT), a, None, (Fraction(-1), Fraction(0))).frame.corrupt
