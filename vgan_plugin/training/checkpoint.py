"""Saving and resuming: tensors and JSON in one `.npz`, replaced as a whole or not at all. No pickle.

A save is written beside the old file, forced to the disk, then renamed over it, so that a power cut or a full disk
leaves the last good one.
"""

from __future__ import annotations

import json
import math
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vgan_plugin.bundle import locate, store
from vgan_plugin.errors import OutputError, TrainingFailed

META = "meta.json"
INDEX = "weights.json"
"""Of a bundle: where each weight lies in its file of fp16 weights, by the network's name for it."""


def save(path: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Write `tensors` and `meta` (anything JSON can hold) to `path`.

    Raises:
        OutputError: the disk is full or the folder cannot be written; the file that was there is untouched.
    """
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
    arrays[META] = np.frombuffer(json.dumps(dict(meta)).encode(), np.uint8)
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputError(
            f"The checkpoint {path} cannot be saved", str(error), "free some space and resume; the last one is good"
        ) from error


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `save` wrote: tensors on the CPU, and the meta data.

    Raises:
        TrainingFailed: it is not there or not readable.
    """
    try:
        with path.open("rb") as stored, np.load(stored, allow_pickle=False) as file:
            tensors = {name: torch.from_numpy(file[name]) for name in file.files if name != META}
            meta = json.loads(file[META].tobytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise TrainingFailed(f"{path} cannot be read", str(error), "give a file that a training has saved") from error
    return tensors, meta


def weights(path: Path) -> dict[str, Tensor]:
    """The averaged weights of a run folder, a `weights.npz`, a `checkpoint.npz` or a bundle, as `ema/...`.

    Args:
        path: a name that is no path, such as `base`, is that of an installed bundle.

    Raises:
        BundleError: the bundle is damaged, or there is none of that name.
        TrainingFailed: there are none.
    """
    if (path / "bundle.json").exists() or path.suffix == ".zip":
        return shipped(path)
    if not path.exists() and path.name == str(path):
        return shipped(locate.find(str(path)))
    return load(path / "weights.npz" if path.is_dir() else path)[0]


def shipped(path: Path) -> dict[str, Tensor]:
    """The weights of a bundle that our exporter made, as `ema/...`, fp32.

    Raises:
        BundleError: the bundle is damaged.
        TrainingFailed: it does not say where its weights lie.
    """
    bundle = store.load(path)
    external = bundle.external()
    try:
        index: dict[str, dict[str, Any]] = json.loads(bundle.contents[INDEX])
        (blob,) = external.values()
        return {
            f"ema/{name}": torch.from_numpy(
                np.frombuffer(blob, np.float16, math.prod(entry["shape"]), entry["offset"])
                .reshape(entry["shape"])
                .astype(np.float32)
            )
            for name, entry in index.items()
        }
    except (KeyError, ValueError, TypeError) as error:
        raise TrainingFailed(
            f"The bundle {path} cannot be trained further",
            f"its {INDEX} does not say where its weights lie ({error})",
            "start from the run folder it was exported from",
        ) from error


def pack(prefix: str, part: nn.Module | torch.optim.Optimizer) -> dict[str, Tensor]:
    """A network's or an optimiser's tensors under `prefix/...`; learning rates are the schedule's, not kept."""
    if isinstance(part, nn.Module):
        return {f"{prefix}/{name}": tensor for name, tensor in part.state_dict().items()}
    state = part.state_dict()["state"]
    return {f"{prefix}/{i}/{name}": tensor for i, values in state.items() for name, tensor in values.items()}


def unpack(tensors: Mapping[str, Tensor], prefix: str, part: nn.Module | torch.optim.Optimizer) -> None:
    """Put what `pack` took back into a network or an optimiser of the same shape.

    Raises:
        TrainingFailed: it was another network.
    """
    found = {name.removeprefix(prefix + "/"): t for name, t in tensors.items() if name.startswith(prefix + "/")}
    if isinstance(part, nn.Module):
        try:
            part.load_state_dict(found)
        except RuntimeError as error:
            raise TrainingFailed(
                "The weights are of another network",
                str(error).splitlines()[-1].strip(),
                "use the preset they were made with",
            ) from error
        return
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in found.items():
        index, _, key = name.partition("/")
        state.setdefault(int(index), {})[key] = tensor
    part.load_state_dict({"state": state, "param_groups": part.state_dict()["param_groups"]})
