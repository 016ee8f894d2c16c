"""Bundles come from strangers: whatever is wrong with one is one named error, quickly, and never anything else."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fakebundle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgan_plugin.bundle import manifest, store
from vgan_plugin.errors import (
    BundleError,
    BundleGraph,
    BundleHash,
    BundleMissing,
    BundlePath,
    BundleVersion,
)

FILES = ("encode.onnx", "remember.onnx", "render.onnx", "weights.bin")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    for name in FILES:
        (folder / name).write_bytes(name.encode())
    fakebundle.MANIFEST.write(folder)
    return folder


def good() -> dict[str, Any]:
    files = {name: hashlib.sha256(name.encode()).hexdigest() for name in FILES}
    return {**fakebundle.MANIFEST.to_json(), "files": files}


def put(*path: object, value: object) -> Callable[[dict[str, Any]], None]:
    def change(data: Any) -> None:
        for key in path[:-1]:
            data = data[key]
        data[path[-1]] = value

    return change


def drop(*path: object) -> Callable[[dict[str, Any]], None]:
    def change(data: Any) -> None:
        for key in path[:-1]:
            data = data[key]
        del data[path[-1]]

    return change


def escape(name: str) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        data["files"][name] = "0" * 64
        data["graphs"]["encode"]["file"] = name

    return change


def in_half(name: str) -> Callable[[dict[str, Any]], None]:
    """Half-precision graphs, one of whose inputs is called otherwise than in the others."""

    def change(data: dict[str, Any]) -> None:
        data["variants"] = {"fp16": json.loads(json.dumps(data["graphs"]))}
        data["variants"]["fp16"]["render"]["inputs"][0]["name"] = name

    return change


SHAPE = ("graphs", "encode", "inputs", 0, "shape")
WRONG: list[tuple[Callable[[dict[str, Any]], None], type[BundleError], str]] = [
    (put("format", value=2), BundleVersion, "has format 2"),
    (put("format", value="1"), BundleVersion, "has format '1'"),
    (put("format", value=True), BundleVersion, "has format True"),
    (drop("format"), BundleVersion, "has format None"),
    *(
        (drop(key), BundleError, f'"{key}" is missing')
        for key in good()
        if key not in ("format", "weights", "cell", "variants")
    ),
    (put("variants", value={"fp16": {"encode": 1}}), BundleGraph, "missing: remember"),
    (put("variants", value={"fp8": {}}), BundleError, "not one of fp32"),
    (in_half("noise"), BundleGraph, "in fp16 are not those"),
    *((drop("training", key), BundleError, f'"{key}" is missing') for key in good()["training"]),
    (drop("graphs", "render"), BundleGraph, "missing: render"),
    (put("graphs", "decode", value={}), BundleGraph, "unknown: 'decode'"),
    (put("graphs", "encode", value=3), BundleError, "not an object"),
    (put("graphs", "encode", "file", value="nosuch.onnx"), BundleError, "does not list"),
    (put("graphs", "encode", "inputs", value=[]), BundleGraph, "0 inputs"),
    (put("graphs", "encode", "inputs", value=[None]), BundleError, "not an object"),
    (put("graphs", "encode", "outputs", value=good()["graphs"]["encode"]["outputs"] * 2), BundleGraph, "one name"),
    (put(*SHAPE, 1, value=1 << 40), BundleGraph, "has the shape"),
    (put(*SHAPE, 1, value=0), BundleGraph, "has the shape"),
    (put(*SHAPE, 1, value=-3), BundleGraph, "has the shape"),
    (put(*SHAPE, 1, value=3.0), BundleGraph, "has the shape"),
    (put(*SHAPE, value=[1] * 7), BundleGraph, "has the shape"),
    (put(*SHAPE, 2, value="H/3"), BundleGraph, "divide the stride"),
    (put(*SHAPE, 2, value="H/0"), BundleGraph, "not understood"),
    (put(*SHAPE, 2, value="__import__('os')"), BundleGraph, "not understood"),
    (put("graphs", "encode", "inputs", 0, "dtype", value="object"), BundleError, "not one of"),
    (put("graphs", "encode", "inputs", 0, "name", value="a b"), BundleError, "not a name"),
    (put("name", value="../base"), BundleError, "not a name"),
    (put("name", value=""), BundleError, "not a name"),
    (put("title", value="\x1b[2Jgone"), BundleError, "printable"),
    (put("title", value="x" * 201), BundleError, "printable"),
    (put("tasks", value=[]), BundleError, "not some of"),
    (put("tasks", value=["fill", "fill"]), BundleError, "not some of"),
    (put("tasks", value=["fly"]), BundleError, "not some of"),
    (put("tasks", value="fill"), BundleError, "is a str, not a list"),
    (put("block", value=0), BundleError, "from 1 to"),
    (put("block", value=True), BundleError, "from 1 to"),
    (put("lead", value=1 << 20), BundleError, "from 0 to"),
    (put("stride", value=257), BundleError, "from 1 to"),
    (put("offset_range", value=[4, -4]), BundleError, "rising"),
    (put("offset_range", value=[1]), BundleError, "rising"),
    (put("offset_range", value=["-1", "1"]), BundleError, "rising"),
    (put("precision", value="int4"), BundleError, "not one of"),
    (put("gflop_per_megapixel", value=-1), BundleError, "not a number"),
    (put("gflop_per_megapixel", value="5"), BundleError, "not a number"),
    (put("parity", value=[]), BundleError, "is a list, not a dict"),
    (put("weights", value=7), BundleError, "does not list"),
    (put("weights", value="other.bin"), BundleError, "does not list"),
    (put("files", value={}), BundleError, "lists 0 files"),
    (put("files", value={f"f{i}": "0" * 64 for i in range(33)}), BundleError, "lists 33 files"),
    (put("files", "encode.onnx", value="abc"), BundleError, "64 hexadecimal"),
    (put("files", "encode.onnx", value=None), BundleError, "64 hexadecimal"),
    *(
        (escape(name), BundlePath, "stay inside")
        for name in (
            "/etc/passwd",
            "../secret",
            "a/../../secret",
            "..",
            ".",
            "",
            "a//b",
            "a/",
            "..\\secret",
            "C:\\secret",
            "C:secret",
            "\\\\host\\share",
            "a\x00b",
            "~/x",
            "x" * 300,
        )
    ),
]


@pytest.mark.parametrize(("change", "error", "says"), WRONG, ids=[f"{i}-{w[2][:30]}" for i, w in enumerate(WRONG)])
def test_a_manifest_that_is_wrong_is_one_named_error(
    folder: Path, change: Callable[[dict[str, Any]], None], error: type[BundleError], says: str
) -> None:
    data = good()
    assert manifest.parse(data)
    change(data)
    (folder / "bundle.json").write_text(json.dumps(data))
    with pytest.raises(BundleError) as caught:
        store.load(folder)
    assert type(caught.value) is error
    assert says in str(caught.value)
    assert caught.value.exit_status == 5


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"format": 1, "block": NaN}',
        b'{"format": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'"' + b"x" * (1 << 20) + b'"',
    ],
    ids=["empty", "cut short", "a list", "not UTF-8", "NaN", "a huge number", "deep", "too large"],
)
def test_a_manifest_that_is_no_manifest_is_one_named_error(folder: Path, text: bytes) -> None:
    (folder / "bundle.json").write_bytes(text)
    with pytest.raises(BundleError):
        store.load(folder)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from([*good(), "none of them"]),
)
def test_any_value_anywhere_is_read_or_refused_by_name(value: object, key: str) -> None:
    try:
        manifest.parse({**good(), key: value})
    except BundleError as error:
        assert error.why  # noqa: PT017 - either outcome is right


def test_a_file_that_is_not_what_the_manifest_says_is_refused(folder: Path) -> None:
    (folder / "render.onnx").write_bytes(b"render.onnX")
    with pytest.raises(BundleHash, match=r"render\.onnx .* damaged"):
        store.load(folder)
    (folder / "render.onnx").write_bytes(b"render.on")
    with pytest.raises(BundleHash, match=r"render\.onnx .* damaged"):
        store.load(folder)
    (folder / "render.onnx").unlink()
    with pytest.raises(BundleHash, match=r"render\.onnx .* cannot be read"):
        store.load(folder)


def test_a_link_out_of_the_bundle_is_refused_and_one_inside_is_followed(folder: Path) -> None:
    (folder / "weights.bin").rename(folder / "inside.bin")
    (folder / "weights.bin").symlink_to("inside.bin")
    assert store.load(folder)
    (folder / "weights.bin").unlink()
    shutil.move(folder / "inside.bin", folder.parent / "outside.bin")
    (folder / "weights.bin").symlink_to(folder.parent / "outside.bin")
    with pytest.raises(BundlePath, match="link that leads out"):
        store.load(folder)
    (folder / "weights.bin").unlink()
    (folder / "weights.bin").symlink_to("weights.bin")
    with pytest.raises(BundleError):
        store.load(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
@pytest.mark.parametrize("name", ["weights.bin", "bundle.json"])
def test_a_pipe_in_the_place_of_a_file_does_not_hang(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(BundleError, match="not a regular file"):
        store.load(folder)


def test_no_bundle_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("no zip")
    for path in (tmp_path / "nosuch", tmp_path, tmp_path / "text.zip"):
        with pytest.raises(BundleMissing):
            store.load(path)


def test_a_file_larger_than_the_limit_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "MAX_FILE", 8)
    with pytest.raises(BundleError, match="too large"):
        store.load(folder)
    monkeypatch.setattr(manifest, "MAX_FILE", 1 << 20)
    monkeypatch.setattr(manifest, "MAX_TOTAL", 30)
    with pytest.raises(BundleError, match="too large"):
        store.load(folder)


def archive(folder: Path, **extra: bytes) -> Path:
    path = folder.parent / "b.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name in (*FILES, "bundle.json"):
            file.writestr(name, (folder / name).read_bytes())
        for name, data in extra.items():
            file.writestr(name, data)
    return path


def test_a_zip_bomb_is_cut_off_at_the_limit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "MAX_FILE", 1 << 20)
    bomb = bytes(16 << 20)
    (folder / "weights.bin").write_bytes(bomb)
    data = good()
    data["files"]["weights.bin"] = hashlib.sha256(bomb).hexdigest()
    (folder / "bundle.json").write_text(json.dumps(data))
    path = archive(folder)
    assert path.stat().st_size < 1 << 16
    tracemalloc.start()
    with pytest.raises(BundleError, match="too large"):
        store.load(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20


def test_a_zip_whose_directory_lies_about_sizes_is_refused(folder: Path) -> None:
    path = archive(folder)
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02")  # the directory's entry of bundle.json
    data[entry + 24 : entry + 28] = (1).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(BundleError):
        store.load(path)


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.95])
def test_a_truncated_zip_is_refused(folder: Path, cut: float) -> None:
    path = archive(folder)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * cut)])
    with pytest.raises(BundleError):
        store.load(path)


def test_a_zip_with_broken_bytes_inside_is_refused(folder: Path) -> None:
    path = archive(folder)
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x03\x04") + 30 + len("encode.onnx")
    data[at : at + 6] = b"\xff" * 6
    path.write_bytes(data)
    with pytest.raises(BundleError):
        store.load(path)


def test_a_zip_packed_in_a_way_that_nobody_here_knows_is_refused(folder: Path) -> None:
    path = archive(folder)
    data = bytearray(path.read_bytes())
    for header, method in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        at = -1
        while (at := data.find(header, at + 1)) >= 0:
            data[at + method : at + method + 2] = (97).to_bytes(2, "little")
    path.write_bytes(data)
    with pytest.raises(BundleError, match="compression"):
        store.load(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_with_two_files_of_one_name_or_too_many_entries_or_two_manifests_is_refused(folder: Path) -> None:
    path = archive(folder, **{"weights.bin": b"other"})
    with pytest.raises(BundleError, match="is no bundle"):
        store.load(path)
    with pytest.raises(BundleError, match="is no bundle"):
        store.load(archive(folder, **{f"f{i}": b"" for i in range(1100)}))
    with pytest.raises(BundleError, match="is no bundle"):
        store.load(archive(folder, **{"again/bundle.json": b"{}"}))


def test_entries_of_a_zip_that_climb_out_are_never_written_anywhere(folder: Path) -> None:
    path = archive(folder, **{"../../climbed": b"x", "/climbed": b"x"})
    assert set(store.load(path).contents) == set(FILES)
    assert not list(folder.parent.parent.glob("climbed"))


def test_an_encrypted_zip_is_refused(folder: Path) -> None:
    path = archive(folder)
    data = bytearray(path.read_bytes())
    at = 0
    while (at := data.find(b"PK\x01\x02", at)) >= 0:
        data[at + 8] |= 1
        at += 4
    path.write_bytes(data)
    with pytest.raises(BundleError):
        store.load(path)
