"""Options that several commands share: one name, one meaning, one help text."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import click

from vgan_plugin.cli.output import Output
from vgan_plugin.errors import UsageError
from vgan_plugin.types import OpenRequest

Command = Callable[..., Any]
QUALITIES = {"best": "base", "fast": "lite"}
"""`--quality` and the bundle it stands for."""
_RANGE = re.compile(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?")
_NTSC = tuple(Fraction(whole * 1000, 1001) for whole in (15, 24, 30, 48, 60, 120, 240))
_NEAR = Fraction(5, 1000)
"""23.98 is as far from 24000/1001 as people round."""
_RATIONAL = re.compile(r"(\d{1,9})(?:[/:](\d{1,9}))?|(\d{0,9}\.\d{1,9})")


def file_path(text: str) -> Path:
    """A path; whether it can be read or written is for the command to say."""
    if not text or "\0" in text:
        raise click.BadParameter("an empty path")
    return Path(text)


def ranges(text: str) -> tuple[tuple[int, int], ...]:
    """``120-124,300``, source indices from 0, as pairs (first, last), both included."""
    pairs = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part)
        if not match or int(match[2] or match[1]) < int(match[1]):
            raise click.BadParameter(f"{part!r} is neither an index nor a range such as 120-124")
        pairs.append((int(match[1]), int(match[2] or match[1])))
    return tuple(pairs)


def key_value(text: str) -> tuple[str, str]:
    """``K=V`` as (K, V)."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise click.BadParameter(f"{text!r} is not of the form K=V")
    return key, value


def parse_rate(text: str) -> tuple[Fraction, bool]:
    """A rate in frames a second, and whether it was snapped to the NTSC ratio that its decimal stands for.

    Raises:
        click.BadParameter: it is not a positive rate such as 60, 60000/1001 or 59.94.
    """
    match = _RATIONAL.fullmatch(text.strip())
    whole = match and not match[3]
    parts = (int(match[1]), int(match[2] or 1)) if match and whole else (0, 0)
    rate = Fraction(match[3]) if match and match[3] else Fraction(parts[0], parts[1] or 1)
    if rate <= 0 or (whole and not parts[1]):
        raise click.BadParameter(f"{text!r} is not a rate such as 60, 60000/1001 or 59.94", param_hint="--rate")
    near = [exact for exact in _NTSC if abs(rate - exact) < _NEAR and not whole and rate.denominator > 2]
    return (near[0], True) if near else (rate, False)


def chain(*decorators: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several decorators as one, the first one outermost."""
    return lambda command: functools.reduce(lambda inner, decorate: decorate(inner), reversed(decorators), command)


class Number(click.FloatRange):
    """A number in a range. NaN, which click lets through because it compares false to both ends, is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is not in the range {self._describe_range()}", param, ctx)
        return number


streams = chain(
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object, also on failure."),
    click.option("--quiet", "-q", is_flag=True, help="Say nothing but errors."),
    click.option("--verbose", "-v", is_flag=True, help="Say more."),
)
generator = chain(
    click.option("--model", metavar="NAME|PATH", help="Bundle to use.  [default: what --quality says]"),
    click.option(
        "--quality", type=click.Choice(list(QUALITIES)), help="best: bundle base; fast: bundle lite.  [default: best]"
    ),
    click.option("--generator", metavar="NAME", help="Generator to use, for example blend.  [default: the model's]"),
    click.option("--device", metavar="auto|cpu|cuda|cuda:N", default="auto", show_default=True, help="Where to run."),
    click.option(
        "--min-confidence",
        type=Number(0, 1),
        default=0.0,
        show_default=True,
        help="Frames less sure than this become repeats, and are named.",
    ),
)
encoder = chain(
    click.option("--codec", metavar="NAME", help="Encoder, as FFmpeg names it.  [default: the source's family]"),
    click.option("--codec-option", metavar="K=V", type=key_value, multiple=True, help="Option of the encoder."),
    click.option("--overwrite", "-y", is_flag=True, help="Replace an existing output."),
    click.option(
        "--report", metavar="R.json|R.html", type=file_path, help="Write what was found and made; as HTML, to look at."
    ),
)
planning = chain(
    click.option("--plan", metavar="P.json", type=file_path, help="Use this plan, as `vgan scan --json` prints it."),
    click.option("--at", metavar="120-124,300", type=ranges, help="Make these frames anew, too."),
    click.option("--max-gap", metavar="N", type=click.IntRange(min=1), help="Longest gap made.  [default: 24 or 1 s]"),
)


def open_request(options: dict[str, Any]) -> OpenRequest:
    """What `generator` options ask for.

    Raises:
        UsageError: a model and a quality, which is a choice of model.
    """
    model, quality = options["model"], options["quality"]
    if model is not None and quality is not None:
        raise UsageError("--quality cannot be combined with --model", "it chooses the model", "leave out one of them")
    return OpenRequest(
        generator=options["generator"], model=model or QUALITIES[quality or "best"], device=options["device"]
    )


def output_of(options: dict[str, Any]) -> Output:
    """What `streams` options ask for."""
    return Output(json=options["as_json"], quiet=options["quiet"], verbose=options["verbose"])
