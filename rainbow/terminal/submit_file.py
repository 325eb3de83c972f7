"""`rainbow submit --file`"""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import IO

import click

from rainbow import job_file
from rainbow.client import Client
from rainbow.errors import FailedPrecondition, InvalidArgument, RainbowError, Unavailable, why
from rainbow.job_file import Checked, Line
from rainbow.records import SubmitResult
from rainbow.specs import JobSpec
from rainbow.terminal.formatting import count
from rainbow.terminal.output import complain, say, write_json
from rainbow.terminal.progress import Show, progress
from rainbow.text import on_one_line

DONE = 0
SOME_REFUSED = 5
JOBS_BETWEEN_SHOWS = 500
MOST_REFUSALS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    line: int
    error: RainbowError


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What became of a file's jobs so far. Only the first 1,000 refusals are kept."""

    file: str
    cluster: str
    key_prefix: str
    jobs: int
    submitted: int = 0
    duplicates: int = 0
    refused: int = 0
    refusals: list[Refusal] = field(default_factory=list)

    @property
    def answered(self) -> int:
        return self.submitted + self.duplicates + self.refused


def submit_file(client: Client, path: str, *, key_prefix: str, as_json: bool) -> int:
    """Submit a file's jobs, print what became of them, and return the exit code.

    Raises InvalidArgument, and submits nothing, when a line is bad.
    """
    with _opened(path) as file:
        checked = job_file.check(file)
        _refuse_bad_lines(path, checked)
        prefix = key_prefix or checked.digest
        outcome = Outcome(file=path, cluster=client.cluster, key_prefix=prefix, jobs=checked.jobs)
        began_at = time.monotonic()
        with _saying_how_to_go_on(outcome), progress(checked.jobs, quiet=as_json) as show:
            lines = job_file.jobs(file, checked, key_prefix=prefix)
            _submit(client, lines, outcome, show, silent=as_json)
    if as_json:
        write_json(outcome)
    else:
        say(_summary(outcome, seconds=time.monotonic() - began_at))
    return SOME_REFUSED if outcome.refused else DONE


@contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    with ExitStack() as stack:
        try:
            source = stack.enter_context(click.open_file(path, "rb"))
            file = stack.enter_context(job_file.readable_twice(source))
        except OSError as error:
            raise InvalidArgument(f"cannot read {path}: {why(error)}") from error
        yield file


def _refuse_bad_lines(path: str, checked: Checked) -> None:
    if not checked.bad:
        return
    for line in checked.first_bad:
        complain(_as_line(line.number, line.error))
    if more := checked.bad - len(checked.first_bad):
        complain(f"... and {count(more, 'more bad line')}")
    name = "standard input" if path == "-" else path
    raise InvalidArgument(f"{name} has {count(checked.bad, 'bad line')}; nothing was submitted")


@contextmanager
def _saying_how_to_go_on(outcome: Outcome) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        complain(_how_to_go_on(outcome))
        raise
    except FailedPrecondition:  # it is another file by now
        raise
    except RainbowError as error:
        if outcome.answered or error.may_be_done or isinstance(error, Unavailable):
            error.add_note(_how_to_go_on(outcome))
        raise


def _how_to_go_on(outcome: Outcome) -> str:
    same = "input" if outcome.file == "-" else "file"
    return (
        f"Stopped after {outcome.answered:,} of {count(outcome.jobs, 'job')}. The same command"
        f" with the same {same} goes on: no job is submitted twice."
    )


def _submit(client: Client, lines: Iterable[Line], outcome: Outcome, show: Show, *, silent: bool) -> None:
    for number, result in _results(client, lines):
        _note(outcome, number, result, silent=silent)
        if outcome.answered % JOBS_BETWEEN_SHOWS == 0:
            show(outcome.answered)
    show(outcome.answered)


def _results(client: Client, lines: Iterable[Line]) -> Iterator[tuple[int, SubmitResult]]:
    numbers: deque[int] = deque()

    def specs() -> Iterator[JobSpec]:
        for line in lines:
            numbers.append(line.number)
            yield line.spec

    for result in client.submit_stream(specs()):
        yield numbers.popleft(), result


def _note(outcome: Outcome, number: int, result: SubmitResult, *, silent: bool) -> None:
    if result.error is None:
        outcome.duplicates += result.duplicate
        outcome.submitted += not result.duplicate
        return
    outcome.refused += 1
    if len(outcome.refusals) < MOST_REFUSALS:
        outcome.refusals.append(Refusal(line=number, error=result.error))
    if not silent:
        complain(_as_line(number, result.error))


def _as_line(number: int, error: RainbowError) -> str:
    return on_one_line(f"line {number}: {error}")


def _summary(outcome: Outcome, *, seconds: float) -> str:
    speed = f" in {seconds:,.1f} seconds ({outcome.answered / seconds:,.0f} a second)" if outcome.submitted else ""
    there = f"; {_were(outcome.duplicates)} there already" if outcome.duplicates else ""
    refused = f"; {_were(outcome.refused)} refused" if outcome.refused else ""
    return f"Submitted {count(outcome.submitted, 'job')} to {outcome.cluster}{speed}{there}{refused}."


def _were(number: int) -> str:
    return f"{number:,} {'was' if number == 1 else 'were'}"
