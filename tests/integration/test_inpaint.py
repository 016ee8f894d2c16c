"""`vgan inpaint` on real files: what comes out, and what is said about masks that do not fit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import moving_frames, write_clip

from vgan_plugin.cli import main
from vgan_plugin.gaps import Event
from vgan_plugin.media.reader import VideoReader
from vgan_plugin.plugins import get_plugin_manager
from vgan_plugin.types import Frame, PixelFormat

REPEAT = ["--generator", "repeat"]
BOX = ["--box", "24,16,16,10"]


def frames_of(path: Path) -> list[Frame]:
    with VideoReader(path) as reader:
        return list(reader.frames())


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    status = main(["inpaint", *map(str, arguments), *REPEAT, "--json"])
    return status, json.loads(capsys.readouterr().out)


def picture(path: Path, mask: np.ndarray) -> Path:
    """A mask as a grey picture."""
    return write_clip(path, [Frame((mask.astype(np.uint8) * 255,), PixelFormat.parse("gray"))], "png")


def hole(height: int = 48, width: int = 64) -> np.ndarray:
    mask = np.zeros((height, width), np.bool_)
    mask[16:26, 24:40] = True
    return mask


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "in.mkv", moving_frames(6, speed=(5, 0)), audio=True)


def unchanged_outside(source: Path, output: Path, mask: np.ndarray) -> list[bool]:
    """Whether each frame differs inside the mask; none may outside it."""
    differ = []
    for old, new in zip(frames_of(source), frames_of(output), strict=True):
        assert np.array_equal(old.planes[0][~mask], new.planes[0][~mask])
        assert old.time == new.time
        differ.append(not np.array_equal(old.planes[0][mask], new.planes[0][mask]))
    return differ


def test_a_box_and_a_picture_of_it_give_the_same(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, report = run(capsys, source, tmp_path / "box.mkv", *BOX, "--report", tmp_path / "r.json")
    assert (status, len(report["made"]), report["unrepaired"]) == (0, 6, [])
    assert {made["why"] for made in report["made"]} == {"mask"}
    assert [made["index"] for made in report["made"]] == list(range(6))
    assert json.loads((tmp_path / "r.json").read_text())["made"] == report["made"]
    assert all(unchanged_outside(source, tmp_path / "box.mkv", hole()))
    run(capsys, source, tmp_path / "mask.mkv", "--mask", picture(tmp_path / "m.png", hole()))
    boxed, masked = frames_of(tmp_path / "box.mkv"), frames_of(tmp_path / "mask.mkv")
    assert all(np.array_equal(a.planes[0], b.planes[0]) for a, b in zip(boxed, masked, strict=True))


def test_a_folder_and_a_video_have_one_mask_a_frame(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "masks"
    folder.mkdir()
    shown = [i in (2, 3) for i in range(6)]
    for i, there in enumerate(shown):
        picture(folder / f"{i:03}.png", hole() & there)
    run(capsys, source, tmp_path / "folder.mkv", "--mask", folder)
    assert unchanged_outside(source, tmp_path / "folder.mkv", hole()) == shown
    gray = PixelFormat.parse("gray")
    video = write_clip(
        tmp_path / "m.mkv",
        [Frame(((hole() & there).astype(np.uint8) * 255,), gray, pts=i) for i, there in enumerate(shown)],
    )
    _, report = run(capsys, source, tmp_path / "video.mkv", "--mask", video)
    assert unchanged_outside(source, tmp_path / "video.mkv", hole()) == shown
    assert [made["index"] for made in report["made"]] == [2, 3]


def test_a_time_range_holds_the_mask_back(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, source, tmp_path / "out.mkv", *BOX, "--from", "0.08", "--to", "0:00.16", "--direction", "forward")
    assert unchanged_outside(source, tmp_path / "out.mkv", hole()) == [False, False, True, True, False, False]


def test_an_empty_mask_gives_the_input(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, report = run(capsys, source, tmp_path / "out.mkv", "--mask", picture(tmp_path / "m.png", hole() & False))
    assert (status, report["copied"], report["made"]) == (0, True, [])
    assert any("empty" in note for note in report["notes"])
    assert not any(unchanged_outside(source, tmp_path / "out.mkv", hole()))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["small.png"], "VGAN-308", "32x24"),
        (["short"], "VGAN-308", "2 masks for 6 frames"),
        (["full.png"], "VGAN-308", "every pixel of every frame"),
        (["nothing.png"], "VGAN-302", "no such file"),
        (["empty"], "VGAN-302", "no picture"),
        (["text.txt"], "VGAN-303", "not a video"),
    ],
)
def test_masks_that_do_not_fit_are_refused(
    arguments: list[str], code: str, words: str, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture(tmp_path / "small.png", hole()[::2, ::2])
    picture(tmp_path / "full.png", hole() | True)
    (tmp_path / "text.txt").write_text("no mask")
    (tmp_path / "empty").mkdir()
    (tmp_path / "short").mkdir()
    for i in range(2):
        picture(tmp_path / "short" / f"{i}.png", hole())
    status, answer = run(capsys, source, tmp_path / "out.mkv", "--mask", tmp_path / arguments[0])
    assert (status, answer["error"]["code"]) == (3, code)
    assert words in " ".join(answer["error"].values())
    assert not (tmp_path / "out.mkv").exists()


def test_what_does_not_fit_is_made_to_on_request(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _ = run(
        capsys, source, tmp_path / "out.mkv", "--fit", "--mask", picture(tmp_path / "m.png", hole()[::2, ::2])
    )
    assert status == 0
    assert all(unchanged_outside(source, tmp_path / "out.mkv", hole()))
    (tmp_path / "short").mkdir()
    for i in range(2):
        picture(tmp_path / "short" / f"{i}.png", hole() & (i == 1))
    run(capsys, source, tmp_path / "held.mkv", "--fit", "--mask", tmp_path / "short")
    assert unchanged_outside(source, tmp_path / "held.mkv", hole()) == [False, True, True, True, True, True]


def test_a_hole_is_wider_on_request(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _ = run(capsys, source, tmp_path / "out.mkv", "--grow", "3", "--mask", picture(tmp_path / "m.png", hole()))
    assert status == 0
    rows, columns = np.nonzero(hole())
    wider = np.zeros_like(hole())
    wider[max(rows.min() - 3, 0) : rows.max() + 4, max(columns.min() - 3, 0) : columns.max() + 4] = True
    assert all(unchanged_outside(source, tmp_path / "out.mkv", wider))
    with pytest.raises(AssertionError):  # something is, between the one and the other
        unchanged_outside(source, tmp_path / "out.mkv", hole())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "a mask or a box"),
        (["--box", "1,2,3"], "not a box"),
        (["--box", "1,2,0,4"], "not a box"),
        ([*BOX, "--from", "2", "--to", "1"], "not before"),
        ([*BOX, "--from", "soon"], "not a time"),
    ],
)
def test_requests_that_say_nothing_are_refused(
    arguments: list[str], words: str, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, answer = run(capsys, source, tmp_path / "out.mkv", *arguments)
    assert (status, answer["error"]["code"]) == (2, "VGAN-201")
    assert words in " ".join(answer["error"].values())


def test_a_box_outside_the_picture_is_refused(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, answer = run(capsys, source, tmp_path / "out.mkv", "--box", "64,0,4,4")
    assert (status, answer["error"]["code"]) == (3, "VGAN-308")


@pytest.mark.needs_torch  # whose extra brings onnx, which the bundle is made with
def test_a_bundle_that_lacks_the_task_names_those_that_have_it(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from fakebundle import make

    status = main(
        ["inpaint", str(source), str(tmp_path / "out.mkv"), *BOX, "--model", str(make(tmp_path / "fake")), "--json"]
    )
    error = json.loads(capsys.readouterr().out)["error"]
    assert (status, error["code"]) == (5, "VGAN-507")
    assert "base" in error["do"]


def spoiled(tmp_path: Path, lost: int) -> Path:
    """A clip of which frame `lost` has a grey block."""
    frames = moving_frames(8, speed=(5, 0))
    luma = np.where(hole(), 128, frames[lost].planes[0]).astype(np.uint8)
    frames[lost] = replace(frames[lost], planes=(luma, *frames[lost].planes[1:]))
    return write_clip(tmp_path / "spoiled.mkv", frames)


def mended(source: Path, output: Path, lost: int, report: dict[str, Any]) -> None:
    assert unchanged_outside(source, output, hole()) == [i == lost for i in range(8)]
    truth = moving_frames(8, speed=(5, 0))[lost].planes[0][hole()]
    new, old = (frames_of(path)[lost].planes[0][hole()] for path in (output, source))
    assert np.abs(new.astype(int) - truth).mean() < 0.5 * np.abs(old.astype(int) - truth).mean()
    (made,) = report["made"]
    assert (made["index"], made["why"]) == (lost, "corrupt")


def test_fill_keeps_the_good_blocks_of_a_damaged_frame(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, output = spoiled(tmp_path, 4), tmp_path / "out.mkv"
    folder = tmp_path / "masks"
    folder.mkdir()
    for i in range(8):
        picture(folder / f"{i}.png", hole() & (i == 4))
    status = main(["fill", str(source), str(output), "--mask", str(folder), *REPEAT, "--json"])
    assert status == 0
    mended(source, output, 4, json.loads(capsys.readouterr().out))


def test_a_plan_says_which_blocks_are_damaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, output, plan = spoiled(tmp_path, 4), tmp_path / "out.mkv", tmp_path / "plan.json"
    event = {"kind": "corrupt", "first": 4, "last": 4, "boxes": [[24, 16, 16, 10]]}
    plan.write_text(json.dumps({"format": 1, "events": [event]}))
    status = main(["fill", str(source), str(output), "--plan", str(plan), *REPEAT, "--json"])
    report = json.loads(capsys.readouterr().out)
    assert status == 0
    assert report["events"][0]["boxes"] == [[24, 16, 16, 10]]
    mended(source, output, 4, report)


@pytest.mark.parametrize("boxes", [[[1, 2, 3]], [[0, 0, 0, 4]], [[-1, 0, 4, 4]], "all", [[0.5, 0, 4, 4]]])
def test_boxes_that_are_none_are_refused(boxes: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, plan = spoiled(tmp_path, 4), tmp_path / "plan.json"
    event = {"kind": "corrupt", "first": 4, "last": 4, "boxes": boxes}
    plan.write_text(json.dumps({"format": 1, "events": [event]}))
    status = main(["fill", str(source), str(tmp_path / "out.mkv"), "--plan", str(plan), *REPEAT, "--json"])
    assert (status, json.loads(capsys.readouterr().out)["error"]["code"]) == (3, "VGAN-306")


def test_a_detector_says_which_blocks_are_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class SeesGrey:
        lookahead = 0

        def feed(self, index: int, frame: Frame) -> list[Event]:
            if len(np.unique(frame.planes[0][hole()])) > 1:
                return []
            return [
                Event("corrupt", index, index, frame.pts, frame.pts, frame.time, 1, 1.0, "grey", ((24, 16, 16, 10),))
            ]

        def finish(self) -> list[Event]:
            return []

    manager = get_plugin_manager()
    monkeypatch.setattr(type(manager), "detectors", lambda _self: [SeesGrey])
    source, output = spoiled(tmp_path, 4), tmp_path / "out.mkv"
    status = main(["fill", str(source), str(output), *REPEAT, "--json"])
    assert status == 0
    mended(source, output, 4, json.loads(capsys.readouterr().out))
