"""The report to look at: it holds the report's facts, loads nothing, and a browser shows it, also at 10,000 events."""

from __future__ import annotations

import base64
import json
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import browser
import clips
import pytest
from toy import Toy

from vgan_plugin import Frame, OpenRequest, get_plugin_manager, hookimpl
from vgan_plugin.cli import main
from vgan_plugin.fill import Record
from vgan_plugin.gaps import Event, Unrepaired
from vgan_plugin.hosts import page as module
from vgan_plugin.hosts.page import page
from vgan_plugin.hosts.report import Report

BLEND = ("--generator", "blend")
TICK = Fraction(1, 25)


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def facts_of(path: Path) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text("utf-8"), re.DOTALL)
    assert found
    return dict(json.loads(found[1]))


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    frames = clips.freeze(clips.moving_frames(40), 20, 21)
    return clips.write_clip(tmp_path / "broken.mkv", clips.drop(frames, 5, 11, 12, *range(26, 34)), audio=True)


def test_the_page_holds_the_facts_of_the_json_report(
    broken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.mkv"
    assert run("fill", broken, out, *BLEND, "--max-gap", 4, "--report", tmp_path / "r.html", "--json") == 1
    said = json.loads(capsys.readouterr().out)
    shown = facts_of(tmp_path / "r.html")
    assert shown["made"]["time"] == [made["time"] for made in said["made"]]
    assert shown["made"]["why"] == ["missing"] * 3 + ["frozen"] * 2
    assert shown["made"]["method"] == ["blend"] * 5
    assert shown["made"]["index"] == [made["index"] for made in said["made"]]
    assert shown["events"]["kind"] == [event["kind"] for event in said["events"]]
    outcome = zip(shown["events"]["kind"], shown["events"]["made"], shown["events"]["left"], strict=True)
    left = said["unrepaired"][0]["unrepaired"]
    assert [(made, why) for kind, made, why in outcome if kind != "cut"] == [(1, ""), (2, ""), (2, ""), (0, left)]
    assert (shown["frames_in"], shown["frames_out"]) == (said["frames_in"], said["frames_out"])
    assert [strip["made"] for strip in shown["strips"]] == [0, 1, 2, 3, 4]
    assert any("audio" in stream for stream in shown["streams"])
    assert all(base64.b64decode(data)[:2] == b"\xff\xd8" for data in shown["pictures"])
    assert len(shown["pictures"]) == 5 + 6  # those made, and three pairs around them: neighbours are not held twice


def test_a_clip_with_nothing_wrong_says_that_it_was_copied(tmp_path: Path) -> None:
    source = clips.write_clip(tmp_path / "fine.mkv", clips.moving_frames(8))
    assert run("fill", source, tmp_path / "out.mkv", "--report", tmp_path / "r.html") == 0
    shown = facts_of(tmp_path / "r.html")
    assert (shown["copied"], shown["strips"], shown["made"]["time"]) == (True, [], [])


def test_interpolation_has_a_page_too(tmp_path: Path) -> None:
    source = clips.write_clip(tmp_path / "slow.mkv", clips.moving_frames(6))
    report = tmp_path / "r.html"
    assert run("interpolate", source, tmp_path / "out.mkv", "--factor", 3, *BLEND, "--report", report) == 0
    assert [strip["made"] for strip in facts_of(report)["strips"]] == list(range(10))


def test_inpainting_shows_each_frame_beside_what_was_there(tmp_path: Path) -> None:
    source = clips.write_clip(tmp_path / "logo.mkv", clips.moving_frames(8))
    options = ("--box", "20,16,16,12", "--to", "0.16", "--model", "lite", "--report", tmp_path / "r.html")
    run("inpaint", source, tmp_path / "out.mkv", *options)
    shown = facts_of(tmp_path / "r.html")
    assert [(strip["made"], {"before", "was", "after"} & set(strip)) for strip in shown["strips"]] == [
        (number, {"was"}) for number in range(4)
    ]
    assert len(shown["pictures"]) == 8


def test_what_is_predicted_is_shown_after_the_last_frame_there_is(tmp_path: Path) -> None:
    source = clips.write_clip(tmp_path / "short.mkv", clips.moving_frames(8))
    report = tmp_path / "r.html"
    run("extend", source, tmp_path / "out.mkv", "--frames", 2, "--generator", "repeat", "--report", report)
    strips = facts_of(report)["strips"]
    assert [(strip["made"], {"before", "was", "after"} & set(strip)) for strip in strips] == [
        (0, {"before"}),
        (1, {"before"}),
    ]
    assert strips[0]["before"] == strips[1]["before"]


def test_what_is_synthesised_stands_alone(tmp_path: Path) -> None:
    class Dreamer(Toy):
        def __init__(self) -> None:
            super().__init__()
            self.info = replace(self.info, tasks=("synthesize",))

        def seed(self, seed: int, like: Frame) -> int:
            return seed

    class Plugin:
        @hookimpl
        def vgan_open_generator(self, request: OpenRequest) -> Dreamer:
            return Dreamer()

    manager, plugin = get_plugin_manager(), Plugin()
    manager.register(plugin)
    try:
        run("synthesize", tmp_path / "out.mkv", "--frames", 3, "--seed", 1, "--report", tmp_path / "r.html")
    finally:
        manager.unregister(plugin)
    strips = facts_of(tmp_path / "r.html")["strips"]
    assert [strip["made"] for strip in strips] == [0, 1, 2]
    assert not any({"before", "was", "after"} & set(strip) for strip in strips)


def test_the_page_appears_whole_or_not_at_all_and_replaces_nothing_unasked(broken: Path, tmp_path: Path) -> None:
    report = tmp_path / "r.html"
    assert run("fill", broken, tmp_path / "no" / "out.mkv", "--report", report) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["broken.mkv"]
    report.write_text("mine")
    assert run("fill", broken, tmp_path / "out.mkv", *BLEND, "--report", report) == 4
    assert report.read_text() == "mine"


def test_no_name_of_a_file_can_end_the_data() -> None:
    report = many(3)
    report.input = Path("</script><!--<script>.mkv")
    text = page(report)
    assert text.count("<script") == 2
    assert text.count("</script>") == 2
    assert "<!--" not in text


def test_the_page_names_no_other_place() -> None:
    text = page(many(3))
    assert not re.search(r"https?:|@import|url\(|src=|href=", text)
    assert "default-src 'none'" in text


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb, WCAG 2.2."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_and_marks_stand_out_from_the_ground(scheme: int) -> None:
    style = Path(module.__file__).with_name("style.css").read_text("utf-8")
    block = re.findall(r":root \{(.*?)\}", style, re.DOTALL)[scheme]
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))

    def contrast(a: str, b: str) -> float:
        low, high = sorted((luminance(colours[a]), luminance(colours[b])))
        return (high + 0.05) / (low + 0.05)

    for ground in ("ground", "raised", "cell"):
        for text in ("ink", "quiet", "doubt"):
            assert contrast(text, ground) >= 4.5, (text, ground)
        for mark in ("missing", "duplicate", "frozen", "corrupt", "blank", "cut", "left", "sure", "focus"):
            assert contrast(mark, ground) >= 3, (mark, ground)


