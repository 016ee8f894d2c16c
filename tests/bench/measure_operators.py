"""The same thing by different operators of ONNX Runtime, in CPU milliseconds of one thread, at 448x256.

python tests/bench/measure_operators.py
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

HEIGHT, WIDTH = 256, 448
ROUNDS = 25
Weights = dict[str, Any]


def milliseconds(shapes: dict[str, list[int]], nodes: list[tuple[Any, ...]], weights: Weights) -> float:
    """The lower third of the CPU times of a graph; nodes are (operator, inputs, output, attributes)."""
    made = [helper.make_node(kind, inputs, outputs, **attributes) for kind, inputs, outputs, attributes in nodes]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()]
    graph = helper.make_graph(made, "g", inputs, [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    feed = {name: rng.random(shape, dtype=np.float32) for name, shape in shapes.items()}
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        session.run(None, feed)
        times.append(time.process_time() - start)
    return float(np.percentile(times[2:], 33)) * 1e3


def unshuffle(channels: int, factor: int, *, steps: int) -> tuple[list[tuple[Any, ...]], Weights]:
    """pixel_unshuffle as torch exports it, in one transposition, or as `layers.unshuffle` is, in two: x -> u."""
    rows, columns = HEIGHT // factor, WIDTH // factor
    joined = {"joined": np.array([1, channels * factor**2, rows, columns])}
    if steps == 1:
        nodes = [
            ("Reshape", ["x", "split"], ["s"], {}),
            ("Transpose", ["s"], ["t"], {"perm": [0, 1, 3, 5, 2, 4]}),
            ("Reshape", ["t", "joined"], ["u"], {}),
        ]
        return nodes, {"split": np.array([1, channels, rows, factor, columns, factor]), **joined}
    nodes = [
        ("Reshape", ["x", "lines"], ["l"], {}),
        ("Transpose", ["l"], ["a"], {"perm": [0, 2, 1, 3]}),
        ("Reshape", ["a", "pixels"], ["p"], {}),
        ("Transpose", ["p"], ["t"], {"perm": [0, 2, 1]}),
        ("Reshape", ["t", "joined"], ["u"], {}),
    ]
    lines, pixels = [channels, rows, factor, WIDTH], [channels * factor, rows * columns, factor]
    return nodes, {"lines": np.array(lines), "pixels": np.array(pixels), **joined}


def main() -> None:
    rng = np.random.default_rng(0)

    def random(*shape: int) -> Any:
        return rng.random(shape, dtype=np.float32)

    def picture(channels: int) -> dict[str, list[int]]:
        return {"x": [1, channels, HEIGHT, WIDTH]}

    around = {"pads": [1, 1, 1, 1]}
    rows: list[tuple[str, float]] = []
    for size in (3, 5, 7):
        same = {"pads": [size // 2] * 4}
        pool = [("AveragePool", ["x"], ["y"], {"kernel_shape": [size, size], **same})]
        rows.append((f"mean of {size}x{size}, AveragePool", milliseconds(picture(1), pool, {})))
        weights = {"w": random(1, 1, size, size)}
        rows.append(("    Conv", milliseconds(picture(1), [("Conv", ["x", "w"], ["y"], same)], weights)))
    rows.append(
        ("two shares that sum to one, Softmax", milliseconds(picture(2), [("Softmax", ["x"], ["y"], {"axis": 1})], {}))
    )
    rows.append(("    Sigmoid of the difference", milliseconds(picture(1), [("Sigmoid", ["x"], ["y"], {})], {})))
    for channels, factor, outputs, size in ((7, 2, 32, 3), (4, 8, 64, 1)):
        nodes, weights = unshuffle(channels, factor, steps=1)
        weights["w"] = random(outputs, channels * factor**2, size, size)
        attributes = around if size == 3 else {}
        found = milliseconds(picture(channels), [*nodes, ("Conv", ["u", "w"], ["y"], attributes)], weights)
        rows.append((f"pixel_unshuffle by {factor} and Conv {size}x{size}", found))
        wide = {"w": random(outputs, channels, size * factor, size * factor)}
        attributes = {"strides": [factor, factor], "pads": [size // 2 * factor] * 4}
        found = milliseconds(picture(channels), [("Conv", ["x", "w"], ["y"], attributes)], wide)
        rows.append((f"    Conv {size * factor}x{size * factor} with a stride of {factor}", found))
    for steps in (1, 2):
        nodes, weights = unshuffle(4, 4, steps=steps)
        nodes.append(("Identity", ["u"], ["y"], {}))
        rows.append((f"pixel_unshuffle by 4, transpositions: {steps}", milliseconds(picture(4), nodes, weights)))
    one = {"w": random(1, 3, 1, 1)}
    rows.append(("luma, Conv 1x1", milliseconds(picture(3), [("Conv", ["x", "w"], ["y"], {})], one)))
    product = [("Reshape", ["x", "flat"], ["f"], {}), ("MatMul", ["w", "f"], ["y"], {})]
    weights = {"w": random(1, 3), "flat": np.array([1, 3, HEIGHT * WIDTH])}
    rows.append(("    MatMul", milliseconds(picture(3), product, weights)))
    whole = [("Conv", ["x", "w"], ["y"], {"group": 3, "pads": [4] * 4})]
    rows.append(("window of 9x9 on 3 channels", milliseconds(picture(3), whole, {"w": random(3, 1, 9, 9)})))
    parted = [
        ("Conv", ["x", "down"], ["d"], {"group": 3, "pads": [4, 0, 4, 0]}),
        ("Conv", ["d", "across"], ["y"], {"group": 3, "pads": [0, 4, 0, 4]}),
    ]
    weights = {"down": random(3, 1, 9, 1), "across": random(3, 1, 1, 9)}
    rows.append(("    9x1, then 1x9", milliseconds(picture(3), parted, weights)))
    pool = [("AveragePool", ["x"], ["y"], {"kernel_shape": [2, 2], "strides": [2, 2]})]
    rows.append(("halves of 2 channels, AveragePool", milliseconds(picture(2), pool, {})))
    halves = [("Conv", ["x", "w"], ["y"], {"group": 2, "strides": [2, 2]})]
    rows.append(("    Conv", milliseconds(picture(2), halves, {"w": random(2, 1, 2, 2)})))
    for channels in (10, 4):
        shapes = {"x": [2, channels, HEIGHT, WIDTH], "o": [2, 2, HEIGHT, WIDTH]}
        node = ("DeformConv", ["x", "w", "o"], ["y"], {"kernel_shape": [1, 1], "group": channels})
        rows.append((f"warp of 2x{channels} channels", milliseconds(shapes, [node], {"w": random(channels, 1, 1, 1)})))
    for label, found in rows:
        print(f"{found:7.2f}  {label}")


if __name__ == "__main__":
    main()
