import socket
import time
from datetime import UTC, datetime

import click

from rainbow.client import Client
from rainbow.config import config_path
from rainbow.errors import FailedPrecondition, PermissionDenied
from rainbow.people import Login, LoginAnswer, LoginState
from rainbow.terminal import session
from rainbow.terminal.formatting import when
from rainbow.terminal.options import json_option, server_options
from rainbow.terminal.output import complain, say, write_json
from rainbow.terminal.saving import prepare_to_save, try_to_save_token
from rainbow.terminal.types import Whole
from rainbow.text import on_one_line

EPILOG = """\b
Examples:
  rainbow login --host rainbow.example.org --tls
  rainbow login --days 7
"""
MAX_DAYS = 365
MAX_LABEL = 63


@click.command("login", epilog=EPILOG)
@server_options
@click.option("--days", type=Whole(min=1, max=MAX_DAYS), default=90, show_default=True, help="How long it lasts.")
@click.option("--label", default="", help="What the token is called.  [default: this machine's name]")
@json_option
@click.pass_context
def command(ctx: click.Context, days: int, label: str, as_json: bool) -> None:
    """Sign in, and keep a token of yours on this machine.

    Shows a code and a page; confirm the code on that page, in any browser. The token goes into the configuration file.
    """
    prepare_to_save()
    with session.anybody(ctx) as client:
        begun = client.begin_login(label or socket.gethostname()[:MAX_LABEL], days=days)
        _invite(begun)
        answer = _wait(client, begun)
    if answer.state == LoginState.DENIED or answer.new is None:
        raise PermissionDenied("the login was denied on the page")
    saved = try_to_save_token(session.settings(ctx), answer.new.value)
    if as_json:
        write_json(
            {"person": answer.person, "token": answer.new.token, "saved_to": str(config_path()) if saved else None}
        )
    elif saved:
        _tell(answer)
    if not saved:
        say(answer.new.value)
        ctx.exit(1)


def _invite(begun: Login) -> None:
    """On standard error: what is asked for is the token."""
    page = begun.page or "the page /login of the rainbow server"
    complain(on_one_line(f"Open {page}"))
    complain(on_one_line(f"and confirm the code {begun.code} there."))


def _wait(client: Client, begun: Login) -> LoginAnswer:
    """Until the person has decided. Raises FailedPrecondition when the time is over."""
    while begun.expires_at is None or datetime.now(UTC) < begun.expires_at:
        answer = client.collect_login(begun.login)
        if answer.state != LoginState.PENDING:
            return answer
        time.sleep(begun.poll_every_seconds)
    raise FailedPrecondition("nobody confirmed the code in time; run `rainbow login` again")


def _tell(answer: LoginAnswer) -> None:
    assert answer.new
    token = answer.new.token
    until = f" until {when(token.expires_at, now=datetime.now(UTC))}" if token.expires_at else ""
    say(on_one_line(f"You are signed in as {answer.person}{until}; the token {token.label} is in {config_path()}."))
