"""Terminals: progress bars and tables. The only file that imports rich, and it is imported only for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text


class _Rate(ProgressColumn):
    """Frames a second."""

    def render(self, task: Task) -> Text:
        """The speed of a task so far."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f} frames/s" if speed else "")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on standard output."""
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*(escape(cell) for cell in row))
    Console().print(shown)


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """Bars on standard error, one a stage, gone when done."""
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
    )
    tasks: dict[str, TaskID] = {}
    last: dict[str, int] = {}

    def tick(stage: str, done: int, total: int) -> None:
        if stage not in tasks:
            for earlier, task in tasks.items():  # a file's own count of its frames is a guess
                bars.update(task, completed=last[earlier], total=last[earlier])
            tasks[stage] = bars.add_task(stage, total=total or None)
        last[stage] = done
        bars.update(tasks[stage], completed=done, total=max(total, done) if total else None)

    with bars:
        yield tick
