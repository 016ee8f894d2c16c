"""Signs that the game goes wrong, what they are measured by, and what is done about them.

==============  ========================================================  =============================================
sign            seen by                                                   done
==============  ========================================================  =============================================
divergence      mean D(x) - D(G) above 3, then not again for 200 steps;   slopes penalised by half as much again; where
                or the adversarial gradient above 10 times its running    pixels teach as well, the generator ignores
                median                                                    the judges for 100 steps
imbalance       D(x) - D(G) above 1.5 or below 0.3 for 200 steps          slopes penalised 1.3 times as much, or as
                (relativistic loss)                                       little; not worth a word
dead judges     D(x) - D(G) within 0.05 for 500 steps while the detail    their rate doubled, their last layer anew
                of what is made is not that of footage
collapse        dreams of 16 noises differ less than 0.3 as much as       back to the last good state, variety counts
                true clips                                                double
checkerboard    a peak at a period of 2 or 4 pixels, 3 times that of      back, the judges' opinion counts half
                footage
drift           the mean colour is off by more than 2/255 (of dreams:     back, the judges' opinion counts half
                8/255), or a long dream loses or multiplies its contrast
==============  ========================================================  =============================================

Back means: the weights of all players as they were when nothing was wrong last, at half the rate; after three times the
judges are not heard any more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor

from vgan_plugin.training.motion import LUMA

AHEAD = 3.0
RANGE = (0.3, 1.5)
LEAN_AFTER = 200
REST = 200
EVEN = 0.05
PATIENCE = 500
BURST = 10.0
PEAK = 3.0
SHIFT, DREAMT_SHIFT = 2 / 255, 8 / 255
VARIETY = 0.3
CONTRAST = 3.0
BACKS = 3
MUTE = 100


class Finding(NamedTuple):
    """What is wrong.

    Attributes:
        sign: `divergence`, `dead judges`, `collapse`, `checkerboard` or `drift`.
        why: the measured value, in words.
    """

    sign: str
    why: str


@dataclass
class Balance:
    """What the findings have changed; part of a checkpoint.

    Attributes:
        gamma: factor on the weight of the slope penalties.
        opinion: factor on the weight of the judges' opinion.
        variety: factor on the weight of the diversity of dreams.
        rate: factor on the learning rates of both sides.
        judging: factor on the judges' learning rate.
        mute_until: before this step the generator does not hear the judges.
        backs: how often the players went back.
    """

    gamma: float = 1.0
    opinion: float = 1.0
    variety: float = 1.0
    rate: float = 1.0
    judging: float = 1.0
    mute_until: int = 0
    backs: int = 0

    def answer(self, finding: Finding, step: int, paired: bool = True) -> str:
        """Change what the finding asks for, and say what was done; on a sign of `BACK` the players are to go back.

        Args:
            finding: what is wrong.
            step: now.
            paired: pixels teach the generator as well; dreams have only the judges.
        """
        if finding.sign == "divergence":
            self.gamma *= 1.5
            if not paired:
                return "gamma x1.5"
            self.mute_until = step + MUTE
            return f"gamma x1.5; the judges are not heard for {MUTE} steps"
        if finding.sign == "dead judges":
            self.judging *= 2
            return "the judges' rate x2, their last layer anew"
        self.backs += 1
        self.rate *= 0.5
        if self.backs > BACKS:
            self.opinion = 0.0
            return "back to the last good weights; the judges are not heard any more"
        if finding.sign == "collapse":
            self.variety *= 2
            return "back to the last good weights; rate x0.5, variety counts x2"
        self.opinion *= 0.5
        return "back to the last good weights; rate x0.5, the judges count x0.5"


BACK = ("collapse", "checkerboard", "drift")
"""Signs on which the players go back."""


class Watch:
    """Follows the balance between the judges and the generator over the log lines of a run.

    Args:
        every: steps between log lines.
    """

    def __init__(self, every: int) -> None:
        self.margin: float | None = None
        self.even = self.above = self.below = self.rest = 0
        self.every = every
        self.slopes: deque[float] = deque(maxlen=50)

    def line(self, means: Mapping[str, float], sharpness: float) -> Finding | None:
        """Look at one log line.

        Args:
            means: its scalars; `judges/*_margin` are D(x) - D(G), `adversarial/slope` the norm of G's gradient.
            sharpness: power of the finest detail of what is made over that of footage, at the last validation.
        """
        margins = [value for name, value in means.items() if name.startswith("judges/") and name.endswith("_margin")]
        if not margins:
            return None
        margin = max(margins)
        # Steps, not lines, are what an average should reach back by.
        keep = 0.5 ** (self.every / 50)
        self.margin = margin if self.margin is None else keep * self.margin + (1 - keep) * margin
        self.rest = max(0, self.rest - self.every)
        if self.margin > AHEAD and not self.rest:
            found, self.margin, self.rest = self.margin, None, REST
            return Finding("divergence", f"the judges are ahead by {found:.2f} on average")
        slope = means.get("adversarial/slope")
        if slope is not None:
            usual = median(self.slopes) if len(self.slopes) >= 5 else None
            self.slopes.append(slope)
            if usual is not None and slope > BURST * usual:
                self.slopes.clear()
                return Finding(
                    "divergence", f"the adversarial gradient is {slope / max(usual, 1e-12):.0f} times as usual"
                )
        self.even = self.even + self.every if max(map(abs, margins)) < EVEN else 0
        if self.even >= PATIENCE and not 0.7 < sharpness < 1.4:
            found_even, self.even = self.even, 0
            return Finding(
                "dead judges",
                f"they see no difference for {found_even} steps, yet detail is {sharpness:.2f} of footage's",
            )
        return None

    def lean(self, means: Mapping[str, float]) -> float:
        """Factor on gamma that keeps D(x) - D(G) in its range; mostly 1."""
        margins = [value for name, value in means.items() if name.endswith("_margin")]
        if not margins:
            return 1.0
        self.above = self.above + self.every if max(margins) > RANGE[1] else 0
        self.below = self.below + self.every if max(margins) < RANGE[0] else 0
        if max(self.above, self.below) < LEAN_AFTER:
            return 1.0
        factor = 1.3 if self.above else 1 / 1.3
        self.above = self.below = 0
        return factor


@torch.no_grad()
def look(made: Tensor, true: Tensor, shift: float = SHIFT) -> list[Finding]:
    """What is wrong with pictures beside true ones, both (n, 3, H, W) in [0, 1], n need not be the same.

    Args:
        made: what the generator made.
        true: footage.
        shift: how far the mean colours may lie apart.
    """
    found = []
    peak = max(a / b for a, b in zip(_peaks(made), _peaks(true), strict=True))
    if peak > PEAK:
        found.append(
            Finding("checkerboard", f"a peak at a period of 2 or 4 pixels is {peak:.1f} times that of footage")
        )
    off = float((made.mean((0, 2, 3)) - true.mean((0, 2, 3))).abs().max())
    if off > shift:
        found.append(Finding("drift", f"the mean colour is off by {255 * off:.1f}/255"))
    return found


@torch.no_grad()
def look_at_dreams(made: Tensor, true: Tensor, variety: float, long: Tensor) -> list[Finding]:
    """The same for dreams.

    Args:
        made: (n, M, 3, H, W) dreams.
        true: (n, M, 3, H, W) footage.
        variety: of the dreams, see `synthesis.Likeness`.
        long: (n, K, 3, H, W), K large: a few long dreams.
    """
    found = []
    if variety < VARIETY:
        found.append(Finding("collapse", f"dreams differ {variety:.2f} as much as footage does"))
    # Sets of clips do not show the same: their means may differ by what chance allows.
    colours = true.mean((1, 3, 4))
    chance = 3 * float((colours.std(0) / len(colours) ** 0.5).max()) * 2**0.5
    found += look(made.flatten(0, 1).clamp(0, 1), true.flatten(0, 1), max(DREAMT_SHIFT, chance))
    if made.shape[1] == 1:  # who learns pictures alone knows nothing of going on from them
        return found
    first, last = (float(long[:, k].clamp(0, 1).std((2, 3)).mean()) for k in (0, -1))
    if not first / CONTRAST < last < first * CONTRAST:
        found.append(
            Finding("drift", f"the contrast of a dream goes from {first:.3f} to {last:.3f} over {long.shape[1]} frames")
        )
    return found


def _peaks(pictures: Tensor) -> tuple[float, float]:
    """Power at periods of 2 and of 4 pixels over that of the frequencies around, along rows and columns of luma."""
    luma = (pictures.clamp(0, 1) * pictures.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1)
    size = min(luma.shape[-2:]) // 8 * 8
    luma = luma[:, :size, :size]
    window = torch.hann_window(size, periodic=False).to(luma)
    power = torch.zeros(size // 2 + 1).to(luma)
    for x in (luma, luma.mT):
        power = power + torch.fft.rfft((x - x.mean(-1, keepdim=True)) * window).abs().square().mean((0, 1))
    power = power + 1e-6 * power.mean() + 1e-12

    def peak(at: int) -> float:
        around = [i for i in range(at - 5, at + 6) if abs(i - at) > 2 and 0 < i < len(power)]
        return float(power[at] / power[around].mean())

    return peak(size // 2), peak(size // 4)


def anew(layer: torch.nn.Module) -> None:
    """Weights of a layer as if it had never been trained."""
    for parameter in layer.parameters():
        if parameter.ndim > 1:
            torch.nn.init.kaiming_normal_(parameter, a=0.2)
        else:
            torch.nn.init.zeros_(parameter)
