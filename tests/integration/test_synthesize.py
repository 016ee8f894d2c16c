"""`vgan synthesize`: what a seed decides, which files come out, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import moving_frames, write_clip
from toy import Toy, digest

from vgan_plugin.bundle.locate import SHIPPED
from vgan_plugin.cli import main
from vgan_plugin.fill.synthesize import synthesize
from vgan_plugin.media.reader import VideoReader
from vgan_plugin.types import Frame, GeneratorInfo, OpenRequest, Synthesizer


class Dreamer(Toy):
    """A toy that begins with noise."""

    def __init__(self) -> None:
        super().__init__()
        self.info = GeneratorInfo("toy", "a toy", ("synthesize",), "Apache-2.0")
        self.asked: list[tuple[int | None, int | None, tuple[Fraction, Fraction]]] = []

    def seed(self, seed: int, like: Frame) -> Any:
        return digest("seed", seed, like.width, like.height)

    def render(self, request: Any) -> Any:
        self.asked.append(
            (
                None if request.a is None else request.a.frame.pts,
                None if request.b is None else request.b.frame.pts,
                request.offsets,
            )
        )
        return super().render(request)


LIKE = moving_frames(1, 32, 16, "gbrp")[0]


def dreamt(count: int, seed: int, first: Frame | None = None) -> list[str]:
    return [digest(frame) for frame, _ in synthesize(Dreamer(), LIKE, count, seed, first)]


def test_a_seed_repeats_and_two_differ() -> None:
    assert isinstance(Dreamer(), Synthesizer)
    assert dreamt(4, 7) == dreamt(4, 7)
    assert set(dreamt(4, 7)).isdisjoint(dreamt(4, 8))
    assert dreamt(6, 7)[:4] == dreamt(4, 7)


def test_each_frame_follows_from_the_two_before_it() -> None:
    dreamer = Dreamer()
    made = list(synthesize(dreamer, LIKE, 4, 1))
    assert [(a, b) for a, b, _ in dreamer.asked] == [(None, None), (None, 0), (0, 1), (1, 2)]
    assert {offsets for *_, offsets in dreamer.asked} == {(-2, -1)}
    assert dreamer.steps == [0, 1, 1, 1]
    assert [record.references for _, record in made if record] == [(), (0,), (0, 1), (1, 2)]


def test_a_given_first_frame_leaves_as_it_came_and_decides_what_follows() -> None:
    first = moving_frames(1, 32, 16, "gbrp", seed=3)[0]
    made = dreamt(3, 7, first)
    assert made[0] == digest(first)
    assert made[1:] != dreamt(3, 7)[1:]


@pytest.fixture
def dreams(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(_request: OpenRequest | None, _task: str, _size: tuple[int, int] | None) -> Dreamer:
        return Dreamer()

    monkeypatch.setattr("vgan_plugin.hosts.synthesis.open_generator", opened)


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    status = main(["synthesize", *map(str, arguments), "--json"])
    return status, json.loads(capsys.readouterr().out)


def pictures(path: Path) -> Sequence[np.ndarray]:
    with VideoReader(path) as reader:
        return [frame.rgb() for frame in reader.frames()]


@pytest.mark.usefixtures("dreams")
@pytest.mark.parametrize("name", ["out.gif", "out.mp4", "out.mkv"])
def test_a_video_has_its_frames_size_and_rate(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / name
    status, report = run(capsys, output, "--frames", 5, "--seed", 3, "--size", "48x32", "--rate", "20")
    assert (status, report["frames_in"], report["frames_out"], len(report["made"])) == (0, 0, 5, 5)
    with VideoReader(output) as reader:
        frames = list(reader.frames())
        assert (reader.facts.width, reader.facts.height) == (48, 32)
    assert [frame.time - frames[0].time for frame in frames] == [Fraction(k, 20) for k in range(5)]


@pytest.mark.usefixtures("dreams")
def test_one_frame_is_a_picture_and_a_picture_begins_a_video(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, tmp_path / "one.png", "--frames", 1, "--seed", 3, "--size", "48x32")[0] == 0
    status, report = run(
        capsys, tmp_path / "out.mkv", "--frames", 3, "--seed", 3, "--from", tmp_path / "one.png", "--codec", "ffv1"
    )
    assert (status, report["frames_in"], len(report["made"])) == (0, 1, 2)
    first, *rest = pictures(tmp_path / "out.mkv")
    assert len(rest) == 2
    assert np.abs(first.mean((1, 2)) - pictures(tmp_path / "one.png")[0].mean((1, 2))).max() < 0.01  # through 4:2:0


@pytest.mark.usefixtures("dreams")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["out.mkv", "--frames", "0", "--seed", "1"], "1 to 1000"),
        (["out.mkv", "--frames", "1000000", "--seed", "1"], "1 to 1000"),
        (["out.mkv", "--frames", "2", "--seed", "-1"], "seeds go from 0"),
        (["out.mkv", "--frames", "2", "--seed", str(1 << 63)], "seeds go from 0"),
        (["out.png", "--frames", "2", "--seed", "1"], "one picture"),
        (["out.mkv", "--frames", "2", "--seed", "one"], "not a valid integer"),
        (["out.mkv", "--frames", "2"], "--seed"),
    ],
)
def test_numbers_out_of_range_are_refused(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, answer = run(capsys, tmp_path / arguments[0], *arguments[1:])
    assert (status, answer["error"]["code"]) == (2, "VGAN-201")
    assert words in " ".join(answer["error"].values())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("dreams")
def test_a_first_picture_of_another_size_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = write_clip(tmp_path / "in.png", moving_frames(1, format="gbrp"), "png", pix_fmt="rgb24")
    status, answer = run(capsys, tmp_path / "out.mkv", "--frames", 2, "--seed", 1, "--from", picture, "--size", "32x32")
    assert (status, answer["error"]["code"]) == (3, "VGAN-304")


def test_a_bundle_without_the_task_is_named_together_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, answer = run(capsys, tmp_path / "out.mkv", "--frames", 2, "--seed", 1, "--model", "base")
    assert (status, answer["error"]["code"]) == (5, "VGAN-507")
    assert "'synthesize'" in answer["error"]["what"]
    assert answer["error"]["do"].startswith("name one that is: ")
    assert "base" not in answer["error"]["do"]


def test_the_bundle_that_ships_dreams_as_its_seed_says_and_goes_on_from_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = []
    for name, seed in (("a.gif", 7), ("b.gif", 7), ("c.gif", 8)):
        status, report = run(capsys, tmp_path / name, "--frames", 32, "--seed", seed, "--device", "cpu")
        assert (status, len(report["made"]), report["made"][0]["method"]) == (0, 32, "recurrent")
        made.append(np.stack(pictures(tmp_path / name)))
    assert made[0].shape == (32, 3, 64, 64)
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()
    assert np.abs(made[0][0] - made[2][0]).mean() > 0.02
    first, last = made[0][0], made[0][-1]
    assert 0.001 < np.abs(np.diff(made[0], axis=0)).mean() < 0.1  # it moves, and does not flicker
    assert 0.5 < last.std() / first.std() < 2  # and neither fades nor runs away
    assert run(capsys, tmp_path / "one.png", "--frames", 1, "--seed", 7)[0] == 0
    assert np.abs(pictures(tmp_path / "one.png")[0] - first).mean() < 0.02  # a GIF has 256 colours
    write_clip(tmp_path / "start.mkv", moving_frames(1, 96, 80, seed=3))
    words = ["--frames", 3, "--seed", 7, "--from", tmp_path / "start.mkv", "--codec", "ffv1"]
    assert run(capsys, tmp_path / "from.mkv", *words)[0] == 0
    begun = pictures(tmp_path / "from.mkv")
    assert len(begun) == 3
    assert begun[0].shape == (3, 80, 96)
    assert np.abs(begun[1] - begun[0]).mean() < 0.15
    assert sum(file.stat().st_size for file in (SHIPPED / "dream").iterdir()) < 3e6
