"""PyAV's values as ours, whichever PyAV it is."""

from fractions import Fraction

import av
import pytest

from vgan_plugin.media.frames import frac


class Rational:
    """As PyAV 19's: no Fraction, never None; what is unset is 0/1 and false."""

    def __init__(self, numerator: int, denominator: int) -> None:
        self.numerator, self.denominator = numerator, denominator

    def __bool__(self) -> bool:
        return bool(self.numerator)


@pytest.mark.parametrize(
    ("value", "ours"),
    [
        (None, None),
        (Fraction(1001, 24000), Fraction(1001, 24000)),
        (Rational(1001, 24000), Fraction(1001, 24000)),
        (Rational(0, 1), None),
        (av.VideoFrame(16, 16, "yuv420p").time_base, None),
        (av.CodecContext.create("ffv1", "w").framerate, None),
    ],
)
def test_a_rational_of_either_pyav_is_a_fraction_and_an_unset_one_is_none(value, ours):
    assert frac(value) == ours
    assert value is None or ours is None or type(frac(value)) is Fraction
