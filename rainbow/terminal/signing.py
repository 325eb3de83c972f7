"""Signing the jobs that the command line submits."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import click

from rainbow.client import Client
from rainbow.config import Settings, config_path
from rainbow.errors import FailedPrecondition
from rainbow.signer import VALID_FOR, Signer
from rainbow.signing_keys import read_key
from rainbow.terminal import session
from rainbow.terminal.options import remembered
from rainbow.terminal.types import Span, Whole

Command = TypeVar("Command", bound=Callable[..., Any])

FILE_NAME = "signing-key.pem"


SIGN_FOR = Span(lowest=60, highest=31_536_000)
MOST_RUNS = 100
_SAID = "rainbow.signing"


def signing_options(command: Command) -> Command:
    """What `start_signing` heeds."""
    options = (
        _option("--sign/--no-sign", default=None, help="Sign it by your key.  [env: RAINBOW_SIGN; default: no]"),
        remembered("--signing-key", metavar="PATH", help="The file of your key.  [env: RAINBOW_SIGNING_KEY]"),
        _option("--sign-for", type=SIGN_FOR, help="How long the signature lets it start: 12h.  [default: 7d]"),
        _option("--sign-runs", type=Whole(1, MOST_RUNS), help="How many attempts it lets run.  [default: 1]"),
    )
    for option in reversed(options):
        command = option(command)
    return command


def key_path(known: Settings | None = None) -> Path:
    """Where the key is that signs; it may not be there yet."""
    return Path(known.signing_key) if known and known.signing_key else config_path().parent / FILE_NAME


def start_signing(ctx: click.Context, client: Client) -> None:
    """Let the client sign what it submits, if that is asked. Raises InvalidArgument, and FailedPrecondition."""
    known, said = session.settings(ctx), ctx.meta.get(_SAID, {})
    if not said.pop("sign", known.sign):
        if said:
            raise click.UsageError("--sign-for and --sign-runs need --sign.")
        return
    key = read_key(key_path(known))
    person = client.who_am_i().person
    if not person:
        raise FailedPrecondition("only a person's jobs are signed, and this token is no person's; see `rainbow login`")
    valid_for = timedelta(seconds=said["sign_for"]) if "sign_for" in said else VALID_FOR
    client.signer = Signer(key=key, person=person, valid_for=valid_for, runs=said.get("sign_runs", 1))


def _option(*names: str, **attributes: Any) -> Callable[[Command], Command]:
    def remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        if value is not None:
            ctx.meta.setdefault(_SAID, {})[param.name] = value

    return click.option(*names, expose_value=False, callback=remember, **attributes)
