"""The generator before any training: the built-in motion, exactly; and gradients that reach every part."""

from __future__ import annotations

import itertools
import math

import pytest

torch = pytest.importorskip("torch", reason="needs the training extra")

from torch import Tensor  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from vgan_plugin.training import motion, path, search  # noqa: E402
from vgan_plugin.training.fusion import steadier  # noqa: E402
from vgan_plugin.training.generator import (  # noqa: E402
    NOISE,
    PRESETS,
    STRIDE,
    Features,
    Generator,
    Render,
    resampled,
)
from vgan_plugin.training.layers import unshuffled  # noqa: E402
from vgan_plugin.training.recurrence import BOUND, ConvLSTM, State  # noqa: E402

HALF = (-0.5, 0.5)


def texture(height: int, width: int, seed: int = 0) -> Tensor:
    """A smooth random picture with detail of several sizes, (1, 3, height, width) in [0, 1]."""
    random = torch.Generator().manual_seed(seed)
    sizes = [(height // k, width // k) for k in (4, 12, 32)]
    noise = [torch.rand(1, 3, *size, generator=random) for size in sizes]
    layers = [F.interpolate(n, size=(height, width), mode="bicubic", align_corners=False) for n in noise]
    return (sum(layers) / len(layers)).clamp(0, 1)  # type: ignore[union-attr]


def shifted(dy: int, dx: int, height: int = 96, width: int = 128) -> tuple[Tensor, Tensor, Tensor]:
    """Three frames of a picture that moves by (dy, dx) from each to the next."""
    big = texture(height + 32, width + 32)
    a, t, b = (big[..., 16 - i * dy :, 16 - i * dx :][..., :height, :width] for i in range(-1, 2))
    return a, t, b


def render(
    generator: Generator, a: Tensor, b: Tensor, offsets: tuple[float, float] = HALF, **changes: Tensor
) -> Render:
    one = torch.ones_like(a[:, :1])
    fa, fb = (generator.encode(x, changes.get(v, one)) for x, v in ((a, "valid_a"), (b, "valid_b")))
    state = changes.get("state") or generator.remember(fb, fa, torch.ones(1), generator.initial_state(fa))
    noise = torch.zeros(1, NOISE, a.shape[2] // STRIDE, a.shape[3] // STRIDE)
    known, mask = changes.get("known", torch.zeros_like(a)), changes.get("mask", one)
    return generator.render(fa, fb, state, torch.tensor([offsets]), known, mask, noise)


def psnr(x: Tensor, y: Tensor, border: int = 8) -> float:
    inside = (..., slice(border, -border), slice(border, -border))
    return float(-10 * torch.log10((x[inside] - y[inside]).square().mean()))


@pytest.fixture
def generator() -> Generator:
    torch.manual_seed(0)
    return Generator(PRESETS["base"]).eval()


@pytest.mark.parametrize(("dy", "dx"), [(0, 0), (1, -2), (3, 5), (-6, 4)])
def test_the_untrained_generator_finds_a_shift(generator: Generator, dy: int, dx: int) -> None:
    a, truth, b = shifted(dy, dx)
    with torch.no_grad():
        made = render(generator, a, b)
    assert psnr(made.rgb, truth) > 38
    to_a, to_b = made.flow[0, :2, 16:-16, 16:-16], made.flow[0, 2:, 16:-16, 16:-16]
    assert torch.allclose(to_b.mean((1, 2)), torch.tensor([float(dx), float(dy)]), atol=0.15)
    assert torch.allclose(to_a.mean((1, 2)), -torch.tensor([float(dx), float(dy)]), atol=0.15)


def test_the_untrained_generator_beats_a_blend_by_far(generator: Generator) -> None:
    a, truth, b = shifted(3, -5)
    with torch.no_grad():
        assert psnr(render(generator, a, b).rgb, truth) > psnr((a + b) / 2, truth) + 10


def test_a_prediction_goes_on_along_the_motion(generator: Generator) -> None:
    a, b, truth = shifted(2, 3)
    with torch.no_grad():
        made = render(generator, a, b, (-2.0, -1.0)).rgb
    assert psnr(made, truth, 16) > psnr(b, truth, 16) + 8


def test_a_still_scene_stays_still(generator: Generator) -> None:
    a = texture(64, 96)
    with torch.no_grad():
        made = render(generator, a, a)
    assert (made.rgb - a).abs().max() < 0.5 / 255 * 4  # the painted share blurs a little
    assert made.flow.abs().max() < 0.05


def test_heads_at_zero_mean_the_built_in_motion_whatever_the_random_layers_are() -> None:
    a, _, b = shifted(2, 1, 64, 64)
    pictures = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        with torch.no_grad():
            pictures.append(render(Generator(PRESETS["tiny"]).eval(), a, b).rgb)
    assert torch.equal(*pictures)


def test_an_untrusted_reference_does_not_show(generator: Generator) -> None:
    a = texture(64, 96)
    with torch.no_grad():
        made = render(generator, a, 1 - a, (-1.0, 1.0), valid_b=torch.zeros(1, 1, 64, 96))
    assert (made.weights[:, 1] < 0.01).all()


def test_without_any_reference_the_known_part_spreads(generator: Generator) -> None:
    known = torch.full((1, 3, 64, 64), 0.8)
    mask = torch.ones(1, 1, 64, 64)
    mask[..., :20] = 0
    none = torch.zeros(1, 1, 64, 64)
    with torch.no_grad():
        made = render(generator, known, known, known=known, mask=mask, valid_a=none, valid_b=none)
    assert (made.rgb[..., 24:32] - 0.8).abs().max() < 0.12


def test_a_still_scene_stays_still_whatever_the_heads_have_learned(generator: Generator) -> None:
    for head in (generator.head16, generator.head8, generator.head4):
        torch.nn.init.normal_(head.leave.weight, std=0.05)
    torch.nn.init.normal_(generator.fusion.leave2.weight[4:], std=0.05)  # what is added to the picture
    torch.nn.init.normal_(generator.belief.leave.weight, std=0.05)
    a, _, b = shifted(2, 3, 64, 96)
    with torch.no_grad():
        still, moving = render(generator, a, a), render(generator, a, 1 - b)
    assert moving.flow.abs().max() > 0.5  # they do correct where the references differ
    assert still.flow.abs().max() < 1e-3
    assert (still.rgb - a).abs().max() < 1 / 255


def test_what_is_added_counts_where_pixels_were_read_between_or_neither_is_seen(generator: Generator) -> None:
    whole, half = (torch.zeros(2, 2, 4, 4) + phase for phase in (1.5, 0.25))  # cells of two pixels: 3 px, half a pixel
    assert not resampled(whole).any()
    assert torch.equal(resampled(half), torch.ones(1, 1, 4, 4))
    assert torch.equal(resampled(torch.cat((whole[:1], half[:1]))), torch.ones(1, 1, 4, 4))  # of the worse side
    a, lost = texture(64, 256), torch.ones(1, 1, 64, 256)
    lost[..., 208:] = 0
    pictures = []
    for bias in (0.0, 1.0):
        torch.nn.init.constant_(generator.fusion.leave2.bias[4:], bias)
        with torch.no_grad():
            pictures.append(
                [render(generator, a, a, valid_a=lost, valid_b=valid).rgb for valid in (lost, lost * 0 + 1)]
            )
    (neither, one), (neither_now, one_now) = pictures
    assert (neither_now - neither)[..., 216:-4].mean() > 0.9
    assert (neither_now - neither)[..., 4:64].abs().max() < 1 / 255  # far from what was lost
    assert (one_now - one).abs().max() < 1 / 255


def test_a_lone_reference_is_held_whatever_is_learned(generator: Generator) -> None:
    for head in (generator.head16, generator.head8, generator.head4):
        torch.nn.init.normal_(head.leave.weight, std=0.05)
    torch.nn.init.normal_(generator.fusion.leave2.weight[4:], std=0.05)
    torch.nn.init.constant_(generator.fusion.leave2.bias[2:3], 5.0)  # all is paint
    a = texture(64, 96)
    with torch.no_grad():
        both = render(generator, a, 1 - a)
        seen = generator.encode(a, torch.ones(1, 1, 64, 96))
        rest = torch.zeros_like(a), torch.ones(1, 1, 64, 96), torch.zeros(1, NOISE, 4, 6)
        alone = generator.render(seen, seen.absent(), generator.initial_state(seen), torch.tensor([HALF]), *rest)
    assert (both.weights[:, 2] > 0.5).all()
    assert (alone.weights[:, 2] < 0.05).all()
    assert psnr(alone.rgb, a) > 50


def test_beyond_two_frames_their_difference_corrects_no_motion(generator: Generator) -> None:
    a, _, b = shifted(2, 3, 64, 96)
    pictures = []
    for std in (0.0, 0.05):
        torch.manual_seed(0)
        for head in (generator.head16, generator.head8, generator.head4):
            torch.nn.init.normal_(head.leave.weight, std=std)
        with torch.no_grad():
            pictures.append([render(generator, a, 1 - b, at).flow for at in ((-2.0, -1.0), HALF)])
    (beyond, between), (beyond_now, between_now) = pictures
    assert torch.allclose(beyond, beyond_now, atol=1e-3)
    assert not torch.allclose(between, between_now, atol=0.1)


def test_a_hole_that_stands_still_does_not_stop_the_scene(generator: Generator) -> None:
    a, _, b = shifted(2, 4, 96, 128)
    valid = torch.ones(1, 1, 96, 128)
    valid[..., 32:64, 48:80] = 0
    flows = []
    for closed in (0.0, 1.0):
        seen = [x * valid + closed * (1 - valid) * x.mean() for x in (a, b)]
        with torch.no_grad():
            flows.append(render(generator, *seen, valid_a=valid, valid_b=valid).flow[0, 2, 28:68, 44:84])
    black, smooth = ((flow - 4).abs().mean() for flow in flows)
    assert smooth < 1.5
    assert black > 2 * smooth


def test_a_sharper_kernel_gives_detail_between_pixels_and_changes_nothing_on_them() -> None:
    a, sharp = texture(64, 96), Generator(PRESETS["base-perceptual"]).eval()
    plain = Generator(PRESETS["base"]).eval()

    def detail(x: Tensor) -> float:
        return float((x[..., 8:-8, 9:-8] - x[..., 8:-8, 8:-9]).square().mean())

    with torch.no_grad():
        assert torch.allclose(render(sharp, a, a).rgb, render(plain, a, a).rgb, atol=1e-5)
        for x, gain in ((a, 1.04), (torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0)), 1.2)):
            moved = torch.roll(x, 1, 3)  # half a pixel each way
            assert 1.1 * detail(x) > detail(render(sharp, x, moved).rgb) > gain * detail(render(plain, x, moved).rgb)


def test_what_a_perceptual_generator_draws_cannot_alternate_from_pixel_to_pixel() -> None:
    a, b = texture(64, 96), torch.roll(texture(64, 96), 3, 3)
    mesh = []
    for name in ("base", "base-perceptual"):
        g = Generator(PRESETS[name]).eval()
        with torch.no_grad():
            plain = render(g, a, b).rgb
            g.fusion.leave2.bias[4:] = torch.tensor([1.0, -1.0, -1.0, 1.0]).repeat(3)  # of the four pixels of a cell
            mesh.append(float((render(g, a, b).rgb - plain).abs().mean()))
    assert mesh[0] > 0.05
    assert mesh[1] < 0.1 * mesh[0]


def test_a_motion_is_taken_more_and_more_the_better_it_matches() -> None:
    allowed = torch.full((1, 1, 1, 101), 4e-5)
    taken = motion.acceptance(allowed * torch.linspace(0.5, 1.5, 101), allowed)[0, 0, 0]
    assert taken[0] == 1
    assert taken[50] == pytest.approx(0.5, abs=1e-3)
    assert taken[-1] == 0
    steps = taken[:-1] - taken[1:]
    assert (steps >= 0).all()
    assert steps.max() < 0.05  # a rounding moves it by a rounding


def test_where_a_motion_barely_suffices_a_rounding_changes_next_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = texture(64, 96), torch.roll(texture(64, 96, seed=3), 2, 3)
    y, found, other = motion.luma(torch.cat((a, b))), torch.zeros(1, 2, 64, 96), torch.ones(1, 2, 64, 96)
    ca, cb = torch.full((1, 1, 1, 1), -0.5), torch.full((1, 1, 1, 1), 0.5)
    now, then = (motion.mismatch(y, v, ca, cb) for v in (found, other))
    known = torch.ones(1, 1, 64, 96, dtype=torch.bool)
    monkeypatch.setattr(motion, "UNSURE", 0.0)
    rounded = y * (1 + 1e-6 * torch.randn(y.shape, generator=torch.Generator().manual_seed(0)))
    for ratio in (then / now).flatten()[::307].tolist():  # one pixel or other is just at the edge
        monkeypatch.setattr(motion, "WENT_ON", ratio)
        one, another = (motion.prefer(x, found, [(other, known)], ca, cb) for x in (y, rounded))
        assert (one - another).abs().max() < 1e-2


def test_how_much_of_the_path_to_believe_is_learned_between_two_frames_only(generator: Generator) -> None:
    def made(offsets: tuple[float, float], bias: float) -> Render:
        torch.nn.init.constant_(generator.belief.leave.bias[:2], bias)
        with torch.no_grad():
            _, seen, state, (_, *rest) = around_a_gap(generator)
            after = generator.remember(seen[4], seen[3], torch.ones(1), state).motion
            return generator.render(seen[1], seen[3], state, torch.tensor([offsets]), *rest, after)

    whole, none = made((-1.0, 1.0), 0.0), made((-1.0, 1.0), -0.5493)  # tanh: each side's opinion counts half less
    # Both sides say that the target lies 2 px off the line; believed is all of it, then all of it less twice the half.
    moved = (none.flow - whole.flow)[..., 32:-32, 48:-48].mean((0, 2, 3))
    assert torch.allclose(moved, torch.tensor([-2.0, 0.0, -2.0, 0.0]), atol=0.3), moved
    assert torch.equal(made((-3.0, -1.0), 0.0).rgb, made((-3.0, -1.0), -0.5493).rgb)


def test_a_noisy_motion_is_made_calmer_and_its_edges_stay() -> None:
    torch.manual_seed(0)
    near, far = texture(64, 128, 1), texture(64, 128, 2)
    truth = torch.zeros(1, 2, 64, 96)
    truth[:, 1, :, 48:] = 4.0  # the right half moves by four cells, the left half stands still
    a = torch.cat((far[..., :48], near[..., 52:100]), 3)
    b = torch.cat((far[..., :48], near[..., 48:96]), 3)
    y = torch.cat((a[:, :1], b[:, :1]))
    ca, cb = torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1)
    noisy = truth + 0.1 * torch.randn_like(truth)
    error = (motion.calm(y, noisy, ca, cb) - truth).norm(dim=1)[0, 8:-8, 8:-8]
    assert error.median() < 0.5 * (noisy - truth).norm(dim=1).median()
    assert (error > 0.5).float().mean() < 0.01  # a mean across the edge would blur it over several cells


