"""Losses against their formulas, and the signs of the adversarial game."""

from __future__ import annotations

import math

import pytest
import torch

from vgan_plugin.training import losses

pytestmark = pytest.mark.needs_torch

KINDS = ("minimax", "nonsaturating", "hinge", "relativistic")


def logits(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).view(-1, 1, 1, 1).requires_grad_()


def test_the_minimax_judge_ascends_exactly_the_textbooks_value():
    real, made = logits(0.3, -1.2), logits(0.8, 2.0)
    value = torch.sigmoid(real).log().mean() + (1 - torch.sigmoid(made)).log().mean()
    assert losses.judge_loss("minimax", real, made).item() == pytest.approx(-value.item(), abs=1e-12)


def test_the_minimax_generator_descends_the_part_of_the_value_it_can_change():
    real, made = logits(0.3), logits(0.8, 2.0)
    value = (1 - torch.sigmoid(made)).log().mean()
    assert losses.generator_loss("minimax", real, made).item() == pytest.approx(value.item(), abs=1e-12)


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def test_every_loss_is_its_formula_in_numbers():
    """D(x) is 0.3 and -1.2, D(G) is 0.8 and 2.0, pair by pair."""
    real, made = logits(0.3, -1.2), logits(0.8, 2.0)
    judge = {
        "minimax": (softplus(-0.3) + softplus(1.2)) / 2 + (softplus(0.8) + softplus(2.0)) / 2,
        "nonsaturating": (softplus(-0.3) + softplus(1.2)) / 2 + (softplus(0.8) + softplus(2.0)) / 2,
        "hinge": (0.7 + 2.2) / 2 + (1.8 + 3.0) / 2,
        "relativistic": (softplus(0.8 - 0.3) + softplus(2.0 + 1.2)) / 2,
    }
    generator = {
        "minimax": -(softplus(0.8) + softplus(2.0)) / 2,
        "nonsaturating": (softplus(-0.8) + softplus(-2.0)) / 2,
        "hinge": -(0.8 + 2.0) / 2,
        "relativistic": (softplus(0.3 - 0.8) + softplus(-1.2 - 2.0)) / 2,
    }
    for kind in KINDS:
        assert losses.judge_loss(kind, real, made).item() == pytest.approx(judge[kind], abs=1e-12)
        assert losses.generator_loss(kind, real, made).item() == pytest.approx(generator[kind], abs=1e-12)


def test_the_value_of_the_game_is_least_where_nobody_can_tell():
    """Of the textbook's L, with D at its best against each G: -2 log 2 at equality, above it elsewhere."""
    for share in (0.5, 0.6, 0.9):  # of the real ones among pictures that look so; D's best answer is that share
        p = logits(math.log(share / (1 - share)))
        weighted = share * math.log(share) + (1 - share) * math.log(1 - share)
        value = -(
            share * losses.judge_loss("minimax", p, logits(-60.0))
            + (1 - share) * losses.judge_loss("minimax", logits(60.0), p)
        ).item()
        assert value == pytest.approx(weighted, abs=1e-6)
        assert value >= -math.log(2) - 1e-6


def test_features_are_matched_place_by_place_and_styles_wherever_they_are():
    true = torch.tensor([[1.0, 3.0], [2.0, 0.0]]).view(1, 2, 1, 2)  # two features at two places
    moved = true.flip(-1)
    assert losses.feature_matching([moved, true], [true, true]).item() == pytest.approx(2.0 / 1.5)
    assert losses.style([moved], [true]).item() == 0
    # F F^T / 4 is [[2.5, 0.5], [0.5, 1]]; of twice the picture it is four times that
    assert losses.style([2 * true], [true]).item() == pytest.approx(3 * (2.5 + 0.5 + 0.5 + 1) / 4)


def test_other_noise_must_give_another_picture_but_not_more_than_that():
    noise = torch.tensor([0.0, 1.0]).view(2, 1)
    same, apart, far = (torch.tensor([[0.0], [d]]) for d in (0.0, 0.1, 5.0))
    assert losses.diversity(same, noise).item() == 0
    assert losses.diversity(apart, noise).item() == pytest.approx(-0.5)
    assert losses.diversity(far, noise).item() == -1


def test_a_judge_that_cannot_tell_scores_two_log_two():
    assert losses.judge_loss("minimax", logits(0.0), logits(0.0)).item() == pytest.approx(2 * math.log(2))


@pytest.mark.parametrize("kind", KINDS)
def test_judge_and_generator_pull_the_made_logit_in_opposite_directions(kind: str):
    real, made = logits(0.2), logits(-0.1)
    by_judge = torch.autograd.grad(losses.judge_loss(kind, real, made), made)[0]
    by_generator = torch.autograd.grad(losses.generator_loss(kind, real, made), made)[0]
    assert by_judge.item() > 0 > by_generator.item()


@pytest.mark.parametrize("kind", KINDS)
def test_the_judge_raises_the_logit_of_what_is_real(kind: str):
    real, made = logits(0.2), logits(-0.1)
    assert torch.autograd.grad(losses.judge_loss(kind, real, made), real)[0].item() < 0


