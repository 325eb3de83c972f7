import click

from rainbow.client import Client
from rainbow.config import Settings, config_path, read_file
from rainbow.errors import AlreadyExists
from rainbow.records import Registration
from rainbow.terminal import session
from rainbow.terminal.in_doubt import in_doubt
from rainbow.terminal.options import json_option, registration_secret_options, server_options
from rainbow.terminal.output import complain, say, write_json
from rainbow.terminal.saving import prepare_to_save, try_to_save

EPILOG = """\b
Examples:
  rainbow register --cluster-name keebler --save
  rainbow register --cluster-name keebler --secret-file /etc/rainbow/registration-secret
"""

LOST = (
    "{cluster} may be registered all the same, and its credentials lost. If the same command now says that it is"
    " registered, have an operator rotate them, or choose another name."
)


@click.command("register", epilog=EPILOG)
@server_options
@registration_secret_options
@click.option("--save", is_flag=True, help="Put the credentials into the configuration file; do not print them.")
@json_option
@click.pass_context
def command(ctx: click.Context, save: bool, as_json: bool) -> None:
    """Add a cluster, and get its token and its secret.

    The token is for those who submit jobs to the cluster, the secret for the cluster, which takes its jobs by it. The
    server shows both only this once.
    """
    known = session.settings(ctx)
    if save:
        prepare_to_save()
    with session.stranger(ctx) as client, in_doubt(LOST.format(cluster=known.cluster)):
        new = _registered(client, known)
    saved = save and try_to_save(known, {"token": new.token, "secret": new.secret})
    if as_json:
        write_json(_document(new, saved=saved))
    else:
        _tell(new, host=known.host, saved=saved)
    if save and not saved:
        ctx.exit(1)


def _registered(client: Client, known: Settings) -> Registration:
    try:
        return client.register(known.cluster, registration_secret=known.registration_secret)
    except AlreadyExists as error:
        if not _has_credentials(known):
            raise
        raise AlreadyExists(
            f"{known.cluster} is registered already; credentials of it are in {config_path()}"
        ) from error


def _has_credentials(known: Settings) -> bool:
    """Whether the configuration file has some for this cluster of this server."""
    saved = read_file(config_path()).get("clusters", {}).get(known.cluster, {})
    return saved.get("host", known.host) == known.host and any(saved.get(kind) for kind in ("token", "secret"))


def _document(new: Registration, *, saved: bool) -> dict[str, str | None]:
    return {
        "cluster": new.cluster,
        "token": None if saved else new.token,
        "secret": None if saved else new.secret,
        "saved_to": str(config_path()) if saved else None,
    }


def _tell(new: Registration, *, host: str, saved: bool) -> None:
    say(f"Registered the cluster {new.cluster} at {host}.")
    if saved:
        say(f"Its token and its secret are in {config_path()}.")
        return
    say(f"token:  {new.token}\nsecret: {new.secret}")
    complain("Keep both: they are not shown again. The token is for people, the secret for the cluster.")
