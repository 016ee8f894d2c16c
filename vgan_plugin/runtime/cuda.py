"""A generator's queue of work on a CUDA device: graphs, uploads and downloads stand in it in turn, and the host goes on
meanwhile. Two generators have two, which the device works on at once.

What is in a stream starts when all before it is done, so that a place on the device may be written to again as soon as
whatever reads it is queued. Only host memory needs care: an upload reads it later. It lies in a ring of page-locked
places, each with an event that says when it may be filled again. The host waits for a place of the ring, and for what
it downloads; nowhere else.
"""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

PLACES = 8
"""Uploads on their way at once: the planes of a frame or two, and a few numbers."""
_UP, _DOWN = 1, 2  # cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost
_NON_BLOCKING = 1  # a stream that does not wait for the default one
_NO_TIMING = 2  # an event that measures nothing, and costs less


class Stream:
    """A stream of one device.

    Args:
        library: the CUDA runtime, as ctypes loads it.
        index: which device.
        places: uploads on their way at once.

    Raises:
        RuntimeError: CUDA refuses.
    """

    def __init__(self, library: Any, index: int, places: int = PLACES) -> None:
        self._library, self._index = library, index
        self._use()
        handle = ctypes.c_void_p()
        self._call("cudaStreamCreateWithFlags", ctypes.byref(handle), _NON_BLOCKING)
        self.handle = handle.value or 0
        self._ring = [_Place(self) for _ in range(places)]
        self._next = 0
        self._landings: list[_Place] = []

    def upload(self, array: NDArray[Any], address: int) -> None:
        """Queue a copy to device memory. The array may change at once.

        Raises:
            RuntimeError: CUDA refuses, or an earlier piece of work failed.
        """
        self._use()
        place = self._ring[self._next]
        self._next = (self._next + 1) % len(self._ring)
        place.wait()
        place.hold(array.nbytes)[:] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        self._copy(address, place.address, array.nbytes, _UP)
        place.mark()

    def download(self, address: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Callable[[], NDArray[Any]]:
        """Queue a copy from device memory, which comes after everything queued so far.

        Returns: waits for it, and gives it; raises as this does.

        Raises:
            RuntimeError: CUDA refuses, or an earlier piece of work failed.
        """
        self._use()
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        place = self._landings.pop() if self._landings else _Place(self)
        held = place.hold(size)
        self._copy(place.address, address, size, _DOWN)
        place.mark()

        def landed() -> NDArray[Any]:
            self._use()
            place.wait()
            found = held.copy().view(dtype).reshape(shape)
            self._landings.append(place)
            return found

        return landed

    def close(self) -> None:
        """Free everything. Nobody uses it any more.

        Raises:
            RuntimeError: CUDA refuses.
        """
        self._use()
        for place in (*self._ring, *self._landings):
            place.free()
        self._call("cudaStreamDestroy", ctypes.c_void_p(self.handle))

    def wait(self) -> None:
        """Until everything queued is done.

        Raises:
            RuntimeError: some of it failed.
        """
        self._use()
        self._call("cudaStreamSynchronize", ctypes.c_void_p(self.handle))

    def _use(self) -> None:
        self._call("cudaSetDevice", self._index)  # of the calling thread

    def _copy(self, target: int, source: int, size: int, direction: int) -> None:
        pointers = ctypes.c_void_p(target), ctypes.c_void_p(source)
        self._call("cudaMemcpyAsync", *pointers, ctypes.c_size_t(size), direction, ctypes.c_void_p(self.handle))

    def _call(self, function: str, *arguments: Any) -> None:
        status = getattr(self._library, function)(*arguments)
        if status:
            words = self._library.cudaGetErrorString(status) or b"unknown error"
            raise RuntimeError(f"{function}: {words.decode(errors='replace')} ({status})")


class _Place:
    """Page-locked host memory, and an event after the last copy that read or wrote it."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._event = ctypes.c_void_p()
        self._memory = ctypes.c_void_p()
        self._size = 0
        self._busy = False
        stream._call("cudaEventCreateWithFlags", ctypes.byref(self._event), _NO_TIMING)

    @property
    def address(self) -> int:
        return self._memory.value or 0

    def hold(self, size: int) -> NDArray[np.uint8]:
        """As bytes, so many; what was there before is lost. Nobody may be using it."""
        if size > self._size:
            if self._memory.value:
                self._stream._call("cudaFreeHost", self._memory)
            self._memory, self._size = ctypes.c_void_p(), 0
            self._stream._call("cudaMallocHost", ctypes.byref(self._memory), ctypes.c_size_t(size))
            self._size = size
        if not size:
            return np.empty(0, np.uint8)
        held: NDArray[np.uint8] = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(self.address))
        return held

    def free(self) -> None:
        """Give the memory back."""
        self._stream._call("cudaEventDestroy", self._event)
        if self._memory.value:
            self._stream._call("cudaFreeHost", self._memory)

    def mark(self) -> None:
        """A copy that uses it was queued just now."""
        self._stream._call("cudaEventRecord", self._event, ctypes.c_void_p(self._stream.handle))
        self._busy = True

    def wait(self) -> None:
        """Until that copy is done."""
        if self._busy:
            self._stream._call("cudaEventSynchronize", self._event)
            self._busy = False


def stream(index: int) -> Stream | str:
    """A stream of a device. A text: why there is none."""
    major = (re.findall(r"\d+", str(onnxruntime.cuda_version)) or [""])[0]
    name = f"cudart64_{major}.dll" if sys.platform == "win32" else f"libcudart.so.{major}"
    try:
        library = ctypes.CDLL(name)
        library.cudaGetErrorString.restype = ctypes.c_char_p
        return Stream(library, index)
    except (OSError, AttributeError, RuntimeError) as error:
        return f"{name} does not serve: {' '.join(str(error).split())[:200]}"
