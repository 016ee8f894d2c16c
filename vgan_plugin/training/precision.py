"""Half precision where it costs nothing: the learned layers in bfloat16, everything between them in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vgan_plugin.training.generator import Generator

LEARNED = ("encoder", "cell", "head16", "head8", "head4", "fusion")
"""The generator's networks; what lies between them is geometry, which half precision would spoil."""


def in_bf16(generator: Generator) -> None:
    """Let the layers of the generator's networks compute in bfloat16; what goes in and comes out stays float32."""
    for name in LEARNED:
        module = generator.get_submodule(name)
        module.forward = _autocast(module.forward)


def _autocast(forward: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*inputs: Any) -> Any:
        device = next(t for t in inputs if isinstance(t, Tensor)).device.type
        with torch.autocast(device, torch.bfloat16):
            return _floats(forward(*inputs))

    return wrapped


def _floats(values: Any) -> Any:
    """Tensors, and tuples of them, as float32; None stays."""
    if values is None:
        return None
    if isinstance(values, Tensor):
        return values.float()
    made = [_floats(value) for value in values]
    return type(values)(*made) if hasattr(values, "_fields") else tuple(made)
