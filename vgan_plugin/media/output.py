"""A file that appears whole or not at all: written under a name beside the final one, renamed at the end."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from vgan_plugin.errors import OutputError, OutputExists, OutputIsInput

NULL = Path("null:")
"""An output of this name is encoded and thrown away, for timing."""


class PartFile:
    """The place of an output until it is complete.

    Args:
        final: the name asked for; a symbolic link is followed.
        inputs: files that must not be replaced, by whatever name.
        overwrite: whether an existing file may be replaced.

    Attributes:
        path: where to write.

    Raises:
        OutputIsInput: it is one of the inputs, also through a link.
        OutputExists: there is such a file and `overwrite` is False.
        OutputError: the folder is missing or cannot be written to, or the name is a folder or a device.
    """

    def __init__(self, final: Path, *inputs: Path, overwrite: bool = False) -> None:
        self.final = final.resolve() if final.is_symlink() else final
        self._overwrite = overwrite
        if self.final.exists():
            if any(os.path.samefile(self.final, source) for source in inputs if source.exists()):
                raise OutputIsInput(f"Cannot write {final}", "it is the input itself", "give the output another name")
            if not self.final.is_file():
                what = "a folder" if self.final.is_dir() else "not a regular file"
                raise OutputError(f"Cannot write {final}", f"it is {what}", "give the output another name")
        self._refuse_existing()
        folder = self.final.parent
        if not folder.is_dir():
            why = "its folder is a file" if folder.exists() else f"there is no folder {folder}"
            raise OutputError(f"Cannot write {final}", why, "make the folder first, or write elsewhere")
        self.path = folder / f".{self.final.stem}.part{self.final.suffix}"
        try:
            self.path.open("wb").close()
        except OSError as error:
            raise output_error(final, error) from error

    def commit(self) -> None:
        """The file is complete: on to the disk, and under its name."""
        try:
            with self.path.open("rb+") as file:
                os.fsync(file.fileno())
            self._refuse_existing()
            self.path.replace(self.final)
        except OSError as error:
            self.discard()
            raise error if isinstance(error, OutputError) else output_error(self.final, error) from error

    def discard(self) -> None:
        """Nothing is to remain."""
        self.path.unlink(missing_ok=True)

    def _refuse_existing(self) -> None:
        if self.final.exists() and not self._overwrite:
            raise OutputExists(f"{self.final} exists", "it would be replaced", "say --overwrite, or give another name")


def output_error(path: Path, error: BaseException) -> OutputError:
    """What the system says when writing fails, as an error for users."""
    number = getattr(error, "errno", None)
    why = str(getattr(error, "strerror", None) or error)
    do = "check the folder and its permissions"
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        do = "free space there, or write elsewhere"
    return OutputError(f"Cannot write {path}", why, do)
