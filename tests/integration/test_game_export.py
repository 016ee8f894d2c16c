"""Every cell, and the seed of dreams, through ONNX Runtime as a bundle's graphs run: the same states over 64 steps."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the training extra")
onnx = pytest.importorskip("onnx", reason="needs the export extra")

import onnxruntime  # noqa: E402

from vgan_export import graphs  # noqa: E402
from vgan_plugin.training.generator import NOISE, Generator, sizes  # noqa: E402
from vgan_plugin.training.recurrence import State  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.needs_torch]
STEPS = 64


class Step(torch.nn.Module):
    """The cell alone, with the ports that a bundle's graph `remember` has."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator
        channels = generator.preset.c16 + 16
        state = graphs.state_ports(generator)[:-1]  # no cell reads the motion
        self.inputs = (graphs.Port("x", channels, 16), *state)
        self.outputs = tuple(graphs.Port("next_" + port.name, port.channels, 16) for port in state)

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x, *state = inputs
        memory = state[1] if len(state) > 1 else state[0][:, :0]
        return tuple(self.generator.cell(x, State(state[0], memory))[: len(state)])


def session(module: torch.nn.Module, inputs: tuple[graphs.Port, ...], outputs: tuple[graphs.Port, ...]):
    """The module as ONNX Runtime has it; several inputs are taken as one run of arguments, as `remember` takes them."""
    model = graphs._trace(module.eval(), inputs, outputs)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(("cell", "tensors"), [("rnn", 1), ("lstm", 2), ("gru", 1)])
def test_a_cell_is_the_same_in_the_graph_over_a_long_chain(cell: str, tensors: int, monkeypatch) -> None:
    torch.manual_seed(0)
    module = Step(Generator(sizes("tiny", cell)))
    monkeypatch.setattr(graphs, "Remember", Step)  # whose inputs come as one run of arguments
    run = session(module, module.inputs, module.outputs)
    names = [port.name for port in module.inputs[1:]]
    assert len(names) == tensors
    state = {name: np.zeros((1, 16, 3, 5), np.float32) for name in names}
    trained = [torch.zeros(1, 16, 3, 5) for _ in names]
    worst, random = 0.0, np.random.default_rng(0)
    for _ in range(STEPS):
        x = random.normal(size=(1, module.inputs[0].channels, 3, 5)).astype(np.float32)
        state = dict(zip(names, run.run(None, {"x": x, **state}), strict=True))
        with torch.no_grad():
            trained = list(module(torch.from_numpy(x), *trained))
        worst = max(worst, *(float(np.abs(state[n] - t.numpy()).max()) for n, t in zip(names, trained, strict=True)))
    assert np.abs(state["hidden"]).max() > 0.1
    assert worst < 1e-5


def test_the_seed_is_the_same_in_the_graph_at_every_size() -> None:
    torch.manual_seed(0)
    generator = Generator(sizes("textbook", "gru"))
    module = graphs.Sow(generator)
    run = session(module, module.inputs, module.outputs)
    assert [o.name for o in run.get_outputs()] == ["hidden"]
    for height, width in ((2, 2), (4, 4), (5, 8)):
        noise = torch.randn(1, NOISE, height, width)
        (made,) = run.run(None, {"noise": noise.numpy()})
        with torch.no_grad():
            assert np.abs(made - generator.seed(noise).hidden.numpy()).max() < 1e-5
