"""The doctor: each finding has its evidence, a crash of one look is a finding, the others go on."""

from __future__ import annotations

import json
from pathlib import Path

import fakebundle
import pytest

from vgan_plugin import doctor
from vgan_plugin.cli import main
from vgan_plugin.errors import RuntimeTooOld
from vgan_plugin.hookspecs import hookimpl
from vgan_plugin.plugins import PluginManager, Source
from vgan_plugin.runtime.session import GraphSessions
from vgan_plugin.types import Check


def checks(manager: PluginManager | None = None) -> dict[str, Check]:
    manager = manager or PluginManager()
    return {check.name: check for check in doctor.diagnose(manager)}


def own() -> dict[str, Check]:
    return {check.name: check for check in doctor.own_checks()}


def test_it_says_what_is_installed_and_where() -> None:
    found = own()
    assert found["python"].verdict == found["vgan"].verdict == found["onnxruntime"].verdict == "good"
    assert "onnxruntime" in found["onnxruntime"].evidence
    assert "used: " in found["device"].evidence
    assert "ffv1" in found["codecs"].evidence


def test_two_wheels_or_an_old_one_are_bad_and_the_other_looks_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def two() -> None:
        raise RuntimeTooOld("Several wheels", "they lie over each other", "uninstall one")

    monkeypatch.setattr("vgan_plugin.runtime.providers.check_runtime", two)
    found = own()
    assert (found["onnxruntime"].verdict, found["onnxruntime"].remedy) == ("bad", "uninstall one")
    assert found["codecs"].verdict == "good"


def test_a_look_that_crashes_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash() -> None:
        raise OSError("no disk")

    monkeypatch.setattr("vgan_plugin.runtime.providers.installed", crash)
    assert own()["onnxruntime"].evidence == "OSError: no disk"


def test_nodes_that_do_not_run_on_the_device_and_a_stream_that_is_not_there_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = GraphSessions.provenance.fget
    assert there is not None

    def provenance(sessions: GraphSessions) -> dict:
        found = there(sessions)
        found["provider"] |= {"device": "cuda:0", "elsewhere": {"DeformConv": 3}, "waits": "no libcudart"}
        return found

    assert not {"nodes", "stream"} & {check.name for check in doctor._small_frame()}
    monkeypatch.setattr(GraphSessions, "provenance", property(provenance))
    found = {check.name: check for check in doctor._small_frame()}
    assert (found["nodes"].verdict, found["nodes"].evidence) == ("note", "not on cuda:0: 3 DeformConv")
    assert found["stream"].verdict == "note"
    assert found["stream"].evidence == "cuda:0 is waited for after each graph: no libcudart"


def test_a_bundle_that_was_changed_is_bad_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("whole", "changed"):
        folder = tmp_path / name
        folder.mkdir()
        for file in ("encode.onnx", "remember.onnx", "render.onnx", "weights.bin"):
            (folder / file).write_bytes(file.encode())
        fakebundle.MANIFEST.write(folder)
    (tmp_path / "changed" / "weights.bin").write_bytes(b"x")
    monkeypatch.setenv("VGAN_BUNDLES", str(tmp_path))
    found = own()
    assert found["bundle whole"].verdict == "good"
    assert "SHA-256" in found["bundle whole"].evidence
    assert found["bundle changed"].verdict == "bad"


def test_dropped_and_slow_plugins_are_named() -> None:
    class Broken:
        @hookimpl
        def vgan_doctor_checks(self) -> list[Check]:
            raise KeyError("lost")

    class Sick:
        @hookimpl
        def vgan_doctor_checks(self) -> list[Check]:
            return [Check("sick", "bad", "ill", "rest")]

    manager = PluginManager()
    manager.add("broken", Broken)
    manager.add("sick", Sick)
    manager.sources["sick"] = Source("sick 1.0", 2.5)
    found = checks(manager)
    assert found["sick"] == Check("sick", "bad", "ill", "rest")
    assert found["plugin sick"].verdict == "note"
    assert "2.5 s" in found["plugin sick"].evidence
    assert found["plugin broken"].verdict == "bad"
    assert "dropped at call" in found["plugin broken"].evidence


def test_the_command_prints_one_object_and_its_status_is_the_worst_finding(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for verdict, status in (("good", 0), ("note", 0), ("bad", 1)):
        findings = [Check("a", verdict, "seen", "do")]  # type: ignore[arg-type]
        monkeypatch.setattr("vgan_plugin.doctor.diagnose", lambda _, findings=findings: findings)
        assert main(["doctor", "--json"]) == status
        found = json.loads(capsys.readouterr().out)
        assert found["checks"] == [{"name": "a", "verdict": verdict, "evidence": "seen", "remedy": "do"}]
        assert found["status"] == status
