"""Every example of a host runs as its first line says, and brings back what was lost."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import pytest
from clips import drop, freeze, moving_frames, write_clip
from gsthost import why_not

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """72 frames of 75: three lost, two of the rest frozen."""
    frames = drop(freeze(moving_frames(75, time_base=Fraction(1, 1000), ticks=40), 50, 51), 20, 30, 31)
    return write_clip(
        tmp_path_factory.mktemp("examples") / "broken.webm", frames, "libvpx", options={"crf": "4", "b": "4M"}
    )


def needs(*programs: str) -> pytest.MarkDecorator:
    missing = [name for name in programs if shutil.which(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def run(example: str, source: Path, target: Path) -> list[Fraction]:
    command = [EXAMPLES / example] if example.endswith(".sh") else [sys.executable, EXAMPLES / example]
    where = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    env = {**os.environ, "PATH": where, "VGAN_PYTHON": sys.executable, "GST_REGISTRY": str(target.with_name("reg"))}
    done = subprocess.run([*command, source, target], capture_output=True, text=True, check=False, timeout=200, env=env)
    assert done.returncode == 0, done.stderr
    with av.open(str(target)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


@needs("ffmpeg", "sh")
def test_the_pipe(source: Path, tmp_path: Path) -> None:
    assert len(run("pipe.sh", source, tmp_path / "out.mkv")) == 75


def test_the_loop_of_pyav(source: Path, tmp_path: Path) -> None:
    times = run("pyav_loop.py", source, tmp_path / "out.mkv")
    assert times == [Fraction(i, 25) for i in range(75)]


@pytest.mark.skipif(importlib.util.find_spec("cv2") is None, reason="OpenCV is not installed")
def test_the_loop_of_opencv(source: Path, tmp_path: Path) -> None:
    assert len(run("opencv_loop.py", source, tmp_path / "out.avi")) == 75


@pytest.mark.skipif(importlib.util.find_spec("moviepy") is None, reason="MoviePy is not installed: vgan[moviepy]")
def test_the_effects_of_moviepy(source: Path, tmp_path: Path) -> None:
    times = run("moviepy_effect.py", source, tmp_path / "out.mp4")
    assert times == [Fraction(i, 50) for i in range(150)]


@pytest.mark.skipif(bool(why_not()), reason=why_not() or "it is there")
def test_the_line_of_gstreamer(source: Path, tmp_path: Path) -> None:
    assert len(run("gstreamer.sh", source, tmp_path / "out.webm")) == 75
