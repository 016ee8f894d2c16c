"""`vgan pipe` between real programs: the frames of `vgan fill`, and a clean end however a pipe ends."""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import blacken, drop, freeze, join, moving_frames, write_clip

from vgan_plugin.errors import (
    InputDamaged,
    InputError,
    InputMissing,
    InputNotVideo,
    InputUnsupported,
    MaskUnusable,
    UsageError,
)
from vgan_plugin.hosts import pipe
from vgan_plugin.hosts.file import Encoding, interpolate, repair
from vgan_plugin.hosts.inpainting import inpaint
from vgan_plugin.hosts.masks import Holes
from vgan_plugin.media.reader import VideoReader
from vgan_plugin.media.y4m import Reader, frame_bytes
from vgan_plugin.types import Frame, OpenRequest

BLEND = OpenRequest(generator="blend")
FFMPEG = shutil.which("ffmpeg")
VGAN = [sys.executable, "-m", "vgan_plugin.cli"]
CITY = Path(__file__).resolve().parents[2] / "examples" / "city.mp4"
needs_ffmpeg = pytest.mark.skipif(FFMPEG is None, reason="ffmpeg is not installed: apt-get install ffmpeg")


def broken(**how: Any) -> list[Frame]:
    shots = join(moving_frames(60, **how), moving_frames(50, seed=5, **how))
    return blacken(freeze(shots, 30, 31), 80)


def stream(frames: list[Frame], tag: str = "420jpeg", rate: str = "25:1") -> bytes:
    head = f"YUV4MPEG2 W{frames[0].width} H{frames[0].height} F{rate} Ip C{tag}\n".encode()
    return head + b"".join(frame_bytes(frame) for frame in frames)


def pictures(data: bytes) -> list[bytes]:
    reader = Reader(io.BytesIO(data))
    found = [b"".join(plane.tobytes() for plane in planes) for planes in reader.frames()]
    assert reader.cut is None
    return found


def pictures_of(path: Path) -> list[bytes]:
    with VideoReader(path) as reader:
        return [b"".join(np.ascontiguousarray(p).tobytes() for p in frame.planes) for frame in reader.frames()]


class Sink(list[bytes]):
    def write(self, data: bytes) -> None:
        self.append(data)


def run(data: bytes, *arguments: object, timeout: float = 120) -> subprocess.CompletedProcess[bytes]:
    command = [*VGAN, "pipe", *map(str, arguments), "--generator", "blend"]
    return subprocess.run(command, input=data, capture_output=True, check=False, timeout=timeout)


# The same as the file host


@pytest.mark.parametrize(
    ("tag", "format"),
    [
        ("420jpeg", "yuv420p"),
        ("422p10", "yuv422p10le"),
        ("444p12", "yuv444p12le"),
        ("411", "yuv411p"),
        ("444alpha", "yuva444p"),
        ("mono16", "gray16le"),
    ],
)
def test_a_pipe_makes_what_vgan_fill_makes_of_the_same_stream(tmp_path: Path, tag: str, format: str) -> None:  # noqa: A002
    data = stream(broken(width=35, height=19, format=format), tag)
    (tmp_path / "in.y4m").write_bytes(data)
    report = repair(tmp_path / "in.y4m", tmp_path / "out.mkv", generator=BLEND, encoding=Encoding("ffv1"))
    sink = Sink()
    done = pipe.fill(io.BytesIO(data), sink.write, generator=BLEND, records=True)
    assert pictures(b"".join(sink)) == pictures_of(tmp_path / "out.mkv")
    assert [(r.time, r.why, r.offsets) for r in done.report.made] == [(r.time, r.why, r.offsets) for r in report.made]
    assert [(e.kind, e.first) for e in done.report.events] == [(e.kind, e.first) for e in report.events]
    assert (done.status, done.methods) == (report.status, {"blend": 3})


