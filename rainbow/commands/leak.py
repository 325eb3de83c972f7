import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import click

from rainbow.errors import InvalidArgument
from rainbow.people import Leak
from rainbow.records import OF_CLUSTERS, CredentialKind
from rainbow.terminal import session
from rainbow.terminal.formatting import when
from rainbow.terminal.options import json_option, server_options
from rainbow.terminal.output import complain, say, write_json
from rainbow.terminal.tables import aligned, show_table
from rainbow.text import on_one_line

EPILOG = """\b
Examples:
  rainbow leak - < found.txt
  rainbow leak - --show < found.txt
"""
STDIN = "-"
LONGEST_VALUE = 200
MOST_COUNTED = 100_000  # by the server


@click.command("leak", epilog=EPILOG)
@server_options
@click.option("--show", is_flag=True, help="List what was done with it, and change nothing.")
@json_option
@click.argument("value", metavar="VALUE|-")
@click.pass_context
def command(ctx: click.Context, value: str, show: bool, as_json: bool) -> None:
    """Revoke a credential that leaked, and list what was done with it.

    It is revoked for good and at once. With - it is read from standard input: others on this machine can see a command
    line. You need no other credential. A cluster's secret that is revoked stops the cluster's agents.
    """
    with session.anybody(ctx) as client:
        found = client.revoke_leaked(_from_stdin() if value == STDIN else value, show=show)
    if as_json:
        write_json(found)
    else:
        _tell(found, now=datetime.now(UTC))


def _from_stdin() -> str:
    # One more than fits, so that more is refused; and the line's end.
    value = sys.stdin.read(LONGEST_VALUE + 2).strip()
    if not 0 < len(value) <= LONGEST_VALUE:
        raise InvalidArgument(f"standard input must have a credential: 1 to {LONGEST_VALUE} characters")
    return value


def _tell(found: Leak, *, now: datetime) -> None:
    say(aligned([(f"{name}:", on_one_line(said)) for name, said in _lines(found, now=now) if said]))
    if found.jobs:
        say("")
        show_table(("JOB", "STATE"), [(str(job.id), job.state.value) for job in found.jobs])
    complain(on_one_line(_what_now(found)))


def _lines(found: Leak, *, now: datetime) -> Iterator[tuple[str, str]]:
    kind = found.kind.value if found.kind in OF_CLUSTERS else f"{found.kind.value} token"
    yield "credential", f"{kind} {found.label}"
    yield "cluster", found.cluster
    yield "person", found.person
    yield "project", found.project
    yield "made", when(found.created_at, now=now) if found.created_at else ""
    yield "last used", when(found.last_used_at, now=now) if found.last_used_at else "never"
    yield "expires", when(found.expires_at, now=now) if found.expires_at else "never"
    yield "revoked", when(found.revoked_at, now=now) if found.revoked_at else "no"
    least = "at least " if found.job_count >= MOST_COUNTED else ""
    yield "jobs", f"{least}{found.job_count:,}"


def _what_now(found: Leak) -> str:
    if not found.revoked_at:
        return "Nothing was changed: without --show it is revoked."
    done = "It is revoked." if found.revoked_now else "It was revoked before."
    if found.kind == CredentialKind.SECRET:
        return (
            f"{done} Agents of {found.cluster} that have it get no more jobs and report none until they have another."
        )
    return f"{done} Jobs that were submitted with it stay: cancel those that are not yours."
