"""The bytes of small ONNX graphs, written without the package onnx: nodes, constants, inputs, outputs, and no more.

The fields are those of onnx.proto3 in https://github.com/onnx/onnx; protocol buffers encode each as a key (its number
and how it is encoded) and a value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vgan_plugin.bundle.signature import Graph, Tensor

OPSET, IR_VERSION = 20, 10
TYPES = {"float32": 1, "uint8": 2, "uint16": 4, "int64": 7, "float16": 10}
"""TensorProto.DataType of each dtype."""
Attribute: TypeAlias = int | str | Sequence[int]


@dataclass(frozen=True)
class Node:
    """One operator: names of its inputs and outputs, and its attributes (an integer, a string, or integers)."""

    operator: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


def model(spec: Graph, nodes: Iterable[Node], constants: Mapping[str, NDArray[np.generic]]) -> bytes:
    """An ONNX file.

    Args:
        spec: inputs and outputs; symbolic dimensions bear the names of their expressions.
        nodes: in order.
        constants: by name; dtypes of `TYPES`.
    """
    graph = b"".join(_bytes(1, _node(node)) for node in nodes) + _bytes(2, b"graph")
    graph += b"".join(_bytes(5, _constant(name, value)) for name, value in constants.items())
    graph += b"".join(_bytes(11, _value(tensor)) for tensor in spec.inputs)
    graph += b"".join(_bytes(12, _value(tensor)) for tensor in spec.outputs)
    return _whole(1, IR_VERSION) + _bytes(7, graph) + _bytes(8, _bytes(1, b"") + _whole(2, OPSET))


def _node(node: Node) -> bytes:
    found = b"".join(_bytes(1, name.encode()) for name in node.inputs)
    found += b"".join(_bytes(2, name.encode()) for name in node.outputs)
    found += _bytes(4, node.operator.encode())
    return found + b"".join(_bytes(5, _attribute(name, value)) for name, value in node.attributes.items())


def _attribute(name: str, value: Attribute) -> bytes:
    if isinstance(value, int):
        return _bytes(1, name.encode()) + _whole(3, value) + _whole(20, 2)
    if isinstance(value, str):
        return _bytes(1, name.encode()) + _bytes(4, value.encode()) + _whole(20, 3)
    return _bytes(1, name.encode()) + b"".join(_whole(8, item) for item in value) + _whole(20, 7)


def _constant(name: str, value: NDArray[np.generic]) -> bytes:
    found = b"".join(_whole(1, size) for size in value.shape) + _whole(2, TYPES[value.dtype.name])
    return found + _bytes(8, name.encode()) + _bytes(9, value.astype(value.dtype.newbyteorder("<")).tobytes())


def _value(tensor: Tensor) -> bytes:
    sizes = (_bytes(2, size.encode()) if isinstance(size, str) else _whole(1, size) for size in tensor.shape)
    shape = b"".join(_bytes(1, size) for size in sizes)
    return _bytes(1, tensor.name.encode()) + _bytes(2, _bytes(1, _whole(1, TYPES[tensor.dtype]) + _bytes(2, shape)))


def _bytes(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _whole(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    """Seven bits a byte, the least first; the others have their highest bit set."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
