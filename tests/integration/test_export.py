"""A run folder becomes a bundle that gives, through the sessions that serve it, what the network gives in torch."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from clips import moving_frames

torch = pytest.importorskip("torch", reason="needs the training extra")
onnx = pytest.importorskip("onnx", reason="needs the export extra")

from vgan_export import graphs, pack, parity  # noqa: E402
from vgan_plugin.bundle import card, store  # noqa: E402
from vgan_plugin.bundle.manifest import Training  # noqa: E402
from vgan_plugin.bundle.store import Bundle  # noqa: E402
from vgan_plugin.errors import ExportFailed, OutputError, OutputExists  # noqa: E402
from vgan_plugin.evaluate.sets import as_rgb  # noqa: E402
from vgan_plugin.runtime.generator import RecurrentGenerator  # noqa: E402
from vgan_plugin.runtime.session import GraphSessions  # noqa: E402
from vgan_plugin.training import checkpoint  # noqa: E402
from vgan_plugin.training.generator import PRESETS, Generator, sizes  # noqa: E402
from vgan_plugin.training.rollout import roll_out  # noqa: E402
from vgan_plugin.training.tasks import assemble  # noqa: E402
from vgan_plugin.training.windows import Windows  # noqa: E402
from vgan_plugin.types import ExportRequest, Reference, RenderRequest  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.needs_torch]


def trained(cell: str = "lstm") -> Generator:
    """A generator none of whose heads is at zero, as after a training."""
    torch.manual_seed(3)
    generator = Generator(sizes("tiny", cell))
    for layer in generator.modules():
        if isinstance(layer, torch.nn.Conv2d) and not layer.weight.any():
            torch.nn.init.normal_(layer.weight, std=0.01)
    return generator.eval()


def run_folder(folder: Path, generator: Generator) -> Path:
    folder.mkdir()
    facts = {"kind": "vgan-run", "format": 1, "preset": "tiny", "seed": 0, "data": "a few clips", "options": {}}
    (folder / "run.json").write_text(json.dumps(facts), "utf-8")
    meta = {"kind": "weights", "preset": "tiny", "step": 12, "val": {"psnr": 30.5}}
    checkpoint.save(folder / "weights.npz", checkpoint.pack("ema", generator), meta)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("export")
    return pack.export(ExportRequest(run_folder(root / "run", trained()), root / "My Bundle"))


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Bundle:
    return store.load(folder)


def test_the_bundle_says_where_it_comes_from(bundle: Bundle) -> None:
    manifest = bundle.manifest
    assert (manifest.name, manifest.preset, manifest.opset) == ("my-bundle", "tiny", 20)
    assert (manifest.training.steps, manifest.training.metrics["psnr"]) == (12, 30.5)
    for fact in ("12 steps", "a few clips", "psnr: 30.50"):
        assert fact in card.of_bundle(bundle)
    assert card.CARD in manifest.files
    assert manifest.parameters == sum(p.numel() for p in Generator(PRESETS["tiny"]).parameters())
    assert manifest.gflop_per_megapixel > 1


def test_the_parity_report_covers_a_whole_chain_at_three_sizes(bundle: Bundle) -> None:
    report = bundle.manifest.parity
    assert report["steps"] == 64 > bundle.manifest.block + bundle.manifest.lead
    assert len(report["sizes"]) == 3
    assert any(size["height"] % 2 and size["width"] % 2 for size in report["sizes"])
    for size in report["sizes"]:
        assert 0 < size["largest"] <= parity.ALLOWED["fp32"][0]
        assert size["mean"] <= parity.ALLOWED["fp32"][1]
    for precision in ("fp16", "int8"):
        for size, single in zip(report["variants"][precision]["sizes"], report["sizes"], strict=True):
            assert single["mean"] < size["mean"] <= parity.ALLOWED[precision][1]
            assert size["largest"] <= parity.ALLOWED[precision][0]


@pytest.mark.parametrize("cell", ["rnn", "gru"])
def test_so_it_does_with_every_other_cell(cell: str, tmp_path: Path) -> None:
    training = Training(data=(), licences=(), steps=0, date="", metrics={})
    manifest = store.load(pack.pack(trained(cell), training, tmp_path / cell, name=cell)).manifest
    assert (manifest.cell, manifest.parity["steps"], len(manifest.parity["sizes"])) == (cell, 64, 3)


def test_a_lone_reference_is_the_same_in_training_and_in_use(bundle: Bundle) -> None:
    frames = [as_rgb(frame) for frame in moving_frames(2, 64, 64)]
    pictures = torch.from_numpy(np.stack([frame.rgb() for frame in frames]))
    observed, target = np.array([[0, 1]]), np.array([[4]])
    windows = Windows(observed, observed.astype(float), target, target.astype(float))
    batch = assemble("one", torch.cat((pictures, pictures[:1]))[None], windows)
    assert batch.a == batch.b == 1
    with torch.no_grad():
        trained_rgb = roll_out(graphs.rounded(trained()), batch).rgb[0].clamp(0, 1).numpy()
    generator = RecurrentGenerator(bundle, GraphSessions(bundle, "cpu", precision="fp32"))
    first, last = (generator.encode(frame) for frame in frames)
    state = generator.remember(last, first, Fraction(1), generator.remember(first, None, Fraction(0), None))
    offsets = (Fraction(-3), Fraction(0))
    request = RenderRequest(Reference(frames[1], last), None, state, offsets, frames[1], 4, frames[1].time_base)
    assert np.abs(generator.render(request).frame.rgb() - trained_rgb).max() < 1.5 / 255
    generator.close()


def test_parity_fails_for_another_network(bundle: Bundle) -> None:
    other = graphs.rounded(trained())
    with torch.no_grad():
        other.fusion.leave2.bias += 0.01
    with pytest.raises(ExportFailed, match="largest difference"):
        parity.compare(other, bundle, steps=5)


def test_one_file_serves_every_size(bundle: Bundle) -> None:
    sessions = GraphSessions(bundle, "cpu", threads=1)
    for height, width in ((32, 32), (48, 80), (96, 64)):
        frame = np.random.default_rng(0).random((1, 3, height, width), np.float32)
        out = sessions.run("encode", {"frame": frame, "valid": np.ones((1, 1, height, width), np.float32)})
        assert sessions.to_numpy(out["f16"]).shape[2:] == (height // 16, width // 16)


def test_weights_are_stored_once_as_halves(bundle: Bundle) -> None:
    learned = sum(p.numel() for p in Generator(PRESETS["tiny"]).parameters())
    assert 2 * learned <= len(bundle.external()[graphs.WEIGHTS]) < 2 * learned * 1.1
    for name in bundle.manifest.graphs:
        assert len(bundle.graph(name)) < 250_000


def test_training_goes_on_from_a_bundle(folder: Path) -> None:
    wanted = graphs.rounded(trained())
    found = Generator(PRESETS["tiny"])
    checkpoint.unpack(checkpoint.shipped(folder), "ema", found)
    for name, weight in wanted.state_dict().items():
        assert torch.equal(weight, found.state_dict()[name])


def test_in_half_precision_run_all_learned_layers_and_nothing_of_the_built_in_motion(bundle: Bundle) -> None:
    kind = onnx.TensorProto.FLOAT16
    for name in bundle.manifest.variants["fp16"]:
        model = onnx.shape_inference.infer_shapes(onnx.load_from_string(bundle.graph(name, "fp16")))
        graph = model.graph
        values = (*graph.value_info, *graph.input, *graph.output)
        halves = {value.name for value in values if value.type.tensor_type.elem_type == kind}
        halves |= {weight.name for weight in graph.initializer if weight.data_type == kind}
        learned = {weight.name for weight in graph.initializer if weight.name.endswith(".half")}
        for node in graph.node:  # weights may be folded into another shape on their way
            if node.input and node.input[0] in learned:
                assert node.op_type != "Cast"
                learned.update(node.output)
            if node.op_type == "Conv":
                assert (node.input[0] in halves) == (node.input[1] in learned) == (node.input[1] in halves)
            if node.op_type == "DeformConv":
                assert (node.input[0] in halves) == (node.input[2] in halves)
            assert node.op_type not in {"Softmax", "MatMul", "Sqrt", "Div", "Log", "Exp"} or node.input[0] not in halves
        assert learned & {node.input[1] for node in graph.node if node.op_type == "Conv"}


def test_on_integers_run_the_trunks_and_not_what_the_network_says_last(bundle: Bundle) -> None:
    """As ONNX Runtime takes it: weights rounded at load, from the file that all graphs share."""
    integers = {}
    for name, graph in bundle.manifest.variants["int8"].items():
        model = onnx.load_from_string(bundle.contents[graph.file])
        made = {output: node for node in model.graph.node for output in node.output}
        convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
        integers[name] = [n for n in convolutions if made.get(n.input[1], n).op_type == "DequantizeLinear"]
        for node in integers[name]:
            assert made[node.input[0]].op_type == made[node.input[2]].op_type == "DequantizeLinear"
            weight = made[made[node.input[1]].input[0]]
            assert weight.op_type == "QuantizeLinear"
            assert weight.input[0].startswith(graphs.LEARNED)
            last = ("leave.weight", "leave2.weight", "gates.weight")
            assert not weight.input[0].endswith(last)
    assert len(integers["encode"]) == 9
    assert len(integers["render"]) > 20
    assert bundle.manifest.variants["int8"]["remember"] == bundle.manifest.graphs["remember"]


def test_graphs_keep_to_operators_that_cuda_has(bundle: Bundle) -> None:
    used = set()
    for name, precision in product(bundle.manifest.graphs, bundle.manifest.precisions):
        model = onnx.load_from_string(bundle.graph(name, precision))
        assert model.ir_version <= 10
        assert [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")] == [20]
        used |= {node.op_type for node in model.graph.node}
    assert not used & {"If", "Loop", "Scan", "ScatterND", "NonZero", "PRelu"}
    assert "DeformConv" in used


def test_an_existing_bundle_is_not_replaced_unasked(folder: Path) -> None:
    with pytest.raises(OutputExists):
        pack.export(ExportRequest(folder.parent / "run", folder))


def test_a_folder_that_is_no_bundle_is_never_replaced(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", "utf-8")
    with pytest.raises(OutputError, match="no bundle"):
        pack.export(ExportRequest(folder.parent / "run", tmp_path, name="mine", overwrite=True))
    assert (tmp_path / "thesis.txt").read_text("utf-8") == "years of work"


def test_what_is_no_run_folder_is_said_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ExportFailed, match="not a run folder"):
        pack.export(ExportRequest(tmp_path / "nowhere", tmp_path / "out"))
    empty = run_folder(tmp_path / "run", trained())
    (empty / "weights.npz").unlink()
    with pytest.raises(ExportFailed, match="no weights yet"):
        pack.export(ExportRequest(empty, tmp_path / "out"))
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