def accelerated(generator: Generator, span: int) -> tuple[list[Tensor], list[Features]]:
    """Frames at times -1, 0 .. span of a picture that is at x = 3 t + 2 t^2, and their features."""
    big = texture(96, 320)
    frames = [big[..., 160 - 3 * t - 2 * t * t :][..., :96, :128] for t in range(-1, span + 1)]
    return frames, [generator.encode(frame, torch.ones_like(frame[:, :1])) for frame in frames]


def around_a_gap(generator: Generator) -> tuple[list[Tensor], list[Features], State, tuple[Tensor, ...]]:
    """`accelerated` frames, the one at time 1 lost: the state after time 2, and what `render` takes beside."""
    frames, seen = accelerated(generator, 3)
    state = generator.remember(seen[0], seen[0], torch.zeros(1), generator.initial_state(seen[0]))
    state = generator.remember(seen[1], seen[0], torch.ones(1), state)
    state = generator.remember(seen[3], seen[1], torch.full((1,), 2.0), state)
    rest = torch.zeros_like(frames[0]), torch.ones(1, 1, 96, 128), torch.zeros(1, NOISE, 6, 8)
    return frames, seen, state, (torch.tensor([(-1.0, 1.0)]), *rest)


def test_a_motion_that_is_not_uniform_is_followed_half_way(generator: Generator) -> None:
    with torch.no_grad():
        frames, seen, state, args = around_a_gap(generator)
        straight = generator.render(seen[1], seen[3], state._replace(motion=None), *args)
        bent = generator.render(seen[1], seen[3], state, *args)
        args = (torch.tensor([(-2.0, 1.0)]), *args[1:])
        stranger = generator.render(seen[0], seen[3], state, *args)  # the state knows nothing of these two
        alone = generator.render(seen[0], seen[3], state._replace(motion=None), *args)
    # From 0 to 14 px over two periods: the line says 7, the truth is 5, the half of it 6.
    moved = (bent.flow - straight.flow)[..., 32:-32, 48:-48].mean((0, 2, 3))
    assert torch.allclose(moved, torch.tensor([1.0, 0.0, 1.0, 0.0]), atol=0.2), moved
    assert psnr(bent.rgb, frames[2], 32) > psnr(straight.rgb, frames[2], 32) + 3
    assert torch.equal(stranger.rgb, alone.rgb)


