"""The model card: what a manifest says, for people."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import fakebundle
import pytest

from vgan_plugin.bundle import card, locate, store
from vgan_plugin.bundle.manifest import Training
from vgan_plugin.cli import main


def test_a_card_names_data_licences_budget_and_what_is_not_known() -> None:
    training = Training(data=("my tapes",), licences=("CC0-1.0",), steps=1234, date="2026-01-02")
    text = card.card(replace(fakebundle.MANIFEST, training=training))
    for fact in ("my tapes", "CC0-1.0", "1,234 steps", "2026-01-02", "0.01 GFLOP", "None were measured"):
        assert fact in text
    assert "None were measured" not in card.card(fakebundle.MANIFEST, "PSNR 30")
    assert "validation" not in text
    validated = replace(training, metrics={"psnr": 30.5})
    assert "validation, on crops:\n\n* psnr: 30.5" in card.card(replace(fakebundle.MANIFEST, training=validated))


def test_a_card_is_written_into_a_bundle_that_stays_valid_and_is_printed_from_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    shipped = store.load(locate.find("lite"))
    for name, content in shipped.contents.items():
        (folder / name).write_bytes(content)
    shipped.manifest.write(folder)
    card.write(folder, "PSNR 30 dB,\x1b[2J measured in a test")
    assert "PSNR 30 dB" in card.of_bundle(store.load(folder))
    assert main(["models", "--card", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert "PSNR 30 dB" in printed
    assert "\x1b" not in printed


def test_a_new_card_does_not_make_measured_figures_stale(tmp_path: Path) -> None:
    from vgan_plugin.evaluate.methods import identity
    from vgan_plugin.types import OpenRequest

    folder = tmp_path / "copy"
    folder.mkdir()
    shipped = store.load(locate.find("lite"))
    for name, content in shipped.contents.items():
        (folder / name).write_bytes(content)
    shipped.manifest.write(folder)
    before = identity(OpenRequest(model=str(folder)))
    card.write(folder, "new")
    assert identity(OpenRequest(model=str(folder))) == before
    weights = folder / "weights.bin"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    shipped.manifest.write(folder)
    assert identity(OpenRequest(model=str(folder))) != before