# What a browser makes of it


def many(count: int) -> Report:
    """A two-hour tape with so many events, most of them repaired; without pictures."""
    rng = random.Random(0)
    kinds: tuple[Any, ...] = ("missing", "duplicate", "frozen", "blank", "cut")
    events, made, left = [], [], []
    pts = 10
    for _ in range(count):
        pts += rng.randint(4, 30)
        kind = rng.choice(kinds)
        frames = 0 if kind == "cut" else rng.choice((1, 2, 3, 40))
        event = Event(kind, pts, pts, pts, pts + max(frames - 1, 0), pts * TICK, frames, 0.9, "seen")
        events.append(event)
        if frames > 24:
            left.append(Unrepaired(event, "longer than max_gap 24"))
        else:
            offsets = (Fraction(-1), Fraction(1))
            made += [
                Record(pts + k, pts + k, TICK, "blend", (pts - 1, pts + frames), offsets, rng.random(), kind)
                for k in range(frames)
            ]
        pts += frames
    end = (pts + 10) * TICK
    tape = Path("tape.mkv")
    return Report(tape, tape, pts, TICK, TICK, events, left, frames_out=pts, made=made, span=(Fraction(0), end))


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Browser]:
    if browser.find() is None:
        pytest.skip(f"no Chromium on PATH (any of {', '.join(browser.NAMES)})")
    with browser.Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def tab(chromium: browser.Browser) -> browser.Browser:
    chromium.errors.clear()
    chromium.requests.clear()
    return chromium


