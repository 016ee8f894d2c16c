"""The adversarial game as `vgan train` plays it: turns, optimisers, cells, dreams, and what is done when it fails."""

from __future__ import annotations

import dataclasses
import json
import logging
import math

import pytest

torch = pytest.importorskip("torch", reason="needs the training extra")

from clips import moving_frames, write_clip  # noqa: E402

from vgan_plugin.errors import TrainingFailed, UsageError  # noqa: E402
from vgan_plugin.training import checkpoint, clips, health, rescue, train  # noqa: E402
from vgan_plugin.training.health import BACKS, Finding  # noqa: E402
from vgan_plugin.training.players import Players  # noqa: E402
from vgan_plugin.training.presets import schedule  # noqa: E402
from vgan_plugin.training.rollout import roll_out  # noqa: E402
from vgan_plugin.training.tasks import Sampler  # noqa: E402
from vgan_plugin.types import TrainRequest  # noqa: E402

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
    "gan_from": 0.0,
    "gan_rise": 1,
    "synthetic": 0.0,
    "device": "cpu",
    "max_side": 64,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for i, speed in enumerate([(3, 1), (-2, 2)]):
        write_clip(folder / f"clip{'ab'[i]}.mkv", moving_frames(10, 64, 48, speed=speed, seed=i))
    return folder


def table(data, preset="tiny", **options) -> tuple[Players, Sampler]:
    """Players and what they play with."""
    settings = schedule(preset, QUICK | options)
    return Players(preset, settings, torch.device("cpu"), 0), Sampler(clips.load(data, crop=32), settings, 0)


def weights(part: torch.nn.Module) -> list[torch.Tensor]:
    return [p.detach().clone() for p in part.parameters()]


def moved(before: list[torch.Tensor], part: torch.nn.Module) -> bool:
    return any(not torch.equal(a, b) for a, b in zip(before, part.parameters(), strict=True))


@pytest.mark.parametrize("preset", ["tiny", "dream"])
def test_in_a_turn_the_judges_move_first_and_then_the_generator(data, preset, monkeypatch):
    players, sampler = table(data, preset, row=4)
    order = []
    step = Players._step

    def noted(self, optimiser, loss, clip):
        sides = {"G": weights(self.generator), "D": weights(self.judges)}
        norm = step(self, optimiser, loss, clip)
        order.append(
            "".join(name for name, side in (("G", self.generator), ("D", self.judges)) if moved(sides[name], side))
        )
        return norm

    monkeypatch.setattr(Players, "_step", noted)
    scalars = train.turn(players, sampler.batch(1), 1)
    assert order == ["D", "G"]
    assert {"judges/loss", "judges/frame_margin", "adversarial/loss"} <= set(scalars)


def test_a_window_seen_backwards_twice_is_the_window_and_once_has_the_same_truth(data):
    _, sampler = table(data, synthetic=1.0, lead=2, tasks="between:1")
    batch = sampler.batch(0)
    back = batch.backwards()
    assert torch.equal(back.frames[:, back.a], batch.frames[:, batch.b])
    assert torch.equal(back.offsets(0), -batch.offsets(0).flip(1))
    assert torch.equal(back.flow[:, :, :2], batch.flow[:, :, 2:])
    assert (back.times.diff(dim=1) > 0).all()
    for one, other in zip(back.backwards(), batch, strict=True):
        assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def test_ping_pong_makes_what_is_made_forwards_and_backwards_alike(data):
    apart = []
    for weight in (0.0, 20.0):
        players, sampler = table(data, gan_from=1.0, steps=60, lr=2e-3, lead=3, tasks="between:1", ping_pong=weight)
        batch = sampler.batch(0)
        for step in range(12):
            train.turn(players, batch, step)
        with torch.no_grad():
            there, back = (roll_out(players.generator, b).rgb for b in (batch, batch.backwards()))
        apart.append(float((there - back).abs().mean()))
    assert apart[1] < 0.8 * apart[0]


def test_plain_gradient_descent_is_the_textbooks_update(data):
    players, sampler = table(data, optimiser="sgd", gan_from=1.0, lr=0.01, warmup=0, clip=1e9, cooldown=0.0)
    before = weights(players.generator)
    players.generators_move(players.make(sampler.batch(0), 0), 0)
    changed = 0
    for old, new in zip(before, players.generator.parameters(), strict=True):
        if new.grad is not None and new.grad.any():
            assert torch.allclose(new, old - 0.01 * new.grad, atol=1e-7)
            changed += 1
    assert changed > 5


