"""Bad input through the command line: one clear line and its exit status, or a correct result. Never a traceback, a
hang, a shorter video without a word, or a half-written output under its final name."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import fakebundle
import pytest
from clips import drop, moving_frames, packets, to_av, tone, write_clip
from strangers import PLUGINS, install

from vgan_plugin.cli import main
from vgan_plugin.media.reader import VideoReader

BLEND = ["--generator", "blend"]


def times(path: Path) -> list[Fraction]:
    with VideoReader(path) as reader:
        return [frame.time for frame in reader.frames()]


def refused(
    capsys: pytest.CaptureFixture[str], status: int, code: str, source: Path, output: Path, *more: object
) -> str:
    """Run `vgan fill`; one line with its code, nothing on standard output, no trace of an output."""
    before = sorted(p.name for p in output.parent.iterdir()) if output.parent.is_dir() else []
    content = output.read_bytes() if output.is_file() else None
    assert main(["fill", str(source), str(output), *map(str, more)]) == status
    out, err = capsys.readouterr()
    assert out == ""
    lines = [line for line in err.splitlines() if line.endswith(f"[{code}]")]
    assert len(lines) == 1, err
    assert "Traceback" not in err
    if output.parent.is_dir():
        assert sorted(p.name for p in output.parent.iterdir()) == before
    assert (output.read_bytes() if output.is_file() else None) == content
    return lines[0]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "in.mkv", drop(moving_frames(12), 5))


# The input


def test_a_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no such file" in refused(capsys, 3, "VGAN-302", tmp_path / "no.mkv", tmp_path / "out.mkv")


def test_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "folder" in refused(capsys, 3, "VGAN-302", tmp_path, tmp_path / "out.mkv")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.mkv", b""),
        ("text.mp4", b"This is a text.\n" * 50),
        ("playlist.mp4", b"#EXTM3U\n#EXTINF:1,\nother.mkv\n#EXT-X-ENDLIST\n"),
        ("concat.mp4", b"ffconcat version 1.0\nfile other.mkv\n"),
    ],
)
def test_what_is_no_video(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes) -> None:
    write_clip(tmp_path / "other.mkv", moving_frames(3))
    (tmp_path / name).write_bytes(content)
    refused(capsys, 3, "VGAN-303", tmp_path / name, tmp_path / "out.mkv")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "in.mkv")
    assert "pipe" in refused(capsys, 3, "VGAN-301", tmp_path / "in.mkv", tmp_path / "out.mkv")


def test_sound_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "sound.mka"
    with av.open(str(path), "w", format="matroska") as out:
        sound = out.add_stream("flac", rate=48000)
        sound.codec_context.layout = "mono"
        tone(out, sound, 0.3)
    assert "audio" in refused(capsys, 3, "VGAN-303", path, tmp_path / "out.mkv")


def test_a_recording_cut_off_before_its_index(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_clip(tmp_path / "in.mp4", moving_frames(20), "libx264")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "index" in refused(capsys, 3, "VGAN-305", path, tmp_path / "out.mkv")


def test_samples_of_an_unknown_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "in.nut"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "gbrpf32le"
        out.mux(stream.encode(av.VideoFrame(32, 32, "gbrpf32le")))
        out.mux(stream.encode(None))
    assert "gbrpf32le" in refused(capsys, 3, "VGAN-304", path, tmp_path / "out.mkv")


def test_one_frame_is_copied_and_interpolated_to_itself(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "in.mkv", moving_frames(1))
    assert main(["fill", str(path), str(tmp_path / "out.mkv"), *BLEND]) == 0
    assert main(["interpolate", str(path), str(tmp_path / "two.mkv"), "--factor", "2", *BLEND]) == 0
    assert len(times(tmp_path / "out.mkv")) == len(times(tmp_path / "two.mkv")) == 1


def test_a_file_cut_off_where_it_can_still_be_read_gives_what_is_there_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_clip(tmp_path / "in.mkv", moving_frames(40))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert main(["fill", str(path), str(tmp_path / "out.mkv"), *BLEND]) in (0, 1)
    assert "lasts 1.60 s, but its last frame ends at" in capsys.readouterr().err
    assert len(times(tmp_path / "out.mkv")) == len(times(path)) > 10


def test_the_frames_that_a_cut_off_file_has_lost_are_named_as_unrepaired(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "in.mp4", moving_frames(60), "libx264", container={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    report = tmp_path / "r.json"
    assert main(["fill", str(path), str(tmp_path / "out.mkv"), "-q", "--report", str(report), *BLEND]) == 1
    found = json.loads(report.read_text())
    (lost,) = found["unrepaired"]
    assert (lost["kind"], lost["count"]) == ("missing", 60 - found["frames_in"])
    assert 10 < found["frames_out"] == found["frames_in"] < 55


def test_negative_time_stamps_are_understood_and_a_hole_between_them_is_filled(tmp_path: Path) -> None:
    whole = moving_frames(9, time_base=Fraction(1, 90000), ticks=3600)
    frames = [replace(frame, pts=frame.pts - 14400) for frame in drop(whole, 2)]
    path = write_clip(
        tmp_path / "in.ts", frames, "libx264", options={"tune": "zerolatency"},
        container={"avoid_negative_ts": "disabled"},
    )  # fmt: skip
    assert times(path)[0] == Fraction(-4, 25)
    assert main(["fill", str(path), str(tmp_path / "out.mkv"), *BLEND, "--codec", "ffv1"]) == 0
    made = times(tmp_path / "out.mkv")
    assert len(made) == 9
    assert {b - a for a, b in pairwise(made)} == {Fraction(1, 25)}


def stamped(path: Path, stamps: list[int]) -> Path:
    """A clip with these time stamps in milliseconds, whatever they are."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for frame, pts in zip(moving_frames(len(stamps)), stamps, strict=True):
            for packet in stream.encode(to_av(frame)):
                packet.pts = packet.dts = pts
                out.mux(packet)
        out.mux(stream.encode(None))
    return path


