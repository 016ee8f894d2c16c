"""`vgan fill`, `interpolate`, `scan`, `models` on real files: what comes out, and what is said about it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import drop, freeze, join, moving_frames, write_clip
from strangers import install

from vgan_plugin.cli import main
from vgan_plugin.media.reader import VideoReader
from vgan_plugin.runtime.simple import Simple
from vgan_plugin.types import Frame, Made, RenderRequest

BLEND = ["--generator", "blend"]


def frames_of(path: Path) -> list[Frame]:
    with VideoReader(path) as reader:
        return list(reader.frames())


def same(a: Frame, b: Frame) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a.planes, b.planes, strict=True))


def packets(path: Path, kind: str) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(p) for p in container.demux(getattr(container.streams, kind)[0]) if p.size]


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    status = main([*map(str, arguments), "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_lost_frames_come_back_at_their_times_and_the_rest_is_bit_identical(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = moving_frames(24)
    source = write_clip(tmp_path / "in.mkv", drop(whole, 5, 11, 12), audio=True)
    output = tmp_path / "out.mkv"
    status, report = run(capsys, "fill", source, output, *BLEND, "--report", tmp_path / "r.json")
    out = frames_of(output)
    assert status == 0
    assert [frame.time for frame in out] == [frame.time for frame in whole]
    assert all(same(out[i], whole[i]) for i in range(24) if i not in (5, 11, 12))
    assert packets(output, "audio") == packets(source, "audio")
    assert [made["index"] for made in report["made"]] == [5, 11, 12]
    assert {made["method"] for made in report["made"]} == {"blend"}
    assert (report["frames_in"], report["frames_out"], report["unrepaired"]) == (21, 24, [])
    assert json.loads((tmp_path / "r.json").read_text()) == {k: v for k, v in report.items() if k != "status"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mkv", "out.mkv", "r.json"]


def test_the_report_says_from_which_frames_and_how_far_away(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_clip(tmp_path / "in.mkv", drop(moving_frames(12), 5, 6))
    _, report = run(capsys, "fill", source, tmp_path / "out.mkv", *BLEND)
    first, second = report["made"]
    tick = Fraction(report["time_base"])
    assert [Fraction(pts) * tick for pts in first["references"]] == [Fraction(4, 25), Fraction(7, 25)]
    assert (first["offsets"], second["offsets"]) == (["-1", "2"], ["-2", "1"])
    assert first["time"] == pytest.approx(0.2)
    assert {event["kind"] for event in report["events"]} == {"missing"}
    assert report["seconds"].keys() >= {"scan", "plan", "open", "make"}
    assert report["model"]["generator"] == "blend"


def test_a_frozen_run_is_replaced_in_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = moving_frames(24)
    source = write_clip(tmp_path / "in.mkv", freeze(whole, 9, 10))
    output = tmp_path / "out.mkv"
    status, report = run(capsys, "fill", source, output, *BLEND)
    out = frames_of(output)
    assert (status, len(out)) == (0, 24)
    assert [made["index"] for made in report["made"]] == [9, 10]
    assert not same(out[9], out[8])


def test_a_clip_with_nothing_wrong_is_copied_and_not_encoded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_clip(tmp_path / "in.mp4", moving_frames(20), "libx264", audio=True)
    output = tmp_path / "out.mp4"
    status, report = run(capsys, "fill", source, output)  # no generator is opened: none is needed
    assert (status, report["copied"], report["made"]) == (0, True, [])
    assert packets(output, "video") == packets(source, "video")
    assert main(["fill", str(source), str(output), "-y"]) == 0
    assert "copied, not re-encoded" in capsys.readouterr().out


def test_a_clip_that_its_new_container_does_not_take_is_encoded_and_that_is_noted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_clip(tmp_path / "in.mkv", moving_frames(10), "libx264")
    output = tmp_path / "out.webm"
    status, report = run(capsys, "fill", source, output)
    assert (status, report["copied"], report["frames_out"]) == (0, False, 10)
    assert any("cannot be copied" in note for note in report["notes"])
    assert len(frames_of(output)) == 10


def test_a_gap_longer_than_allowed_is_left_named_and_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_clip(tmp_path / "in.mkv", drop(moving_frames(24), 5, 11, 12, 13))
    status, report = run(capsys, "fill", source, tmp_path / "out.mkv", *BLEND, "--max-gap", 2)
    assert status == 1
    assert [made["index"] for made in report["made"]] == [5]
    assert report["unrepaired"][0]["count"] == 3
    assert "max_gap" in report["unrepaired"][0]["unrepaired"]
    assert report["frames_out"] == 21


def test_a_fallback_instead_of_the_generator_is_status_1_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_clip(tmp_path / "in.mkv", drop(moving_frames(12), 5))
    assert main(["fill", str(source), str(tmp_path / "out.mkv"), *BLEND, "--min-confidence", "0.5"]) == 1
    out, err = capsys.readouterr()
    assert "1 repeat" in out
    assert "frame 5 at 0:00:00.200 is a repeat: confidence 0.000 is below the minimum 0.5" in err


def test_a_generator_that_crashes_on_a_frame_costs_that_frame_its_quality_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calm = Simple.render

    def crash(self: Simple, request: RenderRequest) -> Made:
        if self.info.name == "blend" and request.pts == 200:
            raise MemoryError("the device is full")
        return calm(self, request)

    monkeypatch.setattr(Simple, "render", crash)
    source = write_clip(tmp_path / "in.mkv", drop(moving_frames(16), 5, 9))
    assert main(["fill", str(source), str(tmp_path / "out.mkv"), *BLEND]) == 1
    out, err = capsys.readouterr()
    assert "2 made (1 repeat, 1 blend)" in out
    assert "blend failed at 0.200 s: MemoryError: the device is full" in err
    assert len(frames_of(tmp_path / "out.mkv")) == 16


def test_what_scan_prints_is_a_plan_that_fill_takes_back_edited_or_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_clip(tmp_path / "in.mkv", drop(moving_frames(24), 5, 11, 12))
    status, plan = run(capsys, "scan", source)
    assert (status, len(plan["targets"]), [event["count"] for event in plan["events"]]) == (0, 3, [1, 2])
    plan["targets"] = plan["targets"][:1]
    (tmp_path / "p.json").write_text(json.dumps(plan))
    _, report = run(capsys, "fill", source, tmp_path / "out.mkv", *BLEND, "--plan", tmp_path / "p.json")
    assert [made["index"] for made in report["made"]] == [5]


def test_scan_prints_a_table_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_clip(tmp_path / "in.mkv", drop(moving_frames(24), 5))
    assert main(["scan", str(source)]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].split() == ["time", "kind", "frames", "score", "reason"]
    assert lines[1].split()[:3] == ["0:00:00.200", "missing", "1"]
    assert "\x1b" not in out + err
    assert [p.name for p in tmp_path.iterdir()] == ["in.mkv"]


def test_named_frames_are_made_whatever_the_detectors_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_clip(tmp_path / "in.mkv", moving_frames(12))
    status, report = run(capsys, "fill", source, tmp_path / "out.mkv", *BLEND, "--at", "3-4,8")
    assert status == 0
    assert [(made["index"], made["why"]) for made in report["made"]] == [(3, "at"), (4, "at"), (8, "at")]


@pytest.mark.parametrize("factor", [2, 3])
def test_interpolation_gives_factor_times_n_minus_1_plus_1_frames_at_exact_times(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], factor: int
) -> None:
    whole = moving_frames(9)
    source = write_clip(tmp_path / "in.mp4", whole, "libx264", options={"qp": "0"}, audio=True)
    output = tmp_path / "out.mp4"
    status, report = run(capsys, "interpolate", source, output, *BLEND, "--factor", factor)
    out = frames_of(output)
    assert status == 0
    assert [frame.time for frame in out] == [Fraction(i, 25 * factor) for i in range(factor * 8 + 1)]
    assert all(same(out[i * factor], whole[i]) for i in range(9))
    assert packets(output, "audio") == packets(source, "audio")
    assert len(report["made"]) == (factor - 1) * 8
    with av.open(str(output)) as container:  # the last frame keeps its duration
        assert container.streams.video[0].duration * container.streams.video[0].time_base == Fraction(
            8 * factor + factor, 25 * factor
        )


def test_a_decimal_rate_of_ntsc_is_snapped_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_clip(tmp_path / "in.mkv", moving_frames(9, ticks=1, time_base=Fraction(1001, 30000)))
    assert main(["interpolate", str(source), str(tmp_path / "out.mkv"), *BLEND, "--rate", "59.94"]) == 0
    assert "59.94 is taken for 60000/1001" in capsys.readouterr().err


def test_nothing_is_made_across_a_cut_and_the_repeat_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bright = [
        Frame(tuple(255 - p // 2 if i == 0 else p for i, p in enumerate(f.planes)), f.format, f.colour, f.pts)
        for f in moving_frames(12, seed=5)
    ]
    source = write_clip(tmp_path / "in.mkv", join(moving_frames(12), bright))
    output = tmp_path / "out.mkv"
    status, report = run(capsys, "interpolate", source, output, *BLEND, "--factor", 2)
    assert status == 1
    (repeat,) = [made for made in report["made"] if made["method"] == "repeat"]
    out = frames_of(output)
    assert repeat["index"] == 23
    assert same(out[23], out[22])


def test_an_output_named_null_is_thrown_away(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_clip(tmp_path / "in.mkv", moving_frames(9))
    status, report = run(capsys, "interpolate", source, "null:", *BLEND, "--factor", 2)
    assert (status, report["frames_out"]) == (0, 17)
    assert [p.name for p in tmp_path.iterdir()] == ["in.mkv"]


def test_encoder_and_options_are_taken_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_clip(tmp_path / "in.mkv", drop(moving_frames(12), 5))
    output = tmp_path / "out.mkv"
    status, _ = run(
        capsys, "fill", source, output, *BLEND, "--codec", "libx264", "--codec-option", "crf=30",
        "--codec-option", "preset=ultrafast",
    )  # fmt: skip
    assert status == 0
    with av.open(str(output)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
    assert run(capsys, "fill", source, output, *BLEND, "-y", "--codec", "libx264", "--codec-option", "nope=1")[0] == 4


def test_quiet_says_nothing_at_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_clip(tmp_path / "in.mkv", drop(moving_frames(12), 5))
    assert main(["fill", str(source), str(tmp_path / "out.mkv"), *BLEND, "-q"]) == 0
    assert capsys.readouterr() == ("", "")


def test_models_lists_generators(capsys: pytest.CaptureFixture[str]) -> None:
    status, found = run(capsys, "models")
    assert status == 0
    assert [info["name"] for info in found["generators"]][:3] == ["recurrent", "blend", "repeat"]


def environment(*folders: Path, **more: str) -> dict[str, str]:
    there = [path for path in (os.environ.get("PYTHONPATH"),) if path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*map(str, folders), *there]), **more}


def vgan(*arguments: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vgan_plugin.cli", *map(str, arguments)], capture_output=True, text=True, env=env
    )


def test_a_strangers_generator_fills_through_the_command_line(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mkv", drop(moving_frames(12), 5))
    site = install(tmp_path / "site", "vgan_nearest")
    found = vgan("fill", source, tmp_path / "out.mkv", "--generator", "nearest", env=environment(site))
    assert (found.returncode, found.stderr) == (0, "")
    assert "1 made (1 nearest)" in found.stdout


NO_TORCH = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "onnx", "onnxscript", "tensorboard"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuse())
"""


