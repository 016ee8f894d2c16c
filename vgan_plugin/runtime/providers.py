"""Where the network may really run: a device string becomes ONNX Runtime providers, told truthfully.

`onnxruntime.get_available_providers()` lists what is compiled in, and a session asked for CUDA on a machine without it
silently runs on the CPU. So the driver is asked for its devices, and a probe session for the provider it got.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.metadata
import io
import os
import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import onnxruntime

from vgan_plugin.errors import DeviceMissing, RuntimeTooOld, UsageError

OLDEST = (1, 26)
"""Older ones lack DeformConv on the CPU, or have a slow one."""
WHEELS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino", "onnxruntime-qnn")
"""Distributions that all install into one `onnxruntime` folder."""
CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"

CAPTURE = "VGAN_CUDA_GRAPHS"
"""Environment variable: 1 = capture CUDA graphs. Not by default: a host may use CUDA elsewhere in the process."""

_DEVICE = re.compile(r"auto|cpu|cuda(?::(?P<index>\d{1,3}))?")
_CUDNN = "libcudnn.so.9"
# y = Identity(x), one float, opset 13: the smallest model that shows which provider a session gets.
_PROBE = (
    b'\x08\x07\x12\x00:7\n\x10\n\x01x\x12\x01y"\x08Identity\x12\x01pZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01'
    b"b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\r"
)


@dataclass(frozen=True)
class Device:
    """Where sessions are opened.

    Attributes:
        kind: ``cpu`` or ``cuda``.
        index: which one, for CUDA.
        asked: the device string this answers.
        fallback: why ``auto`` found no CUDA device; empty when nothing less runs than was asked for.
        captures: whether CUDA graphs are captured: faster, but while one is, nobody else in the process may use CUDA.
    """

    kind: str
    index: int = 0
    asked: str = "cpu"
    fallback: str = ""
    captures: bool = False

    @property
    def name(self) -> str:
        """``cpu`` or ``cuda:N``."""
        return self.kind if self.kind == "cpu" else f"{self.kind}:{self.index}"

    @property
    def memory(self) -> tuple[str, int]:
        """Where its values lie, in ONNX Runtime's words."""
        return self.kind, self.index

    @property
    def provider(self) -> str:
        """The execution provider that must come first in a session here."""
        return CPU if self.kind == "cpu" else CUDA

    def providers(self, stream: int = 0) -> list[tuple[str, dict[str, str]]]:
        """What to give a session. Nodes without a CUDA kernel go to the CPU, and are counted by the session.

        Args:
            stream: the CUDA stream that it is to run in; 0 = one of its own.
        """
        if self.kind == "cpu":
            return [(CPU, {})]
        options = {
            "device_id": str(self.index),
            # Heuristic: the same algorithm each time, hence the same bytes, and no search at the first frame of a size.
            "cudnn_conv_algo_search": "HEURISTIC",
            "cudnn_conv_use_max_workspace": "1",
            "arena_extend_strategy": "kSameAsRequested",
            "use_tf32": "0",
            "enable_cuda_graph": str(int(self.captures)),
        }
        if stream:
            options["user_compute_stream"] = str(stream)
        return [(CUDA, options), (CPU, {})]


def choose(device: str) -> Device:
    """Decide where to run.

    Args:
        device: ``auto`` (CUDA where it works, else the CPU, and says why), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        UsageError: another string.
        RuntimeTooOld: this ONNX Runtime cannot run our graphs, or two of its wheels lie over each other.
        DeviceMissing: CUDA was asked for by name and cannot be used.
    """
    match = _DEVICE.fullmatch(device)
    if not match:
        raise UsageError(f"Device {device!r} is unknown", "vgan knows auto, cpu, cuda and cuda:N", "name one of these")
    check_runtime()
    if device == "cpu":
        return Device("cpu", 0, device)
    index = int(match["index"] or 0)
    why = why_no_cuda(index)
    if not why:
        return Device("cuda", index, device, captures=os.environ.get(CAPTURE, "") not in ("", "0"))
    if device == "auto":
        return Device("cpu", 0, device, why)
    raise DeviceMissing(
        f"Device {device} cannot be used",
        why,
        'pip install "vgan[cuda]" on a machine with an NVIDIA driver for CUDA 13, or run with --device cpu',
    )


