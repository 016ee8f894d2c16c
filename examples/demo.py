"""Break a clip, repair it, and lay what came out beside the truth: `make demo`.

Writes into `out/`: `broken.mkv` and its truth `broken.json`, `repaired.mkv`, `report.html` to look at and the same
facts as `report.json`, and `strip.png` (broken, repaired, truth, and the errors of the first two, from left to right;
one gap a row). Exit status 0 when every planted fault was found and repaired.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))
from make_broken_clip import break_clip, truth_frames

from vgan_plugin.bundle import locate
from vgan_plugin.errors import BundleMissing

HERE = Path(__file__).parent
VGAN = Path(sys.executable).with_name("vgan")
Picture = NDArray[np.uint8]
ROWS = 5
"""Gaps shown in the strip."""
WINDOW = (180, 300)
"""Rows and columns of a panel of the strip, at full size."""


def vgan(*arguments: str | Path, results: Path | None = None) -> None:
    """Run a command of vgan as a user would, and show it; a status above 1 ends the demo.

    `results`: a file for what it prints on standard output; progress and remarks come on standard error in any case.
    """
    words = [str(argument) for argument in arguments]
    print(f"\n$ vgan {' '.join(words)}{f' > {results}' if results else ''}", flush=True)
    with results.open("wb") if results else nullcontext() as shown:
        status = subprocess.run([VGAN, *words], check=False, stdout=shown).returncode  # noqa: S603 - our own command
    if status > 1:
        sys.exit(status)


def generator(name: str | None) -> list[str]:
    """Options for `vgan fill`: the generator of that name; else ours where a bundle is found; else the fallback."""
    if name:
        return ["--generator", name]
    try:
        locate.find("base")
    except BundleMissing:
        print("No bundle is installed: gaps are filled by blending.")
        return ["--generator", "blend"]
    return []


def read(path: Path, rate: float) -> dict[int, Picture]:
    """Frames by their place on the clock: yuv420p, (H * 3 / 2, W)."""
    with av.open(str(path)) as container:
        return {round(f.time * rate): f.to_ndarray(format="yuv420p") for f in container.decode(video=0)}


def psnr(a: Picture, b: Picture) -> float:
    """Luma PSNR in dB of two yuv420p pictures."""
    luma = slice(0, a.shape[0] * 2 // 3)
    error = np.square(a[luma].astype(np.float64) - b[luma]).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def shown(broken: dict[int, Picture], index: int) -> Picture:
    """What a player shows at that time: a lost frame is the one before it, held."""
    return broken[max(i for i in broken if i <= index)]


def judge(truth: dict[str, Any], report: dict[str, Any], pictures: tuple[dict[int, Picture], ...]) -> list[list[str]]:
    """One row a planted fault: what, when, whether it was found, and how what was made compares with the truth."""
    broken, repaired, wanted = pictures
    rate = float(truth["rate"])
    events = {(e["kind"], round(e["time"] * rate)): e["count"] for e in report["events"]}
    made = {round(m["time"] * rate): m for m in report["made"]}
    rows = []
    for fault in truth["faults"]:
        indices = range(fault["first"], fault["last"] + 1)
        found = events.get((fault["kind"], fault["first"])) == fault["count"]
        done = [made[i] for i in indices if i in made]
        before = np.mean([psnr(shown(broken, i), wanted[i]) for i in indices])
        after = np.mean([psnr(shown(repaired, i), wanted[i]) for i in indices])
        rows.append(
            [
                fault["kind"],
                f"{fault['time']:.2f} s",
                str(fault["count"]),
                "yes" if found else "NO",
                f"{len(done)} by {', '.join(sorted({m['method'] for m in done})) or 'nobody'}",
                f"{np.mean([m['confidence'] for m in done]):.2f}" if done else "-",
                f"{before:.1f}",
                f"{after:.1f}",
            ]
        )
    return rows


def table(head: list[str], rows: list[list[str]]) -> str:
    """Columns of plain text."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows)]
    return "\n".join(line.rstrip() for line in lines)


def rgb(picture: Picture) -> NDArray[np.int16]:
    """A yuv420p picture as RGB, (H, W, 3)."""
    return av.VideoFrame.from_ndarray(picture, format="yuv420p").to_ndarray(format="rgb24").astype(np.int16)


