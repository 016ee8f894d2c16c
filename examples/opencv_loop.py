"""A loop of one's own with OpenCV: pictures and their times.

Usage: python opencv_loop.py IN OUT.avi
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import cv2

from vgan_plugin.hosts.arrays import fill_arrays


def pictures(capture: Any) -> Iterator[tuple[float, Any]]:
    while True:
        there, picture = capture.read()
        if not there:
            return
        yield capture.get(cv2.CAP_PROP_POS_MSEC) / 1000, picture  # shows the holes; the frame number does not


def main(source: str, target: str) -> None:
    capture = cv2.VideoCapture(source)
    rate = capture.get(cv2.CAP_PROP_FPS)
    size = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    writer = cv2.VideoWriter(target, cv2.VideoWriter.fourcc(*"FFV1"), rate, size)
    exact = Fraction(rate).limit_denominator(1001)
    for time, picture in fill_arrays(pictures(capture), rate=exact):
        writer.write(picture)
        print(f"{time:.3f} s")
    writer.release()


if __name__ == "__main__":
    main(*sys.argv[1:3])