def test_the_textbook_preset_plays_the_formula_with_adam_at_two_in_ten_thousand(data):
    players, sampler = table(data, "textbook")
    settings = schedule("textbook", {})
    assert (settings.adversarial, settings.optimiser, settings.gan_lr, settings.d_lr) == ("minimax", "adam", 2e-4, 2e-4)
    assert settings.gamma == settings.diversity == 0
    hand = players.make(sampler.batch(0), 0)
    scalars = players.judges_move(hand, 0)
    with torch.no_grad():
        made = players.judges(players.judges.watch(hand.frame))["frame"]
    assert "judges/penalty" not in scalars
    # D has moved, G has not: the value of the game is now what G descends.
    value = players.generators_move(hand, 0)["adversarial/loss"]
    assert float(value) == pytest.approx(float((1 - torch.sigmoid(made)).log().mean()), abs=1e-5)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_every_cell_trains_and_resumes(data, tmp_path, cell):
    run = tmp_path / cell
    for steps in (2, 4):
        request = TrainRequest(
            data, run, preset="tiny", options=QUICK | {"cell": cell, "gan_from": 1.0, "steps": steps}
        )
        train.train(request)
    tensors, meta = checkpoint.load(run / "checkpoint.npz")
    assert meta["step"] == 4
    assert json.loads((run / "run.json").read_text())["options"]["cell"] == cell
    assert ("generator/cell.next.weight" in tensors) == (cell == "rnn")


@pytest.mark.parametrize("options", [{"cell": "transformer"}, {"optimiser": "lion"}, {"tasks": "synthesize:1"}])
def test_what_the_game_does_not_know_is_a_usage_error(data, tmp_path, options):
    with pytest.raises(UsageError):
        train.train(TrainRequest(data, tmp_path / "run", preset="tiny", options=QUICK | options))


def test_a_dream_trains_is_measured_and_stops_and_goes_on_as_one(data, tmp_path):
    for name, stops in (("whole", (4,)), ("parts", (2, 4))):
        for steps in stops:
            # The schedule is the longer one's throughout; a run that is cut short is one of which minutes are over.
            options = QUICK | {"row": 4, "cooldown": 0.0, "steps": steps}
            train.train(TrainRequest(data, tmp_path / name, preset="dream", options=options))
    whole, parts = (checkpoint.load(tmp_path / name / "checkpoint.npz")[0] for name in ("whole", "parts"))
    assert all(torch.equal(whole[key], parts[key]) for key in whole)
    lines = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert {"val/distance", "val/variety", "val/motion", "val/sharpness"} <= set().union(*lines)
    assert {"judges/frame_margin", "judges/clip_margin"} <= set().union(*lines)
    assert (tmp_path / "whole" / "weights.npz").exists()


def test_dreams_are_judged_by_footage_as_it_is(tmp_path):
    """Upright and in its own colours: the top of the only clip is red, the rest is not."""
    frames = moving_frames(8, 48, 48, "gbrp")
    for frame in frames:
        for plane, top in zip(frame.planes, (0, 0, 255), strict=True):
            plane.flags.writeable = True
            plane[:], plane[:24] = 40, top
    write_clip(tmp_path / "a.mkv", frames, "ffv1")
    _, sampler = table(tmp_path, "textbook", crop=32, batch=16)
    red, green, _ = torch.cat([sampler.batch(step).truth for step in range(3)]).mean((0, 1, 4))[:3]
    assert red[0] > 0.8 > 0.3 > red[-1]
    assert green.max() < 0.3


def test_the_generator_of_dreams_learns_to_differ_by_its_noise(data):
    players, sampler = table(data, "dream", row=1, gan_lr=2e-3, d_lr=2e-3, gamma=10, batch=4, steps=1000)
    variety = [float(train.turn(players, sampler.batch(i), i)["adversarial/variety"]) for i in range(25)]
    assert max(variety[-5:]) > 10 * variety[0]


def good_run(data, tmp_path) -> tuple[Players, rescue.Rescue]:
    """A game that has been good once."""
    players, sampler = table(data)
    (tmp_path / "run.json").write_text('{"kind": "vgan-run"}')
    team = rescue.Rescue(players, tmp_path)
    team.see([], {}, 2)
    train.turn(players, sampler.batch(1), 1)
    return players, team


@pytest.mark.parametrize("sign", health.BACK)
def test_on_a_sign_of_ruin_the_players_go_back_and_it_is_said(data, tmp_path, caplog, sign):
    players, team = good_run(data, tmp_path)
    spoilt = weights(players.generator), weights(players.judges)
    with caplog.at_level(logging.WARNING):
        team.see([Finding(sign, "by 7")], {}, 4)
    good, _ = checkpoint.load(tmp_path / rescue.GOOD)
    assert moved(spoilt[0], players.generator)
    assert moved(spoilt[1], players.judges)
    assert all(torch.equal(p, good[f"generator/{name}"]) for name, p in players.generator.named_parameters())
    assert players.balance.rate == 0.5
    facts = json.loads((tmp_path / "run.json").read_text())
    assert facts["kind"] == "vgan-run"
    assert [(f["step"], f["sign"], f["why"]) for f in facts["findings"]] == [(4, sign, "by 7")]
    assert f"{sign}: by 7" in caplog.text
    assert "back to the last good weights" in caplog.text


