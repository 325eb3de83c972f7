import click

from rainbow import __version__
from rainbow.client import Client
from rainbow.errors import RainbowError
from rainbow.terminal import session
from rainbow.terminal.options import flags, json_option, server_options
from rainbow.terminal.output import complain, say, write_json

SECONDS = 2.0
OLD = "0.1 or older"


@click.command("version")
@server_options
@click.option("--client", "only_client", is_flag=True, help="Ask no server.")
@json_option
@click.pass_context
def command(ctx: click.Context, only_client: bool, as_json: bool) -> None:
    """Show the versions of this client and of the server."""
    version = None if only_client else _server_version(ctx)
    if as_json:
        write_json({"version": __version__, "server_version": version})
    else:
        say(f"rainbow {__version__}" + (f"\nserver  {version or OLD}" if version is not None else ""))


def _server_version(ctx: click.Context) -> str | None:
    """Empty from a server that does not say; None if it cannot be reached, which is told."""
    known = session.settings(ctx)
    try:
        with Client(
            known.host,
            timeout_seconds=flags(ctx).get("timeout", SECONDS),
            **known.encryption,
        ) as client:
            return client.serial("version").server_version
    except RainbowError as error:
        complain(f"The server's version is not known: {error}")
        return None
