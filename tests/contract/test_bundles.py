"""A bundle is read as it was written, from a folder or a zip, and found by name or path."""

from __future__ import annotations

import json
import zipfile
from dataclasses import fields, replace
from pathlib import Path

import fakebundle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgan_plugin.bundle import locate, manifest, store
from vgan_plugin.bundle.signature import Tensor
from vgan_plugin.errors import BundleGraph, BundleMissing

DOCS = Path(__file__).resolve().parents[2] / "docs" / "bundle.md"


def written(folder: Path, name: str = "fake") -> Path:
    """A bundle whose graphs are no graphs: enough for everything but running it."""
    folder.mkdir(parents=True)
    for file in ("encode.onnx", "remember.onnx", "render.onnx", "weights.bin"):
        (folder / file).write_bytes(file.encode() * 100)
    replace(fakebundle.MANIFEST, name=name).write(folder)
    return folder


def zipped(folder: Path, path: Path, root: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, root + file.name)
    return path


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    folder = written(tmp_path / "fake")
    bundle = store.load(folder)
    assert replace(bundle.manifest, files={}) == fakebundle.MANIFEST
    assert set(bundle.manifest.files) == {"encode.onnx", "remember.onnx", "render.onnx", "weights.bin"}
    assert bundle.graph("render") == b"render.onnx" * 100
    assert bundle.external() == {"weights.bin": b"weights.bin" * 100}
    assert store.peek(folder) == bundle.manifest


@pytest.mark.parametrize("root", ["", "fake/"])
def test_a_zip_reads_as_its_folder_does(tmp_path: Path, root: str) -> None:
    folder = written(tmp_path / "fake")
    a, b = store.load(folder), store.load(zipped(folder, tmp_path / "any.zip", root))
    assert (a.manifest, a.digest, a.contents) == (b.manifest, b.digest, b.contents)


def test_files_the_manifest_does_not_name_are_not_read(tmp_path: Path) -> None:
    folder = written(tmp_path / "fake")
    (folder / "notes.txt").write_text("hello")
    assert "notes.txt" not in store.load(folder).contents


def test_a_field_of_a_later_writer_is_ignored(tmp_path: Path) -> None:
    data = json.loads((written(tmp_path / "fake") / "bundle.json").read_text())
    assert manifest.parse({**data, "colour": "blue"}) == manifest.parse(data)


def test_writing_what_could_not_be_read_back_is_refused_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(manifest.BundleError, match="files"):
        fakebundle.MANIFEST.write(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_bundle_is_found_by_name_and_by_path_and_the_first_of_a_name_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, plugins, shipped = tmp_path / "mine", tmp_path / "plugins", tmp_path / "shipped"
    first = written(mine / "fake")
    written(plugins / "fake")
    other = zipped(written(tmp_path / "made"), plugins / "other.zip")
    base = written(shipped / "base")
    alone = written(tmp_path / "alone")
    monkeypatch.setenv(locate.VARIABLE, f"{mine}:{tmp_path / 'nowhere'}")
    monkeypatch.setattr(locate, "SHIPPED", shipped)
    extra = (plugins, alone)
    assert locate.available(extra) == [first, base, other, alone]
    assert locate.find("fake", extra) == first
    assert locate.find("other", extra) == other
    assert locate.find("alone", extra) == alone
    assert locate.find(alone) == alone
    assert locate.find(str(plugins / "other.zip")) == plugins / "other.zip"
    monkeypatch.chdir(tmp_path)
    assert locate.find("alone") == Path("alone")
    assert locate.find("base") == base


def test_a_missing_bundle_is_told_with_those_that_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / "b" / "fake")
    monkeypatch.setenv(locate.VARIABLE, str(tmp_path / "b"))
    monkeypatch.setattr(locate, "SHIPPED", tmp_path / "none")
    for name in ("nosuch", tmp_path / "nosuch", "a/b", "x.zip", ""):
        with pytest.raises(BundleMissing, match="found: fake;"):
            locate.find(name)


@given(st.integers(1, 64), st.integers(1, 64), st.integers(1, 4))
def test_solving_a_shape_undoes_resolving_it(h: int, w: int, n: int) -> None:
    tensor = Tensor("x", ("N", 3, "H/16", "W/8"))
    sizes = {"N": n, "H": h * 16, "W": w * 8}
    assert tensor.solve(tensor.resolve(sizes)) == sizes


def test_a_size_that_is_no_multiple_is_refused() -> None:
    with pytest.raises(BundleGraph, match="no whole value"):
        Tensor("x", ("H/16",)).resolve({"H": 24})
    with pytest.raises(BundleGraph, match="does not take the shape"):
        Tensor("x", ("H/16", "H")).solve((2, 33))


def test_the_specification_lists_every_field_and_limit() -> None:
    text = DOCS.read_text()
    rows = {line.split("`")[1] for line in text.splitlines() if line.startswith("| `")}
    assert rows == {"format", *(f.name for f in fields(manifest.Manifest))} == set(fakebundle.MANIFEST.to_json())
    assert f"Format version: {manifest.FORMAT}." in text
    for word in (*manifest.TASKS, *manifest.GRAPHS, *manifest.DTYPES, *manifest.PRECISIONS):
        assert f"`{word}`" in text
    limits = (
        f"{manifest.MAX_FILE >> 20} MiB a file and {manifest.MAX_TOTAL >> 20} MiB a bundle",
        f"{store.MAX_ENTRIES} entries",
        f"at most {manifest.MAX_MANIFEST >> 20} MiB",
        f"1 to {manifest.MAX_FILES} ",
        f"1 to {manifest.MAX_DIMENSION}",
        f"{manifest.MAX_TENSORS} tensors a side, at most {manifest.MAX_RANK} dimensions",
        f"1 to {manifest.MAX_STRIDE} ",
        f"0 to {manifest.MAX_BLOCK} ",
        f"at most {manifest.MAX_LINE} characters",
    )
    for limit in limits:
        assert limit in text, limit


def test_the_example_of_the_specification_writes_a_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = DOCS.read_text().split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    for file in ("encode.onnx", "remember.onnx", "render.onnx"):
        (tmp_path / "mine" / file).write_bytes(b"x")
    exec(compile(code, "bundle.md", "exec"), {})  # noqa: S102 - our own page
    assert store.load(tmp_path / "mine").manifest.name == "mine"
