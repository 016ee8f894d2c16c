"""The conformance suite: our own generators and detectors pass it, and each kind of bad one fails it in clear words."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from vgan_plugin import Colour, Event, Frame, FrameGenerator, GeneratorInfo, Made, OpenRequest, RenderRequest, hookimpl
from vgan_plugin.detect import BUILTIN, Detector
from vgan_plugin.pixels.planes import composite
from vgan_plugin.plugins import get_plugin_manager
from vgan_plugin.runtime.simple import BLEND, Simple
from vgan_plugin.testing import DetectorConformance, GeneratorConformance, NotConforming, moving

INFO = GeneratorInfo("good", "a good one", ("fill", "inpaint"), "MIT")


class TestAbreast(GeneratorConformance):
    def open(self) -> FrameGenerator:
        return get_plugin_manager().open_generator(OpenRequest(model="lite", device="cpu", threads=3, lanes=3))


class TestBlend(GeneratorConformance):
    generator = "blend"


class TestRepeat(GeneratorConformance):
    generator = "repeat"


class TestRecurrent(GeneratorConformance):
    generator = "recurrent"

    def open(self) -> FrameGenerator:
        return get_plugin_manager().open_generator(OpenRequest(generator="recurrent", model="lite"))


class Good(Simple):
    """A blend that remembers: what it saw, in order, shifts every sample, so that all that goes in shows."""

    block, lead = 4, 2

    def __init__(self) -> None:
        super().__init__(BLEND)
        self.info = INFO

    def encode(self, frame: Frame, valid: Any = None) -> Any:
        return int(frame.planes[0].sum(dtype=np.int64))

    def remember(self, features: Any, previous: Any, dt: Fraction, state: Any) -> Any:
        return (state or 0) * 3 + features

    def render(self, request: RenderRequest) -> Made:
        made = super().render(replace(request, known=None, mask=None))
        return self.finished(made.frame, (request.state or 0) + (request.seed or 0), request)

    def finished(self, frame: Frame, shift: int, request: RenderRequest) -> Made:
        frame = replace(frame, planes=tuple(plane // 2 + plane.dtype.type(shift % 5) for plane in frame.planes))
        if request.mask is not None and request.known is not None:
            frame = composite(frame, request.known, request.mask)
        return Made(frame, 0.5, map=np.full((frame.height, frame.width), 0.5, np.float32))


class TestGood(GeneratorConformance):
    def open(self) -> FrameGenerator:
        return Good()


def changed(**fields: Any) -> Callable[[Made, RenderRequest], Made]:
    """An answer whose frame has other fields."""
    return lambda made, _: replace(made, frame=replace(made.frame, **fields))


def renders(change: Callable[[Made, RenderRequest], Any]) -> type[Good]:
    """The good one, with its answers changed."""

    class Bad(Good):
        def render(self, request: RenderRequest) -> Any:
            return change(super().render(request), request)

    return Bad


def called(**fields: Any) -> type[Good]:
    """The good one, described otherwise."""

    class Bad(Good):
        def __init__(self) -> None:
            super().__init__()
            self.info = replace(INFO, **fields)

    return Bad


class LeadAlone(Good):
    block = 0


class NoJson(Good):
    def __init__(self) -> None:
        super().__init__()
        self.provenance = {"model": {"weights": object()}, "provider": {}}


class Counts(Good):
    calls = 0

    def render(self, request: RenderRequest) -> Made:
        self.calls += 1
        return self.finished(super().render(replace(request, mask=None)).frame, self.calls, request)


class Inside(Good):
    """Its state is in itself."""

    held = 0

    def remember(self, features: Any, previous: Any, dt: Fraction, state: Any) -> Any:
        self.held = self.held * 3 + features
        return self

    def render(self, request: RenderRequest) -> Made:
        return super().render(replace(request, state=self.held))


class InPlace(Good):
    """Its state is one list, written to."""

    def remember(self, features: Any, previous: Any, dt: Fraction, state: Any) -> Any:
        state = [0] if state is None else state
        state[0] = state[0] * 3 + features
        return state

    def render(self, request: RenderRequest) -> Made:
        return super().render(replace(request, state=request.state[0] if request.state else 0))


class Crossed(Good):
    """Says that it may be asked for several at once, and keeps what it is asked for in one place."""

    lanes = 4

    def render(self, request: RenderRequest) -> Made:
        self.asked = request
        time.sleep(0.01)
        return super().render(self.asked)


class Writes(Good):
    def render(self, request: RenderRequest) -> Made:
        assert request.a is not None
        request.a.frame.planes[0][:] = 0
        return super().render(request)


class NeedsBoth(Good):
    def render(self, request: RenderRequest) -> Made:
        if request.b is None:
            raise KeyError("b")
        return super().render(request)


class ClosesOnce(Good):
    open = True

    def close(self) -> None:
        if not self.open:
            raise RuntimeError("closed already")
        self.open = False


def too_small(made: Made, request: RenderRequest) -> Made:
    form = made.frame.format
    shapes = [form.plane_shape(i, 16, 16) for i in range(form.planes)]
    planes = tuple(plane[:rows, :columns] for plane, (rows, columns) in zip(made.frame.planes, shapes, strict=True))
    return replace(made, frame=replace(made.frame, planes=planes))


def too_bright(made: Made, request: RenderRequest) -> Made:
    planes = tuple(np.full_like(plane, np.iinfo(plane.dtype).max) for plane in made.frame.planes)
    return replace(made, frame=replace(made.frame, planes=planes))


def noisy(made: Made, request: RenderRequest) -> Made:
    planes = (made.frame.planes[0] + np.uint8(random.randrange(50)), *made.frame.planes[1:])
    return replace(made, frame=replace(made.frame, planes=planes))


class FromNothing(Good):
    def render(self, request: RenderRequest) -> Made:
        return Made(request.like, 0.5) if request.a is request.b is None else super().render(request)


def beside_the_mask(made: Made, request: RenderRequest) -> Made:
    """Luma is right; chroma is made one sample too far."""
    if request.mask is None or request.known is None or made.frame.format.family != "yuv":
        return made
    wide = request.mask | np.roll(request.mask, 2, 1)
    free = Good().render(replace(request, known=None, mask=None)).frame
    chroma = composite(free, request.known, wide).planes[1:3]
    return replace(made, frame=replace(made.frame, planes=(made.frame.planes[0], *chroma, *made.frame.planes[3:])))


class NoMask(Good):
    def render(self, request: RenderRequest) -> Made:
        return super().render(replace(request, known=None))


class NoValid(Good):
    def encode(self, frame: Frame, valid: Any = None) -> Any:
        return super().encode(frame) if valid is None else None

    def render(self, request: RenderRequest) -> Made:
        assert request.a is None or request.a.features is not None, "no features"
        return super().render(request)


class Seedless(Good):
    def __init__(self) -> None:
        super().__init__()
        self.info = replace(INFO, tasks=("synthesize",))


class Dreams(Seedless):
    """A video from a seed."""

    def seed(self, seed: int, like: Frame) -> int:
        return seed

    def render(self, request: RenderRequest) -> Made:
        if request.a is request.b is None:
            return self.finished(request.like, request.state + (request.seed or 0), request)
        return super().render(request)


class Restless(Dreams):
    calls = 0

    def seed(self, seed: int, like: Frame) -> int:
        self.calls += 1
        return seed + self.calls


class TestDreams(GeneratorConformance):
    def open(self) -> FrameGenerator:
        return Dreams()


FRAME = "test_a_made_frame_has_the_format_the_size_the_colour_and_the_time_asked_for"
SURE = "test_it_is_no_surer_than_sure"
WHAT = "test_it_says_what_it_is"


@pytest.mark.parametrize(
    ("bad", "sentence", "words"),
    [
        (called(name="my own"), WHAT, "'my own' is empty, or has a space"),
        (called(tasks=("fill", "paint")), WHAT, "are not among"),
        (called(tasks=()), WHAT, "are not among"),
        (called(licence=""), WHAT, "licence is empty"),
        (called(api=0), WHAT, "written for API 0"),
        (LeadAlone, WHAT, "a lead but no block"),
        (NoJson, "test_it_says_what_really_ran", "cannot be written as JSON"),
        (renders(lambda made, _: made.frame), FRAME, "gave a Frame, not a vgan_plugin.Made"),
        (renders(too_small), FRAME, "the width is 16, not 64"),
        (renders(changed(pts=0)), FRAME, "the time is 0 x "),
        (renders(changed(colour=Colour())), FRAME, "the colour is"),
        (renders(too_bright), FRAME, "a sample is 65535: yuv422p10le ends at 1023"),
        (renders(lambda made, _: replace(made, frame=moving(1)[0])), FRAME, "not"),
        (renders(lambda made, _: replace(made, confidence=1.5)), SURE, "confidence is 1.5"),
        (renders(lambda made, _: replace(made, confidence=float("nan"))), SURE, "confidence is nan"),
        (renders(lambda made, _: replace(made, map=np.zeros((50, 38), np.float32))), SURE, "not (38, 50)"),
        (renders(noisy), "test_the_same_request_gives_the_same_bytes", "other bytes for the same request"),
        (Counts, "test_the_order_of_requests_changes_nothing", "asked for in another order"),
        (Inside, "test_the_state_is_a_value", "while the chain went on"),
        (InPlace, "test_the_state_is_a_value", "while the chain went on"),
        (Crossed, "test_several_at_once_are_the_same_bytes", "frames asked for at once"),
        (Writes, "test_nothing_that_goes_in_is_changed", "writes into a frame"),
        (NeedsBoth, "test_one_reference_is_enough", "with only a frame before it raises KeyError"),
        (FromNothing, "test_from_nothing_comes_an_error", "from no reference"),
        (NoMask, "test_only_the_masked_pixels_are_made", "outside the mask were changed"),
        (renders(beside_the_mask), "test_only_the_masked_pixels_are_made", "plane 1 (yuv420p) outside the mask"),
        (Seedless, "test_a_seed_gives_one_video", "no seed()"),
        (Restless, "test_a_seed_gives_one_video", "other bytes for the same seed"),
        (ClosesOnce, "test_it_can_be_closed_twice", "the second close() raises RuntimeError"),
    ],
)
def test_a_bad_generator_fails_in_clear_words(bad: type[Good], sentence: str, words: str) -> None:
    suite = type("Suite", (GeneratorConformance,), {"open": lambda _: bad()})()
    with pytest.raises(NotConforming) as failure:
        getattr(suite, sentence)()
    assert words in str(failure.value)


def test_a_generator_that_forgets_what_to_trust_is_found_out() -> None:
    suite = type("Suite", (GeneratorConformance,), {"open": lambda _: NoValid()})()
    with pytest.raises(AssertionError, match="no features"):
        suite.test_features_can_be_told_what_to_trust()


def test_a_suite_that_names_no_generator_or_detector_says_so() -> None:
    with pytest.raises(NotConforming, match="say which generator"):
        GeneratorConformance().test_it_says_what_it_is()
    with pytest.raises(NotConforming, match="say which detector"):
        DetectorConformance().test_it_says_how_far_it_looks_ahead()


@pytest.fixture
def offered() -> Iterator[Callable[[object], None]]:
    """Register a plugin with the process's manager for one test."""
    manager = get_plugin_manager()
    yield lambda plugin: manager.add("bad", lambda: plugin)
    if manager.has_plugin("bad"):
        manager.unregister(name="bad")
    manager.problems.clear()


