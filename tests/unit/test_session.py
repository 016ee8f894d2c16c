"""Sessions run a bundle's graphs, and say truthfully where."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="fake bundles are made with onnx, of the export extra")

import elsewhere
import fakebundle

from vgan_plugin.bundle import store
from vgan_plugin.errors import BundleGraph, DeviceMissing, OutOfMemory, PluginFailed
from vgan_plugin.runtime import bindings, providers, session
from vgan_plugin.runtime.session import GraphSessions


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> store.Bundle:
    return store.load(fakebundle.make(tmp_path_factory.mktemp("b") / "fake"))


def frame(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((1, 3, height, width), dtype=np.float32)


def means(x: np.ndarray) -> np.ndarray:
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).mean((3, 5))


@pytest.mark.parametrize(("height", "width"), [(8, 8), (64, 48), (2, 34)])
def test_a_graph_with_external_half_precision_weights_runs_at_any_size(
    bundle: store.Bundle, height: int, width: int
) -> None:
    sessions = GraphSessions(bundle, "cpu", threads=1)
    x = frame(height, width)
    features = sessions.run("encode", {"frame": x})["features"]
    np.testing.assert_allclose(sessions.to_numpy(features), means(x), atol=1e-6)


def test_outputs_of_one_graph_go_into_the_next_and_nothing_is_remembered_between_runs(bundle: store.Bundle) -> None:
    sessions = GraphSessions(bundle, "cpu", threads=1)
    zero = np.zeros((1, 3, 4, 6), np.float32)

    def chain() -> np.ndarray:
        state = zero
        for seed in range(3):
            features = sessions.run("encode", {"frame": frame(8, 12, seed)})["features"]
            state = sessions.run("remember", {"features": features, "state": state})["state_out"]
        rgb = sessions.run("render", {"state": state, "offsets": np.array([[-1, 1]], np.float32)})["rgb"]
        return sessions.to_numpy(rgb)

    first = chain()
    expected = np.zeros_like(zero)
    for seed in range(3):
        expected = (expected + means(frame(8, 12, seed))) / 2
    np.testing.assert_allclose(first, expected.repeat(2, 2).repeat(2, 3), atol=1e-6)
    sessions.run("encode", {"frame": frame(8, 12, 9)})
    assert first.tobytes() == chain().tobytes()


def test_values_that_stay_on_the_device_give_what_arrays_give(bundle: store.Bundle) -> None:
    plain = GraphSessions(bundle, "cpu", threads=1)
    bound = elsewhere.sessions(bundle)
    state: dict[str, object] = {"plain": np.zeros((1, 3, 4, 6), np.float32)}
    state["bound"] = state["plain"]
    for seed in range(3):
        for name, sessions in (("plain", plain), ("bound", bound)):
            features = sessions.run("encode", {"frame": frame(8, 12, seed)})["features"]
            inputs = {"features": features, "state": state[name]}
            state[name] = sessions.run("remember", inputs)["state_out"]
    assert not isinstance(state["bound"], np.ndarray)
    assert bound.to_numpy(state["bound"]).tobytes() == state["plain"].tobytes()


def test_a_constant_is_uploaded_once_and_what_can_change_each_time(
    bundle: store.Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = elsewhere.sessions(bundle)
    uploads = []
    monkeypatch.setattr(session, "upload", lambda value, *to: uploads.append(value) or bindings.upload(value, *to))
    constant = np.ones((1, 3, 4, 4), np.float32)
    constant.flags.writeable = False
    for value in (1.0, 2.0):
        changing = np.full((1, 3, 4, 4), value, np.float32)
        out = sessions.run("remember", {"features": changing, "state": constant})["state_out"]
        assert np.allclose(sessions.to_numpy(out), (value + 1) / 2)
    assert len(uploads) == 1
    sessions.close()
    assert not sessions._constants


def test_what_is_held_is_not_written_over_and_what_is_let_go_is_used_again(bundle: store.Bundle) -> None:
    sessions = elsewhere.sessions(bundle)
    encode = lambda seed: sessions.run("encode", {"frame": frame(8, 12, seed)})["features"]  # noqa: E731
    held = [encode(seed) for seed in range(4)]
    for seed, value in enumerate(held):
        np.testing.assert_allclose(sessions.to_numpy(value), means(frame(8, 12, seed)), atol=1e-6)
    places = {value.data_ptr() for value in held}
    assert len(places) == 4
    arrays = [sessions.to_numpy(value) for value in held]
    del held, value
    again = [encode(seed + 9) for seed in range(4)]
    assert {value.data_ptr() for value in again} == places
    for seed, array in enumerate(arrays):
        np.testing.assert_allclose(array, means(frame(8, 12, seed)), atol=1e-6)


def test_a_cuda_graph_belongs_to_the_places_it_was_captured_for(
    bundle: store.Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a steady stream two states take turns: two graphs. What would need too many runs without one."""
    ids: list[int] = []

    class Options:
        def add_run_config_entry(self, key: str, value: str) -> None:
            assert key == "gpu_graph_id"
            ids.append(int(value))

    sessions = elsewhere.sessions(bundle, captures=True)
    run = bindings.onnxruntime.RunOptions()
    monkeypatch.setattr(bindings.onnxruntime, "RunOptions", Options)
    with_iobinding = bindings.onnxruntime.InferenceSession.run_with_iobinding
    monkeypatch.setattr(
        bindings.onnxruntime.InferenceSession,
        "run_with_iobinding",
        lambda self, binding, _: with_iobinding(self, binding, run),
    )
    features = sessions.run("encode", {"frame": frame(8, 8)})["features"]
    state = np.zeros((1, 3, 4, 4), np.float32)
    ids.clear()
    for _ in range(8):
        state = sessions.run("remember", {"features": features, "state": state})["state_out"]
    assert ids[1:] == [2, 3] * 3 + [2]  # after the first, whose state came from the host
    assert bindings.MOST_CAPTURED < 40
    held = [sessions.run("encode", {"frame": frame(8, 8)}) for _ in range(40)]
    assert len(held) == 40
    assert ids[-1] == -1
    assert 0 not in ids


