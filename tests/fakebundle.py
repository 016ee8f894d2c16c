"""A small bundle that really runs, made with onnx: the network of a joke, the signatures of the real thing.

features = 2x2 means of the frame and its validity; state' = (features + state) / 2; rgb = the state's mean, as large as
the frame, plus dt; confidence = 0.5.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from vgan_plugin.bundle.manifest import Manifest, Training
from vgan_plugin.bundle.signature import Graph, Tensor

FRAME = Tensor("frame", (1, 3, "H", "W"))
FEATURES = Tensor("features", (1, 3, "H/2", "W/2"))
STATE = Tensor("state", (1, 3, "H/2", "W/2"))
STATE_OUT = replace(STATE, name="state_out")
OFFSETS = Tensor("offsets", ("N", 2))
RGB = Tensor("rgb", ("N", 3, "H", "W"))

MANIFEST = Manifest(
    name="fake",
    title="A bundle of the tests",
    licence="CC0-1.0",
    tasks=("fill", "interpolate"),
    preset="tiny",
    graphs={
        "encode": Graph("encode.onnx", (FRAME,), (FEATURES,)),
        "remember": Graph("remember.onnx", (FEATURES, STATE), (STATE_OUT,)),
        "render": Graph("render.onnx", (STATE, OFFSETS), (RGB,)),
    },
    block=32,
    lead=8,
    offset_range=(-4.0, 4.0),
    stride=2,
    opset=20,
    precision="fp32",
    parameters=36,
    gflop_per_megapixel=0.01,
    training=Training(metrics={"psnr": 30.0}),
    parity={"max": 0.0},
    weights="weights.bin",
)
WEIGHT = np.float16(0.25)


def make(folder: Path, location: str = "weights.bin", manifest: Manifest = MANIFEST, fixed: bool = False) -> Path:
    """Write the bundle into `folder` (made). `location`: where the encode graph says its weights lie; `fixed`: its
    frame is 8x8 whatever the manifest says.
    """
    from onnx import TensorProto, checker, helper, save

    folder.mkdir(parents=True)
    weights = np.zeros((3, 3, 2, 2), np.float16)
    for c in range(3):
        weights[c, c] = WEIGHT
    (folder / "weights.bin").write_bytes(weights.tobytes())
    w16 = TensorProto(name="w16", data_type=TensorProto.FLOAT16, dims=weights.shape)
    w16.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(weights.nbytes))):
        w16.external_data.add(key=key, value=value)
    half = helper.make_tensor("half", TensorProto.FLOAT, [], [0.5])
    scales = helper.make_tensor("scales", TensorProto.FLOAT, [4], [1, 1, 2, 2])
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    shape = helper.make_tensor("shape", TensorProto.INT64, [4], [-1, 1, 1, 1])
    nodes = {
        "encode": [
            helper.make_node("Cast", ["w16"], ["w"], to=TensorProto.FLOAT),
            helper.make_node("Conv", ["frame", "w"], ["features"], kernel_shape=[2, 2], strides=[2, 2]),
        ],
        "remember": [
            helper.make_node("Add", ["features", "state"], ["sum"]),
            helper.make_node("Mul", ["sum", "half"], ["state_out"]),
        ],
        "render": [
            helper.make_node("Resize", ["state", "", "scales"], ["large"], mode="nearest"),
            helper.make_node("ReduceMean", ["offsets", "axes"], ["mean"], keepdims=0),
            helper.make_node("Reshape", ["mean", "shape"], ["dt"]),
            helper.make_node("Add", ["large", "dt"], ["rgb"]),
        ],
    }
    constants = {"encode": [w16], "remember": [half], "render": [scales, axes, shape]}
    for name, spec in MANIFEST.graphs.items():
        sides = [
            [helper.make_tensor_value_info(t.name, TensorProto.FLOAT, _fixed(t) if fixed else t.shape) for t in side]
            for side in (spec.inputs, spec.outputs)
        ]
        graph = helper.make_graph(nodes[name], name, *sides, initializer=constants[name])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        if location == "weights.bin":
            save(model, folder / spec.file)
            checker.check_model(folder / spec.file)
        else:
            (folder / spec.file).write_bytes(model.SerializeToString())
    manifest.write(folder)
    return folder


def _fixed(tensor: Tensor) -> tuple[int, ...]:
    return tensor.resolve({"H": 8, "W": 8, "N": 1})
