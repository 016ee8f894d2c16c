"""A generator's queue of work on a CUDA device: the host goes on while it is done. Two generators have two, which the
device works on at once.

Graphs stand in one stream, in turn; what goes up and what comes down has a stream of its own, so that copies overlap
with graphs. An upload waits for the run that last read where it goes to, graphs wait for the uploads before them, and a
download for the graphs before it: for each there is an event, and the host waits for none of them. Of host memory an
upload reads later, and a download writes: it lies in page-locked places, each with an event that says when it may be
used again. The host waits for a place of the ring, and for what it downloads; nowhere else.
"""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Callable, Iterable
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
    """The streams of a generator on one device.

    Args:
        library: the CUDA runtime, as ctypes loads it.
        index: which device.
        places: uploads on their way at once.

    Attributes:
        handle: of the stream in which the graphs stand.

    Raises:
        RuntimeError: CUDA refuses.
    """

    def __init__(self, library: Any, index: int, places: int = PLACES) -> None:
        self._library, self._index = library, index
        self._use()
        self.handle, self._up, self._down = (self._stream() for _ in range(3))
        self._ring = [_Place(self) for _ in range(places)]
        self._next = 0
        self._landings: list[_Place] = []
        self._so_far = self.event()
        self._read: dict[int, ctypes.c_void_p] = {}  # by address on the device: after the last run that read it

    def upload(self, array: NDArray[Any], address: int, *, used: bool = False) -> None:
        """Queue a copy to device memory. The array may change at once.

        Args:
            array: what to copy.
            address: where to.
            used: whether it is known what reads this memory, since `ran` has said so; if not, the copy comes after
                everything queued so far.

        Raises:
            RuntimeError: CUDA refuses, or an earlier piece of work failed.
        """
        self._use()
        place = self._ring[self._next]
        self._next = (self._next + 1) % len(self._ring)
        place.wait()
        place.hold(array.nbytes)[:] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        read = self._read.get(address) if used else None
        if read is None:
            self.record(read := self._so_far, self.handle)
        self._after(self._up, read)
        self._copy(address, place.address, array.nbytes, _UP, self._up)
        place.mark(self._up)
        self._after(self.handle, place.event)

    def ran(self, addresses: Iterable[int]) -> None:
        """A graph that reads this memory was queued just now."""
        self._use()
        for address in addresses:
            if address not in self._read:
                self._read[address] = self.event()
            self.record(self._read[address], self.handle)

    def download(self, address: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Callable[[], NDArray[Any]]:
        """Queue a copy from device memory, which comes after every graph queued so far.

        Returns: waits for it, and gives it; raises as this does. Until then the memory must be held.

        Raises:
            RuntimeError: CUDA refuses, or an earlier piece of work failed.
        """
        self._use()
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        place = self._landings.pop() if self._landings else _Place(self)
        held = place.hold(size)
        self.record(self._so_far, self.handle)
        self._after(self._down, self._so_far)
        self._copy(place.address, address, size, _DOWN, self._down)
        place.mark(self._down)

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
        for event in (self._so_far, *self._read.values()):
            self._call("cudaEventDestroy", event)
        for handle in (self.handle, self._up, self._down):
            self._call("cudaStreamDestroy", ctypes.c_void_p(handle))

    def wait(self) -> None:
        """Until everything queued is done.

        Raises:
            RuntimeError: some of it failed.
        """
        self._use()
        for handle in (self._up, self.handle, self._down):
            self._call("cudaStreamSynchronize", ctypes.c_void_p(handle))

    def event(self) -> ctypes.c_void_p:
        """A new event that measures nothing."""
        event = ctypes.c_void_p()
        self._call("cudaEventCreateWithFlags", ctypes.byref(event), _NO_TIMING)
        return event

    def record(self, event: ctypes.c_void_p, handle: int) -> None:
        """Let the event stand for everything queued in a stream so far."""
        self._call("cudaEventRecord", event, ctypes.c_void_p(handle))

    def _stream(self) -> int:
        handle = ctypes.c_void_p()
        self._call("cudaStreamCreateWithFlags", ctypes.byref(handle), _NON_BLOCKING)
        return handle.value or 0

    def _after(self, handle: int, event: ctypes.c_void_p) -> None:
        """What is queued in a stream from now on comes after what the event stands for now."""
        self._call("cudaStreamWaitEvent", ctypes.c_void_p(handle), event, 0)

    def _use(self) -> None:
        self._call("cudaSetDevice", self._index)  # of the calling thread

    def _copy(self, target: int, source: int, size: int, direction: int, handle: int) -> None:
        pointers = ctypes.c_void_p(target), ctypes.c_void_p(source)
        self._call("cudaMemcpyAsync", *pointers, ctypes.c_size_t(size), direction, ctypes.c_void_p(handle))

    def _call(self, function: str, *arguments: Any) -> None:
        status = getattr(self._library, function)(*arguments)
        if status:
            words = self._library.cudaGetErrorString(status) or b"unknown error"
            raise RuntimeError(f"{function}: {words.decode(errors='replace')} ({status})")


class _Place:
    """Page-locked host memory, and an event after the last copy that read or wrote it."""

    def __init__(self, stream: Stream) -> None:
        self._stream, self.event = stream, stream.event()
        self._memory = ctypes.c_void_p()
        self._size = 0
        self._busy = False

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
        self._stream._call("cudaEventDestroy", self.event)
        if self._memory.value:
            self._stream._call("cudaFreeHost", self._memory)

    def mark(self, handle: int) -> None:
        """A copy that uses it was queued in a stream just now."""
        self._stream.record(self.event, handle)
        self._busy = True

    def wait(self) -> None:
        """Until that copy is done."""
        if self._busy:
            self._stream._call("cudaEventSynchronize", self.event)
            self._busy = False


def stream(index: int) -> Stream | str:
    """New streams of a device. A text: why there are none."""
    major = (re.findall(r"\d+", str(onnxruntime.cuda_version)) or [""])[0]
    name = f"cudart64_{major}.dll" if sys.platform == "win32" else f"libcudart.so.{major}"
    try:
        library = ctypes.CDLL(name)
        library.cudaGetErrorString.restype = ctypes.c_char_p
        return Stream(library, index)
    except (OSError, AttributeError, RuntimeError) as error:
        return f"{name} does not serve: {' '.join(str(error).split())[:200]}"
