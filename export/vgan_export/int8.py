"""A graph whose learned convolutions run on integers of eight bits: two to three times as fast where the CPU has
instructions for it, and nearly twice where it has not.

Weights are rounded when the graph is loaded, from the file that all graphs share, to seven bits: products of eight
overflow on CPUs without those instructions, and would be other numbers there. What goes into and comes out of a
convolution is rounded within the range that calibration saw. What the network says last, of motion, colour and
confidence, and the cell that carries it from frame to frame, stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import Tensor

from vgan_export.parity import Exported, moving
from vgan_plugin.bundle.signature import Graph
from vgan_plugin.runtime.providers import Device
from vgan_plugin.runtime.session import Value, open_alone

LARGEST_WEIGHT = 63
LEAST_CHANNELS = 16
"""Fewer are not worth rounding for."""
MARGIN = 1.1
"""Pictures may go beyond the range that calibration saw."""
SIZE = {"H": 128, "W": 224}
FRAMES = 9
OFFSETS = ((-0.5, 0.5), (-0.25, 0.75), (-2.0, -1.0))
_TRUNK = ("LeakyRelu", "Add", "Resize")
"""What may follow a convolution that runs on integers, and runs on them itself, or is exact enough."""


class Plan:
    """Which convolutions of a graph run on integers, and which tensors are rounded for it.

    Args:
        model: as `graphs` writes it: learned weights are stored as halves, each with a Cast.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        stored = {i.name: list(i.dims) for i in model.graph.initializer}
        learned = {n.output[0]: stored[n.input[0]] for n in model.graph.node if _casts(n, stored)}
        users: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            for name in node.input:
                users.setdefault(name, []).append(node)
        self.convolutions: set[str] = set()
        self.tensors: set[str] = set()

        def follow(name: str) -> None:
            self.tensors.add(name)
            for node in users.get(name, []):
                if node.op_type in _TRUNK and node.output[0] not in self.tensors:
                    self.tensors.update(node.input if node.op_type == "Add" else ())
                    follow(node.output[0])

        for node in model.graph.node:
            if node.op_type != "Conv" or node.input[1] not in learned or node.input[0] == "noise":
                continue  # there is no noise where nothing is synthesised, and no range of it
            after = users.get(node.output[0], [])
            trunk = bool(after) and all(user.op_type in _TRUNK for user in after)
            if trunk and min(learned[node.input[1]][:2]) >= LEAST_CHANNELS:
                self.convolutions.add(node.output[0])
                self.tensors.add(node.input[0])
                follow(node.output[0])


def _casts(node: onnx.NodeProto, stored: Mapping[str, Any]) -> bool:
    return bool(node.op_type == "Cast" and node.input[0] in stored)


def quantise(
    models: Mapping[str, onnx.ModelProto],
    graphs: Mapping[str, Graph],
    weights: Mapping[str, NDArray[np.float32]],
    folder: Path,
) -> dict[str, onnx.ModelProto]:
    """The graphs that gain from integers, converted.

    Args:
        models: the graphs by name, as `graphs` writes them.
        graphs: their signatures.
        weights: the learned weights by the names that the graphs give them.
        folder: where the file of weights lies; others are written beside it and taken away again.
    """
    plans = {name: Plan(model) for name, model in models.items()}
    tapped = _Tapped(models, graphs, plans, folder)
    for clip in _clips():
        exported = Exported(tapped)
        for i, frame in enumerate(clip):
            exported.observe(frame.numpy())
            if i > 1:
                exported.render(OFFSETS[i % len(OFFSETS)])
    return {
        name: _converted(models[name], plan, tapped.ranges[name], weights)
        for name, plan in plans.items()
        if plan.convolutions
    }


