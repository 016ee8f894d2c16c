"""A device string becomes providers, and the truth is told about them."""

from __future__ import annotations

import importlib.metadata

import onnxruntime
import pytest

from vgan_plugin.errors import DeviceMissing, RuntimeTooOld, UsageError
from vgan_plugin.runtime import providers


@pytest.fixture
def no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "why_no_cuda", lambda _index=0: "the test took it away")


def test_cpu_is_cpu_and_no_fallback() -> None:
    device = providers.choose("cpu")
    assert (device.name, device.provider, device.fallback) == ("cpu", "CPUExecutionProvider", "")
    assert device.providers() == [("CPUExecutionProvider", {})]


@pytest.mark.usefixtures("no_cuda")
def test_auto_falls_back_to_the_cpu_and_says_why() -> None:
    device = providers.choose("auto")
    assert device.kind == "cpu"
    assert device.fallback == "the test took it away"


@pytest.mark.usefixtures("no_cuda")
@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:7"])
def test_cuda_by_name_that_cannot_be_used_is_an_error_with_exit_status_6(name: str) -> None:
    with pytest.raises(DeviceMissing, match="the test took it away") as caught:
        providers.choose(name)
    assert caught.value.exit_status == 6


def test_cuda_that_works_is_chosen_with_its_index_and_the_cpu_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "why_no_cuda", lambda _index=0: "")
    device = providers.choose("cuda:3")
    assert (device.name, device.fallback) == ("cuda:3", "")
    (first, options), (second, _) = device.providers()
    assert (first, options["device_id"], second) == ("CUDAExecutionProvider", "3", "CPUExecutionProvider")
    assert providers.choose("auto").name == "cuda:0"


@pytest.mark.parametrize("name", ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "CPU", "cpu ", "cuda:0,1"])
def test_an_unknown_device_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError, match="auto, cpu, cuda"):
        providers.choose(name)


def test_without_a_driver_the_reason_names_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> tuple:
        raise OSError("libcuda.so.1: cannot open shared object file")

    monkeypatch.setattr(providers, "_driver", missing)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [providers.CUDA, providers.CPU])
    assert "no NVIDIA driver answers (libcuda.so.1" in providers.why_no_cuda.__wrapped__(0)


def test_a_device_number_past_the_last_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "_driver", lambda: (1, (99, 0)))
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [providers.CUDA, providers.CPU])
    assert providers.why_no_cuda.__wrapped__(1) == "the driver sees 1 CUDA device, counted from 0"


def test_a_cpu_only_wheel_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [providers.CPU])
    assert "has no CUDA provider" in providers.why_no_cuda.__wrapped__(0)


def test_a_driver_without_the_cuda_libraries_is_found_out_by_the_probe_and_nothing_is_printed(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    if not providers.why_no_cuda(0):
        pytest.skip("CUDA works here")
    monkeypatch.setattr(providers, "_driver", lambda: (1, (99, 0)))
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [providers.CUDA, providers.CPU])
    assert "CUDA provider does not load" in providers.why_no_cuda.__wrapped__(0)
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver with one device, and a wheel that wants CUDA 13."""
    monkeypatch.setattr(providers, "_driver", lambda: (1, (13, 0)))
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [providers.CUDA, providers.CPU])
    monkeypatch.setattr(onnxruntime, "cuda_version", "13.0", raising=False)


@pytest.mark.usefixtures("a_device")
def test_a_driver_too_old_says_which_cuda_it_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "_driver", lambda: (1, (12, 4)))
    why = providers.why_no_cuda.__wrapped__(0)
    assert why == "the driver serves CUDA 12.4, this ONNX Runtime wants 13: update the driver"


@pytest.mark.usefixtures("a_device")
@pytest.mark.parametrize(
    ("library", "cause"),
    [("libcublasLt.so.13", "libraries of CUDA 12"), ("libcudnn.so.9", "the extra without cuDNN")],
)
def test_libraries_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch, library: str, cause: str) -> None:
    class OnTheCpu:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def get_providers(self) -> list[str]:
            return [providers.CPU]

    monkeypatch.setattr(providers, "_loads", lambda name: name != library)
    monkeypatch.setattr(onnxruntime, "InferenceSession", OnTheCpu)
    assert providers.why_no_cuda.__wrapped__(0).endswith(f"does not load: {library} missing"), cause


@pytest.mark.usefixtures("a_device")
def test_a_provider_that_raises_at_its_start_is_a_reason_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA failure 803: system has unsupported display driver\n / cuda driver combination")

    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None, raising=False)
    monkeypatch.setattr(onnxruntime, "InferenceSession", broken)
    assert "does not start: CUDA failure 803" in providers.why_no_cuda.__wrapped__(0)


@pytest.mark.parametrize("version", ["1.25.1", "1.9.0", "0.5"])
def test_an_old_runtime_is_refused(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(onnxruntime, "__version__", version)
    with pytest.raises(RuntimeTooOld, match="too old"):
        providers.choose("cpu")


def test_a_new_runtime_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("1.26.0", "1.100.0.dev1", "2.0.0"):
        monkeypatch.setattr(onnxruntime, "__version__", version)
        providers.check_runtime()


def test_two_wheels_over_each_other_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name in ("onnxruntime", "onnxruntime-gpu"):
            return "1.31.1"
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    with pytest.raises(RuntimeTooOld, match="onnxruntime onnxruntime-gpu install into one folder"):
        providers.choose("cpu")


def test_physical_cores_are_at_least_one() -> None:
    assert providers.physical_cores() >= 1