def test_what_is_seen_after_the_gap_as_well_is_followed_nearly_all_the_way(generator: Generator) -> None:
    with torch.no_grad():
        frames, seen, state, args = around_a_gap(generator)
        after = generator.remember(seen[4], seen[3], torch.ones(1), state)
        straight = generator.render(seen[1], seen[3], state._replace(motion=None), *args)
        half = generator.render(seen[1], seen[3], state, *args)
        bent = generator.render(seen[1], seen[3], state, *args, after.motion)
    # The line says 7, the truth is 5.
    moved = (bent.flow - straight.flow)[..., 32:-32, 48:-48].mean((0, 2, 3))
    assert torch.allclose(moved, torch.tensor([2.0, 0.0, 2.0, 0.0]), atol=0.25), moved
    assert psnr(bent.rgb, frames[2], 32) > psnr(half.rgb, frames[2], 32) + 3


@pytest.mark.parametrize(
    ("at", "span"), [((-1.0, 3.0), 4.0), ((-2.0, -1.0), 1.0), ((1.0, 2.0), 1.0), ((-1.0, 1.0), 3.0)]
)
def test_the_parabola_goes_through_what_is_known_and_nothing_else_is_bent(at: tuple[float, float], span: float) -> None:
    oa, ob = at
    distance = 3.0 * span + 2 * span * span  # as above, in cells, along x
    to_a = torch.zeros(1, 2, 8, 8)
    to_a[:, 1] = distance * oa / span
    to_b = torch.zeros(1, 2, 8, 8)
    to_b[:, 1] = distance * ob / span
    past = torch.zeros(1, 6, 8, 8)
    past[:, 2], past[:, 4], past[:, 5] = span, 1.0, 1.0  # from -1 to 0: 3 - 2 = 1 cell in one period
    later = torch.zeros(1, 6, 8, 8)
    later[:, 1], later[:, 2] = 3 + 2 * (2 * span + 1), 1.0  # from T to T + 1
    k = -oa
    truth = 3 * k + 2 * k * k - distance * k / span if oa < 0 < ob else 0.0
    known = truth if ob - oa == span else 0.0
    none = torch.zeros_like
    for before, after, expected in (
        (past, none(later), path.TRUST * known),
        (none(past), later, path.TRUST * truth if ob - oa == span else None),
        (past, later, known if ob - oa == span else None),
        (none(past), none(later), 0.0),
    ):
        off = path.bend(to_a, to_b, before, after, torch.tensor([at])).off[0, 1, 3:-3, 3:-3]
        if expected is not None:
            assert torch.allclose(off, torch.full_like(off, expected), atol=1e-2)
    rest = 3 * torch.ones(1, 6, 8, 8)  # more than `LONG_AGO` after b: nothing is known of its velocity
    assert not path.bend(to_a, to_b, none(past), rest, torch.tensor([at])).off.any()


