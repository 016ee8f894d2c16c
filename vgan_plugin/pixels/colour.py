"""Integer planes to float RGB and back, without a visible seam between kept and made frames.

Everything between the two roundings (the source's own and the one of `from_rgb`) is float32. Chroma is replicated on
the way up and averaged over its block on the way down, so the RGB of an untouched frame gives its planes back. RGB is
never clipped on the way: legal YUV codes may lie outside the RGB cube and must survive.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from vgan_plugin.types import RGB, Colour, Frame, PixelFormat, Plane

Matrix = NDArray[np.float64]

_WEIGHTS = {  # Kr, Kb of ITU-T H.273, table 4
    1: (0.2126, 0.0722),  # BT.709
    4: (0.30, 0.11),  # FCC
    5: (0.299, 0.114),  # BT.470 BG
    6: (0.299, 0.114),  # BT.601
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020, not constant luminance
    10: (0.2627, 0.0593),  # constant luminance needs the transfer undone; its matrix is near enough and inverts exactly
}
_ASSUMED = (0.299, 0.114)
"""Untagged YUV is taken as BT.601, as FFmpeg's scaler does. Players guess BT.709 from a large size; a rule by size
would give a crop, a tile or a padded frame other colours than the whole. The way back uses the same matrix, so the
guess never shows in the output's planes."""
_STRIP = 1 << 16
"""Pixels worked on at a time: the temporaries of a strip stay in the cache."""


def _is_full(form: PixelFormat, colour: Colour) -> bool:
    if form.name.startswith("yuvj"):
        return True
    return form.family == "rgb" if colour.full_range is None else colour.full_range


def _to_rgb_matrix(colour: Colour) -> Matrix:
    """3x3: (R, G, B) = M (Y in [0, 1], Cb, Cr in [-0.5, 0.5])."""
    if colour.matrix == 8:  # YCgCo: the planes are Y, Cg, Co
        return np.array([[1.0, -1.0, 1.0], [1.0, 1.0, 0.0], [1.0, -1.0, -1.0]])
    kr, kb = _WEIGHTS.get(colour.matrix, _ASSUMED)
    kg = 1 - kr - kb
    return np.array(
        [
            [1, 0, 2 * (1 - kr)],
            [1, -2 * kb * (1 - kb) / kg, -2 * kr * (1 - kr) / kg],
            [1, 2 * (1 - kb), 0],
        ]
    )


def _levels(form: PixelFormat, colour: Colour) -> tuple[float, float, float, float]:
    """(offset, span) of luma or RGB, then of chroma, in code values."""
    unit, top = float(1 << form.bits - 8), float((1 << form.bits) - 1)
    if _is_full(form, colour):
        return 0.0, top, 128 * unit, top
    return 16 * unit, 219 * unit, 128 * unit, 224 * unit


def _planes_are_gbr(form: PixelFormat, colour: Colour) -> bool:
    """GBR planes: RGB formats, and 4:4:4 YUV formats whose matrix is the identity."""
    return form.family == "rgb" or (colour.matrix == 0 and form.family == "yuv" and form.shift_x == form.shift_y == 0)


def matrices(form: PixelFormat, colour: Colour) -> tuple[Matrix, Matrix, Matrix, Matrix]:
    """The conversion in numbers, for whoever converts elsewhere: rgb = W codes + b, codes = V rgb + c.

    Returns: W (3, planes), b (3,), V (planes, 3), c (planes,); planes are those of colour, codes are not rounded.
    """
    offset, span, chroma_offset, chroma_span = _levels(form, colour)
    if _planes_are_gbr(form, colour):
        order = np.eye(3)[[2, 0, 1]]
        return order / span, np.full(3, -offset / span), order.T * span, np.full(3, offset)
    forward = _to_rgb_matrix(colour)
    back = np.asarray(np.linalg.inv(forward), np.float64)
    if form.family == "gray":
        return np.full((3, 1), 1 / span), np.full(3, -offset / span), back[:1] * span, np.array([offset])
    spans, offsets = np.array([span, chroma_span, chroma_span]), np.array([offset, chroma_offset, chroma_offset])
    weights: Matrix = forward / spans
    return weights, -weights @ offsets, back * spans[:, None], offsets


def to_rgb(frame: Frame) -> RGB:
    """The picture as RGB: matrix and range undone, transfer left as it is.

    Args:
        frame: any supported format; alpha is ignored (see `alpha`).

    Returns:
        float32 (3, H, W), R, G, B; [0, 1] for colours inside the RGB cube, beyond for codes outside it.
    """
    form, colour = frame.format, frame.colour
    offset, span, chroma_offset, chroma_span = _levels(form, colour)
    out = np.empty((3, frame.height, frame.width), np.float32)
    if form.family == "gray" or _planes_are_gbr(form, colour):
        order = (0, 0, 0) if form.family == "gray" else (2, 0, 1)
        for channel, plane in enumerate(order):
            _affine(frame.planes[plane], 1 / span, -offset / span, out[channel])
        return out
    matrix = _to_rgb_matrix(colour)
    for top, bottom in _strips(frame.height, frame.width):
        rows = slice(top >> form.shift_y, _up(bottom, form.shift_y))
        chroma = [_affine(p[rows], 1 / chroma_span, -chroma_offset / chroma_span) for p in frame.planes[1:3]]
        luma_strip = _affine(frame.planes[0][top:bottom], 1 / span, -offset / span)
        for channel, (_, from_u, from_v) in enumerate(matrix):
            part = np.zeros_like(chroma[0])
            if from_u:
                part += np.float32(from_u) * chroma[0]
            if from_v:
                part += np.float32(from_v) * chroma[1]
            _add_replicated(luma_strip, part, form, out[channel, top:bottom])
    return out


