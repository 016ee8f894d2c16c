"""Colour: what goes to RGB comes back as the same planes, and the matrices are those of the standards."""

from fractions import Fraction

import numpy as np
import pytest
from clips import FORMATS, MATRICES, noise
from hypothesis import given, settings
from hypothesis import strategies as st

from vgan_plugin.pixels.colour import alpha, from_rgb, to_rgb
from vgan_plugin.types import Colour, Frame, PixelFormat


def flat(name: str, values: tuple[int, ...], colour: Colour) -> Frame:
    form = PixelFormat.parse(name)
    shapes = [form.plane_shape(i, 8, 4) for i in range(form.planes)]
    return Frame(tuple(np.full(s, v, form.dtype) for s, v in zip(shapes, values, strict=True)), form, colour)


@settings(deadline=None)
@given(
    name=st.sampled_from(FORMATS),
    width=st.integers(1, 37),
    height=st.integers(1, 23),
    matrix=st.sampled_from(MATRICES),
    full=st.sampled_from([None, False, True]),
    seed=st.integers(0, 99),
)
def test_noise_of_any_format_comes_back_within_one_code_value(name, width, height, matrix, full, seed):
    frame = noise(name, width, height, Colour(matrix=matrix, full_range=full), seed)
    back = from_rgb(to_rgb(frame), frame, 5, Fraction(1, 24))
    assert (back.format, back.colour, back.pts, back.time_base) == (frame.format, frame.colour, 5, Fraction(1, 24))
    for there, here in zip(back.planes, frame.planes, strict=True):
        assert np.abs(there.astype(int) - here.astype(int)).max() <= 1


@pytest.mark.parametrize("name", FORMATS)
def test_eight_to_fourteen_bits_come_back_exactly(name):
    frame = noise(name, 301, 211)  # several strips, odd both ways
    back = from_rgb(to_rgb(frame), frame, 0, Fraction(1, 25))
    most = max(int(np.abs(a.astype(int) - b.astype(int)).max()) for a, b in zip(back.planes, frame.planes, strict=True))
    assert most <= (1 if frame.format.bits == 16 else 0)


@pytest.mark.parametrize(
    ("matrix", "red", "green", "blue"),
    [  # 8 bit limited codes of the primaries, from the standards' matrices
        (1, (63, 102, 240), (173, 42, 26), (32, 240, 118)),
        (6, (81, 90, 240), (145, 54, 34), (41, 240, 110)),
        (9, (74, 97, 240), (164, 47, 25), (29, 240, 119)),
        (2, (81, 90, 240), (145, 54, 34), (41, 240, 110)),
    ],
)
def test_the_primaries_have_the_codes_of_the_standard(matrix, red, green, blue):
    colour = Colour(matrix=matrix, full_range=False)
    for channel, codes in enumerate((red, green, blue)):
        wanted = np.zeros((3, 4, 8), np.float32)
        wanted[channel] = 1
        frame = flat("yuv420p", codes, colour)
        assert [int(p[0, 0]) for p in from_rgb(wanted, frame, 0, Fraction(1)).planes] == list(codes)
        assert np.abs(to_rgb(frame) - wanted).max() < 0.012  # the codes are rounded


@pytest.mark.parametrize("name", ["yuv420p", "yuv444p10le", "gray", "gray16le"])
def test_limited_black_and_white_are_zero_and_one(name):
    form = PixelFormat.parse(name)
    unit = 1 << form.bits - 8
    for code, value in ((16 * unit, 0.0), (235 * unit, 1.0)):
        frame = flat(name, (code, 128 * unit, 128 * unit)[: form.planes], Colour(matrix=1))
        np.testing.assert_allclose(to_rgb(frame), value, atol=1e-6)


@pytest.mark.parametrize("name", ["yuv420p12le", "yuvj420p", "gbrp10le", "gray"])
def test_full_range_uses_every_code(name):
    form = PixelFormat.parse(name)
    top = (1 << form.bits) - 1
    planes = (top,) * 3 if form.family == "rgb" else (top, 1 << form.bits - 1, 1 << form.bits - 1)[: form.planes]
    np.testing.assert_allclose(to_rgb(flat(name, planes, Colour(full_range=True))), 1.0, atol=1e-6)


def test_planes_of_gbr_are_green_blue_red():
    wanted = np.array([1.0, 0.2, 0.6])
    for name, colour in (("gbrp", Colour()), ("yuv444p", Colour(matrix=0, full_range=True))):
        rgb = to_rgb(flat(name, (51, 153, 255), colour))
        np.testing.assert_allclose(rgb[:, 0, 0], wanted, atol=1e-6)


def test_rgb_outside_the_codes_is_clipped_and_never_wraps():
    for name in ("yuv420p", "gbrp", "gray", "yuv444p16le"):
        frame = noise(name, 8, 4)
        high = from_rgb(np.full((3, 4, 8), 9.0, np.float32), frame, 0, Fraction(1))
        low = from_rgb(np.full((3, 4, 8), -9.0, np.float32), frame, 0, Fraction(1))
        assert (high.planes[0] == (1 << frame.format.bits) - 1).all()
        assert (low.planes[0] == 0).all()


def test_chroma_is_the_mean_of_its_block_also_at_an_odd_border():
    like = flat("yuv420p", (0, 0, 0), Colour(full_range=True, matrix=6))
    like = Frame(
        (np.zeros((3, 5), np.uint8), np.zeros((2, 3), np.uint8), np.zeros((2, 3), np.uint8)), like.format, like.colour
    )
    rgb = np.zeros((3, 3, 5), np.float32)
    rgb[2, :, 4] = 1.0  # the last column is blue
    blue = from_rgb(rgb, like, 0, Fraction(1)).planes[1]
    assert blue[:, :2].tolist() == [[128, 128]] * 2
    assert blue[:, 2].tolist() == [255, 255]
    rgb[2, :, 3] = 1.0  # and now half of the block before it
    assert from_rgb(rgb, like, 0, Fraction(1)).planes[1][0].tolist() == [128, 192, 255]


def test_alpha_is_taken_over_or_blended_by_the_caller():
    frame = noise("yuva420p", 9, 7)
    rgb = to_rgb(frame)
    assert np.array_equal(from_rgb(rgb, frame, 0, Fraction(1)).planes[3], frame.planes[3])
    seen = alpha(frame)
    assert seen is not None
    assert np.array_equal(from_rgb(rgb, frame, 0, Fraction(1), alpha=seen).planes[3], frame.planes[3])
    half = from_rgb(rgb, frame, 0, Fraction(1), alpha=seen / 2).planes[3]
    assert np.abs(half.astype(int) * 2 - frame.planes[3]).max() <= 1
    assert alpha(noise("yuv420p", 8, 8)) is None


def test_a_wrong_size_is_refused():
    with pytest.raises(ValueError, match="RGB is"):
        from_rgb(np.zeros((3, 4, 4), np.float32), noise("yuv420p", 8, 4), 0, Fraction(1))
