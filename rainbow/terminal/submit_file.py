"""`rainbow submit --file`, and other submissions of many jobs."""

import shlex
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import IO

import click

from rainbow import job_file
from rainbow.client import Client
from rainbow.errors import AlreadyExists, FailedPrecondition, InvalidArgument, RainbowError, Unavailable, why
from rainbow.job_file import Checked, Line
from rainbow.records import GroupWish, SubmitResult
from rainbow.specs import JobSpec
from rainbow.terminal.formatting import count
from rainbow.terminal.group_wait import wait_for_group
from rainbow.terminal.groups import exit_code_of_group, whole
from rainbow.terminal.output import complain, plain, say, write_json
from rainbow.terminal.progress import Show, progress
from rainbow.text import on_one_line

DONE = 0
SOME_REFUSED = 5
JOBS_BETWEEN_SHOWS = 500
MOST_REFUSALS = 1000
OTHER_KEYS = (
    "These jobs were submitted before under the same keys, and otherwise. The same command as then goes on with them;"
    " another --key-prefix submits new ones."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    line: int
    error: RainbowError


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What became of many jobs so far. Only the first 1,000 refusals are kept.

    `file` is empty where they are not those of a file; `group` is 0 while none is known to be in one.
    """

    file: str
    cluster: str
    key_prefix: str
    jobs: int
    group: int = 0
    submitted: int = 0
    duplicates: int = 0
    refused: int = 0
    refusals: list[Refusal] = field(default_factory=list)

    @property
    def answered(self) -> int:
        return self.submitted + self.duplicates + self.refused


def submit_file(
    client: Client,
    path: str,
    *,
    key_prefix: str,
    as_json: bool,
    group: GroupWish | None = None,
    wait: bool = False,
) -> int:
    """Submit a file's jobs, as members of a group if one is wished for, and print what became of them.

    Returns the exit code.

    Raises InvalidArgument, and submits nothing, when a line is bad.
    """
    with _opened(path) as file:
        checked = job_file.check(file)
        _refuse_bad_lines(path, checked)
        prefix = key_prefix or checked.digest
        outcome = Outcome(file=path, cluster=client.cluster, key_prefix=prefix, jobs=checked.jobs)
        lines = job_file.jobs(file, checked, key_prefix=prefix)
        wish = replace(group, idempotency_key=prefix) if group else None
        return submit_lines(client, lines, outcome, group=wish, wait=wait, as_json=as_json)


def submit_lines(
    client: Client, lines: Iterable[Line], outcome: Outcome, *, group: GroupWish | None, wait: bool, as_json: bool
) -> int:
    """Submit jobs, print what became of them, wait for their group if asked to, and return the exit code."""
    began_at = time.monotonic()
    with _saying_how_to_go_on(outcome), progress(outcome.jobs, quiet=as_json) as show:
        _submit(client, lines, outcome, show, group=group, silent=as_json)
    if outcome.file and not as_json and any(isinstance(one.error, AlreadyExists) for one in outcome.refusals):
        complain(OTHER_KEYS)
    if not as_json:
        tell = complain if wait else say
        tell(_summary(outcome, seconds=time.monotonic() - began_at))
    ended = wait_for_group(client, outcome.group, quiet=as_json) if wait and outcome.group else None
    if as_json:
        write_json({**plain(outcome), "ended": whole(ended)} if ended else outcome)
    return (exit_code_of_group(ended) if ended else DONE) or (SOME_REFUSED if outcome.refused else DONE)


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
    key = shlex.quote(outcome.key_prefix)
    same = {"": f"with --key {key}", "-": "with the same input"}.get(outcome.file, "with the same file")
    return (
        f"Stopped after {outcome.answered:,} of {count(outcome.jobs, 'job')}. The same command"
        f" {same} goes on: no job is submitted twice."
    )


def _submit(
    client: Client, lines: Iterable[Line], outcome: Outcome, show: Show, *, group: GroupWish | None, silent: bool
) -> None:
    for number, result in _results(client, lines, group):
        _note(outcome, number, result, silent=silent)
        if outcome.answered % JOBS_BETWEEN_SHOWS == 0:
            show(outcome.answered)
    show(outcome.answered)


def _results(client: Client, lines: Iterable[Line], group: GroupWish | None) -> Iterator[tuple[int, SubmitResult]]:
    numbers: deque[int] = deque()

    def specs() -> Iterator[JobSpec]:
        for line in lines:
            numbers.append(line.number)
            yield line.spec

    for result in client.submit_stream(specs(), group=group):
        yield numbers.popleft(), result


def _note(outcome: Outcome, number: int, result: SubmitResult, *, silent: bool) -> None:
    if result.error is None:
        outcome.duplicates += result.duplicate
        outcome.submitted += not result.duplicate
        outcome.group = result.group
        return
    outcome.refused += 1
    if len(outcome.refusals) < MOST_REFUSALS:
        outcome.refusals.append(Refusal(line=number, error=result.error))
    if not silent:
        complain(_as_line(number, result.error, what="line" if outcome.file else "index"))


def _as_line(number: int, error: RainbowError, *, what: str = "line") -> str:
    return on_one_line(f"{what} {number}: {error}")


def _summary(outcome: Outcome, *, seconds: float) -> str:
    speed = f" in {seconds:,.1f} seconds ({outcome.answered / seconds:,.0f} a second)" if outcome.submitted else ""
    there = f"; {_were(outcome.duplicates)} there already" if outcome.duplicates else ""
    refused = f"; {_were(outcome.refused)} refused" if outcome.refused else ""
    members = f" as group {outcome.group}" if outcome.group else ""
    return f"Submitted {count(outcome.submitted, 'job')} to {outcome.cluster}{members}{speed}{there}{refused}."


def _were(number: int) -> str:
    return f"{number:,} {'was' if number == 1 else 'were'}"
