"""The recurrent cell: what the generator remembers from frame to frame."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

BOUND = 10.0  # of the cell's memory: a chain of any length stays finite, in training as in the exported graph


class State(NamedTuple):
    """Hidden state and memory, each (n, S, H/16, W/16), aligned to the frame remembered last."""

    hidden: Tensor
    memory: Tensor


class ConvLSTM(nn.Module):
    """Convolutional LSTM (Shi et al., "Convolutional LSTM Network", 2015, without peepholes).

    With x the input, (h, c) the state and * a 3x3 convolution::

        i = sigmoid(Wxi * x + Whi * h + bi)     what is written
        f = sigmoid(Wxf * x + Whf * h + bf)     what is kept
        o = sigmoid(Wxo * x + Who * h + bo)     what is shown
        g = tanh   (Wxg * x + Whg * h + bg)     what could be written
        c' = clamp(f . c + i . g, -10, 10)
        h' = o . tanh(c')

    The gate f lets a gradient pass many steps unharmed; a plain recurrent net (h' = tanh(W * x + U * h)) does not.
    """

    def __init__(self, inputs: int, size: int) -> None:
        super().__init__()
        self.gates = nn.Conv2d(inputs + size, 4 * size, 3, padding=1)
        nn.init.orthogonal_(self.gates.weight, gain=0.5)
        bias = torch.zeros(4 * size)
        bias[size : 2 * size] = 1.0  # remember by default (Jozefowicz et al., 2015)
        self.gates.bias = nn.Parameter(bias)

    def forward(self, x: Tensor, state: State) -> State:
        """One step: input (n, C, h, w) and state, (n, S, h, w) each, to the next state."""
        i, f, o, g = self.gates(torch.cat((x, state.hidden), 1)).chunk(4, 1)
        memory = (f.sigmoid() * state.memory + i.sigmoid() * g.tanh()).clamp(-BOUND, BOUND)
        return State(o.sigmoid() * memory.tanh(), memory)
