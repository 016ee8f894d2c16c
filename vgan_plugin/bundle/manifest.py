"""`bundle.json`: what a bundle says of itself. Parsing, checking and writing; no graph is opened here.

The format is specified in `docs/bundle.md`, which a test holds to this module. A manifest comes from strangers:
everything is checked before it is believed, and whatever is wrong is one named error.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from vgan_plugin.bundle.signature import DTYPES, Graph, Tensor, parts
from vgan_plugin.errors import BundleError, BundleGraph, BundlePath, BundleVersion

FORMAT = 1
"""The format version this module writes, and the only one it reads."""
FILE_NAME = "bundle.json"
TASKS = ("fill", "interpolate", "inpaint", "predict", "synthesize")
GRAPHS = ("encode", "remember", "render", "seed")
"""Graphs a bundle may hold; the first three it must."""
PRECISIONS = ("fp32", "fp16", "int8")
CELLS = ("rnn", "lstm", "gru")

MAX_MANIFEST = 1 << 20
MAX_FILE = 256 << 20
MAX_TOTAL = 512 << 20
MAX_FILES = 32
MAX_TENSORS = 64
MAX_RANK = 6
MAX_DIMENSION = 1 << 16
MAX_BLOCK = 1024
MAX_LINE = 200
MAX_STRIDE = 256

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_TENSOR = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,63}")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_HASH = re.compile(r"[0-9a-f]{64}")
_T = TypeVar("_T")


@dataclass(frozen=True)
class Training:
    """Where the weights come from.

    Attributes:
        data: names of the data sets; empty for weights nobody trained.
        licences: their licences, SPDX where one exists.
        steps: optimiser steps in all.
        date: ISO date of the export.
        metrics: measured figures by name.
    """

    data: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    steps: int = 0
    date: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """Everything `bundle.json` says.

    Attributes:
        name: what `--model` takes: lower case letters, digits, dot, dash, underscore.
        title: one line for people.
        licence: SPDX expression of the weights.
        tasks: what the generator was made for, out of `TASKS`.
        preset: the network's preset (``tiny``, ``lite``, ``base``) or a name of the maker's own.
        graphs: the graphs by name: ``encode``, ``remember``, ``render``, and ``seed`` where it synthesises.
        block: B, a chain's block length in source frames.
        lead: W, how many frames before its block a chain starts.
        offset_range: smallest and largest trained offset of a reference, in source-frame periods.
        stride: heights and widths given to the graphs are multiples of this.
        opset: ONNX opset of the graphs.
        precision: what the graphs compute in: ``fp32`` or ``fp16``.
        parameters: number of weights.
        gflop_per_megapixel: cost of one encode, remember and render, 2 x multiply-adds, per 10^6 input pixels.
        training: where the weights come from.
        parity: the report of trained network against exported graphs.
        cell: the recurrent cell: one of `CELLS`, or None where it is something else or not said.
        weights: file of external weights that the graphs share, or None when each carries its own.
        variants: the same graphs in other precisions, which some devices are faster in.
        files: SHA-256 of every file by relative path; filled in by `write`.
    """

    name: str
    title: str
    licence: str
    tasks: tuple[str, ...]
    preset: str
    graphs: Mapping[str, Graph]
    block: int
    lead: int
    offset_range: tuple[float, float]
    stride: int
    opset: int
    precision: str
    parameters: int
    gflop_per_megapixel: float
    training: Training
    parity: Mapping[str, Any]
    cell: str | None = None
    weights: str | None = None
    variants: Mapping[str, Mapping[str, Graph]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def precisions(self) -> tuple[str, ...]:
        """What it can compute in; what `graphs` compute in first."""
        return (self.precision, *self.variants)

    def graphs_in(self, precision: str | None = None) -> Mapping[str, Graph]:
        """The graphs that compute in one of `precisions`; None: in the first one."""
        return self.graphs if precision in (None, self.precision) else self.variants[precision]

    def to_json(self) -> dict[str, Any]:
        """This manifest as the object that `bundle.json` holds."""
        return {
            "format": FORMAT,
            "name": self.name,
            "title": self.title,
            "licence": self.licence,
            "tasks": list(self.tasks),
            "preset": self.preset,
            "graphs": _graphs_json(self.graphs),
            "block": self.block,
            "lead": self.lead,
            "offset_range": list(self.offset_range),
            "stride": self.stride,
            "opset": self.opset,
            "precision": self.precision,
            "parameters": self.parameters,
            "gflop_per_megapixel": self.gflop_per_megapixel,
            "training": {
                "data": list(self.training.data),
                "licences": list(self.training.licences),
                "steps": self.training.steps,
                "date": self.training.date,
                "metrics": dict(self.training.metrics),
            },
            "parity": dict(self.parity),
            "cell": self.cell,
            "weights": self.weights,
            "variants": {precision: _graphs_json(graphs) for precision, graphs in self.variants.items()},
            "files": dict(self.files),
        }

    def write(self, folder: Path) -> Manifest:
        """Hash every file of `folder` and write its `bundle.json`.

        Args:
            folder: a folder that holds the graphs and weights, and nothing else.

        Returns:
            this manifest with `files` filled in.

        Raises:
            BundleError: what would be written could not be read back.
        """
        files = {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path != folder / FILE_NAME
        }
        done = parse(replace(self, files=files).to_json())
        text = json.dumps(done.to_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        (folder / FILE_NAME).write_text(text, encoding="utf-8")
        return done


def loads(text: bytes) -> Manifest:
    """Parse the bytes of a `bundle.json`.

    Raises:
        BundleError: not JSON, too large, a field missing, of the wrong type or out of bounds.
        BundleVersion: another format version.
        BundlePath: a file name that leaves the bundle.
        BundleGraph: graphs or tensors that are not those of a vgan bundle.
    """
    if len(text) > MAX_MANIFEST:
        raise _wrong(f"it is {len(text)} bytes long, more than {MAX_MANIFEST}")
    try:
        data = json.loads(text.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise _wrong(f"it is not JSON ({error})") from error
    return parse(data)


def parse(data: object) -> Manifest:
    """Check a manifest given as a JSON value. Fields that the format does not know are ignored.

    Raises:
        BundleError: see `loads`.
    """
    if not isinstance(data, dict):
        raise _wrong("it is not a JSON object")
    version = data.get("format")
    if version != FORMAT or isinstance(version, bool):
        raise BundleVersion(
            f"The bundle has format {version!r}",
            f"this vgan reads format {FORMAT}",
            "upgrade vgan, or export the bundle again",
        )
    files = _hashes(_get(data, "files", dict))
    stride = _whole(data, "stride", 1, MAX_STRIDE)
    manifest = Manifest(
        name=_matching(data, "name", _NAME),
        title=_line(data, "title"),
        licence=_line(data, "licence"),
        tasks=_choices(data, "tasks", TASKS),
        preset=_line(data, "preset"),
        graphs=_graphs(_get(data, "graphs", dict), files, stride),
        block=_whole(data, "block", 1, MAX_BLOCK),
        lead=_whole(data, "lead", 0, MAX_BLOCK),
        offset_range=_offsets(_get(data, "offset_range", list)),
        stride=stride,
        opset=_whole(data, "opset", 1, 64),
        precision=_one_of(data, "precision", PRECISIONS),
        parameters=_whole(data, "parameters", 0, 1 << 32),
        gflop_per_megapixel=_number(data, "gflop_per_megapixel"),
        training=_training(_get(data, "training", dict)),
        parity=_get(data, "parity", dict),
        cell=None if data.get("cell") is None else _one_of(data, "cell", CELLS),
        weights=data.get("weights"),
        variants=_variants(_get(data, "variants", dict), files, stride) if "variants" in data else {},
        files=files,
    )
    if manifest.weights is not None and (not isinstance(manifest.weights, str) or manifest.weights not in files):
        raise _wrong(f'"weights" names {manifest.weights!r}, which "files" does not list')
    for precision, graphs in manifest.variants.items():
        if _untyped(graphs) != _untyped(manifest.graphs):
            raise BundleGraph(
                f"The graphs in {precision} are not those of the bundle",
                "their tensors differ in more than dtypes",
                "export the bundle again",
            )
    return manifest


def _variants(data: dict[str, Any], files: Mapping[str, str], stride: int) -> dict[str, dict[str, Graph]]:
    for precision in data:
        if precision not in PRECISIONS:
            raise _wrong(f'"variants" has {precision[:80]!r}, not one of {", ".join(PRECISIONS)}')
    return {precision: _graphs(_get(data, precision, dict), files, stride) for precision in data}


def _untyped(graphs: Mapping[str, Graph]) -> dict[str, list[tuple[str, object]]]:
    return {name: [(t.name, t.shape) for t in (*graph.inputs, *graph.outputs)] for name, graph in graphs.items()}


def _graphs_json(graphs: Mapping[str, Graph]) -> dict[str, Any]:
    return {
        name: {
            "file": graph.file,
            "inputs": [_tensor_json(t) for t in graph.inputs],
            "outputs": [_tensor_json(t) for t in graph.outputs],
        }
        for name, graph in graphs.items()
    }


def _graphs(data: dict[str, Any], files: Mapping[str, str], stride: int) -> dict[str, Graph]:
    missing = [name for name in GRAPHS[:3] if name not in data]
    unknown = [name for name in data if name not in GRAPHS]
    if missing or unknown:
        raise BundleGraph(
            "The graphs are not those of a vgan bundle",
            f"missing: {', '.join(missing) or 'none'}; unknown: {', '.join(map(repr, unknown)) or 'none'}",
            "export the bundle again",
        )
    graphs = {}
    for name, graph in data.items():
        if not isinstance(graph, dict):
            raise _wrong(f'graph "{name}" is not an object')
        file = _get(graph, "file", str)
        if file not in files:
            raise _wrong(f'graph "{name}" names {file!r}, which "files" does not list')
        graphs[name] = Graph(file, _tensors(graph, "inputs", stride), _tensors(graph, "outputs", stride))
    return graphs


def _tensors(graph: dict[str, Any], key: str, stride: int) -> tuple[Tensor, ...]:
    entries = _get(graph, key, list)
    if not 1 <= len(entries) <= MAX_TENSORS:
        raise BundleGraph(
            f"A graph has {len(entries)} {key}", f"1 to {MAX_TENSORS} are allowed", "export the bundle again"
        )
    tensors = tuple(_tensor(entry, stride) for entry in entries)
    if len({t.name for t in tensors}) < len(tensors):
        raise BundleGraph(f"Two {key} of a graph bear one name", "names are unique", "export the bundle again")
    return tensors


def _tensor(data: object, stride: int) -> Tensor:
    if not isinstance(data, dict):
        raise _wrong("a tensor is not an object")
    shape = _get(data, "shape", list)
    name = _matching(data, "name", _TENSOR)
    bad = len(shape) > MAX_RANK
    for size in shape:
        if isinstance(size, str):
            symbol, divisor = parts(size)
            bad = bad or (symbol != "N" and stride % divisor != 0)
        else:
            bad = bad or isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= MAX_DIMENSION
    if bad:
        raise BundleGraph(
            f"Tensor {name!r} has the shape {shape!r}",
            f"sizes are 1 to {MAX_DIMENSION}, at most {MAX_RANK} of them, and divisors divide the stride {stride}",
            "export the bundle again",
        )
    return Tensor(name, tuple(shape), _one_of(data, "dtype", DTYPES))


def _tensor_json(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "shape": list(tensor.shape), "dtype": tensor.dtype}


def _hashes(data: dict[str, Any]) -> dict[str, str]:
    if not 1 <= len(data) <= MAX_FILES:
        raise _wrong(f'"files" lists {len(data)} files, 1 to {MAX_FILES} are allowed')
    for name, digest in data.items():
        _check_path(name)
        if not isinstance(digest, str) or not _HASH.fullmatch(digest):
            raise _wrong(f'the SHA-256 of "{name}" is not 64 hexadecimal digits')
    return data


def _check_path(name: str) -> None:
    """Accept only a plain relative path with forward slashes.

    Raises:
        BundlePath: absolute, a drive, a backslash, ``..``, an empty part or an odd character.
    """
    steps = name.split("/")
    if all(_PART.fullmatch(step) for step in steps) and PurePosixPath(name).parts == tuple(steps) and len(name) < 256:
        return
    raise BundlePath(
        f"The bundle names the file {name[:80]!r}",
        "names are relative, of letters, digits, dot, dash and underscore, and stay inside the bundle",
        "do not use this bundle; get it again from its maker",
    )


def _training(data: dict[str, Any]) -> Training:
    return Training(
        data=_strings(data, "data"),
        licences=_strings(data, "licences"),
        steps=_whole(data, "steps", 0, 1 << 40),
        date=_line(data, "date"),
        metrics=_get(data, "metrics", dict),
    )


def _offsets(data: list[Any]) -> tuple[float, float]:
    if len(data) == 2 and all(isinstance(v, int | float) and not isinstance(v, bool) for v in data):
        low, high = float(data[0]), float(data[1])
        if -MAX_BLOCK <= low < high <= MAX_BLOCK:
            return low, high
    raise _wrong(f'"offset_range" is not two rising numbers within +-{MAX_BLOCK}')


def _get(data: Mapping[str, Any], key: str, kind: type[_T]) -> _T:
    if key not in data:
        raise _wrong(f'"{key}" is missing')
    value = data[key]
    if not isinstance(value, kind):
        raise _wrong(f'"{key}" is a {type(value).__name__}, not a {kind.__name__}')
    return value


def _whole(data: Mapping[str, Any], key: str, low: int, high: int) -> int:
    value = _get(data, key, int)
    if isinstance(value, bool) or not low <= value <= high:
        raise _wrong(f'"{key}" is {value!r}, not a whole number from {low} to {high}')
    return value


def _number(data: Mapping[str, Any], key: str) -> float:
    value = _get(data, key, object)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9 or math.isnan(value):
        raise _wrong(f'"{key}" is {value!r}, not a number from 0')
    return float(value)


def _matching(data: Mapping[str, Any], key: str, pattern: re.Pattern[str]) -> str:
    value = _get(data, key, str)
    if not pattern.fullmatch(value):
        raise _wrong(f'"{key}" is {value[:80]!r}, which is not a name')
    return value


def _one_of(data: Mapping[str, Any], key: str, known: tuple[str, ...]) -> str:
    value = _get(data, key, str)
    if value not in known:
        raise _wrong(f'"{key}" is {value[:80]!r}, not one of {", ".join(known)}')
    return value


def _line(data: Mapping[str, Any], key: str) -> str:
    value = _get(data, key, str)
    if not _shown(value):
        raise _wrong(f'"{key}" is not one printable line of at most {MAX_LINE} characters')
    return value


def _shown(value: object) -> bool:
    """Whether a stranger's text may go to a terminal: no control characters, no escape sequences."""
    return isinstance(value, str) and value.isprintable() and len(value) <= MAX_LINE


def _strings(data: Mapping[str, Any], key: str) -> tuple[str, ...]:
    values = _get(data, key, list)
    if not all(_shown(v) for v in values):
        raise _wrong(f'"{key}" is not a list of printable strings')
    return tuple(values)


def _choices(data: Mapping[str, Any], key: str, known: tuple[str, ...]) -> tuple[str, ...]:
    values = _strings(data, key)
    if not values or len(set(values)) < len(values) or not set(values) <= set(known):
        raise _wrong(f'"{key}" is {values!r}, not some of {", ".join(known)}')
    return values


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _wrong(why: str) -> BundleError:
    return BundleError("bundle.json is not usable", why, "export the bundle again, or get it again from its maker")
