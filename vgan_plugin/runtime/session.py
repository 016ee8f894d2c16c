"""Runs a bundle's graphs: one prepared session per graph and size, named tensors in, named tensors out.

On the CPU, values are NumPy arrays: a plain run copies no more than prepared bindings do (measured: equal CPU time at
1920x1088). On CUDA, outputs stay on the device as OrtValues and go into the next graph as they are (see `bindings`);
only what `to_numpy` is asked for visits the host.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime import OrtValue
from onnxruntime.capi import onnxruntime_pybind11_state as native

from vgan_plugin.bundle.signature import Graph, Tensor
from vgan_plugin.bundle.store import Bundle
from vgan_plugin.errors import BundleError, BundleGraph, DeviceMissing, OutOfMemory, PluginFailed
from vgan_plugin.runtime import cuda
from vgan_plugin.runtime.bindings import Bound, upload
from vgan_plugin.runtime.providers import Device, choose, physical_cores

Value: TypeAlias = NDArray[Any] | OrtValue
"""A tensor: a NumPy array, or a value that stays on the device."""
Run: TypeAlias = Callable[[Mapping[str, Value]], list[Value]]
"""An opened graph: inputs by name to outputs in order."""

_FAST = {"cpu": "int8", "cuda": "fp16"}
"""What each kind of device is fastest in."""
_LITTLE = 2.0
"""GFLOP of a frame below which one CPU thread is the fastest: between many small nodes a second one mostly waits."""
_CONSTANTS = 16
"""Constant arrays whose copies on the device are kept."""
_TYPES = {
    "float32": "tensor(float)",
    "float16": "tensor(float16)",
    "uint8": "tensor(uint8)",
    "uint16": "tensor(uint16)",
    "int64": "tensor(int64)",
    "bool": "tensor(bool)",
}
_DTYPES = {name: dtype for dtype, name in _TYPES.items()}
# ONNX Runtime's errors share no base class but Exception; these are what a wrong graph or a failing device raise.
_ERRORS = (
    native.DeviceReset,
    native.EPFail,
    native.EngineError,
    native.Fail,
    native.InvalidArgument,
    native.InvalidGraph,
    native.InvalidProtobuf,
    native.NoModel,
    native.NoSuchFile,
    native.NotFound,
    native.NotImplemented,
    native.RuntimeException,
    RuntimeError,
    MemoryError,
)
_FULL = re.compile(r"out of memory|failed to allocate|bad[ _]alloc|allocation failed|ALLOC_FAILED", re.IGNORECASE)
"""What ONNX Runtime, CUDA, cuBLAS and cuDNN say when there is no memory left."""
_QUEUED = 2
"""Frames that are made at once on a GPU: one is waited for while the next one's graphs are being started."""
_locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
"""One lock a device for the whole process: a run uses all of it, so two at once would only be slower. On a CPU with
several lanes a run uses its share, and the lock is for opening graphs alone.
"""


