"""Training as a user runs it: it learns, stops and goes on, and loses nothing when something breaks."""

from __future__ import annotations

import itertools
import json
import logging
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from clips import moving_frames, write_clip

from vgan_plugin.errors import DataUnusable, DeviceMissing, OutputError, TrainingFailed, UsageError
from vgan_plugin.training import checkpoint, clips, players, precision, train
from vgan_plugin.training.presets import schedule
from vgan_plugin.training.tasks import Batch, Sampler
from vgan_plugin.types import TrainRequest

pytestmark = pytest.mark.needs_torch

QUICK = {
    "crop": 32,
    "batch": 2,
    "steps": 4,
    "val_crop": 32,
    "val_crops": 3,
    "val_every": 2,
    "log_every": 2,
    "warmup": 1,
    "threads": 1,
    "gan_from": 0.5,
    "gan_rise": 1,
    "device": "cpu",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three short clips of moving textures."""
    folder = tmp_path_factory.mktemp("data")
    for i, speed in enumerate([(3, 1), (-2, 2), (1, -3)]):
        write_clip(folder / f"clip{'abc'[i]}.mkv", moving_frames(10, 64, 48, speed=speed, seed=i))
    return folder


def go(data, run, **options) -> None:
    request = {k: options.pop(k) for k in ("minutes", "dry_run", "start_from", "seed", "preset") if k in options}
    train.train(TrainRequest(data, run, **{"preset": "tiny", **request}, options=QUICK | options))


def tensors(run, name="checkpoint.npz"):
    return checkpoint.load(run / name)[0]


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_a_run_leaves_everything_that_its_docs_promise(data, tmp_path):
    run = tmp_path / "run"
    go(data, run)
    assert {p.name for p in run.iterdir()} >= {
        "run.json",
        "checkpoint.npz",
        "weights.npz",
        "perceptual.npz",
        "log.jsonl",
        "tensorboard",
        "strips",
    }
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "val/psnr" in line] == [0, 2, 4]
    assert any("val/untrained" in line and "val/blend" in line for line in lines)
    assert any("judges/loss" in line for line in lines if line["step"] == 4)
    assert not any("judges/loss" in line for line in lines if line["step"] == 2)  # the pixel stage has no judges
    assert len(list((run / "strips").glob("*.png"))) == 3
    assert list((run / "tensorboard").iterdir())
    facts = json.loads((run / "run.json").read_text())
    assert (facts["preset"], facts["seed"], facts["options"]["crop"]) == ("tiny", 0, 32)
    assert facts["data"] == data.name  # what a bundle will name as its training data
    weights, meta = checkpoint.load(run / "weights.npz")
    assert meta["preset"] == "tiny"
    assert meta["val"]["psnr"] > 10
    players.Players("tiny", schedule("tiny", QUICK), torch.device("cpu"), 1).start_from(run)
    assert all(torch.isfinite(t).all() for t in weights.values())


def test_stopping_and_going_on_is_the_same_as_never_stopping(data, tmp_path, monkeypatch):
    go(data, tmp_path / "whole", steps=6)
    seen: list[int] = []
    real = Sampler.batch

    def counted(self: Sampler, step: int) -> Batch:
        if len(seen) == 3 and step == 3 and seen[-1] == 2:
            raise KeyboardInterrupt
        seen.append(step)
        return real(self, step)

    monkeypatch.setattr(Sampler, "batch", counted)
    with pytest.raises(KeyboardInterrupt):
        go(data, tmp_path / "parts", steps=6)
    seen.append(-1)
    train.train(TrainRequest(data, tmp_path / "parts", preset="tiny"))  # options and seed are the run's own
    assert seen == [0, 1, 2, -1, 3, 4, 5]
    assert same(tensors(tmp_path / "whole"), tensors(tmp_path / "parts"))


def test_minutes_end_a_run_early_and_it_can_be_gone_on_with(data, tmp_path, monkeypatch):
    run = tmp_path / "run"
    clock = itertools.count(0, 0.2)  # seconds, one look at the clock apart
    monkeypatch.setattr(train, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    go(data, run, steps=100_000, minutes=0.0)
    assert not (run / "checkpoint.npz").exists()  # not a step was taken
    assert (run / "weights.npz").exists()
    steps = []
    for _ in range(2):
        go(data, run, steps=100_000, minutes=0.03)
        steps.append(checkpoint.load(run / "checkpoint.npz")[1]["step"])
    assert 0 < steps[0] < steps[1] < 100_000


@pytest.mark.parametrize("kind", ["minimax", "nonsaturating", "hinge", "relativistic"])
def test_both_sides_of_the_game_move(data, kind):
    options = QUICK | {
        "gan_from": 0,
        "gan_weight": 1.0,
        "adversarial": kind,
        "gan_lr": 1e-3,
        "warmup": 0,
        "synthetic": 0.0,
    }
    settings = schedule("tiny", options)
    game = players.Players("tiny", settings, torch.device("cpu"), 0)
    batch = Sampler(clips.load(data, crop=32), settings, 0).batch(0)
    judges, generator = ([p.clone() for p in side.parameters()] for side in (game.judges, game.generator))
    hand = game.make(batch, 3)
    scalars = game.judges_move(hand, 4)
    assert any(not torch.equal(a, b) for a, b in zip(judges, game.judges.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(generator, game.generator.parameters(), strict=True))
    assert scalars["judges/penalty"] >= 0
    judges = [p.clone() for p in game.judges.parameters()]
    scalars = game.generators_move(hand, 3)
    assert any(not torch.equal(a, b) for a, b in zip(generator, game.generator.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(judges, game.judges.parameters(), strict=True))
    assert 0 < float(scalars["adversarial/pull"]) <= 5 * settings.gan_cap + 1e-6


def test_judges_learn_to_tell_noise_from_footage(data):
    settings = schedule("tiny", QUICK | {"gan_from": 0, "synthetic": 0.0, "d_lr": 2e-3})
    game = players.Players("tiny", settings, torch.device("cpu"), 0)
    sampler = Sampler(clips.load(data, crop=32), settings, 0)
    margins = []
    for step in range(25):
        hand = game.make(sampler.batch(step), step)
        noise = torch.rand(hand.frame.shape, generator=torch.Generator().manual_seed(step))
        margins.append(float(game.judges_move(hand._replace(frame=noise), step)["judges/frame_margin"]))
    assert margins[-1] > margins[0] + 0.5


def test_under_the_judges_motion_is_left_alone(data):
    settings = schedule("tiny", QUICK | {"gan_from": 0, "warmup": 0})
    game = players.Players("tiny", settings, torch.device("cpu"), 0)
    batch = Sampler(clips.load(data, crop=32), settings, 0).batch(0)
    before = {name: p.clone() for name, p in game.generator.named_parameters()}
    game.generators_move(game.make(batch, 1), 1)
    moved = {
        name.partition(".")[0] for name, p in game.generator.named_parameters() if not torch.equal(p, before[name])
    }
    assert moved == {"fusion"}


def test_half_precision_leaves_the_motion_exact_and_the_gradients_flowing(data):
    settings = schedule("tiny", QUICK | {"gan_from": 1})
    game = players.Players("tiny", settings, torch.device("cpu"), 0)
    batch = Sampler(clips.load(data, crop=32), settings, 0).batch(0)
    exact = game.make(batch, 0)
    for leave in (game.generator.head16.leave, game.generator.fusion.leave2):
        torch.nn.init.normal_(leave.weight, std=1e-4)
    precision.in_bf16(game.generator)
    assert game.generator.encoder(torch.rand(1, 4, 32, 32))[0].dtype == torch.float32
    half = game.make(batch, 0)
    assert all(field.dtype == torch.float32 for field in half.made)
    assert (exact.made.flow - half.made.flow).abs().median() < 0.05  # px; half precision of the motion costs 0.2
    game.generators_move(half, 1)
    assert all(p.grad is not None for p in game.generator.encoder.parameters())


def test_a_part_with_rate_zero_stays_as_it_is(data):
    settings = schedule("tiny", QUICK | {"motion_lr": 0, "encoder_lr": 0, "gan_from": 1, "warmup": 0})
    game = players.Players("tiny", settings, torch.device("cpu"), 0)
    sampler = Sampler(clips.load(data, crop=32), settings, 0)
    before = {name: p.clone() for name, p in game.generator.named_parameters()}
    for step in range(2):
        game.generators_move(game.make(sampler.batch(step), step), step)
    moved = {
        name.partition(".")[0] for name, p in game.generator.named_parameters() if not torch.equal(p, before[name])
    }
    assert moved == {"fusion"}


def test_nan_stops_the_run_and_the_last_good_checkpoint_stays(data, tmp_path, monkeypatch):
    run = tmp_path / "run"
    go(data, run, steps=2, gan_from=1)
    good = tensors(run)
    real = Sampler.batch
    monkeypatch.setattr(Sampler, "batch", lambda s, i: real(s, i)._replace(truth=real(s, i).truth * torch.nan))
    with pytest.raises(TrainingFailed) as error:
        go(data, run, steps=20, gan_from=1)
    assert "finite" in error.value.why
    assert same(good, tensors(run))
    assert all(torch.isfinite(t).all() for t in tensors(run, "weights.npz").values())


def test_a_single_bad_step_is_left_out(data):
    settings = schedule("tiny", QUICK | {"gan_from": 1})
    game = players.Players("tiny", settings, torch.device("cpu"), 0)
    batch = Sampler(clips.load(data, crop=32), settings, 0).batch(0)
    before = [p.clone() for p in game.generator.parameters()]
    game.generators_move(game.make(batch._replace(truth=batch.truth * torch.nan), 0), 0)
    assert all(torch.equal(a, b) for a, b in zip(before, game.generator.parameters(), strict=True))
    game.generators_move(game.make(batch, 1), 1)
    assert game.strikes == 0


def test_power_loss_in_the_middle_of_a_save_leaves_the_last_good_one(tmp_path, monkeypatch):
    path = tmp_path / "c.npz"
    checkpoint.save(path, {"x": torch.ones(3)}, {"step": 1})

    def dies(file, **arrays):
        file.write(b"half a file")
        raise SystemExit

    monkeypatch.setattr(checkpoint.np, "savez", dies)
    with pytest.raises(SystemExit):
        checkpoint.save(path, {"x": torch.zeros(3)}, {"step": 2})
    found, meta = checkpoint.load(path)
    assert meta == {"step": 1}
    assert torch.equal(found["x"], torch.ones(3))


def test_a_full_disk_is_an_error_and_leaves_the_last_good_one(tmp_path, monkeypatch):
    path = tmp_path / "c.npz"
    checkpoint.save(path, {"x": torch.ones(3)}, {"step": 1})

    def full(file, **arrays):
        file.write(b"half a file")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.np, "savez", full)
    with pytest.raises(OutputError) as error:
        checkpoint.save(path, {"x": torch.zeros(3)}, {"step": 2})
    assert "No space left" in error.value.why
    assert checkpoint.load(path)[1] == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["c.npz"]


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut off"])
def test_a_broken_checkpoint_is_one_error(tmp_path, content):
    path = tmp_path / "c.npz"
    path.write_bytes(content)
    with pytest.raises(TrainingFailed):
        checkpoint.load(path)


def test_a_checkpoint_holds_no_pickle(tmp_path):
    path = tmp_path / "evil.npz"
    np.savez(path, x=np.array([object()], dtype=object))
    with pytest.raises(TrainingFailed):
        checkpoint.load(path)


def test_weights_start_a_new_run_with_a_fresh_optimiser(data, tmp_path):
    go(data, tmp_path / "first")
    go(data, tmp_path / "second", start_from=tmp_path / "first", steps=1, gan_from=1, minutes=0.0)
    assert same(tensors(tmp_path / "first", "weights.npz"), tensors(tmp_path / "second", "weights.npz"))
    with pytest.raises(TrainingFailed) as error:
        go(data, tmp_path / "third", start_from=tmp_path / "first", preset="lite")
    assert "another network" in str(error.value)
    with pytest.raises(TrainingFailed):
        go(data, tmp_path / "fourth", start_from=tmp_path / "nowhere")


def test_a_dry_run_takes_a_step_and_writes_nothing(data, tmp_path):
    go(data, tmp_path / "run", dry_run=True)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_holds_something_else_is_not_touched(data, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(TrainingFailed):
        go(data, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_run_of_another_preset_is_not_gone_on_with(data, tmp_path):
    go(data, tmp_path / "run", minutes=0.0)
    with pytest.raises(TrainingFailed):
        go(data, tmp_path / "run", preset="lite")


def test_changed_data_is_said(data, tmp_path, caplog):
    one = tmp_path / "data"
    one.mkdir()
    write_clip(one / "a.mkv", moving_frames(10, 64, 48))
    go(one, tmp_path / "run", minutes=0.0)
    write_clip(one / "b.mkv", moving_frames(10, 64, 48, seed=1))
    with caplog.at_level(logging.WARNING):
        go(one, tmp_path / "run", minutes=0.0)
    assert "has changed" in caplog.text


def test_one_single_clip_and_mixed_sizes_are_enough(data, tmp_path):
    one = tmp_path / "one"
    one.mkdir()
    write_clip(one / "a.mkv", moving_frames(12, 64, 48))
    go(one, tmp_path / "run1")
    write_clip(one / "b.mp4", moving_frames(9, 96, 64, seed=1), "libx264")
    (one / "broken.mp4").write_bytes(b"nothing")
    go(one, tmp_path / "run2")
    assert (tmp_path / "run2" / "weights.npz").exists()


def test_a_file_where_the_run_is_to_be_is_refused(data, tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(TrainingFailed, match="it is a file"):
        go(data, tmp_path / "run")
    assert (tmp_path / "run").read_text() == "mine"


def test_a_folder_of_nothing_is_one_error(tmp_path):
    with pytest.raises(DataUnusable):
        go(tmp_path / "nowhere", tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "options",
    [{"stpes": 4}, {"steps": "many"}, {"crop": 33}, {"tasks": "fly:1"}, {"adversarial": "wgan"}, {"device": "gpu"}],
)
def test_a_wrong_option_is_a_usage_error_that_names_it(data, tmp_path, options):
    with pytest.raises(UsageError):
        go(data, tmp_path / "run", **options)


def test_a_wrong_preset_names_the_presets(data, tmp_path):
    with pytest.raises(UsageError) as error:
        go(data, tmp_path / "run", preset="huge")
    assert "tiny" in str(error.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_a_device_that_is_not_there_is_an_error(data, tmp_path):
    with pytest.raises(DeviceMissing):
        go(data, tmp_path / "run", device="cuda")