def test_where_cuda_graphs_cannot_be_captured_it_goes_on_without_and_says_so(
    bundle: store.Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = elsewhere.sessions(bundle, captures=True)
    real = session.onnxruntime.InferenceSession

    def opened(*args: object, **how: object) -> object:
        if sessions.device.captures:
            raise RuntimeError("This session cannot use the graph capture feature as requested by the user")
        return real(*args, **how)

    monkeypatch.setattr(session.onnxruntime, "InferenceSession", opened)
    features = sessions.run("encode", {"frame": frame(8, 8)})["features"]
    np.testing.assert_allclose(sessions.to_numpy(features), means(frame(8, 8)), atol=1e-6)
    provider = sessions.provenance["provider"]
    assert not provider["cuda_graphs"]
    assert "cannot be captured" in provider["fallback"]


def test_several_targets_in_one_call_are_the_same_bytes_as_one_by_one(bundle: store.Bundle) -> None:
    sessions = GraphSessions(bundle, "cpu", threads=1)
    state = means(frame(8, 8))
    offsets = np.array([[-1, 1], [-2, 1], [-0.5, 0.25]], np.float32)
    together = sessions.to_numpy(sessions.run("render", {"state": state, "offsets": offsets})["rgb"])
    alone = [sessions.to_numpy(sessions.run("render", {"state": state, "offsets": o[None]})["rgb"]) for o in offsets]
    assert together.shape == (3, 3, 8, 8)
    assert together.tobytes() == np.concatenate(alone).tobytes()


def test_non_contiguous_and_double_precision_inputs_are_taken(bundle: store.Bundle) -> None:
    sessions = GraphSessions(bundle, "cpu", threads=1)
    x = frame(8, 12)
    odd = np.asfortranarray(x.astype(np.float64))
    np.testing.assert_array_equal(
        sessions.to_numpy(sessions.run("encode", {"frame": odd})["features"]),
        sessions.to_numpy(sessions.run("encode", {"frame": x})["features"]),
    )


def test_the_least_recently_used_size_goes(bundle: store.Bundle) -> None:
    sessions = GraphSessions(bundle, "cpu", threads=1, sizes=2)
    for size in ((8, 8), (16, 8), (8, 8), (8, 16)):
        sessions.run("encode", {"frame": frame(*size)})
    assert list(sessions._sessions) == [(8, 8), (8, 16)]
    sessions.close()
    assert not sessions._sessions


def test_provenance_names_what_ran_and_not_what_was_asked(bundle: store.Bundle) -> None:
    sessions = GraphSessions(bundle, "cpu", threads=1)
    sessions.prepare(8, 8)
    provenance = sessions.provenance
    assert provenance["model"]["sha256"] == bundle.digest
    provider = provenance["provider"]
    assert provider["provider"] == "CPUExecutionProvider"
    assert provider["device"] == "cpu"
    assert provider["threads"] == 1
    assert set(provider["nodes"]) == {"CPUExecutionProvider"}
    assert provider["nodes"]["CPUExecutionProvider"] >= 4


@pytest.mark.parametrize(("asked", "gflop", "used"), [(None, 1e4, 3), (None, 1e3, 1), (2, 1e3, 2), (2, 1e4, 2)])
def test_frames_that_are_little_work_get_one_thread_unless_someone_says_how_many(
    bundle: store.Bundle, monkeypatch: pytest.MonkeyPatch, asked: int | None, gflop: float, used: int
) -> None:
    monkeypatch.setattr(session, "physical_cores", lambda: 3)
    opened: list[int] = []
    options = session._options
    monkeypatch.setattr(session, "_options", lambda threads, fixed: opened.append(threads) or options(threads, fixed))
    heavy = replace(bundle, manifest=replace(bundle.manifest, gflop_per_megapixel=gflop))
    sessions = GraphSessions(heavy, "cpu", threads=asked)
    sessions.prepare(16, 64)  # 10 or 1 GFLOP a frame
    assert set(opened) == {used}
    assert sessions.provenance["provider"]["threads"] == used


@pytest.mark.parametrize(
    ("lanes", "threads", "gflop", "shared"),
    [
        (1, None, 1e4, (6, 1)),
        (2, None, 1e4, (3, 2)),
        (None, None, 1e4, (1, 6)),
        (None, 4, 1e4, (1, 4)),
        (9, 2, 1e3, (1, 2)),
    ],
)
def test_lanes_share_the_threads(
    bundle: store.Bundle,
    monkeypatch: pytest.MonkeyPatch,
    lanes: int | None,
    threads: int | None,
    gflop: float,
    shared: tuple[int, int],
) -> None:
    monkeypatch.setattr(session, "physical_cores", lambda: 6)
    heavy = replace(bundle, manifest=replace(bundle.manifest, gflop_per_megapixel=gflop))
    sessions = GraphSessions(heavy, "cpu", threads=threads, lanes=lanes)
    sessions.prepare(16, 64)
    assert (sessions.threads, sessions.lanes) == shared


@pytest.mark.parametrize("lanes", [1, 2])
def test_as_many_runs_are_under_way_as_there_are_lanes(
    bundle: store.Bundle, monkeypatch: pytest.MonkeyPatch, lanes: int
) -> None:
    sessions = GraphSessions(bundle, "cpu", threads=2, lanes=lanes)
    together = threading.Barrier(2)

    def meets(_: object) -> list:
        try:
            together.wait(timeout=0.5)
        except threading.BrokenBarrierError:
            alone.append(True)
        return [np.zeros((1, 3, 4, 4), np.float32)]

    alone: list[bool] = []
    monkeypatch.setattr(sessions, "_session", lambda *_: meets)
    workers = [threading.Thread(target=sessions.run, args=("encode", {"frame": frame(8, 8)})) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert bool(alone) == (lanes == 1)


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({}, "it was given"),
        ({"frame": np.zeros((1, 4, 8, 8), np.float32)}, "does not take the shape"),
        ({"frame": np.zeros((1, 3, 8), np.float32)}, "does not take the shape"),
        ({"frame": np.zeros((1, 3, 8, 8), np.float32), "more": np.zeros(1)}, "it was given"),
    ],
)
def test_inputs_that_are_not_the_manifests_are_named(bundle: store.Bundle, inputs: dict, says: str) -> None:
    with pytest.raises(BundleGraph, match=says):
        GraphSessions(bundle, "cpu", threads=1).run("encode", inputs)