class Named(GeneratorConformance):
    generator = "good"


def test_a_plugin_that_answers_to_any_name_is_found_out(offered: Callable[[object], None]) -> None:
    class Greedy:
        @hookimpl
        def vgan_generators(self) -> list[GeneratorInfo]:
            return [INFO]

        @hookimpl
        def vgan_open_generator(self, request: OpenRequest) -> Good:
            return Good()

    offered(Greedy())
    with pytest.raises(NotConforming, match="answers to a name that is not its own"):
        Named().test_the_plugins_offer_it_and_it_answers_to_its_name_alone()


def test_a_plugin_that_offers_nothing_is_found_out(offered: Callable[[object], None]) -> None:
    class Secret:
        @hookimpl
        def vgan_open_generator(self, request: OpenRequest) -> Good | None:
            return Good() if request.generator == "good" else None

    offered(Secret())
    with pytest.raises(NotConforming, match="vgan_generators"):
        Named().test_the_plugins_offer_it_and_it_answers_to_its_name_alone()


def test_a_plugin_that_crashes_over_a_device_is_found_out(offered: Callable[[object], None]) -> None:
    class Crashes:
        @hookimpl
        def vgan_open_generator(self, request: OpenRequest) -> Good | None:
            assert request.device == "auto"
            return Good() if request.generator == "good" else None

    offered(Crashes())
    with pytest.raises(NotConforming, match=r"device='cuda:63'.* crashes instead of raising a VganError"):
        Named().test_what_cannot_be_had_is_refused_in_words()


