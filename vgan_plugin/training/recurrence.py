"""The recurrent cells: what the generator remembers from frame to frame.

x is the input, h the hidden state, * a 3x3 convolution, . the product of elements. All cells show and take a `State`;
the memory of those that have none but the hidden state has zero channels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

BOUND = 10.0  # of an LSTM's memory: a chain of any length stays finite, in training as in the exported graph


class State(NamedTuple):
    """Hidden state (n, S, H/16, W/16) and memory (n, M, H/16, W/16), M = S or 0, aligned to the frame remembered last.

    The hidden state is within [-1, 1], the memory within [-`BOUND`, `BOUND`].

    `motion` is what the built-in motion found on the way, (n, 6, H/8, W/8): on the frame remembered last its velocity
    (dy, dx) in cells a source-frame period and the periods since the frame before it (0: there was none), then the same
    on that frame. No cell reads it. None = nothing yet.
    """

    hidden: Tensor
    memory: Tensor
    motion: Tensor | None = None


class ConvRNN(nn.Module):
    """Plain recurrence (Elman, "Finding Structure in Time", 1990), convolutional.

    ::

        h' = tanh(Wx * x + Wh * h + b)

    Every step multiplies by Wh and squashes, and so does its gradient: what happened many frames ago fades.
    """

    memory = False

    def __init__(self, inputs: int, size: int) -> None:
        super().__init__()
        self.next = _convolution(inputs + size, torch.zeros(size))

    def forward(self, x: Tensor, state: State) -> State:
        """One step: input (n, C, h, w) and state to the next state."""
        return State(self.next(torch.cat((x, state.hidden), 1)).tanh(), state.memory)


class ConvLSTM(nn.Module):
    """Convolutional LSTM (Shi et al., "Convolutional LSTM Network", 2015), without peepholes.

    ::

        i = sigmoid(Wxi * x + Whi * h + bi)     what is written
        f = sigmoid(Wxf * x + Whf * h + bf)     what is kept
        o = sigmoid(Wxo * x + Who * h + bo)     what is shown
        g = tanh   (Wxg * x + Whg * h + bg)     what could be written
        c' = clamp(f . c + i . g, -10, 10)
        h' = o . tanh(c')

    c is the memory. The gate f lets a gradient pass many steps unharmed, which `ConvRNN` does not.
    """

    memory = True

    def __init__(self, inputs: int, size: int) -> None:
        super().__init__()
        bias = torch.zeros(4 * size)
        bias[size : 2 * size] = 1.0  # remember by default (Jozefowicz et al., 2015)
        self.gates = _convolution(inputs + size, bias)

    def forward(self, x: Tensor, state: State) -> State:
        """One step: input (n, C, h, w) and state to the next state."""
        i, f, o, g = self.gates(torch.cat((x, state.hidden), 1)).chunk(4, 1)
        memory = (f.sigmoid() * state.memory + i.sigmoid() * g.tanh()).clamp(-BOUND, BOUND)
        return State(o.sigmoid() * memory.tanh(), memory)


class ConvGRU(nn.Module):
    """Convolutional GRU (Cho et al., 2014; Ballas et al., "Delving Deeper into Convolutional Networks", 2016).

    ::

        z = sigmoid(Wxz * x + Whz * h + bz)           how much is renewed
        r = sigmoid(Wxr * x + Whr * h + br)           how much of the past the proposal sees
        n = tanh   (Wxn * x + Whn * (r . h) + bn)     the proposal
        h' = (1 - z) . h + z . n

    The LSTM's gates f and i as one, 1 - z and z; no memory beside the hidden state.
    """

    memory = False

    def __init__(self, inputs: int, size: int) -> None:
        super().__init__()
        bias = torch.zeros(2 * size)
        bias[:size] = -1.0  # remember by default, as the LSTM does
        self.gates = _convolution(inputs + size, bias)
        self.proposal = _convolution(inputs + size, torch.zeros(size))

    def forward(self, x: Tensor, state: State) -> State:
        """One step: input (n, C, h, w) and state to the next state."""
        z, r = self.gates(torch.cat((x, state.hidden), 1)).sigmoid().chunk(2, 1)
        proposal = self.proposal(torch.cat((x, r * state.hidden), 1)).tanh()
        return State(state.hidden + z * (proposal - state.hidden), state.memory)


CELLS: dict[str, type[ConvRNN] | type[ConvLSTM] | type[ConvGRU]] = {"rnn": ConvRNN, "lstm": ConvLSTM, "gru": ConvGRU}
"""By the name that a preset and a bundle give."""


def _convolution(inputs: int, bias: Tensor) -> nn.Conv2d:
    """3x3, orthogonal at half gain, with the bias given: no cell starts by blowing up."""
    layer = nn.Conv2d(inputs, len(bias), 3, padding=1)
    nn.init.orthogonal_(layer.weight, gain=0.5)
    layer.bias = nn.Parameter(bias)
    return layer