def test_minimax_saturates_where_the_nonsaturating_loss_still_pulls():
    made = logits(-12.0)
    flat = torch.autograd.grad(losses.generator_loss("minimax", made, made), made)[0].abs().item()
    steep = torch.autograd.grad(losses.generator_loss("nonsaturating", made, made), made)[0].abs().item()
    assert flat < 1e-4 < 0.9 < steep


def test_the_penalty_of_a_linear_judge_is_half_its_squared_weights():
    weight = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    x = torch.rand(2, 3, 4, 4).requires_grad_()
    p = (x * weight).sum((1, 2, 3)).view(2, 1, 1, 1)
    assert losses.gradient_penalty([p], [x]).item() == pytest.approx(0.5 * weight.square().sum().item(), rel=1e-5)


def test_the_penalty_can_be_descended():
    weight = torch.ones(3, 1, 1, 1).requires_grad_()
    x = torch.rand(2, 3, 4, 4).requires_grad_()
    p = (x * weight.view(1, 3, 1, 1)).sum((1, 2, 3), keepdim=True)
    losses.gradient_penalty([p], [x]).backward()
    assert weight.grad is not None
    assert (weight.grad > 0).all()


def test_equal_pictures_cost_nothing_and_others_something():
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    weight = torch.ones(1, 1, 32, 32)
    for loss, floor in ((losses.charbonnier, 1e-3), (losses.laplacian, 0.0), (losses.census, 0.0)):
        assert loss(x, x, weight).item() == pytest.approx(floor, abs=1e-6)
        assert loss(x.flip(-1), x, weight).item() > floor + 0.05


def test_pixels_without_weight_do_not_count():
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    weight = torch.zeros(1, 1, 32, 32)
    weight[..., :16] = 1
    broken = x.clone()
    broken[..., 16:] = 0
    assert losses.charbonnier(broken, x, weight).item() == pytest.approx(1e-3, abs=1e-6)


def test_fidelity_counts_every_frame_in_decibels():
    x = torch.full((2, 3, 8, 8), 0.5)
    y = x.clone()
    y[0] += 0.2
    y[1, :, :4] += 0.02
    weight = torch.ones(2, 1, 8, 8)
    weight[1, :, 4:] = 0
    expected = (math.log(0.2**2 + 1e-5) + math.log(0.02**2 + 1e-5)) / 4
    assert losses.fidelity(y, x, weight).item() == pytest.approx(expected, abs=1e-4)


def test_census_hardly_sees_a_change_of_brightness_but_sees_structure():
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(3)) * 0.5
    weight = torch.ones(1, 1, 32, 32)
    assert losses.census(x + 0.2, x, weight).item() < 1e-3
    assert losses.census(x.flip(-1), x, weight).item() > 0.3


def test_flow_counts_only_where_the_pixel_can_be_seen():
    true, made = torch.zeros(1, 4, 8, 8), torch.zeros(1, 4, 8, 8)
    made[:, 2:] = 3.0  # the motion towards b is wrong by sqrt(18) px
    seen = torch.ones(1, 2, 8, 8)
    assert losses.flow(made, true, seen).item() == pytest.approx((math.sqrt(19) - 1) / 2, rel=1e-5)
    seen[:, 1] = 0
    assert losses.flow(made, true, seen).item() == pytest.approx(0, abs=1e-6)


def test_the_confidence_loss_is_least_where_the_scale_is_the_error():
    y, x = torch.full((1, 3, 4, 4), 0.6), torch.full((1, 3, 4, 4), 0.5)
    weight = torch.ones(1, 1, 4, 4)
    scales = [math.log(0.05), math.log(0.1), math.log(0.2)]
    low, exact, high = (losses.confidence(torch.full((1, 1, 4, 4), s), y, x, weight).item() for s in scales)
    assert exact < low
    assert exact < high


def test_the_confidence_loss_never_moves_the_picture():
    y = torch.rand(1, 3, 4, 4, requires_grad=True)
    scale = torch.zeros(1, 1, 4, 4, requires_grad=True)
    losses.confidence(scale, y, torch.zeros_like(y), torch.ones(1, 1, 4, 4)).backward()
    assert y.grad is None
    assert scale.grad is not None


def test_a_reference_that_is_hidden_need_not_be_right():
    x = torch.zeros(1, 3, 4, 4)
    warped = torch.cat((torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)), 1)
    only_a = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    both = torch.tensor([0.5, 0.5, 0.0]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    assert losses.warped_only(warped, x, only_a).item() == 0
    assert losses.warped_only(warped, x, both).item() == pytest.approx(0.5)


def test_the_adversarial_gradient_is_gated_by_doubt_and_capped_by_the_pixels():
    gradient = torch.ones(1, 3, 1, 2)
    scale = torch.tensor([math.log(0.5), math.log(0.01)]).view(1, 1, 1, 2)  # at a loss; sure
    gated = losses.gated(gradient, scale, torch.ones(1, 1, 1, 2))
    assert gated[0, 0, 0].tolist() == pytest.approx([1.0, 0.1])
    assert losses.gated(gradient, scale, torch.zeros(1, 1, 1, 2)).abs().sum().item() == 0
    capped = losses.capped(gated, 2 * gradient, 0.1)
    assert capped.norm().item() == pytest.approx(0.1 * (2 * gradient).norm().item(), rel=1e-5)
    assert torch.equal(losses.capped(1e-3 * gated, gradient, 0.1), 1e-3 * gated)