def test_inputs_of_two_sizes_are_named(bundle: store.Bundle) -> None:
    with pytest.raises(BundleGraph, match="disagree on H: 8 and 16"):
        GraphSessions(bundle, "cpu", threads=1).run(
            "remember", {"features": means(frame(8, 8)), "state": means(frame(16, 8))}
        )


def test_a_graph_that_is_not_as_its_manifest_says_is_one_error_before_the_first_frame(tmp_path: Path) -> None:
    bundle = store.load(fakebundle.make(tmp_path / "fixed", fixed=True))
    GraphSessions(bundle, "cpu", threads=1).prepare(8, 8)
    with pytest.raises(BundleGraph, match=r"not as bundle\.json says"):
        GraphSessions(bundle, "cpu", threads=1).prepare(16, 8)
    lies = replace(fakebundle.MANIFEST.graphs["encode"], outputs=(replace(fakebundle.FEATURES, name="fs"),))
    graphs = {**fakebundle.MANIFEST.graphs, "encode": lies}
    folder = fakebundle.make(tmp_path / "lies", manifest=replace(fakebundle.MANIFEST, graphs=graphs))
    with pytest.raises(BundleGraph, match=r"its outputs are \['features'\]"):
        GraphSessions(store.load(folder), "cpu", threads=1).prepare(8, 8)


