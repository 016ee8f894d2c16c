"""Examples for strangers: a host of a few lines, and a generator in a package of its own, installed and used."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import clips
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(*command: object, site: Path | None = None, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """In an environment where `site` is installed too."""
    environment = os.environ | ({"PYTHONPATH": str(site)} if site else {})
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, check=False, env=environment, cwd=cwd)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the package of the example."""
    folder = tmp_path_factory.mktemp("third_party")
    source = shutil.copytree(EXAMPLES / "third_party_generator", folder / "source")  # building leaves traces
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps")
    done = run(*pip, "--target", folder / "site", source)
    assert done.returncode == 0, done.stderr
    return folder / "site"


def test_the_package_passes_its_own_tests_and_with_them_the_conformance_suite(site: Path, tmp_path: Path) -> None:
    tests = EXAMPLES / "third_party_generator" / "tests"
    done = run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tests, site=site, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed
    assert int(passed[1]) > 15


def test_the_command_line_finds_the_installed_generator_by_its_name(site: Path, tmp_path: Path) -> None:
    source = clips.write_clip(tmp_path / "in.mkv", clips.drop(clips.moving_frames(12), 5))
    vgan = Path(sys.executable).with_name("vgan")
    models = run(vgan, "models", site=site)
    assert "block matching, in NumPy" in models.stdout
    done = run(vgan, "fill", source, tmp_path / "out.mkv", "--generator", "blocks", "--json", site=site)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [made["method"] for made in report["made"]] == ["blocks"]
    assert report["made"][0]["confidence"] > 0.5
    without = run(vgan, "fill", source, tmp_path / "out.mkv", "-y", "--generator", "blocks", "--json")
    assert without.returncode == 5


def test_a_host_of_a_few_lines_gets_its_frame_from_ours_and_from_the_installed_one(site: Path) -> None:
    code = (EXAMPLES / "minimal_host.py").read_text().split('"""', 2)[2]
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 32
    for generator in ("blend", "blocks"):
        done = run(sys.executable, EXAMPLES / "minimal_host.py", EXAMPLES / "city.mp4", generator, site=site)
        assert done.returncode == 0, done.stderr
        assert f"made by {generator}, confidence" in done.stdout
        words = done.stdout.split()
        assert float(words[words.index("luma:") + 1]) < float(words[-1])
