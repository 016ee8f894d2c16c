"""The loop that trains: a generator makes frames, judges tell them from real ones, each learns from the other.

Read `play` first: it is the whole game. Before `gan_from` only the pixel losses pull; then each step is one of the
judges, on real and made frames, and one of the generator, by pixels and by the judges' opinion.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from vgan_plugin.errors import DeviceMissing, TrainingFailed, UsageError
from vgan_plugin.training import clips
from vgan_plugin.training.generator import Generator
from vgan_plugin.training.health import look, look_at_dreams
from vgan_plugin.training.players import NotFinite, Players
from vgan_plugin.training.presets import Schedule, schedule
from vgan_plugin.training.progress import Journal, blend, psnr, strip, validate, validate_dreams
from vgan_plugin.training.rescue import Rescue
from vgan_plugin.training.tasks import Batch, Sampler, validation
from vgan_plugin.types import TrainRequest

log = logging.getLogger("vgan_plugin.training")

EXAM = 1 << 40
"""Dreams are compared with the footage itself; from this step on a training draws the clips for it."""


def train(request: TrainRequest) -> Path:
    """Train, or go on training, until the schedule or the minutes are over.

    The run folder then holds `run.json` (what was asked), `checkpoint.npz` (everything to go on), `weights.npz` (the
    averaged weights that were best on held-out crops, or, where nothing but the game is played, the latest: what is
    exported), `perceptual.npz` (the latest of the adversarial stage), `log.jsonl`, `tensorboard/` and `strips/`.

    Returns:
        The run folder.

    Raises:
        UsageError: an option or preset that does not exist.
        DataUnusable: nothing to train on.
        DeviceMissing: the device asked for is not there.
        ExtraMissing: TensorBoard or Pillow is not installed.
        OutputError: a checkpoint cannot be saved.
        TrainingFailed: the folder holds something else, or gradients are not finite any more.
    """
    until = math.inf if request.minutes is None else time.monotonic() + 60 * request.minutes
    seed, settings = _settings(request)
    device = _device(settings)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    footage = clips.load(request.data, crop=settings.crop, licences=settings.licences, max_side=settings.max_side)
    players = Players(request.preset, settings, device, seed)
    dreams = players.generator.preset.synthesises
    if dreams != (set(settings.task_shares()) == {"synthesize"}):
        raise UsageError(
            f"Preset {request.preset} does not train on the tasks {settings.tasks}",
            "dream and textbook make video from noise, the other presets from the frames around",
            "give tasks=synthesize:1 to those two alone",
        )
    exam: list[Batch] = []
    if not dreams:  # whose frames are neither right nor wrong: they are compared with the footage they learn from
        if settings.val:
            side = max(settings.val_crop, settings.crop)
            held = clips.load(Path(settings.val), crop=side, max_side=settings.max_side, stills=False)
        else:
            footage, held = footage.split(settings.val_share)
        exam = validation(held.to(device), settings)
    log.info("%d clips, %d stills, %d windows held out", len(footage.clips), len(footage.stills), len(exam))
    sampler = Sampler(footage.to(device), settings, seed)
    if dreams:
        exam = [sampler.batch(EXAM + i) for i in range(max(1, settings.val_crops // settings.batch))]
    if request.start_from is not None and not (request.run / "checkpoint.npz").exists():
        players.start_from(request.start_from)
    if request.dry_run:
        turn(players, sampler.batch(0), 0)
        return request.run
    _open(request, settings, seed, footage.fingerprint)
    play(players, sampler, exam, request.run, until)
    return request.run


def turn(players: Players, batch: Batch, step: int) -> dict[str, Tensor | float]:
    """One turn of the game: the generator makes frames, then D moves, then G. What is worth logging."""
    hand = players.make(batch, step)  # the generator makes frames
    scalars: dict[str, Tensor | float] = {}
    if players.opinion(step) is not None and hand.real.any():
        scalars |= players.judges_move(hand, step)  # D step: real against made
    return scalars | players.generators_move(hand, step)  # G step: pixels, and what the judges think


def play(players: Players, sampler: Sampler, exam: list[Batch], run: Path, until: float) -> None:
    """The game, from where the run folder stands to the end of the schedule or until `until` (monotonic seconds)."""
    settings, last = players.settings, run / "checkpoint.npz"
    first, best = players.resume(last)
    step, saved = first, time.monotonic()
    with Journal(run) as journal:
        rescue = Rescue(players, run)
        if first == 0:
            best = examine(players, exam, journal, rescue, step, best)
        pace = Pace(settings, sampler)
        try:
            while step < settings.steps and time.monotonic() < until and not rescue.over:
                pace.add(turn(players, sampler.batch(step), step))
                step += 1
                if step % settings.log_every == 0:
                    means = pace.means()
                    journal.scalars(step, means | {"speed/lr": players.rate(step)})
                    rescue.listen(means, step)
                    pace = Pace(settings, sampler)
                if step % settings.val_every == 0:
                    best = examine(players, exam, journal, rescue, step, best)
                if time.monotonic() - saved > 60 * settings.save_minutes:
                    players.save(last, step, best)
                    saved = time.monotonic()
        except NotFinite as error:
            raise TrainingFailed(
                f"The training stopped after step {step}",
                str(error),
                "run it again with a lower lr: it goes on from the last good checkpoint",
            ) from error
        except KeyboardInterrupt:
            players.save(last, step, best)
            raise
        if step > first:
            if step % settings.val_every:
                best = examine(players, exam, journal, rescue, step, best)
            players.save(last, step, best)


def examine(players: Players, exam: list[Batch], journal: Journal, rescue: Rescue, step: int, best: float) -> float:
    """Validate the averaged weights and keep the best so far in `weights.npz`. The best score: dB, or -distance."""
    run = rescue.run
    if not exam:
        log.warning("no held-out shot is long and large enough: nothing is validated, the last weights are kept")
        players.save_weights(run / "weights.npz", step, {})
        return best
    if exam[0].task == "synthesize":
        dreams = validate_dreams(players.ema, exam)
        scores, score, picture = dreams.likeness._asdict(), -dreams.likeness.distance, dreams.strip()
        findings = look_at_dreams(dreams.made, dreams.true, dreams.likeness.variety, dreams.long)
    else:
        scores, made = validate(players.ema, exam)
        score, picture = scores["psnr"], strip(players.ema, exam[:6])
        findings = [] if players.opinion(step) is None else look(made, torch.cat([b.truth[:, 0] for b in exam]))
        if step == 0:
            untrained, _ = validate(Generator(players.generator.preset).to(players.device), exam)
            plain = sum(psnr(blend(b), b.truth[:, 0], b.mask[:, 0]) for b in exam) / len(exam)
            journal.scalars(step, {"val/blend": plain, "val/untrained": untrained["psnr"]})
    journal.scalars(step, {f"val/{name}": value for name, value in scores.items()})
    journal.picture(step, picture)
    if players.opinion(step) is not None:  # the judges' taste is not measured in dB: the latest weights are kept
        players.save_weights(run / "perceptual.npz", step, scores)
    rescue.see(findings, scores, step, score)
    game_alone = players.settings.gan_from == 0 and exam[0].task != "synthesize"
    if score > best or game_alone:  # which is not played for dB
        players.save_weights(run / "weights.npz", step, scores)
        return score
    return best


class Pace:
    """Means of the scalars since the last log line, windows a second, and the share of the time spent on the data."""

    def __init__(self, settings: Schedule, sampler: Sampler) -> None:
        self.values: dict[str, list[Tensor | float]] = {}
        self.sampler, self.sampled = sampler, sampler.seconds
        self.began, self.windows = time.monotonic(), settings.log_every * settings.batch

    def add(self, scalars: Mapping[str, Tensor | float]) -> None:
        """Take the scalars of one move; tensors are read only when the means are asked for."""
        for name, value in scalars.items():
            self.values.setdefault(name, []).append(value)

    def means(self) -> dict[str, float]:
        """Every scalar's mean, and the speed."""
        means = {name: sum(map(float, values)) / len(values) for name, values in self.values.items()}
        seconds = time.monotonic() - self.began
        waited = (self.sampler.seconds - self.sampled) / seconds
        return means | {"speed/windows_per_s": self.windows / seconds, "speed/data_share": waited}


