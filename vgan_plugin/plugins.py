"""The plugin manager: finds plugins, keeps a broken one from hurting anybody, and gives each hook a typed door.

A plugin that fails (at import, when it registers, in a call, by a wrong answer) is dropped, recorded as a `Problem`
that `vgan doctor` prints, and the call goes on with the others. A `VganError` raised on purpose passes through.
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, distributions
from pathlib import Path
from typing import Any, Literal, TypeVar

import pluggy

from vgan_plugin.detect import Detector
from vgan_plugin.errors import GeneratorMissing, PluginFailed, VganError
from vgan_plugin.gaps import Event, Plan
from vgan_plugin.hookspecs import Hooks, PlanRequest, hookimpl
from vgan_plugin.types import (
    API,
    Check,
    ExportRequest,
    Fill,
    FillRequest,
    Frame,
    FrameGenerator,
    GeneratorInfo,
    OpenRequest,
    TrainRequest,
)

GROUP = "vgan"
"""The entry-point group, and pluggy's project name."""
OWN = "vgan_plugin.builtin"
"""Our own plugin: a module behind the same entry point as anybody's."""
OWN_NAME = "vgan"
SWITCH = "VGAN_PLUGINS"
"""Environment variable: ``off`` loads only our own plugin."""

_LONGEST = 300
"""Characters of a reason."""

Stage = Literal["discovery", "import", "register", "api", "call", "answer"]
T = TypeVar("T")
Crash = (Exception, SystemExit)  # a plugin that calls sys.exit() is broken too


@dataclass(frozen=True)
class Problem:
    """A plugin that was dropped: at which stage, and why."""

    plugin: str
    stage: Stage
    reason: str

    def __str__(self) -> str:
        return f"plugin {self.plugin!r} dropped at {self.stage}: {self.reason}"


@dataclass(frozen=True)
class Source:
    """Where a plugin came from, and how long its import and registration took, in seconds."""

    origin: str
    seconds: float


class Guard:
    """Outermost wrapper of the host's call, for hosts that call `pm.hook` directly: a crash arrives as PluginFailed."""

    @hookimpl(wrapper=True, tryfirst=True)
    def vgan_fill_gap(self, request: FillRequest) -> Generator[None, Fill | None, Fill | None]:  # noqa: ARG002 the spec
        """Let answers and VganErrors through, turn anything else into PluginFailed."""
        try:
            return (yield)
        except VganError:
            raise
        except Crash as error:
            raise _failed("vgan_fill_gap", error) from error


