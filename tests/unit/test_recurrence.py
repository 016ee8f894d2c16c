"""Each cell against its own equations, done by hand in NumPy; and what it keeps over a long chain."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the training extra")

from vgan_plugin.training.generator import PRESETS, Generator, sizes  # noqa: E402
from vgan_plugin.training.recurrence import BOUND, CELLS, ConvGRU, ConvLSTM, ConvRNN, State  # noqa: E402

INPUTS, SIZE = 3, 2


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def convolve(layer: torch.nn.Conv2d, *maps: np.ndarray) -> np.ndarray:
    """The sum of a 3x3 convolution of each of the maps, and the bias, by loops."""
    x = np.pad(np.concatenate(maps), ((0, 0), (1, 1), (1, 1)))
    weight, bias = layer.weight.detach().numpy().astype(float), layer.bias.detach().numpy().astype(float)
    rows, columns = x.shape[1] - 2, x.shape[2] - 2
    out = np.zeros((len(bias), rows, columns))
    for y in range(rows):
        for i in range(columns):
            out[:, y, i] = bias + np.einsum("oikl,ikl->o", weight, x[:, y : y + 3, i : i + 3])
    return out


def moment(cell: torch.nn.Module) -> tuple[np.ndarray, np.ndarray, np.ndarray, State]:
    """An input, a hidden state, a memory, and the cell's own answer."""
    random = np.random.default_rng(0)
    x, h, c = (random.normal(size=(channels, 4, 5)) for channels in (INPUTS, SIZE, SIZE))
    h = np.tanh(h)
    for layer in cell.modules():
        if isinstance(layer, torch.nn.Conv2d):  # no bias at zero, so that each one counts
            torch.nn.init.normal_(layer.bias)
    state = State(*(torch.from_numpy(t[None]).float() for t in (h, c[: SIZE if cell.memory else 0])))
    with torch.no_grad():
        after = cell(torch.from_numpy(x[None]).float(), state)
    return x, h, c, after


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def test_the_plain_cell_squashes_what_it_sees_and_what_it_was() -> None:
    cell = ConvRNN(INPUTS, SIZE)
    x, h, _, after = moment(cell)
    assert np.allclose(after.hidden[0], np.tanh(convolve(cell.next, x, h)), atol=1e-5)
    assert after.memory.shape[1] == 0


def test_the_lstm_writes_keeps_and_shows_by_its_gates() -> None:
    cell = ConvLSTM(INPUTS, SIZE)
    x, h, c, after = moment(cell)
    i, f, o, g = np.split(convolve(cell.gates, x, h), 4)
    memory = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    assert np.allclose(after.memory[0], memory, atol=1e-5)
    assert np.allclose(after.hidden[0], sigmoid(o) * np.tanh(memory), atol=1e-5)


def test_the_gru_renews_what_its_gate_lets_it() -> None:
    cell = ConvGRU(INPUTS, SIZE)
    x, h, _, after = moment(cell)
    z, r = np.split(sigmoid(convolve(cell.gates, x, h)), 2)
    proposal = np.tanh(convolve(cell.proposal, x, r * h))
    assert np.allclose(after.hidden[0], (1 - z) * h + z * proposal, atol=1e-5)
    assert after.memory.shape[1] == 0


@pytest.mark.parametrize("name", CELLS)
def test_no_state_leaves_its_bounds_over_a_long_chain(name: str) -> None:
    cell = CELLS[name](4, 8)
    state = State(torch.zeros(1, 8, 4, 4), torch.zeros(1, 8 if cell.memory else 0, 4, 4))
    with torch.no_grad():
        for layer in cell.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight *= 50
        for _ in range(64):
            state = cell(torch.randn(1, 4, 4, 4), state)
    assert state.hidden.abs().max() <= 1
    assert not cell.memory or 1 < state.memory.abs().max() <= BOUND


@pytest.mark.parametrize("name", CELLS)
def test_every_cell_remembers_what_it_saw_before(name: str) -> None:
    cell = CELLS[name](4, 8)
    now, ends = torch.randn(1, 4, 4, 4), []
    for past in (torch.zeros(1, 4, 4, 4), torch.ones(1, 4, 4, 4)):
        state = State(torch.zeros(1, 8, 4, 4), torch.zeros(1, 8 if cell.memory else 0, 4, 4))
        with torch.no_grad():
            ends.append(cell(now, cell(past, state)).hidden)
    assert (ends[0] - ends[1]).abs().max() > 1e-3


def test_gates_let_a_gradient_pass_that_the_plain_cell_stifles() -> None:
    reach = {}
    for name in CELLS:
        torch.manual_seed(1)
        cell = CELLS[name](4, 8)
        x = torch.randn(1, 4, 4, 4, requires_grad=True)
        state = cell(x, State(torch.zeros(1, 8, 4, 4), torch.zeros(1, 8 if cell.memory else 0, 4, 4)))
        for _ in range(12):
            state = cell(torch.zeros(1, 4, 4, 4), state)
        reach[name] = float(torch.autograd.grad(state.hidden.square().sum().sqrt(), x)[0].norm())
    assert min(reach["lstm"], reach["gru"]) > 5 * reach["rnn"]


@pytest.mark.parametrize("name", CELLS)
def test_the_generator_carries_the_state_of_every_cell_along_the_motion(name: str) -> None:
    generator = Generator(sizes("tiny", name))
    frame, one = torch.rand(1, 3, 64, 64), torch.ones(1, 1, 64, 64)
    features = generator.encode(frame, one)
    state = generator.initial_state(features)
    for dt in (0.0, 1.0):
        state = generator.remember(features, features, torch.tensor([dt]), state)
    state.hidden.sum().backward()
    assert state.hidden.shape == (1, PRESETS["tiny"].state, 4, 4)
    assert state.memory.shape[1] == (PRESETS["tiny"].state if name == "lstm" else 0)
    assert all(p.grad is not None and p.grad.any() for p in generator.cell.parameters())


def test_there_is_no_other_cell() -> None:
    with pytest.raises(KeyError):
        sizes("tiny", "transformer")
