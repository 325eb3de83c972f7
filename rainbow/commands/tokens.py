from datetime import UTC, datetime

import click

from rainbow.people import NewToken
from rainbow.terminal import session
from rainbow.terminal.completion import cluster_names, project_names
from rainbow.terminal.formatting import when
from rainbow.terminal.in_doubt import in_doubt
from rainbow.terminal.options import json_option, server_options, token_options
from rainbow.terminal.output import complain, say, write_json
from rainbow.terminal.people import show_tokens
from rainbow.terminal.types import Whole
from rainbow.text import on_one_line

EPILOG = """\b
Examples:
  rainbow tokens list
  rainbow tokens create nightly --days 30 --project chem
  rainbow tokens create dashboard --read-only
  rainbow tokens revoke 17 --reason "lost the laptop"
"""
MAX_DAYS = 365
LOST = "The token may be made all the same, and its value lost; `rainbow tokens list` shows it, to be revoked."


@click.group("tokens", epilog=EPILOG)
def command() -> None:
    """List, make and revoke your tokens."""


@command.command("list")
@server_options
@token_options
@json_option
@click.pass_context
def list_tokens(ctx: click.Context, as_json: bool) -> None:
    """List your tokens that work, the newest first."""
    with session.person(ctx) as client:
        found = client.list_tokens()
    if as_json:
        write_json({"tokens": found})
    else:
        show_tokens(found, now=datetime.now(UTC))


@command.command("create")
@server_options
@token_options
@click.option("--days", type=Whole(min=1, max=MAX_DAYS), default=90, show_default=True, help="How long it works.")
@click.option(
    "--project", default="", metavar="NAME", shell_complete=project_names, help="Narrow it to this project of yours."
)
@click.option(
    "--at",
    "clusters",
    multiple=True,
    metavar="NAME",
    shell_complete=cluster_names,
    help="Narrow it to this cluster or pool; repeatable.",
)
@click.option("--read-only", "reads_only", is_flag=True, help="It may only read.")
@click.option("--for-project", is_flag=True, help="It belongs to the project, for a service. Needs a lead of it.")
@json_option
@click.argument("label")
@click.pass_context
def create_token(
    ctx: click.Context,
    label: str,
    days: int,
    project: str,
    clusters: tuple[str, ...],
    reads_only: bool,
    for_project: bool,
    as_json: bool,
) -> None:
    """Make a token of this LABEL. Its value is shown only this once."""
    if for_project and not project:
        raise click.UsageError("--for-project needs --project.")
    with session.person(ctx) as client, in_doubt(LOST):
        new = client.create_token(
            label, days=days, project=project, clusters=clusters, reads_only=reads_only, for_project=for_project
        )
    if as_json:
        write_json(new)
    else:
        _tell(new)


@command.command("revoke")
@server_options
@token_options
@click.option("--reason", default="", help="Why, for the record.")
@click.argument("token_id", metavar="ID", type=Whole(min=1))
@click.pass_context
def revoke_token(ctx: click.Context, token_id: int, reason: str) -> None:
    """Revoke a token for good, at once."""
    with session.person(ctx) as client:
        client.revoke_token(token_id, reason=reason)
    say(f"Token {token_id} is revoked.")


def _tell(new: NewToken) -> None:
    say(new.value)
    until = f" until {when(new.token.expires_at, now=datetime.now(UTC))}" if new.token.expires_at else ""
    complain(on_one_line(f"Keep it: it is not shown again. It is called {new.token.label}, and works{until}."))