# Detectors


@pytest.mark.parametrize("kind", BUILTIN)
@pytest.mark.parametrize("sentence", [name for name in vars(DetectorConformance) if name.startswith("test_")])
def test_our_own_detectors_conform(kind: type[Detector], sentence: str) -> None:
    suite = type("Suite", (DetectorConformance,), {"detector": kind})()
    getattr(suite, sentence)()


class Sees:
    """Sees one event in every clip that has a cut or fault; bad ones change how."""

    lookahead = 0
    fields: dict[str, Any] = {}  # noqa: RUF012

    def feed(self, index: int, frame: Frame) -> Any:
        if frame.corrupt:
            event = Event("corrupt", index, index, frame.pts, frame.pts, frame.time, 1, 1.0, "flagged")
            yield replace(event, **self.fields)

    def finish(self) -> Any:
        return []


def sees(**fields: Any) -> type[Sees]:
    return type("Bad", (Sees,), {"fields": fields})


class Ahead(Sees):
    lookahead = -1


class Alarms(Sees):
    def feed(self, index: int, frame: Frame) -> Any:
        if index == 30:
            yield Event("blank", 30, 30, frame.pts, frame.pts, frame.time, 1, 1.0, "felt like it")


class Shares(Sees):
    """What it saw last is one for all instances."""

    last = [0]  # noqa: RUF012

    def feed(self, index: int, frame: Frame) -> Any:
        total = int(frame.planes[0].sum())
        if total == self.last[0]:
            yield Event("duplicate", index, index, frame.pts, frame.pts, frame.time, 1, 1.0, "as bright as before")
        self.last[0] = total


