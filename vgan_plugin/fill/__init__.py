"""The whole product: a plan, frames and a generator meet here and nowhere else.

`engine` makes one target, `lanes` several side by side, `stream` merges what is kept with what is made, `background`
finds what other frames show of the hidden parts of one, `inpaint` makes frames with holes whole, `conceal` those that
come late, `gap` is the host's stateless call.
"""

from vgan_plugin.fill.background import Steps
from vgan_plugin.fill.conceal import Concealer
from vgan_plugin.fill.engine import Engine, Filled, Order, Say
from vgan_plugin.fill.gap import fill_gap, fill_gap_once
from vgan_plugin.fill.inpaint import Inpainter, Scene, inpaint_stream, mend_stream, start_of
from vgan_plugin.fill.lanes import Line
from vgan_plugin.fill.stream import Item, Record, fill_stream

__all__ = [
    "Concealer",
    "Engine",
    "Filled",
    "Inpainter",
    "Item",
    "Line",
    "Order",
    "Record",
    "Say",
    "Scene",
    "Steps",
    "fill_gap",
    "fill_gap_once",
    "fill_stream",
    "inpaint_stream",
    "mend_stream",
    "start_of",
]
