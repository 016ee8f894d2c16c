"""The generator: a recurrent convolutional network that starts as a motion-compensated blend and learns the rest.

Three graphs, state as an explicit value: `encode` looks at one source frame, `remember` carries the state from one
frame to the next, `render` makes one frame. All learned heads start at zero, so that before the first training step
`render` is exactly the built-in motion (`motion.py`) with time-weighted fusion.

Sizes: height and width are multiples of `STRIDE`; whoever calls pads (replicating right and bottom) and crops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vgan_plugin.training import motion, path
from vgan_plugin.training.fusion import Fusion, doubt, grey, smooth, steadier
from vgan_plugin.training.layers import even, shuffle, upsample, zero
from vgan_plugin.training.motion import Evidence, Level
from vgan_plugin.training.parts import SMALL, Belief, Encoder, FlowHead, Seed
from vgan_plugin.training.recurrence import CELLS, State
from vgan_plugin.training.search import search

STRIDE = 16
NOISE = 16  # channels of noise, at 1/16
MISFIT = 0.03  # difference of luma along the built-in motion from which corrections count in full
SUREST = 8.0  # logit beyond which no reference is preferred: what the other one shows must still be there to divide by
IMAGINED = 0.1  # share of a dream's frame that is made anew where frames before it are seen
BLOCK, LEAD = 32, 8  # frames of a chain's block, and of its lead-in


@dataclass(frozen=True)
class Preset:
    """Sizes of one generator. Channel counts are multiples of 16: others leave the fast convolution path on CPU.

    One that synthesises has a `seed`, and corrects everywhere, in full: with nothing to see nothing agrees. A
    perceptual one, which is finished by the game, keeps the detail of its references: sharper between pixels, farther
    from the truth. What it draws cannot alternate from pixel to pixel: the first thing the game would have it do.
    """

    name: str
    c4: int
    c8: int
    c16: int
    state: int
    fusion: tuple[int, int, int]  # widths of the fusion network at 1/2, 1/4, 1/8; 0 at 1/2: see `fine`
    levels: tuple[Level, ...]
    cell: str = "lstm"  # one of `recurrence.CELLS`
    synthesises: bool = False
    perceptual: bool = False

    @property
    def fine(self) -> bool:
        """Whether networks correct the motion down to 1/4 and the path, and judge and draw at 1/2; else they correct
        the motion down to 1/8, and judge and draw at 1/4.
        """
        return self.fusion[0] > 0


BASE = Preset(
    name="base",
    c4=32, c8=48, c16=64, state=64, fusion=(32, 48, 64),
    levels=(Level(16, 3, 10), Level(8, 3, 6), Level(4, 2), Level(2, 2), Level(1, 1)),
)  # fmt: skip
PRESETS = {
    p.name: p
    for p in (
        BASE,
        replace(BASE, name="base-perceptual", perceptual=True),
        Preset(
            name="lite",
            c4=16, c8=16, c16=32, state=32, fusion=(0, 16, 32),
            levels=(Level(16, 2, 6), Level(8, 1, 4), Level(4, 1), Level(2, 1), Level(1, 0)),
        ),
        Preset(
            name="tiny",
            c4=16, c8=16, c16=16, state=16, fusion=(16, 16, 16),
            levels=(Level(16, 1, 4), Level(8, 1, 4), Level(4, 1), Level(2, 1), Level(1, 0)),
        ),
        Preset(
            name="dream",
            c4=16, c8=16, c16=32, state=64, fusion=(32, 48, 64),
            levels=(Level(16, 1, 2), Level(8, 1, 2), Level(4, 1), Level(2, 1), Level(1, 0)),
            cell="gru", synthesises=True,
        ),
        Preset(
            name="textbook",
            c4=16, c8=16, c16=16, state=32, fusion=(16, 16, 32),
            levels=(Level(16, 1, 2), Level(8, 1, 2), Level(4, 1), Level(2, 1), Level(1, 0)),
            synthesises=True,
        ),
    )
}  # fmt: skip


def sizes(name: str, cell: str) -> Preset:
    """A preset with the cell that a schedule names.

    Raises:
        KeyError: there is no such preset, or no such cell.
    """
    if cell not in CELLS:
        raise KeyError(cell)
    return replace(PRESETS[name], cell=cell)


class Features(NamedTuple):
    """What `encode` keeps of one source frame.

    Attributes:
        image: (n, 4, H, W): RGB times validity, validity.
        d16, y16, y8, y4, y2: evidence for the motion search, see `motion.Evidence`.
        f4, f8, f16: learned, (n, c, H/k, W/k).
    """

    image: Tensor
    d16: Tensor
    y16: Tensor
    y8: Tensor
    y4: Tensor
    y2: Tensor
    f4: Tensor
    f8: Tensor
    f16: Tensor

    def absent(self) -> Features:
        """A reference that is not there, beside this one: the same evidence of motion, trusted nowhere."""
        return self._replace(image=torch.zeros_like(self.image))


class Render(NamedTuple):
    """What `render` gives.

    Attributes:
        rgb: (n, 3, H, W), not clamped.
        confidence: (n, 1, H, W) in 0..1; 0.5 = an expected error of 1/50 of the range.
        scale: (n, 1, H, W), logarithm of the expected absolute error.
        flow: (n, 4, H, W), (dx, dy) towards a, then towards b, in pixels.
        weights: (n, 3, H, W), shares of a, b and the painted part; they sum to one.
        warped: (n, 6, H, W), a and b as seen from the target.
    """

    rgb: Tensor
    confidence: Tensor
    scale: Tensor
    flow: Tensor
    weights: Tensor
    warped: Tensor


def resampled(flow: Tensor) -> Tensor:
    """How much of the finest detail was lost by reading between pixels: 0 on a pixel, 1 halfway, of the worse side.

    Args:
        flow: (2n, 2, H/2, W/2) towards a, then b, in cells.

    Returns: (n, 1, H/2, W/2).
    """
    phase = 2 * flow - (2 * flow).floor()
    a, b = (4 * phase * (1 - phase)).amax(1, keepdim=True).chunk(2)
    return torch.maximum(a, b)


def _evidence(features: Features) -> Evidence:
    return Evidence(features.d16, features.y16, features.y8, features.y4, features.y2)


class Generator(nn.Module):
    """The recurrent generator G of the adversarial game."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        p = self.preset = preset
        _, w4, w8 = p.fusion
        self.encoder = Encoder(p.c4, p.c8, p.c16)
        self.cell = CELLS[p.cell](p.c16 + SMALL, p.state)
        self.state16 = nn.Conv2d(p.state, w8, 1)
        self.noise16 = zero(NOISE, w8, 1)
        self.head16 = FlowHead(p.c16, w8)
        self.down16 = nn.Conv2d(w8, w8, 1)
        self.head8 = FlowHead(p.c8, w8)
        if p.fine:
            self.down8 = nn.Conv2d(w8, w4, 1)
            self.head4 = FlowHead(p.c4, w4)
        self.fusion = Fusion(p.c4, p.c8, p.fusion)
        if p.synthesises:  # all that it knows lies behind it: there is no path between
            self.sower = Seed(NOISE, p.state)
        elif p.fine:
            self.belief = Belief(w8)

    def encode(self, frame: Tensor, valid: Tensor) -> Features:
        """Look at one source frame.

        Args:
            frame: (n, 3, H, W) RGB in [0, 1]. Where it is not valid the search for motion alone reads it: holes closed
                smoothly have no edge that stands still.
            valid: (n, 1, H, W), 1 = trust this pixel.
        """
        rgb = frame * valid
        learned = self.encoder(torch.cat((rgb - 0.5 * valid, valid), 1))
        return Features(torch.cat((rgb, valid), 1), *motion.evidence(motion.luma(frame)), *learned)

    def initial_state(self, features: Features) -> State:
        """The empty memory that every chain starts from."""
        n, _, h, w = features.f16.shape
        return self._with_memory(features.f16.new_zeros(n, self.preset.state, h, w))

    def seed(self, noise: Tensor) -> State:
        """The state that a video from noise begins with; only where the preset synthesises.

        Args:
            noise: (n, NOISE, H/16, W/16), standard normal.
        """
        return self._with_memory(self.sower(noise))

    def _with_memory(self, hidden: Tensor) -> State:
        """A hidden state with nothing in its memory."""
        return State(hidden, torch.zeros_like(hidden[:, : self.memory]))

    @property
    def memory(self) -> int:
        """Channels of the cell's memory; 0 where it has none."""
        return self.preset.state if self.cell.memory else 0

    def remember(self, features: Features, previous: Features, dt: Tensor, state: State) -> State:
        """Carry the state to the next frame: along the motion from the frame before, then through the cell.

        Args:
            features: of this frame.
            previous: of the frame remembered before (of any frame at the first step of a chain).
            dt: (n,) time between them in source-frame periods; 0 at the first step of a chain: no motion.
            state: aligned to the previous frame.
        """
        with torch.no_grad():
            ca, cb = -torch.ones_like(dt).view(-1, 1, 1, 1), torch.zeros_like(dt).view(-1, 1, 1, 1)
            found = search(previous.d16, features.d16, ca, None)
            v, _, pace = motion.approach(_evidence(previous), _evidence(features), ca, cb, self.preset.levels, found)
            going = (dt > 0).to(v).view(-1, 1, 1, 1)
            v, pace = v * going, pace * going / dt.view(-1, 1, 1, 1).clamp(min=1e-3)
            past = torch.zeros_like(pace[:, :1]).repeat(1, 6, 1, 1) if state.motion is None else state.motion
            past = torch.cat((pace, dt.view(-1, 1, 1, 1).expand_as(pace[:, :1]), past[:, :3]), 1)
        moved = motion.warp(torch.cat((state.hidden, state.memory), 1), -v)
        small = self._small(v / 4, dt.view(-1, 1, 1, 1).expand_as(v[:, :1]))
        hidden, memory = moved[:, : self.preset.state], moved[:, self.preset.state :]
        after: State = self.cell(torch.cat((features.f16, small), 1), State(hidden, memory))
        return after._replace(motion=past)

    def render(
        self,
        a: Features,
        b: Features,
        state: State,
        offsets: Tensor,
        known: Tensor,
        mask: Tensor,
        noise: Tensor,
        later: Tensor | None = None,
    ) -> Render:
        """Make one frame.

        Args:
            a: features of the first reference in time.
            b: features of the second; a reference that is absent has validity zero everywhere.
            state: after b.
            offsets: (n, 2), times of a and b minus the target's, in source-frame periods, oa < ob; both negative for a
                prediction, both positive for the time before the start.
            known: (n, 3, H, W), the part of the target that is known (anything under the mask).
            mask: (n, 1, H, W), 1 = make this pixel. Where it is 0 the caller puts the known pixels back.
            noise: (n, NOISE, H/16, W/16); zeros = the deterministic picture.
            later: `State.motion` after the frame that follows b; None or zeros = not known.
        """
        n = offsets.shape[0]
        if self.preset.synthesises:  # what it imagines comes of its state and of noise; what it sees is moved on
            a, b = self._unseen(a), self._unseen(b)
        if state.motion is not None and later is None:
            later = torch.zeros_like(state.motion)
        flow2, motion8, misfit = self._flow(a, b, state, offsets, noise, later)
        flow8, turns = motion.shrink(flow2, 4) / 4, torch.zeros_like(motion8[:, :4])
        if not self.preset.synthesises and state.motion is not None and later is not None:
            with torch.no_grad():
                to_a, to_b = flow8.chunk(2)
                bend = path.bend(to_a, to_b, state.motion, later, offsets)
            turns, off8 = bend.turns, self.belief(bend, motion8) if self.preset.fine else bend.off
            off = motion.double(motion.double(off8))
            flow2, flow8 = flow2 - torch.cat((off, off)), flow8 - torch.cat((off8, off8))
        flow = motion.double(flow2)
        seen = motion.warp(torch.cat((a.image, b.image)), flow)
        valid = seen[:, 3:]
        kernel = motion.SHARPER if self.preset.perceptual else motion.CUBIC
        lit = motion.sharpen(seen[:, :3], valid, flow, kernel)  # times validity, as the images are
        if self.preset.synthesises:  # what an unbounded motion reads at the border would grow from frame to frame
            lit = lit.clamp(0, 1)
        (la, lb), (va, vb) = lit.chunk(2), valid.chunk(2)
        difference = vb * la - va * lb  # one reference alone disagrees with nobody
        apart = grey(difference.abs())
        times, given = offsets.view(n, 2, 1, 1), known * (1 - mask)

        pictures, covers = torch.cat((la - 0.5, lb - 0.5, apart), 1), motion.shrink(torch.cat((va, vb), 1), 2)
        disagreement = motion.mean(motion.shrink(apart, 2), 3) + 0.1 * (1 - covers[:, :1] * covers[:, 1:])
        if self.preset.synthesises:  # as where there is no frame
            pictures = torch.cat((torch.full_like(pictures[:, :6], -0.5), torch.zeros_like(apart)), 1)
            covers = torch.zeros_like(covers)
        judged, drawn = self.fusion(
            pictures,
            torch.cat((covers, times.expand_as(covers)), 1),
            motion.warp(torch.cat((a.f4, b.f4)), motion.shrink(flow2, 2) / 2),
            motion.warp(torch.cat((a.f8, b.f8)), flow8),
            motion8,
            turns,
            torch.cat((given, mask), 1),
        )
        # All that is decided is decided at 1/2. The nearer reference weighs more; on one side (a prediction) much more.
        power = torch.where(times[:, :1] * times[:, 1:] < 0, 1.0, 3.0)
        nearer = power * ((times[:, 1:].abs() + 1e-3) / (times[:, :1].abs() + 1e-3)).log()
        favour = judged[:, :1] - judged[:, 1:2] + upsample(steadier(turns), 4)
        scale = (0.5 * disagreement + 0.01).log() + judged[:, 3:]
        confidence = 1 / (1 + 50 * scale.clamp(-8, 2).exp())
        preferred = (nearer + favour).clamp(-SUREST, SUREST).sigmoid()
        preferred, confidence = upsample(torch.cat((preferred, confidence), 1)).chunk(2, 1)
        cover, both = torch.maximum(va, vb), vb + preferred * (va - vb)
        fused = (lb + preferred * (la - lb)) / both.clamp(min=1e-4)
        share = upsample(doubt(fused, difference))
        paint_more = judged[:, 2:3] * (1 - (covers[:, :1] - covers[:, 1:]).abs())  # one alone disagrees with nobody
        painted = upsample(((share / (1 - share)).log() + paint_more).sigmoid())
        painted = torch.maximum(painted, 0.998 - cover)
        paint = smooth(fused, cover, given, mask)
        if self.preset.synthesises:  # a picture of its own; of it a little where there is one to go on from
            imagined = 0.5 + even(shuffle(drawn, 2)).tanh()
            rgb = fused + (1 - (1 - IMAGINED) * cover) * (imagined - fused)
        elif self.preset.fine:
            detail = shuffle(torch.maximum(misfit, resampled(flow2)) * drawn, 2)
            rgb = fused + painted * (upsample(paint, 4) - fused) + (even(detail) if self.preset.perceptual else detail)
        else:
            rgb = fused + painted * (upsample(paint + drawn, 4) - fused)
        sure = preferred * va / both.clamp(min=1e-4)
        weights = torch.cat((sure * (1 - painted), (1 - sure) * (1 - painted), painted), 1)
        towards = torch.cat((flow[:n].flip(1), flow[n:].flip(1)), 1)
        warped = torch.cat((lit / valid.clamp(min=1e-3)).chunk(2), 1)
        return Render(rgb, confidence, upsample(scale), towards, weights, warped)

    def _unseen(self, features: Features) -> Features:
        """The same frame, as if nothing were learned from it."""
        f4, f8, f16 = self.encoder(torch.zeros_like(features.image))
        return features._replace(f4=f4, f8=f8, f16=f16)

    def _flow(
        self, a: Features, b: Features, state: State, offsets: Tensor, noise: Tensor, later: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Built-in motion, and on top of it what the heads correct, coarse to fine.

        The corrections come after all built-in steps. Put between them they would be pulled back by the next step,
        while their gradient knew nothing of it: a head then grows without effect until it breaks the search.

        Where a reference is seen and no other disagrees along the built-in motion, nothing is corrected: a still scene
        stays still to the last bit, whatever the heads have learned, and a lone reference is held. (A generator that
        synthesises corrects there, too.)

        Returns: flow towards a, then towards b, (2n, 2, H/2, W/2) as (dy, dx) in cells; hidden at 1/8; misfit of the
        built-in motion where corrections were made, (n, 1, H/2, W/2) or, if not fine, (n, 1, H/4, W/4), in 0..1, 1
        where not both references are seen.
        """
        ca, cb = motion.shares(offsets)
        with torch.no_grad():
            pictures = torch.cat((a.image, b.image))
            ya, yb = motion.luma(pictures[:, :3]).chunk(2)
            lost_a, lost_b = (1 - pictures[:, 3:]).chunk(2)
            luma = torch.cat((ya + lost_a * yb, yb + lost_b * ya))  # what one does not show stands still in it
            others: Sequence[tuple[Tensor, Tensor]] = ()
            if state.motion is not None and later is not None:
                others = path.going_on(state.motion, later, offsets, ca, cb)
            v16, v8, v4, v2 = motion.estimate(_evidence(a), _evidence(b), luma, ca, cb, self.preset.levels, others)

        def correct(
            head: FlowHead, fa: Tensor, fb: Tensor, v: Tensor, scale: float, so_far: Tensor, context: Tensor
        ) -> tuple[Tensor, Tensor]:
            flows = motion.sides(v, ca, cb) + torch.cat(so_far.chunk(2, 1))
            small = self._small(v * scale, so_far * scale, offsets.view(-1, 2, 1, 1).expand_as(v))
            hidden, change = head(motion.warp(torch.cat((fa, fb)), flows), small, context)
            return hidden, motion.double(so_far + change)

        context = self.state16(motion.warp(state.hidden, cb * v16)) + self.noise16(noise)
        none = torch.zeros_like(v16).repeat(1, 2, 1, 1)
        hidden, c = correct(self.head16, a.f16, b.f16, v16, 1 / 4, none, context)
        motion8, c = correct(self.head8, a.f8, b.f8, v8, 1 / 8, c, upsample(self.down16(hidden)))
        if self.preset.fine:
            _, c = correct(self.head4, a.f4, b.f4, v4, 1 / 16, c, upsample(self.down8(motion8)))
        built_in = motion.sides(v2, ca, cb)
        along, k, y = built_in, 2, torch.cat((a.y2, b.y2))
        if not self.preset.fine:
            along, k, y = motion.shrink(built_in, 2) / 2, 4, torch.cat((a.y4, b.y4))
        there = torch.cat((y[:, :1], motion.shrink(pictures[:, 3:], k)), 1)
        (ya, yb), (va, vb) = (side.chunk(2) for side in motion.warp(there, along).chunk(2, 1))
        apart, unseen = motion.mean((ya - yb).abs(), 5) / MISFIT, 1 - torch.maximum(va, vb)
        misfit = torch.maximum(apart, unseen).clamp(max=1)
        # How wrong a motion is between two frames says nothing of how things move beyond them.
        wrong = torch.maximum(apart * (ca * cb < 0), unseen).clamp(max=1)
        if self.preset.synthesises:
            misfit, wrong = torch.ones_like(misfit), torch.ones_like(wrong)
        c = wrong * c if self.preset.fine else motion.double(wrong * c)
        return built_in + torch.cat(c.chunk(2, 1)), motion8, misfit

    @staticmethod
    def _small(*maps: Tensor) -> Tensor:
        """Few maps beside each other, padded with zeros to SMALL channels."""
        x = torch.cat(maps, 1)
        return F.pad(x, (0, 0, 0, 0, 0, SMALL - x.shape[1]))
