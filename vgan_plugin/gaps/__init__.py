"""Events, targets and plans: what the detectors saw, and which frames to make from which others.

Values and pure functions; nothing here touches a pixel. A *plan* is complete: with it and a stream of frames, the
engine needs no further decision.
"""

from vgan_plugin.gaps.document import event_to_json, plan_from_json, plan_to_json, rational, unrepaired_to_json
from vgan_plugin.gaps.extension import MOST, extension_plan
from vgan_plugin.gaps.rate import interpolation_plan
from vgan_plugin.gaps.repair import plan_gaps
from vgan_plugin.gaps.values import Box, Event, GapPolicy, Kind, Plan, Target, Unrepaired

__all__ = [
    "MOST",
    "Box",
    "Event",
    "GapPolicy",
    "Kind",
    "Plan",
    "Target",
    "Unrepaired",
    "event_to_json",
    "extension_plan",
    "interpolation_plan",
    "plan_from_json",
    "plan_gaps",
    "plan_to_json",
    "rational",
    "unrepaired_to_json",
]