def strip(rows: Iterable[tuple[Picture, Picture, Picture]]) -> Picture:
    """One gap a row, where it hurts most: broken (red bar), repaired (green), truth (white), and the two errors x 3."""
    lines = []
    for row in rows:
        broken, repaired, truth = (rgb(picture) for picture in row)
        worst = np.abs(broken - truth).sum(2)
        # The window of the largest error, on a coarse grid of places.
        places = [
            (y, x)
            for y in range(0, worst.shape[0] - WINDOW[0] + 1, 34)
            for x in range(0, worst.shape[1] - WINDOW[1] + 1, 30)
        ] or [(0, 0)]
        y, x = max(places, key=lambda at: int(worst[at[0] : at[0] + WINDOW[0], at[1] : at[1] + WINDOW[1]].sum()))
        panels = (
            (broken, (200, 40, 40)),
            (repaired, (40, 170, 70)),
            (truth, (230, 230, 230)),
            (np.abs(broken - truth) * 3, (200, 40, 40)),
            (np.abs(repaired - truth) * 3, (40, 170, 70)),
        )
        line = []
        for panel, bar in panels:
            part = np.clip(panel[y : y + WINDOW[0], x : x + WINDOW[1]], 0, 255).astype(np.uint8)
            line.append(np.concatenate([np.full((5, part.shape[1], 3), bar, np.uint8), part]))
        lines.append(np.concatenate(line, 1))
    return np.concatenate(lines)


def chosen(faults: list[dict[str, Any]]) -> list[int]:
    """Middle frames of the faults that the strip shows: the longest of each kind, then the next longest."""
    ordered = sorted(faults, key=lambda f: (-f["count"], f["first"]))
    first = {f["kind"]: f for f in reversed(ordered)}.values()
    rest = [f for f in ordered if f not in first]
    return sorted((f["first"] + f["last"]) // 2 for f in [*first, *rest][:ROWS])


def write_png(path: Path, picture: Picture) -> None:
    """Write RGB (H, W, 3) as PNG, with PyAV's own encoder."""
    codec = av.CodecContext.create("png", "w")
    codec.height, codec.width = picture.shape[:2]
    codec.pix_fmt, codec.time_base = "rgb24", 1
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
    path.write_bytes(b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)]))


def main() -> None:
    parser = argparse.ArgumentParser(description="Break a clip, repair it, and compare with the truth.")
    parser.add_argument("--source", type=Path, default=HERE / "city.mp4")
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--generator", help="who makes the frames, for example blend; default: vgan's own")
    arguments = parser.parse_args()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    broken, repaired, report_file = out / "broken.mkv", out / "repaired.mkv", out / "report.json"
    truth = break_clip(arguments.source, broken)
    (out / "broken.json").write_text(json.dumps(truth, indent=1) + "\n")
    lost = truth["frames"] - len(truth["kept"])
    print(f"{broken}: {truth['frames']} frames, {lost} of them lost, {len(truth['faults'])} faults planted")
    vgan("scan", broken)
    options = ["--report", out / "report.html", "--json", "--overwrite", *generator(arguments.generator)]
    vgan("fill", broken, repaired, *options, results=report_file)

    report = json.loads(report_file.read_text())
    ran, spent = report["provider"], report["seconds"]["make"]
    print(f"{len(report['made'])} frames made in {spent:.0f} s on {ran.get('device', 'the CPU')}")
    rate = float(truth["rate"])
    pictures = (read(broken, rate), read(repaired, rate), dict(enumerate(truth_frames(arguments.source))))
    rows = judge(truth, report, pictures)
    head = ["planted", "at", "frames", "found", "made", "confidence", "held dB", "made dB"]
    print(f"\n{table(head, rows)}")
    print("\nheld: luma PSNR of what a player shows there; made: of the repaired clip. Against the truth.")

    rows_shown = [tuple(shown(p, i) for p in pictures) for i in chosen(truth["faults"])]
    write_png(out / "strip.png", strip(rows_shown))
    print(f"\nTo look at: {out / 'report.html'} and {out / 'strip.png'} (broken | repaired | truth | errors x 3)")
    whole = set(pictures[1]) == set(pictures[2])
    if not whole or report["unrepaired"] or any(row[3] == "NO" for row in rows):
        sys.exit("Not everything that was planted was found and repaired.")


if __name__ == "__main__":
    main()