class GraphSessions:
    """The graphs of one bundle on one device, opened when a size is first met.

    Attributes:
        bundle: the verified bundle.
        device: where and how it runs, and why so when more was hoped for (`device.fallback`).
        precision: what the graphs compute in, ``fp32`` or ``fp16``.
        graphs: their signatures.
        threads: CPU threads a session uses.
        lanes: how many runs there may be at once, which share the threads; may be lowered before the first run.
    """

    def __init__(
        self,
        bundle: Bundle,
        device: str = "auto",
        threads: int | None = None,
        precision: str | None = None,
        sizes: int = 3,
        lanes: int | None = 1,
    ) -> None:
        """Choose the device; nothing is loaded yet.

        Args:
            bundle: what `bundle.store.load` gave.
            device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
            threads: CPU threads; None = physical cores, and one for frames that are little work.
            precision: what to compute in; None = what the device is fastest in, if the bundle has such graphs. The CPU
                computes halves in single precision, and rounds them: that is slower, and shows what a GPU gives.
            sizes: how many sizes stay loaded; the least recently used one goes.
            lanes: runs that callers will have at once; None = as many as pay: on the CPU one a thread.

        Raises:
            BundleError: the bundle has no graphs of that precision.
            VganError: as `providers.choose`.
        """
        self.bundle = bundle
        known = bundle.manifest.precisions
        if precision not in (None, *known):
            raise BundleError(
                f"Bundle {bundle.manifest.name!r} does not run in {precision}",
                f"its graphs compute in {' or '.join(known)}",
                "leave the precision out",
            )
        self.device: Device = choose(device)
        fast = _FAST[self.device.kind]
        self.precision = precision or (fast if fast in known else known[0])
        self.graphs = dict(bundle.manifest.graphs_in(self.precision))
        self._added: dict[str, bytes] = {}
        self._asked = threads
        self.threads = threads or physical_cores()
        most = self.threads if self.device.kind == "cpu" else 1 if self.device.captures else _QUEUED
        self.lanes = most if lanes is None else min(lanes, most)
        self._kept = sizes
        self._sessions: OrderedDict[tuple[int, int], dict[tuple[str, int], Run]] = OrderedDict()
        self._nodes: dict[str, Counter[str]] = {}
        self._elsewhere: dict[str, Counter[str]] = {}
        self._constants: OrderedDict[int, tuple[NDArray[Any], Value]] = OrderedDict()
        found = cuda.stream(self.device.index) if self.device.kind == "cuda" else None
        self._stream, self._waits = (None, found) if isinstance(found, str) else (found, "")
        # While a CUDA graph is captured, nothing else in the process may use CUDA, be it another device.
        self._lock = _locks["cuda" if self.device.captures else self.device.name]

    def prepare(self, height: int, width: int) -> None:
        """Open every graph for a size (multiples of the stride) with one target a call.

        Call it before the first frame: a graph that does not load, or a device that fails, is an error then.

        Raises:
            BundleGraph: a graph does not load, or is not what the manifest says.
            DeviceMissing: the session did not get the device.
        """
        with self._lock:
            for name in self.graphs:
                self._session(name, {"H": height, "W": width, "N": 1})

    def add(self, name: str, spec: Graph, data: bytes) -> None:
        """Take in a graph that is not the bundle's: it is opened and run as the others are."""
        self.graphs[name], self._added[name] = spec, data

    def run(self, graph: str, inputs: Mapping[str, Value], size: tuple[int, int] | None = None) -> dict[str, Value]:
        """Run one graph.

        Args:
            graph: ``encode``, ``remember``, ``render``, ``seed``, or one that was added.
            inputs: every input by name, of the manifest's shape; NumPy arrays are cast to its dtype, values that an
                earlier run on this device gave go in as they are.
            size: padded (height, width); None = what the inputs' shapes say.

        Returns:
            every output by name: NumPy arrays on the CPU, device values on CUDA.

        Raises:
            BundleGraph: inputs or outputs are not those of the manifest, or the graph does not load.
            DeviceMissing: the session did not get the device.
            OutOfMemory: the device's memory did not hold it.
            PluginFailed: the run itself failed (device lost).
        """
        spec = self.graphs[graph]
        sizes = _sizes(graph, spec, inputs, size)
        with self._lock:
            run = self._session(graph, sizes)
        with self._turn:
            try:
                outputs = run({t.name: self._placed(inputs[t.name], t) for t in spec.inputs})
            except _ERRORS as error:
                raise self._failed(f"Graph {graph!r}", error) from error
        for tensor, value in zip(spec.outputs, outputs, strict=True):
            if tuple(_shape(value)) != tensor.resolve(sizes):
                raise _not_as_said(graph, f"output {tensor.name!r} came out as {_shape(value)}")
        return {tensor.name: value for tensor, value in zip(spec.outputs, outputs, strict=True)}

    @property
    def _turn(self) -> contextlib.AbstractContextManager[object]:
        return contextlib.nullcontext() if self.device.kind == "cpu" and self.lanes > 1 else self._lock

    def to_numpy(self, value: Value) -> NDArray[Any]:
        """A value as a NumPy array in host memory.

        Raises:
            OutOfMemory, PluginFailed: as `run`, whose work may only now be waited for.
        """
        if isinstance(value, np.ndarray):
            return value
        if self._stream is not None:
            dtype = np.dtype(_DTYPES[value.data_type()])
            try:
                with self._lock:
                    landed = self._stream.download(value.data_ptr(), tuple(value.shape()), dtype)
                with self._turn if self.device.captures else contextlib.nullcontext():
                    return landed()  # others queue their work meanwhile; but nobody may while a graph is captured
            except _ERRORS as error:
                raise self._failed("A graph", error) from error
        array: NDArray[Any] = value.numpy()
        return array if array.base is None else array.copy()  # no view of memory that a later run writes to

    def wait(self) -> None:
        """Until everything that was run is done: where time is taken, or memory given back.

        Raises:
            OutOfMemory, PluginFailed: as `run`.
        """
        if self._stream is not None:
            try:
                self._stream.wait()
            except _ERRORS as error:
                raise self._failed("A graph", error) from error

    def _failed(self, what: str, error: BaseException) -> OutOfMemory | PluginFailed:
        kind = OutOfMemory if isinstance(error, MemoryError) or _FULL.search(str(error)) else PluginFailed
        return kind(
            f"{what} of the bundle {self.bundle.manifest.name!r} failed on {self.device.name}",
            _first_line(error),
            "try a smaller picture or --device cpu",
        )

    @property
    def provenance(self) -> dict[str, Any]:
        """What really runs, for the report: ``model`` and ``provider``; node counts of the sessions opened so far, and
        which operators run elsewhere than on the device.
        """
        manifest = self.bundle.manifest
        nodes = sum(self._nodes.values(), Counter[str]())
        elsewhere = sum(self._elsewhere.values(), Counter[str]())
        return {
            "model": {
                "name": manifest.name,
                "title": manifest.title,
                "sha256": self.bundle.digest,
                "precision": self.precision,
            },
            "provider": {
                "engine": f"onnxruntime {onnxruntime.__version__}",
                "asked": self.device.asked,
                "device": self.device.name,
                "provider": self.device.provider,
                "cuda_graphs": self.device.captures,
                "waits": self._waits,
                "nodes": dict(nodes),
                "elsewhere": dict(elsewhere.most_common()),
                "threads": self.threads,
                "lanes": self.lanes,
                "fallback": self.device.fallback,
            },
        }

    def close(self) -> None:
        """Free every session."""
        with self._lock:
            with contextlib.suppress(PluginFailed, OutOfMemory):  # said where it was made, or nobody waits for it
                self.wait()
            self._sessions.clear()
            self._constants.clear()
            if self._stream is not None:
                with contextlib.suppress(RuntimeError):  # of a device that is lost
                    self._stream.close()
                self._stream = None

    def _session(self, graph: str, sizes: Mapping[str, int]) -> Run:
        size = (sizes["H"], sizes["W"])
        if size not in self._sessions:
            self._sessions[size] = {}
            if len(self._sessions) > self._kept:
                self.wait()
                self._sessions.popitem(last=False)
        self._sessions.move_to_end(size)
        opened = self._sessions[size]
        key = (graph, sizes["N"])
        if key not in opened:
            opened[key] = self._open(graph, sizes)
        return opened[key]

    def _open(self, graph: str, sizes: Mapping[str, int]) -> Run:
        spec = self.graphs[graph]
        fixed = {expression: sizes[symbol] // divisor for expression, (symbol, divisor) in spec.symbols.items()}
        self.threads = self._asked or physical_cores()
        if self._asked is None:
            work = self.bundle.manifest.gflop_per_megapixel * sizes["H"] * sizes["W"] / 1e6
            self.threads = self.threads if work > _LITTLE else 1
        self.threads = max(1, self.threads // self.lanes)
        options = _options(self.threads, fixed)
        options.enable_mem_pattern = not self.device.captures
        # Without any file given from memory, ONNX Runtime would look for external weights in the working directory.
        external = self.bundle.external() or {"none": b"\0"}
        options.add_external_initializers_from_files_in_memory(
            list(external), list(external.values()), [len(data) for data in external.values()]
        )
        try:
            data = self._added.get(graph) or self.bundle.graph(graph, self.precision)
            providers = self.device.providers(0 if self._stream is None else self._stream.handle)
            session = onnxruntime.InferenceSession(data, options, providers=providers)
        except _ERRORS as error:
            if self.device.captures and "graph capture" in str(error):
                why = f"CUDA graphs cannot be captured ({_first_line(error)})"
                self.device = replace(self.device, captures=False, fallback=why)
                return self._open(graph, sizes)
            if _FULL.search(str(error)):
                raise OutOfMemory(
                    f"Graph {graph!r} does not fit into {self.device.name}",
                    _first_line(error),
                    "close what else uses it, or run with --device cpu",
                ) from error
            raise BundleGraph(
                f"Graph {graph!r} of the bundle {self.bundle.manifest.name!r} does not load",
                _first_line(error),
                "get the bundle again, or export it again",
            ) from error
        session.disable_fallback()
        if session.get_providers()[0] != self.device.provider:
            raise DeviceMissing(
                f"Device {self.device.name} was not given to the session",
                f"it runs on {session.get_providers()[0]}",
                "run with --device cpu, or see `vgan doctor`",
            )
        _verify(graph, spec, session, sizes)
        counts: Counter[str] = Counter()
        elsewhere: Counter[str] = Counter()
        for part in session.get_provider_graph_assignment_info():
            counts[part.ep_name] += len(part.get_nodes())
            if part.ep_name != self.device.provider:
                elsewhere.update(node.op_type for node in part.get_nodes())
        self._nodes[graph], self._elsewhere[graph] = counts, elsewhere
        if self.device.kind == "cpu":
            return partial(session.run, [t.name for t in spec.outputs])
        return Bound(session, spec, sizes, self.device, self._stream).run

    def _placed(self, value: Value, tensor: Tensor) -> Value:
        """An input as a session takes it. Arrays that nobody may write to are constants: they are uploaded once."""
        if not isinstance(value, np.ndarray):
            return value
        typed = np.ascontiguousarray(value, dtype=tensor.dtype)
        if self.device.kind == "cpu" or typed.flags.writeable:
            return typed
        key = id(typed)  # it stays the array's own as long as the array is kept here
        if key not in self._constants:
            self._constants[key] = (typed, upload(typed, self.device, self._stream))
            while len(self._constants) > _CONSTANTS:
                self._constants.popitem(last=False)
        self._constants.move_to_end(key)
        return self._constants[key][1]


def _options(threads: int, fixed: Mapping[str, int]) -> Any:
    """How every session is opened; `fixed`: symbolic dimensions by name, whose shape arithmetic folds away."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    options.use_deterministic_compute = True
    # Spinning threads burn the cores that decode and encode between two frames.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    for name, size in fixed.items():
        options.add_free_dimension_override_by_name(name, size)
    return options


def open_alone(
    path: Path, device: Device, fixed: Mapping[str, int], threads: int | None = None
) -> Callable[[Mapping[str, NDArray[Any]]], list[NDArray[Any]]]:
    """A graph that is no bundle's, opened as a bundle's are: for comparisons.

    Args:
        path: an ONNX file.
        device: where it runs.
        fixed: its symbolic dimensions by name.
        threads: CPU threads; None = physical cores.

    Returns:
        a function from inputs by name to outputs in order.
    """
    options = _options(threads or physical_cores(), fixed)
    session = onnxruntime.InferenceSession(str(path), options, providers=device.providers())

    def run(inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        return list(session.run(None, dict(inputs)))

    return run


def _sizes(graph: str, spec: Graph, inputs: Mapping[str, Value], size: tuple[int, int] | None) -> dict[str, int]:
    """H, W and N of one run, from the inputs' shapes (and `size`, which they must agree with)."""
    if set(inputs) != {tensor.name for tensor in spec.inputs}:
        raise _not_as_said(graph, f"it was given {sorted(inputs)}, and takes {[t.name for t in spec.inputs]}")
    sizes: dict[str, int] = {} if size is None else {"H": size[0], "W": size[1]}
    for tensor in spec.inputs:
        for symbol, value in tensor.solve(tuple(_shape(inputs[tensor.name]))).items():
            if sizes.setdefault(symbol, value) != value:
                raise _not_as_said(graph, f"its inputs disagree on {symbol}: {sizes[symbol]} and {value}")
    return {"H": 0, "W": 0, "N": 1} | sizes


def _verify(graph: str, spec: Graph, session: Any, sizes: Mapping[str, int]) -> None:
    """Compare a session with the manifest: names in order, dtypes, and shapes as far as ONNX Runtime knows them."""
    for side, stated, found in (
        ("inputs", spec.inputs, session.get_inputs()),
        ("outputs", spec.outputs, session.get_outputs()),
    ):
        if [t.name for t in stated] != [f.name for f in found]:
            raise _not_as_said(graph, f"its {side} are {[f.name for f in found]}, not {[t.name for t in stated]}")
        for tensor, got in zip(stated, found, strict=True):
            known = list(got.shape)
            wanted = list(tensor.resolve(sizes))
            # An output whose size ONNX Runtime cannot infer is compared after the run; an input must be fixed by now.
            same = len(known) == len(wanted) and all(
                k == w or (side == "outputs" and not isinstance(k, int)) for k, w in zip(known, wanted, strict=True)
            )
            if got.type != _TYPES[tensor.dtype] or not same:
                raise _not_as_said(graph, f"{tensor.name!r} is {got.type} {known}, not {tensor.dtype} {wanted}")


def _shape(value: Value) -> list[int]:
    return list(value.shape) if isinstance(value, np.ndarray) else list(value.shape())


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


def _not_as_said(graph: str, why: str) -> BundleGraph:
    return BundleGraph(f"Graph {graph!r} is not as bundle.json says", why, "export the bundle again")
