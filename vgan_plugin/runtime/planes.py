"""A frame's own planes to and from a device: a byte or two a sample goes over the bus, colours are converted there.

The arithmetic of `pixels.colour` as graphs, a pair for each pixel format and colour. All of it is single precision,
element by element: a product of matrices some devices round to fewer bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgan_plugin.bundle.signature import Graph, Tensor
from vgan_plugin.pixels.colour import Matrix, matrices
from vgan_plugin.runtime.onnxfile import Node, model
from vgan_plugin.runtime.session import GraphSessions, Value
from vgan_plugin.types import Colour, Frame, PixelFormat, Plane

_LEVELS = 255  # of confidence on the bus


class DevicePlanes:
    """Colour conversion where the network runs.

    Args:
        sessions: the device's; a graph is added to them when its format is first met.
    """

    def __init__(self, sessions: GraphSessions) -> None:
        self._sessions = sessions

    def to_rgb(self, padded: Frame) -> Value:
        """As `pixels.colour.to_rgb`, (1, 3, H, W) on the device; H and W are multiples of the subsampling."""
        spec = _up(padded.format)
        name = f"to_rgb {_named(padded)}"
        if name not in self._sessions.graphs:
            self._sessions.add(name, spec, _up_model(spec, padded.format, padded.colour))
        planes = {t.name: plane[None, None] for t, plane in zip(spec.inputs, padded.planes, strict=False)}
        return self._sessions.run(name, planes, (padded.height, padded.width))["rgb"]

    @staticmethod
    def takes(like: Frame) -> bool:
        """Whether `from_rgb` is right for frames of this size: not where the border cuts a block of chroma samples."""
        form = like.format
        return not like.width % (1 << form.shift_x) and not like.height % (1 << form.shift_y)

    def from_rgb(
        self, rgb: Value, confidence: Value, like: Frame
    ) -> tuple[tuple[Plane, ...], NDArray[np.float32], bool]:
        """As `pixels.colour.from_rgb`, but for alpha.

        Args:
            rgb: (1, 3, H, W) on the device, padded.
            confidence: (1, 1, H, W) in 0..1 on the device.
            like: gives format, colour and size.

        Returns:
            the planes; confidence (h, w) in steps of 1/255; whether everything was a number.
        """
        form = like.format
        spec = _down(form)
        name = f"from_rgb {_named(like)}"
        if name not in self._sessions.graphs:
            self._sessions.add(name, spec, _down_model(spec, form, like.colour))
        outputs = self._sessions.run(name, {"rgb": rgb, "confidence": confidence})
        found = {key: self._sessions.to_numpy(value) for key, value in outputs.items()}
        shapes = [form.plane_shape(i, like.width, like.height) for i in range(_colours(form))]
        planes: tuple[Plane, ...] = tuple(
            np.ascontiguousarray(found[f"plane{i}"][0, 0, :rows, :columns]) for i, (rows, columns) in enumerate(shapes)
        )
        sure = found["sure"][0, 0, : like.height, : like.width] * np.float32(1 / _LEVELS)
        return planes, sure, bool(np.isfinite(found["sum"]).all())


def _named(frame: Frame) -> str:
    return f"{frame.format.name} {frame.colour.matrix} {frame.colour.full_range}"


def _colours(form: PixelFormat) -> int:
    """Planes that hold colour."""
    return form.planes - form.alpha


def _tensors(form: PixelFormat) -> tuple[Tensor, ...]:
    def over(size: str, shift: int) -> str:
        return size if not shift else f"{size}/{1 << shift}"

    shapes: list[tuple[int | str, ...]] = [(1, 1, "H", "W")]
    shapes += [(1, 1, over("H", form.shift_y), over("W", form.shift_x))] * (_colours(form) - 1)
    return tuple(Tensor(f"plane{i}", shape, np.dtype(form.dtype).name) for i, shape in enumerate(shapes))


def _up(form: PixelFormat) -> Graph:
    return Graph("", _tensors(form), (Tensor("rgb", (1, 3, "H", "W")),))


def _up_model(spec: Graph, form: PixelFormat, colour: Colour) -> bytes:
    """Rgb = weights x codes + bias; the chroma planes' part is added up first, then each sample repeated."""
    weights, bias, _, _ = matrices(form, colour)
    nodes, constants = [], {"bias": _column(bias)}
    for i, tensor in enumerate(spec.inputs):
        constants[f"weight{i}"] = _column(weights[:, i])
        nodes += [
            Node("Cast", [tensor.name], [f"codes{i}"], {"to": 1}),
            Node("Mul", [f"codes{i}", f"weight{i}"], [f"part{i}"]),
        ]
    if len(spec.inputs) == 1:
        return model(spec, [*nodes, Node("Add", ["part0", "bias"], ["rgb"])], constants)
    nodes += [Node("Add", ["part1", "part2"], ["both"]), Node("Add", ["both", "bias"], ["chroma"])]
    if form.shift_x or form.shift_y:
        constants["scales"] = np.array([1, 1, 1 << form.shift_y, 1 << form.shift_x], np.float32)
        how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        nodes += [Node("Resize", ["chroma", "", "scales"], ["large"], how)]
    return model(spec, [*nodes, Node("Add", ["part0", nodes[-1].outputs[0]], ["rgb"])], constants)


