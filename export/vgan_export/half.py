"""A graph in which what was learned runs in half precision, and what was built in stays in single.

The convolutions of the network, and what stands between them, lose nothing that counts. The built-in motion would:
its normal equations hold products of small differences, and its coordinates reach thousands of pixels. The picture
itself stays in single precision, too, so that what is still comes out as it went in.
"""

from __future__ import annotations

import re
from dataclasses import replace

import onnx
from onnx import TensorProto, helper

from vgan_plugin.bundle.signature import Graph, Tensor

LEARNED = re.compile(r"(a_|b_|previous_|next_)?(f4|f8|f16|hidden|memory)")
"""Inputs and outputs of the graphs that hold what the network says, not what is seen."""
_ALL = 99
_SAMPLES = {
    "Add": _ALL,
    "Concat": _ALL,
    "Conv": _ALL,
    "DeformConv": _ALL,
    "LeakyRelu": 1,
    "Mul": _ALL,
    "Resize": 1,
    "Sigmoid": 1,
    "Slice": 1,
    "Split": 1,
    "Sub": _ALL,
    "Tanh": 1,
}
"""What may run in half precision, and how many of its first inputs are samples."""


def halved(graph: Graph, file: str) -> Graph:
    """The signature of a graph's half-precision version, which lies in `file`."""

    def typed(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(replace(t, dtype="float16") if LEARNED.fullmatch(t.name) else t for t in tensors)

    return Graph(file, typed(graph.inputs), typed(graph.outputs))


def halve(model: onnx.ModelProto) -> onnx.ModelProto:
    """Convert a graph whose learned weights are stored as halves, each with a Cast (see `graphs`).

    Args:
        model: is left as it is.

    Returns:
        a model whose inputs and outputs are called the same; those of `LEARNED` are float16.
    """
    found = onnx.ModelProto()
    found.CopyFrom(model)
    graph = found.graph
    constant = {i.name for i in graph.initializer}
    half = {i.name for i in graph.initializer if i.data_type == TensorProto.FLOAT16}
    outputs = {value.name for value in graph.output}
    for value in (*graph.input, *graph.output):
        if LEARNED.fullmatch(value.name):
            value.type.tensor_type.elem_type = TensorProto.FLOAT16
    half |= {value.name for value in graph.input if LEARNED.fullmatch(value.name)}
    nodes: list[onnx.NodeProto] = []
    renamed: dict[str, str] = {}
    casts: dict[str, str] = {}

    def cast(name: str, *, to_half: bool, result: str = "") -> str:
        if result or name not in casts:
            kind = TensorProto.FLOAT16 if to_half else TensorProto.FLOAT
            nodes.append(helper.make_node("Cast", [name], [result or f"{name}.cast"], to=kind))
            casts[name] = result or f"{name}.cast"
        return casts[name]

    for node in graph.node:
        inputs = [renamed.get(name, name) for name in node.input]
        if node.op_type == "Cast" and inputs[0] in half & constant:  # a weight: taken as it is stored
            renamed[node.output[0]] = inputs[0]
            continue
        fixed = all(name in constant for name in inputs if name)
        runs_half = inputs[0] in half if fixed and inputs else _runs_half(node.op_type, inputs, half, constant)
        for i, name in enumerate(inputs):
            if name in half and not runs_half:
                inputs[i] = cast(name, to_half=False)
            elif name and name not in half and runs_half and not fixed and i < _SAMPLES[node.op_type]:
                inputs[i] = cast(name, to_half=True)
        node.input[:] = inputs
        nodes.append(node)
        for i, name in enumerate(node.output):
            if name in outputs and runs_half != bool(LEARNED.fullmatch(name)):
                node.output[i] = renamed[name] = f"{name}.raw"
                cast(node.output[i], to_half=not runs_half, result=name)
        if runs_half:
            half.update(node.output)
        if fixed:
            constant.update(node.output)
    del graph.node[:]
    graph.node.extend(nodes)
    return found


def _runs_half(operator: str, inputs: list[str], half: set[str], constant: set[str]) -> bool:
    """Convolutions with learned weights do, warps of learned features, and what has nothing but those to work on. What
    is seen beside what is learned goes into the next convolution with it.
    """
    if operator == "Conv":
        return inputs[1] in half
    if operator == "DeformConv":
        return inputs[0] in half
    samples = [name for name in inputs[: _SAMPLES.get(operator, 0)] if name not in constant]
    return any(s in half for s in samples) and (operator == "Concat" or all(s in half for s in samples))