def from_rgb(
    rgb: RGB,
    like: Frame,
    pts: int,
    time_base: Fraction,
    alpha: NDArray[np.float32] | None = None,
) -> Frame:
    """Planes of `like`'s format, colour and size from RGB; the inverse of `to_rgb`, rounded once.

    Args:
        rgb: (3, H, W) in [0, 1]; beyond is kept as far as the codes reach.
        like: any frame of the clip.
        pts: presentation time of the made frame, in ticks of `time_base`.
        time_base: seconds a tick.
        alpha: (H, W) in [0, 1] for formats with alpha, blended by the caller from `alpha(frame)` of the references;
            None takes over the alpha plane of `like`.

    Raises:
        ValueError: the sizes differ.
    """
    form, colour = like.format, like.colour
    if rgb.shape != (3, like.height, like.width):
        raise ValueError(f"RGB is {rgb.shape}, not {(3, like.height, like.width)}")
    offset, span, chroma_offset, chroma_span = _levels(form, colour)
    planes: list[Plane]
    if _planes_are_gbr(form, colour):
        planes = [_quantise(rgb[i], span, offset, form) for i in (1, 2, 0)]
    else:
        back = np.linalg.inv(_to_rgb_matrix(colour))
        count = 1 if form.family == "gray" else 3
        planes = [np.empty(form.plane_shape(i, like.width, like.height), form.dtype) for i in range(count)]
        for top, bottom in _strips(like.height, like.width):
            strip = rgb[:, top:bottom]
            planes[0][top:bottom] = _quantise(_mix(strip, back[0]), span, offset, form)
            if count == 3:
                mean = np.stack([_block_mean(channel, form.shift_x, form.shift_y) for channel in strip])
                rows = slice(top >> form.shift_y, _up(bottom, form.shift_y))
                for i in (1, 2):
                    planes[i][rows] = _quantise(_mix(mean, back[i]), chroma_span, chroma_offset, form)
    if form.alpha:
        top_code = float((1 << form.bits) - 1)
        planes.append(like.planes[-1] if alpha is None else _quantise(alpha, top_code, 0.0, form))
    return Frame(tuple(planes), form, colour, pts, time_base)


def alpha(frame: Frame) -> NDArray[np.float32] | None:
    """Alpha as float32 (H, W) in [0, 1] (always full range), or None where the format has none."""
    if not frame.format.alpha:
        return None
    return _affine(frame.planes[-1], 1 / ((1 << frame.format.bits) - 1), 0.0)


def _up(rows: int, shift: int) -> int:
    return -(-rows >> shift)


def _strips(height: int, width: int) -> list[tuple[int, int]]:
    rows = max(1, _STRIP // max(width, 1) // 4) * 4  # whole blocks of every subsampling
    return [(top, min(top + rows, height)) for top in range(0, height, rows)]


def _affine(plane: Plane, scale: float, shift: float, out: RGB | None = None) -> NDArray[np.float32]:
    """float32 plane * scale + shift."""
    if out is None:
        out = np.empty(plane.shape, np.float32)
    np.multiply(plane, np.float32(scale), out=out, casting="unsafe", dtype=np.float32)
    if shift:
        out += np.float32(shift)
    return out


def _add_replicated(
    base: NDArray[np.float32], part: NDArray[np.float32], form: PixelFormat, out: NDArray[np.float32]
) -> None:
    """Out = base + part, each sample of `part` repeated over its block."""
    rows, columns = base.shape
    across, down = 1 << form.shift_x, 1 << form.shift_y
    if across > 1:
        wide = np.empty((part.shape[0], columns), np.float32)
        for k in range(across):
            wide[:, k::across] = part[:, : -(-(columns - k) // across)]
        part = wide
    for k in range(down):
        np.add(base[k::down], part[: -(-(rows - k) // down)], out=out[k::down])


def _mix(channels: NDArray[np.float32], weights: Matrix) -> NDArray[np.float32]:
    out: NDArray[np.float32] = channels[0] * np.float32(weights[0])
    for channel, weight in zip(channels[1:], weights[1:], strict=True):
        out += channel * np.float32(weight)
    return out


def _quantise(values: NDArray[np.float32], span: float, offset: float, form: PixelFormat) -> Plane:
    codes = values * np.float32(span)
    codes += np.float32(offset + 0.5)  # the cast truncates
    np.clip(codes, 0, np.float32((1 << form.bits) - 0.5), out=codes)
    planes: Plane = codes.astype(form.dtype)
    return planes


def _block_mean(channel: NDArray[np.float32], shift_x: int, shift_y: int) -> NDArray[np.float32]:
    """Mean over blocks of 2**shift_y x 2**shift_x; a block cut by the border is the mean of what is there."""
    if shift_y:
        channel = _mean_of_rows(
            channel, shift_y, np.empty((_up(channel.shape[0], shift_y), channel.shape[1]), np.float32)
        )
    if shift_x:
        narrow = np.empty((channel.shape[0], _up(channel.shape[1], shift_x)), np.float32)
        channel = _mean_of_rows(channel.T, shift_x, narrow.T).T
    return channel


def _mean_of_rows(channel: NDArray[np.float32], shift: int, mean: NDArray[np.float32]) -> NDArray[np.float32]:
    size, whole = 1 << shift, channel.shape[0] >> shift
    np.add(channel[0 : whole * size : size], channel[1 : whole * size : size], out=mean[:whole])
    for k in range(2, size):
        mean[:whole] += channel[k : whole * size : size]
    mean[:whole] *= np.float32(1 / size)
    if whole < mean.shape[0]:
        np.mean(channel[whole * size :], axis=0, out=mean[whole])
    return mean
