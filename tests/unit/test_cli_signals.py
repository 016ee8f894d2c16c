"""A signal ends a command, whatever the moment in which it comes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import weakref

import pytest

from vgan_plugin.cli.signals import stopped_by_signals


class Thing:
    """Something with a weak reference to it."""


def test_a_signal_is_an_interrupt_and_handlers_are_as_before_afterwards() -> None:
    hook = sys.unraisablehook
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)]
    with pytest.raises(KeyboardInterrupt), stopped_by_signals():
        signal.raise_signal(signal.SIGTERM)
    after = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)]
    assert after == before
    assert sys.unraisablehook is hook


def test_a_signal_that_comes_in_a_callback_is_not_lost(capsys: pytest.CaptureFixture[str]) -> None:
    thing = Thing()
    reference = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(KeyboardInterrupt), stopped_by_signals():  # noqa: PT012 the one brings the other about
        del thing  # what a callback raises goes nowhere
        time.sleep(5)
    assert reference() is None
    assert capsys.readouterr().err == ""


def test_what_else_callbacks_raise_is_told_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: told.append(unraisable.exc_type))
    thing = Thing()
    reference = weakref.ref(thing, lambda _: 1 / 0)
    with stopped_by_signals():
        del thing
    assert reference() is None
    assert told == [ZeroDivisionError]


def test_a_signal_within_exec_does_not_change_the_exit_status() -> None:
    code = """
import signal, sys
from vgan_plugin.cli.signals import stopped_by_signals
try:
    with stopped_by_signals():
        exec("signal.raise_signal(signal.SIGTERM)")
except KeyboardInterrupt:
    sys.exit(130)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 130


def test_a_hangup_that_the_caller_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with stopped_by_signals():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
