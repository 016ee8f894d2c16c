"""`vgan evaluate` on a set of clips made here."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import clips
import numpy as np
import pytest

from vgan_plugin.cli import main
from vgan_plugin.cli.evaluate import command
from vgan_plugin.evaluate import baselines, tables

FEW = ["--gaps", "1", "--windows", "2", "--fast", "--baselines", "repeat,blend"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for i in range(2):
        clips.write_clip(folder / f"clip{i}.mkv", clips.moving_frames(9, 64, 48, speed=(2, 1), seed=i))
    return folder


def test_a_run_prints_tables_and_leaves_a_report_that_a_second_run_repeats(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", str(data), *FEW, "--model", "lite", "--out", str(tmp_path / "out")]
    assert main(words) == 0
    first = capsys.readouterr().out
    assert "PSNR over blend" in first
    rows = {
        line.split()[0]: line.split() for line in first.splitlines() if line.startswith(("lite", "repeat", "blend"))
    }
    assert float(rows["lite"][3]) > float(rows["blend"][3]) > float(rows["repeat"][3])
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["summary"]["gap 1"]["lite"]["frames"] == 4
    assert "rank" in report["summary"]["gap 1"]["lite"]
    page = (tmp_path / "out" / "report.md").read_text()
    for name in ("sheet-gap-1-", "gain-gap-1.svg"):
        assert name in page
        assert list((tmp_path / "out").glob(f"{name}*"))
    lines = (tmp_path / "out" / "results.jsonl").read_text()
    assert main(words) == 0
    assert capsys.readouterr().out == first
    assert (tmp_path / "out" / "results.jsonl").read_text() == lines
    (tmp_path / "out" / "results.jsonl").unlink()
    assert main(words) == 0  # measured anew
    assert capsys.readouterr().out == first
    assert (tmp_path / "out" / "results.jsonl").read_text() == lines


def test_two_models_and_another_generator_stand_side_by_side_in_json(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", str(data / "clip0.mkv"), *FEW[:-1], "none", "--json", "--predict"]
    assert main([*words, "--model", "lite", "--generator", "blend", "--against", "lite"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["summary"]["gap 1"]) == ["lite", "blend"]
    assert found["summary"]["gap 1"]["blend"]["gain"] < 0
    assert list(found["summary"]["predict"]) == ["lite"]  # blend does not predict


def test_in_the_clips_own_pixel_format_frames_are_made_of_its_planes(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = []
    for pixels in ("rgb", "clip"):
        words = ["evaluate", str(data), *FEW[:-1], "repeat", "--json", "--model", "lite", "--pixels", pixels]
        assert main(words) == 0
        found.append(json.loads(capsys.readouterr().out)["summary"]["gap 1"])
    assert found[0]["repeat"]["psnr"] == found[1]["repeat"]["psnr"]  # the same planes again
    assert found[0]["lite"]["psnr"] != found[1]["lite"]["psnr"]


def test_holes_are_filled_better_than_smoothly_and_nothing_else_is_touched(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    masks = data / "clip0_mask"
    masks.mkdir()
    (square,) = clips.moving_frames(1, 64, 48, "gray")
    plane = np.zeros((48, 64), np.uint8)
    plane[10:20, 10:30] = 255
    for i in range(9):
        clips.write_clip(masks / f"{i:03}.png", [replace(square, planes=(plane,))], "png")
    words = ["evaluate", str(data / "clip0.mkv"), "--gaps", "", "--inpaint", "--windows", "1", "--fast", "--json"]
    words += ["--model", "lite", "--baselines", "blend,dis", "--against", "blend", "--out", str(tmp_path / "out")]
    assert main(words) == 0
    assert "inpaint box" in (tmp_path / "out" / "report.md").read_text("utf-8")
    summary = json.loads(capsys.readouterr().out)["summary"]
    assert list(summary) == [f"inpaint {hole}" for hole in ("box", "strip", "blocks", "slices", "object")]
    for row in summary.values():
        assert row["lite"]["touched"] == row["blend"]["touched"] == 0
    assert summary["inpaint object"]["lite"]["gain"] > 0


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (["nowhere"], 3, "VGAN-302"),
        (["empty"], 3, "VGAN-307"),
        (["data", "--gaps", "0"], 2, "VGAN-201"),
        (["data", "--windows", "few"], 2, "VGAN-201"),
        (["data", "--baselines", "nope"], 2, "VGAN-201"),
        (["data", "--model", "nope"], 5, "VGAN-502"),
        (["data", *FEW, "--model", "lite", "--against", "nope"], 2, "VGAN-201"),
        (["data", *FEW, "--model", "lite", "--gaps", "60"], 3, "VGAN-307"),
        (["data", *FEW, "--out", "data/clip0.mkv"], 4, "VGAN-401"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_a_status(
    words: list[str],
    status: int,
    code: str,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(data.parent)
    Path("empty").mkdir()
    assert main(["evaluate", *words]) == status
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.endswith(f"[{code}]")


def test_a_clip_that_cannot_be_read_is_named_and_the_status_says_so(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "cut.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(64))
    assert main(["evaluate", str(data), *FEW, "--model", "lite"]) == 1
    assert "cut is left out" in capsys.readouterr().err


def test_without_opencv_flow_is_left_out_with_a_word(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    words = [word for word in FEW if word != "--fast"]
    assert main(["evaluate", str(data / "clip0.mkv"), *words[:-1], "blend,dis", "--model", "lite", "--json"]) == 0
    out, err = capsys.readouterr()
    row = json.loads(out)["summary"]["gap 1"]["lite"]
    assert "tof" not in row
    assert "ssim" in row
    assert "dis is left out" in err
    assert "optical flow is left out" in err


def test_every_command_of_the_page_on_quality_is_one() -> None:
    page = (Path(__file__).parents[2] / "docs" / "quality.md").read_text("utf-8")
    lines = re.findall(r"^vgan evaluate (.+)$", page, re.MULTILINE)
    assert len(lines) >= 5
    for line in lines:
        words = shlex.split(line, comments=True)
        assert command.make_context("evaluate", words, resilient_parsing=False).params["data"]


def test_every_column_of_the_tables_is_explained_on_the_page_on_quality() -> None:
    page = (Path(__file__).parents[2] / "docs" / "quality.md").read_text("utf-8")
    for _, title, _ in tables.COLUMNS:
        assert f"`{title}`" in page
    for name in baselines.BASELINES:
        assert f"`{name}`" in page