@pytest.mark.parametrize("how", [{"factor": 3}, {"rate": Fraction(60)}, {"rate": Fraction(10)}])
def test_another_rate_is_that_of_vgan_interpolate(tmp_path: Path, how: dict[str, Any]) -> None:
    data = stream(join(moving_frames(30), moving_frames(20, seed=5)))
    (tmp_path / "in.y4m").write_bytes(data)
    interpolate(tmp_path / "in.y4m", tmp_path / "out.mkv", generator=BLEND, encoding=Encoding("ffv1"), **how)
    sink = Sink()
    pipe.interpolate(io.BytesIO(data), sink.write, generator=BLEND, **how)
    assert pictures(b"".join(sink)) == pictures_of(tmp_path / "out.mkv")
    assert Reader(io.BytesIO(b"".join(sink))).header.rate == how.get("rate", 75)


def test_holes_are_visible_through_a_timing_file(tmp_path: Path) -> None:
    frames = drop(broken(time_base=Fraction(1, 1000), ticks=40), 11, 12, 95)
    write_clip(tmp_path / "in.mkv", frames)
    repair(tmp_path / "in.mkv", tmp_path / "out.mkv", generator=BLEND, encoding=Encoding("ffv1"))
    (tmp_path / "times.txt").write_text("# timestamp format v2\n" + "".join(f"{frame.pts}\n" for frame in frames))
    sink = Sink()
    pipe.fill(io.BytesIO(stream(frames)), sink.write, generator=BLEND, timing=tmp_path / "times.txt")
    found = pictures(b"".join(sink))
    assert len(found) == 110
    assert found == pictures_of(tmp_path / "out.mkv")


def test_a_report_of_a_pipe_shows_the_strips_of_vgan_fill(tmp_path: Path) -> None:
    data = stream(broken(), rate="25:1 A8:9")
    (tmp_path / "in.y4m").write_bytes(data)
    report = repair(tmp_path / "in.y4m", Path("null:"), generator=BLEND, pictures=2)
    done = pipe.fill(io.BytesIO(data), Sink().write, generator=BLEND, records=True, pictures=2)
    assert report.pictures is not None
    assert done.report.pictures is not None
    wanted, found = (
        [(s.number, s.made, s.before, s.was, s.after) for s in r.pictures.strips] for r in (report, done.report)
    )
    assert found == wanted
    assert len(found) == 2
    command = run(data, "fill", "--report", tmp_path / "r.html", "-q")
    assert command.returncode == 0
    assert '"strips":[{"made":0' in (tmp_path / "r.html").read_text()


@pytest.mark.parametrize("holes", [None, Holes(boxes=((None, (20, 10, 12, 8)),), end=Fraction(1, 5))])
def test_pictures_of_a_pipe_are_those_of_the_file_with_holes_and_at_another_rate(
    tmp_path: Path, holes: Holes | None
) -> None:
    data = stream(moving_frames(45))
    path = tmp_path / "in.y4m"
    path.write_bytes(data)
    how: dict[str, Any] = {"generator": BLEND, "pictures": 9}
    if holes is None:
        report = interpolate(path, Path("null:"), factor=2, **how)
        done = pipe.interpolate(io.BytesIO(data), Sink().write, factor=2, records=True, **how)
    else:
        report = inpaint(path, Path("null:"), holes, **how)
        done = pipe.inpaint(io.BytesIO(data), Sink().write, holes, records=True, **how)
    assert report.pictures is not None
    assert done.report.pictures is not None
    strips = [(s.number, s.made, s.before, s.was, s.after) for s in done.report.pictures.strips]
    assert strips == [(s.number, s.made, s.before, s.was, s.after) for s in report.pictures.strips]
    assert strips


BOX = Holes(boxes=((None, (20, 10, 12, 8)),), start=Fraction(43, 25), end=Fraction(48, 25))


