"""The model card that lies in a bundle: what its manifest says, for people, and what was measured on it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vgan_plugin.bundle import store
from vgan_plugin.bundle.manifest import Manifest
from vgan_plugin.bundle.store import Bundle

CARD = "MODEL_CARD.md"
_UNMEASURED = "None were measured on this bundle yet: `vgan evaluate CLIPS --model {name}` does."


def card(manifest: Manifest, figures: str = "") -> str:
    """The card as Markdown.

    Args:
        manifest: of the bundle.
        figures: what was measured, as Markdown, with its dates, commands and failures.
    """
    training = manifest.training
    low, high = manifest.offset_range
    facts = {
        "tasks": ", ".join(manifest.tasks),
        "licence of the weights": manifest.licence,
        "parameters": f"{manifest.parameters:,}",
        "cost": f"{manifest.gflop_per_megapixel:g} GFLOP for 10^6 pixels: one encode, one remember, one render",
        "computes in": f"{manifest.precision}, ONNX opset {manifest.opset}",
        "remembers": f"blocks of {manifest.block} frames, each begun {manifest.lead} frames before",
        "trained for references": f"{low:g} to {high:g} source-frame periods away",
    }
    lines = [f"# {manifest.name}", "", f"{manifest.title}.", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in facts.items()]
    lines += [
        "",
        "Meant for making the frames, or parts of frames, that a video lacks. What it makes is what was probably",
        "there, and no evidence of what was. Whoever shows it should say so: vgan's report names every frame.",
        "",
        "## Training",
        "",
    ]
    if training.data:
        lines += [
            f"{training.steps:,} steps, exported on {training.date}, on:",
            "",
            *(f"* {data}" for data in training.data),
            "",
            f"under: {', '.join(training.licences) or 'licences that nobody noted'}.",
        ]
        if training.metrics:
            lines += ["", "The trainer's own validation, on crops:", ""]
            lines += [f"* {name}: {value}" for name, value in _flat(training.metrics)]
    else:
        lines.append("None: these are the weights that training starts from.")
    lines += ["", "## Figures", "", figures.strip() or _UNMEASURED.format(name=manifest.name), ""]
    sizes = manifest.parity.get("sizes")
    if isinstance(sizes, list) and sizes:
        worst = max(float(size.get("largest", 0)) for size in sizes if isinstance(size, Mapping))
        lines += [
            "## Parity",
            "",
            f"The graphs give what the trained network gives: over {manifest.parity.get('steps')} recurrent steps at "
            f"{len(sizes)} sizes the largest difference of a sample is {worst:.1e} of the range.",
            "",
        ]
    return "\n".join(lines)


def of_bundle(bundle: Bundle) -> str:
    """The card that lies in a bundle, or, of one that has none, what its manifest says; nothing that moves a cursor."""
    written = bundle.contents.get(CARD)
    text = card(bundle.manifest) if written is None else written.decode("utf-8", "replace")
    return "".join(c for c in text if c.isprintable() or c == "\n")


def write(folder: Path, figures: str = "") -> Manifest:
    """Write the card of a bundle's folder, and its hash into the manifest.

    Args:
        folder: of the bundle.
        figures: as for `card`.

    Returns:
        the manifest as it is now.

    Raises:
        BundleError: there is no usable bundle.
        OSError: it cannot be written.
    """
    manifest = store.peek(folder)
    (folder / CARD).write_text(card(manifest, figures), "utf-8")
    return manifest.write(folder)


def _flat(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name, f"{v:.2f}" if isinstance(v, float) else str(v)) for name, v in metrics.items()]
