"""Run folder -> bundle: graphs, weights, parity, manifest; the whole folder appears at once or not at all."""

from __future__ import annotations

import datetime
import json
import re
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from vgan_export.graphs import OPSET, WEIGHTS, export_graphs, rounded
from vgan_export.parity import compare
from vgan_plugin.bundle import card, store
from vgan_plugin.bundle.manifest import FILE_NAME, Manifest, Training
from vgan_plugin.errors import ExportFailed, OutputError, OutputExists
from vgan_plugin.training import checkpoint
from vgan_plugin.training.generator import BLOCK, LEAD, NOISE, STRIDE, Generator, sizes
from vgan_plugin.types import ExportRequest

TASKS = ("fill", "interpolate", "inpaint", "predict")
"""Of a generator that sees the frames around; one that begins with noise does `synthesize` alone."""
OFFSETS = (-8.0, 8.0)
"""Smallest and largest time of a reference that training visits, in source-frame periods."""


def export(request: ExportRequest) -> Path:
    """Export the averaged weights of a run.

    Args:
        request: the run folder, the bundle folder to write, its name.

    Returns:
        The bundle folder.

    Raises:
        ExportFailed: the run holds no weights, or graphs and network differ.
        OutputExists: the bundle is there already and `overwrite` was not asked for.
        OutputError: it cannot be written.
    """
    generator, training = read(request.run)
    name = request.name or re.sub(r"[^a-z0-9._-]", "-", request.bundle.name.lower()).lstrip("._-")
    return pack(generator, training, request.bundle, name=name, overwrite=request.overwrite)


def read(run: Path) -> tuple[Generator, Training]:
    """The generator of a run folder, and what is known of its training.

    Raises:
        ExportFailed: it is not a run folder, or has no weights yet.
    """
    try:
        facts = json.loads((run / "run.json").read_text("utf-8"))
        options = dict(facts["options"])
        generator = Generator(sizes(facts["preset"], options.get("cell", "lstm")))
        data = str(facts["data"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = f"its run.json lacks or does not know {error}" if isinstance(error, KeyError) else str(error)
        if isinstance(error, OSError):
            why = f"its run.json cannot be read ({error.strerror or error})"
        raise ExportFailed(f"{run} is not a run folder", why, "give the folder that `vgan train` wrote") from error
    if not (run / "weights.npz").exists():
        raise ExportFailed(f"{run} has no weights yet", "no validation has been reached", "train it for longer")
    tensors, meta = checkpoint.load(run / "weights.npz")
    checkpoint.unpack(tensors, "ema", generator)
    return generator, Training(
        data=(data,),
        licences=tuple(f"licence class {letter}" for letter in str(options.get("licences", ""))),
        steps=int(meta.get("step", 0)),
        date=datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        metrics=dict(meta.get("val", {})),
    )


def pack(generator: Generator, training: Training, folder: Path, *, name: str, overwrite: bool = False) -> Path:
    """Write a generator as a bundle.

    Args:
        generator: whose weights ship, rounded to fp16 here.
        training: where they come from.
        folder: what to write; its parents are made where they are missing.
        name: what `--model` will take.
        overwrite: replace a bundle that is there.

    Returns:
        `folder`.

    Raises:
        ExportFailed: graphs and network differ.
        OutputExists: `folder` is there already.
        OutputError: it cannot be written, or something else than a bundle would be replaced.
    """
    if folder.exists():
        if not overwrite:
            raise OutputExists(f"{folder} exists", "it would be replaced", "name another folder, or add --overwrite")
        if not (folder / FILE_NAME).is_file():
            raise OutputError(f"{folder} is not replaced", "it is there and no bundle", "name another folder")
    generator = rounded(generator)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise OutputError(f"{folder} cannot be written", str(error), "choose another place") from error
    try:
        variants = export_graphs(generator, part)
        manifest = Manifest(
            name=name,
            title=f"recurrent GAN, {generator.preset.name}, {generator.preset.cell}",
            licence="Apache-2.0",
            tasks=("synthesize",) if generator.preset.synthesises else TASKS,
            preset=generator.preset.name,
            cell=generator.preset.cell,
            graphs=variants.pop("fp32"),
            block=BLOCK,
            lead=LEAD,
            offset_range=OFFSETS,
            stride=STRIDE,
            opset=OPSET,
            precision="fp32",
            parameters=sum(p.numel() for p in generator.parameters()),
            gflop_per_megapixel=round(gflop(generator), 2),
            training=training,
            parity={},
            weights=WEIGHTS,
            variants=variants,
        )
        manifest.write(part)  # so that what is compared is what a reader loads; once more with the report in it
        replace(manifest, parity=compare(generator, store.load(part))).write(part)
        card.write(part)
        if folder.exists():
            shutil.rmtree(folder)
        part.chmod(0o755)
        part.rename(folder)
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written", str(error), "free some space, or choose another place"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


@torch.no_grad()
def gflop(generator: Generator) -> float:
    """Arithmetic of one encode, one remember and one render for 10^6 pixels: 2 x multiply-adds of the convolutions."""
    side = 256
    frame, one = torch.zeros(1, 3, side, side), torch.ones(1, 1, side, side)
    with FlopCounterMode(display=False) as counter:
        features = generator.encode(frame, one)
        state = generator.remember(features, features, torch.ones(1), generator.initial_state(features))
        noise = torch.zeros(1, NOISE, side // STRIDE, side // STRIDE)
        generator.render(features, features, state, torch.tensor([[-0.5, 0.5]]), frame, one, noise)
    return float(counter.get_total_flops()) / (side * side) * 1e-3