@pytest.mark.parametrize("generator", ["recurrent", "blend"])
def test_a_whole_fill_works_without_torch_and_onnx(tmp_path: Path, generator: str) -> None:
    source = write_clip(tmp_path / "in.mkv", drop(moving_frames(12), 5))
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(NO_TORCH)
    env = environment(tmp_path / "site")
    found = vgan("fill", source, tmp_path / "out.mkv", "--generator", generator, "--json", env=env)
    assert found.returncode == 0, found.stderr
    assert {made["method"] for made in json.loads(found.stdout)["made"]} == {generator}
    trained = vgan("train", tmp_path, tmp_path / "run", env=env)
    assert trained.returncode == 5
    assert "[VGAN-513]" in trained.stderr


def test_train_and_export_go_to_the_plugin_that_takes_them(tmp_path: Path) -> None:
    site = install(tmp_path / "site", "vgan_nearest")
    env = environment(site)
    trained = vgan("train", tmp_path, tmp_path / "nearest", "--preset", "nearest", "--json", env=env)
    assert (trained.returncode, trained.stderr) == (0, "")
    assert json.loads(trained.stdout)["run"] == str(tmp_path / "nearest")
    exported = vgan("export", tmp_path / "nearest", tmp_path / "bundle", env=env)
    assert (exported.returncode, exported.stderr) == (0, "")
    assert exported.stdout.startswith(str(tmp_path / "bundle"))


def on_a_terminal(*arguments: object, **more: str) -> str:
    """What a terminal of a hundred columns gets."""
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "vgan_plugin.cli", *map(str, arguments)]
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "100", **more}
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        got = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # Linux says so when the last writer has left
                break
            if not part:
                break
            got += part
    os.close(ours)
    assert process.returncode == 0
    return got.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_a_terminal_gets_progress_with_speed_and_no_colour_is_respected(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mkv", drop(moving_frames(12), 5))
    shown = on_a_terminal("fill", source, tmp_path / "out.mkv", *BLEND)
    assert "11/11" in shown
    assert "frames/s" in shown
    assert "\x1b[32m" in shown
    plain = on_a_terminal("fill", source, tmp_path / "out2.mkv", *BLEND, NO_COLOR="1")
    assert "11/11" in plain
    assert "\x1b[32m" not in plain
    assert "frames/s" not in on_a_terminal("fill", source, tmp_path / "out3.mkv", *BLEND, "--quiet")
