"""Checks as data: what `vgan doctor` prints. Each looks at one thing and says what it saw and what to do about it."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np

import vgan_plugin
from vgan_plugin.bundle import locate, store
from vgan_plugin.detect import scan
from vgan_plugin.errors import VganError
from vgan_plugin.fill import fill_gap
from vgan_plugin.gaps import GapPolicy
from vgan_plugin.hookspecs import PlanRequest
from vgan_plugin.plugins import PluginManager, get_plugin_manager
from vgan_plugin.runtime.simple import BLEND
from vgan_plugin.types import Check, FillRequest, Frame, OpenRequest, PixelFormat

_SLOW = 1.0
"""Seconds of loading after which a plugin is worth a note."""
_ENCODERS = ("libx264", "libx265", "libsvtav1", "libvpx-vp9", "prores_ks", "ffv1")
_NVENC = ("h264_nvenc", "hevc_nvenc", "av1_nvenc")
"""Encoders of NVIDIA GPUs; whether there is such a GPU, FFmpeg finds out when it opens one."""


def diagnose(manager: PluginManager) -> list[Check]:
    """Everything: each plugin's own checks, then the plugins themselves, so that those dropped just now are named."""
    checks = [*manager.doctor_checks(), *_guarded(lambda: _hooks(manager), "hooks")]
    return [*checks, *_plugins(manager)]


def own_checks() -> list[Check]:
    """The checks of our own plugin. One that crashes is a bad finding, and the others go on."""
    looks = (_versions, _onnxruntime, _device, _bundles, _codecs, _small_frame)
    return [check for look in looks for check in _guarded(look)]


def _hooks(manager: PluginManager) -> Iterator[Check]:
    """A small clip through the hooks that every host calls: who crashes only there is dropped, and named, here."""
    frames = _frames(3)
    timeline, events = scan(frames, manager.detectors())
    manager.plan_gaps(PlanRequest(timeline, tuple(events), GapPolicy()))
    times = (Fraction(1, 25),)
    manager.fill_gap(FillRequest(frames[:1], frames[1:], times, Fraction(1, 25), open=OpenRequest(BLEND.name)))
    yield Check("hooks", "good", f"scan, plan and fill of {len(frames)} small frames")


def _guarded(look: Callable[[], Iterable[Check]], name: str = "") -> list[Check]:
    name = name or look.__name__.strip("_").replace("_", " ")
    try:
        return list(look())
    except VganError as error:
        return [Check(name, "bad", f"{error.what}: {error.why}", error.do)]
    except Exception as error:  # noqa: BLE001 a broken installation is what the doctor is for
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return [Check(name, "bad", why, "install vgan anew in a fresh environment")]


def _versions() -> Iterator[Check]:
    yield Check("python", "good", f"{platform.python_version()} on {platform.platform()}")
    yield Check("vgan", "good", f"{vgan_plugin.__version__} in {Path(vgan_plugin.__file__).parent}")


def _onnxruntime() -> Iterator[Check]:
    from vgan_plugin.runtime import providers

    providers.check_runtime()  # two wheels, too old
    wheels = ", ".join(f"{name} {version}" for name, version in providers.installed().items())
    yield Check("onnxruntime", "good", wheels or "installed without metadata")


def _device() -> Iterator[Check]:
    """Asked, offered, used."""
    import onnxruntime

    from vgan_plugin.runtime import providers

    offered = ", ".join(name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers())
    device = providers.choose("auto")
    evidence = f"asked for auto, the wheel offers {offered}, used: {device.name}"
    if device.fallback:
        yield Check("device", "note", f"{evidence} ({device.fallback})", 'for a GPU: pip install "vgan[cuda]"')
    else:
        yield Check("device", "good", evidence)


def _bundles() -> Iterator[Check]:
    found = locate.available(get_plugin_manager().bundle_folders())
    for path in found:
        name = f"bundle {locate.name_of(path)}"
        try:
            bundle = store.load(path)
        except VganError as error:
            yield Check(name, "bad", f"{error.what}: {error.why}", error.do)
        else:
            yield Check(name, "good", f"{path}: verified, SHA-256 {bundle.digest[:12]}")
    if not found:
        yield Check("bundles", "bad", "none found", f"install vgan anew, or set {locate.VARIABLE}")


def _codecs() -> Iterator[Check]:
    from vgan_plugin.media.codecs import encoders

    there = encoders()
    missing = [name for name in _ENCODERS if name not in there]
    shown = ", ".join(name for name in _ENCODERS if name in there)
    if nvenc := [name for name in _NVENC if name in there]:
        shown += f"; where the GPU can: {', '.join(nvenc)}"
    if missing:
        yield Check("codecs", "note", f"{shown}; not in this FFmpeg: {', '.join(missing)}", "install PyAV's own wheel")
    else:
        yield Check("codecs", "good", shown)


def _small_frame() -> Iterator[Check]:
    """One frame of 64x48 made by the default generator."""
    frames = _frames(2)
    request = FillRequest(frames[:1], frames[1:], (Fraction(1, 25),), Fraction(1, 25))
    start = time.perf_counter()
    generator = get_plugin_manager().open_generator(OpenRequest())
    try:
        first = fill_gap(request, generator)
        opened = time.perf_counter()
        fill_gap(request, generator)
        seconds = time.perf_counter() - opened
        where = generator.provenance.get("provider")
        ran = where.get("device", where) if isinstance(where, Mapping) else where
    finally:
        generator.close()
    name = generator.info.name
    if first.method != name:
        why = first.notes[-1] if first.notes else f"{first.method} made it"
        yield Check("small frame", "bad", why, "see the other findings; report it if they are good")
        return
    yield Check(
        "small frame",
        "good",
        f"64x48 by {name} on {ran} in {seconds * 1000:.0f} ms (the first in {(opened - start) * 1000:.0f} ms)",
    )
    elsewhere = where.get("elsewhere") if isinstance(where, Mapping) else None
    if elsewhere:
        nodes = ", ".join(f"{count} {op}" for op, count in elsewhere.items())
        yield Check("nodes", "note", f"not on {ran}: {nodes}", "another version of ONNX Runtime may have them")
    waits = where.get("waits") if isinstance(where, Mapping) else None
    if waits:
        yield Check("stream", "note", f"{ran} is waited for after each graph: {waits}", "install vgan[cuda] again")


def _frames(count: int) -> tuple[Frame, ...]:
    """Small frames of noise that moves, every second one of a clip."""
    form = PixelFormat.parse("yuv420p")
    luma = np.random.default_rng(0).integers(16, 235, (48, 62 + 2 * count), np.uint8)
    chroma = np.full((24, 32), 128, np.uint8)
    return tuple(Frame((luma[:, 2 * i : 64 + 2 * i], chroma, chroma), form, pts=2 * i) for i in range(count))


def _plugins(manager: PluginManager) -> Iterator[Check]:
    for name, source in sorted(manager.sources.items()):
        if source.seconds > _SLOW:
            evidence = f"{source.origin}: took {source.seconds:.1f} s to load"
            yield Check(f"plugin {name}", "note", evidence, "every start of vgan waits for it")
        else:
            yield Check(f"plugin {name}", "good", source.origin)
    for problem in manager.problems:
        remedy = "repair or uninstall it; VGAN_PLUGINS=off leaves out all but our own"
        yield Check(f"plugin {problem.plugin}", "bad", f"dropped at {problem.stage}: {problem.reason}", remedy)
