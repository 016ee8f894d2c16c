"""The engine: makes the targets of a plan, the same bytes in whatever order they are asked for.

A made frame depends on its references, on the state after the later one and on that after the frame which follows, and
these states on a bounded window of the source: with B and W of the generator, block k is the frames kB .. kB+B-1, and
its chain starts from nothing at max(kB - W, first frame of the shot). So the same frame comes out whether the frames go
by in order (`observe`), are fetched at random, or one frame is asked for alone.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from typing import Any, NoReturn

from vgan_plugin.errors import PlanUnusable
from vgan_plugin.gaps import Plan, Target
from vgan_plugin.runtime.simple import BLEND, REPEAT, Simple
from vgan_plugin.types import Frame, FrameGenerator, GeneratorInfo, Made, Mask, Reference, RenderRequest

Say = Callable[[str], None]
_RING = 4
"""Frames with their features that a replay keeps, and states that a chain keeps: those around a target."""
_REPLAYS = 2
"""Chains that random access keeps, so that requests in almost the right order do not replay a block each."""


@dataclass(frozen=True, eq=False)
class Filled(Made):
    """A made frame and how it came about.

    Attributes:
        target: what was to be made.
        method: name of the generator that made it, ``blend`` or ``repeat``.
        fallback: why `method` stands in for the generator; empty when it does not.
    """

    target: Target
    method: str
    fallback: str = ""


@dataclass(frozen=True, eq=False)
class Order:
    """A target with all at hand that it is made from: `work` needs nothing else, and may be done by another thread.

    Attributes:
        target: what to make.
        plain: what is asked, without features: for who stands in.
        work: gives what the generator made and its frame, or raises; None where it is not asked.
    """

    target: Target
    plain: RenderRequest
    work: Callable[[], tuple[Made, Frame]] | None


class _Seen:
    """A source frame, which of its pixels to trust, and, from the moment somebody needs them, its features."""

    def __init__(self, frame: Frame, valid: Mask | None) -> None:
        self.frame, self.valid = frame, valid
        self.features: Any = None
        self.encoded = False
        self.error: Exception | None = None


@dataclass
class _Chain:
    """The memory of one block of one shot, as far as it has come.

    Attributes:
        key: (block, first frame of the shot).
        next: the source frame it takes next.
        last: the last one anybody needs the state after.
        previous: the frame it remembered last.
        state: what the generator remembers.
        states: the same after the last few good frames, by their source indices.
    """

    key: tuple[int, int]
    next: int
    last: int
    previous: _Seen | None = None
    state: Any = None
    states: OrderedDict[int, Any] = field(default_factory=OrderedDict)


_Moment = tuple[tuple[int, int], int]
"""Key of a chain and a source index: the state of that chain after that frame."""


class Engine:
    """Makes the targets of a plan.

    Args:
        plan: what to make, and which frames are good.
        generator: who makes it. The caller opened it and closes it.
        fetch: gives source frame i, for hosts with random access; None when frames only go by.
        min_confidence: a made frame less sure than this is replaced by a repeat, and named.
        say: takes one line for people when something is made in another way than asked.
        block: the generator's own B, unless the frames are one window of their own (`fill_gap`).
        valid: gives the mask of source frame i, (H, W), True = trust this pixel, or None: all of them.

    Attributes:
        counts: calls of ``encode``, ``remember``, ``render`` so far.

    Raises:
        PlanUnusable: a target has no reference.
    """

    def __init__(
        self,
        plan: Plan,
        generator: FrameGenerator,
        fetch: Callable[[int], Frame] | None = None,
        *,
        min_confidence: float = 0.0,
        say: Say = lambda _: None,
        block: int | None = None,
        valid: Callable[[int], Mask | None] = lambda _: None,
    ) -> None:
        self.plan, self.generator, self.fetch, self._valid = plan, generator, fetch, valid
        self.min_confidence, self._say = min_confidence, say
        self.block = generator.block if block is None else block
        self.counts: Counter[str] = Counter()
        self._told: set[str] = set()
        # What a sequential pass must keep, and how often each is still wanted: frames, and states after frames.
        self._wanted: Counter[int] = Counter()
        self._wanted_states: Counter[_Moment] = Counter()
        for target in plan.targets:
            self._wanted.update(references(target))
            self._wanted_states.update(self._moments(target))
        self._held: dict[int, _Seen] = {}
        self._states: dict[_Moment, Any] = {}
        self._waiting = deque(sorted(self._needed_chains(), key=lambda chain: chain.next))
        self._running: list[_Chain] = []
        # What random access keeps.
        self._ring: OrderedDict[int, _Seen] = OrderedDict()
        self._replays: OrderedDict[tuple[int, int], _Chain] = OrderedDict()

    def latest(self, target: Target) -> int:
        """Source index of the last frame that a target is made from."""
        moments = self._moments(target)
        return moments[-1][1] if moments else references(target)[-1]

    def _moments(self, target: Target) -> tuple[_Moment, ...]:
        """What must be remembered for a target: the state after its later reference, and, where it lies between two,
        that after the frame which follows, on the same chain.
        """
        if target.method != "generator" or not self.block:
            return ()
        index = references(target)[-1]
        key, following = (index // self.block, self._shot(index)), index + 1
        goes_on = following < self.plan.frames and self._shot(following) == key[1] and following not in self.plan.bad
        if goes_on and target.offsets[0] < 0 < target.offsets[1]:
            return (key, index), (key, following)
        return ((key, index),)

    def _shot(self, index: int) -> int:
        """First frame of the shot that a source frame is in."""
        cut = bisect_right(self.plan.cuts, index)
        return self.plan.cuts[cut - 1] if cut else 0

    def _needed_chains(self) -> Iterable[_Chain]:
        chains: dict[tuple[int, int], _Chain] = {}
        for key, index in self._wanted_states:
            chain = chains.setdefault(key, self._chain(key))
            chain.last = max(chain.last, index)
        return chains.values()

    def _chain(self, key: tuple[int, int]) -> _Chain:
        """A chain before its first step."""
        block, shot = key
        start = max(block * self.block - self.generator.lead, shot)
        return _Chain(key, start, start)

    # A sequential pass

    def observe(self, index: int, frame: Frame) -> None:
        """Take the next source frame in presentation order; the chains that need it move on.

        A frame is encoded at most once, and only when a chain or a target needs it.
        """
        seen = _Seen(frame, self._valid(index))
        while self._waiting and self._waiting[0].next <= index:
            self._running.append(self._waiting.popleft())
        for chain in self._running:
            self._step(chain, index, seen)
            if (chain.key, index) in self._wanted_states:
                self._states[chain.key, index] = chain.state
        self._running = [chain for chain in self._running if chain.last > index]
        if index in self._wanted:
            self._held[index] = seen

    def _step(self, chain: _Chain, index: int, seen: _Seen) -> None:
        """One frame further. Bad frames, and frames that the generator fails on, are not remembered."""
        chain.next = index + 1
        if index in self.plan.bad:
            return
        previous = chain.previous
        try:
            features = self._features(seen)
            dt = Fraction(0)
            if previous is not None:
                dt = (seen.frame.time - previous.frame.time) / self.plan.period
            self.counts["remember"] += 1
            state = self.generator.remember(features, None if previous is None else previous.features, dt, chain.state)
        except Exception as error:  # noqa: BLE001 a generator's failure costs memory, never the video; it is told
            self._tell(f"frame {index} is not remembered", error)
        else:
            chain.state, chain.previous = state, seen
        chain.states[index] = chain.state
        while len(chain.states) > _RING:
            chain.states.popitem(last=False)

    def _features(self, seen: _Seen) -> Any:
        if seen.error is not None:
            raise seen.error
        if not seen.encoded:
            self.counts["encode"] += 1
            try:
                seen.features = self.generator.encode(seen.frame, seen.valid)
            except Exception as error:
                seen.error = error
                raise
            seen.encoded = True
        return seen.features

    # Making

    def make(
        self, target: Target, known: Frame | None = None, mask: Mask | None = None, seed: int | None = None
    ) -> Filled:
        """Make one target: from what went by, or, what is no longer at hand, by replaying from `fetch`.

        A generator that fails on it is stood in for by `blend`, that by `repeat`; which is said and recorded.

        Args:
            target: usually one of the plan's.
            known: the known part, with `mask`.
            mask: which pixels to make; None = all.
            seed: seed of the noise.

        Raises:
            LookupError: a frame it needs went by and cannot be fetched.
        """
        order = self.order(target, known, mask, seed)
        return self.finish(order, order.work)

    def order(
        self, target: Target, known: Frame | None = None, mask: Mask | None = None, seed: int | None = None
    ) -> Order:
        """Bring together what a target is made from, and let go of what no later one needs. See `make`."""
        seen = [None if index is None else self._frame(index) for index in (target.a, target.b)]
        state, later = (*map(self._state, self._moments(target)), None, None)[:2]

        def request(features: Callable[[_Seen], Any]) -> RenderRequest:
            a, b = (None if s is None else Reference(s.frame, features(s)) for s in seen)
            like = next(s.frame for s in seen if s is not None)
            return RenderRequest(
                a,
                b,
                state,
                target.offsets,
                like,
                target.pts,
                self.plan.time_base,
                known=known,
                mask=mask,
                seed=seed,
                later=later,
            )

        work: Callable[[], tuple[Made, Frame]] | None = None
        if target.method != "repeat":
            try:
                work = partial(_rendered, self.generator, request(self._features))
                self.counts["render"] += 1
            except Exception as error:  # noqa: BLE001 it is told by `finish`
                work = partial(_raised, error)
        self._release(target)
        return Order(target, request(lambda _: None), work)

    def finish(self, order: Order, result: Callable[[], tuple[Made, Frame]] | None) -> Filled:
        """What came of an order: the generator's frame, or one that stands in for it, which is said.

        Args:
            order: as `order` gave it.
            result: gives or raises what its `work` gave or raised.
        """
        target, name = order.target, self.generator.info.name
        if result is None:
            why = "" if name == REPEAT.name else "nothing better than a repeat can be made here"
            return _simple(REPEAT, order.plain, target, why)
        try:
            made, frame = result()
        except Exception as error:  # noqa: BLE001 a generator's failure costs quality, never the video; it is told
            why = self._tell(f"{name} failed at {float(target.pts * self.plan.time_base):.3f} s", error)
            fallback = REPEAT if name == BLEND.name else BLEND
            return _simple(fallback, order.plain, target, why)
        confidence = min(1.0, max(0.0, made.confidence)) if math.isfinite(made.confidence) else 0.0
        if confidence < self.min_confidence:
            why = f"confidence {confidence:.3f} is below the minimum {self.min_confidence:g}"
            return _simple(REPEAT, order.plain, target, why)
        return Filled(frame, confidence, target, name, map=made.map)

    def repeat(self, target: Target, known: Frame | None = None, mask: Mask | None = None) -> Filled:
        """The nearest reference again, in place of what the generator would make."""
        a, b = (None if i is None else Reference(self._frame(i).frame, None) for i in (target.a, target.b))
        like = next(ref.frame for ref in (a, b) if ref is not None)
        request = RenderRequest(
            a, b, None, target.offsets, like, target.pts, self.plan.time_base, known=known, mask=mask
        )
        return _simple(REPEAT, request, target, "")

    def _tell(self, what: str, error: Exception) -> str:
        kind = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        if kind not in self._told:  # one line a kind of failure; each frame has its own in the records
            self._told.add(kind)
            self._say(f"{what}: {kind}")
        return f"{what}: {kind}"

    def _release(self, target: Target) -> None:
        """Let go of what no further target of the plan needs."""
        for index in references(target):
            self._wanted[index] -= 1
            if self._wanted[index] <= 0:
                del self._wanted[index]
                self._held.pop(index, None)
        for moment in self._moments(target):
            self._wanted_states[moment] -= 1
            if self._wanted_states[moment] <= 0:
                del self._wanted_states[moment]
                self._states.pop(moment, None)

    # Random access

    def _frame(self, index: int) -> _Seen:
        if index in self._held:
            return self._held[index]
        if index in self._ring:
            self._ring.move_to_end(index)
            return self._ring[index]
        if self.fetch is None:
            raise LookupError(f"source frame {index} is not at hand and cannot be fetched")
        seen = self._ring[index] = _Seen(self.fetch(index), self._valid(index))
        while len(self._ring) > _RING:
            self._ring.popitem(last=False)
        return seen

    def _state(self, moment: _Moment) -> Any:
        """What is remembered then, from what went by or by replaying the chain."""
        if moment in self._states:
            return self._states[moment]
        key, index = moment
        chain = self._replays.pop(key, None) or self._chain(key)
        if chain.next > index and index not in chain.states:
            chain = self._chain(key)
        while chain.next <= index:
            if chain.next in self.plan.bad:
                chain.next += 1
            else:
                self._step(chain, chain.next, self._frame(chain.next))
        self._replays[chain.key] = chain
        while len(self._replays) > _REPLAYS:
            self._replays.popitem(last=False)
        return chain.states[index]


def references(target: Target) -> tuple[int, ...]:
    """Source indices that a target is made from.

    Raises:
        PlanUnusable: there is none.
    """
    found = tuple(index for index, _ in target.references)
    if not found:
        raise PlanUnusable(
            f"The plan wants a frame at {target.pts} from nothing", "it names no reference", "give it a or b"
        )
    return found


def _simple(info: GeneratorInfo, request: RenderRequest, target: Target, why: str) -> Filled:
    made = Simple(info).render(request)
    return Filled(made.frame, made.confidence, target, info.name, why)


def _rendered(generator: FrameGenerator, request: RenderRequest) -> tuple[Made, Frame]:
    made = generator.render(request)
    return made, _checked(made.frame, request)


def _raised(error: Exception) -> NoReturn:
    raise error


def _checked(frame: Frame, request: RenderRequest) -> Frame:
    """What a stranger's generator gave, at the time asked for; TypeError when it is not a frame of the clip."""
    like = request.like
    if (frame.format, frame.width, frame.height) != (like.format, like.width, like.height):
        raise TypeError(f"it gave {frame!r} for a clip of {like!r}")
    return replace(frame, pts=request.pts, time_base=request.time_base)
