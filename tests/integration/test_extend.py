"""`vgan extend` on real files."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from clips import moving_frames, write_clip

from vgan_plugin.cli import main
from vgan_plugin.media.reader import VideoReader
from vgan_plugin.types import Frame


def frames_of(path: Path) -> list[Frame]:
    with VideoReader(path) as reader:
        return list(reader.frames())


@pytest.mark.parametrize("before", [False, True])
def test_a_clip_goes_on_and_its_own_frames_leave_as_they_came(
    before: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_clip(tmp_path / "in.mkv", moving_frames(6, 64, 48), audio=True)
    output = tmp_path / "out.mkv"
    status = main(["extend", str(source), str(output), "--frames", "2", "--json", *(["--before"] if before else [])])
    report = json.loads(capsys.readouterr().out)
    assert (status, report["frames_in"], report["frames_out"]) == (0, 6, 8)
    assert [made["index"] for made in report["made"]] == ([0, 1] if before else [6, 7])
    assert {made["method"] for made in report["made"]} == {"recurrent"}
    assert [made["offsets"] for made in report["made"]] == (
        [["2", "3"], ["1", "2"]] if before else [["-2", "-1"], ["-3", "-2"]]
    )
    old, new = frames_of(source), frames_of(output)
    steps = [b.time - a.time for a, b in pairwise(new)]
    assert set(steps) == {old[1].time - old[0].time}
    kept = new[2:] if before else new[:6]
    assert all(np.array_equal(a.planes[i], b.planes[i]) for a, b in zip(old, kept, strict=True) for i in range(3))


@pytest.mark.parametrize("count", ["0", "-3", "100000", "many"])
def test_none_and_too_many_are_refused_before_the_work_begins(
    count: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_clip(tmp_path / "in.mkv", moving_frames(3))
    status = main(["extend", str(source), str(tmp_path / "out.mkv"), "--frames", count, "--json"])
    assert (status, json.loads(capsys.readouterr().out)["error"]["code"]) == (2, "VGAN-201")
    assert not (tmp_path / "out.mkv").exists()
