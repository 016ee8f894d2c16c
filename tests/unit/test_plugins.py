"""The manager: a broken plugin costs itself, is named with stage and reason, and hurts nobody else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from clips import moving_frames
from strangers import install

from vgan_plugin.errors import GeneratorMissing, PluginFailed, UsageError
from vgan_plugin.gaps import GapPolicy, Plan
from vgan_plugin.hookspecs import PlanRequest, hookimpl
from vgan_plugin.plugins import OWN, PluginManager, get_plugin_manager
from vgan_plugin.timeline import Timeline
from vgan_plugin.types import Fill, FillRequest, GeneratorInfo, OpenRequest, TrainRequest

ALL = sorted(path.stem for path in (Path(__file__).parents[1] / "plugins").glob("vgan_*.py"))
REQUEST = PlanRequest(Timeline((0, 1, 2, 5), Fraction(1, 25)), (), GapPolicy())


@pytest.fixture
def discovered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., PluginManager]]:
    """Install strangers, then a manager that finds them."""

    def discover(*names: str) -> PluginManager:
        monkeypatch.syspath_prepend(install(tmp_path / "site", *names))
        manager = PluginManager()
        manager.discover()
        return manager

    yield discover
    for name in ALL:
        sys.modules.pop(name, None)


def stages(manager: PluginManager) -> dict[str, str]:
    return {problem.plugin: problem.stage for problem in manager.problems}


def fill_request(generator: str = "blend") -> FillRequest:
    frames = moving_frames(4, 16, 8)
    return FillRequest(
        tuple(frames[:2]), tuple(frames[2:]), (Fraction(3, 50),), Fraction(1, 25), open=OpenRequest(generator)
    )


def test_our_own_plugin_comes_through_the_entry_point_a_stranger_would_use() -> None:
    manager = PluginManager()
    manager.discover()
    plugin = manager.get_plugin("vgan")
    assert getattr(plugin, "__name__", "") == OWN
    assert manager.sources["vgan"].origin.startswith("vgan ")
    assert [info.name for info in manager.generators()][:3] == ["recurrent", "blend", "repeat"]


def test_a_source_tree_that_is_not_installed_registers_it_by_dotted_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vgan_plugin.plugins.distributions", list)
    manager = PluginManager()
    manager.discover()
    assert manager.sources["vgan"].origin == OWN
    assert manager.problems == []


def test_each_broken_plugin_is_dropped_at_its_stage_and_the_good_one_answers(
    discovered: Callable[..., PluginManager],
) -> None:
    manager = discovered(*ALL)
    assert stages(manager) == {
        "exits": "import",
        "no_import": "import",
        "old_api": "api",
        "thief": "register",
        "unknown_hook": "register",
        "wrong_argument": "register",
    }
    reasons = {problem.plugin: problem.reason for problem in manager.problems}
    assert "no_such_module_of_vgan" in reasons["no_import"]
    assert "vgan_make_coffee" in reasons["unknown_hook"]
    assert "frames" in reasons["wrong_argument"]
    assert "API 0" in reasons["old_api"]
    assert "nearest" in [info.name for info in manager.generators()]
    assert manager.open_generator(OpenRequest("nearest")).info.name == "nearest"
    assert manager.fill_gap(fill_request("nearest")).method == "nearest"
    for problem in manager.problems:
        assert manager.get_plugin(problem.plugin) is None
        assert "\n" not in str(problem)


def test_a_dropped_plugin_leaves_no_hook_behind(discovered: Callable[..., PluginManager]) -> None:
    manager = discovered("vgan_unknown_hook", "vgan_wrong_argument", "vgan_old_api")
    for hook in ("vgan_fill_gap", "vgan_open_generator", "vgan_generators"):
        assert {impl.plugin_name for impl in getattr(manager.hook, hook).get_hookimpls()} <= {"vgan", "guard"}


def test_the_switch_leaves_only_our_own(
    discovered: Callable[..., PluginManager], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VGAN_PLUGINS", "off")
    manager = discovered("vgan_nearest", "vgan_no_import")
    assert list(manager.sources) == ["vgan"]
    assert manager.problems == []


@pytest.mark.parametrize("broken", ["vgan_raises", "vgan_nonsense", "vgan_wraps_badly"])
def test_a_planner_that_fails_is_dropped_and_ours_plans(discovered: Callable[..., PluginManager], broken: str) -> None:
    manager = discovered(broken)
    assert isinstance(manager.plan_gaps(REQUEST), Plan)
    (problem,) = manager.problems
    assert problem.plugin == broken.removeprefix("vgan_")
    assert problem.stage == ("answer" if broken == "vgan_nonsense" else "call")


@pytest.mark.parametrize("broken", ["vgan_raises", "vgan_nonsense"])
def test_a_generator_plugin_that_fails_does_not_keep_others_from_opening(
    discovered: Callable[..., PluginManager], broken: str
) -> None:
    manager = discovered(broken, "vgan_nearest")
    assert manager.open_generator(OpenRequest("blend")).info.name == "blend"
    assert stages(manager).keys() == {broken.removeprefix("vgan_")}


def test_when_only_the_crashed_one_would_have_answered_its_crash_is_the_error(
    discovered: Callable[..., PluginManager],
) -> None:
    manager = discovered("vgan_raises")
    with pytest.raises(PluginFailed, match="a bug of the plugin"):
        manager.open_generator(OpenRequest("theirs"))
    with pytest.raises(GeneratorMissing, match="recurrent"):
        manager.open_generator(OpenRequest("theirs"))  # it was dropped: nobody is left


@pytest.mark.parametrize("broken", ["vgan_raises", "vgan_nonsense"])
def test_the_hosts_call_survives_a_crash_and_an_unfit_answer(
    discovered: Callable[..., PluginManager], broken: str
) -> None:
    manager = discovered(broken)
    fill = manager.fill_gap(fill_request())
    assert isinstance(fill, Fill)
    assert fill.method == "blend"
    assert stages(manager).keys() == {broken.removeprefix("vgan_")}


def test_a_host_that_calls_pluggy_itself_gets_a_named_error_for_a_crash(
    discovered: Callable[..., PluginManager],
) -> None:
    manager = discovered("vgan_raises")
    with pytest.raises(PluginFailed, match="ZeroDivisionError"):
        manager.hook.vgan_fill_gap(request=fill_request())


@pytest.mark.parametrize("broken", ["vgan_raises", "vgan_nonsense"])
def test_collecting_hooks_lose_only_the_answer_that_failed(
    discovered: Callable[..., PluginManager], broken: str
) -> None:
    manager = discovered("vgan_nearest", broken)
    names = [detector.__name__ for detector in manager.detectors()]
    assert "Never" in names
    assert len(names) > 1
    assert stages(manager).keys() == {broken.removeprefix("vgan_")}


def test_a_collecting_hook_that_answers_no_list_is_dropped(discovered: Callable[..., PluginManager]) -> None:
    manager = discovered("vgan_nonsense", "vgan_nearest")
    manager.unregister(name="vgan")  # whose own checks take seconds
    assert [check.name for check in manager.doctor_checks()] == ["nearest"]
    assert "TypeError" in manager.problems[0].reason


def test_an_error_raised_on_purpose_reaches_the_host_and_drops_nobody() -> None:
    class Strict:
        @hookimpl
        def vgan_open_generator(self, request: OpenRequest) -> None:
            raise UsageError("No", "because", "do")

    manager = PluginManager()
    manager.discover()
    manager.register(Strict(), "strict")
    with pytest.raises(UsageError):
        manager.open_generator(OpenRequest("theirs"))
    assert manager.has_plugin("strict")


def test_a_slow_plugin_is_waited_for_and_its_seconds_are_known(discovered: Callable[..., PluginManager]) -> None:
    manager = discovered("vgan_slow")
    assert manager.problems == []
    assert manager.sources["slow"].seconds >= 0.2


def test_two_plugins_of_one_name_the_second_is_named_and_the_first_stays() -> None:
    class One:
        @hookimpl
        def vgan_generators(self) -> list[GeneratorInfo]:
            return [GeneratorInfo("one", "", (), "MIT")]

    manager = PluginManager()
    first = One()
    manager.add("name", lambda: first)
    manager.add("name", One)
    assert manager.get_plugin("name") is first
    assert "taken" in manager.problems[0].reason


def test_a_distribution_with_unreadable_metadata_hides_no_other(
    discovered: Callable[..., PluginManager], tmp_path: Path
) -> None:
    bad = tmp_path / "site" / "bad-1.0.dist-info"
    bad.mkdir(parents=True)
    (bad / "METADATA").write_text("Name: bad\n")
    (bad / "entry_points.txt").write_bytes(b"[vgan]\n\xff\xfe = \xff\n")
    manager = discovered("vgan_nearest")
    assert "nearest" in [info.name for info in manager.generators()]
    assert "discovery" in stages(manager).values()


def test_training_and_export_go_to_the_plugin_that_takes_them(
    discovered: Callable[..., PluginManager], tmp_path: Path
) -> None:
    manager = discovered("vgan_nearest")
    assert manager.train(TrainRequest(tmp_path, tmp_path / "run", "nearest")) == tmp_path / "run"


def test_the_process_has_one_manager() -> None:
    assert get_plugin_manager() is get_plugin_manager()


def test_a_strangers_detector_that_crashes_sees_nothing_more_and_is_named(
    discovered: Callable[..., PluginManager],
) -> None:
    manager = discovered("vgan_blinks")
    mine = {"Blinks", "Counts", "Dies"}
    detectors = {kind.__name__: kind() for kind in manager.detectors() if kind.__name__ in mine}
    for detector in detectors.values():
        events = [list(detector.feed(i, frame)) for i, frame in enumerate(moving_frames(4, 16, 8))]
        assert events == [[], [], [], []]
        assert list(detector.finish()) == []
    assert detectors["Blinks"].lookahead == 1
    reasons = " ".join(problem.reason for problem in manager.problems)
    assert all(word in reasons for word in ("Blinks: IndexError: blinked", "Counts: TypeError", "Dies: OSError: no"))
