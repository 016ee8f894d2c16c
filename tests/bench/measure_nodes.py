"""Where the time goes: CPU milliseconds of a bundle's graphs on one thread, and milliseconds of every kind of node.

    python tests/bench/measure_nodes.py vgan_plugin/bundles/base --size 448x256

The lower third of the times of each node counts: others use the machine, too. The inputs are what the graphs gave for
two frames of a moving pattern, so that flows are like those of a video.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from vgan_plugin.bench import clip
from vgan_plugin.bundle import store
from vgan_plugin.pixels.colour import to_rgb
from vgan_plugin.pixels.planes import pad

ROUNDS = 15
SMALL = 0.012
"""Milliseconds of a node that mostly starts and ends."""


def profiled(
    bundle: store.Bundle, precision: str, graph: str, sizes: dict[str, int], inputs: dict[str, Any], folder: str
) -> Any:
    """Outputs by name; CPU milliseconds; of every node (operator, output shape), milliseconds and bytes written."""
    spec = bundle.manifest.graphs_in(precision)[graph]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    options.enable_profiling, options.profile_file_prefix = True, f"{folder}/{graph}"
    for name, (symbol, divisor) in spec.symbols.items():
        options.add_free_dimension_override_by_name(name, sizes[symbol] // divisor)
    external = bundle.external()
    options.add_external_initializers_from_files_in_memory(
        list(external), list(external.values()), [len(data) for data in external.values()]
    )
    session = onnxruntime.InferenceSession(bundle.graph(graph, precision), options, providers=["CPUExecutionProvider"])
    given = {t.name: inputs[t.name].astype(t.dtype, copy=False) for t in spec.inputs}
    for _ in range(ROUNDS):
        outputs = session.run(None, given)
    times, kinds, written = defaultdict(list), {}, {}
    for event in json.loads(Path(session.end_profiling()).read_text()):
        if event.get("cat") == "Node" and event["name"].endswith("kernel_time"):
            times[event["name"]].append(event["dur"] / 1e3)
            shapes = [next(iter(shape.values())) for shape in event["args"]["output_type_shape"]]
            kinds[event["name"]] = (event["args"]["op_name"], str(shapes[0] if shapes else ""))
            written[event["name"]] = int(event["args"].get("output_size", 0))
    nodes = [(kinds[name], float(np.percentile(found, 33)), written[name]) for name, found in times.items()]
    spent = []
    for _ in range(ROUNDS):  # no longer profiled: to write down each node costs time, too
        start = time.process_time()
        session.run(None, given)
        spent.append((time.process_time() - start) * 1e3)
    found = dict(zip([tensor.name for tensor in spec.outputs], outputs, strict=True))
    return found, (float(np.percentile(spent, 33)), nodes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--size", default="448x256")
    parser.add_argument("--most", type=int, default=12)
    parser.add_argument("--precision", default="int8")
    asked = parser.parse_args()
    bundle, precision = store.load(asked.bundle), asked.precision
    width, height = map(int, asked.size.split("x"))
    frames = [pad(frame, bundle.manifest.stride) for frame in clip.frames(None, width, height)[:3:2]]
    sizes = {"H": frames[0].height, "W": frames[0].width, "N": 1}
    one = np.ones((1, 1, sizes["H"], sizes["W"]), np.float32)
    with tempfile.TemporaryDirectory() as folder:
        seen, found = [], {}
        for frame in frames:
            outputs, found["encode"] = profiled(
                bundle, precision, "encode", sizes, {"frame": to_rgb(frame)[None], "valid": one}, folder
            )
            seen.append(outputs)
        inputs = {**seen[1], **{f"previous_{name}": value for name, value in seen[0].items()}}
        for tensor in bundle.manifest.graphs["remember"].inputs:
            inputs.setdefault(tensor.name, np.zeros(tensor.resolve(sizes), np.float32))
        inputs["dt"] = np.ones(1, np.float32)
        state, found["remember"] = profiled(bundle, precision, "remember", sizes, inputs, folder)
        inputs = {
            f"{side}_{name}": value for side, which in zip("ab", seen, strict=True) for name, value in which.items()
        }
        inputs |= {name.removeprefix("next_"): value for name, value in state.items()}
        inputs |= {"before": np.float32([-0.5]), "after": np.float32([0.5]), "mask": one}
        for tensor in bundle.manifest.graphs["render"].inputs:
            inputs.setdefault(tensor.name, np.zeros(tensor.resolve(sizes), np.float32))
        _, found["render"] = profiled(bundle, precision, "render", sizes, inputs, folder)
    for graph, (spent, nodes) in found.items():
        by_operator, by_kind = Counter[str](), Counter[tuple[str, str]]()
        for kind, each, _ in nodes:
            by_operator[kind[0]] += each
            by_kind[kind] += each
        total = sum(by_operator.values())
        shares = ", ".join(f"{name} {100 * time / total:.0f} %" for name, time in by_operator.most_common(8))
        megabytes = sum(size for *_, size in nodes) / 1e6
        small = [each for _, each, _ in nodes if each < SMALL]
        print(
            f"{graph}: {spent:.1f} CPU ms; {len(nodes)} nodes, {megabytes:.0f} MB written, {total:.1f} ms: {shares}; "
            f"{len(small)} nodes below {SMALL * 1e3:.0f} us: {sum(small):.1f} ms"
        )
        for (name, shape), each in by_kind.most_common(asked.most):
            print(f"  {each:6.2f}  {name} -> {shape}")


if __name__ == "__main__":
    main()
