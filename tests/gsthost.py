"""GStreamer where it is installed: which Python it brings, and what that needs to find vgan."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np

import vgan_plugin

SYSTEM = Path("/usr/bin/python3")


def environment(folder: Path) -> dict[str, str]:
    """GStreamer's loader takes the first Python on PATH for its own."""
    sites = {str(Path(module.__file__ or "").parents[1]) for module in (np, av, vgan_plugin)}
    return {
        **os.environ,
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": os.pathsep.join(sorted(sites)),
        "GST_PLUGIN_PATH": str(Path(vgan_plugin.__file__).parent / "hosts" / "gst"),
        "GST_REGISTRY": str(folder / "registry.bin"),
    }


def why_not() -> str:
    if not SYSTEM.exists() or shutil.which("gst-launch-1.0", path="/usr/bin") is None:
        return "GStreamer is not installed: apt-get install gstreamer1.0-tools python3-gst-1.0 (see .ci/run)"
    code = "import sys, gi; gi.require_version('GstVideo', '1.0'); from gi.repository import Gst, GstVideo; " + (
        "print(*sys.version_info[:2])"
    )
    done = subprocess.run([SYSTEM, "-c", code], capture_output=True, text=True, check=False, env={"PATH": "/usr/bin"})
    if done.returncode:
        return "PyGObject is not installed for the system's Python: apt-get install python3-gst-1.0"
    if tuple(map(int, done.stdout.split())) != sys.version_info[:2]:
        return f"GStreamer's Python is {done.stdout.strip()}, and NumPy is installed for {sys.version_info[:2]}"
    return ""
