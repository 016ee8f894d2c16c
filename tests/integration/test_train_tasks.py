"""Every task is learned, every stage can be stopped in, and bad footage or a broken machine costs no checkpoint."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from clips import moving_frames, write_clip
from PIL import Image

from vgan_plugin.cli import main
from vgan_plugin.errors import BundleMissing, DataUnusable, TrainingFailed
from vgan_plugin.training import checkpoint, clips, losses, players, train
from vgan_plugin.training.presets import schedule
from vgan_plugin.training.tasks import Sampler
from vgan_plugin.training.teacher import Teacher
from vgan_plugin.types import TrainRequest

pytestmark = pytest.mark.needs_torch

QUICK = {
    "crop": 32,
    "batch": 2,
    "steps": 4,
    "val_crop": 32,
    "val_crops": 4,
    "val_every": 100,
    "log_every": 2,
    "warmup": 1,
    "threads": 1,
    "gan_from": 1,
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
    request = {k: options.pop(k) for k in ("minutes", "dry_run", "start_from", "seed") if k in options}
    train.train(TrainRequest(data, run, preset="tiny", **request, options=QUICK | options))


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("task", ["between", "predict", "inpaint"])  # of `one` nothing is learned: it is held
def test_tiny_overfits_four_crops_of_each_task(data, task):
    options = {"batch": 4, "tasks": f"{task}:1", "synthetic": 0, "steps": 400, "lr": 5e-3, "lead": 0}
    settings = schedule("tiny", QUICK | options)
    game = players.Players("tiny", settings, torch.device("cpu"), 0)
    batch = Sampler(clips.load(data, crop=32), settings, 0).batch(3)
    # Two windows over each other: no single motion explains them, so that there is something to learn.
    frames, truth = (0.5 * x + 0.5 * x.roll(1, 0) for x in (batch.frames, batch.truth))
    batch = batch._replace(frames=frames, truth=truth)
    mask = batch.mask.flatten(0, 1)

    def score() -> float:
        """PSNR under the mask."""
        with torch.no_grad():
            hand = game.make(batch, 0)
        return -10 * float(losses.mean((hand.frame - hand.truth).square(), mask).log10())

    before = score()
    for step in range(60):
        game.generators_move(game.make(batch, step), step)
    assert score() > before + 1.5


def test_a_run_stopped_in_every_stage_ends_as_if_it_never_had_been(data, tmp_path, monkeypatch):
    stages = {"steps": 8, "motion_until": 0.25, "gan_from": 0.75, "cooldown": 0.34, "gan_rise": 1, "val_every": 8}
    settings = schedule("tiny", QUICK | stages)
    assert [settings.stage(step) for step in (1, 3, 5, 7)] == ["motion", "tasks", "finish", "gan"]
    go(data, tmp_path / "whole", **stages)
    real, stops = Sampler.batch, [7, 5, 3, 1]

    def stopping(self: Sampler, step: int):
        if stops and step == stops[-1]:
            stops.pop()
            raise KeyboardInterrupt
        return real(self, step)

    monkeypatch.setattr(Sampler, "batch", stopping)
    while stops:
        with pytest.raises(KeyboardInterrupt):
            go(data, tmp_path / "parts", **stages)
    go(data, tmp_path / "parts", **stages)
    for name in ("checkpoint.npz", "perceptual.npz"):
        ends = [checkpoint.load(tmp_path / run / name)[0] for run in ("whole", "parts")]
        assert same(*ends), name


def test_where_nothing_but_the_game_is_played_the_latest_weights_are_what_is_exported(data, tmp_path):
    go(
        data,
        tmp_path / "run",
        steps=4,
        gan_from=0.0,
        gan_rise=1,
        gan_weight=10.0,
        gan_cap=10.0,
        gan_lr=0.1,
        val_every=2,
    )
    kept, latest = (checkpoint.load(tmp_path / "run" / name) for name in ("weights.npz", "perceptual.npz"))
    assert kept[1]["step"] == latest[1]["step"] == 4
    assert same(kept[0], latest[0])


def test_the_command_trains_for_the_tasks_that_are_named(data, tmp_path, capfd):
    quick = [text for name, value in QUICK.items() for text in ("--set", f"{name}={value}")]
    command = ["train", str(data), str(tmp_path / "run"), "--preset", "tiny", "--task", "inpaint,predict", *quick]
    assert main([*command, "--minutes", "0"]) == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["options"]["tasks"] == "inpaint:1,predict:1"
    line = json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[-1])
    assert {"val/psnr_inpaint", "val/psnr_predict"} <= line.keys()
    assert main(["train", str(data), str(tmp_path / "no"), "--task", "fly"]) == 2
    assert "tasks are fill, interpolate, inpaint, predict, synthesize" in capfd.readouterr().err
    assert main(["train", str(data), str(tmp_path / "no"), "--task", "fill", "--set", "tasks=one:1"]) == 2
    assert "only one of them" in capfd.readouterr().err


def test_a_teacher_is_imitated_and_stays_as_it_is(data, tmp_path):
    options = QUICK | {"tasks": "between:1", "synthetic": 0}
    wise = players.Players("tiny", schedule("tiny", options), torch.device("cpu"), 0)
    torch.nn.init.normal_(wise.ema.fusion.leave2.weight, std=0.003)
    wise.save_weights(tmp_path / "weights.npz", 0, {})
    pupil = players.Players("tiny", schedule("tiny", options | {"teacher": str(tmp_path)}), wise.device, 0)
    teacher = pupil.teacher
    before = {name: p.clone() for name, p in teacher.generator.named_parameters()}
    batch = Sampler(clips.load(data, crop=32), wise.settings, 0).batch(2)
    head = torch.optim.Adam([pupil.generator.fusion.leave2.weight], lr=1e-3)
    apart = []
    for _ in range(12):  # the same network but for its last layer: it can become the teacher
        terms = teacher.terms(batch, pupil.make(batch, 0).made)
        apart.append(float(terms["taught"].detach()))
        head.zero_grad()
        terms["taught"].backward()
        head.step()
    assert apart[-1] < 0.7 * apart[0]
    assert float(teacher.terms(batch, teacher.make(batch))["taught"]) < 0.0011  # the loss of no difference at all
    assert {"pixel/taught", "pixel/taught_flow"} <= pupil.generators_move(pupil.make(batch, 0), 0).keys()
    assert all(torch.equal(p, before[name]) for name, p in teacher.generator.named_parameters())


def test_a_teacher_of_another_size_is_recognised_and_a_stranger_refused(tmp_path):
    settings = schedule("lite", QUICK)
    players.Players("lite", settings, torch.device("cpu"), 0).save_weights(tmp_path / "lite.npz", 0, {})
    assert Teacher(tmp_path / "lite.npz", torch.device("cpu")).generator.preset.name == "lite"
    checkpoint.save(tmp_path / "other.npz", {"ema/conv.weight": torch.zeros(3)}, {})
    with pytest.raises(TrainingFailed, match="cannot teach"):
        Teacher(tmp_path / "other.npz", torch.device("cpu"))
    with pytest.raises(BundleMissing):
        players.Players("tiny", schedule("tiny", QUICK | {"teacher": "nowhere"}), torch.device("cpu"), 0)


def test_a_bundle_that_is_installed_gives_its_weights_by_name():
    weights = checkpoint.weights(Path("base"))
    assert {"ema/encoder.s4.0.0.weight", "ema/fusion.leave2.weight"} <= weights.keys()
    assert all(t.dtype == torch.float32 and t.isfinite().all() for t in weights.values())


# --- bad footage ------------------------------------------------------------------------------------------------------


def test_stills_alone_are_refused_with_a_word(tmp_path):
    for i in range(3):
        Image.fromarray(np.full((48, 64, 3), 60 * i, np.uint8)).save(tmp_path / f"{i}.png")
    with pytest.raises(DataUnusable) as error:
        go(tmp_path, tmp_path / "run")
    assert "of 3 pictures none moves" in error.value.why
    assert not (tmp_path / "run").exists()


def test_clips_in_which_nothing_moves_train_with_a_warning(tmp_path, caplog):
    still = moving_frames(8, 64, 48, speed=(0, 0))
    (tmp_path / "data").mkdir()
    write_clip(tmp_path / "data" / "slide.mkv", still)
    with caplog.at_level(logging.WARNING):
        go(tmp_path / "data", tmp_path / "run", steps=2)
    assert "nothing moves" in caplog.text
    assert checkpoint.load(tmp_path / "run" / "checkpoint.npz")[1]["step"] == 2


def test_clips_shorter_than_the_windows_get_shorter_windows(tmp_path):
    (tmp_path / "data").mkdir()
    for name in "abc":
        write_clip(tmp_path / "data" / f"{name}.mkv", moving_frames(4, 64, 48, seed=ord(name)))
    go(tmp_path / "data", tmp_path / "run", lead=8, max_gap=8, targets=2, steps=3)
    assert checkpoint.load(tmp_path / "run" / "checkpoint.npz")[1]["step"] == 3


def test_among_clips_of_all_sizes_and_rates_the_broken_ones_are_named(tmp_path, caplog):
    folder = tmp_path / "data"
    folder.mkdir()
    write_clip(folder / "a.mkv", moving_frames(8, 64, 48))
    write_clip(folder / "b.mp4", moving_frames(9, 96, 64, time_base=Fraction(1001, 60000)), "libx264")
    write_clip(folder / "c.mkv", moving_frames(5, 50, 38, time_base=Fraction(1, 10), seed=2))
    whole = (folder / "b.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 3])
    (folder / "text.mp4").write_text("not a video")
    with caplog.at_level(logging.WARNING):
        go(folder, tmp_path / "run", steps=2, tasks="between:1,predict:1,inpaint:1,one:1", batch=6)
    for name in ("cut.mp4", "text.mp4"):
        assert f"skipped {name}: " in caplog.text
    assert checkpoint.load(tmp_path / "run" / "checkpoint.npz")[1]["step"] == 2


# --- a machine that breaks --------------------------------------------------------------------------------------------


def save_in_another_process(folder: Path, before: str, limit: str = "true") -> subprocess.CompletedProcess[str]:
    """Save 1 MB of ones over the last checkpoint, in a process of its own."""
    script = f"""