def test_doubled_time_stamps_are_mended_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = stamped(tmp_path / "in.mkv", [0, 40, 40, 120, 160, 200])
    assert main(["fill", str(path), str(tmp_path / "out.mkv"), *BLEND, "--codec", "ffv1"]) == 0
    assert "doubled or backward" in capsys.readouterr().err
    assert times(tmp_path / "out.mkv") == [Fraction(i, 25) for i in range(6)]


def test_a_clip_of_which_only_the_time_stamps_are_wrong_is_not_copied_with_them(tmp_path: Path) -> None:
    path = stamped(tmp_path / "in.mkv", [0, 40, 80, 80, 160, 200, 240, 280])
    assert main(["fill", str(path), str(tmp_path / "out.mkv"), *BLEND]) == 0
    assert times(tmp_path / "out.mkv") == [Fraction(i, 25) for i in range(8)]


def test_sound_goes_on_with_its_picture_where_two_recordings_are_joined(tmp_path: Path) -> None:
    frames = moving_frames(30, time_base=Fraction(1, 90000), ticks=3600)
    one = write_clip(tmp_path / "one.ts", frames, "libx264", audio=True, max_b_frames=0).read_bytes()
    joined = tmp_path / "joined.ts"
    joined.write_bytes(one + one)
    assert main(["fill", str(joined), str(tmp_path / "out.ts"), *BLEND]) == 0
    shown = times(tmp_path / "out.ts")
    assert {b - a for a, b in pairwise(shown)} == {Fraction(1, 25)}
    before, after = packets(joined, "audio"), packets(tmp_path / "out.ts", "audio")
    assert [data for _, data in before] == [data for _, data in after]
    second = len(before) // 2
    # The second recording's sound lies as far from the first's as its picture does.
    assert [later[0] - earlier[0] for earlier, later in zip(after[:second], after[second:], strict=True)] == [
        30 * 3600
    ] * second


def test_missing_time_stamps_are_mended_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_clip(tmp_path / "in.h264", moving_frames(8), "libx264")
    assert main(["fill", str(path), str(tmp_path / "out.mkv"), *BLEND, "--codec", "ffv1"]) == 0
    assert "without a time stamp" in capsys.readouterr().err
    made = times(tmp_path / "out.mkv")
    assert len(made) == 8
    assert {b - a for a, b in pairwise(made)} == {Fraction(1, 25)}


# The output