class PluginManager(pluggy.PluginManager):
    """pluggy's manager with isolation.

    Attributes:
        problems: plugins that were dropped, in order.
        sources: where each registered plugin came from, by name.
    """

    def __init__(self) -> None:
        super().__init__(GROUP)
        self.add_hookspecs(Hooks)
        self.problems: list[Problem] = []
        self.sources: dict[str, Source] = {}
        self.register(Guard(), "guard")

    # Finding plugins

    def discover(self) -> None:
        """Load our own plugin, then those of entry-point group ``vgan`` one by one, sorted by name."""
        found = self._entry_points()
        own = [entry for entry in found if entry.value == OWN]
        if own:
            self.add(own[0].name, own[0].load, _origin(own[0]))
        else:  # a source tree on the path, not installed
            self.add(OWN_NAME, lambda: import_module(OWN), OWN)
        if os.environ.get(SWITCH, "").lower() != "off":
            for entry in found:
                if entry.value != OWN:
                    self.add(entry.name, entry.load, _origin(entry))
        self.generators()  # a plugin written for another API is found out here, before it is called for anything else

    def _entry_points(self) -> list[EntryPoint]:
        found: dict[tuple[str, str], EntryPoint] = {}
        for distribution in distributions():  # one by one: a distribution with bad metadata hides no other
            try:
                entries = list(distribution.entry_points.select(group=GROUP))
            except Exception as error:  # noqa: BLE001 isolation: recorded
                self.problems.append(Problem(str(distribution), "discovery", _short(error)))
                continue
            for entry in entries:
                found.setdefault((entry.name, entry.value), entry)
        return [found[key] for key in sorted(found)]

    def add(self, name: str, load: Callable[[], object], origin: str = "") -> None:
        """Load and register one plugin; a failure is recorded, never raised."""
        if self.has_plugin(name):
            self.problems.append(Problem(origin or name, "register", f"the name {name!r} is taken"))
            return
        start, stage = time.perf_counter(), "import"
        try:
            plugin = load()
            stage = "register"
            self.register(plugin, name)
            self.check_pending()  # a hook this version does not know
            self.sources[name] = Source(origin or name, time.perf_counter() - start)
        except Crash as error:
            self._drop(name, "import" if stage == "import" else "register", _short(error))

    def _drop(self, name: str, stage: Stage, reason: str) -> None:
        problem = Problem(name, stage, reason)
        if problem not in self.problems:
            self.problems.append(problem)
        if self._is_ours(name):  # without it nothing is left that could answer; what failed is told all the same
            return
        self.sources.pop(name, None)
        if self.get_plugin(name) is not None:  # pluggy before 1.7 leaves a half-registered plugin behind
            self.unregister(name=name)

    # Typed doors: hooks that collect

    def generators(self) -> list[GeneratorInfo]:
        """What exists. Descriptions for another API drop their plugin; of two with one name the first stays."""
        infos: dict[str, GeneratorInfo] = {}
        for plugin, found in self._collect("vgan_generators", GeneratorInfo):
            other = next((info for info in found if info.api != API), None)
            if other is not None:
                self._drop(plugin, "api", f"{other.name!r} was written for API {other.api}, this is API {API}")
                continue
            for info in found:
                if info.name in infos:
                    self._drop(plugin, "register", f"a generator named {info.name!r} exists already")
                    break
                infos[info.name] = info
        return list(infos.values())

    def bundle_folders(self) -> list[Path]:
        """Folders in which plugins say that bundles lie."""
        return [folder for info in self.generators() for folder in info.bundles]

    def detectors(self) -> list[type[Detector]]:
        """Classes that see faults, ours first. A stranger's is wrapped: one that crashes sees nothing more."""
        return [
            detector if self._is_ours(name) else self._guarded(name, detector)
            for name, found in self._collect("vgan_detectors", type)
            for detector in found
        ]

    def _guarded(self, plugin: str, detector: type[Detector]) -> type[Detector]:
        manager = self

        class Guarded:
            def __init__(self) -> None:
                self._inner: Detector | None = None
                self._ask(self._start)
                self.lookahead = int(getattr(self._inner, "lookahead", 0))

            def _start(self) -> Iterable[Event]:
                self._inner = detector()
                return ()

            def _ask(self, call: Callable[[], Iterable[Event]]) -> list[Event]:
                try:
                    events = list(call())
                    wrong = next((event for event in events if not isinstance(event, Event)), None)
                    if wrong is not None:
                        raise TypeError(f"it gave a {type(wrong).__name__}, not an Event")
                except Crash as error:
                    self._inner = None
                    manager._drop(plugin, "call", f"{detector.__name__}: {_short(error)}")
                    return []
                return events

            def feed(self, index: int, frame: Frame) -> list[Event]:
                inner = self._inner
                return [] if inner is None else self._ask(lambda: inner.feed(index, frame))

            def finish(self) -> list[Event]:
                inner = self._inner
                return [] if inner is None else self._ask(inner.finish)

        Guarded.__name__, Guarded.__doc__ = detector.__name__, detector.__doc__
        return Guarded

    def doctor_checks(self) -> list[Check]:
        """Findings of all plugins' own checks."""
        return [check for _, found in self._collect("vgan_doctor_checks", Check) for check in found]

    def _collect(self, hook: str, kind: type[T]) -> list[tuple[str, list[T]]]:
        """Ask each implementation alone, so that one failure costs one answer."""
        answers: list[tuple[str, list[T]]] = []
        for name in dict.fromkeys(impl.plugin_name for impl in getattr(self.hook, hook).get_hookimpls()):
            try:
                answer = [item for items in self._alone(hook, name)() for item in items]
            except VganError:
                raise
            except Crash as error:
                self._drop(name, "call", f"{hook}: {_short(error)}")
                continue
            wrong = next((item for item in answer if not isinstance(item, kind)), None)
            if wrong is not None:
                self._drop(name, "answer", f"{hook} gave a {type(wrong).__name__}, not a {kind.__name__}")
            else:
                answers.append((name, answer))
        return answers

    def _alone(self, hook: str, name: str) -> pluggy.HookCaller:
        return self.subset_hook_caller(hook, [p for n, p in self.list_name_plugin() if n != name and p is not None])

    # Typed doors: hooks that one plugin answers

    def open_generator(self, request: OpenRequest) -> FrameGenerator:
        """Open the generator asked for.

        Raises:
            GeneratorMissing: nobody answers to the name.
            PluginFailed: the plugin that does crashed.
            VganError: whatever the plugin raised on purpose (model, device).
        """
        answer: FrameGenerator | None = self._first(
            "vgan_open_generator", request, lambda got: isinstance(got, FrameGenerator)
        )
        if answer is None:
            names = ", ".join(info.name for info in self.generators())
            raise GeneratorMissing(
                f"There is no generator for {request.generator or request.model!r}",
                f"the plugins offer: {names or 'none'}",
                "choose one of them with --generator, or see `vgan doctor` for plugins that were dropped",
            )
        return answer

    def fill_gap(self, request: FillRequest) -> Fill:
        """Make the frames of one gap.

        Raises:
            GeneratorMissing: nobody answers.
            PluginFailed: whoever would have answered crashed.
            VganError: whatever the plugin raised on purpose.
        """
        answer: Fill | None = self._first(
            "vgan_fill_gap", request, lambda got: isinstance(got, Fill) and len(got.frames) == len(request.times)
        )
        if answer is None:
            raise GeneratorMissing("Nobody fills this gap", "every plugin passed", "see `vgan doctor`")
        return answer

    def plan_gaps(self, request: PlanRequest) -> Plan:
        """Events + policy -> plan."""
        answer: Plan | None = self._first("vgan_plan_gaps", request, lambda got: isinstance(got, Plan))
        if answer is None:
            raise PluginFailed("Nobody plans", "our own planner is not registered", "see `vgan doctor`")
        return answer

    def train(self, request: TrainRequest) -> Path:
        """Clips + preset -> run folder."""
        return self._path("vgan_train", request, "trains from", request.data)

    def export(self, request: ExportRequest) -> Path:
        """Run folder -> bundle folder."""
        return self._path("vgan_export", request, "exports", request.run)

    def _path(self, hook: str, request: object, does: str, what: Path) -> Path:
        answer: Path | None = self._first(hook, request, lambda got: isinstance(got, Path))
        if answer is None:
            raise PluginFailed(f"Nobody {does} {what}", "every plugin passed", "see `vgan doctor`")
        return answer

    def _first(self, hook: str, request: object, fits: Callable[[Any], bool]) -> Any:
        """The first answer. A stranger that crashes or answers nonsense is dropped, and the rest are asked again."""
        failed: PluginFailed | None = None
        while True:
            try:
                answer = getattr(self.hook, hook)(request=request)
            except PluginFailed as error:
                crash = error.__cause__
                if crash is None or not self._blame(hook, crash):
                    raise
                failed = error
            except VganError:
                raise
            except Crash as error:
                failed = _failed(hook, error)
                if not self._blame(hook, error):
                    raise failed from error
            else:
                if answer is not None and not fits(answer):
                    failed = _failed(hook, TypeError(f"unfit answer of type {type(answer).__name__}"))
                    if not self._blame_answer(hook, request, fits):
                        raise failed
                elif answer is None and failed is not None:
                    raise failed
                else:
                    return answer

    def _blame(self, hook: str, error: BaseException) -> bool:
        """Drop the stranger in whose implementation the error arose; False when it was nobody's."""
        codes = {
            impl.function.__code__: impl.plugin_name
            for impl in getattr(self.hook, hook).get_hookimpls()
            if hasattr(impl.function, "__code__")
        }
        culprit = None
        for frame, _ in traceback.walk_tb(error.__traceback__):
            culprit = codes.get(frame.f_code, culprit)  # the innermost one; wrappers lie further out
        if culprit is None or self._is_ours(culprit):
            return False
        self._drop(culprit, "call", f"{hook}: {_short(error)}")
        return True

    def _blame_answer(self, hook: str, request: object, fits: Callable[[Any], bool]) -> bool:
        """Ask each stranger alone once more and drop those whose answer does not fit; False when there is none."""
        dropped = False
        for name in {impl.plugin_name for impl in getattr(self.hook, hook).get_hookimpls()}:
            if self._is_ours(name):
                continue
            try:
                answer = self._alone(hook, name)(request=request)
            except Crash as error:
                self._drop(name, "call", f"{hook}: {_short(error)}")
                dropped = True
                continue
            if answer is not None and not fits(answer):
                self._drop(name, "answer", f"{hook} gave an unfit {type(answer).__name__}")
                dropped = True
        return dropped

    def _is_ours(self, name: str) -> bool:
        plugin = self.get_plugin(name)
        return isinstance(plugin, Guard) or getattr(plugin, "__name__", "") == OWN


@lru_cache(maxsize=1)
def get_plugin_manager() -> PluginManager:
    """The process's manager, filled at the first call (an entry-point scan costs about 0.1 s)."""
    manager = PluginManager()
    manager.discover()
    return manager


def _failed(hook: str, error: BaseException) -> PluginFailed:
    return PluginFailed(
        f"A plugin crashed in {hook}", _short(error), "see `vgan doctor`; VGAN_PLUGINS=off leaves it out"
    )


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split())  # pluggy's messages run over several lines
    return f"{type(error).__name__}: {text[:_LONGEST]}" if text else type(error).__name__


def _origin(entry: EntryPoint) -> str:
    dist = entry.dist
    return f"{dist.name} {dist.version} ({entry.value})" if dist is not None else entry.value
