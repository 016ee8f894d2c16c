"""Importing vgan loads nothing heavy; its public names are all there."""

from __future__ import annotations

import json
import subprocess
import sys

import vgan_plugin

HEAVY = ("torch", "onnx", "onnxruntime", "av", "rich", "click", "numpy")


def run(code: str) -> dict[str, object]:
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stderr == ""
    result: dict[str, object] = json.loads(out.stdout)
    return result


def test_importing_vgan_is_light_and_silent() -> None:
    code = f"""
import sys, time, json
start = time.process_time()
import vgan_plugin
seconds = time.process_time() - start
print(json.dumps({{"loaded": [m for m in {HEAVY} if m in sys.modules], "seconds": seconds}}))
"""
    found = run(code)
    assert found["loaded"] == []
    assert found["seconds"] < 0.25  # type: ignore[operator]


def test_finding_the_plugins_loads_nothing_heavy_either() -> None:
    code = f"""
import os, sys, json
os.environ["VGAN_PLUGINS"] = "off"
import vgan_plugin
pm = vgan_plugin.get_plugin_manager()
pm.generators()
print(json.dumps({{"loaded": [m for m in {HEAVY[:-1]} if m in sys.modules]}}))
"""
    assert run(code)["loaded"] == []


def test_every_public_name_is_there_and_has_a_home() -> None:
    for name in vgan_plugin.__all__:
        assert getattr(vgan_plugin, name) is not None
    assert set(vgan_plugin.__all__) == {*vgan_plugin._HOME, "__version__"}
    assert set(vgan_plugin.__all__) <= set(dir(vgan_plugin))


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    assert not hasattr(vgan_plugin, "no_such_name")