@pytest.mark.parametrize(("holes", "direction"), [(BOX, "both"), (BOX, "forward"), (Holes(Path("masks.mkv")), "both")])
def test_holes_around_a_cut_are_made_as_vgan_inpaint_makes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, holes: Holes, direction: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    frames = join(moving_frames(45), moving_frames(55, seed=5))
    masks = [replace(f, planes=(np.zeros_like(f.planes[0]),)) for f in moving_frames(100, format="gray")]
    for i in range(43, 48):
        masks[i].planes[0][5:15, i // 2 : i // 2 + 10] = 255
    write_clip(tmp_path / "masks.mkv", masks)
    (tmp_path / "in.y4m").write_bytes(stream(frames))
    how: dict[str, Any] = {"direction": direction, "generator": OpenRequest(model="lite")}
    report = inpaint(tmp_path / "in.y4m", tmp_path / "out.mkv", holes, encoding=Encoding("ffv1"), **how)
    sink = Sink()
    done = pipe.inpaint(io.BytesIO(stream(frames)), sink.write, holes, records=True, **how)
    assert pictures(b"".join(sink)) == pictures_of(tmp_path / "out.mkv")
    found, wanted = ([(r.index, r.method, r.confidence) for r in r.made] for r in (done.report, report))
    assert found == wanted
    assert [index for index, *_ in found] == [43, 44, 45, 46, 47]
    assert [event.first for event in done.report.events] == [45]


@pytest.mark.parametrize(("masks", "fit"), [(59, False), (61, False), (59, True), (61, True)])
def test_masks_of_another_number_are_an_error_unless_they_may_be_fitted(tmp_path: Path, masks: int, fit: bool) -> None:
    dark = [replace(f, planes=(np.zeros_like(f.planes[0]),)) for f in moving_frames(masks, format="gray")]
    dark[30].planes[0][5:15, 5:15] = 255
    write_clip(tmp_path / "masks.mkv", dark)
    sink, holes = Sink(), Holes(tmp_path / "masks.mkv", fit=fit)
    if fit:
        done = pipe.inpaint(io.BytesIO(stream(moving_frames(60))), sink.write, holes, generator=BLEND)
        assert (len(sink), sum(done.methods.values())) == (60, 1)
    else:
        with pytest.raises(MaskUnusable, match=f"There are {masks} masks"):
            pipe.inpaint(io.BytesIO(stream(moving_frames(60))), sink.write, holes, generator=BLEND)


def test_a_mask_of_another_size_a_box_outside_and_a_mask_of_everything_are_errors(tmp_path: Path) -> None:
    write_clip(tmp_path / "mask.mkv", moving_frames(1, 32, 16, "gray"))
    for holes in (
        Holes(tmp_path / "mask.mkv"),
        Holes(boxes=((None, (99, 99, 4, 4)),)),
        Holes(boxes=((None, (0, 0, 64, 48)),)),
    ):
        with pytest.raises(MaskUnusable):
            pipe.inpaint(io.BytesIO(stream(moving_frames(5))), Sink().write, holes, generator=BLEND)
    assert run(stream(moving_frames(5)), "inpaint").returncode == 2
    done = run(stream(moving_frames(5)), "inpaint", "--box", "20,10,8,8")
    assert done.returncode in (0, 1)
    assert len(pictures(done.stdout)) == 5


@needs_ffmpeg
def test_ffmpeg_pipe_ffmpeg_gives_the_frames_of_vgan_fill_of_the_example_clip(tmp_path: Path) -> None:
    subprocess.run([sys.executable, CITY.with_name("make_broken_clip.py"), CITY, tmp_path / "broken.mkv"], check=True)
    shell = f"""
        set -e -o pipefail
        ffmpeg -v error -i broken.mkv -vf scale=96:54 -fps_mode passthrough -c:v ffv1 small.mkv
        ffmpeg -v error -i small.mkv -map 0:v:0 -c copy -f framecrc times.txt
        {sys.executable} -m vgan_plugin.cli fill small.mkv direct.mkv --model lite -q
        ffmpeg -v error -i small.mkv -fps_mode passthrough -f yuv4mpegpipe - |
            {sys.executable} -m vgan_plugin.cli pipe fill --model lite --timing times.txt --report r.json |
            ffmpeg -v error -i - -c:v ffv1 piped.mkv
    """
    subprocess.run(["bash", "-c", shell], cwd=tmp_path, check=True, timeout=300)
    assert len(pictures_of(tmp_path / "piped.mkv")) == 188
    assert pictures_of(tmp_path / "piped.mkv") == pictures_of(tmp_path / "direct.mkv")
    report = json.loads((tmp_path / "r.json").read_text())
    assert {made["method"] for made in report["made"]} == {"recurrent"}
    assert len(report["made"]) >= 30
    assert any("one pass" in note for note in report["notes"])


@needs_ffmpeg
@pytest.mark.parametrize("format", ["yuv420p10le", "yuv422p", "yuv444p16le", "yuv411p", "gray", "gray12le", "yuva444p"])
def test_ffmpeg_writes_and_reads_every_kind_through_us_unchanged_at_an_odd_size(tmp_path: Path, format: str) -> None:  # noqa: A002
    write_clip(tmp_path / "in.mkv", moving_frames(5, 36 if "20p10" in format else 35, 19, format))
    shell = f"""
        set -e -o pipefail
        ffmpeg -v error -i in.mkv -strict -1 -f yuv4mpegpipe - |
            {sys.executable} -m vgan_plugin.cli pipe fill --generator blend -q |
            ffmpeg -v error -i - -c:v ffv1 out.mkv
    """
    subprocess.run(["bash", "-c", shell], cwd=tmp_path, check=True, timeout=120)
    assert pictures_of(tmp_path / "out.mkv") == pictures_of(tmp_path / "in.mkv")


@needs_ffmpeg
def test_an_ffmpeg_that_was_not_told_to_be_unstrict_writes_nothing_of_more_than_8_bits_and_we_say_what_to_tell_it(
    tmp_path: Path,
) -> None:
    write_clip(tmp_path / "in.mkv", moving_frames(5, format="yuv420p10le"))
    shell = f"ffmpeg -v quiet -i in.mkv -f yuv4mpegpipe - | {sys.executable} -m vgan_plugin.cli pipe fill | cat"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {shell}"], cwd=tmp_path, capture_output=True, timeout=120)
    assert (done.returncode != 0, done.stdout) == (True, b"")
    assert done.stderr.count(b"\n") == 1
    assert b"-strict -1" in done.stderr


# Ends


@pytest.fixture
def started() -> Iterator[Any]:
    running: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        command = [*VGAN, "pipe", *arguments, "--generator", "blend"]
        ends = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        made = subprocess.Popen(command, bufsize=0, **ends)
        running.append(made)
        return made

    yield start
    for process in running:
        process.kill()
        process.wait()
        for end in (process.stdin, process.stdout, process.stderr):
            with contextlib.suppress(BrokenPipeError):
                end.close()


def test_frames_leave_while_the_stream_goes_on(started: Any) -> None:
    frames = moving_frames(70, 16, 8)
    process = started("fill", "--max-gap", "3")
    process.stdin.write(stream(frames))
    wanted, found = stream(frames[: 70 - 37 - 3]), b""
    while len(found) < len(wanted):  # hangs if they do not come
        found += process.stdout.read(len(wanted) - len(found))
    assert found == wanted
    assert process.poll() is None
    rest, said = process.communicate()
    assert wanted + rest == stream(frames)
    assert b"70 frames in, 70 out" in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_between_two_frames_with_one_line(started: Any, number: int) -> None:
    process = started("fill")
    process.stdin.write(stream(moving_frames(64, 400, 300)))  # a frame does not fit into a pipe, two leave
    head = process.stdout.read(1000)  # it is at work
    process.send_signal(number)
    rest = b""
    for _ in range(3):  # whoever reads may be slow
        time.sleep(0.6)
        rest += process.stdout.read(70_000)
    end, said = process.communicate(timeout=20)
    rest += end
    assert process.returncode == 130
    assert said.decode().splitlines() == [line for line in said.decode().splitlines() if line.startswith("vgan: ")]
    assert len(said.decode().splitlines()) == 1
    assert len(pictures(head + rest)) >= 1  # no frame is cut in two


def test_a_signal_ends_it_though_nobody_reads(started: Any) -> None:
    process = started("fill")
    os.set_blocking(process.stdin.fileno(), False)
    data, moved = memoryview(stream(moving_frames(300))), time.monotonic()
    while not select.select([process.stdout], [], [], 0)[0] or time.monotonic() - moved < 1:  # both pipes are full then
        if written := process.stdin.write(data):
            data, moved = data[written:], time.monotonic()
        time.sleep(0.01)
    assert data
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 130


def test_a_reader_that_leaves_ends_it_with_one_line(started: Any) -> None:
    process = started("fill")
    process.stdout.close()
    data = stream(moving_frames(200))
    try:
        process.stdin.write(data)
        process.stdin.close()
    except BrokenPipeError:
        pass
    said = process.stderr.read().decode()
    assert process.wait(timeout=20) == 4
    assert said.count("\n") == 1
    assert "left" in said


# Bad input


def test_a_frame_that_came_in_part_is_made_and_named() -> None:
    frames = moving_frames(60)
    done = run(stream(frames)[:-1000], "fill")
    assert done.returncode == 1
    assert b"ends within frame 59" in done.stderr
    found = pictures(done.stdout)
    assert found[:59] == pictures(stream(frames))[:59]
    assert len(found) == 60


def test_a_frame_that_came_in_part_does_not_change_another_rate() -> None:
    done = run(stream(moving_frames(50))[:-1000], "interpolate", "--factor", "2")
    assert done.returncode == 1
    assert b"ends within frame 49" in done.stderr
    assert len(pictures(done.stdout)) == 97


@pytest.mark.parametrize("data", [b"", b"hello\n", bytes(5000), b"YUV4MPEG2 W-1 Hx\n", b"\x1aE\xdf\xa3 matroska"])
def test_what_is_no_stream_is_an_error_and_nothing_is_written(data: bytes) -> None:
    done = run(data, "fill")
    assert (done.returncode, done.stdout) == (3, b"")
    assert done.stderr.decode().count("\n") == 1
    assert b"[VGAN-303]" in done.stderr


def test_a_stream_of_no_frames_is_an_error_and_one_frame_is_none() -> None:
    one = moving_frames(1)
    assert run(stream(one), "fill").stdout == stream(one)
    done = run(stream(one)[: stream(one).index(b"FRAME")], "fill")
    assert (done.returncode, done.stdout) == (3, b"")
    assert b"no frame" in done.stderr


@pytest.mark.parametrize(
    ("times", "error"),
    [(59, InputDamaged), (61, InputDamaged), (None, InputMissing), ("nonsense", InputNotVideo), (".", InputError)],
)
def test_a_timing_file_that_does_not_fit_is_an_error(tmp_path: Path, times: Any, error: type[Exception]) -> None:
    path = tmp_path / "times.txt"
    if isinstance(times, int):
        path.write_text("# timestamp format v2\n" + "".join(f"{40 * i}\n" for i in range(times)))
    elif times == ".":
        path.mkdir()
    elif times is not None:
        path.write_text(times)
    with pytest.raises(error):
        pipe.fill(io.BytesIO(stream(moving_frames(60))), Sink().write, generator=BLEND, timing=path)


def test_a_stream_without_a_rate_needs_times(tmp_path: Path) -> None:
    data = stream(moving_frames(60), rate="0:0")
    with pytest.raises(InputUnsupported, match="no frame rate"):
        pipe.fill(io.BytesIO(data), Sink().write, generator=BLEND)
    (tmp_path / "t").write_text("# timestamp format v2\n" + "".join(f"{40 * i}\n" for i in range(60)))
    sink = Sink()
    pipe.fill(io.BytesIO(data), sink.write, generator=BLEND, timing=tmp_path / "t")
    assert len(pictures(b"".join(sink))) == 60


def test_a_rate_of_no_use_is_an_error_before_anything_is_read() -> None:
    with pytest.raises(UsageError):
        pipe.interpolate(io.BytesIO(stream(moving_frames(2))), Sink().write, generator=BLEND, rate=Fraction(10**6))
    assert run(b"", "interpolate").returncode == 2
    assert run(b"", "fill", "--factor", "2").returncode == 2
    assert run(b"").returncode == 2