def test_the_output_is_the_input(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, 4, "VGAN-403", source, source, "-y")
    link = tmp_path / "link.mkv"
    link.symlink_to(source)
    refused(capsys, 4, "VGAN-403", source, link, "-y")


def test_the_output_exists(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out.mkv"
    output.write_bytes(b"precious")
    refused(capsys, 4, "VGAN-402", source, output, *BLEND)
    assert main(["fill", str(source), str(output), *BLEND, "-y"]) == 0
    assert len(times(output)) == 12


def test_what_can_be_known_before_the_long_part_is_said_before_it(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def scanned(*_: object, **__: object) -> None:
        raise AssertionError("the whole file was looked at first")

    monkeypatch.setattr("vgan_plugin.hosts.job.scan", scanned)
    (tmp_path / "out.mkv").touch()
    refused(capsys, 4, "VGAN-402", source, tmp_path / "out.mkv")
    refused(capsys, 5, "VGAN-508", source, tmp_path / "new.mkv", "--generator", "nope")
    refused(capsys, 5, "VGAN-502", source, tmp_path / "new.mkv", "--model", "nope")
    (tmp_path / "plan.json").write_text("{")
    refused(capsys, 3, "VGAN-306", source, tmp_path / "new.mkv", "--plan", tmp_path / "plan.json")


@pytest.mark.parametrize("place", ["no/such/folder/out.mkv", "in.mkv/out.mkv", "/proc/out.mkv"])
def test_a_place_that_cannot_be_written_to(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    refused(capsys, 4, "VGAN-401", source, tmp_path / place, *BLEND)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    refused(capsys, 4, "VGAN-401", source, folder / "out.mkv", *BLEND)


def test_a_container_that_nobody_knows(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, 4, "VGAN-401", source, tmp_path / "out.nonsense", *BLEND)


def test_an_encoder_that_nobody_knows(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, 4, "VGAN-404", source, tmp_path / "out.mkv", *BLEND, "--codec", "nope")


def test_a_report_that_cannot_be_written_costs_nothing_but_itself(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(capsys, 4, "VGAN-401", source, tmp_path / "out.mkv", *BLEND, "--report", tmp_path / "no" / "r.json")


# The plan, the model, the device


@pytest.mark.parametrize(
    "plan",
    [None, "", "[]", "{", '{"format": 2}', '{"format": 1, "events": 3}', "[" * 100_000, '{"format": 1, "targets": []}'],
)
def test_a_plan_that_is_none(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], plan: str | None
) -> None:
    path = tmp_path / "plan.json"
    if plan is not None:
        path.write_text(plan)
    refused(capsys, 3, "VGAN-306", source, tmp_path / "out.mkv", *BLEND, "--plan", path)


def test_frames_that_do_not_exist(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, 3, "VGAN-306", source, tmp_path / "out.mkv", *BLEND, "--at", "500")


def test_a_generator_that_nobody_offers(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "blend" in refused(capsys, 5, "VGAN-508", source, tmp_path / "out.mkv", "--generator", "nope")


def test_a_bundle_that_is_not_there(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, 5, "VGAN-502", source, tmp_path / "out.mkv", "--model", "nope")
    refused(capsys, 5, "VGAN-502", source, tmp_path / "out.mkv", "--model", tmp_path / "nope.zip")


def hollow(folder: Path) -> Path:
    """A bundle whose files are what its manifest says, and no graphs."""
    folder.mkdir()
    for name in ("encode.onnx", "remember.onnx", "render.onnx", "weights.bin"):
        (folder / name).write_bytes(name.encode())
    fakebundle.MANIFEST.write(folder)
    return folder


def wrong_hash(folder: Path) -> None:
    (folder / "weights.bin").write_bytes(b"other weights")


def wrong_version(folder: Path) -> None:
    path = folder / "bundle.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 99'))


def path_escape(folder: Path) -> None:
    path = folder / "bundle.json"
    path.write_text(path.read_text().replace("weights.bin", "../weights.bin"))


def not_json(folder: Path) -> None:
    (folder / "bundle.json").write_text("{")


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (wrong_hash, "VGAN-504"),
        (wrong_version, "VGAN-503"),
        (path_escape, "VGAN-505"),
        (not_json, "VGAN-501"),
    ],
)
def test_a_bundle_that_is_wrong(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], None], code: str
) -> None:
    bundle = hollow(tmp_path / "bundle")
    spoil(bundle)
    refused(capsys, 5, code, source, tmp_path / "out.mkv", "--model", bundle)