def _down(form: PixelFormat) -> Graph:
    outputs = (*_tensors(form), Tensor("sure", (1, 1, "H", "W"), "uint8"), Tensor("sum", (1, 1, 1, 1)))
    return Graph("", (Tensor("rgb", (1, 3, "H", "W")), Tensor("confidence", (1, 1, "H", "W"))), outputs)


def _down_model(spec: Graph, form: PixelFormat, colour: Colour) -> bytes:
    """Codes = weights x rgb + bias, rounded once; chroma from the mean of its block. A sum tells whether all is finite:
    codes of what is not a number would look like any others.
    """
    _, _, weights, bias = matrices(form, colour)
    constants: dict[str, NDArray[Any]] = {
        "channels": np.array([1]),
        "everywhere": np.array([1, 2, 3]),
        "none": np.zeros((), np.float32),
        "levels": np.array(_LEVELS, np.float32),
        "half": np.array(0.5, np.float32),
        "top": np.array((1 << form.bits) - 0.5, np.float32),
        "all": np.array(_LEVELS + 0.5, np.float32),
    }
    nodes = []
    small = "rgb"
    if form.shift_x or form.shift_y:
        small, block = "means", [1 << form.shift_y, 1 << form.shift_x]
        nodes += [Node("AveragePool", ["rgb"], [small], {"kernel_shape": block, "strides": block})]
    kind = spec.outputs[0].dtype
    for i in range(_colours(form)):
        constants |= {f"weight{i}": _column(weights[i]), f"bias{i}": np.array(bias[i] + 0.5, np.float32)}
        nodes += [
            Node("Mul", [small if i else "rgb", f"weight{i}"], [f"parts{i}"]),
            Node("ReduceSum", [f"parts{i}", "channels"], [f"mix{i}"]),
            Node("Add", [f"mix{i}", f"bias{i}"], [f"codes{i}"]),
            Node("Clip", [f"codes{i}", "none", "top"], [f"bounded{i}"]),
            Node("Cast", [f"bounded{i}"], [f"plane{i}"], {"to": {"uint8": 2, "uint16": 4}[kind]}),
        ]
    nodes += [
        Node("Mul", ["confidence", "levels"], ["share"]),
        Node("Add", ["share", "half"], ["step"]),
        Node("Clip", ["step", "none", "all"], ["level"]),
        Node("Cast", ["level"], ["sure"], {"to": 2}),
        Node("ReduceSum", ["rgb", "everywhere"], ["sum of rgb"]),
        Node("ReduceSum", ["confidence", "everywhere"], ["sum of confidence"]),
        Node("Add", ["sum of rgb", "sum of confidence"], ["sum"]),
    ]
    return model(spec, nodes, constants)


def _column(values: Matrix) -> NDArray[np.float32]:
    return values.astype(np.float32).reshape(1, 3, 1, 1)
