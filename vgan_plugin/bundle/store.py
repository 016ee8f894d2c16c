"""Reads a bundle, from a folder or a zip, into verified bytes in memory. Nothing is unpacked, executed or pickled.

The bytes that were hashed are the bytes that are run: no file is read twice.
"""

from __future__ import annotations

import hashlib
import stat
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vgan_plugin.bundle import manifest as schema
from vgan_plugin.bundle.manifest import Manifest
from vgan_plugin.errors import BundleError, BundleHash, BundleMissing, BundlePath

MAX_ENTRIES = 1024
"""Entries a zip may have; more is no bundle."""


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle whose every file has the hash that its manifest states.

    Attributes:
        manifest: what it says of itself.
        path: where it was read from.
        digest: SHA-256 of `bundle.json`, which names all other hashes: the identity of the whole.
        contents: the files' bytes by relative path.
    """

    manifest: Manifest
    path: Path
    digest: str
    contents: Mapping[str, bytes]

    def graph(self, name: str, precision: str | None = None) -> bytes:
        """The ONNX file of one graph."""
        return self.contents[self.manifest.graphs_in(precision)[name].file]

    def external(self) -> dict[str, bytes]:
        """External weights by the name the graphs call them; empty when each graph carries its own."""
        weights = self.manifest.weights
        return {} if weights is None else {weights: self.contents[weights]}


class _Source(Protocol):
    def read(self, name: str, limit: int) -> bytes:
        """At most `limit` bytes of one file; more, or none, is a BundleError."""
        ...


def load(path: Path | str) -> Bundle:
    """Read and verify a bundle.

    Args:
        path: a folder with `bundle.json`, or a zip of one (its files at the root or in one folder).

    Raises:
        BundleMissing: there is none.
        BundleHash: a file is absent or not what the manifest says.
        BundleError: anything else that is wrong; see `manifest.loads`.
    """
    path = Path(path)
    with _open(path) as source:
        text = source.read(schema.FILE_NAME, schema.MAX_MANIFEST)
        manifest = schema.loads(text)
        contents: dict[str, bytes] = {}
        left = schema.MAX_TOTAL
        for name, digest in manifest.files.items():
            data = source.read(name, min(left, schema.MAX_FILE))
            left -= len(data)
            if hashlib.sha256(data).hexdigest() != digest:
                raise BundleHash(
                    f"{name} of the bundle {path} is damaged or was changed",
                    "its SHA-256 is not the one in bundle.json",
                    "get the bundle again, or export it again",
                )
            contents[name] = data
    return Bundle(manifest, path, hashlib.sha256(text).hexdigest(), contents)


def peek(path: Path | str) -> Manifest:
    """Read a bundle's manifest alone: for lists. Nothing is hashed.

    Raises:
        BundleError: as `load`.
    """
    with _open(Path(path)) as source:
        return schema.loads(source.read(schema.FILE_NAME, schema.MAX_MANIFEST))


def _open(path: Path) -> AbstractContextManager[_Source]:
    if path.is_dir():
        return nullcontext(_Folder(path))
    if path.is_file() and zipfile.is_zipfile(path):
        return _Zip(path)
    raise BundleMissing(
        f"There is no bundle at {path}",
        "a bundle is a folder or a zip with bundle.json in it",
        "`vgan models` lists the bundles found",
    )


class _Folder:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str, limit: int) -> bytes:
        path = self.folder / name
        try:
            inside = path.resolve(strict=True).is_relative_to(self.folder.resolve())
            regular = stat.S_ISREG(path.stat().st_mode)
        except (OSError, RuntimeError) as error:  # RuntimeError: a link to itself
            raise _absent(self.folder, name, str(error)) from error
        if not inside:
            raise BundlePath(
                f"{name} of the bundle {self.folder} lies elsewhere",
                "it is a link that leads out of the bundle",
                "put the file itself there",
            )
        if not regular:  # a FIFO would block for ever
            raise _absent(self.folder, name, "it is not a regular file")
        try:
            with path.open("rb") as file:
                data = file.read(limit + 1)
        except OSError as error:
            raise _absent(self.folder, name, str(error)) from error
        return _within(self.folder, name, data, limit)


class _Zip(AbstractContextManager["_Zip"]):
    def __init__(self, path: Path) -> None:
        self.path = path
        if path.stat().st_size > schema.MAX_TOTAL:
            raise BundleError(
                f"The zip {path} is too large", f"a bundle has at most {schema.MAX_TOTAL} bytes", "do not use it"
            )
        try:
            self.zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError) as error:
            raise _broken(path, error) from error
        try:
            self.root = self._root()
        except BaseException:
            self.zip.close()
            raise

    def _root(self) -> str:
        names = self.zip.namelist()
        roots = [
            n.removesuffix(schema.FILE_NAME)
            for n in names
            if n.rpartition("/")[2] == schema.FILE_NAME and n.count("/") < 2
        ]
        if len(names) > MAX_ENTRIES or len(set(names)) < len(names) or len(roots) > 1:
            raise BundleError(
                f"The zip {self.path} is no bundle",
                f"it has {len(names)} entries (at most {MAX_ENTRIES}), some of one name, or several {schema.FILE_NAME}",
                "zip the one folder of the bundle",
            )
        if not roots:
            raise _absent(self.path, schema.FILE_NAME, "the zip does not hold it")
        return roots[0]

    def read(self, name: str, limit: int) -> bytes:
        try:
            with self.zip.open(self.root + name) as file:
                data = file.read(limit + 1)  # what the directory claims is not believed
        except KeyError as error:
            raise _absent(self.path, name, "the zip does not hold it") from error
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError) as error:
            raise _broken(self.path, error) from error
        return _within(self.path, name, data, limit)

    def __exit__(self, *_: object) -> None:
        self.zip.close()


def _within(where: Path, name: str, data: bytes, limit: int) -> bytes:
    if len(data) > limit:
        raise BundleError(
            f"{name} of the bundle {where} is too large",
            f"a file may have {schema.MAX_FILE} bytes, a manifest {schema.MAX_MANIFEST}, a bundle {schema.MAX_TOTAL}",
            "do not use this bundle",
        )
    return data


def _absent(where: Path, name: str, why: str) -> BundleError:
    what = f"{name} of the bundle {where} cannot be read"
    if name == schema.FILE_NAME:
        return BundleMissing(what, why, "`vgan models` lists the bundles found")
    return BundleHash(what, why, "get the bundle again, or export it again")


def _broken(path: Path, error: Exception) -> BundleError:
    return BundleError(f"The zip {path} cannot be read", str(error), "get the bundle again from its maker")
