"""The element `vganfill` in GStreamer itself: the frames of `vgan fill`, and a pipeline's events understood."""

from __future__ import annotations

import pickle
import subprocess
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import blacken, drop, freeze, join, moving_frames, to_av, write_clip
from gsthost import SYSTEM, environment, why_not

from vgan_plugin.hosts.file import Encoding, repair
from vgan_plugin.media.frames import from_av
from vgan_plugin.types import Frame, OpenRequest

BLEND = OpenRequest(generator="blend")
SECOND = 1_000_000_000
CORRUPTED, GAP, DISCONT = 1 << 8, 1 << 11, 1 << 6


pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "it is there")
Found = list[tuple[Any, ...]]
Play = Callable[[Iterable[tuple[str, Any]]], Found]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    def run(steps: Iterable[tuple[str, Any]]) -> Found:
        (tmp_path / "steps").write_bytes(pickle.dumps([("set", ("generator", "blend")), *steps]))
        command = [SYSTEM, Path(__file__).with_name("gstreamer_host.py"), tmp_path / "steps", tmp_path / "found"]
        done = subprocess.run(
            command, env=environment(tmp_path), capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        found: Found = pickle.loads((tmp_path / "found").read_bytes())  # noqa: S301 our own
        return found

    return run


def caps(frame: Frame, name: str, rate: str = "25/1", more: str = "") -> tuple[str, str]:
    told = f"video/x-raw,format={name},width={frame.width},height={frame.height},framerate={rate}{more}"
    return ("caps", told)


def packed(frame: Frame, odd: int = 4) -> bytes:
    """A frame as GStreamer lays it out: rows padded to `odd` bytes."""
    rows = []
    for plane in frame.planes:
        width = plane.shape[1] * plane.itemsize
        padded = np.zeros((plane.shape[0], -(-width // odd) * odd), np.uint8)
        padded[:, :width] = np.ascontiguousarray(plane).view(np.uint8)
        rows.append(padded.tobytes())
        if len(frame.planes) > 1 and plane.shape[0] % 2 and len(rows) == 1:
            rows[0] += bytes(padded.shape[1])  # I420: the rows of luma are an even number
    return b"".join(rows)


def buffers(frames: Iterable[Frame], flags: dict[int, int] | None = None) -> list[tuple[str, Any]]:
    found = []
    for frame in frames:
        flag = (flags or {}).get(frame.pts, 0)
        found.append(("buffer", (packed(frame), round(frame.time * SECOND), SECOND // 25, flag)))
    return found


def left(found: Found) -> Found:
    return [item for item in found if item[0] == "buffer"]


def broken(**how: Any) -> list[Frame]:
    shots = join(moving_frames(60, **how), moving_frames(50, seed=5, **how))
    return drop(blacken(freeze(shots, 30, 31), 80), 11, 12, 95)


@pytest.mark.parametrize(
    ("name", "format", "size"),
    [("I420", "yuv420p", (35, 19)), ("I422_10LE", "yuv422p10le", (64, 48)), ("GRAY8", "gray", (64, 48))],
)
def test_a_stream_leaves_as_vgan_fill_would_write_it(
    play: Play,
    tmp_path: Path,
    name: str,
    format: str,  # noqa: A002
    size: tuple[int, int],
) -> None:
    frames = broken(width=size[0], height=size[1], format=format)
    write_clip(tmp_path / "in.mkv", frames)
    report = repair(tmp_path / "in.mkv", tmp_path / "out.mkv", generator=BLEND, encoding=Encoding("ffv1"))
    with av.open(str(tmp_path / "out.mkv")) as container:
        wanted = [from_av(f, round(f.time * 25), Fraction(1, 25)) for f in container.decode(video=0)]
    found = play([caps(frames[0], name), ("segment", "TIME"), *buffers(frames), ("eos", None)])
    assert [pts for _, _, pts, *_ in left(found)] == [SECOND // 25 * i for i in range(110)]
    assert [data for _, data, *_ in left(found)] == [packed(frame) for frame in wanted]
    assert {item[3] for item in left(found)} == {SECOND // 25}
    made = [(time * 25 // SECOND, why) for kind, time, why in (f for f in found if f[0] == "vgan-made")]
    assert made == [(record.time * 25, record.why) for record in report.made]
    events = [(item[1], i) for i, item in enumerate(found) if item[0] == "event"]
    assert [name for name, _ in events] == ["stream-start", "caps", "segment", "eos"]
    assert len(left(found[events[2][1] : events[3][1]])) == 110  # all frames lie between segment and end


def test_damaged_and_filler_buffers_are_made_anew_and_good_ones_keep_flags_and_times(play: Play) -> None:
    frames = moving_frames(80)
    flags = {10: CORRUPTED, 20: GAP, 30: DISCONT}
    found = play([caps(frames[0], "I420"), ("segment", "TIME"), *buffers(frames, flags), ("eos", None)])
    out = left(found)
    assert len(out) == 80
    changed = [i for i, item in enumerate(out) if item[1] != packed(frames[i])]
    assert changed == [10, 20]
    assert [(f[1] * 25 // SECOND, f[2]) for f in found if f[0] == "vgan-made"] == [(10, "corrupt"), (20, "corrupt")]
    assert out[30][4] & DISCONT
    assert not out[10][4] & CORRUPTED


def test_rows_lie_where_a_buffers_meta_says(play: Play) -> None:
    frames = drop(moving_frames(80, 36, 20), 40)
    sizes = [20 * 64, 10 * 64, 10 * 64]
    places = ("I420", 36, 20, [0, 1280, 1920], [64, 64, 64])
    steps = [
        (name, (packed(frame, 64), *rest, places))
        for frame, (name, (_, *rest)) in zip(frames, buffers(frames), strict=True)
    ]
    found = play([caps(frames[0], "I420"), ("segment", "TIME"), *steps, ("eos", None)])
    assert len(left(found)[0][1]) == sum(sizes)
    assert left(found)[39][1] == packed(frames[39], 64)
    assert left(found)[39][5] == [64, 64, 64]  # and whoever takes it is told so, too
    plain = play([caps(frames[0], "I420"), ("segment", "TIME"), *buffers(frames), ("eos", None)])
    assert left(found)[40][1] == left(plain)[40][1]  # made of the same samples, laid out as caps say


def test_a_gap_event_is_swallowed_and_its_frames_are_made(play: Play) -> None:
    steps = buffers(drop(moving_frames(80), 40, 41))
    steps.insert(40, ("gap", (40 * SECOND // 25, 2 * SECOND // 25)))
    found = play([caps(moving_frames(1)[0], "I420"), ("segment", "TIME"), *steps, ("eos", None)])
    assert len(left(found)) == 80
    assert ("event", "gap") not in found


def test_a_flush_forgets_what_waits_and_a_seek_back_begins_anew(play: Play) -> None:
    frames = moving_frames(90)
    steps = [
        caps(frames[0], "I420"),
        ("segment", "TIME"),
        *buffers(frames[40:90]),
        ("flush", None),
        ("segment", "TIME"),
    ]
    found = play([*steps, *buffers(frames[:50]), ("eos", None)])
    after = found.index(("event", "flush-stop"))
    assert [item[2] for item in left(found[after:])] == [SECOND // 25 * i for i in range(50)]
    assert not left(found[:after])  # all of it was waiting


def test_another_segment_lets_everything_out_first(play: Play) -> None:
    frames = moving_frames(50)
    one = [("segment", "TIME"), *buffers(frames)]
    found = play([caps(frames[0], "I420"), *one, *one, ("eos", None)])
    kinds = ["s" if item == ("event", "segment") else "b" for item in found if item[0] in ("buffer", "event")]
    assert "".join(kinds).strip("b").count("s") >= 1
    assert [item[2] for item in left(found)] == [SECOND // 25 * i for i in range(50)] * 2
    second = [i for i, item in enumerate(found) if item == ("event", "segment")][1]
    assert len(left(found[:second])) == 50


def test_other_caps_begin_another_stream(play: Play) -> None:
    small, large = moving_frames(45), moving_frames(45, 32, 24)
    later = [(name, (data, pts + 2 * SECOND, *rest)) for name, (data, pts, *rest) in buffers(large)]
    found = play(
        [caps(small[0], "I420"), ("segment", "TIME"), *buffers(small), caps(large[0], "I420"), *later, ("eos", None)]
    )
    assert [len(item[1]) for item in left(found)] == [len(packed(small[0]))] * 45 + [len(packed(large[0]))] * 45


def test_time_that_jumps_back_without_a_segment_is_no_error(play: Play) -> None:
    frames = moving_frames(45)
    found = play([caps(frames[0], "I420"), ("segment", "TIME"), *buffers(frames), *buffers(frames), ("eos", None)])
    assert len(left(found)) == 90
    assert not [item for item in found if item[0] in ("error", "flow")]


def test_buffers_without_time_or_duration_lie_a_period_apart(play: Play) -> None:
    frames = moving_frames(45)
    steps = [("buffer", (packed(frame), None, None, 0)) for frame in frames]
    found = play([caps(frames[0], "I420"), ("segment", "TIME"), *steps, ("eos", None)])
    assert [item[2] for item in left(found)] == [SECOND // 25 * i for i in range(45)]


def test_the_latency_query_adds_what_a_frame_may_wait(play: Play) -> None:
    frame = moving_frames(1)[0]
    found = play([("set", ("max-gap", 4)), caps(frame, "I420"), ("latency", None)])
    wait = (37 + 4) * SECOND // 25
    assert ("latency", True, (True, 1000 + wait, 5000 + wait)) in found


RAW = "video/x-raw,format=I420,width=64,height=48,framerate=25/1"


@pytest.mark.parametrize(
    ("steps", "word"),
    [
        ([("caps", f"{RAW},interlace-mode=interleaved")], "interlaced"),
        ([("caps", RAW), ("segment", "BYTES")], "time"),
        ([("caps", RAW), ("segment", "TIME"), ("buffer", (b"short", 0, None, 0))], "no frame"),
        ([("set", ("model", "no-such")), ("set", ("generator", "")), ("caps", RAW)], "no-such"),
    ],
)
def test_what_cannot_be_done_is_an_error_on_the_bus(play: Play, steps: list[tuple[str, Any]], word: str) -> None:
    found = play(steps)
    (message,) = [item[1] for item in found if item[0] == "error"]
    assert word in message
    assert "[VGAN-" in message


def test_no_buffers_at_all_are_no_error_and_an_element_can_be_used_again(play: Play) -> None:
    frames = moving_frames(45)
    one = [caps(frames[0], "I420"), ("segment", "TIME"), *buffers(frames), ("eos", None)]
    found = play(
        [caps(frames[0], "I420"), ("segment", "TIME"), ("eos", None), ("stop", None), *one, ("stop", None), *one]
    )
    assert len(left(found)) == 90
    assert not [item for item in found if item[0] in ("error", "flow")]


def test_a_line_of_gst_launch_repairs_a_file(tmp_path: Path) -> None:
    frames = broken(time_base=Fraction(1, 1000), ticks=40)
    with av.open(str(tmp_path / "in.mkv"), "w") as out:
        video = out.add_stream("rawvideo", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        for frame in frames:
            out.mux(video.encode(to_av(frame)))
        out.mux(video.encode(None))
    line = (
        "filesrc location=in.mkv ! matroskademux ! vganfill generator=blend ! matroskamux ! filesink location=out.mkv"
    )
    done = subprocess.run(
        ["/usr/bin/gst-launch-1.0", "-q", *line.split()],
        env=environment(tmp_path), cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    repair(tmp_path / "in.mkv", tmp_path / "wanted.mkv", generator=BLEND, encoding=Encoding("ffv1"))
    pictures = []
    for name in ("out.mkv", "wanted.mkv"):
        with av.open(str(tmp_path / name)) as container:
            pictures.append([(round(f.time, 3), f.to_ndarray().tobytes()) for f in container.decode(video=0)])
    assert pictures[0] == pictures[1]
    assert len(pictures[0]) == 110