def test_a_browser_shows_it_without_an_error_and_asks_nobody_for_anything(
    tab: browser.Browser, broken: Path, tmp_path: Path
) -> None:
    run("fill", broken, tmp_path / "out.mkv", *BLEND, "--max-gap", 4, "--report", tmp_path / "r.html")
    tab.open(tmp_path / "r.html")
    assert tab.run("document.getElementById('verdict').textContent") == "5 frames made in 3 places, 1 gap left as found"
    assert "longer than max_gap" in tab.run("document.getElementById('summary').textContent")
    assert "audio" in tab.run("document.getElementById('facts').textContent")
    assert tab.run("document.querySelectorAll('#strips > li').length") == 5
    pictures = "Promise.all([...document.images].map(i => i.decode())).then(() => document.images.length)"
    assert tab.run(pictures) == 5 * 5  # before, made, after, and two for the difference
    assert tab.errors == []
    assert {request.partition(":")[0] for request in tab.requests} == {"file", "data"}


def test_keys_lead_to_the_next_doubtful_frame_and_it_is_said(
    tab: browser.Browser, broken: Path, tmp_path: Path
) -> None:
    run("fill", broken, tmp_path / "out.mkv", *BLEND, "--max-gap", 4, "--report", tmp_path / "r.html")
    page_file = tmp_path / "r.html"
    sure = facts_of(page_file)
    sure["made"]["sure"] = [0.9, 0.1, 0.8, 0.2, 0.95]
    text = page_file.read_text("utf-8")
    old = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)
    assert old
    page_file.write_text(text.replace(old[1], json.dumps(sure)))
    tab.open(page_file)
    tab.run("document.getElementById('doubt').value = 0.5")
    tab.run("document.getElementById('doubt').dispatchEvent(new Event('input'))")
    here = "[...document.querySelectorAll('#strips > li')].findIndex(li => li.classList.contains('here'))"
    visited = []
    for key in ("n", "n", "n", "p", "ArrowRight", "ArrowLeft"):
        tab.press(key)
        visited.append(tab.run(here))
    assert visited == [1, 3, 1, 3, 4, 3]
    assert "confidence 0.200" in tab.run("document.getElementById('said').textContent")
    assert tab.run("document.activeElement.matches('#strips > li.here')")
    assert tab.errors == []


def test_ten_thousand_events_are_a_table_of_a_few_rows_and_a_timeline(tab: browser.Browser, tmp_path: Path) -> None:
    report = many(10_000)
    (tmp_path / "r.html").write_text(page(report), "utf-8")
    tab.open(tmp_path / "r.html")
    count = "document.querySelectorAll('#rows .row').length"
    assert 5 < tab.run(count) < 40
    tab.run("document.getElementById('scroll').scrollTop = 1e9")
    tab.drawn()
    assert tab.run("document.querySelector('#rows .row:last-child').getAttribute('aria-rowindex')") == "10001"
    assert 5 < tab.run(count) < 40
    tab.run("[...document.getElementById('filters').children].at(-1).click()")
    assert tab.run("document.getElementById('table').getAttribute('aria-rowcount')") == str(len(report.unrepaired) + 1)
    assert "not repaired: longer" in tab.run("document.querySelector('#rows .row').textContent")
    assert f"{len(report.made):,} frames made" in tab.run("document.getElementById('verdict').textContent")
    assert tab.errors == []