def test_what_gets_better_is_not_thrown_back(data, tmp_path):
    players, team = good_run(data, tmp_path)
    team.see([], {}, 4, score=-0.8)
    before = weights(players.generator)
    team.see([Finding("drift", "by 7")], {}, 6, score=-0.7)
    assert not moved(before, players.generator)
    assert players.balance == health.Balance()
    assert "better than when all was well" in (tmp_path / "run.json").read_text()
    team.see([Finding("drift", "by 7")], {}, 8, score=-0.9)
    assert players.balance.backs == 1


def test_what_was_never_good_is_said_and_left_to_become_so(data, tmp_path):
    players, _ = table(data)
    before = weights(players.generator)
    rescue.Rescue(players, tmp_path).see([Finding("collapse", "0.01")], {}, 4)
    assert not moved(before, players.generator)
    assert players.balance == health.Balance()
    assert "no state has been good yet" in (tmp_path / "run.json").read_text()


def test_where_nothing_can_be_done_that_is_what_is_said(data, tmp_path):
    players, _ = table(data, "textbook")
    rescue.Rescue(players, tmp_path).listen({"judges/frame_margin": 40.0}, 50)
    assert "nothing: with gamma=0" in (tmp_path / "run.json").read_text()
    assert players.balance == health.Balance()


def test_judges_far_ahead_are_not_heard_for_a_while_and_penalised_more(data, tmp_path):
    players, team = good_run(data, tmp_path)
    for step in (50, 100):
        team.listen({"judges/frame_margin": 9.0}, step)
    assert players.balance.gamma >= 1.5
    _, sampler = table(data)
    assert "adversarial/pull" not in players.generators_move(players.make(sampler.batch(1), 101), 101)
    assert "adversarial/pull" in players.generators_move(players.make(sampler.batch(1), 101), 101 + health.MUTE)


def test_judges_that_see_nothing_learn_faster_with_a_new_last_layer(data, tmp_path):
    players, team = good_run(data, tmp_path)
    team.sharpness = 0.3
    before = {name: p.detach().clone() for name, p in players.judges.named_parameters()}
    for step in range(0, 500, QUICK["log_every"]):
        team.listen({"judges/frame_margin": 0.0}, step)
    changed = {name for name, p in players.judges.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {
        "frame.layers.8.weight",
        "frame.layers.8.bias",
        "triplet.layers.8.weight",
        "triplet.layers.8.bias",
    }
    assert players.balance.judging == 2


def test_what_was_found_outlives_a_stop(data, tmp_path):
    players, _ = table(data)
    players.balance = dataclasses.replace(players.balance, gamma=1.5, backs=2, mute_until=70)
    players.save(tmp_path / "c.npz", 5, 0.0)
    again, _ = table(data)
    assert again.resume(tmp_path / "c.npz") == (5, 0.0)
    assert again.balance == players.balance


def test_dreams_that_cannot_be_saved_end_with_the_best_so_far(data, tmp_path, monkeypatch):
    asked = []

    def ruin(made, *_):
        asked.append(len(made))
        return [] if len(asked) <= 2 else [Finding("collapse", "planted")]

    monkeypatch.setattr(train, "look_at_dreams", ruin)
    monkeypatch.setattr(rescue.Rescue, "good_score", math.inf)  # what comes is worse
    options = QUICK | {"row": 1, "steps": 100}
    run = train.train(TrainRequest(data, tmp_path / "run", preset="dream", options=options))
    facts = json.loads((run / "run.json").read_text())
    assert [f["step"] for f in facts["findings"]] == [4, 6, 8, 10]
    assert len(facts["findings"]) == BACKS + 1
    assert checkpoint.load(run / "checkpoint.npz")[1]["step"] == 10
    assert (run / "weights.npz").exists()


def test_numbers_that_run_away_in_a_dream_stop_the_run_and_the_last_good_stays(data, tmp_path, monkeypatch):
    run = tmp_path / "run"
    options = QUICK | {"row": 1, "steps": 2, "cooldown": 0.0}
    train.train(TrainRequest(data, run, preset="dream", options=options))
    good, _ = checkpoint.load(run / "checkpoint.npz")
    real = Sampler.batch
    monkeypatch.setattr(Sampler, "batch", lambda s, i: real(s, i)._replace(truth=real(s, i).truth * torch.nan))
    with pytest.raises(TrainingFailed, match="finite"):
        train.train(TrainRequest(data, run, preset="dream", options=options | {"steps": 20}))
    after, _ = checkpoint.load(run / "checkpoint.npz")
    assert all(torch.equal(good[key], after[key]) for key in good)
