"""Every error a user can meet: what happened, why, what to do, a code, and the exit status that goes with it.

`docs/errors.md` lists the codes and the exit statuses; a test holds the two together.
"""

from __future__ import annotations


class VganError(Exception):
    """Base of all errors vgan raises on purpose.

    Args:
        what: what happened, one clause without a final full stop.
        why: the reason.
        do: what the user can do about it.
    """

    code = "VGAN-000"
    exit_status = 1

    def __init__(self, what: str, why: str, do: str) -> None:
        super().__init__(what, why, do)
        self.what, self.why, self.do = what, why, do

    def __str__(self) -> str:
        return f"{self.what}: {self.why}; {self.do} [{self.code}]"


class UsageError(VganError, ValueError):
    """The request contradicts itself or names something that does not exist."""

    code = "VGAN-201"
    exit_status = 2


class InputError(VganError, OSError):
    """The input cannot be read."""

    code = "VGAN-301"
    exit_status = 3


class InputMissing(InputError, FileNotFoundError):
    """There is no such file, or it is a folder."""

    code = "VGAN-302"


class InputNotVideo(InputError):
    """The file is readable but holds no video: text, sound only, a playlist."""

    code = "VGAN-303"


class InputUnsupported(InputError):
    """A video, but of a kind vgan does not work on (pixel format, interlaced, changing size)."""

    code = "VGAN-304"


class InputDamaged(InputError):
    """The file is truncated or too damaged to decode."""

    code = "VGAN-305"


class PlanUnusable(InputError, ValueError):
    """A plan file, or `--at`, does not fit the input."""

    code = "VGAN-306"


class DataUnusable(InputError):
    """A training folder holds nothing to train on."""

    code = "VGAN-307"


class MaskUnusable(InputError, ValueError):
    """A mask or box does not fit the input, or hides all of it."""

    code = "VGAN-308"


class OutputError(VganError, OSError):
    """The output cannot be written."""

    code = "VGAN-401"
    exit_status = 4


class OutputExists(OutputError, FileExistsError):
    """The output exists and --overwrite was not given."""

    code = "VGAN-402"


class OutputIsInput(OutputError):
    """The output would replace the input."""

    code = "VGAN-403"


class CodecUnusable(OutputError):
    """The encoder is unknown, or does not take this pixel format or these options."""

    code = "VGAN-404"


class BundleError(VganError, ValueError):
    """A bundle cannot be used."""

    code = "VGAN-501"
    exit_status = 5


class BundleMissing(BundleError, FileNotFoundError):
    """No bundle of that name or path."""

    code = "VGAN-502"


class BundleVersion(BundleError):
    """The bundle's format version is not the one this vgan reads."""

    code = "VGAN-503"


class BundleHash(BundleError):
    """A file of the bundle is not what its manifest says."""

    code = "VGAN-504"


class BundlePath(BundleError):
    """The manifest names a file outside the bundle."""

    code = "VGAN-505"


class BundleGraph(BundleError):
    """A graph's inputs, outputs or size are not those of a vgan bundle."""

    code = "VGAN-506"


class TaskMissing(BundleError):
    """The generator was not made for this task."""

    code = "VGAN-507"


class GeneratorMissing(BundleError):
    """No plugin offers that generator."""

    code = "VGAN-508"


class PluginFailed(VganError, RuntimeError):
    """A plugin crashed; the host's call is answered with this."""

    code = "VGAN-509"
    exit_status = 5


class RuntimeTooOld(BundleError):
    """ONNX Runtime is older than the graphs need, or two of its wheels lie over each other."""

    code = "VGAN-510"


class ExportFailed(BundleError):
    """A run cannot be exported, or its graphs do not give what torch gives."""

    code = "VGAN-511"


class TrainingFailed(VganError, RuntimeError):
    """A training cannot start or go on (NaN, a run folder of another kind)."""

    code = "VGAN-512"
    exit_status = 5


class ExtraMissing(VganError, ImportError):
    """The command needs an optional dependency that is not installed."""

    code = "VGAN-513"
    exit_status = 5


class DeviceMissing(VganError, RuntimeError):
    """The device asked for is not there."""

    code = "VGAN-601"
    exit_status = 6


class OutOfMemory(PluginFailed):
    """The device's memory does not hold what a frame needs."""

    code = "VGAN-602"
    exit_status = 6
