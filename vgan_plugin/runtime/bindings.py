"""One session whose values stay on the device: every input and output is bound to memory that is there already.

What comes from the host goes to one place an input; what a run gives lies in memory that an earlier run gave and nobody
holds any more. So a stream of frames soon uses the same few places in turn, and a CUDA graph can be captured for each
combination of them: a captured graph reads and writes the addresses that it has seen, and no others.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime import OrtValue

from vgan_plugin.bundle.signature import Graph, Tensor
from vgan_plugin.runtime.cuda import Stream
from vgan_plugin.runtime.providers import Device

MOST_CAPTURED = 16
"""Combinations of places that a session captures a CUDA graph for; others run as they are. Each needs some memory."""
_NOT_CAPTURED = -1


def upload(value: NDArray[Any], device: Device, stream: Stream | None, place: OrtValue | None = None) -> OrtValue:
    """A copy of an array on the device, in `place` if that is given, of which the stream knows what reads it."""
    used = place is not None
    place = place or OrtValue.ortvalue_from_shape_and_type(list(value.shape), value.dtype, *device.memory)
    if stream is None:
        place.update_inplace(np.ascontiguousarray(value))
    else:
        stream.upload(value, place.data_ptr(), used=used)
    return place


class Bound:
    """A session on a device.

    Args:
        session: of ONNX Runtime, with every dimension fixed.
        spec: its signature.
        sizes: values of the signature's symbols.
        device: where it runs; `device.captures` says whether CUDA graphs are captured.
        stream: that the session was opened with. Runs stand in line there, and are not waited for.
    """

    def __init__(
        self, session: Any, spec: Graph, sizes: Mapping[str, int], device: Device, stream: Stream | None = None
    ) -> None:
        self._session, self._spec, self._device, self._stream = session, spec, device, stream
        self._shapes = {tensor.name: tensor.resolve(sizes) for tensor in (*spec.inputs, *spec.outputs)}
        self._places: dict[str, OrtValue] = {}
        self._free: dict[str, list[Any]] = {tensor.name: [] for tensor in spec.outputs}
        self.captured: dict[tuple[int, ...], int] = {}

    def run(self, inputs: Mapping[str, NDArray[Any] | OrtValue]) -> list[OrtValue]:
        """Run once.

        Args:
            inputs: by name, of the signature's shapes and dtypes; values on the device go in as they are.

        Returns:
            the outputs, on the device; each has its memory for itself as long as it is held.
        """
        given = [self._placed(tensor.name, inputs[tensor.name]) for tensor in self._spec.inputs]
        outputs = [self._leased(tensor) for tensor in self._spec.outputs]
        binding = self._session.io_binding()
        for tensor, value in zip(self._spec.inputs, given, strict=True):
            binding.bind_ortvalue_input(tensor.name, value)
        for tensor, value in zip(self._spec.outputs, outputs, strict=True):
            binding.bind_ortvalue_output(tensor.name, value)
        options = onnxruntime.RunOptions()
        if self._stream is not None:
            options.add_run_config_entry("disable_synchronize_execution_providers", "1")
        if self._device.captures:
            places = tuple(value.data_ptr() for value in (*given, *outputs))
            options.add_run_config_entry("gpu_graph_id", str(self._graph_of(places)))
        self._session.run_with_iobinding(binding, options)
        if self._stream is not None:
            self._stream.ran(place.data_ptr() for place in self._places.values())
        return outputs

    def _placed(self, name: str, value: NDArray[Any] | OrtValue) -> OrtValue:
        """On the device. The place is used again: the last run, which read it, is over, or before it in line."""
        if not isinstance(value, np.ndarray):
            return value
        self._places[name] = upload(value, self._device, self._stream, self._places.get(name))
        return self._places[name]

    def _leased(self, tensor: Tensor) -> OrtValue:
        """Memory for an output, which comes back when its holder lets go of it."""
        free = self._free[tensor.name]
        if free:
            memory = free.pop()
        else:
            shape, dtype = list(self._shapes[tensor.name]), np.dtype(tensor.dtype)
            memory = OrtValue.ortvalue_from_shape_and_type(shape, dtype, *self._device.memory)._get_c_value()
        value = OrtValue(memory)  # a handle of the holder's own, whose end can be watched
        weakref.finalize(value, free.append, memory)
        return value

    def _graph_of(self, places: tuple[int, ...]) -> int:
        if places not in self.captured and len(self.captured) >= MOST_CAPTURED:
            return _NOT_CAPTURED
        return self.captured.setdefault(places, len(self.captured) + 1)
