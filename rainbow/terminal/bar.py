"""A progress bar. Only this module imports rich, which takes as long to load as the rest of the command line."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


@contextmanager
def bar(total: int) -> Iterator[Callable[[int], None]]:
    """Shows how many of `total` jobs are done, on standard error; other output appears above it."""
    counts = TextColumn("{task.completed:,} of {task.total:,} jobs")
    with Progress(BarColumn(), counts, _Speed(), TimeRemainingColumn(), console=Console(stderr=True)) as shown:
        task = shown.add_task("", total=total)
        yield lambda done: shown.update(task, completed=done)


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.finished_speed or task.speed or 0:,.0f} a second")
