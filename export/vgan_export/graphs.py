"""Generator -> ONNX graphs with explicit state, dynamic height and width, and weights stored as fp16 in one file.

Opset 20: kernels are registered up to a version, and newer operator versions lose some of them on CUDA in wheels that
people have. Symbolic dimensions bear the names that a bundle's manifest states (``H/16``), so that a session can fix
them and fold all shape arithmetic away.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from vgan_export.half import halve, halved
from vgan_export.int8 import quantise
from vgan_plugin.bundle.signature import Graph
from vgan_plugin.bundle.signature import Tensor as Signature
from vgan_plugin.training.checkpoint import INDEX
from vgan_plugin.training.generator import NOISE, STRIDE, Features, Generator
from vgan_plugin.training.recurrence import State

OPSET = 20
IR_VERSION = 10
WEIGHTS = "weights.bin"
LEARNED = "generator."
"""How the names of learned weights begin in the graphs."""
ALIGNMENT = 64
HEADROOM = 0.5
_HEIGHT, _WIDTH = 256, 448  # of the example inputs


@dataclass(frozen=True)
class Port:
    """One input or output: its name, its channels (None: not a picture) and its stride."""

    name: str
    channels: int | None
    stride: int = 1

    @property
    def shape(self) -> tuple[int | str, ...]:
        """As a manifest states it."""
        if self.channels is None:
            return (1,)
        over = "" if self.stride == 1 else f"/{self.stride}"
        return (1, self.channels, f"H{over}", f"W{over}")


def feature_ports(generator: Generator, prefix: str = "") -> tuple[Port, ...]:
    """The ports of one frame's `Features`, in order."""
    p = generator.preset
    return (
        Port(prefix + "image", 4),
        Port(prefix + "d16", 5, 16),
        Port(prefix + "y16", 3, 16),
        Port(prefix + "y8", 3, 8),
        Port(prefix + "y4", 3, 4),
        Port(prefix + "y2", 3, 2),
        Port(prefix + "f4", p.c4, 4),
        Port(prefix + "f8", p.c8, 8),
        Port(prefix + "f16", p.c16, 16),
    )


def state_ports(generator: Generator) -> tuple[Port, ...]:
    """The ports of the state: what the cell has of it."""
    hidden, motion = Port("hidden", generator.preset.state, 16), Port("motion", 6, 8)
    return (hidden, Port("memory", generator.memory, 16), motion) if generator.memory else (hidden, motion)


class Encode(nn.Module):
    """frame, valid -> features."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator
        self.inputs: tuple[Port, ...] = (Port("frame", 3), Port("valid", 1))
        self.outputs: tuple[Port, ...] = feature_ports(generator)

    def forward(self, frame: Tensor, valid: Tensor) -> tuple[Tensor, ...]:
        """As `Generator.encode`."""
        return tuple(self.generator.encode(frame, valid))


class Remember(nn.Module):
    """One step of a chain; of the features only what it reads."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator
        state = state_ports(generator)
        self.inputs: tuple[Port, ...] = (
            Port("d16", 5, 16),
            Port("y16", 3, 16),
            Port("y8", 3, 8),
            Port("y4", 3, 4),
            Port("f16", generator.preset.c16, 16),
            Port("previous_d16", 5, 16),
            Port("previous_y16", 3, 16),
            Port("previous_y8", 3, 8),
            Port("previous_y4", 3, 4),
            Port("dt", None),
            *state,
        )
        self.outputs: tuple[Port, ...] = tuple(Port("next_" + s.name, s.channels, s.stride) for s in state)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """As `Generator.remember`, inputs in the order of `self.inputs`."""
        d16, y16, y8, y4, f16, previous_d16, previous_y16, previous_y8, previous_y4, dt = inputs[:10]
        hidden, *memory, motion = inputs[10:]
        none = d16  # features that this step does not read
        features = Features(none, d16, y16, y8, y4, none, none, none, f16)
        previous = Features(none, previous_d16, previous_y16, previous_y8, previous_y4, none, none, none, none)
        state = State(hidden, memory[0] if memory else hidden[:, :0], motion)
        after = self.generator.remember(features, previous, dt, state)
        return tuple(part for part in after if part is not None and part.shape[1])


