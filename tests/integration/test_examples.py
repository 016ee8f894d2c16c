"""The example clip is what its page says, the way to break it keeps the truth, and the demo repairs what was broken."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import clips
import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CITY = EXAMPLES / "city.mp4"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def breaking() -> ModuleType:
    return example("make_broken_clip")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "small.mkv"
    return clips.write_clip(path, clips.moving_frames(188, speed=(3, 1)), audio=True)


def pictures(path: Path) -> dict[int, np.ndarray]:
    with av.open(str(path)) as container:
        return {round(f.time * 25): f.to_ndarray(format="yuv420p") for f in container.decode(video=0)}


def test_the_clip_is_small_and_of_a_constant_rate_from_zero_with_sound() -> None:
    assert CITY.stat().st_size <= 2_000_000
    with av.open(str(CITY)) as container:
        video = container.streams.video[0]
        assert (video.width, video.height, video.average_rate) == (720, 404, 25)
        assert container.streams.audio[0].codec_context.name == "aac"
        times = [frame.pts * frame.time_base for frame in container.decode(video)]
    assert times == [Fraction(i, 25) for i in range(188)]


def test_the_broken_clip_is_broken_just_as_the_truth_says(breaking: ModuleType, source: Path, tmp_path: Path) -> None:
    truth = breaking.break_clip(source, tmp_path / "broken.mkv", "ffv1")
    broken = pictures(tmp_path / "broken.mkv")
    wanted = dict(enumerate(breaking.truth_frames(source)))
    assert sorted(broken) == truth["kept"]
    faults: dict[int, str] = {}
    for fault in truth["faults"]:
        assert fault["time"] == fault["first"] / 25
        faults |= dict.fromkeys(range(fault["first"], fault["last"] + 1), fault["kind"])
    for i, picture in wanted.items():
        kind = faults.get(i)
        if kind == "missing":
            assert i not in broken
        elif kind in ("duplicate", "frozen"):
            np.testing.assert_array_equal(broken[i], broken[i - 1])
            assert (broken[i] != picture).any()
        elif kind == "blank":
            assert set(np.unique(broken[i][:48])) == {16}
        else:
            np.testing.assert_array_equal(broken[i], picture)


def test_holes_single_of_two_and_of_four_are_there_and_each_other_kind(breaking: ModuleType) -> None:
    lengths = {(kind, last - first + 1) for kind, first, last in breaking.FAULTS}
    assert {("missing", 1), ("missing", 2), ("missing", 4), ("duplicate", 1), ("blank", 1)} <= lengths
    assert any(kind == "frozen" for kind, _ in lengths)
    assert breaking.MIRRORED[0] in breaking.CUTS


def test_the_truth_of_the_mirrored_part_is_mirrored(breaking: ModuleType, source: Path) -> None:
    plain = pictures(source)
    wanted = dict(enumerate(breaking.truth_frames(source)))
    first, last = breaking.MIRRORED
    np.testing.assert_array_equal(wanted[first][:48], plain[first][:48, ::-1])
    for i in (first - 1, last + 1):
        np.testing.assert_array_equal(wanted[i], plain[i])


def test_the_sound_is_copied_packet_by_packet(breaking: ModuleType, source: Path, tmp_path: Path) -> None:
    breaking.break_clip(source, tmp_path / "broken.mkv")
    assert clips.packets(tmp_path / "broken.mkv", "audio") == clips.packets(source, "audio")


def test_breaking_twice_gives_the_same_bytes_and_the_command_writes_the_truth_beside(
    source: Path, tmp_path: Path
) -> None:
    script = EXAMPLES / "make_broken_clip.py"
    for name in ("a", "b"):
        subprocess.run([sys.executable, script, source, tmp_path / name / "broken.mkv"], check=True)
    assert (tmp_path / "a" / "broken.mkv").read_bytes() == (tmp_path / "b" / "broken.mkv").read_bytes()
    truth: dict[str, Any] = json.loads((tmp_path / "a" / "broken.json").read_text())
    assert truth["frames"] == 188
    assert len(truth["faults"]) == 14


def test_nothing_is_wrong_with_the_unbroken_clip() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("vgan"), "scan", CITY, "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert [(e["kind"], round(e["time"] * 25)) for e in json.loads(done.stdout)["events"]] == [("cut", 116)]


@pytest.mark.slow
def test_the_demo_finds_and_repairs_everything_that_was_planted(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "demo.py", "--out", tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    truth = json.loads((tmp_path / "broken.json").read_text())
    report = json.loads((tmp_path / "report.json").read_text())
    found = {(e["kind"], round(e["time"] * 25), e["count"]) for e in report["events"] if e["kind"] != "cut"}
    assert found == {(f["kind"], f["first"], f["count"]) for f in truth["faults"]}
    assert [round(m["time"] * 25) for m in report["made"]] == [
        i for f in truth["faults"] for i in range(f["first"], f["last"] + 1)
    ]
    assert not report["unrepaired"]
    assert sorted(pictures(tmp_path / "repaired.mkv")) == list(range(188))
    assert clips.packets(tmp_path / "repaired.mkv", "audio") == clips.packets(tmp_path / "broken.mkv", "audio")
    lines = done.stdout.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("planted "))
    rows = [line.split() for line in lines[start + 1 : start + 15]]
    assert all(float(row[-1]) > float(row[-2]) for row in rows), "made is nearer to the truth than held"
    with av.open(str(tmp_path / "strip.png")) as container:
        strip = next(container.decode(video=0))
    assert (strip.width, strip.height) == (1500, 925)
