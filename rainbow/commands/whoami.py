from collections.abc import Iterator
from datetime import UTC, datetime

import click

from rainbow.people import Identity
from rainbow.records import OF_CLUSTERS
from rainbow.terminal import session
from rainbow.terminal.formatting import when
from rainbow.terminal.options import json_option, server_options, token_options
from rainbow.terminal.output import say, write_json
from rainbow.terminal.tables import aligned
from rainbow.text import on_one_line

EPILOG = """\b
Examples:
  rainbow whoami
  rainbow whoami --json
"""


@click.command("whoami", epilog=EPILOG)
@server_options
@token_options
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Show whose the credential is, and its projects."""
    with session.person(ctx) as client:
        found = client.who_am_i()
    if as_json:
        write_json(found)
    else:
        now = datetime.now(UTC)
        say(aligned([(f"{name}:", on_one_line(value)) for name, value in _lines(found, now=now) if value]))


def _lines(found: Identity, *, now: datetime) -> Iterator[tuple[str, str]]:
    yield "person", found.person
    yield "cluster", found.cluster
    kind = found.kind.value if found.kind in OF_CLUSTERS else f"{found.kind.value} token"
    yield "credential", f"{kind} {found.label}"
    yield "may", "only read" if found.reads_only else ""
    yield "expires", when(found.expires_at, now=now) if found.expires_at else "never"
    yield "projects", ", ".join(f"{one.name} (lead)" if one.lead else one.name for one in found.projects)
