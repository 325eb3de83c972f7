from datetime import UTC, datetime
from typing import Any

import click

from rainbow.config import config_path
from rainbow.records import OF_CLUSTERS, CredentialKind, RotatedCredential
from rainbow.terminal import session
from rainbow.terminal.formatting import span, when
from rainbow.terminal.in_doubt import in_doubt
from rainbow.terminal.options import json_option, secret_options, server_options
from rainbow.terminal.output import complain, plain, say, write_json
from rainbow.terminal.saving import prepare_to_save, try_to_save
from rainbow.terminal.types import Span
from rainbow.text import on_one_line

EPILOG = """\b
Examples:
  rainbow rotate token --save
  rainbow rotate secret --grace 1h
"""
KIND = click.Choice([kind.value for kind in OF_CLUSTERS])
GRACE = Span(lowest=0, highest=604_800)


@click.command("rotate", epilog=EPILOG)
@server_options
@secret_options
@click.option("--label", default="", help="Which credential of this kind.  [default: the one from registration]")
@click.option("--grace", "grace_seconds", type=GRACE, help="How long the old value still works: 0, 1h.  [default: 5m]")
@click.option("--save", is_flag=True, help="Put the new value into the configuration file; do not print it.")
@json_option
@click.argument("kind", type=KIND)
@click.pass_context
def command(ctx: click.Context, kind: str, label: str, grace_seconds: int | None, save: bool, as_json: bool) -> None:
    """Replace the cluster's token or secret. The server shows the new value only this once."""
    if save:
        prepare_to_save()
    with session.puller(ctx) as client, in_doubt(_how_to_get_one(kind, grace_seconds)):
        new = client.rotate_credential(CredentialKind(kind), label=label, grace_seconds=grace_seconds)
    saved = save and try_to_save(session.settings(ctx), {new.kind.value: new.credential})
    if as_json:
        write_json(_document(new, saved=saved))
    else:
        _tell(new, saved=saved, now=datetime.now(UTC))
    if save and not saved:
        ctx.exit(1)


def _how_to_get_one(kind: str, grace_seconds: int | None) -> str:
    """For a new value whose answer got lost. The secret makes the request."""
    lost = f"The {kind} may be replaced all the same, and its new value lost."
    if kind == CredentialKind.TOKEN:
        return f"{lost} The same command again makes another one."
    if grace_seconds == 0:
        return f"{lost} If the old one is refused from now on, an operator has to rotate it."
    left = "5m" if grace_seconds is None else span(grace_seconds)
    return f"{lost} The old one works for {left} more: within this time the same command makes another one."


def _document(new: RotatedCredential, *, saved: bool) -> dict[str, Any]:
    saved_to = str(config_path()) if saved else None
    return {**plain(new), "credential": None if saved else new.credential, "saved_to": saved_to}


def _tell(new: RotatedCredential, *, saved: bool, now: datetime) -> None:
    if saved:
        say(f"The new {new.kind} ({on_one_line(new.label)}) is in {config_path()}.")
    else:
        say(f"{new.kind}: {new.credential}")
        complain("Keep it: it is not shown again. A configuration file still has the old one; --save replaces it.")
    if new.previous_expires_at is not None:
        complain(f"The old value stops working at {when(new.previous_expires_at, now=now)}.")