def test_external_weights_are_found_only_inside_the_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("secret.bin", "other.bin"):
        (tmp_path / name).write_bytes(bytes(100))
    alone = replace(fakebundle.MANIFEST, weights=None)
    for i, location in enumerate(("../secret.bin", str(tmp_path / "secret.bin"), "other.bin") * 2):
        folder = fakebundle.make(tmp_path / f"b{i}", location, fakebundle.MANIFEST if i < 3 else alone)
        with pytest.raises(BundleGraph, match="does not load"):
            GraphSessions(store.load(folder), "cpu", threads=1).prepare(8, 8)


def test_an_output_of_another_size_than_stated_is_found_out_by_the_run(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    folder = fakebundle.make(tmp_path / "fake")
    nodes = [
        helper.make_node("ReduceMax", ["frame", "axes"], ["rows"], keepdims=0),
        helper.make_node("Greater", ["rows", "half"], ["bright"]),
        helper.make_node("Compress", ["frame", "bright"], ["some"], axis=2),
        helper.make_node("MaxPool", ["some"], ["features"], kernel_shape=[1, 2], strides=[1, 2]),
    ]
    graph = helper.make_graph(
        nodes,
        "rows",
        [helper.make_tensor_value_info("frame", TensorProto.FLOAT, [1, 3, "H", "W"])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, 3, "rows", "W/2"])],
        [
            helper.make_tensor("half", TensorProto.FLOAT, [], [0.5]),
            helper.make_tensor("axes", TensorProto.INT64, [3], [0, 1, 3]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    (folder / "encode.onnx").write_bytes(model.SerializeToString())
    fakebundle.MANIFEST.write(folder)
    sessions = GraphSessions(store.load(folder), "cpu", threads=1)
    x = np.zeros((1, 3, 8, 8), np.float32)
    x[:, :, :4] = 1
    assert sessions.to_numpy(sessions.run("encode", {"frame": x})["features"]).shape == (1, 3, 4, 4)
    x[:, :, :6] = 1
    with pytest.raises(BundleGraph, match="came out as"):
        sessions.run("encode", {"frame": x})


def test_a_session_that_did_not_get_its_device_is_an_error(
    bundle: store.Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not providers.why_no_cuda(0):
        pytest.skip("CUDA works here")
    monkeypatch.setattr(session, "choose", lambda asked: providers.Device("cuda", 0, asked))
    with pytest.raises(DeviceMissing, match="runs on CPUExecutionProvider"):
        GraphSessions(bundle, "cuda", threads=1).prepare(8, 8)


def test_a_run_that_fails_on_the_way_is_a_failed_plugin_and_not_a_wrong_bundle(
    bundle: store.Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = GraphSessions(bundle, "cpu", threads=1)

    def broken(_: object) -> list:
        raise RuntimeError("device lost")

    monkeypatch.setattr(sessions, "_session", lambda *_: broken)
    with pytest.raises(PluginFailed, match="failed on cpu: device lost"):
        sessions.run("encode", {"frame": frame(8, 8)})


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("no memory left"),
        RuntimeError("CUDA failure 2: out of memory ; GPU=0"),
        RuntimeError("BFCArena: Failed to allocate memory for requested buffer of size 1207959552"),
        RuntimeError("CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED"),
        RuntimeError("std::bad_alloc"),
    ],
)
def test_a_run_that_the_memory_does_not_hold_is_told_from_other_failures(
    bundle: store.Bundle, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    sessions = GraphSessions(bundle, "cpu", threads=1)

    def full(_: object) -> list:
        raise error

    monkeypatch.setattr(sessions, "_session", lambda *_: full)
    with pytest.raises(OutOfMemory, match="failed on cpu"):
        sessions.run("encode", {"frame": frame(8, 8)})


def test_two_bundles_on_one_device_never_run_at_once(bundle: store.Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    running, most = 0, 0

    def slow(_: object) -> list:
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.01)
        running -= 1
        return [np.zeros((1, 3, 4, 4), np.float32)]

    workers = []
    for _ in range(3):
        sessions = GraphSessions(bundle, "cpu", threads=1)
        monkeypatch.setattr(sessions, "_session", lambda *_: slow)
        workers.append(threading.Thread(target=sessions.run, args=("encode", {"frame": frame(8, 8)})))
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert most == 1


def test_threads_share_a_device_in_turn_and_get_their_own_results(bundle: store.Bundle) -> None:
    sessions = GraphSessions(bundle, "cpu", threads=1)
    results: dict[int, np.ndarray] = {}

    def work(seed: int) -> None:
        for _ in range(20):
            results[seed] = sessions.to_numpy(sessions.run("encode", {"frame": frame(16, 16, seed)})["features"])

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for seed in range(4):
        np.testing.assert_allclose(results[seed], means(frame(16, 16, seed)), atol=1e-6)
