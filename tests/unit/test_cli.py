"""The command line itself: usage, exit statuses, streams, rates and ranges."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import click
import pytest

from vgan_plugin import cli, errors
from vgan_plugin.cli import main
from vgan_plugin.cli.jobs import clock
from vgan_plugin.cli.options import open_request, parse_rate, ranges


@pytest.mark.parametrize(
    "arguments",
    [
        ["nope"],
        ["fill"],
        ["fill", "in.mkv"],
        ["fill", "in.mkv", "out.mkv", "--nope"],
        ["fill", "in.mkv", "out.mkv", "--at", "9-3"],
        ["fill", "in.mkv", "out.mkv", "--at", "x"],
        ["fill", "in.mkv", "out.mkv", "--max-gap", "0"],
        ["fill", "in.mkv", "out.mkv", "--codec-option", "crf"],
        ["fill", "in.mkv", "out.mkv", "--min-confidence", "2"],
        ["fill", "in.mkv", "out.mkv", "--min-confidence", "nan"],
        ["fill", "in.mkv", "out.mkv", "--plan", "p.json", "--at", "3"],
        ["fill", "in.mkv", "out.mkv", "--report", "r.txt"],
        ["fill", "in.json", "out.mkv", "--report", "in.json"],
        ["fill", "", "out.mkv"],
        ["train", "data", "run", "--minutes", "nan"],
        ["interpolate", "in.mkv", "out.mkv"],
        ["interpolate", "in.mkv", "out.mkv", "--factor", "1"],
        ["interpolate", "in.mkv", "out.mkv", "--factor", "2", "--rate", "50"],
        ["interpolate", "in.mkv", "out.mkv", "--rate", "0"],
        ["interpolate", "in.mkv", "out.mkv", "--rate", "60/0"],
        ["interpolate", "in.mkv", "out.mkv", "--rate", "1e9"],
    ],
)
def test_a_usage_error_is_one_line_on_standard_error_and_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.rstrip().endswith("[VGAN-201]")


@pytest.mark.parametrize(("arguments", "usage"), [([], "vgan [OPTIONS] COMMAND"), (["pipe"], "vgan pipe [OPTIONS]")])
def test_a_command_without_arguments_shows_its_help_and_does_not_pass_for_done(
    arguments: list[str], usage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"Usage: {usage}")
    assert "Commands:" in err


def test_json_is_one_object_also_on_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", "/no/such/file.mkv", "--json"]) == 3
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["status"] == 3
    assert found["error"]["code"] == "VGAN-302"
    assert set(found["error"]) == {"code", "what", "why", "do"}
    assert err.count("\n") == 1


def test_help_names_every_command_and_every_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    statuses = {getattr(errors, name).exit_status for name in dir(errors) if name[0].isupper()}
    for word in (*cli.COMMANDS, *map(str, statuses), "130"):
        assert f"  {word} " in text


PIPES = ("pipe fill", "pipe interpolate", "pipe inpaint")


@pytest.mark.parametrize("name", [*(name for name in cli.COMMANDS if name != "pipe"), *PIPES])
def test_every_command_has_help_and_the_three_stream_options(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*name.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert all(option in text for option in ("-q, --quiet", "-v, --verbose"))
    assert ("--json" in text) == (name not in PIPES)  # their standard output is a video


@pytest.mark.parametrize(
    ("text", "rate", "snapped"),
    [
        ("60", Fraction(60), False),
        ("60000/1001", Fraction(60000, 1001), False),
        ("60000:1001", Fraction(60000, 1001), False),
        ("59.94", Fraction(60000, 1001), True),
        ("23.976", Fraction(24000, 1001), True),
        ("23.98", Fraction(24000, 1001), True),
        ("29.97", Fraction(30000, 1001), True),
        ("119.88", Fraction(120000, 1001), True),
        ("24.0", Fraction(24), False),
        ("12.5", Fraction(25, 2), False),
    ],
)
def test_a_rate_is_exact_and_a_decimal_of_ntsc_is_snapped(text: str, rate: Fraction, snapped: bool) -> None:
    assert parse_rate(text) == (rate, snapped)


@pytest.mark.parametrize(
    ("model", "quality", "bundle"),
    [(None, None, "base"), (None, "best", "base"), (None, "fast", "lite"), ("mine", None, "mine")],
)
def test_a_quality_is_a_choice_of_model(model: str | None, quality: str | None, bundle: str) -> None:
    options = {"model": model, "quality": quality, "generator": None, "device": "cpu"}
    assert open_request(options).model == bundle


def test_a_quality_and_a_model_contradict_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fill", "a.mkv", "b.mkv", "--model", "lite", "--quality", "best"]) == 2
    assert "--quality cannot be combined with --model" in capsys.readouterr().err


def test_ranges_are_pairs_with_both_ends() -> None:
    assert ranges("120-124, 300") == ((120, 124), (300, 300))
    with pytest.raises(click.BadParameter):
        ranges("1,,2")


def test_a_time_for_eyes_has_hours_and_milliseconds() -> None:
    assert clock(Fraction(37234, 10)) == "1:02:03.400"
    assert clock(Fraction(-1, 2)) == "-0:00:00.500"


def test_an_interrupt_is_status_130_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.vgan, "invoke", stop)
    assert main(["models"]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_a_bug_is_one_line_too_and_has_a_traceback_when_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oh\nno")

    monkeypatch.setattr(cli.vgan, "invoke", crash)
    assert main(["models"]) == cli.BUG
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["models", "-v"]) == cli.BUG
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "status"),
    [("import onnxruntime", 5), ("from onnxruntime import OrtValue", 5), ("import no_such_module", 70)],
)
def test_a_package_that_was_taken_away_is_no_bug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], code: str, status: int
) -> None:
    if code.startswith("from"):  # what is left of it after two wheels have shared a folder
        (tmp_path / "onnxruntime").mkdir()
        (tmp_path / "onnxruntime" / "__init__.py").touch()
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    else:
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr(cli.vgan, "invoke", lambda *_: exec(code))  # noqa: S102
    assert main(["models"]) == status
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert ("in a fresh environment" in said) == (status == 5)


def test_signal_handlers_are_as_before_when_the_command_is_over(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    main(["--version"])
    assert signal.getsignal(signal.SIGTERM) is before
    assert capsys.readouterr().out.startswith("vgan ")


@pytest.mark.parametrize("arguments", [["models", "--json"], ["models"], ["--help"]])
def test_a_reader_that_leaves_early_is_no_error(arguments: list[str]) -> None:
    run = subprocess.Popen(
        [sys.executable, "-m", "vgan_plugin.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert run.stdout is not None
    assert run.stderr is not None
    run.stdout.close()
    assert run.stderr.read() == b""
    assert run.wait() == 0
    run.stderr.close()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_were_closed_before_the_start_go_nowhere(closed: str) -> None:
    command = f"{shlex.quote(sys.executable)} -m vgan_plugin.cli scan /no/such/file.mkv --json {closed}"
    assert subprocess.run(["/bin/sh", "-c", command], capture_output=True, check=False).returncode == 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full is Linux's")
@pytest.mark.parametrize("arguments", [["models"], ["models", "--json"]])
def test_a_result_that_cannot_be_written_is_one_line(arguments: list[str]) -> None:
    with open("/dev/full", "w") as full:
        run = subprocess.run(
            [sys.executable, "-m", "vgan_plugin.cli", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert run.returncode == 4
    assert run.stderr.count("\n") == 1
    assert "No space left" in run.stderr


def test_help_loads_nothing_heavy() -> None:
    code = """
import sys
from vgan_plugin.cli import main
main(["fill", "--help"])
print([m for m in ("av", "rich", "torch", "onnx", "onnxruntime") if m in sys.modules], file=sys.stderr)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stderr.strip() == "[]"
