"""Planes: masks composite bit for bit, padding replicates."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgan_plugin.pixels.colour import to_rgb
from vgan_plugin.pixels.planes import chroma_mask, composite, pad
from vgan_plugin.types import Frame, PixelFormat

NAMES = ("yuv420p", "yuv422p10le", "yuv444p", "yuv411p", "yuv440p", "yuva420p", "gbrp", "gray16le")


def noise(name: str, width: int, height: int, seed: int) -> Frame:
    form = PixelFormat.parse(name)
    rng = np.random.default_rng(seed)
    shapes = [form.plane_shape(i, width, height) for i in range(form.planes)]
    return Frame(tuple(rng.integers(0, 1 << form.bits, s).astype(form.dtype) for s in shapes), form)


@settings(deadline=None)
@given(
    name=st.sampled_from(NAMES),
    width=st.integers(1, 19),
    height=st.integers(1, 13),
    seed=st.integers(0, 99),
)
def test_outside_the_mask_nothing_changes_and_under_it_everything_is_made(name, width, height, seed):
    known, made = noise(name, width, height, seed), replace(noise(name, width, height, seed + 1), pts=7)
    mask = np.random.default_rng(seed).random((height, width)) < 0.2
    out = composite(made, known, mask)
    assert out.pts == 7
    form = known.format
    for i, (plane, new, old) in enumerate(zip(out.planes, made.planes, known.planes, strict=True)):
        chroma = form.family == "yuv" and i in (1, 2)
        for row in range(plane.shape[0]):
            for column in range(plane.shape[1]):
                down, across = (1 << form.shift_y, 1 << form.shift_x) if chroma else (1, 1)
                under = mask[row * down : (row + 1) * down, column * across : (column + 1) * across]
                assert plane[row, column] == (new if under.any() else old)[row, column]


def test_one_masked_pixel_masks_its_chroma_sample():
    mask = np.zeros((5, 5), bool)
    mask[4, 4] = True
    assert np.argwhere(chroma_mask(mask, PixelFormat.parse("yuv420p"))).tolist() == [[2, 2]]


def test_frames_that_differ_do_not_composite():
    with pytest.raises(ValueError, match="mask"):
        composite(noise("yuv420p", 8, 8, 0), noise("yuv420p", 8, 8, 1), np.zeros((4, 4), bool))
    with pytest.raises(ValueError, match="mask"):
        composite(noise("gray", 8, 8, 0), noise("yuv420p", 8, 8, 1), np.zeros((8, 8), bool))


@settings(deadline=None)
@given(
    name=st.sampled_from(NAMES),
    width=st.integers(1, 40),
    height=st.integers(1, 40),
    multiple=st.sampled_from([1, 2, 8, 16, 32]),
)
def test_padding_replicates_to_a_multiple_and_cropping_undoes_it(name, width, height, multiple):
    frame = noise(name, width, height, 3)
    padded = pad(frame, multiple)
    assert padded.width % multiple == padded.height % multiple == 0
    assert padded.width - width < multiple
    assert padded.height - height < multiple
    for big, small in zip(padded.planes, frame.planes, strict=True):
        rows, columns = small.shape
        assert np.array_equal(big, np.pad(small, ((0, big.shape[0] - rows), (0, big.shape[1] - columns)), mode="edge"))
    assert np.array_equal(to_rgb(padded)[:, :height, :width], to_rgb(frame))


def test_a_frame_that_fits_is_not_copied():
    frame = noise("yuv420p", 32, 16, 0)
    assert pad(frame, 16) is frame
