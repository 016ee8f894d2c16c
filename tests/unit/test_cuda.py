"""The order of copies, and when host memory is used again, against a CUDA that does everything as late as it may."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("onnx", reason="fake bundles are made with onnx, of the export extra")

import elsewhere
import fakebundle

from vgan_plugin.bundle import store
from vgan_plugin.errors import OutOfMemory, PluginFailed
from vgan_plugin.runtime import bindings, cuda, providers, session
from vgan_plugin.runtime.session import GraphSessions


class Late:
    """A libcudart whose streams do nothing until somebody waits, and then no more than they must; or what they may, in
    any order, as `wander` lets them.
    """

    def __init__(self, *, at_once: bool = False) -> None:
        self.at_once = at_once
        self.fails: dict[str, int] = {}
        self.calls: list[str] = []
        self._memory: dict[int, Any] = {}
        self.queues: dict[int, list[Callable[[], None] | tuple[int, int]]] = {}
        self.done: dict[int, int] = {}
        self._events: dict[int, tuple[int, int]] = {}
        words = {2: b"out of memory", 700: b"an illegal memory access was encountered"}
        self.cudaGetErrorString = lambda status: words[status]

    def __getattr__(self, name: str) -> Callable[..., int]:
        does = {
            "cudaStreamCreateWithFlags": self._create,
            "cudaEventCreateWithFlags": self._event,
            "cudaMallocHost": self._lock,
            "cudaFreeHost": self._free,
            "cudaMemcpyAsync": self._copy,
            "cudaEventRecord": self._record,
            "cudaStreamWaitEvent": self._after,
            "cudaEventSynchronize": self._until,
            "cudaStreamSynchronize": self._all,
        }.get(name)

        def call(*arguments: Any) -> int:
            self.calls.append(name)
            if name in self.fails:
                return self.fails[name]
            if does is not None:
                does(*arguments)
            return 0

        return call

    def queue(self, handle: int, work: Callable[[], None] | tuple[int, int]) -> None:
        """A piece of work, or (stream, position): what must be done before."""
        self.queues[handle].append(work)
        if self.at_once:
            self.advance(handle, len(self.queues[handle]))

    def advance(self, handle: int, until: int) -> None:
        while self.done[handle] < until:
            work = self.queues[handle][self.done[handle]]
            if isinstance(work, tuple):
                self.advance(*work)
            else:
                work()
            self.done[handle] += 1

    def wander(self, rng: np.random.Generator) -> None:
        """The device does a few things, in an order of its own."""
        for _ in range(int(rng.integers(0, 6))):
            handle = int(rng.choice(list(self.queues)))
            if self.done[handle] < len(self.queues[handle]):
                work = self.queues[handle][self.done[handle]]
                if not isinstance(work, tuple) or self.done[work[0]] >= work[1]:
                    self.advance(handle, self.done[handle] + 1)

    def _create(self, handle: Any, _flags: int) -> None:
        handle._obj.value = 77 + len(self.queues)
        self.queues[handle._obj.value], self.done[handle._obj.value] = [], 0

    def _event(self, handle: Any, _flags: int) -> None:
        handle._obj.value = len(self._events) + 1
        self._events[handle._obj.value] = (77, 0)

    def _lock(self, pointer: Any, size: Any) -> None:
        memory = (ctypes.c_uint8 * size.value)()
        self._memory[ctypes.addressof(memory)] = memory
        pointer._obj.value = ctypes.addressof(memory)

    def _free(self, pointer: Any) -> None:
        del self._memory[pointer.value]

    def _copy(self, target: Any, source: Any, size: Any, _direction: int, stream: Any) -> None:
        self.queue(stream.value, lambda: ctypes.memmove(target.value, source.value, size.value) and None)

    def _record(self, event: Any, stream: Any) -> None:
        self._events[event.value] = stream.value, len(self.queues[stream.value])

    def _after(self, stream: Any, event: Any, _flags: int) -> None:
        self.queue(stream.value, self._events[event.value])

    def _until(self, event: Any) -> None:
        self.advance(*self._events[event.value])

    def _all(self, stream: Any) -> None:
        self.advance(stream.value, len(self.queues[stream.value]))


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 70), st.booleans(), st.booleans()), max_size=40),
    st.integers(1, 4),
    st.integers(0, 99),
)
def test_graphs_read_what_was_uploaded_and_downloads_what_they_made_however_late_or_early_the_device_is(
    steps: list[tuple[int, int, bool, bool]], places: int, seed: int
) -> None:
    late, rng = Late(), np.random.default_rng(seed)
    stream = cuda.Stream(late, 0, places)
    device, made = np.zeros((4, 70), np.uint8), []
    wanted, known = np.zeros((4, 70), np.uint8), [False] * 4
    landed: list[tuple[Callable[[], Any], Any]] = []
    for which, size, fetched, waits in steps:
        array = rng.integers(0, 256, size, np.uint8)
        stream.upload(array, device[which].ctypes.data, used=known[which])
        wanted[which][:size] = array
        array[:] = 0  # the caller's own again
        late.wander(rng)
        if rng.random() < 0.8:  # a graph runs, that adds one to what it reads
            made.append(np.zeros(70, np.uint8))  # memory of its own, as long as somebody holds it
            late.queue(stream.handle, lambda k=which, out=made[-1]: np.add(device[k], 1, out=out) is None)
            stream.ran([device[which].ctypes.data])
            known[which] = True
            if fetched:
                got = stream.download(made[-1].ctypes.data, (7, 10), np.dtype(np.uint8))
                landed.append((got, wanted[which] + np.uint8(1)))
        late.wander(rng)
        while len(landed) > 3 or (
            landed and (waits or any(landed))
        ):  # the maker holds what comes down until it is there
            got, then = landed.pop(0)
            np.testing.assert_array_equal(got().reshape(-1), then)
    stream.wait()
    np.testing.assert_array_equal(device, wanted)
    stream.close()
    assert not late._memory


def test_a_copy_down_does_not_hold_up_the_next_graph_nor_the_next_copy_up() -> None:
    late = Late()
    stream = cuda.Stream(late, 0)
    device, order = np.zeros((2, 8), np.uint8), []
    for name in ("first", "second"):
        stream.upload(np.arange(8, dtype=np.uint8), device[0].ctypes.data, used=name == "second")
        late.queue(stream.handle, lambda name=name: order.append(name))
        stream.ran([device[0].ctypes.data])
        if name == "first":
            coming = stream.download(device[1].ctypes.data, (8,), np.dtype(np.uint8))
    late.advance(stream.handle, len(late.queues[stream.handle]))
    assert order == ["first", "second"]
    down = [handle for handle in late.queues if late.queues[handle] and not late.done[handle]]
    assert len(down) == 1  # nothing of it is done yet
    coming()
    assert late.done[down[0]] == len(late.queues[down[0]])


def test_an_upload_waits_for_the_run_that_reads_its_place_and_for_no_later_one() -> None:
    late = Late()
    stream = cuda.Stream(late, 0)
    device, order = np.zeros(8, np.uint8), []
    stream.upload(np.arange(8, dtype=np.uint8), device.ctypes.data)
    late.queue(stream.handle, lambda: order.append("reads"))
    stream.ran([device.ctypes.data])
    late.queue(stream.handle, lambda: order.append("long"))
    stream.upload(np.arange(8, dtype=np.uint8), device.ctypes.data, used=True)
    up = max(late.queues, key=lambda handle: len(late.queues[handle]) if handle != stream.handle else 0)
    late.advance(up, len(late.queues[up]))
    assert order == ["reads"]


def test_the_host_waits_for_a_place_only_when_all_are_on_their_way() -> None:
    late = Late()
    stream = cuda.Stream(late, 0, 3)
    device, array = np.zeros(8, np.uint8), np.arange(8, dtype=np.uint8)
    for _ in range(3):
        stream.upload(array, device.ctypes.data)
    assert not {"cudaEventSynchronize", "cudaStreamSynchronize"} & set(late.calls)
    stream.upload(array, device.ctypes.data)
    assert late.calls.count("cudaEventSynchronize") == 1
    up = next(handle for handle in late.queues if handle != stream.handle and late.queues[handle])
    assert late.done[up] == 2  # of four copies, each after what it waits for, the first alone


@pytest.mark.parametrize("fails", ["cudaSetDevice", "cudaStreamCreateWithFlags", "cudaEventCreateWithFlags"])
def test_where_cuda_has_no_stream_to_give_the_reason_is_a_sentence(fails: str, monkeypatch: pytest.MonkeyPatch) -> None:
    late = Late()
    late.fails = {fails: 700}
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: late)
    found = cuda.stream(0)
    assert isinstance(found, str)
    assert f"{fails}: an illegal memory access was encountered (700)" in found


def test_a_library_that_is_missing_or_another_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    assert "does not serve" in str(cuda.stream(0))
    monkeypatch.undo()
    monkeypatch.setattr(cuda.onnxruntime, "cuda_version", "99.0")
    assert "99" in str(cuda.stream(0))


@pytest.fixture
def queued(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> tuple[GraphSessions, Late]:
    late = Late(at_once=True)  # the CPU, which stands in for the device, runs graphs at once
    stream = cuda.Stream(late, 0)
    monkeypatch.setattr(session.cuda, "stream", lambda _index: stream)
    return elsewhere.sessions(store.load(fakebundle.make(tmp_path_factory.mktemp("b") / "fake"))), late


def chain(sessions: GraphSessions) -> Any:
    state: Any = np.zeros((1, 3, 4, 6), np.float32)
    for seed in range(4):
        frame = np.random.default_rng(seed).random((1, 3, 8, 12), dtype=np.float32)
        features = sessions.run("encode", {"frame": frame})["features"]
        state = sessions.run("remember", {"features": features, "state": state})["state_out"]
    return sessions.run("render", {"state": state, "offsets": np.array([[-1, 1]], np.float32)})["rgb"]


def test_a_chain_of_graphs_is_waited_for_once_and_gives_what_plain_runs_give(
    queued: tuple[GraphSessions, Late], monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions, late = queued
    runs: list[Any] = []
    options = bindings.onnxruntime.RunOptions
    monkeypatch.setattr(bindings.onnxruntime, "RunOptions", lambda: runs.append(options()) or runs[-1])
    made = chain(sessions)
    assert len(runs) == 9
    assert {run.get_run_config_entry("disable_synchronize_execution_providers") for run in runs} == {"1"}
    assert not {"cudaEventSynchronize", "cudaStreamSynchronize"} & set(late.calls)
    got = sessions.to_numpy(made)
    plain = GraphSessions(sessions.bundle, "cpu", threads=1)
    np.testing.assert_array_equal(got, plain.to_numpy(chain(plain)))
    assert sessions.provenance["provider"]["waits"] == ""
    sessions.close()
    assert late.calls[-1] == "cudaStreamDestroy"
    assert late.calls.index("cudaStreamSynchronize") < late.calls.index("cudaEventDestroy")
    assert not late._memory


@pytest.mark.parametrize(("status", "kind"), [(2, OutOfMemory), (700, PluginFailed)])
def test_what_fails_on_the_device_later_is_one_sentence_when_it_is_waited_for(
    queued: tuple[GraphSessions, Late], status: int, kind: type[Exception]
) -> None:
    sessions, late = queued
    made = chain(sessions)
    late.fails = {"cudaEventSynchronize": status, "cudaStreamSynchronize": status}
    with pytest.raises(kind, match=r"failed on cuda:0"):
        sessions.to_numpy(made)
    with pytest.raises(kind):
        sessions.wait()
    sessions.close()


def test_every_session_of_a_device_stands_in_its_stream() -> None:
    (_, alone), _ = providers.Device("cuda").providers()
    (_, queued), _ = providers.Device("cuda").providers(77)
    assert "user_compute_stream" not in alone
    assert queued["user_compute_stream"] == "77"


def test_a_size_goes_only_when_all_that_was_queued_for_it_is_done(queued: tuple[GraphSessions, Late]) -> None:
    sessions, late = queued
    for side in (8, 16, 24):
        sessions.run("encode", {"frame": np.zeros((1, 3, side, side), np.float32)})
    assert "cudaStreamSynchronize" not in late.calls
    sessions.run("encode", {"frame": np.zeros((1, 3, 32, 32), np.float32)})
    assert late.calls.count("cudaStreamSynchronize") == 3  # what goes up, the graphs, what comes down


def test_without_a_stream_everything_runs_as_before_and_says_why(tmp_path: Any) -> None:
    sessions = elsewhere.sessions(store.load(fakebundle.make(tmp_path / "fake")))
    assert sessions.to_numpy(chain(sessions)).shape == (1, 3, 8, 12)
    assert "does not serve" in sessions.provenance["provider"]["waits"]