def installed() -> dict[str, str]:
    """Installed distributions of ONNX Runtime and their versions."""
    found = {}
    for name in WHEELS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def check_runtime() -> None:
    """Make sure that ONNX Runtime can run our graphs.

    Raises:
        RuntimeTooOld: it is older than `OLDEST`, or several of its wheels share one folder.
    """
    wheels = installed()
    if len(wheels) > 1:
        names = " ".join(wheels)
        raise RuntimeTooOld(
            "Several wheels of ONNX Runtime lie over each other",
            f"{names} install into one folder, and the last one wins",
            f"pip uninstall {names}, then pip install vgan again",
        )
    version = tuple(int(part) for part in re.findall(r"\d+", onnxruntime.__version__)[:2])
    if version < OLDEST:
        raise RuntimeTooOld(
            f"ONNX Runtime {onnxruntime.__version__} is too old",
            f"vgan's graphs need {OLDEST[0]}.{OLDEST[1]}",
            'pip install --upgrade "onnxruntime-gpu>=1.26" (onnxruntime where there is no such wheel)',
        )


@cache
def why_no_cuda(index: int = 0) -> str:
    """Why CUDA device `index` cannot be used; empty when it can. Asked once a process."""
    if CUDA not in onnxruntime.get_available_providers():
        return f"the installed ONNX Runtime ({', '.join(installed()) or onnxruntime.__version__}) has no CUDA provider"
    try:
        devices, version = _driver()
    except OSError as error:
        return f"no NVIDIA driver answers ({error})"
    wanted = tuple(int(part) for part in re.findall(r"\d+", str(onnxruntime.cuda_version))[:1])
    if wanted and version < wanted:
        return (
            f"the driver serves CUDA {version[0]}.{version[1]}, this ONNX Runtime wants {wanted[0]}: update the driver"
        )
    if index >= devices:
        return f"the driver sees {devices} CUDA device{'s' * (devices != 1)}, counted from 0"
    with contextlib.redirect_stdout(io.StringIO()):  # it prints, and our standard output may be a video
        onnxruntime.preload_dlls()
    onnxruntime.set_default_logger_severity(4)
    try:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(_PROBE, options, providers=Device("cuda", index).providers())
        got = session.get_providers()
    except Exception as error:  # noqa: BLE001 its errors share no other base; whatever it says is the reason
        return f"ONNX Runtime's CUDA provider does not start: {' '.join(str(error).split())[:200]}"
    finally:
        onnxruntime.set_default_logger_severity(2)
    if CUDA in got:
        return ""
    missing = [name for name in (f"libcublasLt.so.{wanted[0]}" if wanted else "", _CUDNN) if name and not _loads(name)]
    return "ONNX Runtime's CUDA provider does not load: " + (
        f"{', '.join(missing)} missing" if missing else f"it wants CUDA {onnxruntime.cuda_version} and cuDNN 9"
    )


def _loads(library: str) -> bool:
    """Whether a shared library can be loaded, or is loaded already."""
    if sys.platform == "win32":
        return True  # they are called otherwise there
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _driver() -> tuple[int, tuple[int, int]]:
    """How many devices the NVIDIA driver sees, and the newest CUDA it serves.

    Raises:
        OSError: there is no driver, or it does not start.
    """
    driver: Any = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    count, version = ctypes.c_int(), ctypes.c_int()
    for status in (
        driver.cuInit(0),
        driver.cuDeviceGetCount(ctypes.byref(count)),
        driver.cuDriverGetVersion(ctypes.byref(version)),
    ):
        if status:
            raise OSError(f"CUDA driver error {status}")
    return count.value, (version.value // 1000, version.value % 1000 // 10)


@cache
def physical_cores() -> int:
    """Physical cores this process may use: what a network gains from; a second thread a core it does not."""
    if sys.platform != "linux":
        return max(1, (os.cpu_count() or 2) // 2)
    allowed = os.sched_getaffinity(0)
    cores = set()
    for cpu in allowed:
        topology = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology")
        try:
            cores.add(((topology / "physical_package_id").read_text(), (topology / "core_id").read_text()))
        except OSError:  # some containers hide it
            return len(allowed)
    return len(cores)
