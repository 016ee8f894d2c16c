"""Write README's table of numbers and the pictures of the documents anew, from what `make demo` prints and draws.

    .venv/bin/python tests/bench/write_readme_numbers.py

Run it when the bundle that ships has changed. It takes two runs of the demo, and a Chromium for pictures of the report.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import av
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
SHOWN = ("missing", "blank")
"""Kinds whose rows of the strip the picture shows: the first of each."""


def demo(out: Path, *options: str) -> list[list[str]]:
    """The rows of the demo's table: planted, at, 's', frames, found, ..., held dB, made dB."""
    command = [sys.executable, ROOT / "examples" / "demo.py", "--out", out, *options]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("planted "))
    rows = [line.split() for line in lines[start + 1 :]]
    return rows[: rows.index([])]


def table(ours: list[list[str]], blend: list[list[str]], cuts: list[int], truth: dict) -> str:
    lines = ["| planted, at | frames | held | blend | vgan |", "|---|---|---|---|---|"]
    for row, plain, fault in zip(ours, blend, truth["faults"], strict=True):
        inside = any(fault["first"] < cut <= fault["last"] for cut in cuts)
        note = " (a cut inside)" if inside else ""
        lines.append(f"| {row[0]}, {row[1]} s{note} | {row[3]} | {row[-2]} | {plain[-1]} | {row[-1]} |")
    return "\n".join(lines)


def picture(strip: Path, target: Path, rows: list[int], of: int) -> None:
    """Rows of the strip as a JPEG."""
    with av.open(str(strip)) as container:
        whole = next(container.decode(video=0)).to_ndarray(format="rgb24")
    height = whole.shape[0] // of
    some = np.concatenate([whole[row * height : (row + 1) * height] for row in rows])
    codec = av.CodecContext.create("mjpeg", "w")
    codec.height, codec.width = some.shape[0] // 2 * 2, some.shape[1] // 2 * 2
    codec.pix_fmt, codec.time_base = "yuvj420p", 1
    codec.options = {"q:v": "3", "qmin": "3", "qmax": "3"}
    frame = av.VideoFrame.from_ndarray(some[: codec.height, : codec.width].copy(), format="rgb24")
    frame = frame.reformat(format="yuvj420p")
    target.write_bytes(b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)]))


def screens(page: Path, docs: Path) -> None:
    """The report in a browser: its top in the light, a doubtful frame in the dark."""
    from browser import Browser, find

    if find() is None:
        print("No Chromium on PATH: the pictures of the report stay as they are.")
        return
    profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)  # a browser that ends still writes
    with profile as folder, Browser(Path(folder), 1280, 880) as tab:
        tab.scheme("light")
        tab.open(page)
        tab.screenshot(docs / "report.jpg")
        tab.scheme("dark")
        tab.open(page)
        for key in "nn":
            tab.press(key)
        tab.drawn()
        tab.screenshot(docs / "report-dark.jpg")


def main() -> None:
    sys.path[:0] = [str(ROOT / "examples"), str(ROOT / "tests")]
    from demo import ROWS, chosen

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        blend, ours = demo(out, "--generator", "blend"), demo(out)
        truth = json.loads((out / "broken.json").read_text())
        cuts = [cut["first"] for cut in truth["cuts"]]
        kinds = {i: f["kind"] for f in truth["faults"] for i in range(f["first"], f["last"] + 1)}
        shown = [kinds[i] for i in chosen(truth["faults"])]
        picture(out / "strip.png", ROOT / "docs" / "strip.jpg", [shown.index(kind) for kind in SHOWN], ROWS)
        screens(out / "report.html", ROOT / "docs")
    text, count = re.subn(
        r"(?s)(\| planted, at \|).*?\n\n", table(ours, blend, cuts, truth) + "\n\n", README.read_text(), count=1
    )
    if not count:
        sys.exit("README has no table of numbers")
    README.write_text(text)


if __name__ == "__main__":
    main()