def test_gradients_reach_every_weight(generator: Generator) -> None:
    generator.train()
    for layer in generator.modules():  # away from zero, so that what feeds a head is seen as well
        if isinstance(layer, torch.nn.Conv2d) and not layer.weight.any():
            torch.nn.init.normal_(layer.weight, std=0.01)
    a, truth, b = shifted(1, 2, 64, 64)
    one = torch.ones(1, 1, 64, 64)
    fa, fb = generator.encode(a, one), generator.encode(b, one)
    other = generator.encode(truth, one)
    state = generator.remember(other, other, torch.zeros(1), generator.initial_state(fa))
    state = generator.remember(fa, other, torch.ones(1), state)
    state = generator.remember(fb, fa, torch.ones(1), state)
    later = generator.remember(other, fb, torch.ones(1), state).motion
    noise = torch.randn(1, NOISE, 4, 4)
    mask = one.clone()
    mask[..., :8] = 0
    made = generator.render(fa, fb, state, torch.tensor([HALF]), truth, mask, noise, later)
    ((made.rgb - truth).square().mean() + made.scale.mean()).backward()
    unreached = [n for n, p in generator.named_parameters() if p.grad is None or not p.grad.any()]
    assert not unreached


def test_the_state_moves_with_the_picture(generator: Generator) -> None:
    a, _, b = shifted(4, 8, 128, 192)  # (8, 16) px, half a cell and one cell of the state, from a to b
    one = torch.ones_like(a[:, :1])
    seen = []
    # The cell shows where the state was read: a ramp along each axis as the memory, and a cell that only keeps it.
    generator.cell.forward = lambda _, state: seen.append(state) or state  # type: ignore[assignment,func-returns-value]
    with torch.no_grad():
        fa, fb = generator.encode(a, one), generator.encode(b, one)
        ramp = motion.grid(fa.f16).repeat(1, generator.preset.state // 2, 1, 1)
        generator.remember(fb, fa, torch.ones(1), State(ramp, ramp))
    moved = (ramp - seen[0].hidden)[0, :2, 2:-2, 2:-2].mean((1, 2))
    assert torch.allclose(moved, torch.tensor([0.5, 1.0]), atol=0.2)


def test_the_first_step_of_a_chain_knows_no_motion(generator: Generator) -> None:
    a, _, b = shifted(3, 3, 64, 64)
    one = torch.ones_like(a[:, :1])
    with torch.no_grad():
        fa, fb = generator.encode(a, one), generator.encode(b, one)
        start = generator.initial_state(fb)
        alone = generator.remember(fb, fb, torch.zeros(1), start)
        beside = generator.remember(fb, fa, torch.zeros(1), start)
    assert torch.equal(alone.hidden, beside.hidden)


def test_the_memory_stays_bounded_over_a_long_chain() -> None:
    torch.manual_seed(0)
    cell = ConvLSTM(4, 8)
    state = State(torch.zeros(1, 8, 4, 4), torch.zeros(1, 8, 4, 4))
    with torch.no_grad():
        cell.gates.weight *= 50
        for _ in range(64):
            state = cell(torch.randn(1, 4, 4, 4), state)
    assert state.memory.abs().max() <= BOUND
    assert torch.isfinite(state.hidden).all()


def test_several_samples_in_a_batch_are_as_one_by_one(generator: Generator) -> None:
    frames = [shifted(1, 2, 64, 64), shifted(-3, 0, 64, 64)]
    offsets = torch.tensor([HALF, (-0.25, 0.75)])
    a, b = torch.cat([f[0] for f in frames]), torch.cat([f[2] for f in frames])
    one = torch.ones_like(a[:, :1])
    with torch.no_grad():
        fa, fb = generator.encode(a, one), generator.encode(b, one)
        noise = torch.zeros(2, NOISE, 4, 4)
        args = (offsets, torch.zeros_like(a), one, noise)
        both = generator.render(fa, fb, generator.initial_state(fa), *args).rgb
        for i in range(2):
            fai, fbi = (Features(*(t[i : i + 1] for t in f)) for f in (fa, fb))
            each = (t[i : i + 1] for t in args)
            one_alone = generator.render(fai, fbi, generator.initial_state(fai), *each).rgb
            assert (one_alone - both[i : i + 1]).abs().max() < 1e-4


@pytest.mark.parametrize(("factor", "size"), [(2, 3), (8, 1)])
def test_weights_over_an_unshuffled_picture_are_weights_over_the_picture(factor: int, size: int) -> None:
    x = torch.rand(2, 3, 16, 32)
    weight = torch.randn(4, 3 * factor**2, size, size)
    expected = F.conv2d(F.pixel_unshuffle(x, factor), weight, padding=size // 2)
    got = F.conv2d(x, unshuffled(weight, factor), stride=factor, padding=size // 2 * factor)
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


def test_the_coarse_search_reads_where_bilinear_sampling_reads_and_outside_is_zero() -> None:
    a, b = torch.rand(1, 5, 6, 9), torch.rand(1, 5, 6, 9)
    ca, cb = motion.shares(torch.tensor([[-0.3, 0.7]]))
    got = search.search(a, b, ca, cb)
    reach = torch.arange(-search.RADIUS, search.RADIUS + 1).float()
    costs = []
    for dy, dx in itertools.product(reach, reach):
        seen = []
        for picture, share in ((a, ca), (b, cb)):
            y, x = (motion.grid(a)[:, i] + share.view(1, 1, 1) * d for i, d in ((0, dy), (1, dx)))
            at = torch.stack(((2 * x + 1) / 9 - 1, (2 * y + 1) / 6 - 1), -1)
            seen.append(F.grid_sample(picture, at, padding_mode="zeros", align_corners=False))
        costs.append(-(seen[0] - seen[1]).abs().sum(1))
    cost = torch.stack(costs, 1)
    near, wide = (F.avg_pool2d(cost, k, 1, k // 2, count_include_pad=False) for k in (3, 7))
    length = torch.tensor([math.hypot(dy, dx) for dy, dx in itertools.product(reach, reach)]).view(1, -1, 1, 1)
    p = ((0.7 * near + 0.5 * wide - search.PULL * length) * search.SHARPNESS).softmax(1)
    both = torch.tensor(list(itertools.product(reach, reach))).T
    expected = torch.einsum("kc,nchw->nkhw", both, p)
    torch.testing.assert_close(got, expected, atol=1e-3, rtol=1e-3)


def test_the_coarse_search_from_the_target_itself_is_the_search_with_no_share() -> None:
    a, b = torch.rand(2, 5, 6, 9), torch.rand(2, 5, 6, 9)
    ca, cb = -torch.ones(2, 1, 1, 1), torch.zeros(2, 1, 1, 1)
    torch.testing.assert_close(search.search(a, b, ca, None), search.search(a, b, ca, cb))


def test_blocks_are_means_and_windows_are_means_of_what_is_there() -> None:
    x = torch.rand(2, 3, 12, 20)
    torch.testing.assert_close(motion.shrink(x, 4), F.avg_pool2d(x, 4))
    torch.testing.assert_close(motion.mean(x, 5), F.avg_pool2d(x, 5, 1, 2, count_include_pad=False))


def test_windows_follow_a_smooth_motion_to_a_part_of_a_pixel_and_at_full_size_closer() -> None:
    noise = torch.Generator().manual_seed(3)
    far = F.interpolate(torch.rand(1, 1, 24, 32, generator=noise), size=(192, 256), mode="bicubic").clamp(0, 1)
    a, b = far[..., 8:136, 8:168].contiguous(), far[..., 5:133, 14:174].contiguous()  # by (3, -6) over the span
    ca, cb = motion.shares(torch.tensor([[-0.5, 0.5]]))
    off = []
    for levels in (PRESETS["lite"].levels, (*PRESETS["lite"].levels[:4], motion.Level(1, 1))):
        found = motion.estimate(motion.evidence(a), motion.evidence(b), torch.cat((a, b)), ca, cb, levels)[-1]
        inner = 2 * found[0, :, 16:-16, 16:-16]
        assert (inner.mean((1, 2)) - torch.tensor([3.0, -6.0])).abs().max() < 0.1
        off.append(float((inner - torch.tensor([3.0, -6.0]).view(2, 1, 1)).abs().mean()))
    assert off[1] < 0.5 * off[0] < 0.05


def test_the_reference_from_which_the_motion_goes_on_is_trusted_more() -> None:
    turns = torch.zeros(1, 4, 2, 2)
    turns[:, 0, 0], turns[:, 3, 1] = 3.0, -3.0  # breaks at a in the first row, at b in the second
    trust = steadier(turns)
    assert torch.allclose(trust[0, 0, 0], -trust[0, 0, 1])
    assert (trust[0, 0, 1] > 0.5).all()
    assert not steadier(torch.zeros(1, 4, 2, 2)).any()


def test_of_motions_that_match_the_one_that_goes_on_is_taken_and_not_one_that_matches_much_worse() -> None:
    columns = torch.arange(48.0)
    stripes = 0.5 + 0.5 * (columns * 2 * math.pi / 6).sin().view(1, 1, 1, 48).expand(1, 1, 32, 48)  # alike every six
    moved = torch.roll(stripes, 8, 3)  # which looks like two
    y = torch.cat([torch.cat((x, motion.derivatives(x)), 1) for x in (stripes, moved)])
    ca, cb = torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1)
    found, true, wrong = (torch.zeros(1, 2, 32, 48) for _ in range(3))
    found[:, 1], true[:, 1], wrong[:, 1] = 2.0, 8.0, 5.0
    everywhere, nowhere = torch.ones(1, 1, 1, 1, dtype=torch.bool), torch.zeros(1, 1, 1, 1, dtype=torch.bool)
    inner = (slice(None), 1, slice(4, -4), slice(12, -12))
    for others, expected in (
        ([(true, everywhere)], 8.0),
        ([(true, nowhere)], 2.0),
        ([(wrong, everywhere)], 2.0),
        ([(wrong, everywhere), (true, everywhere)], 8.0),
    ):
        assert (motion.prefer(y, found, others, ca, cb)[inner] == expected).all()


def test_what_goes_on_is_read_where_it_was_and_only_where_it_is_known() -> None:
    """Things to the right of the middle move by 3 cells a period, the others stand still; a is 1 before, b 2 after."""
    at = torch.tensor([(-1.0, 2.0)])
    ca, cb = motion.shares(at)
    velocity = torch.zeros(1, 2, 8, 60)
    velocity[:, 1, :, 30:] = 3.0
    known, never = torch.ones(1, 1, 8, 60), torch.zeros(1, 1, 8, 60)
    still = torch.zeros_like(velocity)
    past = torch.cat((still, 3 * known, velocity, known), 1)
    later = torch.cat((velocity, known, still, never), 1)
    (before, sure_before), (after, sure_after) = path.going_on(past, later, at, ca, cb)
    assert sure_before.all()
    assert sure_after.all()
    assert (before[0, 1, :, 36:-4] == 9).all()  # on a's grid that edge lies at 30, at the target's time at 33
    assert (before[0, 1, :, :30] == 0).all()
    assert (after[0, 1, :, 30:48] == 9).all()  # on the grid of the frame after b at 30, at the target's time at 21
    assert (after[0, 1, :, :20] == 0).all()  # between them both could be
    (_, sure_before), (_, sure_after) = path.going_on(torch.zeros_like(past), torch.zeros_like(later), at, ca, cb)
    assert not sure_before.any()
    assert not sure_after.any()


def test_a_facade_too_fine_for_a_quarter_moves_as_its_building_does(generator: Generator) -> None:
    """Means of 2x2 pixels leave 43 % of a pattern of six pixels at 1/4, where it seems to move the other way."""
    columns = torch.arange(160.0).view(1, 1, 1, -1)
    facade = 0.5 + 0.4 * torch.sign(torch.sin(2 * math.pi / 6 * columns)).expand(1, 3, 128, -1)
    big = texture(128, 160)
    big[..., 32:96, 48:112] = facade[..., 32:96, 48:112]
    a, truth, b = (big[..., 16 - 2 * i :][..., :128] for i in (-1, 0, 1))
    with torch.no_grad():
        assert psnr(render(generator, a, b).rgb, truth, 16) > 33


def test_a_path_that_bends_both_ways_follows_each_side_near_it() -> None:
    """Faster at first than the line, then slower, then faster again: nothing bends it in the middle."""
    span = 4.0
    past, later = torch.zeros(1, 6, 8, 8), torch.zeros(1, 6, 8, 8)
    past[:, 2], past[:, 4], past[:, 5] = span, 8.0, 1.0  # 8 cells a period before a, 4 on the way, 8 after b
    later[:, 1], later[:, 2] = 8.0, 1.0
    found = []
    for k in (1.0, 2.0, 3.0):
        to_a, to_b = torch.zeros(1, 2, 8, 8), torch.zeros(1, 2, 8, 8)
        to_a[:, 1], to_b[:, 1] = -4 * k, 4 * (span - k)
        off, turns, _, _ = path.bend(to_a, to_b, past, later, torch.tensor([(-k, span - k)]))
        found.append(float(off[0, 1, 4, 4]))
        assert torch.allclose(turns[0, 1::2, 4, 4], torch.tensor([-32.0, 32.0]))  # pixels a period
    assert found[0] > 0.1
    assert abs(found[1]) < 1e-4
    assert found[2] == pytest.approx(-found[0], rel=1e-4)
