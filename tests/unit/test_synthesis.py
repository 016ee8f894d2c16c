"""Dreams: what they depend on, and how they are measured."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the training extra")

from vgan_plugin.training import synthesis  # noqa: E402
from vgan_plugin.training.discriminators import CLIP, Judges  # noqa: E402
from vgan_plugin.training.generator import NOISE, PRESETS, Generator, sizes  # noqa: E402


@pytest.fixture(scope="module")
def generator() -> Generator:
    """None of whose heads is at zero, as after a training."""
    torch.manual_seed(0)
    made = Generator(sizes("textbook", "gru")).eval()
    for layer in made.modules():
        if isinstance(layer, torch.nn.Conv2d) and not layer.weight.any():
            torch.nn.init.normal_(layer.weight, std=0.05)
    return made


def noise(seed: int, frames: int = 3, clips: int = 1) -> torch.Tensor:
    return synthesis.draw_noise(clips, frames, 32, torch.Generator().manual_seed(seed))


@torch.no_grad()
def test_one_seed_repeats_bit_for_bit_and_two_differ(generator: Generator) -> None:
    one, again, other = (synthesis.dream(generator, noise(seed)) for seed in (1, 1, 2))
    assert one.shape == (1, 3, 3, 32, 32)
    assert torch.equal(one, again)
    assert (one - other).abs().mean() > 0.01


@torch.no_grad()
def test_a_longer_dream_begins_as_the_shorter_one(generator: Generator) -> None:
    long = noise(1, frames=5)
    assert torch.equal(synthesis.dream(generator, long)[:, :3], synthesis.dream(generator, long[:, :4]))


@torch.no_grad()
def test_a_dream_goes_on_from_the_frame_it_is_given(generator: Generator) -> None:
    first = torch.rand(1, 3, 32, 32)
    given, own = synthesis.dream(generator, noise(1), first), synthesis.dream(generator, noise(1))
    assert torch.equal(given[:, 0], first)
    assert not torch.equal(given[:, 1:], own[:, 1:])


def test_a_dream_teaches_every_part_that_makes_it(generator: Generator) -> None:
    synthesis.dream(generator, noise(1)).square().mean().backward()
    # What a picture is imagined from is neither frames nor their motion; a dream of three frames sees one state.
    unused = ("cell", "fusion.known8", "fusion.features", "fusion.turns8")
    silent = [n for n, p in generator.named_parameters() if p.grad is None or not p.grad.any()]
    generator.zero_grad(set_to_none=True)
    assert [name for name in silent if not name.startswith(unused)] == []


def test_the_seed_is_standard_noise_of_any_size_made_a_state(generator: Generator) -> None:
    spread = []
    for side in (8, 24):
        state = generator.seed(torch.randn(16, NOISE, side, side, generator=torch.Generator().manual_seed(0)))
        assert state.hidden.shape == (16, PRESETS["textbook"].state, side, side)
        assert state.memory.shape[1] == 0
        spread.append(float(state.hidden.detach().std()))
    assert spread[1] == pytest.approx(spread[0], rel=0.25)


def test_what_is_measured_of_dreams_sees_what_it_should() -> None:
    random = torch.Generator().manual_seed(0)
    true = torch.nn.functional.interpolate(torch.rand(24, 3, 8, 8, generator=random), 32, mode="bicubic").clamp(0, 1)
    true = torch.stack([true.roll(k, -1) for k in range(4)], 1)
    same = synthesis.likeness(true, true)
    assert same == (pytest.approx(0, abs=1e-9), 1, 1, 1)
    assert synthesis.likeness(true[:, :1].expand_as(true), true).motion == 0
    assert synthesis.likeness(true[:1].expand_as(true), true).variety == pytest.approx(0, abs=1e-6)
    soft = torch.nn.functional.avg_pool2d(true.flatten(0, 1), 3, 1, 1, count_include_pad=False).view_as(true)
    assert synthesis.likeness(soft, true).sharpness < 0.7
    half = synthesis.likeness(true[:12], true[12:]).distance
    assert half < synthesis.likeness(soft, true).distance
    assert half < synthesis.likeness(true.flip(2) * 0.7, true).distance


def test_the_judge_of_clips_sees_movement_that_single_frames_do_not_show() -> None:
    torch.manual_seed(0)
    judges = Judges(width=0.25, clips=True)
    still = torch.rand(1, 1, 3, 32, 32).expand(2, 2 * CLIP, 3, 32, 32)
    moving = still.clone()
    moving[1] = torch.stack([still[1, k].roll(k, -1) for k in range(2 * CLIP)])
    seen = judges.watch(moving)
    assert (seen["frame"].shape, seen["clip"].shape) == ((4 * CLIP, 4, 32, 32), (2, 3 * CLIP, 16, 16))
    assert (seen["clip"][0, :3] == seen["clip"][0, 3:6]).all()
    assert (seen["clip"][1, :3] != seen["clip"][1, 3:6]).any()
    assert set(judges(judges.watch(still[:, :1]))) == {"frame"}
