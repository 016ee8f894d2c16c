"""What the engine relies on in a `FrameGenerator`, a sentence each."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from vgan_plugin.errors import GeneratorMissing, PluginFailed, VganError
from vgan_plugin.pixels.planes import chroma_mask
from vgan_plugin.plugins import get_plugin_manager
from vgan_plugin.testing.scenes import digest, hold, moving
from vgan_plugin.types import (
    API,
    Concurrent,
    Frame,
    FrameGenerator,
    GeneratorInfo,
    Made,
    Mask,
    OpenRequest,
    Reference,
    RenderRequest,
    Synthesizer,
)

TASKS = ("fill", "interpolate", "inpaint", "predict", "synthesize")


@dataclass(frozen=True, eq=False)
class _Walk:
    """A short clip and what a generator made of it: features of each frame, and the state after each."""

    frames: Sequence[Frame]
    features: Sequence[Any]
    states: Sequence[Any]

    def between(self, after: int, part: Fraction = Fraction(1, 2), **other: Any) -> RenderRequest:
        """A request for a frame between two frames, `part` of the way."""
        a, b = (Reference(self.frames[i], self.features[i]) for i in (after, after + 1))
        fine = self.frames[0].time_base / part.denominator
        pts = self.frames[after].pts * part.denominator + part.numerator
        fields = {"a": a, "b": b, "state": self.states[after + 1], "offsets": (-part, 1 - part), "like": a.frame}
        return RenderRequest(**(fields | {"pts": pts, "time_base": fine} | other))


class GeneratorConformance:
    """Subclass it with a name that begins with ``Test``, and say which generator is yours.

    Attributes:
        generator: its name, opened through the plugins as vgan does it. Or override `open`.
        formats: pixel formats that are tried.
        sizes: widths and heights that are tried, odd ones among them.
    """

    generator: ClassVar[str | None] = None
    formats: ClassVar[tuple[str, ...]] = ("yuv420p", "yuv422p10le", "yuv444p", "gbrp", "gray", "yuva420p")
    sizes: ClassVar[tuple[tuple[int, int], ...]] = ((64, 48), (50, 38), (33, 17))

    _shared: ClassVar[FrameGenerator | None] = None

    def open(self) -> FrameGenerator:
        """A fresh generator; the caller closes it."""
        hold(self.generator is not None, "say which generator: set `generator` to its name, or override `open`")
        return get_plugin_manager().open_generator(OpenRequest(generator=self.generator))

    @classmethod
    def teardown_class(cls) -> None:
        """Called by pytest at the end: closes the generator that the tests share."""
        if cls._shared is not None:
            cls._shared.close()
            cls._shared = None

    @property
    def one(self) -> FrameGenerator:
        """The generator that the tests share: one that remembers what it was asked before is found out."""
        if self._shared is None:
            type(self)._shared = self.open()
        assert self._shared is not None  # noqa: S101 for the type checker
        return self._shared

    # What it says of itself

    def test_it_says_what_it_is(self) -> None:
        """Info, block and lead are as the protocol wants them."""
        generator = self.one
        hold(isinstance(generator, FrameGenerator), f"{generator!r} lacks a part of vgan_plugin.FrameGenerator")
        info = generator.info
        hold(isinstance(info, GeneratorInfo), f"info is a {type(info).__name__}, not a GeneratorInfo")
        good = bool(info.name) and not set(info.name) & set(", \t\n/\\")
        hold(good, f"the name {info.name!r} is empty, or has a space, a comma or a slash: reports list names by comma")
        hold(bool(info.title), "the title is empty: `vgan models` shows it")
        hold(bool(info.tasks) and set(info.tasks) <= set(TASKS), f"the tasks {info.tasks} are not among {TASKS}")
        hold(bool(info.licence), "the licence is empty: name it as SPDX does")
        hold(info.api == API, f"it was written for API {info.api}, this is API {API}")
        for name in ("block", "lead"):
            value = getattr(generator, name)
            hold(isinstance(value, int) and value >= 0, f"{name} is {value!r}, not a number of frames")
        hold(bool(generator.block or not generator.lead), "it has a lead but no block: without a block no chain is run")

    def test_it_says_what_really_ran(self) -> None:
        """Provenance goes into the report as it is."""
        _made(self.one, _walk(self.one).between(1))
        provenance = self.one.provenance
        for name in ("model", "provider"):
            part = provenance.get(name) if isinstance(provenance, Mapping) else None
            hold(isinstance(part, Mapping), f"provenance[{name!r}] is {part!r}, not a mapping")
        try:
            json.dumps({name: dict(provenance[name]) for name in ("model", "provider")})
        except (TypeError, ValueError) as error:
            hold(False, f"provenance cannot be written as JSON: {error}")

    def test_the_plugins_offer_it_and_it_answers_to_its_name_alone(self) -> None:
        """Through the hooks it is found by its name, and nobody answers to a name that nobody has."""
        if self.generator is None:
            return
        manager = get_plugin_manager()
        names = [info.name for info in manager.generators()]
        hold(self.generator in names, f"vgan_generators() gives {', '.join(names)}, but not {self.generator!r}")
        hold(self.one.info.name == self.generator, f"asked for {self.generator!r}, opened {self.one.info.name!r}")
        try:
            manager.open_generator(OpenRequest(generator="nobody-has-this-name")).close()
        except GeneratorMissing:
            return
        hold(False, "vgan_open_generator answers to a name that is not its own: give None for it")

    # Frames

    def test_a_made_frame_has_the_format_the_size_the_colour_and_the_time_asked_for(self) -> None:
        """In every format and size."""
        for name in self.formats:
            for width, height in self.sizes if name == self.formats[0] else self.sizes[1:2]:
                _made(self.one, _walk(self.one, width=width, height=height, format=name).between(1))

    def test_any_time_can_be_asked_for(self) -> None:
        """Before zero, far away, and between ticks."""
        for first, base in ((-7, Fraction(1, 25)), (1 << 40, Fraction(1, 90000)), (3, Fraction(1001, 24000))):
            walk = _walk(self.one, first=first, time_base=base)
            for part in (Fraction(1, 3), Fraction(2, 7)):
                _made(self.one, walk.between(1, part))

    def test_it_is_no_surer_than_sure(self) -> None:
        """Confidence is a number in [0, 1], its map one of (H, W)."""
        walk = _walk(self.one, width=50, height=38)
        made = _made(self.one, walk.between(1))
        good = isinstance(made.confidence, float) and math.isfinite(made.confidence) and 0 <= made.confidence <= 1
        hold(good, f"the confidence is {made.confidence!r}, not a float from 0 to 1")
        if made.map is not None:
            shape = getattr(made.map, "shape", None)
            hold(shape == (38, 50), f"the map of confidence is {shape}, not (38, 50): rows and columns of the frame")
            hold(bool((made.map >= 0).all() and (made.map <= 1).all()), "the map of confidence leaves 0 to 1")

    def test_black_white_and_noise_are_frames_like_any(self) -> None:
        """Nothing overflows, nothing divides by zero."""
        noise = moving(2, format="gray", seed=3)
        for low, high in ((0, 0), (255, 255), (0, 255)):
            planes = [np.where(frame.planes[0] > 128, high, low).astype(np.uint8) for frame in noise]
            frames = [replace(frame, planes=(plane,)) for frame, plane in zip(noise, planes, strict=True)]
            _made(self.one, _walk(self.one, frames).between(0))

    # The same frame, whenever it is asked for

    def test_the_same_request_gives_the_same_bytes(self) -> None:
        """Twice, from one generator and from another one; with a seed too."""
        for seed in (None, 7):
            first = _made(self.one, _walk(self.one).between(1, seed=seed))
            again = _made(self.one, _walk(self.one).between(1, seed=seed))
            _same(first, again, f"the same request with seed {seed} twice")
        other = self.open()
        try:
            _same(
                _made(self.one, _walk(self.one).between(1)), _made(other, _walk(other).between(1)), "another instance"
            )
        finally:
            other.close()

    def test_the_order_of_requests_changes_nothing(self) -> None:
        """Forwards, backwards, and with another clip in between."""
        walk, other = _walk(self.one), _walk(self.one, width=50, height=38, seed=5)
        parts = [Fraction(k, 4) for k in (1, 2, 3)]
        forwards = {part: _made(self.one, walk.between(1, part)) for part in parts}
        for part in reversed(parts):
            _made(self.one, other.between(0, part))
            _same(forwards[part], _made(self.one, walk.between(1, part)), "frames asked for in another order")

    def test_several_at_once_are_the_same_bytes(self) -> None:
        """As many as it says may be asked for at once, while others are encoded and remembered."""
        if not isinstance(self.one, Concurrent):
            return
        lanes = self.one.lanes
        hold(isinstance(lanes, int) and lanes > 0, f"lanes is {lanes!r}, not a number of frames")
        walk = _walk(self.one)
        requests = [walk.between(k % 2, Fraction(k + 1, 8)) for k in range(7)]
        alone = [_made(self.one, request) for request in requests]
        with ThreadPoolExecutor(lanes) as pool:
            begun = [pool.submit(self.one.render, request) for request in requests]
            _walk(self.one, seed=3)
            for one, future in zip(alone, begun, strict=True):
                _same(one, future.result(), "frames asked for at once")

    def test_the_state_is_a_value(self) -> None:
        """What is remembered later, or of another clip, does not change a state that was given out before."""
        if not self.one.block:
            return
        walk = _walk(self.one)
        before = _made(self.one, walk.between(1))
        state = walk.states[2]
        for _ in range(3):
            state = self.one.remember(walk.features[3], walk.features[2], Fraction(1), state)
        _walk(self.one, seed=9)
        _same(before, _made(self.one, walk.between(1)), "a state that was kept while the chain went on")
        again = self.one.remember(walk.features[2], walk.features[1], Fraction(1), walk.states[1])
        _same(before, _made(self.one, walk.between(1, state=again)), "a step of the chain taken twice")

    def test_nothing_that_goes_in_is_changed(self) -> None:
        """Frames belong to a decoder and are shared."""
        walk = _walk(self.one)
        before = digest(walk.frames)
        try:
            request = walk.between(1)
            _made(self.one, request)
        except ValueError as error:
            if "read-only" in str(error):
                hold(False, f"it writes into a frame it was given: {error}")
            raise
        hold(digest(walk.frames) == before, "a frame that went in was changed")

    # References

    def test_one_reference_is_enough(self) -> None:
        """At the ends of a clip and at cuts there is only one, or two on one side."""
        walk = _walk(self.one)
        near = walk.between(1)
        none = Fraction(0)
        sides: dict[str, dict[str, Any]] = {
            "only a frame before": {"b": None, "offsets": (Fraction(-1), none)},
            "only a frame after": {"a": None, "offsets": (none, Fraction(1))},
            "two frames before": {"offsets": (Fraction(-2), Fraction(-1))},
            "two frames after": {"offsets": (Fraction(1), Fraction(2))},
        }
        for words, fields in sides.items():
            try:
                _made(self.one, replace(near, **fields))
            except Exception as error:
                if isinstance(error, AssertionError):
                    raise
                hold(False, f"with {words} it raises {type(error).__name__}: {error}")

    def test_from_nothing_comes_an_error(self) -> None:
        """Unless it synthesises: without references there is nothing to make a frame from."""
        if "synthesize" in self.one.info.tasks:
            return
        request = replace(_walk(self.one).between(1), a=None, b=None, state=None)
        try:
            self.one.render(request)
        except Exception:  # noqa: BLE001 any error will do: the engine stands in
            return
        hold(False, "it made a frame from no reference: raise ValueError instead")

    def test_a_seed_gives_one_video(self) -> None:
        """A generator that synthesises begins with `seed`, and needs no reference then."""
        if "synthesize" not in self.one.info.tasks:
            return
        one = self.one
        if not isinstance(one, Synthesizer):
            hold(False, "it has the task synthesize, but no seed(): see vgan_plugin.Synthesizer")
        assert isinstance(one, Synthesizer)  # noqa: S101 for the type checker
        like = moving(1)[0]

        def first(seed: int) -> Made:
            none = Fraction(0)
            request = RenderRequest(None, None, one.seed(seed, like), (none, none), like, 0, like.time_base, seed=seed)
            return _made(one, request)

        _same(first(7), first(7), "the same seed")

    # Masks

    def test_only_the_masked_pixels_are_made(self) -> None:
        """What is known stays bit for bit, chroma that no masked pixel covers included."""
        if "inpaint" not in self.one.info.tasks:
            return
        for name in self.formats:
            walk = _walk(self.one, width=50, height=38, format=name)
            known = moving(3, 50, 38, name, seed=8)[1]
            for mask in _masks(50, 38):
                made = _made(self.one, walk.between(1, known=known, mask=mask)).frame
                _outside(made, known, mask)

    def test_features_can_be_told_what_to_trust(self) -> None:
        """`encode` takes a mask of valid pixels."""
        frames = moving(2, 50, 38)
        for mask in _masks(50, 38):
            features = [self.one.encode(frame, mask) for frame in frames]
            _made(self.one, _Walk(frames, features, [None, None]).between(0, state=None))

    # The end, and errors

    def test_it_can_be_closed_twice(self) -> None:
        """Also before it has done anything."""
        for used in (False, True):
            generator = self.open()
            if used:
                _made(generator, _walk(generator).between(1))
            for when in ("first", "second"):
                try:
                    generator.close()
                except Exception as error:  # noqa: BLE001 told
                    hold(False, f"the {when} close() raises {type(error).__name__}: {error}")

    def test_what_cannot_be_had_is_refused_in_words(self) -> None:
        """A device or a model that is not there: a VganError, or a generator that needs neither."""
        if self.generator is None:
            return
        mine = OpenRequest(generator=self.generator)
        for request in (replace(mine, device="cuda:63"), replace(mine, model="/nowhere/no-such-model")):
            asked = f"device={request.device!r}, model={request.model!r}"
            _refusal(lambda request=request: get_plugin_manager().open_generator(request).close(), asked)  # type: ignore[misc]


def _walk(generator: FrameGenerator, frames: Sequence[Frame] | None = None, **scene: Any) -> _Walk:
    """Four frames (or those given), encoded, and remembered if the generator remembers."""
    frames = moving(4, **scene) if frames is None else frames
    features = [generator.encode(frame) for frame in frames]
    states: list[Any] = []
    for i in range(len(frames)):
        before, state = (features[i - 1], states[-1]) if i else (None, None)
        step = Fraction(1 if i else 0)
        states.append(generator.remember(features[i], before, step, state) if generator.block else None)
    return _Walk(frames, features, states)


def _made(generator: FrameGenerator, request: RenderRequest) -> Made:
    """What it gives, held to what was asked for."""
    made, like = generator.render(request), request.like
    hold(isinstance(made, Made), f"render gave a {type(made).__name__}, not a vgan_plugin.Made")
    frame = made.frame
    hold(isinstance(frame, Frame), f"Made.frame is a {type(frame).__name__}, not a vgan_plugin.Frame")
    for name in ("format", "width", "height", "colour"):
        asked, got = getattr(like, name), getattr(frame, name)
        hold(got == asked, f"the {name} is {got}, not {asked} like the clip's")
    asked_at, got_at = (request.pts, request.time_base), (frame.pts, frame.time_base)
    hold(got_at == asked_at, f"the time is {got_at[0]} x {got_at[1]} s, not {asked_at[0]} x {asked_at[1]} s as asked")
    top = (1 << like.format.bits) - 1
    most = max(int(plane.max()) for plane in frame.planes)
    hold(most <= top, f"a sample is {most}: {like.format.name} ends at {top}")
    return made


def _same(one: Made, other: Made, what: str) -> None:
    hold(digest([one.frame]) == digest([other.frame]), f"other bytes for {what}")
    hold(one.confidence == other.confidence, f"another confidence for {what}: {one.confidence}, {other.confidence}")


def _masks(width: int, height: int) -> list[Mask]:
    """A box at odd places, nothing, and everything."""
    box, none, everything = (np.full((height, width), value, np.bool_) for value in (False, False, True))
    box[7:22, 5:30] = True
    return [box, none, everything]


def _outside(made: Frame, known: Frame, mask: Mask) -> None:
    for i, (new, old) in enumerate(zip(made.planes, known.planes, strict=True)):
        chroma = known.format.family == "yuv" and i in (1, 2)
        keep = ~(chroma_mask(mask, known.format) if chroma else mask)
        changed = int((new != old)[keep].sum())
        hold(changed == 0, f"{changed} samples of plane {i} ({known.format.name}) outside the mask were changed")


def _refusal(call: Callable[[], None], asked: str) -> None:
    try:
        call()
    except PluginFailed as error:
        hold(False, f"opened with {asked} it crashes instead of raising a VganError: {error.why}")
    except VganError:
        pass
