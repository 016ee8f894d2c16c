"""What goes to the two streams: results to standard output, everything for eyes to standard error."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from vgan_plugin.errors import OutputError, VganError

Tick = Callable[[str, int, int], None]


def error_line(error: VganError) -> str:
    """An error as its one line."""
    return "vgan: " + " ".join(str(error).split())


def print_json(value: Mapping[str, Any]) -> None:
    """One object on standard output."""
    _emit(json.dumps(value, indent=1, ensure_ascii=not _unicode()))


def _emit(line: str) -> None:
    """A line of the result. Whoever reads may have left: the work is done all the same.

    Raises:
        OutputError: standard output cannot be written, for example to a full disk.
    """
    try:
        print(line, flush=True)  # noqa: T201 results
    except BrokenPipeError:
        leave_stdout()
    except OSError as error:
        leave_stdout()
        why = error.strerror or str(error)
        raise OutputError("Cannot write the result to standard output", why, "send it elsewhere") from error


def open_closed_streams() -> None:
    """A standard stream that was closed before the start goes nowhere, and no file gets its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115 stays open


def leave_stdout() -> None:
    """Nobody reads standard output any more: what is still to come goes nowhere, without an error at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


@dataclass(frozen=True)
class Output:
    """The two streams as the user wants them.

    Attributes:
        json: results as one JSON object; tables and summaries are left out.
        quiet: nothing on standard error but errors, nothing on standard output but JSON.
        verbose: more lines.
    """

    json: bool = False
    quiet: bool = False
    verbose: bool = False

    def say(self, line: str) -> None:
        """A line for people."""
        if not self.quiet:
            print(f"vgan: {line}", file=sys.stderr)  # noqa: T201 standard error

    def detail(self, line: str) -> None:
        """A line for people who want to know more."""
        if self.verbose:
            self.say(line)

    def log(self, name: str) -> None:
        """Let a package's log through to standard error, a line each."""
        logger = logging.getLogger(name)
        if not self.quiet and not logger.handlers:
            handler = logging.StreamHandler()
            handler.setFormatter(logging.Formatter("vgan: %(message)s"))
            logger.addHandler(handler)
            logger.setLevel(logging.DEBUG if self.verbose else logging.INFO)

    def result(self, line: str) -> None:
        """A line of the result."""
        if not (self.json or self.quiet):
            _emit(line)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table of the result: coloured on a terminal, plain columns elsewhere."""
        if self.json or self.quiet or not rows:
            return
        if sys.stdout.isatty():
            from vgan_plugin.cli import screen

            screen.table(columns, rows)
            return
        widths = [max(len(row[i]) for row in (columns, *rows)) for i in range(len(columns))]
        for row in (columns, *rows):
            self.result("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())

    @contextmanager
    def progress(self) -> Iterator[Tick]:
        """Progress with frames a second and time left, on standard error when that is a terminal."""
        if self.quiet or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
            yield lambda _stage, _done, _total: None
            return
        from vgan_plugin.cli import screen

        with screen.progress() as tick:
            yield tick
