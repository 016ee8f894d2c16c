from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from datetime import timedelta
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any

import pytest

try:
    import vsview.api  # noqa: F401 - Qt wants libraries of the system: what it lacks is said
except ImportError as error:
    pytest.skip(f"vsview cannot be started: {error}", allow_module_level=True)

from clips import drop, freeze, join, moving_frames, write_clip
from PySide6.QtGui import QColor, QImage
from strangers import PLUGINS, install
from vsview.app.tools.scening.models import RangeFrame, UnifiedRange

from vgan_plugin.cli import main as vgan
from vgan_plugin.gaps import plan_from_json
from vgan_plugin.hosts.vsview_scenes import Documents, Plans
from vgan_plugin.timeline import Timeline

SESSION = Path(__file__).parents[1] / "vsview_session.py"
SCRIPT = """
import vapoursynth as vs
from vgan_plugin.hosts import vapoursynth as vgan

clip = vs.core.bs.VideoSource({path!r}, cachemode=0).std.SetFrameProps(_Matrix=1, _Transfer=1, _Primaries=1)
vgan.fill(clip, model="lite").set_output()
"""


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shots = join(moving_frames(24, 96, 64), moving_frames(20, 96, 64, seed=5, speed=(-2, 1)))
    return write_clip(tmp_path_factory.mktemp("vsview") / "broken.mkv", drop(freeze(shots, 33, 34), 10, 11))


def session(broken: Path, shot: Path, **environment: str) -> dict[str, Any]:
    script = broken.with_suffix(".vpy")
    script.write_text(SCRIPT.format(path=str(broken)))
    home = {"HOME": str(broken.parent), "XDG_CONFIG_HOME": str(broken.parent), "QT_QPA_PLATFORM": "offscreen"}
    command = [sys.executable, str(SESSION), str(script), str(shot), "33"]
    there = {**os.environ, **home, **environment}
    done = subprocess.run(command, env=there, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert told["loaded"] == 0, done.stderr
    return {**told, "stderr": done.stderr, "image": QImage(str(shot))}


@pytest.fixture(scope="module")
def seen(broken: Path) -> dict[str, Any]:
    """What a user sees who opens a script in vsview."""
    return session(broken, broken.with_suffix(".png"))


def test_the_panel_is_found_and_nobodys_video_processor_is_replaced(seen: dict[str, Any]) -> None:
    assert "vgan" in seen["plugins"]
    assert seen["processor"] == "None"
    assert "Traceback" not in seen["stderr"]


def test_made_frames_are_listed_with_their_confidence_and_stand_on_the_timeline(seen: dict[str, Any]) -> None:
    assert list(seen["made"]) == ["10", "11", "33", "34"]
    assert [row[0] for row in seen["rows"]] == ["10", "11", "33", "34"]
    for row, (sure, method) in zip(seen["rows"], seen["made"].values(), strict=True):
        assert row[1:] == [f"00:00:0{int(row[0]) // 25}.{int(row[0]) % 25 * 40:03d}", f"{sure:.2f}", method]
        assert method == "recurrent"
    assert sorted(seen["notches"]) == [10, 11, 33, 34]
    assert seen["marked"] == "33"


def test_the_next_doubtful_frame_is_the_next_one_below_the_threshold(seen: dict[str, Any]) -> None:
    doubtful = [int(n) for n, (sure, _) in seen["made"].items() if sure < 0.6]
    assert doubtful
    assert seen["doubtful"] == doubtful


def test_source_made_and_difference_are_shown(seen: dict[str, Any]) -> None:
    assert seen["pictures"] == [True, True, True]
    image = seen["image"]
    assert (image.width(), image.height()) == (1280, 800)
    colours = {image.pixelColor(x, y).rgb() for x in range(950, 1120, 7) for y in range(60, 430, 7)}
    assert len(colours) > 50  # pictures, not placeholders


def test_a_rectangle_becomes_a_mask_and_a_reload_forgets_what_was_found(seen: dict[str, Any]) -> None:
    assert seen["mask"] == "vgan.inpaint(clip, vgan.box(clip, 8, 4, 32, 16))"
    assert seen["after reload"] == 0


def test_properties_stand_in_a_category_of_their_own_and_read_well(seen: dict[str, Any]) -> None:
    assert seen["category"] == "vgan"
    assert seen["confidence"] == "43.2%"
    assert (seen["parsers"], seen["serializers"]) == (["vgan report or plan"], ["vgan plan"])


def test_the_panel_shows_the_same_whatever_broken_plugins_are_installed(seen: dict[str, Any], broken: Path) -> None:
    names = [path.stem for path in sorted(PLUGINS.glob("vgan_*.py")) if path.read_text("utf-8").startswith('"""Broken')]
    site = install(broken.parent / "site", *names)
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    among = session(broken, broken.with_name("among.png"), PYTHONPATH=path)
    assert "dropped at" in among["stderr"]  # they were there
    for what in ("plugins", "made", "rows", "notches", "doubtful", "pictures", "mask", "category", "parsers"):
        assert among[what] == seen[what], what


# Scenes


def parsed(document: Any) -> dict[str, Any]:
    parser, colours = Documents(), count()
    parser.get_color = lambda: QColor.fromHsv(next(colours) * 40 % 360, 200, 200)
    rows = parser.parse(io.BytesIO(json.dumps(document).encode()), "doc", Fraction(25))
    return {row.name.removeprefix("doc: "): [(r.start, r.end, r.label) for r in row.ranges] for row in rows}


def test_a_report_becomes_scenes_of_made_frames_and_of_what_was_seen(broken: Path, tmp_path: Path) -> None:
    report = tmp_path / "r.json"
    vgan(["fill", str(broken), "null:", "--generator", "blend", "--report", str(report), "-q"])
    scenes = parsed(json.loads(report.read_text()))
    made = [(n, n, f"{why}, confidence 0.00") for n, why in ((10, "missing"), (11, "missing"))]
    assert scenes["made by blend"] == [*made, (33, 33, "frozen, confidence 0.00"), (34, 34, "frozen, confidence 0.00")]
    (start, end, label) = scenes["missing"][0]
    assert (start, end) == (timedelta(milliseconds=400), timedelta(milliseconds=440))
    assert "without a frame" in label


def test_a_plan_becomes_scenes_of_frames_to_make(broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vgan(["scan", str(broken), "--json"])
    scenes = parsed(json.loads(capsys.readouterr().out))
    assert scenes["made by generator"] == [
        (10, 10, "missing"),
        (11, 11, "missing"),
        (33, 33, "frozen"),
        (34, 34, "frozen"),
    ]


@pytest.mark.parametrize("document", [[], {}, {"format": 2, "events": []}, {"format": 1, "events": [{"kind": "cut"}]}])
def test_other_documents_are_refused_in_words(document: Any) -> None:
    with pytest.raises(ValueError, match="doc is n"):
        parsed(document)


def test_scenes_become_a_plan_that_makes_their_frames() -> None:
    scenes = [
        UnifiedRange(RangeFrame(start=4, end=5, label="bad"), None, None),
        UnifiedRange(RangeFrame(start=8), None, None),
    ]
    out = io.BytesIO()
    Plans().serialize(out, iter(scenes))
    plan = plan_from_json(json.loads(out.getvalue()), Timeline(tuple(range(20)), Fraction(1, 25)))
    assert [target.replaces for target in plan.targets] == [4, 5, 8]
    assert [event.reason for event in plan.events] == ["bad", "marked in vsview"]
