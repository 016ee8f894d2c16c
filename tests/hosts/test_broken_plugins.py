"""Every host works on, whatever broken plugins are installed, and the doctor names them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import av
import clips
import every_host
import numpy as np
import pytest
from strangers import PLUGINS, install

import vgan_plugin

BROKEN = [path for path in sorted(PLUGINS.glob("vgan_*.py")) if path.read_text("utf-8").startswith('"""Broken')]
NAMES = {path.stem.removeprefix("vgan_") for path in BROKEN}
AT_ONCE = {"exits", "no_import", "old_api", "thief", "unknown_hook", "wrong_argument"}
"""Those that fail before anybody calls them."""
NEEDS = {"moviepy": "moviepy", "vapoursynth": "vapoursynth"}
THERE = [name for name in every_host.HOSTS if find_spec(NEEDS.get(name, "vgan_plugin"))]
Results = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("strangers") / "site", *(path.stem for path in BROKEN))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip with a black frame, as a file and, beside it, as a stream."""
    frames = clips.blacken(clips.moving_frames(44), 20)
    folder = tmp_path_factory.mktemp("clip")
    packed = b"".join(b"FRAME\n" + b"".join(plane.tobytes() for plane in frame.planes) for frame in frames)
    (folder / "in.y4m").write_bytes(b"YUV4MPEG2 W64 H48 F25:1 Ip A1:1 C420mpeg2\n" + packed)
    return clips.write_clip(folder / "in.mkv", frames)


def filled(clip: Path, site: Path, switch: str) -> Results:
    path = os.pathsep.join([str(site), str(Path(every_host.__file__).parent)])
    command = [sys.executable, every_host.__file__, clip, clip.with_suffix(".y4m"), clip.with_name("out.mkv"), *THERE]
    environment = os.environ | {"PYTHONPATH": path, "VGAN_PLUGINS": switch}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results: Results = json.loads(done.stdout)
    return results


@pytest.fixture(scope="module")
def alone(clip: Path, site: Path) -> Results:
    return filled(clip, site, "off")


@pytest.fixture(scope="module")
def among_broken(clip: Path, site: Path) -> Results:
    return filled(clip, site, "")


@pytest.mark.parametrize("host", every_host.HOSTS)
def test_a_host_gives_the_same_frames_whatever_broken_plugins_there_are(
    host: str, alone: Results, among_broken: Results
) -> None:
    if host not in THERE:
        pytest.skip(f"{NEEDS[host]} is not installed")
    assert alone[host]["parts"] > 0
    assert alone[host]["dropped"] == []
    assert among_broken[host]["sha256"] == alone[host]["sha256"]
    assert set(among_broken[host]["dropped"]) >= AT_ONCE


def test_hosts_that_scan_drop_also_those_that_crash_over_frames(among_broken: Results) -> None:
    assert set(among_broken["file"]["dropped"]) == NAMES


def test_gstreamer_gives_the_same_frames_too(site: Path, tmp_path: Path) -> None:
    system = Path("/usr/bin/python3")
    if shutil.which("gst-launch-1.0", path="/usr/bin") is None or not system.exists():
        pytest.skip("GStreamer is not installed: apt-get install gstreamer1.0-tools python3-gst-1.0")
    version = subprocess.run(
        [system, "-c", "import gi, sys; print(*sys.version_info[:2])"], capture_output=True, text=True, check=False
    )
    if version.stdout.split() != [str(part) for part in sys.version_info[:2]]:
        pytest.skip("GStreamer's Python is another one than this, or has no PyGObject")
    pipeline = "videotestsrc num-buffers=12 pattern=ball ! video/x-raw,format=I420,width=64,height=48,framerate=25/1"
    root = Path(vgan_plugin.__file__).parent
    ours = {str(Path(module.__file__ or "").parents[1]) for module in (np, av, vgan_plugin)}
    given = []
    for switch in ("off", ""):
        out = tmp_path / f"out{switch}"
        environment = {
            **os.environ,
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": os.pathsep.join([str(site), *sorted(ours)]),
            "GST_PLUGIN_PATH": str(root / "hosts" / "gst"),
            "GST_REGISTRY": str(tmp_path / "registry.bin"),
            "VGAN_PLUGINS": switch,
        }
        words = f"-q {pipeline} ! vganfill generator=blend ! filesink location={out}".split()
        done = subprocess.run(
            ["gst-launch-1.0", *words], env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        given.append(out.read_bytes())
    assert len(given[0]) == 12 * 64 * 48 * 3 // 2
    assert given[0] == given[1]


def test_the_doctor_names_every_one_of_them_with_a_reason(site: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(site)}
    command = [sys.executable, "-m", "vgan_plugin.cli", "doctor", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    bad = {check["name"]: check for check in json.loads(done.stdout)["checks"] if check["verdict"] == "bad"}
    assert set(bad) == {f"plugin {name}" for name in NAMES}
    assert all("dropped at" in check["evidence"] and check["remedy"] for check in bad.values())
