"""Widths of the networks at equal training: `base` from nothing with other widths, PSNR on held-out crops.

    python tests/bench/measure_widths.py DATA VAL [--widths 16,32,48 --widths 32,48,64] [--steps 1200]

DATA holds clips to train on, VAL held-out ones. Widths are those at 1/2, 1/4 and 1/8. Each sees the same windows in
the same order.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from vgan_export.pack import gflop
from vgan_plugin.cli import main as vgan
from vgan_plugin.training.generator import BASE, PRESETS, Generator

SETTINGS = {
    "licences": "AB",
    "crop": 128,
    "batch": 4,
    "lead": 2,
    "synthetic": 0.05,
    "tasks": "between:0.8,predict:0.1,inpaint:0.1",
    "motion_until": 0,
    "gan_from": 1,
    "lr": 8e-4,
    "warmup": 50,
    "cooldown": 0.5,
    "ema": 0.995,
    "val_crops": 60,
    "val_crop": 256,
    "threads": 1,
    "bf16": "false",
}
TASKS = ("psnr_gap1", "psnr_gap3", "psnr_gap7", "psnr_predict", "psnr_inpaint")


def trained(widths: tuple[int, ...], data: Path, val: Path, steps: int, run: Path) -> list[dict[str, float]]:
    """What was validated before the first step and after the last."""
    asked = {**SETTINGS, "val": val, "steps": steps, "val_every": steps}
    words = ["train", str(data), str(run), "--preset", "base", "--quiet"]
    words += [word for key, value in asked.items() for word in ("--set", f"{key}={value}")]
    with patch.dict(PRESETS, base=replace(BASE, fusion=widths)), contextlib.redirect_stdout(io.StringIO()):
        if vgan(words):
            raise SystemExit(f"{' '.join(words)} failed")
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text("utf-8").splitlines()]
    return [line for line in lines if "val/psnr" in line]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("val", type=Path)
    parser.add_argument("--widths", action="append")
    parser.add_argument("--steps", type=int, default=1200)
    asked = parser.parse_args()
    print("| widths | GFLOP a megapixel |" + "".join(f" {task.removeprefix('psnr_')} |" for task in TASKS))
    print("|---" * (2 + len(TASKS)) + "|")
    for given in asked.widths or ["16,32,48", "32,48,64"]:
        widths = tuple(int(width) for width in given.split(","))
        cost = gflop(Generator(replace(BASE, fusion=widths)).eval())
        with tempfile.TemporaryDirectory() as folder:
            found = trained(widths, asked.data, asked.val, asked.steps, Path(folder) / "run")
        changes = " | ".join(
            f"{found[-1]['val/' + t]:.2f} ({found[-1]['val/' + t] - found[0]['val/' + t]:+.2f})" for t in TASKS
        )
        print(f"| {given} | {cost:.0f} | {changes} |", flush=True)


if __name__ == "__main__":
    main()
