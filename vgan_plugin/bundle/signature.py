"""A graph's signature: names, dtypes and shapes of its inputs and outputs, with sizes that only a video fixes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from vgan_plugin.errors import BundleGraph

DTYPES = ("float32", "float16", "uint8", "int64", "bool")
# What is known only with the video: padded height and width, and how many targets go in one call.
_DIMENSION = re.compile(r"(?P<symbol>[HWN])(?:/(?P<divisor>[1-9]\d{0,3}))?")

Dimension = int | str


@dataclass(frozen=True)
class Tensor:
    """One input or output of a graph.

    Attributes:
        name: its name in the graph.
        shape: fixed sizes, or expressions such as ``H/16``; the graph's symbolic dimensions bear just these names.
        dtype: one of `DTYPES`.
    """

    name: str
    shape: tuple[Dimension, ...]
    dtype: str = "float32"

    def resolve(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The shape in numbers.

        Args:
            sizes: values of the symbols, such as ``{"H": 256, "W": 448}``.

        Raises:
            BundleGraph: a symbol is unknown here or not a multiple of its divisor.
        """
        return tuple(d if isinstance(d, int) else evaluate(d, sizes) for d in self.shape)

    def solve(self, shape: tuple[int, ...]) -> dict[str, int]:
        """The symbols' values that give this shape: the inverse of `resolve`.

        Raises:
            BundleGraph: no values do.
        """
        sizes: dict[str, int] = {}
        if len(shape) == len(self.shape):
            for dimension, size in zip(self.shape, shape, strict=True):
                if isinstance(dimension, str):
                    symbol, divisor = parts(dimension)
                    sizes.setdefault(symbol, size * divisor)
        try:
            fits = self.resolve(sizes) == shape
        except BundleGraph:
            fits = False
        if not fits:
            raise BundleGraph(
                f"Tensor {self.name!r} does not take the shape {shape}",
                f"the bundle says {list(self.shape)}",
                "give the shape that the bundle states",
            )
        return sizes


@dataclass(frozen=True)
class Graph:
    """One ONNX graph: its file and its signature, in order."""

    file: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @property
    def symbols(self) -> dict[str, tuple[str, int]]:
        """Every symbolic dimension of the inputs by its expression: (symbol, divisor)."""
        return {d: parts(d) for t in self.inputs for d in t.shape if isinstance(d, str)}


def evaluate(dimension: str, sizes: Mapping[str, int]) -> int:
    """The number that an expression such as ``H/16`` stands for.

    Raises:
        BundleGraph: its symbol has no value in `sizes`, or not a multiple of the divisor.
    """
    symbol, divisor = parts(dimension)
    size = sizes.get(symbol)
    if size is None or size % divisor:
        raise BundleGraph(
            f"Dimension {dimension} has no whole value",
            f"{symbol} is {'unknown' if size is None else size}",
            "give sizes that are multiples of the bundle's stride",
        )
    return size // divisor


def parts(dimension: str) -> tuple[str, int]:
    """Symbol and divisor of an expression.

    Raises:
        BundleGraph: it is none.
    """
    match = _DIMENSION.fullmatch(dimension)
    if not match:
        raise BundleGraph(
            f"Dimension {dimension!r} is not understood",
            "a symbolic dimension is H, W or N, or one of them over a whole number",
            "export the bundle with dimensions such as H/16",
        )
    return match["symbol"], int(match["divisor"] or 1)
