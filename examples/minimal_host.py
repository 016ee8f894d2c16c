"""A host in twenty lines: whoever holds frames asks for one that is missing, and gets it from the plugin that answers.

python examples/minimal_host.py [CLIP [GENERATOR]]
"""

import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from vgan_plugin import FillRequest, Frame, OpenRequest, PixelFormat, get_plugin_manager

clip = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("city.mp4")
generator = sys.argv[2] if len(sys.argv) > 2 else None  # None: vgan's own
period = Fraction(1, 25)

frames = []
with av.open(str(clip)) as container:
    for index, picture in zip(range(12), container.decode(video=0)):  # noqa: B905 the first dozen
        width, height = picture.width // 2 * 2, picture.height // 2 * 2
        planes = np.split(picture.to_ndarray(format="yuv420p").ravel(), [width * height, width * height * 5 // 4])
        shapes = [(height, width), (height // 2, width // 2), (height // 2, width // 2)]
        planes = tuple(plane.reshape(shape) for plane, shape in zip(planes, shapes, strict=True))
        frames.append(Frame(planes, PixelFormat.parse("yuv420p"), pts=index, time_base=period))

missing = frames.pop(8)
request = FillRequest(tuple(frames[:8]), tuple(frames[8:]), (missing.time,), period, open=OpenRequest(generator))
fill = get_plugin_manager().fill_gap(request)

error = np.abs(fill.frames[0].planes[0] - missing.planes[0].astype(float)).mean()
held = np.abs(frames[7].planes[0] - missing.planes[0].astype(float)).mean()
print(f"made by {fill.method}, confidence {fill.confidence[0]:.2f}")
print(f"mean error of luma: {error:.2f} codes; of the frame before, held: {held:.2f}")