class Render(nn.Module):
    """One frame; bounded here, with room for the colours that YUV codes reach outside the RGB cube."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator
        p = generator.preset
        self.inputs: tuple[Port, ...] = (
            *feature_ports(generator, "a_"),
            *feature_ports(generator, "b_"),
            Port("hidden", p.state, 16),
            Port("motion", 6, 8),
            Port("later", 6, 8),
            Port("before", None),
            Port("after", None),
            Port("known", 3),
            Port("mask", 1),
            Port("noise", NOISE, 16),
        )
        self.outputs: tuple[Port, ...] = (Port("rgb", 3), Port("confidence", 1))

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """As `Generator.render`, inputs in the order of `self.inputs`; offsets come as two numbers."""
        n = len(Features._fields)
        a, b, (hidden, motion, later, before, after, *picture) = inputs[:n], inputs[n : 2 * n], inputs[2 * n :]
        offsets, state = torch.stack((before, after), 1), State(hidden, hidden, motion)  # no memory is read here
        known, mask, noise = picture
        made = self.generator.render(Features(*a), Features(*b), state, offsets, known, mask, noise, later)
        return made.rgb.clamp(-HEADROOM, 1 + HEADROOM), made.confidence


class Sow(nn.Module):
    """Noise -> the state a video from noise begins with."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator
        self.inputs: tuple[Port, ...] = (Port("noise", NOISE, 16),)
        self.outputs: tuple[Port, ...] = state_ports(generator)[:-1]  # there is no motion yet

    def forward(self, noise: Tensor) -> tuple[Tensor, ...]:
        """As `Generator.seed`."""
        hidden, memory, _ = self.generator.seed(noise)
        return (hidden, memory) if self.generator.memory else (hidden,)


def export_graphs(generator: Generator, folder: Path) -> dict[str, dict[str, Graph]]:
    """Write ``encode.onnx``, ``remember.onnx``, ``render.onnx``, for synthesis ``seed.onnx``, the same in half
    precision (``encode.fp16.onnx`` ...), those that gain from it with integers (``encode.int8.onnx`` ...), and their
    weights.

    Args:
        generator: in evaluation mode; weights should be representable in fp16 (see `rounded`).
        folder: an existing folder.

    Returns:
        The graphs' signatures for the manifest, by precision.
    """
    blob = bytearray()
    index: dict[str, dict[str, object]] = {}
    found: dict[str, dict[str, Graph]] = {"fp32": {}, "fp16": {}}
    models = {}
    modules: dict[str, Encode | Remember | Render | Sow] = {
        "encode": Encode(generator),
        "remember": Remember(generator),
        "render": Render(generator),
    }
    if generator.preset.synthesises:
        modules["seed"] = Sow(generator)
    for name, module in modules.items():
        model = models[name] = _trace(module.eval(), module.inputs, module.outputs)
        onnx.checker.check_model(model)
        _store_halves(model, blob, index)
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
        (folder / f"{name}.fp16.onnx").write_bytes(halve(model).SerializeToString())
        signature = Graph(f"{name}.onnx", _signatures(module.inputs), _signatures(module.outputs))
        found["fp32"][name], found["fp16"][name] = signature, halved(signature, f"{name}.fp16.onnx")
    for name, weight in generator.state_dict().items():
        if name not in index:  # the exporter keeps one of several equal weights; whoever trains on wants each
            _store(name, weight.numpy(), blob, index)
    (folder / WEIGHTS).write_bytes(bytes(blob))
    (folder / INDEX).write_text(json.dumps(index, indent=0) + "\n", "utf-8")
    if not generator.preset.synthesises:  # whose corrections count everywhere, and with them what rounding adds
        found["int8"] = dict(found["fp32"])
        weights = {LEARNED + name: weight.numpy() for name, weight in generator.state_dict().items()}
        for name, model in quantise(models, found["fp32"], weights, folder).items():
            (folder / f"{name}.int8.onnx").write_bytes(model.SerializeToString())
            found["int8"][name] = replace(found["fp32"][name], file=f"{name}.int8.onnx")
    return found