def _clips() -> Iterator[list[Tensor]]:
    """Pictures of the kinds that stir a network most: smooth ones, detail at every scale, hard edges, and cuts."""
    height, width = SIZE["H"], SIZE["W"]
    noise = torch.Generator().manual_seed(1)

    def texture() -> Tensor:
        total = torch.zeros(1, 3, height, width)
        for scale in (2, 4, 8, 16, 32):
            knots = torch.rand(1, 3, height // scale, width // scale, generator=noise)
            total += scale**0.5 * F.interpolate(knots, size=(height, width), mode="bicubic")
        total = (total - total.min()) / (total.max() - total.min())
        return (1.6 * total - 0.3).clamp(0, 1)

    smooth, detail, edges = moving(height, width, FRAMES), texture(), (texture() > 0.5).float()
    yield smooth
    yield [torch.roll(detail, (2 * i, 5 * i), (2, 3)) for i in range(FRAMES)]
    yield [torch.roll(edges, (i, -3 * i), (2, 3)) for i in range(FRAMES)]
    yield [smooth[0], detail, edges, smooth[5], edges, detail]


class _Tapped:
    """The graphs as sessions, which note the range of every tensor that is to be rounded."""

    def __init__(
        self,
        models: Mapping[str, onnx.ModelProto],
        graphs: Mapping[str, Graph],
        plans: Mapping[str, Plan],
        folder: Path,
    ) -> None:
        self.graphs = graphs
        self.ranges: dict[str, dict[str, tuple[float, float]]] = {name: {} for name in models}
        self._plans = plans
        self._runs = {}
        self._outputs = {}
        for name, model in models.items():
            tapped = onnx.ModelProto()
            tapped.CopyFrom(model)
            own = [value.name for value in tapped.graph.output]
            more = sorted(plans[name].tensors - {*own, *(value.name for value in tapped.graph.input)})
            tapped.graph.output.extend(helper.make_empty_tensor_value_info(tensor) for tensor in more)
            path = folder / f"{name}.tapped.onnx"
            path.write_bytes(tapped.SerializeToString())
            fixed = {size: SIZE[symbol] // over for size, (symbol, over) in graphs[name].symbols.items()}
            self._runs[name], self._outputs[name] = open_alone(path, Device("cpu"), fixed), own + more
            path.unlink()

    def run(self, graph: str, inputs: Mapping[str, Value]) -> dict[str, Value]:
        """As `GraphSessions.run`."""
        outputs = dict(zip(self._outputs[graph], self._runs[graph](inputs), strict=True))
        ranges = self.ranges[graph]
        for name in self._plans[graph].tensors:
            values = outputs[name] if name in outputs else inputs[name]
            low, high = ranges.get(name, (0.0, 0.0))
            ranges[name] = min(low, float(values.min())), max(high, float(values.max()))
        return {output.name: outputs[output.name] for output in self.graphs[graph].outputs}

    def to_numpy(self, value: Value) -> NDArray[Any]:
        """As `GraphSessions.to_numpy`."""
        return np.asarray(value)


def _converted(
    model: onnx.ModelProto,
    plan: Plan,
    ranges: Mapping[str, tuple[float, float]],
    weights: Mapping[str, NDArray[np.float32]],
) -> onnx.ModelProto:
    """Every tensor of the plan is rounded and read as rounded; ONNX Runtime makes integer operators of that."""
    found = onnx.ModelProto()
    found.CopyFrom(model)
    graph = found.graph
    nodes: list[onnx.NodeProto] = []
    rounded: dict[str, str] = {}
    scales: dict[str, np.float32] = {}

    def constants(name: str, **values: object) -> list[str]:
        names = [f"{name}.{key}" for key in values]
        graph.initializer.extend(
            numpy_helper.from_array(np.asarray(v), n) for n, v in zip(names, values.values(), strict=True)
        )
        return names

    def round_off(name: str) -> None:
        low, high = (MARGIN * edge for edge in ranges[name])
        scales[name] = np.float32(max(high - low, 1e-6) / 255)
        grid = constants(name, scale=scales[name], zero=np.uint8(np.clip(round(-low / float(scales[name])), 0, 255)))
        nodes.append(helper.make_node("QuantizeLinear", [name, *grid], [f"{name}.codes"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}.codes", *grid], [f"{name}.rounded"]))
        rounded[name] = f"{name}.rounded"

    for value in graph.input:
        if value.name in plan.tensors:
            round_off(value.name)
    for node in graph.node:
        inputs = [rounded.get(name, name) for name in node.input]
        if node.output[0] in plan.convolutions:
            weight, *biases = node.input[1:]
            bias = weights[biases[0]] if biases else np.zeros(len(weights[weight]), np.float32)
            least = np.abs(bias) / (scales[node.input[0]] * 2**30)  # else the bias does not fit
            scale = np.maximum(np.abs(weights[weight]).max((1, 2, 3)) / LARGEST_WEIGHT, least + 1e-9).astype(np.float32)
            grid = constants(f"{node.output[0]}.weight", scale=scale, zero=np.zeros(len(scale), np.int8))
            step = scale * scales[node.input[0]]
            sums = constants(
                f"{node.output[0]}.bias",
                codes=np.round(bias / step).astype(np.int32),
                scale=step,
                zero=np.zeros(len(scale), np.int32),
            )
            inputs[1:] = [f"{node.output[0]}.weight", f"{node.output[0]}.bias"]
            nodes += [
                helper.make_node("QuantizeLinear", [weight, *grid], [f"{inputs[1]}.codes"], axis=0),
                helper.make_node("DequantizeLinear", [f"{inputs[1]}.codes", *grid], [inputs[1]], axis=0),
                helper.make_node("DequantizeLinear", sums, [inputs[2]], axis=0),
            ]
        node.input[:] = inputs
        nodes.append(node)
        for name in node.output:
            if name in plan.tensors:
                round_off(name)
    del graph.node[:]
    graph.node.extend(nodes)
    return found
