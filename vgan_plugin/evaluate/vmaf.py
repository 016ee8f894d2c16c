"""VMAF and VMAF-NEG of a whole clip, by an FFmpeg with libvmaf. It rewards sharpening: never look at it alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from vgan_plugin.errors import ExtraMissing, PluginFailed
from vgan_plugin.pixels.colour import from_rgb, to_rgb
from vgan_plugin.types import Colour, Frame, PixelFormat

VARIABLE = "VGAN_FFMPEG"
"""Environment variable: the ffmpeg to use, before the one on PATH and the one of imageio-ffmpeg."""
_FORM = PixelFormat.parse("yuv420p")
_MODELS = r"version=vmaf_v0.6.1\:name=vmaf|version=vmaf_v0.6.1neg\:name=vmaf_neg"


def find_ffmpeg() -> str:
    """The first ffmpeg with libvmaf: of VGAN_FFMPEG, on PATH, of the package imageio-ffmpeg.

    Raises:
        ExtraMissing: there is none.
    """
    looked = []
    for name in (os.environ.get(VARIABLE), "ffmpeg", _packaged()):
        program = shutil.which(name) if name else None
        if program is None:
            continue
        looked.append(program)
        if "libvmaf" in _filters(program):
            return program
    raise ExtraMissing(
        "VMAF cannot be measured",
        f"none of {', '.join(looked)} has libvmaf" if looked else "no ffmpeg was found",
        f'pip install "vgan[evaluate]", or name one with libvmaf in {VARIABLE}',
    )


def _packaged() -> str | None:
    try:
        import imageio_ffmpeg
    except ImportError:
        return None
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError:  # the package without its binary
        return None


@lru_cache(maxsize=4)
def _filters(program: str) -> str:
    asked = subprocess.run([program, "-hide_banner", "-filters"], capture_output=True, text=True, check=False)  # noqa: S603
    return asked.stdout


def vmaf(made: Sequence[Frame], truth: Sequence[Frame], ffmpeg: str) -> dict[str, float]:
    """Mean and harmonic mean over all frames, both clips as yuv420p.

    Args:
        made: the clip with its made frames.
        truth: the true clip, as many frames of the same size.
        ffmpeg: as `find_ffmpeg` gives it.

    Returns:
        ``vmaf``, ``vmaf_neg``, ``vmaf_harmonic``, ``vmaf_neg_harmonic``, 0 to 100.

    Raises:
        PluginFailed: ffmpeg failed.
    """
    with tempfile.TemporaryDirectory(prefix="vgan-vmaf-") as scratch:
        raw = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{truth[0].width}x{truth[0].height}", "-r", "25"]
        words = [ffmpeg, "-hide_banner", "-nostdin", "-loglevel", "error"]
        for name, frames in (("made.yuv", made), ("truth.yuv", truth)):
            _write(Path(scratch) / name, frames)
            words += [*raw, "-i", name]
        words += ["-lavfi", f"[0:v][1:v]libvmaf=model='{_MODELS}':log_fmt=json:log_path=log.json", "-f", "null", "-"]
        child = subprocess.run(words, cwd=scratch, capture_output=True, text=True, check=False)  # noqa: S603
        try:
            pooled = json.loads((Path(scratch) / "log.json").read_text("utf-8"))["pooled_metrics"]
            return {
                name + suffix: round(float(pooled[name][kind]), 4)
                for suffix, kind in (("", "mean"), ("_harmonic", "harmonic_mean"))
                for name in ("vmaf", "vmaf_neg")
            }
        except (OSError, ValueError, KeyError) as error:
            why = (child.stderr.strip().splitlines() or [f"exit status {child.returncode}"])[-1]
            raise PluginFailed("VMAF was not measured", f"{ffmpeg}: {why}", f"try another in {VARIABLE}") from error


def _write(path: Path, frames: Iterable[Frame]) -> None:
    with path.open("wb") as out:
        for frame in frames:
            for plane in _yuv420p(frame).planes:
                out.write(np.ascontiguousarray(plane).tobytes())


def _yuv420p(frame: Frame) -> Frame:
    if frame.format == _FORM:
        return frame
    planes = tuple(np.zeros(_FORM.plane_shape(i, frame.width, frame.height), np.uint8) for i in range(3))
    return from_rgb(to_rgb(frame), Frame(planes, _FORM, Colour(full_range=False)), frame.pts, frame.time_base)