def _device(settings: Schedule) -> torch.device:
    name = settings.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"No device {name!r}", "devices are auto, cpu, cuda and cuda:N", "name one of them") from error
    if device.type == "cuda" and (not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count()):
        raise DeviceMissing(f"{name} is not there", "torch sees no such CUDA device", "train with device=cpu or auto")
    return device


def _settings(request: TrainRequest) -> tuple[int, Schedule]:
    """The seed and the schedule: those of an existing run, with what is asked for now on top."""
    known = request.run / "run.json"
    if request.run.exists() and not request.run.is_dir():
        raise TrainingFailed(f"{request.run} is not a run folder", "it is a file", "name a new folder")
    if not known.exists():
        if request.run.is_dir() and any(request.run.iterdir()):
            raise TrainingFailed(f"{request.run} is not a run folder", "it holds other files", "name a new folder")
        return request.seed, schedule(request.preset, request.options)
    try:
        before = json.loads(known.read_text("utf-8"))
        preset, seed, options = before["preset"], int(before["seed"]), dict(before["options"])
    except (ValueError, KeyError, TypeError) as error:
        why = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise TrainingFailed(f"{known} cannot be understood", why, "name a new folder") from error
    if preset != request.preset:
        raise TrainingFailed(
            f"{request.run} is a run of preset {preset}", f"{request.preset} was asked for", "name a new folder"
        )
    return seed, schedule(preset, {**options, **request.options})


def _open(request: TrainRequest, settings: Schedule, seed: int, fingerprint: str) -> None:
    """Make the run folder, or note in it what has changed; `fingerprint` is the footage's."""
    request.run.mkdir(parents=True, exist_ok=True)
    path = request.run / "run.json"
    facts = {
        "kind": "vgan-run",
        "format": 1,
        "preset": request.preset,
        "seed": seed,
        "data": request.data.resolve().name,
    }
    facts["start_from"] = str(request.start_from) if request.start_from else None
    if path.exists():
        facts = json.loads(path.read_text("utf-8"))
        if facts.get("fingerprint") != fingerprint:
            log.warning("the training data has changed since this run was last opened")
    facts |= {"fingerprint": fingerprint, "options": asdict(settings)}
    path.write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