def test_a_device_that_is_not_there(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = hollow(tmp_path / "bundle")
    refused(capsys, 6, "VGAN-601", source, tmp_path / "out.mkv", "--model", bundle, "--device", "cuda:77")
    refused(capsys, 2, "VGAN-201", source, tmp_path / "out.mkv", "--model", bundle, "--device", "tpu")


# Plugins, and being stopped


def environment(site: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(site), **more}


def test_broken_plugins_cost_nothing_but_a_line_each(source: Path, tmp_path: Path) -> None:
    names = sorted(path.stem for path in PLUGINS.glob("vgan_*.py"))
    site = install(tmp_path / "site", *names)
    command = [sys.executable, "-m", "vgan_plugin.cli", "fill", str(source), str(tmp_path / "out.mkv"), *BLEND]
    found = subprocess.run(command, capture_output=True, text=True, env=environment(site))
    assert found.returncode == 0, found.stderr
    assert "1 made (1 blend)" in found.stdout
    assert "Traceback" not in found.stderr
    lines = found.stderr.splitlines()
    assert all(line.startswith("vgan: plugin ") for line in lines)
    assert {line.split("'")[1] for line in lines} >= {"no_import", "exits", "raises", "nonsense", "blinks", "old_api"}
    off = subprocess.run([*command, "-y"], capture_output=True, text=True, env=environment(site, VGAN_PLUGINS="off"))
    assert (off.returncode, off.stderr) == (0, "")


def test_the_doctor_names_a_broken_plugin_with_its_stage_and_reason(tmp_path: Path) -> None:
    site = install(tmp_path / "site", "vgan_no_import", "vgan_nearest")
    command = [sys.executable, "-m", "vgan_plugin.cli", "doctor"]
    found = subprocess.run(command, capture_output=True, text=True, env=environment(site))
    assert found.returncode == 1
    (line,) = [line for line in found.stdout.splitlines() if line.startswith("plugin no_import")]
    assert "bad" in line
    assert "dropped at import: ModuleNotFoundError: No module named 'no_such_module_of_vgan'" in line
    (line,) = [line for line in found.stdout.splitlines() if line.startswith("plugin nearest")]
    assert "good" in line
    assert "vgan_nearest 1.0" in line


def begun(tmp_path: Path) -> subprocess.Popen[str]:
    """A fill of a hundred frames that takes ten seconds, stopped where it has just begun to make."""
    path = write_clip(tmp_path / "long.mkv", moving_frames(101))
    site = install(tmp_path / "site", "vgan_dawdles")
    mark = tmp_path / "begun"
    command = [sys.executable, "-m", "vgan_plugin.cli", "interpolate", str(path), str(tmp_path / "out.mkv")]
    run = subprocess.Popen(
        [*command, "--factor", "2", "--generator", "dawdle"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(site, VGAN_DAWDLE=str(mark)),
    )
    for _ in range(300):
        if mark.exists() or run.poll() is not None:
            break
        time.sleep(0.05)
    assert run.poll() is None, run.communicate()
    return run


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_in_the_middle_nothing_is_left(tmp_path: Path, number: signal.Signals) -> None:
    run = begun(tmp_path)
    run.send_signal(number)
    out, err = run.communicate(timeout=20)
    assert (run.returncode, out) == (130, "")
    assert err.startswith("vgan: Interrupted")
    assert err.count("\n") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["begun", "long.mkv", "site"]


def test_killed_in_the_middle_nothing_has_the_outputs_name_and_the_next_run_works(tmp_path: Path) -> None:
    run = begun(tmp_path)
    run.kill()
    run.communicate()
    assert not (tmp_path / "out.mkv").exists()
    again = ["interpolate", str(tmp_path / "long.mkv"), str(tmp_path / "out.mkv"), "--factor", "2", *BLEND]
    assert main(again) == 0
    assert len(times(tmp_path / "out.mkv")) == 201
    assert sorted(p.name for p in tmp_path.iterdir()) == ["begun", "long.mkv", "out.mkv", "site"]