def rounded(generator: Generator) -> Generator:
    """The same generator with every weight rounded to fp16 and back: what ships is what is compared."""
    with torch.no_grad():
        for weight in generator.parameters():
            weight.copy_(weight.half().float())
    return generator.eval()


def _signatures(ports: Sequence[Port]) -> tuple[Signature, ...]:
    return tuple(Signature(port.name, port.shape) for port in ports)


def _trace(module: nn.Module, inputs: Sequence[Port], outputs: Sequence[Port]) -> onnx.ModelProto:
    height, width = torch.export.Dim("h", min=2, max=1024), torch.export.Dim("w", min=2, max=1024)

    def example(port: Port) -> Tensor:
        if port.channels is None:
            return torch.ones(1)
        return torch.rand(1, port.channels, _HEIGHT // port.stride, _WIDTH // port.stride)

    def dims(port: Port) -> dict[int, object] | None:
        if port.channels is None:
            return None
        k = STRIDE // port.stride
        return {2: k * height if k > 1 else height, 3: k * width if k > 1 else width}

    examples = tuple(example(port) for port in inputs)
    each = tuple(dims(port) for port in inputs)
    dynamic: tuple[Any, ...] = (each,) if isinstance(module, Remember | Render) else each
    with warnings.catch_warnings():
        # One symbol a stride is what is wanted; the exporter's advice on names does not apply to renamed dimensions.
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            module,
            examples,
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            verbose=False,
            dynamic_shapes=dynamic,
            input_names=[port.name for port in inputs],
            output_names=[port.name for port in outputs],
        )
    if program is None:  # pragma: no cover - only when writing straight to a file
        raise AssertionError("the exporter returned no program")
    model = program.model_proto
    model.ir_version = min(model.ir_version, IR_VERSION)
    for values, ports in ((model.graph.input, inputs), (model.graph.output, outputs)):
        for value, port in zip(values, ports, strict=True):
            for dim, size in zip(value.type.tensor_type.shape.dim, port.shape, strict=True):
                if isinstance(size, str):
                    dim.dim_param = size
                else:
                    dim.dim_value = size
    del model.graph.value_info[:]  # they bear the tracer's names; a session infers them anew
    for node in model.graph.node:
        node.ClearField("metadata_props")
        node.doc_string = ""
    return model


def _store_halves(model: onnx.ModelProto, blob: bytearray, index: dict[str, dict[str, object]]) -> None:
    """Move the learned weights into `blob` as fp16, with a Cast in the graph that folds when it is loaded.

    The built-in filters stay in the graph: they are small, and exact in fp32 only.
    """
    casts = []
    for weight in model.graph.initializer:
        if not weight.name.startswith(LEARNED):
            continue
        name, array = weight.name, numpy_helper.to_array(weight)
        offset, length = _store(name.removeprefix(LEARNED), array, blob, index)
        weight.Clear()
        weight.name, weight.data_type = name + ".half", TensorProto.FLOAT16
        weight.dims.extend(array.shape)
        weight.data_location = TensorProto.EXTERNAL
        for key, value in (("location", WEIGHTS), ("offset", str(offset)), ("length", str(length))):
            weight.external_data.add(key=key, value=value)
        casts.append(helper.make_node("Cast", [name + ".half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _store(
    name: str, array: NDArray[np.float32], blob: bytearray, index: dict[str, dict[str, object]]
) -> tuple[int, int]:
    """Append one weight as fp16 and note where it lies: (offset, length) in bytes."""
    offset, data = len(blob), array.astype(np.float16).tobytes()
    index[name] = {"offset": offset, "shape": list(array.shape)}
    blob += data + bytes(-len(data) % ALIGNMENT)
    return offset, len(data)