class LastOne(Sees):
    frame: Frame | None = None

    def feed(self, index: int, frame: Frame) -> Any:
        self.frame = frame
        return []

    def finish(self) -> Any:
        assert self.frame is not None
        return []


class Hoards(Sees):
    def __init__(self) -> None:
        self.all: list[Frame] = []

    def feed(self, index: int, frame: Frame) -> Any:
        self.all.append(frame)
        return []


class Late(Sees):
    lookahead = 1

    def __init__(self) -> None:
        self.held: list[Event] = []

    def feed(self, index: int, frame: Frame) -> Any:
        self.held += super().feed(index, frame)
        return [self.held.pop()] if self.held and index == self.held[-1].last + 3 else []


class Numbers(Sees):
    def feed(self, index: int, frame: Frame) -> Any:
        return [index]


PLACE = "test_an_event_is_of_a_known_kind_at_a_place_that_exists"


@pytest.mark.parametrize(
    ("bad", "sentence", "words"),
    [
        (Ahead, "test_it_says_how_far_it_looks_ahead", "lookahead is -1"),
        (Numbers, PLACE, "gave a int, not an Event"),
        (sees(kind="smear"), PLACE, "'smear' is not among"),
        (sees(last=99), PLACE, "of 40 do not exist"),
        (sees(score=3.0), PLACE, "the score is 3.0"),
        (sees(reason=""), PLACE, "no reason"),
        (sees(time=Fraction(0)), PLACE, "its time is 0 s"),
        (sees(last_pts=77), PLACE, "not at 77"),
        (sees(count=4), PLACE, "it counts 4 frames, there are 1"),
        (sees(kind="missing"), PLACE, "does not lie between"),
        (Alarms, "test_a_clip_with_nothing_wrong_has_no_fault", "felt like it"),
        (Shares, "test_the_same_clip_gives_the_same_events_also_beside_another_one", "beside another one"),
        (LastOne, "test_no_clip_is_too_short", "with 0 frames it raises AssertionError"),
        (Hoards, "test_it_holds_few_frames_and_changes_none", "it holds 104 frames"),
        (Late, "test_what_it_sees_is_told_within_its_lookahead", "told 2 frames later than its lookahead"),
    ],
)
def test_a_bad_detector_fails_in_clear_words(bad: type[Detector], sentence: str, words: str) -> None:
    suite = type("Suite", (DetectorConformance,), {"detector": bad})()
    with pytest.raises(NotConforming) as failure:
        getattr(suite, sentence)()
    assert words in str(failure.value)