import torch
from vgan_plugin.training import checkpoint
{before}
checkpoint.save(checkpoint.Path("c.npz"), {{"x": torch.ones(250_000)}}, {{"step": 2}})
"""
    command = ["sh", "-c", f'{limit}; exec "$0" -c "$1"', sys.executable, script]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_a_process_killed_in_the_middle_of_a_save_leaves_the_last_good_checkpoint(tmp_path):
    checkpoint.save(tmp_path / "c.npz", {"x": torch.zeros(3)}, {"step": 1})
    die = """
import os, signal
checkpoint.os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
"""
    assert save_in_another_process(tmp_path, die).returncode == -signal.SIGKILL
    assert (tmp_path / "c.npz.part").stat().st_size > 900_000
    found, meta = checkpoint.load(tmp_path / "c.npz")
    assert meta == {"step": 1}
    assert torch.equal(found["x"], torch.zeros(3))
    checkpoint.save(tmp_path / "c.npz", {"x": torch.ones(3)}, {"step": 3})  # what was left does not stand in the way
    assert [p.name for p in tmp_path.iterdir()] == ["c.npz"]


@pytest.mark.skipif(sys.platform == "win32", reason="ulimit is of POSIX shells")
def test_a_disk_that_takes_no_more_leaves_the_last_good_checkpoint(tmp_path):
    checkpoint.save(tmp_path / "c.npz", {"x": torch.zeros(3)}, {"step": 1})
    done = save_in_another_process(tmp_path, "", "ulimit -f 512")
    assert "OutputError" in done.stderr
    assert "File too large" in done.stderr
    assert checkpoint.load(tmp_path / "c.npz")[1] == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["c.npz"]
