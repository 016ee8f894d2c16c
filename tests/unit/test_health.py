"""Each sign of a game gone wrong, planted and found; and a healthy game in which nothing is found."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the training extra")

from torch.nn import functional as F  # noqa: E402

from vgan_plugin.training import health, synthesis  # noqa: E402
from vgan_plugin.training.health import BACKS, Balance, Finding, Watch  # noqa: E402


def pictures(n: int, seed: int) -> torch.Tensor:
    """Pictures with a spectrum as footage has it, amplitude falling as 1/f, in colours of their own: (n, 3, 64, 64)."""
    random = torch.Generator().manual_seed(seed)
    f = torch.fft.fftfreq(64).square()
    slope = 1 / (f[:, None] + f[None]).sqrt().clamp(min=1 / 64)
    noise = torch.fft.ifft2(torch.fft.fft2(torch.randn(n, 3, 64, 64, generator=random)) * slope).real
    tint = torch.rand(n, 3, 1, 1, generator=random) * 0.2 + 0.4
    return (tint + 0.12 * noise / noise.std()).clamp(0, 1)


def clips(n: int, seed: int, frames: int = 4) -> torch.Tensor:
    still = pictures(n, seed)
    return torch.stack([still.roll(k, -1) for k in range(frames)], 1)


def signs(findings: list[Finding]) -> list[str]:
    return [finding.sign for finding in findings]


def dreams(made: torch.Tensor, long: torch.Tensor | None = None) -> list[str]:
    true = clips(32, 1)
    alike = synthesis.likeness(made, true)
    return signs(health.look_at_dreams(made, true, alike.variety, clips(2, 3, 24) if long is None else long))


def test_nothing_is_found_in_healthy_pictures() -> None:
    true = pictures(24, 0)
    blurred = F.avg_pool2d(true, 3, 1, 1, count_include_pad=False)
    assert health.look(true, true) == []
    assert health.look(0.5 * (true + blurred), true) == []  # a little soft is no fault of the game
    assert dreams(clips(32, 2)) == []


def test_dreams_that_are_all_alike_are_a_collapse() -> None:
    assert dreams(clips(1, 2).expand(32, -1, -1, -1, -1) + 1e-3 * torch.randn(32, 4, 3, 64, 64))[0] == "collapse"


@pytest.mark.parametrize("period", [2, 4])
def test_a_pattern_of_the_upsampling_is_a_checkerboard(period: int) -> None:
    true = pictures(24, 0)
    wave = torch.cos(2 * torch.pi * torch.arange(64) / period + 0.3)
    assert signs(health.look((true + 0.04 * wave[None, :] * wave[:, None] + 0.04 * wave).clamp(0, 1), true)) == [
        "checkerboard"
    ]


def test_a_shift_of_one_colour_is_drift() -> None:
    true = pictures(24, 0)
    shifted = true.clone()
    shifted[:, 2] = (shifted[:, 2] + 4 / 255).clamp(0, 1)
    (finding,) = health.look(shifted, true)
    assert finding.sign == "drift"
    assert "/255" in finding.why


@pytest.mark.parametrize("factor", [0.8, 1.2])
def test_a_long_dream_that_fades_or_burns_is_drift(factor: float) -> None:
    still = pictures(2, 3) - 0.5
    long = torch.stack([0.5 + 0.3 * factor**k * still for k in range(24)], 1)
    assert dreams(clips(32, 2), long) == ["drift"]
    true = clips(32, 1)[:, :1]
    assert health.look_at_dreams(clips(32, 2)[:, :1], true, 1.0, long) == []  # pictures alone do not go on


def line(margin: float, slope: float = 1.0) -> dict[str, float]:
    return {"judges/frame_margin": margin, "judges/triplet_margin": 0.5 * margin, "adversarial/slope": slope}


def found(lines: list[dict[str, float]], sharpness: float = 1.0) -> list[str]:
    watch = Watch(every=50)
    return [finding.sign for means in lines if (finding := watch.line(means, sharpness))]


def test_nothing_is_found_in_a_balanced_game() -> None:
    random = np.random.default_rng(0)
    assert found([line(float(m), float(s)) for m, s in random.uniform((0.2, 0.5), (1.5, 2), (100, 2))]) == []
    assert found([{"pixel/charbonnier": 0.1}] * 20) == []  # no judges yet


def test_judges_that_are_far_ahead_are_divergence_but_one_moment_is_not() -> None:
    assert found([line(0.5)] * 5 + [line(4.0)] + [line(0.5)] * 5) == []
    assert found([line(0.5)] * 5 + [line(6.0)] * 4) == ["divergence"]
    assert found([line(6.0)] * 12) == ["divergence"] * 3  # with time in between for what was done to show


def test_a_gradient_that_bursts_is_divergence() -> None:
    assert found([line(0.5)] * 10 + [line(0.5, slope=20.0)]) == ["divergence"]


def test_judges_that_see_no_difference_are_dead_only_where_there_is_one() -> None:
    assert found([line(0.01)] * 10, sharpness=0.4) == ["dead judges"]
    assert found([line(0.01)] * 10, sharpness=1.0) == []  # an even game may be a won one
    assert found([line(0.01)] * 9, sharpness=0.4) == []


def test_the_penalty_leans_against_a_lasting_imbalance() -> None:
    watch = Watch(every=50)
    assert [watch.lean(line(2.0)) for _ in range(5)] == [1, 1, 1, 1.3, 1]
    assert [watch.lean(line(0.1)) for _ in range(4)] == [1, 1, 1, 1 / 1.3]
    assert [watch.lean(line(1.0)) for _ in range(9)] == [1] * 9


def test_every_finding_is_answered_and_the_third_rescue_is_the_last() -> None:
    balance = Balance()
    balance.answer(Finding("divergence", ""), 10)
    assert (balance.gamma, balance.mute_until) == (1.5, 10 + health.MUTE)
    balance.answer(Finding("dead judges", ""), 10)
    assert balance.judging == 2
    balance.answer(Finding("collapse", ""), 10)
    assert (balance.variety, balance.rate, balance.opinion) == (2, 0.5, 1)
    balance.answer(Finding("checkerboard", ""), 10)
    assert (balance.rate, balance.opinion) == (0.25, 0.5)
    for _ in range(BACKS - 1):
        said = balance.answer(Finding("drift", ""), 10)
    assert balance.opinion == 0
    assert "not heard any more" in said


def test_dreams_have_nobody_but_the_judges_to_hear() -> None:
    balance = Balance()
    balance.answer(Finding("divergence", ""), 10, paired=False)
    assert (balance.gamma, balance.mute_until) == (1.5, 0)