def test_the_timeline_draws_where_something_is_and_a_drag_looks_closer(tab: browser.Browser, tmp_path: Path) -> None:
    report = many(2)
    report.span = (Fraction(0), Fraction(100))
    (tmp_path / "r.html").write_text(page(report), "utf-8")
    tab.open(tmp_path / "r.html")
    inked = """(() => { const c = document.getElementById('chart');
        const lane = c.getContext('2d').getImageData(0, 12, c.width, 1).data, ground = lane.slice(-4).join();
        const x = []; for (let i = 0; i < c.width; i++) if (lane.slice(4 * i, 4 * i + 4).join() !== ground) x.push(i);
        return [x[0], x.at(-1), c.width]; })()"""
    first, last, width = tab.run(inked)
    assert 0 < first <= last < 0.1 * width  # the event lies in the first seconds of a hundred
    box = tab.run("(r => [r.left, r.top])(document.getElementById('chart').getBoundingClientRect())")
    tab.drag((box[0] + 1, box[1] + 10), (box[0] + width / 10, box[1] + 10))
    closer, _, _ = tab.run(inked)
    assert closer > 5 * first
    tab.press("0")
    assert tab.run(inked)[0] == first


def test_it_is_dark_where_the_reader_likes_it_dark(tab: browser.Browser, tmp_path: Path) -> None:
    (tmp_path / "r.html").write_text(page(many(5)), "utf-8")
    grounds = []
    for scheme in ("light", "dark"):
        tab.scheme(scheme)
        tab.open(tmp_path / "r.html")
        rgb = re.findall(r"\d+", tab.run("getComputedStyle(document.body).backgroundColor"))
        grounds.append(sum(map(int, rgb[:3])))
    assert grounds[0] > 700
    assert grounds[1] < 100


def test_reasons_that_differ_only_in_their_numbers_are_one_line(tab: browser.Browser, tmp_path: Path) -> None:
    report = many(300)
    report.unrepaired = [
        replace(lost, why=f"the gap of {number} frames is longer than max_gap = 24" if number % 2 else "at a cut")
        for number, lost in enumerate(report.unrepaired)
    ]
    (tmp_path / "r.html").write_text(page(report), "utf-8")
    tab.open(tmp_path / "r.html")
    lines = tab.run("[...document.querySelectorAll('#summary li')].map(li => li.textContent)")
    odd, even = len(report.unrepaired) // 2, -(-len(report.unrepaired) // 2)
    assert f"{odd} gaps not repaired: the gap of … frames is longer than max_gap = …" in lines
    assert f"{even} gaps not repaired: at a cut" in lines
    assert len(lines) == 4


def test_whoever_cannot_see_it_hears_what_everything_is(tab: browser.Browser, broken: Path, tmp_path: Path) -> None:
    run("fill", broken, tmp_path / "out.mkv", *BLEND, "--max-gap", 4, "--report", tmp_path / "r.html")
    tab.open(tmp_path / "r.html")
    nodes = tab.call("Accessibility.getFullAXTree")["nodes"]
    named: dict[str, list[str]] = {}
    for node in nodes:
        if not node.get("ignored"):
            named.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", ""))
    for role in ("button", "slider", "image", "table", "heading", "group"):
        assert named[role], role
        assert all(named[role]), (role, named[role])
    assert any("Timeline from 0:00:00" in name and "5 made frames" in name for name in named["image"])
    assert {"before", "made", "after"} <= set(named["image"])
    assert len(named["columnheader"]) == 6
    assert len(named["row"]) == 1 + len(facts_of(tmp_path / "r.html")["events"]["kind"])


def test_every_control_is_reached_with_the_tab_key(tab: browser.Browser, broken: Path, tmp_path: Path) -> None:
    run("fill", broken, tmp_path / "out.mkv", *BLEND, "--max-gap", 4, "--report", tmp_path / "r.html")
    tab.open(tmp_path / "r.html")
    reached = []
    for _ in range(30):
        tab.press("Tab")
        reached.append(tab.run("document.activeElement.id || document.activeElement.textContent"))
    assert {"closer", "wider", "whole", "chart", "doubt", "previous", "next", "not repaired"} <= set(reached)
    assert any(name.startswith("0:00:0") for name in reached)  # the times in the table
