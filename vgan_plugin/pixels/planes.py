"""Work on the integer planes themselves: masks laid over a frame, sizes brought to a multiple. No colour is touched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vgan_plugin.types import Frame, Mask, PixelFormat


def chroma_mask(mask: Mask, form: PixelFormat) -> Mask:
    """The mask at chroma resolution: a chroma sample is made when any luma pixel under it is."""
    down, across = 1 << form.shift_y, 1 << form.shift_x
    if down == across == 1:
        return mask
    rows, columns = form.plane_shape(1, mask.shape[1], mask.shape[0])
    padded = np.zeros((rows * down, columns * across), np.bool_)
    padded[: mask.shape[0], : mask.shape[1]] = mask
    return np.asarray(padded.reshape(rows, down, columns, across).any(axis=(1, 3)))


def composite(made: Frame, known: Frame, mask: Mask) -> Frame:
    """`made` inside the mask, `known` bit for bit outside it, in the planes of both.

    Args:
        made: gives the masked samples, the time stamp and nothing else.
        known: gives all other samples.
        mask: (H, W) at luma resolution, True = take from `made`; a chroma sample is taken when any luma pixel under
            it is masked; alpha follows luma.

    Raises:
        ValueError: formats or sizes differ.
    """
    form, size = known.format, (known.height, known.width)
    if made.format != form or (made.height, made.width) != size or mask.shape != size:
        raise ValueError(f"cannot lay {made!r} over {known!r} with a mask of {mask.shape}")
    small = chroma_mask(mask, form) if form.family == "yuv" else mask
    planes = tuple(
        np.where(small if form.family == "yuv" and i in (1, 2) else mask, new, old)
        for i, (new, old) in enumerate(zip(made.planes, known.planes, strict=True))
    )
    return replace(known, planes=planes, pts=made.pts, time_base=made.time_base, corrupt=False)


def pad(frame: Frame, multiple: int, least: int = 0) -> Frame:
    """The frame with luma width and height brought up to a multiple, the right and bottom samples replicated.

    A frame that fits already is returned as it is. Crop the RGB of what comes back to the old (H, W).

    Args:
        frame: what to pad.
        multiple: of what width and height become a multiple.
        least: a multiple that neither stays below.
    """
    width, height = (max(least, -(-size // multiple) * multiple) for size in (frame.width, frame.height))
    if (width, height) == (frame.width, frame.height):
        return frame
    planes = []
    for i, plane in enumerate(frame.planes):
        rows, columns = frame.format.plane_shape(i, width, height)
        bigger = np.empty((rows, columns), plane.dtype)
        bigger[: plane.shape[0], : plane.shape[1]] = plane
        bigger[: plane.shape[0], plane.shape[1] :] = plane[:, -1:]
        bigger[plane.shape[0] :] = bigger[plane.shape[0] - 1]
        planes.append(bigger)
    return replace(frame, planes=tuple(planes))
